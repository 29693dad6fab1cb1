//! Reads one log file entry by entry (Java: FileTxnLog.FileTxnIterator.next and Util.readTxnBytes).
//!
//! The reader only reports what the file contains; the iterator and `damage` decide what that means for the
//! history. Entries are returned as slices of the buffer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ByteOrder};
use simd_adler32::Adler32;

use super::HEADER;
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::server::persistence::file_header::FileHeader;
use crate::server::persistence::txn_log::{Damage, TxnLogError};

/// "ZKLG" (Java: FileTxnLog.TXNLOG_MAGIC).
pub(crate) const TXNLOG_MAGIC: i32 = 0x5a4b_4c47;

/// The end mark of an entry.
pub(crate) const END_OF_RECORD: u8 = b'B';

/// The size of checksum and length, in bytes.
pub(crate) const PREFIX: usize = 12;

/// The size of a read, in bytes.
const READ: usize = 256 * 1024;

/// How far the zeros after the last entry are searched for data, in bytes. A group of appends is longer only if
/// it contains single transactions of that size.
const ZEROS_LOOKED_AT: u64 = 4 * 1024 * 1024;

/// The contents at an offset.
#[derive(Debug)]
pub(crate) enum Frame {
    /// An entry with a correct checksum. [`LogReader::slice`] returns its bytes.
    Entry { offset: u64, bytes: Range<usize> },
    /// The end of the file, or zeros.
    End { offset: u64, zeros: bool },
    /// Damaged bytes.
    Bad { offset: u64, damage: Damage },
}

/// The start of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The header of a log file.
    Header,
    /// Fewer bytes than a header.
    Cut,
    /// A different magic number.
    Magic(i32),
}

/// A log file that is read from start to end.
#[derive(Debug)]
pub(crate) struct LogReader {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// The part of the buffer that is not returned yet.
    unread: Range<usize>,
    /// The offset of `unread` in the file.
    offset: u64,
    max_length: usize,
}

impl LogReader {
    /// Opens the file and reads its header.
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<(Self, Start), TxnLogError> {
        let file = File::open(path).map_err(TxnLogError::io("open", path))?;
        let mut reader = Self {
            file,
            path: path.to_owned(),
            buffer: vec![0; READ],
            unread: 0..0,
            offset: 0,
            max_length: limits.max_length(),
        };
        let start = if reader.fill(FileHeader::SIZE)? {
            let mut archive = BinaryInputArchive::new(reader.rest(), limits);
            let magic = FileHeader::deserialize(&mut archive).map_or(0, |header| header.magic);
            reader.consume(FileHeader::SIZE);
            if magic == TXNLOG_MAGIC { Start::Header } else { Start::Magic(magic) }
        } else {
            Start::Cut
        };
        Ok((reader, start))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file that is shorter than a header is empty, all zeros, or the first part of a header.
    pub(crate) fn is_cut_header(&self) -> bool {
        let bytes = self.rest();
        HEADER.to_bytes().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0)
    }

    /// The longest accepted entry, in bytes.
    pub(crate) const fn max_length(&self) -> usize {
        self.max_length
    }

    /// The bytes of the entry that [`next_frame`](Self::next_frame) returned last.
    pub(crate) fn slice(&self, bytes: Range<usize>) -> &[u8] {
        &self.buffer[bytes]
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    fn consume(&mut self, len: usize) {
        self.unread.start += len;
        self.offset += len as u64;
    }

    /// Fills the buffer with at least `wanted` unread bytes. False if the file has fewer.
    fn fill(&mut self, wanted: usize) -> Result<bool, TxnLogError> {
        while self.unread.len() < wanted {
            if self.unread.end == self.buffer.len()
                || self.unread.start + wanted > self.buffer.len()
            {
                self.buffer.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            }
            if wanted > self.buffer.len() {
                // Memory is allocated only if the file is really that long, whatever the length field says.
                let size = self.file.metadata().map_err(TxnLogError::io("read", &self.path))?.len();
                if size.saturating_sub(self.offset) < wanted as u64 {
                    return Ok(false);
                }
                self.buffer.resize(wanted, 0);
            }
            match self.file.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => return Ok(false),
                Ok(len) => self.unread.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TxnLogError::io("read", &self.path)(error)),
            }
        }
        Ok(true)
    }

    /// Reads the next frame. If it is not an entry, the next call returns it again.
    pub(crate) fn next_frame(&mut self) -> Result<Frame, TxnLogError> {
        let offset = self.offset;
        if !self.fill(PREFIX)? {
            return Ok(if self.rest().iter().all(|byte| *byte == 0) {
                Frame::End { offset, zeros: !self.rest().is_empty() }
            } else {
                Frame::Bad { offset, damage: Damage::Cut }
            });
        }
        let (stored, length) = prefix(self.rest());
        if length == 0 && stored == 0 {
            return Ok(Frame::End { offset, zeros: true });
        }
        let len = match usize::try_from(length) {
            Ok(len) if len > 0 && len <= self.max_length => len,
            _ => {
                let damage = Damage::Length { length, limit: self.max_length };
                return Ok(Frame::Bad { offset, damage });
            }
        };
        if !self.fill(PREFIX + len + 1)? {
            return Ok(Frame::Bad { offset, damage: Damage::Cut });
        }
        let start = self.unread.start + PREFIX;
        let bytes = start..start + len;
        let found = self.buffer[bytes.end];
        let computed = checksum(&self.buffer[bytes.clone()]);
        if stored != i64::from(computed) {
            return Ok(Frame::Bad { offset, damage: Damage::Checksum { stored, computed } });
        }
        if found != END_OF_RECORD {
            return Ok(Frame::Bad { offset, damage: Damage::Unterminated { found } });
        }
        self.consume(PREFIX + len + 1);
        Ok(Frame::Entry { offset, bytes })
    }

    /// Whether data follows the zeros at which [`next_frame`](Self::next_frame) ended.
    pub(crate) fn something_behind_zeros(&self) -> Result<bool, TxnLogError> {
        let bytes = self.read_from(self.offset, ZEROS_LOOKED_AT)?;
        Ok(bytes.iter().any(|byte| *byte != 0))
    }

    /// The checksum of `len` bytes from `offset` on. `None` if the file ends before.
    pub(crate) fn checksum_of(&self, offset: u64, len: usize) -> Result<Option<u32>, TxnLogError> {
        let (mut adler, mut from, mut left) = (Adler32::new(), offset, len);
        while left > 0 {
            let piece = self.read_from(from, READ.min(left) as u64)?;
            if piece.is_empty() {
                return Ok(None);
            }
            adler.write(&piece);
            from += piece.len() as u64;
            left -= piece.len();
        }
        Ok(Some(adler.finish()))
    }

    /// Reads at most `limit` bytes from `offset` on.
    pub(crate) fn read_from(&self, offset: u64, limit: u64) -> Result<Vec<u8>, TxnLogError> {
        let mut bytes = Vec::new();
        let read = (&self.file)
            .seek(SeekFrom::Start(offset))
            .and_then(|_| (&self.file).take(limit).read_to_end(&mut bytes))
            // Restore the position to the end of the buffer.
            .and_then(|_| {
                (&self.file).seek(SeekFrom::Start(self.offset + self.unread.len() as u64))
            });
        read.map_err(TxnLogError::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// The Adler-32 checksum of an entry's bytes (Java: makeChecksumAlgorithm).
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut adler = Adler32::new();
    adler.write(bytes);
    adler.finish()
}

/// The checksum and length at the start of an entry.
pub(crate) fn prefix(bytes: &[u8]) -> (i64, i32) {
    (BigEndian::read_i64(&bytes[..8]), BigEndian::read_i32(&bytes[8..PREFIX]))
}
