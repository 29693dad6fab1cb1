//! Tells a write that was interrupted from a file that was damaged later (no Java twin).
//!
//! Java ends the file at whatever has no end mark, whatever follows, and refuses whatever has a wrong checksum, even if it
//! is the end of a write that a power failure cut off. Here both follow from what a cut-off write looks like: writes go
//! to the end of the log, into zeros, in units of disk sectors, and nobody was told of them before all of it was on
//! disk. So what is left of one has nothing whole behind it, and where something is missing there are zeros or the end
//! of the file. Anything else was on disk once, may have been acknowledged, and is never given up silently.

use super::log_reader::{END_OF_RECORD, PREFIX, checksum, prefix};
use crate::server::persistence::txn_log::{Behind, Damage};

/// What a disk writes as a whole, in bytes.
const SECTOR: u64 = 512;

/// A part of a sector that is not longer may be zeros in a good entry, in bytes: half a checksum, for example.
const TOO_SHORT_TO_TELL: usize = 16;

/// No transaction is shorter than its header, in bytes.
const SHORTEST_ENTRY: usize = 32;

/// How much of a file is searched behind damaged bytes, in bytes.
pub(super) const SEARCHED: u64 = 64 * 1024 * 1024;

/// The damaged bytes are `rest[0..]`, at `offset` in the file. `None` when they are what is left of a write that was cut
/// off.
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

/// The first whole entry behind the first byte.
fn find_entry(rest: &[u8], max_length: usize) -> Option<usize> {
    (1..rest.len().saturating_sub(PREFIX + SHORTEST_ENTRY)).find(|at| {
        let bytes = &rest[*at..];
        // Cheap to see for nearly all offsets: the checksum's upper half is 0, its lower half never.
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

/// Where the entry at the start of `bytes` ends by its length, if that can be and is not beyond them.
fn entry_end(bytes: &[u8], max_length: usize) -> Option<usize> {
    if bytes.len() < PREFIX {
        return None;
    }
    let len = usize::try_from(prefix(bytes).1).ok().filter(|len| *len <= max_length)?;
    Some(PREFIX + len + 1).filter(|end| *end <= bytes.len())
}

/// Whether the checksum is that of all that is there: then only the length is wrong, and nothing is missing.
fn is_whole_but_for_its_length(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().rposition(|byte| *byte != 0).filter(|end| *end > PREFIX) else {
        return false;
    };
    rest[end] == END_OF_RECORD && prefix(rest).0 == i64::from(checksum(&rest[PREFIX..end]))
}

/// Whether the entry is good up to some point and zeros from there on: at least its end mark is one.
fn ends_in_zeros(rest: &[u8], max_length: usize) -> bool {
    let length_is_zero = rest.len() >= PREFIX && prefix(rest).1 == 0;
    if length_is_zero {
        return rest[PREFIX..].iter().all(|byte| *byte == 0);
    }
    entry_end(rest, max_length).is_some_and(|end| rest[end - 1..].iter().all(|byte| *byte == 0))
}

/// Whether a sector that belongs to the entry was never written.
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
