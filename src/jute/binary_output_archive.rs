//! Writes records (Java: org/apache/jute/BinaryOutputArchive.java).
//!
//! It writes into a buffer that the owner keeps and reuses. That cannot fail, so no function returns an error.

#![expect(
    clippy::cast_possible_truncation,
    reason = "jute's lengths and UTF-8 units are narrow by format"
)]

use byteorder::{BigEndian, ByteOrder};

use super::OutputArchive;

/// Appends values and records to a buffer.
#[derive(Debug)]
pub struct BinaryOutputArchive<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> BinaryOutputArchive<'a> {
    /// An archive that appends to `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The buffer, for writing bytes that are not jute.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        self.bytes
    }

    /// Lengths are Java ints. The server cannot receive anything longer, so it never has to write it.
    fn write_len(&mut self, len: usize) {
        debug_assert!(i32::try_from(len).is_ok(), "a length of {len} does not fit jute's int");
        self.bytes.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

/// Length -1, which stands for null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

impl OutputArchive for BinaryOutputArchive<'_> {
    fn write_byte(&mut self, value: u8, _tag: &str) {
        self.bytes.push(value);
    }

    fn write_bool(&mut self, value: bool, _tag: &str) {
        self.bytes.push(u8::from(value));
    }

    fn write_int(&mut self, value: i32, _tag: &str) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn write_long(&mut self, value: i64, _tag: &str) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn write_string(&mut self, value: Option<&str>, _tag: &str) {
        let Some(text) = value else { return self.bytes.extend_from_slice(&NULL) };
        // Java encodes each UTF-16 unit separately, so only characters above U+FFFF (four bytes in UTF-8)
        // differ.
        if text.bytes().all(|byte| byte < 0xf0) {
            self.write_len(text.len());
            self.bytes.extend_from_slice(text.as_bytes());
            return;
        }
        let len_at = self.bytes.len();
        self.bytes.extend_from_slice(&NULL);
        for character in text.chars() {
            let mut utf8 = [0; 4];
            let mut utf16 = [0; 2];
            match character.encode_utf16(&mut utf16) {
                [high, low] => {
                    for unit in [*high, *low] {
                        self.bytes.extend_from_slice(&[
                            0xe0 | (unit >> 12) as u8,
                            0x80 | (unit >> 6 & 0x3f) as u8,
                            0x80 | (unit & 0x3f) as u8,
                        ]);
                    }
                }
                _ => self.bytes.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes()),
            }
        }
        let len = (self.bytes.len() - len_at - NULL.len()) as u32;
        BigEndian::write_u32(&mut self.bytes[len_at..len_at + NULL.len()], len);
    }

    fn write_buffer(&mut self, value: Option<&[u8]>, _tag: &str) {
        match value {
            Some(bytes) => {
                self.write_len(bytes.len());
                self.bytes.extend_from_slice(bytes);
            }
            None => self.bytes.extend_from_slice(&NULL),
        }
    }

    fn start_record(&mut self, _tag: &str) {}

    fn end_record(&mut self, _tag: &str) {}

    fn start_vector(&mut self, len: Option<usize>, _tag: &str) {
        match len {
            Some(len) => self.write_len(len),
            None => self.bytes.extend_from_slice(&NULL),
        }
    }

    fn end_vector(&mut self, _tag: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supplementary_character_is_written_as_two_units() {
        let mut bytes = Vec::new();
        BinaryOutputArchive::new(&mut bytes).write_string(Some("a\u{1f600}\u{20ac}"), "t");
        assert_eq!(
            bytes,
            [0, 0, 0, 10, b'a', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0xe2, 0x82, 0xac]
        );
    }

    #[test]
    fn null_and_empty_are_different() {
        let mut bytes = Vec::new();
        let mut archive = BinaryOutputArchive::new(&mut bytes);
        archive.write_buffer(None, "t");
        archive.write_buffer(Some(&[]), "t");
        archive.write_string(None, "t");
        archive.write_string(Some("\0"), "t");
        assert_eq!(
            bytes,
            [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0]
        );
    }
}
