//! Requests that are serialised once; only the xid and numbers change afterwards (no Java twin).
//!
//! The records of `proto` serialise the requests, so that the protocol is described only once. On the hot path, a
//! request costs a copy and a few stores.

use crate::jute::Record;
use crate::proto::{CreateRequest, GetDataRequest, RequestHeader, SetDataRequest};
use crate::zoo_defs::{OpCode, ids};

/// Bytes of the length before a frame.
pub(crate) const LEN_BYTES: usize = 4;

/// The offset of the xid in a frame, after the length.
const XID_AT: usize = LEN_BYTES;

/// Decimal digits of a key's number in its path.
pub(crate) const KEY_DIGITS: usize = 8;

/// The number of keys that so many digits can distinguish.
pub(crate) const MAX_KEYS: u64 = 100_000_000;
const _: () = assert!(MAX_KEYS.ilog10() as usize == KEY_DIGITS);

/// Decimal digits of a directory's number in the path of a created node.
const DIRECTORY_DIGITS: usize = 5;

/// Accepts every version of a node.
const ANY_VERSION: i32 = -1;

/// The place of a number of fixed width in a request.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    digits: usize,
}

/// One kind of request, for paths that differ only in their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Template {
    /// A `getData` request for the numbered key below `root`.
    pub(crate) fn read(root: &str) -> Self {
        let request = GetDataRequest { path: key_path(root, 0), watch: false };
        Self::of(OpCode::GetData, &request, &request.path, &key_slots(root))
    }

    /// A `setData` request for the numbered key below `root`, for any version.
    pub(crate) fn write(root: &str, value: &[u8]) -> Self {
        let request = SetDataRequest {
            path: key_path(root, 0),
            data: Some(value.to_vec()),
            version: ANY_VERSION,
        };
        Self::of(OpCode::SetData, &request, &request.path, &key_slots(root))
    }

    /// A `create` request for the numbered key below `root`, with an open ACL.
    pub(crate) fn create_key(root: &str, value: &[u8]) -> Self {
        let request = create_request(key_path(root, 0), value);
        Self::of(OpCode::Create, &request, &request.path, &key_slots(root))
    }

    /// A `create` request for a node in a directory, both with numbers: see [`node_path`].
    pub(crate) fn create_node(root: &str, value: &[u8]) -> Self {
        let request = create_request(node_path(root, 0, 0), value);
        let directory = Slot { at: root.len() + 2, digits: DIRECTORY_DIGITS };
        let node = Slot { at: directory.at + DIRECTORY_DIGITS + 2, digits: KEY_DIGITS };
        Self::of(OpCode::Create, &request, &request.path, &[directory, node])
    }

    /// The offsets of `slots` are relative to the path.
    fn of<R: Record>(op: OpCode, request: &R, path: &str, slots: &[Slot]) -> Self {
        let bytes = frame(0, op, request);
        let path_at = bytes
            .windows(path.len())
            .position(|window| window == path.as_bytes())
            .unwrap_or_default();
        assert!(path_at > XID_AT, "the request holds its path");
        let slots = slots.iter().map(|slot| Slot { at: path_at + slot.at, ..*slot }).collect();
        Self { bytes, slots }
    }

    /// Appends the request with this xid. The `numbers` are written into the path, in order.
    pub(crate) fn append<const N: usize>(&self, xid: i32, numbers: [u64; N], out: &mut Vec<u8>) {
        debug_assert_eq!(N, self.slots.len());
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let request = &mut out[start..];
        request[XID_AT..XID_AT + 4].copy_from_slice(&xid.to_be_bytes());
        for (slot, number) in self.slots.iter().zip(numbers) {
            write_decimal(&mut request[slot.at..slot.at + slot.digits], number);
        }
    }

    /// The length of one request in bytes, including its length field.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A request as it is sent over the wire, with its leading length.
pub(crate) fn frame<R: Record>(xid: i32, op: OpCode, request: &R) -> Vec<u8> {
    let mut bytes = vec![0; LEN_BYTES];
    bytes.extend(RequestHeader { xid, r#type: op.code() }.to_bytes());
    bytes.extend(request.to_bytes());
    set_frame_len(&mut bytes);
    bytes
}

/// Writes the length of the content into the first bytes of the frame.
pub(crate) fn set_frame_len(frame: &mut [u8]) {
    let len = u32::try_from(frame.len() - LEN_BYTES).unwrap_or(u32::MAX);
    frame[..LEN_BYTES].copy_from_slice(&len.to_be_bytes());
}

/// A `create` request for a persistent node with an open ACL.
pub(crate) fn create_request(path: String, value: &[u8]) -> CreateRequest {
    CreateRequest { path, data: Some(value.to_vec()), acl: Some(ids::open_acl_unsafe()), flags: 0 }
}

/// The path of the numbered key.
pub(crate) fn key_path(root: &str, key: u64) -> String {
    format!("{root}/k{key:0KEY_DIGITS$}")
}

/// The path of the numbered directory.
pub(crate) fn directory_path(root: &str, directory: u64) -> String {
    format!("{root}/d{directory:0DIRECTORY_DIGITS$}")
}

/// The path of the numbered node in a directory.
pub(crate) fn node_path(root: &str, directory: u64, node: u64) -> String {
    format!("{}/n{node:0KEY_DIGITS$}", directory_path(root, directory))
}

fn key_slots(root: &str) -> [Slot; 1] {
    [Slot { at: root.len() + 2, digits: KEY_DIGITS }]
}

/// Fills `digits` with the last decimal digits of `number`.
fn write_decimal(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped<const N: usize>(template: &Template, xid: i32, numbers: [u64; N]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        template.append(xid, numbers, &mut out);
        assert_eq!(out.len(), 6 + template.len());
        out.split_off(6)
    }

    #[test]
    fn a_stamped_template_is_the_request_that_the_records_would_write() {
        let path = "/b/k00001234".to_owned();
        assert_eq!(
            stamped(&Template::read("/b"), 77, [1234]),
            frame(77, OpCode::GetData, &GetDataRequest { path: path.clone(), watch: false })
        );
        let data = Some(vec![5; 100]);
        assert_eq!(
            stamped(&Template::write("/b", &[5; 100]), -3, [1234]),
            frame(-3, OpCode::SetData, &SetDataRequest { path: path.clone(), data, version: -1 })
        );
        assert_eq!(
            stamped(&Template::create_key("/b", b"v"), 1, [1234]),
            frame(1, OpCode::Create, &create_request(path, b"v"))
        );
    }

    #[test]
    fn a_created_node_stands_in_its_numbered_directory() {
        assert_eq!(
            stamped(&Template::create_node("/some/root", b""), 9, [12, 345_678]),
            frame(9, OpCode::Create, &create_request("/some/root/d00012/n00345678".into(), b""))
        );
    }

    #[test]
    fn the_length_in_front_counts_what_follows_it() {
        let bytes = stamped(&Template::read("/b"), 1, [0]);
        assert_eq!(bytes[..4], [0, 0, 0, 8 + 4 + 12 + 1]);
        assert_eq!(bytes.len(), 4 + 25);
    }
}
