//! Reads transactions across log files (Java: FileTxnLog.FileTxnIterator).
//!
//! A transaction is decoded only when it is asked for, so a skipped one only costs its checksum. At damaged
//! bytes it differs from Java; see `damage`. Java continues with the next file wherever an end mark is missing,
//! which can leave a gap in the history. Here the next file must continue where the torn file ends.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use log::{debug, error, warn};

use super::damage;
use super::log_reader::{Frame, LogReader, PREFIX, Start, prefix};
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, Record};
use crate::server::persistence::txn_log::{Behind, Damage, TxnLogError};
use crate::server::persistence::util::{
    LOG_FILE_PREFIX, NamedFile, make_log_name, sorted_data_dir,
};
use crate::server::util::serialize_utils::{TxnFormat, TxnLogEntry, deserialize_txn};
use crate::txn::TxnHeader;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnLog";

/// How damaged bytes at the end of the last file are interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailCheck {
    /// For recovery, when nobody writes. A torn write is reported and any other damage is an error. A last file
    /// without a header is deleted.
    Recovery,
    /// Another thread may be appending. The damaged bytes are the end of the log.
    Live,
}

/// An interrupted write at the end of the last file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// The end of the intact entries, in bytes.
    pub offset: u64,
    /// The number of bytes after that.
    pub bytes: u64,
}

/// An iterator that is positioned at a transaction and moves forward.
#[derive(Debug)]
pub struct FileTxnIterator {
    /// The files that are not opened yet, in reverse order.
    files: Vec<NamedFile>,
    /// The current file.
    reader: Option<LogReader>,
    current: Option<Current>,
    /// The zxid of the last transaction that the iterator has passed.
    last_good: Option<Zxid>,
    wanted: Zxid,
    check: TailCheck,
    format: TxnFormat,
    torn_tail: Option<TornTail>,
}

#[derive(Debug)]
struct Current {
    header: TxnHeader,
    offset: u64,
    bytes: Range<usize>,
}

/// The file that may contain the first transaction from `zxid` on, and all later files, in order
/// (Java: getLogFiles). A name has nothing after its zxid. Java also reads `log.1.bak` and what the toolkit writes.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn log_files(directory: &Path, zxid: Zxid) -> Result<Vec<NamedFile>, TxnLogError> {
    Ok(list(directory, zxid)?.0)
}

/// The log files, and in the same range those that have something after the zxid in their names.
fn list(directory: &Path, zxid: Zxid) -> Result<(Vec<NamedFile>, Vec<NamedFile>), TxnLogError> {
    let all = sorted_data_dir(directory, LOG_FILE_PREFIX)
        .map_err(TxnLogError::io("list the log files in", directory))?;
    let (mut files, mut strays): (Vec<_>, Vec<_>) = all.into_iter().partition(|file| {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.split('.').count() == 2)
    });
    // Several names can have the same zxid, such as log.a and log.A.
    if let Some(first) = files.iter().map(|file| file.zxid).filter(|first| *first <= zxid).max() {
        files.retain(|file| file.zxid >= first);
        strays.retain(|file| file.zxid >= first);
    }
    Ok((files, strays))
}

/// Refuses a directory with a file that Java would read as a part of the log from `zxid` on, and that is not read here,
/// unless there is a log file of the same zxid.
///
/// # Errors
/// When there is such a file, or the directory cannot be read.
pub(crate) fn check_names(directory: &Path, zxid: Zxid) -> Result<(), TxnLogError> {
    let (files, strays) = list(directory, zxid)?;
    for stray in strays {
        let name = make_log_name(stray.zxid);
        if !files.iter().any(|file| file.zxid == stray.zxid) {
            return Err(TxnLogError::StrayName { path: stray.path, name });
        }
        warn!(target: LOG, "{} is not read, because {name} is there", stray.path.display());
    }
    Ok(())
}

impl FileTxnIterator {
    /// Opens an iterator at the first transaction from `zxid` on (Java: init). Without `fast_forward`, it starts at the
    /// beginning of the file that may contain it.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn open(
        directory: &Path,
        zxid: Zxid,
        fast_forward: bool,
        check: TailCheck,
        format: TxnFormat,
    ) -> Result<Self, TxnLogError> {
        let mut files = log_files(directory, zxid)?;
        files.reverse();
        let mut iterator = Self::over(files, zxid, check, format);
        if iterator.open_next()? {
            while iterator.advance()? && fast_forward && iterator.zxid().is_some_and(|at| at < zxid)
            {
            }
        }
        Ok(iterator)
    }

    /// Opens an iterator over a single file, for [`TailCheck::Recovery`].
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub(super) fn open_file(file: NamedFile, format: TxnFormat) -> Result<Self, TxnLogError> {
        let zxid = file.zxid;
        let mut iterator = Self::over(vec![file], zxid, TailCheck::Recovery, format);
        if iterator.open_next()? {
            iterator.advance()?;
        }
        Ok(iterator)
    }

    const fn over(
        files: Vec<NamedFile>,
        wanted: Zxid,
        check: TailCheck,
        format: TxnFormat,
    ) -> Self {
        Self {
            files,
            reader: None,
            current: None,
            last_good: None,
            wanted,
            check,
            format,
            torn_tail: None,
        }
    }

    /// The header of the current transaction; `None` after the last one.
    #[must_use]
    pub fn header(&self) -> Option<&TxnHeader> {
        self.current.as_ref().map(|current| &current.header)
    }

    fn zxid(&self) -> Option<Zxid> {
        self.header().map(|header| header.zxid)
    }

    /// The bytes of the current transaction as stored in the log: header, record and digest. Empty after the
    /// last one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match (&self.reader, &self.current) {
            (Some(reader), Some(current)) => reader.slice(current.bytes.clone()),
            _ => &[],
        }
    }

    /// Decodes the current transaction.
    ///
    /// # Errors
    /// When the bytes are not a transaction, or there is no current transaction.
    pub fn entry(&self) -> Result<TxnLogEntry, TxnLogError> {
        deserialize_txn(self.bytes(), &self.format).map_err(|reason| self.undecodable(&reason))
    }

    /// The current file, and the offset of the current transaction in it.
    #[must_use]
    pub fn place(&self) -> Option<(&Path, u64)> {
        let reader = self.reader.as_ref()?;
        Some((reader.path(), self.current.as_ref()?.offset))
    }

    /// The offset where the current transaction ends in its file, in bytes.
    pub(super) fn end(&self) -> u64 {
        let current = self.current.as_ref();
        current.map_or(0, |at| at.offset + (PREFIX + at.bytes.len() + 1) as u64)
    }

    /// The interrupted write after the last transaction, once [`advance`](Self::advance) has returned false.
    #[must_use]
    pub const fn torn_tail(&self) -> Option<&TornTail> {
        self.torn_tail.as_ref()
    }

    /// The total size of the files that are not opened yet, in bytes. As in Java, it excludes the current file.
    #[must_use]
    pub fn storage_size(&self) -> u64 {
        let sizes = self.files.iter().filter_map(|file| fs::metadata(&file.path).ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// Moves to the next transaction; false if there is none (Java: next).
    ///
    /// # Errors
    /// When a file is unreadable or damaged.
    pub fn advance(&mut self) -> Result<bool, TxnLogError> {
        if let Some(current) = self.current.take() {
            self.last_good = Some(current.header.zxid);
        }
        while let Some(reader) = &mut self.reader {
            let live_end = self.files.is_empty() && self.check == TailCheck::Live;
            match reader.next_frame()? {
                Frame::Entry { offset, bytes } => return self.stand_at(offset, bytes),
                Frame::End { offset, zeros } => {
                    if zeros && !live_end && reader.something_behind_zeros()? {
                        self.end_at_damage(offset, Damage::Hole)?;
                    }
                }
                Frame::Bad { offset, damage } => self.end_at_damage(offset, damage)?,
            }
            if !self.open_next()? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn stand_at(&mut self, offset: u64, bytes: Range<usize>) -> Result<bool, TxnLogError> {
        let Some(reader) = &self.reader else { return Ok(false) };
        let mut archive = BinaryInputArchive::new(reader.slice(bytes.clone()), self.format.limits);
        let header = TxnHeader::deserialize(&mut archive);
        match header {
            Ok(header) => {
                self.current = Some(Current { header, offset, bytes });
                Ok(true)
            }
            Err(reason) => {
                let path = reader.path().to_owned();
                let damage = Damage::Undecodable { reason: reason.to_string() };
                Err(self.corrupt(path, offset, damage, Behind::NothingUnfinished))
            }
        }
    }

    fn undecodable(&self, reason: &dyn std::fmt::Display) -> TxnLogError {
        let (path, offset) = self.place().unwrap_or((Path::new("the end of the log"), 0));
        let damage = Damage::Undecodable { reason: reason.to_string() };
        self.corrupt(path.to_owned(), offset, damage, Behind::NothingUnfinished)
    }

    fn corrupt(&self, path: PathBuf, offset: u64, damage: Damage, behind: Behind) -> TxnLogError {
        let last_good = self.last_good.unwrap_or(Zxid::NONE);
        TxnLogError::CorruptEntry { path, offset, damage, behind, last_good }
    }

    /// Ends the file at damaged bytes. Fails unless they are the rest of an interrupted write.
    fn end_at_damage(&mut self, offset: u64, damage: Damage) -> Result<(), TxnLogError> {
        let Some(reader) = &self.reader else { return Ok(()) };
        let path = reader.path();
        if self.files.is_empty() && self.check == TailCheck::Live {
            debug!(target: LOG, "{}: the log ends at offset {offset}", path.display());
            return Ok(());
        }
        let rest = reader.read_from(offset, damage::searched(reader.max_length()))?;
        check_limit(reader, offset, &damage, &rest)?;
        let behind = match damage::judge(&rest, offset, &damage, reader.max_length()) {
            None => find_far_entry(reader, offset, rest.len())?,
            found => found,
        };
        if let Some(behind) = behind {
            return Err(self.corrupt(path.to_owned(), offset, damage, behind));
        }
        error!(target: LOG, "Last transaction was partial.");
        warn!(
            target: LOG,
            "{}: the entry at offset {offset} {damage}: the write of it was cut off, the file ends there",
            path.display()
        );
        let path = path.to_owned();
        if self.files.is_empty() {
            self.torn_tail = Some(TornTail { path, offset, bytes: rest.len() as u64 });
            return Ok(());
        }
        self.check_next_file(path, offset, damage)
    }

    /// Checks that the next file continues where a torn file ends, or that no wanted transaction lies in
    /// between.
    fn check_next_file(
        &self,
        path: PathBuf,
        offset: u64,
        damage: Damage,
    ) -> Result<(), TxnLogError> {
        let Some(next) = self.files.last().map(|file| file.zxid) else { return Ok(()) };
        let expected = self.last_good.map_or(self.wanted, Zxid::next).max(self.wanted);
        if next > expected && next.epoch() == expected.epoch() {
            let behind = Behind::Gap { expected, next };
            return Err(self.corrupt(path, offset, damage, behind));
        }
        Ok(())
    }

    /// Opens the next file that has a header; false if there is none (Java: goToNextLog).
    fn open_next(&mut self) -> Result<bool, TxnLogError> {
        self.reader = None;
        while let Some(file) = self.files.pop() {
            debug!(target: LOG, "Created new input stream: {}", file.path.display());
            let (reader, start) = LogReader::open(&file.path, self.format.limits)?;
            let unwritten = match start {
                Start::Header => {
                    self.reader = Some(reader);
                    return Ok(true);
                }
                Start::Cut => reader.is_cut_header(),
                Start::Magic(0) if self.files.is_empty() => is_all_zeros(&reader)?,
                Start::Magic(_) => false,
            };
            match start {
                Start::Magic(found) if !unwritten => {
                    return Err(TxnLogError::InvalidMagic { path: file.path, found });
                }
                Start::Cut if !unwritten => {
                    return Err(TxnLogError::NoHeader { path: file.path });
                }
                _ if self.files.is_empty() => {
                    if self.check == TailCheck::Recovery {
                        delete_empty_tail(&file.path)?;
                    }
                }
                _ => self.check_next_file(file.path, 0, Damage::Cut)?,
            }
        }
        Ok(false)
    }
}

/// Searches the rest of the file for a complete entry. [`damage::judge`] has seen the first `seen` bytes from `offset`
/// on. Entries that were acknowledged must not be cut off because the damage before them is long.
fn find_far_entry(
    reader: &LogReader,
    offset: u64,
    seen: usize,
) -> Result<Option<Behind>, TxnLogError> {
    let max_length = reader.max_length();
    let mut seen = seen as u64;
    let mut from = offset;
    while seen == damage::searched(max_length) {
        // An entry may start in one window and end in the next.
        from += seen - damage::longest_entry(max_length);
        let rest = reader.read_from(from, damage::searched(max_length))?;
        if let Some(at) = damage::find_entry(&rest, max_length) {
            return Ok(Some(Behind::ValidEntry { offset: from + at as u64 }));
        }
        seen = rest.len() as u64;
    }
    Ok(None)
}

/// Reports a complete entry that exceeds the size limit. It is not damaged; the setting must be raised.
fn check_limit(
    reader: &LogReader,
    offset: u64,
    damage: &Damage,
    rest: &[u8],
) -> Result<(), TxnLogError> {
    let Damage::Length { length, limit } = *damage else { return Ok(()) };
    let Ok(length) = usize::try_from(length) else { return Ok(()) };
    if length <= limit || rest.len() < PREFIX {
        return Ok(());
    }
    if reader.checksum_of(offset + PREFIX as u64, length)?.map(i64::from) == Some(prefix(rest).0) {
        let path = reader.path().to_owned();
        return Err(TxnLogError::EntryTooLong { path, offset, length, limit });
    }
    Ok(())
}

fn is_all_zeros(reader: &LogReader) -> Result<bool, TxnLogError> {
    Ok(reader.read_from(0, damage::SEARCHED)?.iter().all(|byte| *byte == 0))
}

/// Deletes a last file without a header, which a server leaves if it ends before its first write.
fn delete_empty_tail(path: &Path) -> Result<(), TxnLogError> {
    fs::remove_file(path).map_err(TxnLogError::io("delete the empty tail log file", path))?;
    let name = path.display();
    warn!(target: LOG, "Delete empty tail log file to recover from corruption file: {name}");
    Ok(())
}
