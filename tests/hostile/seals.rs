//! Corrects the checksums of files that were changed (no Java twin), so that the server also reads what a checksum
//! protects.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

/// The length of a log's header, in bytes.
const LOG_HEADER: usize = 16;

/// The length of the fields for checksum and length before an entry, in bytes.
const PREFIX: usize = 12;

const END_OF_RECORD: u8 = b'B';

/// The end of a sealed part of a snapshot: the text `/`.
const SEAL_END: [u8; 5] = [0, 0, 0, 1, b'/'];

/// Adler-32, as in Java's java.util.zip.Adler32.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}

/// Gives every entry of a log the correct checksum and end mark.
pub(super) fn seal_log(log: &mut [u8]) {
    let mut at = LOG_HEADER;
    while let Some(field) = log.get(at + 8..).and_then(|rest| rest.first_chunk::<4>()) {
        let Ok(len) = usize::try_from(i32::from_be_bytes(*field)) else { return };
        let end = at + PREFIX + len;
        if len == 0 || end >= log.len() {
            return;
        }
        let checksum = u64::from(adler32(&log[at + PREFIX..end]));
        log[at..at + 8].copy_from_slice(&checksum.to_be_bytes());
        log[end] = END_OF_RECORD;
        at = end + 1;
    }
}

/// Gives every sealed part of a snapshot the correct checksum.
pub(super) fn seal_snapshot(snapshot: &mut [u8]) {
    let mut at = 8;
    while at + SEAL_END.len() <= snapshot.len() {
        let (before, seal) = snapshot.split_at_mut(at);
        if seal.starts_with(&SEAL_END) && before[at - 8..at - 4] == [0; 4] {
            let checksum = u64::from(adler32(&before[..at - 8]));
            before[at - 8..].copy_from_slice(&checksum.to_be_bytes());
        }
        at += 1;
    }
}
