//! Reads and writes snapshots (Java: server/persistence/FileSnap.java).
//!
//! A snapshot is a header, the sessions, the ACLs and nodes, and a seal. Since 3.6 the tree's digest and a seal
//! follow, and since 3.9 the last zxid and a seal. A seal is the checksum of everything before it, and the path
//! `/`.
//!
//! Threads: none. Locks: one leaf around the information about the last snapshot. Several snapshots may be
//! saved at once.
//!
//! Differences from Java: a snapshot is written under a temporary name, synced and renamed, so that a partial
//! snapshot is never taken for a complete one. The parts after the tree are recognized by their checksums, so a
//! directory can be read after `digest.enabled` was changed; Java takes one part for the other and rejects the
//! snapshot.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use log::{info, warn};
use simd_adler32::Adler32;

use super::file_header::FileHeader;
use super::snap_shot::{
    FileSnapConfig, RestoreTarget, SnapError, SnapshotDigest, SnapshotSource, SnapshotTail,
};
use super::snap_stream::{
    CheckedInputStream, CheckedOutputStream, check_seal, input_stream, is_valid_snapshot,
};
use super::snapshot_info::SnapshotInfo;
use super::util::{NamedFile, SNAPSHOT_FILE_PREFIX, make_snapshot_name, sorted_data_dir};
use crate::common::atomic_file_output_stream::AtomicFileOutputStream;
use crate::ids::{SessionId, Zxid};
use crate::jute::{
    BinaryInputArchive, BinaryOutputArchive, InputError, Limits, OutputArchive, Record,
};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileSnap";

/// "ZKSN" (Java: FileSnap.SNAP_MAGIC).
pub(crate) const SNAP_MAGIC: i32 = 0x5a4b_534e;

/// The version of the format.
const VERSION: i32 = 2;

/// The number of the database in a snapshot's header.
const DB_ID: i64 = -1;

/// The largest number of snapshots that a restore tries.
const CANDIDATES: usize = 100;

/// The prefix of snapshots that are being written. No version of Java reads a file with this name.
const TEMPORARY_PREFIX: &str = "tmp-snapshot.";

/// How much the tree writes per call, in bytes. The tree cannot change during a call.
const CHUNK: usize = 256 * 1024;

/// A snapshot is synced each time that so many bytes were written, so that the log's syncs do not wait for much of it.
const SYNC_EVERY: usize = 4 << 20;

/// The largest amount read after the tree, in bytes. All known parts are shorter than 100 bytes.
const TAIL_LIMIT: u64 = 4096;

/// The sessions and their timeouts in ms.
pub(crate) type Sessions = BTreeMap<SessionId, i32>;

/// The snapshots of a directory.
#[derive(Debug)]
pub(crate) struct FileSnap {
    snap_dir: PathBuf,
    config: FileSnapConfig,
    last_snapshot_info: RankedMutex<Option<SnapshotInfo>>,
    saving: AtomicU32,
    next_temporary: AtomicU32,
}

impl FileSnap {
    /// Creates the access to the snapshots in this directory.
    #[must_use]
    pub(crate) fn new(snap_dir: impl Into<PathBuf>, config: FileSnapConfig) -> Self {
        Self {
            snap_dir: snap_dir.into(),
            config,
            last_snapshot_info: RankedMutex::new(Rank::Leaf, "last snapshot info", None),
            saving: AtomicU32::new(0),
            next_temporary: AtomicU32::new(0),
        }
    }

    /// The most recently saved or restored snapshot.
    #[must_use]
    pub(crate) fn last_snapshot_info(&self) -> Option<SnapshotInfo> {
        *self.last_snapshot_info.lock()
    }

    /// Restores the newest readable snapshot. Returns its zxid, or `None` if there is no candidate.
    ///
    /// # Errors
    /// When there are candidates but none is readable, or the directory cannot be read.
    pub(crate) fn deserialize<T: RestoreTarget>(
        &self,
        target: &mut T,
        sessions: &mut Sessions,
    ) -> Result<Option<Zxid>, SnapError> {
        let candidates = self.find_n_valid_snapshots(CANDIDATES)?;
        let mut newest = None;
        for snapshot in &candidates {
            info!(target: LOG, "Reading snapshot {}", snapshot.path.display());
            match self.deserialize_file(snapshot, target, sessions) {
                Ok(()) => return Ok(Some(snapshot.zxid)),
                Err(problem) => {
                    warn!(target: LOG, "problem reading snap file {problem}");
                    newest.get_or_insert(problem);
                }
            }
        }
        match newest {
            None => Ok(None),
            Some(newest) => Err(SnapError::NoValidSnapshot {
                directory: self.snap_dir.clone(),
                tried: candidates.len(),
                newest: Box::new(newest),
            }),
        }
    }

    fn deserialize_file<T: RestoreTarget>(
        &self,
        snapshot: &NamedFile,
        target: &mut T,
        sessions: &mut Sessions,
    ) -> Result<(), SnapError> {
        let path = &snapshot.path;
        let place = path.display().to_string();
        let input = input_stream(path).map_err(SnapError::io("read", path))?;
        let tail = deserialize(input, &place, self.config.limits, target, sessions)?;
        if self.config.digest_enabled {
            target.set_snapshot_digest(tail.digest, snapshot.zxid);
        }
        target.set_last_processed_zxid(snapshot.zxid);
        self.note_snapshot(snapshot.zxid, path);
        // If the snapshot ended at the zxid at which it began, it is not fuzzy, and its digest is compared at
        // once.
        if target.snapshot_digest_zxid().is_some() {
            target.compare_snapshot_digests(snapshot.zxid);
        }
        Ok(())
    }

    fn note_snapshot(&self, zxid: Zxid, path: &Path) {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let timestamp = age.and_then(|age| i64::try_from(age.as_secs()).ok()).unwrap_or(0);
        *self.last_snapshot_info.lock() = Some(SnapshotInfo { zxid, timestamp });
    }

    /// The newest snapshot that passes a quick check.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn find_most_recent_snapshot(&self) -> Result<Option<NamedFile>, SnapError> {
        Ok(self.find_n_valid_snapshots(1)?.into_iter().next())
    }

    /// The newest `n` snapshots that pass a quick check, newest first. An unreadable file is left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn find_n_valid_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
        let may_be_whole = |file: &NamedFile| {
            is_valid_snapshot(&file.path).unwrap_or_else(|error| {
                warn!(target: LOG, "invalid snapshot {}: {error}", file.path.display());
                false
            })
        };
        Ok(self.sorted_snapshots()?.into_iter().filter(may_be_whole).take(n).collect())
    }

    /// The newest `n` snapshots, newest first, without any check.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn find_n_recent_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
        let mut files = self.sorted_snapshots()?;
        files.truncate(n);
        Ok(files)
    }

    fn sorted_snapshots(&self) -> Result<Vec<NamedFile>, SnapError> {
        let mut files = sorted_data_dir(&self.snap_dir, SNAPSHOT_FILE_PREFIX)
            .map_err(SnapError::io("list the snapshots in", &self.snap_dir))?;
        files.reverse();
        Ok(files)
    }

    /// Deletes unfinished snapshots of an earlier run. Called when the server starts.
    pub(crate) fn delete_unfinished(&self) {
        if self.saving.load(Ordering::Relaxed) > 0 {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.snap_dir) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX)) {
                let path = entry.path();
                let deleted = fs::remove_file(&path);
                let path = path.display();
                info!(target: LOG, "Deleted the unfinished snapshot {path}: {deleted:?}");
            }
        }
    }

    /// Saves a snapshot. It is named after the zxid at which the source begins, and it is on disk when this
    /// returns. An existing file of that name is replaced.
    ///
    /// # Errors
    /// When the snapshot cannot be written, or the source fails. There is no new snapshot then.
    pub(crate) fn serialize<S: SnapshotSource>(
        &self,
        source: &mut S,
    ) -> Result<PathBuf, SnapError> {
        self.saving.fetch_add(1, Ordering::Relaxed);
        let zxid = source.begin();
        let result = self.serialize_file(source, zxid);
        self.saving.fetch_sub(1, Ordering::Relaxed);
        let path = result?;
        self.note_snapshot(zxid, &path);
        Ok(path)
    }

    fn serialize_file<S: SnapshotSource>(
        &self,
        source: &mut S,
        zxid: Zxid,
    ) -> Result<PathBuf, SnapError> {
        let extension = self.config.stream_mode.file_extension();
        let path = self.snap_dir.join(make_snapshot_name(zxid, extension));
        info!(target: LOG, "Snapshotting: {zxid} to {}", path.display());
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMPORARY_PREFIX}{:x}{extension}.{number}", zxid.0);
        let written = AtomicFileOutputStream::create_as(self.snap_dir.join(name), &path)
            .map_err(SnapError::io("create", &path))
            .and_then(|file| {
                let file = file.sync_every(SYNC_EVERY);
                let file = serialize(source, &self.config, file, &path)?;
                file.commit().map_err(SnapError::io("finish", &path))
            });
        written.map(|()| path)
    }
}

/// Restores a snapshot from its uncompressed bytes. `place` is used in error messages. Existing sessions are
/// replaced.
///
/// # Errors
/// When the input is not a snapshot, or a checksum is wrong.
pub(crate) fn deserialize<R: Read, T: RestoreTarget>(
    input: CheckedInputStream<R>,
    place: &str,
    limits: Limits,
    target: &mut T,
    sessions: &mut Sessions,
) -> Result<SnapshotTail, SnapError> {
    let at_place = |source| SnapError::Input { place: place.to_owned(), source };
    let corrupt = |section| SnapError::Checksum { place: place.to_owned(), section };
    let mut archive = BinaryInputArchive::new(input, limits);
    let header = FileHeader::deserialize(&mut archive).map_err(at_place)?;
    if header.magic != SNAP_MAGIC {
        return Err(SnapError::InvalidMagic { place: place.to_owned(), found: header.magic });
    }
    deserialize_sessions(&mut archive, sessions).map_err(at_place)?;
    target.deserialize(&mut archive).map_err(at_place)?;
    if !check_seal(&mut archive).map_err(at_place)? {
        return Err(corrupt("the tree"));
    }
    let adler = archive.input().checksum();
    let mut rest = Vec::new();
    let read = archive.input().take(TAIL_LIMIT).read_to_end(&mut rest);
    read.map_err(|error| at_place(InputError::Io(error)))?;
    deserialize_tail(&rest, adler, limits).ok_or_else(|| corrupt("the digest or the last zxid"))
}

/// Reads the sessions (Java: SerializeUtils.deserializeSnapshot).
///
/// # Errors
/// When the input ends or fails.
pub(crate) fn deserialize_sessions<R: Read>(
    archive: &mut BinaryInputArchive<R>,
    sessions: &mut Sessions,
) -> Result<(), InputError> {
    sessions.clear();
    for _ in 0..archive.read_int()? {
        let id = SessionId(archive.read_long()?);
        sessions.insert(id, archive.read_int()?);
    }
    Ok(())
}

/// Appends the sessions (Java: SerializeUtils.serializeSnapshot).
pub(crate) fn serialize_sessions(sessions: &[(SessionId, i32)], out: &mut Vec<u8>) {
    let mut archive = BinaryOutputArchive::new(out);
    archive.start_vector(Some(sessions.len()), "count");
    for (id, timeout) in sessions {
        archive.write_long(id.0, "id");
        archive.write_int(*timeout, "timeout");
    }
}

/// Reads the parts after the tree. They have no markers, so their checksums tell which part is which. Data
/// after the known parts comes from a newer version and is ignored. `None` if a checksum is wrong.
fn deserialize_tail(mut rest: &[u8], mut adler: Adler32, limits: Limits) -> Option<SnapshotTail> {
    let digest = take_sealed(&mut rest, &mut adler, limits, deserialize_digest);
    let zxid = |archive: &mut BinaryInputArchive<&[u8]>| archive.read_long().map(Zxid);
    let last_processed_zxid = take_sealed(&mut rest, &mut adler, limits, zxid);
    let known = rest.is_empty() || last_processed_zxid.is_some();
    known.then_some(SnapshotTail { digest, last_processed_zxid })
}

fn deserialize_digest(
    archive: &mut BinaryInputArchive<&[u8]>,
) -> Result<SnapshotDigest, InputError> {
    let zxid = Zxid(archive.read_long()?);
    let digest_version = archive.read_int()?;
    let digest = if digest_version < DIGEST_VERSION_WITH_LONG {
        let text = archive.read_string("digest")?.unwrap_or_else(|| "0".into());
        i64::from_str_radix(&text, 16)
            .map_err(|error| InputError::Io(io::Error::new(io::ErrorKind::InvalidData, error)))?
    } else {
        archive.read_long()?
    };
    Ok(SnapshotDigest { zxid, digest_version, digest })
}

/// The first version in which the digest is a long. Before it is hex text.
const DIGEST_VERSION_WITH_LONG: i32 = 2;

/// Removes a part and its seal from `rest`, if the checksum shows that this part comes next.
fn take_sealed<T>(
    rest: &mut &[u8],
    adler: &mut Adler32,
    limits: Limits,
    read: impl Fn(&mut BinaryInputArchive<&[u8]>) -> Result<T, InputError>,
) -> Option<T> {
    let mut archive = BinaryInputArchive::new(*rest, limits);
    let value = read(&mut archive).ok()?;
    let mut sum = adler.clone();
    sum.write(&rest[..rest.len() - archive.input().len()]);
    if archive.read_long().ok()? != i64::from(sum.finish()) {
        return None;
    }
    archive.read_string("path").ok()?;
    let behind = archive.into_input();
    adler.write(&rest[..rest.len() - behind.len()]);
    *rest = behind;
    Some(value)
}

/// Writes a snapshot in the configured format and returns `out`. `path` is used in error messages.
///
/// # Errors
/// When `out` or the source fails.
pub(crate) fn serialize<S: SnapshotSource, W: Write>(
    source: &mut S,
    config: &FileSnapConfig,
    out: W,
    path: &Path,
) -> Result<W, SnapError> {
    let written = |result: io::Result<()>| result.map_err(SnapError::io("write", path));
    let mut out =
        CheckedOutputStream::new(out, config.stream_mode).map_err(SnapError::io("write", path))?;
    let mut chunk = FileHeader { magic: SNAP_MAGIC, version: VERSION, dbid: DB_ID }.to_bytes();
    serialize_sessions(&source.sessions(), &mut chunk);
    let mut more = true;
    while more {
        more = source
            .next_chunk(&mut chunk, CHUNK)
            .map_err(|error| SnapError::Source(Box::new(error)))?;
        if !more || chunk.len() >= CHUNK {
            written(out.write_all(&chunk))?;
            chunk.clear();
        }
    }
    written(out.seal())?;
    if config.digest_enabled {
        let digest = source.digest().unwrap_or_default();
        let mut archive = BinaryOutputArchive::new(&mut chunk);
        archive.write_long(digest.zxid.0, "zxid");
        archive.write_int(digest.digest_version, "digestVersion");
        archive.write_long(digest.digest, "digest");
        written(out.write_all(&chunk).and_then(|()| out.seal()))?;
    }
    if config.serialize_last_processed_zxid {
        let zxid = source.last_processed_zxid().0.to_be_bytes();
        written(out.write_all(&zxid).and_then(|()| out.seal()))?;
    }
    out.finish().map_err(SnapError::io("write", path))
}
