//! Reads records (Java: org/apache/jute/BinaryInputArchive.java).
//!
//! A length is checked before memory is reserved for it, and a vector grows only as its elements arrive. A
//! length field alone therefore costs no memory. Java's writer encodes a supplementary character as two 3-byte
//! surrogates. This reader decodes them to that character; Java's reader turns them into replacement characters
//! and loses data.

use std::borrow::Cow;
use std::io::{self, Read};

use byteorder::{BigEndian, ReadBytesExt};

use super::JuteField;

/// Why the bytes are not the expected record.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The input ends inside the record (Java: EOFException).
    #[error("the input ends inside {what}")]
    EndOfInput {
        /// The field or kind of value that is cut off.
        what: &'static str,
    },
    /// A length is negative or above the limit (Java: IOException "Unreasonable length").
    #[error("Unreasonable length = {len} of {what} (the limit is {limit}, from jute.maxbuffer)")]
    UnreasonableLength {
        /// The field.
        what: &'static str,
        /// The length in the input.
        len: i32,
        /// The longest allowed length, in bytes.
        limit: usize,
    },
    /// A value is null where null is not allowed.
    #[error("{tag} is null")]
    Null {
        /// The field.
        tag: &'static str,
    },
    /// Reading from the source failed.
    #[error("cannot read: {0}")]
    Io(#[source] io::Error),
}

impl InputError {
    /// Whether the input ended early (Java: EOFException).
    #[must_use]
    pub const fn is_end_of_input(&self) -> bool {
        matches!(self, Self::EndOfInput { .. })
    }

    fn from_io(error: io::Error, what: &'static str) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::EndOfInput { what }
        } else {
            Self::Io(error)
        }
    }
}

/// Java's default of `jute.maxbuffer`, in bytes.
pub(crate) const DEFAULT_MAX_BUFFER: usize = 0xf_ffff;

/// The smallest extra size, in bytes.
const MIN_EXTRA_SIZE: usize = 1024;

/// The longest accepted length field (Java: jute.maxbuffer and zookeeper.jute.maxbuffer.extrasize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `jute.maxbuffer`, in bytes: the longest client frame.
    pub max_buffer: usize,
    /// How much longer than that a buffer or text inside a record may be, in bytes.
    pub extra_size: usize,
}

impl Limits {
    /// Creates limits from both sizes in bytes. As in Java, an extra size below 1024 is raised to 1024.
    #[must_use]
    pub fn new(max_buffer: usize, extra_size: usize) -> Self {
        Self { max_buffer, extra_size: extra_size.max(MIN_EXTRA_SIZE) }
    }

    /// The longest buffer or text, in bytes. The sum is capped at Java's largest int.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_buffer.saturating_add(self.extra_size).min(i32::MAX as usize)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_BUFFER, DEFAULT_MAX_BUFFER)
    }
}

/// The largest amount of memory that is reserved at once for a claimed length.
const CHUNK: usize = 64 * 1024;

/// Reads values and records from `R`.
#[derive(Debug)]
pub struct BinaryInputArchive<R> {
    input: R,
    max_length: usize,
    has_null_vector: bool,
}

impl<R: Read> BinaryInputArchive<R> {
    /// Creates an archive over `input` that accepts no length above `limits`.
    pub fn new(input: R, limits: Limits) -> Self {
        Self { input, max_length: limits.max_length(), has_null_vector: false }
    }

    /// Whether a null vector was read as an empty one.
    #[must_use]
    pub const fn has_null_vector(&self) -> bool {
        self.has_null_vector
    }

    pub(super) const fn note_null_vector(&mut self) {
        self.has_null_vector = true;
    }

    /// The input, for reading bytes that are not jute.
    pub fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Consumes the archive and returns the input.
    pub fn into_input(self) -> R {
        self.input
    }

    /// A fixed number of bytes, so that several adjacent numbers can be read at once.
    ///
    /// # Errors
    /// When the input has ended or failed.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], InputError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| InputError::from_io(error, what))?;
        Ok(bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// When the input has ended or failed.
    pub fn read_byte(&mut self) -> Result<u8, InputError> {
        Ok(self.array::<1>("a byte")?[0])
    }

    /// One byte; every value except zero is true.
    ///
    /// # Errors
    /// When the input has ended or failed.
    pub fn read_bool(&mut self) -> Result<bool, InputError> {
        Ok(self.array::<1>("a boolean")?[0] != 0)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// When the input has ended or failed.
    pub fn read_int(&mut self) -> Result<i32, InputError> {
        self.input.read_i32::<BigEndian>().map_err(|error| InputError::from_io(error, "an int"))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// When the input has ended or failed.
    pub fn read_long(&mut self) -> Result<i64, InputError> {
        self.input.read_i64::<BigEndian>().map_err(|error| InputError::from_io(error, "a long"))
    }

    /// A length field followed by that many bytes; `None` for length -1.
    ///
    /// # Errors
    /// When the input has ended or failed, or the length is negative or above the limit.
    pub fn read_buffer(&mut self, tag: &'static str) -> Result<Option<Vec<u8>>, InputError> {
        self.read_buffer_with_room(tag, 0)
    }

    /// As [`read_buffer`](Self::read_buffer), with spare capacity for `room` more bytes.
    ///
    /// # Errors
    /// As [`read_buffer`](Self::read_buffer).
    pub fn read_buffer_with_room(
        &mut self,
        tag: &'static str,
        room: usize,
    ) -> Result<Option<Vec<u8>>, InputError> {
        let mut bytes = Vec::new();
        Ok(self.read_buffer_into(tag, &mut bytes, room)?.then_some(bytes))
    }

    /// Replaces the contents of `bytes` with a buffer and spare capacity for `room` more bytes; false for null.
    ///
    /// # Errors
    /// As [`read_buffer`](Self::read_buffer).
    pub fn read_buffer_into(
        &mut self,
        tag: &'static str,
        bytes: &mut Vec<u8>,
        room: usize,
    ) -> Result<bool, InputError> {
        bytes.clear();
        let len = self.read_int()?;
        if len == -1 {
            return Ok(false);
        }
        let wanted = match usize::try_from(len) {
            Ok(wanted) if wanted <= self.max_length => wanted,
            _ => {
                let limit = self.max_length;
                return Err(InputError::UnreasonableLength { what: tag, len, limit });
            }
        };
        if wanted <= CHUNK {
            bytes.reserve_exact(wanted + room);
            bytes.resize(wanted, 0);
            let read = self.input.read_exact(bytes);
            read.map_err(|error| InputError::from_io(error, tag))?;
            return Ok(true);
        }
        bytes.reserve_exact(CHUNK);
        let read = self.input.by_ref().take(wanted as u64).read_to_end(bytes);
        if read.map_err(|error| InputError::from_io(error, tag))? < wanted {
            return Err(InputError::EndOfInput { what: tag });
        }
        bytes.shrink_to(wanted + room);
        Ok(true)
    }

    /// A length field followed by text of that many bytes; `None` for length -1. Bytes that are not text become
    /// U+FFFD.
    ///
    /// # Errors
    /// As [`read_buffer`](Self::read_buffer).
    pub fn read_string(&mut self, tag: &'static str) -> Result<Option<String>, InputError> {
        Ok(self.read_buffer(tag)?.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => decode_text(error.as_bytes()).into_owned(),
        }))
    }

    /// A count followed by that many elements; `None` for count -1. Any other negative count is an empty
    /// vector, as in Java.
    ///
    /// # Errors
    /// When an element cannot be read.
    pub fn read_vector<T: JuteField>(
        &mut self,
        tag: &'static str,
    ) -> Result<Option<Vec<T>>, InputError> {
        let count = self.read_int()?;
        if count == -1 {
            return Ok(None);
        }
        // The count reserves no memory: the vector grows with the elements that are read.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(T::read(self, tag)?);
        }
        Ok(Some(elements))
    }
}

/// Decodes Java's text: UTF-8, with supplementary characters also as two 3-byte surrogates. Other bytes become
/// U+FFFD.
#[must_use]
pub(crate) fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, bad) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let malformed = error.error_len().unwrap_or(bad.len());
                let (decoded, used) =
                    decode_surrogates(bad).unwrap_or((char::REPLACEMENT_CHARACTER, malformed));
                text.push(decoded);
                rest = &bad[used..];
            }
        }
    }
    Cow::Owned(text)
}

/// Decodes surrogates in 3-byte form at the start of `bytes`. Returns the character and the number of bytes it
/// takes.
fn decode_surrogates(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |bytes: &[u8]| match bytes {
        [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f))
        }
        _ => None,
    };
    let high = unit(bytes)?;
    match unit(&bytes[3..]) {
        Some(low) if high < 0xdc00 && low >= 0xdc00 => {
            char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 6))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(bytes: &[u8]) -> BinaryInputArchive<&[u8]> {
        BinaryInputArchive::new(bytes, Limits::new(16, 0))
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_anything_is_read() {
        let error = archive(&[0x7f, 0xff, 0xff, 0xff]).read_buffer("data").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Unreasonable length = 2147483647 of data (the limit is 1040, from jute.maxbuffer)"
        );
        assert!(archive(&[0xff, 0xff, 0xff, 0xfe]).read_buffer("data").is_err());
    }

    #[test]
    fn a_vector_count_alone_reserves_nothing_and_ends_with_the_input() {
        let error = archive(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]).read_vector::<i32>("v");
        assert!(error.unwrap_err().is_end_of_input());
        assert_eq!(
            archive(&[0xff, 0xff, 0xff, 0xf0]).read_vector::<i32>("v").unwrap(),
            Some(vec![])
        );
        assert_eq!(archive(&[0xff; 4]).read_vector::<i32>("v").unwrap(), None);
    }

    #[test]
    fn a_long_buffer_that_ends_early_is_an_early_end() {
        let mut bytes = vec![0, 2, 0, 0];
        bytes.extend(vec![7; 100_000]);
        let mut archive = BinaryInputArchive::new(&bytes[..], Limits::default());
        assert!(archive.read_buffer("data").unwrap_err().is_end_of_input());
    }

    #[test]
    fn javas_two_unit_form_and_plain_utf8_are_the_same_character() {
        assert_eq!(decode_text("a\u{1f600}b".as_bytes()), "a\u{1f600}b");
        assert_eq!(decode_text(b"a\xed\xa0\xbd\xed\xb8\x80b"), "a\u{1f600}b");
    }

    #[test]
    fn what_is_not_text_becomes_the_replacement_character() {
        for (bytes, text) in [
            (&b"a\xffb"[..], "a\u{fffd}b"),
            (b"\xed\xa0\xbd", "\u{fffd}"),
            (b"\xed\xa0\xbdxyz", "\u{fffd}xyz"),
            (b"x\xe2\x82", "x\u{fffd}"),
            (b"\xed\xb8\x80\xed\xa0\xbd", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decode_text(bytes), text, "{bytes:x?}");
        }
    }
}
