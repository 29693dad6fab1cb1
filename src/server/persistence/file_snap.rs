//! Reads and writes snapshots (Java: server/persistence/FileSnap.java).
//!
//! A snapshot is a header, the sessions, ACLs and nodes, and a seal; since 3.6 the tree's digest and a seal; since 3.9 the
//! last zxid and a seal. A seal is the checksum of all that comes before it and the path `/`.
//!
//! Threads: none. Locks: one leaf around what is known of the newest snapshot. Snapshots may be saved at the same time.
//! Differs from Java: a snapshot is written under another name, synced and renamed, so that a half-written one can never
//! be taken for a whole one; and what follows the tree is told apart by its checksums, so that a directory whose
//! `digest.enabled` was changed can be read (Java takes one part for the other and rejects the snapshot).

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
pub const SNAP_MAGIC: i32 = 0x5a4b_534e;

/// Version of the format.
const VERSION: i32 = 2;

/// Number of the database in a snapshot.
const DB_ID: i64 = -1;

/// How many candidates are tried at most.
const CANDIDATES: usize = 100;

/// Names of snapshots that are being written start with this: no version of Java takes them for anything.
const TEMPORARY_PREFIX: &str = "tmp-snapshot.";

/// What is asked of the tree at once, in bytes: it cannot change meanwhile.
const CHUNK: usize = 256 * 1024;

/// What is read behind the tree at most, in bytes: all known parts are shorter than 100.
const TAIL_LIMIT: u64 = 4096;

/// Sessions and their timeouts in ms.
pub type Sessions = BTreeMap<SessionId, i32>;

/// The snapshots of a directory.
#[derive(Debug)]
pub struct FileSnap {
    snap_dir: PathBuf,
    config: FileSnapConfig,
    last_snapshot_info: RankedMutex<Option<SnapshotInfo>>,
    saving: AtomicU32,
    next_temporary: AtomicU32,
}

impl FileSnap {
    /// Snapshots in this directory.
    #[must_use]
    pub fn new(snap_dir: impl Into<PathBuf>, config: FileSnapConfig) -> Self {
        Self {
            snap_dir: snap_dir.into(),
            config,
            last_snapshot_info: RankedMutex::new(Rank::Leaf, "last snapshot info", None),
            saving: AtomicU32::new(0),
            next_temporary: AtomicU32::new(0),
        }
    }

    /// The snapshot that was saved or restored last.
    #[must_use]
    pub fn last_snapshot_info(&self) -> Option<SnapshotInfo> {
        *self.last_snapshot_info.lock()
    }

    /// Restores the newest snapshot that can be read; returns its zxid, or `None` when there is no candidate.
    ///
    /// # Errors
    /// When there are candidates and none can be read, or the directory cannot be.
    pub fn deserialize<T: RestoreTarget>(
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
        // Not fuzzy if it ended where it began: then it is compared at once.
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

    /// The newest snapshot that may be whole.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_most_recent_snapshot(&self) -> Result<Option<NamedFile>, SnapError> {
        Ok(self.find_n_valid_snapshots(1)?.into_iter().next())
    }

    /// The newest `n` snapshots that may be whole, newest first. One that cannot be looked at is left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_n_valid_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
        let may_be_whole = |file: &NamedFile| {
            is_valid_snapshot(&file.path).unwrap_or_else(|error| {
                warn!(target: LOG, "invalid snapshot {}: {error}", file.path.display());
                false
            })
        };
        Ok(self.sorted_snapshots()?.into_iter().filter(may_be_whole).take(n).collect())
    }

    /// The newest `n` snapshots, whole or not, newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn find_n_recent_snapshots(&self, n: usize) -> Result<Vec<NamedFile>, SnapError> {
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

    /// Deletes what is left of snapshots that were not finished when a server ended. To be called when it starts.
    pub fn delete_unfinished(&self) {
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

    /// Saves a snapshot, named after the zxid that the source begins with; it is on disk when this returns. What was there
    /// of that name is replaced.
    ///
    /// # Errors
    /// When it cannot be written, or the source does not go on. Then there is no new snapshot.
    pub fn serialize<S: SnapshotSource>(&self, source: &mut S) -> Result<PathBuf, SnapError> {
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
                let file = serialize(source, &self.config, file, &path)?;
                file.commit().map_err(SnapError::io("finish", &path))
            });
        written.map(|()| path)
    }
}

/// Restores a snapshot from its bytes, uncompressed; `place` is for messages. Sessions are replaced.
///
/// # Errors
/// When it is no snapshot, or a checksum is wrong.
pub fn deserialize<R: Read, T: RestoreTarget>(
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
pub fn deserialize_sessions<R: Read>(
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
pub fn serialize_sessions(sessions: &[(SessionId, i32)], out: &mut Vec<u8>) {
    let mut archive = BinaryOutputArchive::new(out);
    archive.start_vector(Some(sessions.len()), "count");
    for (id, timeout) in sessions {
        archive.write_long(id.0, "id");
        archive.write_int(*timeout, "timeout");
    }
}

/// What follows the tree carries no marks: a part is what its checksum says it is. What follows those that are known is
/// of a newer version. `None` when a checksum is wrong.
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

/// Before it the digest is a text of hex digits.
const DIGEST_VERSION_WITH_LONG: i32 = 2;

/// Takes a part and its seal off, if that is what stands there.
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

/// Writes a snapshot as the settings say; returns `out`. `path` is for messages.
///
/// # Errors
/// When `out` fails or the source does not go on.
pub fn serialize<S: SnapshotSource, W: Write>(
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
