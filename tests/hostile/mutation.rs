//! Turns valid bytes into invalid ones (no Java twin).

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use super::frames::XIDS;
use super::random::Random;
use zookeeper_server::zoo_defs::OpCode;

/// Lengths, counts and versions that readers tend to mishandle.
const ODD_INTS: &[i32] = &[
    0,
    1,
    -1,
    -2,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0xf_ffff,
    0x10_0000,
    0x1f_fffe,
    0x1f_ffff,
    0x7fff_fffe,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
];

/// Bytes that end or break texts, paths and encodings.
const ODD_BYTES: &[u8] = &[0, 1, 0x0a, 0x1f, b'.', b'/', b'=', b',', 0x7f, 0x80, 0xed, 0xf0, 0xff];

/// The most bytes that one mutation adds.
const MAX_INSERT: usize = 64;

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = *new;
    }
}

/// Makes one small change to the bytes. `others` are more inputs of the same kind.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    match random.below(12) {
        _ if bytes.is_empty() => *bytes = random.bytes(12),
        0 | 1 => {
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        2 => bytes[at] = *random.pick(ODD_BYTES),
        3 => bytes.truncate(at),
        4 | 5 => overwrite(bytes, at, &random.pick(ODD_INTS).to_be_bytes()),
        6 => {
            // A value near the old one: a length that is slightly too long or too short.
            if let Some(field) = bytes[at..].first_chunk::<4>() {
                let field = i32::from_be_bytes(*field);
                let near = field.wrapping_add(*random.pick(&[-2, -1, 1, 2, 100]));
                overwrite(bytes, at, &near.to_be_bytes());
            }
        }
        7 => overwrite(bytes, at, &random.next().to_be_bytes()),
        8 => {
            let other = random.pick(others);
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        9 => {
            let len = random.below(MAX_INSERT);
            let inserted = random.bytes(len);
            bytes.splice(at..at, inserted);
        }
        10 => {
            let end = at + random.below(bytes.len() - at);
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece.into_iter().take(1024));
        }
        _ => {
            let end = at + random.below(bytes.len() - at);
            bytes.drain(at..end);
        }
    }
}

/// A request with a changed header, a changed body, or both.
pub fn bad_request(random: &mut Random, requests: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = random.pick(requests).clone();
    match random.below(64) {
        0..4 => overwrite(&mut frame, 0, &random.pick(XIDS).to_be_bytes()),
        4..8 => overwrite(&mut frame, 4, &random.pick(OpCode::ALL).code().to_be_bytes()),
        8 => overwrite(&mut frame, 4, &random.int().to_be_bytes()),
        9 => {
            let len = random.below(200);
            frame = random.bytes(len);
        }
        // Usually only the body is changed, so that the operation's own reader gets it.
        choice => {
            let keep = if choice == 10 { 0 } else { 8.min(frame.len()) };
            let mut body = frame.split_off(keep);
            for _ in 0..=random.below(3) {
                mutate(random, &mut body, requests);
            }
            frame.append(&mut body);
        }
    }
    frame
}

/// A frame, preceded by its length.
pub fn framed(frame: impl AsRef<[u8]>) -> Vec<u8> {
    let frame = frame.as_ref();
    let len = u32::try_from(frame.len()).unwrap().to_be_bytes();
    [&len[..], frame].concat()
}

/// A frame, preceded by a wrong length.
pub fn misframed(random: &mut Random, frame: &[u8]) -> Vec<u8> {
    let own = i32::try_from(frame.len()).unwrap();
    let len = match random.below(4) {
        0 => own + 1,
        1 => own - 1,
        2 => -own,
        _ => *random.pick(ODD_INTS),
    };
    [&len.to_be_bytes()[..], frame].concat()
}
