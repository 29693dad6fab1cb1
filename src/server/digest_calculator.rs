//! The digest of one node (Java: server/DigestCalculator.java).
//!
//! Differs from Java: there is no global switch. The caller knows whether digests are computed (`digest_enabled` of
//! [`DataTreeConfig`](super::data_tree::DataTreeConfig)).

use byteorder::{BigEndian, ByteOrder};

use crc32fast::Hasher;

use crate::data::StatPersisted;
use crate::zoo_defs::ZOOKEEPER_NODE_SUBTREE;

/// Written with every digest. Servers with different versions do not compare digests (Java: DIGEST_VERSION).
pub(crate) const DIGEST_VERSION: i32 = 2;

/// The bytes of the state in a digest: six longs and three ints.
pub(super) const STAT_BYTES: usize = 60;

/// Path and data of up to this many bytes are put together before they are hashed, because the checksum is much
/// faster over one piece than over three short ones.
const ONE_PIECE: usize = 256 - STAT_BYTES;

/// Whether a node is part of the tree's digest. The system's own nodes are not, because each server counts quota
/// usage on its own.
#[must_use]
pub(crate) fn is_in_digest(path: &str) -> bool {
    !path.starts_with(ZOOKEEPER_NODE_SUBTREE)
}

/// The digest of a node with this path, data and state; 0 when it is [not part of the tree's digest](is_in_digest).
/// The root's path is `/` or empty, with the same result.
#[must_use]
#[cfg(test)]
pub(crate) fn calculate_digest(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u32 {
    if !is_in_digest(path) {
        return 0;
    }
    let path = if path == "/" { "" } else { path };
    digest_of_parts(path.as_bytes(), data.unwrap_or_default(), &stat_bytes(stat))
}

/// The part of a node's digest that depends on path and data. After a change of the state alone, [`with_state`]
/// completes it.
#[must_use]
pub(crate) fn content_digest(path: &str, data: Option<&[u8]>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(if path == "/" { b"" } else { path.as_bytes() });
    hasher.update(data.unwrap_or_default());
    hasher.finalize()
}

/// The digest of a node whose path and data have this [`content_digest`]. It equals the result of
/// [`calculate_digest`].
#[must_use]
pub(crate) fn with_state(path: &str, content_digest: u32, stat: &StatPersisted) -> u32 {
    if !is_in_digest(path) {
        return 0;
    }
    let mut hasher = Hasher::new_with_initial(content_digest);
    hasher.update(&stat_bytes(stat));
    hasher.finalize()
}

/// CRC-32 over the three parts.
pub(super) fn digest_of_parts(path: &[u8], data: &[u8], stat: &[u8; STAT_BYTES]) -> u32 {
    let mut hasher = Hasher::new();
    let len = path.len() + data.len();
    if len <= ONE_PIECE {
        let mut piece = [0; ONE_PIECE + STAT_BYTES];
        piece[..path.len()].copy_from_slice(path);
        piece[path.len()..len].copy_from_slice(data);
        piece[len..len + STAT_BYTES].copy_from_slice(stat);
        hasher.update(&piece[..len + STAT_BYTES]);
    } else {
        hasher.update(path);
        hasher.update(data);
        hasher.update(stat);
    }
    hasher.finalize()
}

/// The state as it is hashed. The order of fields differs from that of the record.
pub(super) fn stat_bytes(stat: &StatPersisted) -> [u8; STAT_BYTES] {
    let mut bytes = [0; STAT_BYTES];
    let longs = [stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.ctime, stat.mtime];
    BigEndian::write_i64_into(&longs, &mut bytes[..40]);
    BigEndian::write_i32_into(&[stat.version, stat.cversion, stat.aversion], &mut bytes[40..52]);
    BigEndian::write_i64(&mut bytes[52..], stat.ephemeral_owner);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_can_be_made_in_two_steps() {
        let stat = StatPersisted { version: 3, ephemeral_owner: -1, ..StatPersisted::default() };
        for (path, data) in [("/", None), ("/a", Some(&b"data"[..])), ("/zookeeper/quota", None)] {
            let in_two = with_state(path, content_digest(path, data), &stat);
            assert_eq!(in_two, calculate_digest(path, data, &stat), "{path}");
        }
    }
    use crate::ids::Zxid;

    #[test]
    fn fresh_nodes_have_the_digests_that_java_gives_them() {
        let stat = StatPersisted::default();
        assert_eq!(calculate_digest("", Some(&[]), &stat), 0x0412_8908);
        assert_eq!(calculate_digest("/", None, &stat), 0x0412_8908);
        assert_eq!(calculate_digest("/zookeeper", Some(&[]), &stat), 0x4db4_4d58);
        assert_eq!(calculate_digest("/zookeeper/quota", Some(&[]), &stat), 0);
    }

    #[test]
    fn one_piece_and_three_have_the_same_digest() {
        let stat = StatPersisted {
            czxid: Zxid(1),
            mzxid: Zxid(-2),
            ctime: 3,
            mtime: 4,
            version: 5,
            cversion: 6,
            aversion: -7,
            ephemeral_owner: 8,
            pzxid: Zxid(9),
        };
        let data = vec![0xa5; 2 * ONE_PIECE];
        for len in [0, 1, ONE_PIECE - 2, ONE_PIECE - 1, 2 * ONE_PIECE] {
            let mut hasher = Hasher::new();
            hasher.update(b"/a");
            hasher.update(&data[..len]);
            for long in [1_i64, -2, 9, 3, 4] {
                hasher.update(&long.to_be_bytes());
            }
            for int in [5_i32, 6, -7] {
                hasher.update(&int.to_be_bytes());
            }
            hasher.update(&8_i64.to_be_bytes());
            assert_eq!(calculate_digest("/a", Some(&data[..len]), &stat), hasher.finalize());
        }
    }
}
