//! When digests are compared, and with what.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::digest_watcher::DigestWatcher;
use crate::server::data_tree::digest::{DIGEST_LOG_INTERVAL, DIGEST_LOG_LIMIT};
use crate::server::digest_calculator::DIGEST_VERSION;
use crate::txn::TxnDigest;

/// Records the zxid of the last mismatch.
#[derive(Default)]
struct Mismatches(AtomicI64);

impl DigestWatcher for Mismatches {
    fn process(&self, mismatch_zxid: Zxid) {
        self.0.store(mismatch_zxid.0, Ordering::SeqCst);
    }
}

fn watched(config: DataTreeConfig) -> (Server, Arc<Mismatches>) {
    let mismatches = Arc::new(Mismatches::default());
    let mut server = Server::with(config);
    server.tree.parts.metrics = ServerMetrics::with_default_provider();
    server.tree.add_digest_watcher(mismatches.clone());
    (server, mismatches)
}

/// The number of mismatches and the zxid of the last one.
fn seen(server: &Server, mismatches: &Mismatches) -> (i64, i64) {
    let count = server.tree.parts.metrics.digest_mismatches_count.value();
    (count, mismatches.0.load(Ordering::SeqCst))
}

fn txn_digest(tree_digest: i64) -> TxnDigest {
    TxnDigest { version: DIGEST_VERSION, tree_digest }
}

#[test]
fn every_change_changes_the_digest_except_below_the_systems_node() {
    let mut server = Server::new();
    let mut digest = server.tree.tree_digest();
    let mut changed = |server: &Server| {
        check_tree(&server.tree);
        let old = std::mem::replace(&mut digest, server.tree.tree_digest());
        old != digest
    };
    server.create("/a", b"");
    assert!(changed(&server));
    server.create("/a/b", b"1");
    assert!(changed(&server));
    server.set_data("/a/b", Some(b"2"));
    assert!(changed(&server));
    server.set_acl("/a/b", acl_of("x"));
    assert!(changed(&server));
    server.delete("/a/b");
    assert!(changed(&server));
    server.set_data("/", Some(b"root"));
    assert!(changed(&server));
    server.set_data(CONFIG_NODE, Some(b"config"));
    assert!(!changed(&server));
    server.create("/zookeeper/x", b"");
    assert!(changed(&server), "the parent /zookeeper counts");
    server.delete("/no/such");
    assert!(!changed(&server));
}

#[test]
fn without_digests_there_is_none() {
    let config = DataTreeConfig { digest_enabled: false, ..extended() };
    let (mut server, mismatches) = watched(config);
    server.create("/a", b"");
    assert_eq!(server.tree.tree_digest(), 0);
    let header = server.header(OpCode::Delete, SESSION);
    assert!(server.tree.compare_digest(&header, Some(&txn_digest(5))));
    let mut bytes = Vec::new();
    assert!(!server.tree.serialize_zxid_digest(&mut bytes));
    assert!(bytes.is_empty());
    let mut archive = BinaryInputArchive::new(&[0; 20][..], Limits::default());
    assert!(!server.tree.deserialize_zxid_digest(&mut archive, Zxid(0)).unwrap());
    assert_eq!(archive.input().len(), 20);
    assert_eq!(seen(&server, &mismatches), (0, 0));
    check_tree(&server.tree);
}

#[test]
fn a_digest_that_differs_is_counted_and_told() {
    let (mut server, mismatches) = watched(extended());
    let txn = || Some(TxnBody::Delete(DeleteTxn { path: "/x".into() }));
    let header = server.header(OpCode::Delete, SESSION);
    // The expected digest is computed on another tree.
    let mut other = new_tree(extended());
    other.process_txn(&header, txn());
    let right = txn_digest(other.tree_digest());
    server.tree.process_txn_with_digest(&header, txn(), Some(&right));
    assert_eq!(seen(&server, &mismatches), (0, 0));
    server.tree.process_txn_with_digest(&header, txn(), None);
    let newer = TxnDigest { version: DIGEST_VERSION + 1, tree_digest: 0 };
    server.tree.process_txn_with_digest(&header, txn(), Some(&newer));
    assert_eq!(seen(&server, &mismatches), (0, 0));
    server.tree.process_txn_with_digest(&header, txn(), Some(&txn_digest(0)));
    server.tree.process_txn_with_digest(&header, txn(), Some(&txn_digest(0)));
    assert_eq!(seen(&server, &mismatches), (2, 1));
}

#[test]
fn every_128th_digest_is_kept_and_the_last_1024_of_them() {
    let mut server = Server::new();
    for number in 0..DIGEST_LOG_INTERVAL * 3 {
        server.apply(OpCode::CreateSession, SessionId(number), None);
    }
    let zxids: Vec<i64> = server.tree.digest_log().map(|digest| digest.zxid.0).collect();
    assert_eq!(zxids, [128, 256, 384]);
    let last = server.tree.last_processed_zxid_digest().unwrap();
    assert_eq!((last.zxid, last.digest), (Zxid(384), server.tree.tree_digest()));
    for number in 0..DIGEST_LOG_LIMIT as i64 {
        server.tree.set_last_processed_zxid(Zxid((number + 10) * DIGEST_LOG_INTERVAL - 1));
        server.apply(OpCode::CreateSession, SESSION, None);
    }
    assert_eq!(server.tree.digest_log().count(), DIGEST_LOG_LIMIT);
    assert_eq!(server.tree.digest_log().next().unwrap().zxid, Zxid(1280));
}

#[test]
fn a_snapshots_digest_is_compared_at_its_zxid_and_nothing_before() {
    for (version, value, mismatch) in [(2, 1, true), (2, 0, false), (1, 1, false)] {
        let (mut server, mismatches) = watched(extended());
        for _ in 0..4 {
            server.create("/x", b"");
        }
        let expected = server.tree.tree_digest().wrapping_add(value);
        let digest = ZxidDigest { zxid: Zxid(6), digest_version: version, digest: expected };
        server.tree.set_snapshot_digest(digest, Zxid(4));
        assert_eq!(server.tree.digest_from_loaded_snapshot(), Some(digest));
        let noted = server.tree.last_processed_zxid_digest();
        let header = server.header(OpCode::CreateSession, SESSION);
        server.tree.process_txn_with_digest(&header, None, Some(&txn_digest(0)));
        assert_eq!(seen(&server, &mismatches), (0, 0));
        assert_eq!(server.tree.last_processed_zxid_digest(), noted);
        server.apply(OpCode::CreateSession, SESSION, None);
        assert_eq!(seen(&server, &mismatches), if mismatch { (1, 6) } else { (0, 0) });
        assert_eq!(server.tree.digest_from_loaded_snapshot(), None);
        server.apply(OpCode::CreateSession, SESSION, None);
        assert_eq!(server.tree.last_processed_zxid_digest().unwrap().zxid, Zxid(7));
    }
}

#[test]
fn a_snapshots_digest_whose_transaction_never_comes_is_not_compared() {
    let (mut server, mismatches) = watched(extended());
    let digest = ZxidDigest { zxid: Zxid(1), digest_version: 2, digest: 0 };
    server.tree.set_snapshot_digest(digest, Zxid(1));
    server.tree.set_last_processed_zxid(Zxid(1));
    server.create("/x", b"");
    assert_eq!(seen(&server, &mismatches), (0, 0));
    assert_eq!(server.tree.digest_from_loaded_snapshot(), Some(digest));
}

#[test]
fn a_snapshots_digest_is_read_back_unless_the_snapshot_is_newer() {
    let mut server = Server::new();
    let mut bytes = Vec::new();
    assert!(server.tree.serialize_zxid_digest(&mut bytes));
    assert_eq!(bytes, [[0; 8], [0, 0, 0, 2, 0, 0, 0, 0], [0; 8]].concat()[..20]);
    server.create("/x", b"");
    bytes.clear();
    server.tree.serialize_zxid_digest(&mut bytes);
    for (start, kept) in [(1, true), (2, false)] {
        let mut archive = BinaryInputArchive::new(&bytes[..], Limits::default());
        assert!(server.tree.deserialize_zxid_digest(&mut archive, Zxid(start)).unwrap());
        let digest = server.tree.last_processed_zxid_digest().filter(|_| kept);
        assert_eq!(server.tree.digest_from_loaded_snapshot(), digest);
    }
    for len in 0..bytes.len() {
        let mut archive = BinaryInputArchive::new(&bytes[..len], Limits::default());
        assert!(!server.tree.deserialize_zxid_digest(&mut archive, Zxid(1)).unwrap());
    }
}

#[test]
fn a_digest_of_the_first_version_is_hex_text() {
    let read = |text: &str| {
        let mut bytes =
            [&[0; 7][..], &[5, 0, 0, 0, 1, 0, 0, 0], &[u8::try_from(text.len()).unwrap()]].concat();
        bytes.extend_from_slice(text.as_bytes());
        ZxidDigest::deserialize(&mut BinaryInputArchive::new(&bytes[..], Limits::default()))
    };
    let digest = ZxidDigest { zxid: Zxid(5), digest_version: 1, digest: 0x1f };
    assert_eq!(read("1f").unwrap(), digest);
    assert!(read("xyz").is_err());
}

#[test]
fn the_last_zxid_is_written_and_read_when_that_is_on() {
    let mut server = Server::new();
    server.create("/x", b"");
    let mut bytes = Vec::new();
    assert!(server.tree.serialize_last_processed_zxid(&mut bytes));
    assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1]);
    let read = |tree: &mut DataTree, bytes: &[u8]| {
        let mut archive = BinaryInputArchive::new(bytes, Limits::default());
        tree.deserialize_last_processed_zxid(&mut archive).unwrap()
    };
    let mut tree = new_tree(extended());
    assert!(!read(&mut tree, &bytes[..7]));
    assert!(read(&mut tree, &bytes));
    assert_eq!(tree.last_processed_zxid(), Zxid(1));
    let off = DataTreeConfig { serialize_last_processed_zxid_enabled: false, ..extended() };
    let mut tree = new_tree(off);
    assert!(!tree.serialize_last_processed_zxid(&mut bytes));
    assert_eq!(bytes.len(), 8);
    assert!(!read(&mut tree, &bytes));
    assert_eq!(tree.last_processed_zxid(), Zxid(0));
}
