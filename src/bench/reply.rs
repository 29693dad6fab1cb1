//! Finds replies in the bytes that were received, and checks them (no Java twin).
//!
//! This module builds no records: on the hot path, a reply is three fixed fields and a body of known length.

use crate::zoo_defs::OpCode;

use super::error::{BenchError, refusal};
use super::template::LEN_BYTES;

/// xid, zxid, err.
const HEADER_BYTES: usize = 16;

/// A serialised `Stat`.
pub(crate) const STAT_BYTES: usize = 68;

/// The longest reply in a measurement. A larger length means that the stream is corrupt.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// xid of a watch event.
pub(crate) const EVENT_XID: i32 = -1;

/// xid of a ping and of its answer.
pub(crate) const PING_XID: i32 = -2;

/// A reply without its leading length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) err: i32,
    pub(crate) body: &'a [u8],
}

/// The content of the first frame, without its length, if it is complete.
///
/// # Errors
/// If the length is invalid.
pub(crate) fn next_frame_bytes(bytes: &[u8]) -> Result<Option<&[u8]>, BenchError> {
    let Some((len, rest)) = bytes.split_first_chunk::<LEN_BYTES>() else { return Ok(None) };
    let len = u32::from_be_bytes(*len) as usize;
    if len > MAX_FRAME_BYTES {
        return Err(BenchError::Protocol(format!("a frame of {len} bytes")));
    }
    Ok(rest.get(..len))
}

/// The first reply and the number of bytes that it takes, if it is complete.
///
/// # Errors
/// If the length is invalid.
#[inline]
pub(crate) fn next_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BenchError> {
    let Some(content) = next_frame_bytes(bytes)? else { return Ok(None) };
    let taken = LEN_BYTES + content.len();
    let Some((header, body)) = content.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BenchError::Protocol(format!("a frame of {} bytes", content.len())));
    };
    let [x0, x1, x2, x3, z0, z1, z2, z3, z4, z5, z6, z7, e0, e1, e2, e3] = *header;
    let frame = Frame {
        xid: i32::from_be_bytes([x0, x1, x2, x3]),
        zxid: i64::from_be_bytes([z0, z1, z2, z3, z4, z5, z6, z7]),
        err: i32::from_be_bytes([e0, e1, e2, e3]),
        body,
    };
    Ok(Some((frame, taken)))
}

/// What the replies to one kind of request must look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) op: OpCode,
    body_bytes: usize,
    /// The expected length field at the start of the body, if there is one.
    first_len: Option<u32>,
    /// An error that counts as success, when the set-up finds its work already done.
    pub(crate) tolerated: Option<i32>,
}

impl Expected {
    /// A reply with the node's data, of that length, and its stat.
    pub(crate) fn read(value_bytes: usize) -> Self {
        Self {
            op: OpCode::GetData,
            body_bytes: LEN_BYTES + value_bytes + STAT_BYTES,
            first_len: u32::try_from(value_bytes).ok(),
            tolerated: None,
        }
    }

    /// A reply with the node's stat.
    pub(crate) fn write() -> Self {
        Self { op: OpCode::SetData, body_bytes: STAT_BYTES, first_len: None, tolerated: None }
    }

    /// A reply with the path, of that length.
    pub(crate) fn create(path_bytes: usize) -> Self {
        Self {
            op: OpCode::Create,
            body_bytes: LEN_BYTES + path_bytes,
            first_len: u32::try_from(path_bytes).ok(),
            tolerated: None,
        }
    }

    /// Compares a reply with the expected one.
    #[inline]
    pub(crate) fn judge(&self, frame: &Frame<'_>) -> Verdict {
        if frame.err != 0 {
            return if self.tolerated == Some(frame.err) {
                Verdict::Tolerated
            } else {
                Verdict::Refused
            };
        }
        let length_fits = match (self.first_len, frame.body.first_chunk::<LEN_BYTES>()) {
            (None, _) => true,
            (Some(len), Some(found)) => len.to_be_bytes() == *found,
            (Some(_), None) => false,
        };
        if frame.body.len() == self.body_bytes && length_fits {
            Verdict::Good
        } else {
            Verdict::WrongBody
        }
    }

    /// Describes the failure for a report.
    pub(crate) fn describe(&self, frame: &Frame<'_>) -> String {
        let op = self.op.java_name();
        if frame.err != 0 {
            return format!("{op} is refused: {}", refusal(frame.err));
        }
        let (found, wanted) = (frame.body.len(), self.body_bytes);
        format!("{op} is answered with a body of {found} bytes where {wanted} belong")
    }
}

/// The verdict on a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The reply is correct.
    Good,
    /// An error that the caller expects.
    Tolerated,
    /// Another error.
    Refused,
    /// No error, but not the expected data.
    WrongBody,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply as it is sent over the wire.
    fn wire(xid: i32, zxid: i64, err: i32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(xid.to_be_bytes());
        bytes.extend(zxid.to_be_bytes());
        bytes.extend(err.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_frame_is_found_only_when_it_is_whole() {
        let mut bytes = wire(7, 0x1_0000_0002, -101, b"body");
        let whole = bytes.len();
        bytes.extend(wire(8, 3, 0, b""));
        for len in 0..whole {
            assert_eq!(next_frame(&bytes[..len]).unwrap(), None, "{len} bytes");
        }
        let (frame, taken) = next_frame(&bytes).unwrap().unwrap();
        assert_eq!(frame, Frame { xid: 7, zxid: 0x1_0000_0002, err: -101, body: b"body" });
        assert_eq!(taken, whole);
        assert_eq!(next_frame(&bytes[taken..]).unwrap().unwrap().0.xid, 8);
    }

    #[test]
    fn lengths_that_cannot_be_are_errors() {
        for len in [0_u32, 15, u32::MAX] {
            let mut bytes = len.to_be_bytes().to_vec();
            bytes.extend([0; 32]);
            assert!(next_frame(&bytes).is_err(), "{len}");
        }
    }

    #[test]
    fn a_read_is_good_only_with_data_of_the_right_length() {
        let body = |claimed: u32, len: usize| {
            let mut body = claimed.to_be_bytes().to_vec();
            body.resize(LEN_BYTES + len + STAT_BYTES, 0);
            body
        };
        let expected = Expected::read(100);
        for (err, body, verdict) in [
            (0, body(100, 100), Verdict::Good),
            (0, body(99, 100), Verdict::WrongBody),
            (0, body(100, 99), Verdict::WrongBody),
            (0, Vec::new(), Verdict::WrongBody),
            (-101, Vec::new(), Verdict::Refused),
        ] {
            let frame = Frame { xid: 1, zxid: 1, err, body: &body };
            assert_eq!(expected.judge(&frame), verdict, "err {err}, {} bytes", body.len());
        }
    }

    #[test]
    fn only_the_tolerated_error_counts_as_success() {
        let expected = Expected { tolerated: Some(-110), ..Expected::create(5) };
        let refused = |err| expected.judge(&Frame { xid: 1, zxid: 1, err, body: b"" });
        assert_eq!(refused(-110), Verdict::Tolerated);
        assert_eq!(refused(-101), Verdict::Refused);
        let frame = Frame { xid: 1, zxid: 1, err: -101, body: b"" };
        assert_eq!(expected.describe(&frame), "create is refused: KeeperErrorCode = NONODE");
    }
}
