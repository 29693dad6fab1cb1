//! Tells an interrupted write from later damage to a file (no Java twin).
//!
//! Java ends a file at the first entry without an end mark, whatever follows it. It refuses an entry with a
//! wrong checksum even if a power failure cut off the last write. Here both decisions follow from how an
//! interrupted write looks. A write goes to the end of the log, over zeros, in units of disk sectors, and is
//! acknowledged only when all of it is on disk. So no complete entry follows an interrupted write, and its
//! missing parts are zeros or lie after the end of the file. Anything else was once on disk and may have been
//! acknowledged, so it is never dropped silently.

use super::log_reader::{END_OF_RECORD, PREFIX, checksum, prefix};
use crate::server::persistence::txn_log::{Behind, Damage};

/// The unit in which a disk writes, in bytes.
const SECTOR: u64 = 512;

/// An intact entry may contain this many zero bytes in one sector, such as half of a checksum. A longer part of
/// a sector that is all zeros was never written.
const TOO_SHORT_TO_TELL: usize = 16;

/// No transaction is shorter than its header, in bytes.
const SHORTEST_ENTRY: usize = 32;

/// The file is searched in windows of this size, in bytes.
pub(super) const SEARCHED: u64 = 64 * 1024 * 1024;

/// The size of a window if entries may be up to `max_length` bytes long.
pub(super) fn searched(max_length: usize) -> u64 {
    SEARCHED.max(2 * longest_entry(max_length))
}

/// The size in the file of the longest entry, in bytes.
pub(super) const fn longest_entry(max_length: usize) -> u64 {
    (PREFIX + max_length + 1) as u64
}

/// Judges damaged bytes. `rest` starts with them, at `offset` in the file. `None` if they are the rest of an
/// interrupted write.
pub(super) fn judge(
    rest: &[u8],
    offset: u64,
    damage: &Damage,
    max_length: usize,
) -> Option<Behind> {
    if let Some(at) = find_entry(rest, max_length) {
        return Some(Behind::ValidEntry { offset: offset + at as u64 });
    }
    if is_whole_but_for_its_length(rest) {
        return Some(Behind::NothingUnfinished);
    }
    let torn = match damage {
        Damage::Cut => true,
        Damage::Undecodable { .. } => false,
        Damage::Hole => first_set(rest).is_some_and(|first| {
            let sector_end = (offset + 1).next_multiple_of(SECTOR);
            offset + first as u64 >= sector_end
        }),
        Damage::Checksum { .. } | Damage::Length { .. } | Damage::Unterminated { .. } => {
            ends_in_zeros(rest, max_length) || has_zero_sector(rest, offset, max_length)
        }
    };
    (!torn).then_some(Behind::NothingUnfinished)
}

/// The offset of the first complete entry after the first byte.
pub(super) fn find_entry(rest: &[u8], max_length: usize) -> Option<usize> {
    (1..rest.len().saturating_sub(PREFIX + SHORTEST_ENTRY)).find(|at| {
        let bytes = &rest[*at..];
        // A cheap test that excludes nearly all offsets: the upper half of a checksum is always 0, the lower
        // half never.
        if bytes[..4] != [0; 4] || bytes[4..8] == [0; 4] {
            return false;
        }
        let (stored, _) = prefix(bytes);
        entry_end(bytes, max_length).is_some_and(|end| {
            end > PREFIX + SHORTEST_ENTRY
                && bytes[end - 1] == END_OF_RECORD
                && stored == i64::from(checksum(&bytes[PREFIX..end - 1]))
        })
    })
}

/// The end of the entry at the start of `bytes` according to its length, if the length is plausible and the
/// entry does not extend beyond `bytes`.
fn entry_end(bytes: &[u8], max_length: usize) -> Option<usize> {
    if bytes.len() < PREFIX {
        return None;
    }
    let len = usize::try_from(prefix(bytes).1).ok().filter(|len| *len <= max_length)?;
    Some(PREFIX + len + 1).filter(|end| *end <= bytes.len())
}

/// Whether the checksum matches all bytes up to the end mark. Then only the length is wrong, and nothing is
/// missing.
fn is_whole_but_for_its_length(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().rposition(|byte| *byte != 0).filter(|end| *end > PREFIX) else {
        return false;
    };
    rest[end] == END_OF_RECORD && prefix(rest).0 == i64::from(checksum(&rest[PREFIX..end]))
}

/// Whether the entry consists of data followed by zeros up to its end, including the end mark.
fn ends_in_zeros(rest: &[u8], max_length: usize) -> bool {
    let length_is_zero = rest.len() >= PREFIX && prefix(rest).1 == 0;
    if length_is_zero {
        return rest[PREFIX..].iter().all(|byte| *byte == 0);
    }
    entry_end(rest, max_length).is_some_and(|end| rest[end - 1..].iter().all(|byte| *byte == 0))
}

/// Whether a sector of the entry was never written.
fn has_zero_sector(rest: &[u8], offset: u64, max_length: usize) -> bool {
    let last_set = rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let end = entry_end(rest, max_length).unwrap_or(0).max(last_set);
    let mut rest = &rest[..end];
    let mut offset = offset;
    while !rest.is_empty() {
        let sector_end = (offset + 1).next_multiple_of(SECTOR);
        let len =
            usize::try_from(sector_end - offset).map_or(rest.len(), |len| len.min(rest.len()));
        let (sector, behind) = rest.split_at(len);
        if len > TOO_SHORT_TO_TELL && first_set(sector).is_none() {
            return true;
        }
        rest = behind;
        offset = sector_end;
    }
    false
}

fn first_set(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100_000;

    fn entry(len: usize) -> Vec<u8> {
        let data = vec![7; len];
        let mut bytes = i64::from(checksum(&data)).to_be_bytes().to_vec();
        bytes.extend(i32::try_from(len).unwrap().to_be_bytes());
        bytes.extend(data);
        bytes.push(END_OF_RECORD);
        bytes
    }

    fn damage(bytes: &[u8]) -> Damage {
        let (stored, length) = prefix(bytes);
        match usize::try_from(length) {
            Ok(len) if len > 0 && len <= MAX => match bytes.get(PREFIX..PREFIX + len) {
                Some(bytes) => Damage::Checksum { stored, computed: checksum(bytes) },
                None => Damage::Cut,
            },
            _ => Damage::Length { length, limit: MAX },
        }
    }

    #[test]
    fn a_write_that_was_cut_off_anywhere_and_is_followed_by_zeros_is_torn() {
        let whole = entry(3000);
        for offset in [16, 500, 512, 1000] {
            for cut in (9..whole.len() - 1).step_by(17) {
                let mut bytes = whole[..cut].to_vec();
                bytes.resize(5000, 0);
                assert_eq!(judge(&bytes, offset, &damage(&bytes), MAX), None, "{offset} {cut}");
                let cut = &whole[..cut];
                assert_eq!(judge(cut, offset, &Damage::Cut, MAX), None);
            }
        }
    }

    #[test]
    fn a_write_of_which_any_sector_is_missing_is_torn() {
        for offset in [16_u64, 300, 512] {
            let whole = entry(3000);
            let mut start = 0;
            while start < whole.len() {
                let sector_end = (offset + start as u64 + 1).next_multiple_of(SECTOR) - offset;
                let end = usize::try_from(sector_end).unwrap().min(whole.len());
                let mut bytes = whole.clone();
                bytes[start..end].fill(0);
                bytes.resize(5000, 0);
                let damage = if start == 0 { Damage::Hole } else { damage(&bytes) };
                assert_eq!(judge(&bytes, offset, &damage, MAX), None, "{offset} {start}");
                start = end;
            }
        }
    }

    #[test]
    fn a_changed_byte_in_the_last_entry_is_no_torn_write() {
        let whole = entry(600);
        for at in 0..whole.len() {
            for bit in [1, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= bit;
                bytes.resize(2000, 0);
                let damage = damage(&bytes);
                let behind = judge(&bytes, 16, &damage, MAX);
                assert_eq!(behind, Some(Behind::NothingUnfinished), "byte {at}: {damage}");
            }
        }
    }

    #[test]
    fn damage_before_a_whole_entry_is_corruption_whatever_it_looks_like() {
        let mut bytes = entry(100);
        let second = bytes.len();
        bytes.extend(entry(50));
        bytes.resize(4096, 0);
        for zeroed in [0..second, 0..12, 50..60, second - 1..second, 20..second] {
            let mut bytes = bytes.clone();
            bytes[zeroed.clone()].fill(0);
            let behind = judge(&bytes, 400, &Damage::Hole, MAX);
            let offset = 400 + second as u64;
            assert_eq!(behind, Some(Behind::ValidEntry { offset }), "{zeroed:?}");
        }
    }

    #[test]
    fn zeros_inside_a_sector_are_not_what_a_disk_leaves_out() {
        let mut bytes = vec![0; 40];
        bytes.extend([1, 2, 3]);
        assert_eq!(judge(&bytes, 16, &Damage::Hole, MAX), Some(Behind::NothingUnfinished));
        assert_eq!(judge(&bytes, 480, &Damage::Hole, MAX), None);
    }
}
