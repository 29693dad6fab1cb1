//! Grows log files ahead of their end (Java: server/persistence/FilePadding.java).
//!
//! In Java, the appending thread writes one zero byte 64 MiB ahead. That leaves a hole in the file, so every
//! append still allocates blocks and its fdatasync writes the file system's journal. Here a separate thread
//! writes real zeros and syncs them, so that the fdatasync of an append writes only the appended data. A reader
//! sees the same in both cases: zeros after the last entry. When a file is finished, its remaining zeros are cut
//! off.
//!
//! Zeros are written to two files:
//! - The next log file, named `next-log` until the log rolls and it gets its real name. It has a header and
//!   zeros, so it is a log without entries. It grows while the current file is used. No append waits for it: an
//!   fdatasync writes only its own file.
//! - The current log file, if its zeros run low before the log rolls. Each piece of zeros delays the appends
//!   that are synced meanwhile, because their fdatasync also writes the zeros and the journal. The distance grows
//!   with use from `FIRST_STEP` to `preAllocSize`.
//!
//! Threads: `LogPadding`, started when the first file grows, ended and joined by [`FilePadding::shutdown`].
//! Locks: one leaf, held briefly. The appending thread waits for the padding thread only if it reaches the
//! piece that is being written, and then for at most that piece.
//!
//! Padding is optional: if zeros cannot be written, the log continues without them and logs that once per file.
//! The thread has its own file descriptor. The system reports a failed write-back once per descriptor, so an
//! error that the padding thread receives is also reported to the appending thread.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use log::{debug, warn};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnLog";

/// The name of the next log file before the log rolls. Java's readers and tools ignore it, because names of log
/// files begin with `log.`. A server that was killed leaves it; the next one replaces it.
const NEXT_LOG: &str = "next-log";

/// How far ahead the current file is grown first, in bytes.
const FIRST_STEP: u64 = 256 * 1024;

/// How large the next file becomes before anything is known about the use of the log, in bytes.
const FIRST_NEXT: u64 = 4 * 1024 * 1024;

/// How much is written and synced at once, in bytes. A concurrent append waits for at most one piece.
const PIECE: u64 = 512 * 1024;

/// The size of one write call, in bytes. The file system blocks other writes during the call.
const WRITE: usize = 64 * 1024;

/// After a larger group of appends no file is grown, in bytes. For large groups the allocation of blocks
/// is a small part of the work, and zeros would double the amount written (break-even was measured between 128
/// and 256 KiB).
const LARGE_GROUP: u64 = 128 * 1024;

/// The size of a grown file is a multiple of this, in bytes.
const BLOCK: u64 = 4096;

/// Keeps zeros ahead of the end of the current log file, and prepares the next one.
#[derive(Debug)]
pub(crate) struct FilePadding {
    pre_alloc_size: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    next_path: PathBuf,
    /// The first bytes of a log file.
    header: Vec<u8>,
    state: RankedMutex<State>,
    changed: RankedCondvar,
}

#[derive(Debug, Default)]
struct State {
    current: Option<PaddedFile>,
    next: NextLog,
    /// The largest size of the log files so far, without zeros, in bytes.
    largest: u64,
    /// Finished files, and their size without the zeros.
    to_trim: Vec<(PathBuf, Arc<File>, u64)>,
    stop: bool,
}

/// The next log file.
#[derive(Debug, Default)]
enum NextLog {
    #[default]
    None,
    /// The thread shall create it, with zeros up to this offset.
    Wanted(u64),
    /// The thread is creating it.
    Created(u64),
    Ready(PaddedFile),
    /// Its zeros could not be written. The thread shall remove it, because entries need the space.
    Broken,
    /// There is none until the log rolls.
    Failed,
}

/// A log file that is grown. Offsets are in bytes.
#[derive(Debug)]
struct PaddedFile {
    path: PathBuf,
    /// This module's own file descriptor.
    file: Arc<File>,
    /// The end of the region that belongs to the appending thread.
    written: u64,
    /// The end of the zeros on disk; never below `written`.
    filled: u64,
    /// The wanted end of the zeros.
    target: u64,
    /// The end of the piece that is being written, which starts at `filled`.
    filling_to: Option<u64>,
    /// Whether writing zeros has failed.
    given_up: bool,
}

impl PaddedFile {
    fn new(path: PathBuf, file: File, position: u64) -> Self {
        Self {
            path,
            file: Arc::new(file),
            written: position,
            filled: position,
            target: position,
            filling_to: None,
            given_up: false,
        }
    }

    const fn is_filling_below(&self, end: u64) -> bool {
        self.filling_to.is_some() && end > self.filled
    }
}

/// The next job of the padding thread.
enum Job {
    Fill { file: Arc<File>, from: u64, to: u64 },
    Trim { path: PathBuf, file: Arc<File>, size: u64 },
    Create,
    Remove,
    Stop,
}

impl FilePadding {
    /// Creates padding for the log files in a directory, which begin with `header`. Files are grown by at most
    /// `pre_alloc_size` bytes; 0 disables it.
    #[must_use]
    pub(crate) fn new(log_dir: &Path, header: Vec<u8>, pre_alloc_size: u64) -> Self {
        let state = RankedMutex::new(Rank::Leaf, "log padding", State::default());
        let next_path = log_dir.join(NEXT_LOG);
        let changed = RankedCondvar::new();
        let shared = Arc::new(Shared { next_path, header, state, changed });
        Self { pre_alloc_size, shared, thread: None }
    }

    /// Prepares the next log file before the first append.
    pub(crate) fn prepare_next(&mut self) {
        if self.pre_alloc_size == 0 {
            self.shared.remove_next();
            return;
        }
        let size = FIRST_NEXT.min(self.pre_alloc_size);
        let mut state = self.shared.state.lock();
        if matches!(state.next, NextLog::None) {
            state.next = NextLog::Wanted(size);
            drop(state);
            self.wake_thread();
        }
    }

    /// Switches to the prepared log file, which gets the name `path`. Returns a descriptor for the appends, which
    /// begin after the header. `None` if no file is prepared; the caller then creates one.
    pub(crate) fn start_next(&mut self, path: &Path) -> Option<File> {
        self.finish_file();
        let mut state = self.shared.state.lock();
        let mut next = match std::mem::take(&mut state.next) {
            NextLog::Ready(next) => next,
            other => {
                state.next = other;
                return None;
            }
        };
        // The thread must not remove the file meanwhile, so the lock is held. This happens once for each log file.
        let opened = OpenOptions::new().write(true).open(&next.path).and_then(|file| {
            renameat_with(CWD, &next.path, CWD, path, RenameFlags::NOREPLACE)?;
            Ok(file)
        });
        match opened {
            Ok(file) => {
                path.clone_into(&mut next.path);
                // More zeros only when these run low.
                next.target = next.filled;
                state.current = Some(next);
                Some(file)
            }
            Err(error) => {
                state.next = NextLog::Broken;
                drop(state);
                self.shared.changed.notify_all();
                let (from, to) = (self.shared.next_path.display(), path.display());
                debug!(target: LOG, "cannot rename {from} to {to}: {error}");
                None
            }
        }
    }

    /// Switches to a new log file that is appended to at `position`.
    pub(crate) fn start_file(&mut self, path: &Path, position: u64) {
        self.finish_file();
        if self.pre_alloc_size == 0 {
            return;
        }
        match OpenOptions::new().write(true).open(path) {
            Ok(file) => {
                let file = PaddedFile::new(path.to_owned(), file, position);
                self.shared.state.lock().current = Some(file);
            }
            Err(error) => warn_of_no_growth(path, &error),
        }
    }

    /// Reserves the file up to `end` for the caller. Must be called before the caller writes there.
    pub(crate) fn reserve(&self, end: u64) {
        let mut state = self.shared.state.lock();
        while state.current.as_ref().is_some_and(|file| file.is_filling_below(end)) {
            self.shared.changed.wait(&mut state);
        }
        if let Some(file) = &mut state.current {
            file.written = file.written.max(end);
            file.filled = file.filled.max(end);
            file.target = file.target.max(end);
        }
    }

    /// Grows the current file if its zeros run low, and the next one as the current one is used. Must be called
    /// when the `appended` bytes are on disk, because zeros must not be written before them.
    pub(crate) fn keep_ahead(&mut self, appended: u64) {
        if appended > LARGE_GROUP {
            return;
        }
        let mut state = self.shared.state.lock();
        let more_zeros = state.grow_current(self.pre_alloc_size);
        let more_of_next = state.grow_next(self.pre_alloc_size);
        drop(state);
        if more_zeros || more_of_next {
            self.wake_thread();
        }
    }

    fn wake_thread(&mut self) {
        self.shared.changed.notify_all();
        if self.thread.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        match zookeeper_thread::spawn("LogPadding", None, move || {
            shared.run();
            Ok::<(), io::Error>(())
        }) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                warn!(target: LOG, "cannot start the thread that grows log files ahead: {error}");
                self.pre_alloc_size = 0; // nobody is there to do it
                *self.shared.state.lock() = State::default();
            }
        }
    }

    /// Finishes the current file. The thread soon cuts off its zeros.
    pub(crate) fn finish_file(&mut self) {
        let mut state = self.shared.state.lock();
        let Some(file) = state.current.take() else { return };
        state.largest = state.largest.max(file.written);
        if matches!(state.next, NextLog::Failed) {
            state.next = NextLog::None;
        }
        if file.filled > file.written || file.filling_to.is_some() {
            state.to_trim.push((file.path, file.file, file.written));
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// Finishes the current file, and ends the thread once its work is done and the next file is removed.
    pub(crate) fn shutdown(&mut self) {
        self.finish_file();
        if let Some(thread) = self.thread.take() {
            self.stop_thread();
            zookeeper_thread::join(thread);
            self.shared.state.lock().stop = false;
        }
    }

    fn stop_thread(&self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for FilePadding {
    /// Ends the thread without waiting for it.
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// The new end of the zeros of the current file, if too few of them are left between `written` and `filled`. The
/// distance is the amount used so far, within limits.
fn next_target(written: u64, filled: u64, pre_alloc_size: u64) -> Option<u64> {
    let wanted = written.max(FIRST_STEP).min(pre_alloc_size);
    (filled.saturating_sub(written) < wanted.div_ceil(2))
        .then(|| written.saturating_add(wanted).next_multiple_of(BLOCK))
}

/// The wanted size of the next file: twice what was written to the current one, and at most the size that the
/// largest file had so far. It is a number of whole pieces.
fn next_size(written: u64, largest: u64, pre_alloc_size: u64) -> u64 {
    let expected = largest.max(written).max(FIRST_NEXT).min(pre_alloc_size);
    let size = written.saturating_mul(2).min(expected);
    let piece = PIECE.min(pre_alloc_size);
    size - size.checked_rem(piece).unwrap_or(size)
}

impl State {
    /// Whether there is something to do for the thread.
    fn grow_current(&mut self, pre_alloc_size: u64) -> bool {
        let Some(file) = self.current.as_mut().filter(|file| !file.given_up) else { return false };
        let filled = file.filled.max(file.target);
        let target = next_target(file.written, filled, pre_alloc_size);
        file.target = target.unwrap_or(file.target);
        target.is_some()
    }

    /// Whether there is something to do for the thread.
    fn grow_next(&mut self, pre_alloc_size: u64) -> bool {
        let Some(current) = &self.current else { return false };
        let size = next_size(current.written, self.largest, pre_alloc_size);
        match &mut self.next {
            NextLog::None if size > 0 => self.next = NextLog::Wanted(size),
            NextLog::Ready(next) if size > next.target => next.target = size,
            _ => return false,
        }
        true
    }

    /// The files that zeros are written to, the current one first.
    fn files_mut(&mut self) -> impl Iterator<Item = &mut PaddedFile> {
        let next = if let NextLog::Ready(next) = &mut self.next { Some(next) } else { None };
        self.current.iter_mut().chain(next)
    }

    /// The next piece of zeros.
    fn next_fill(&mut self) -> Option<Job> {
        let file = self.files_mut().find(|file| file.filled < file.target)?;
        let to = file.target.min(file.filled + PIECE);
        file.filling_to = Some(to);
        Some(Job::Fill { file: Arc::clone(&file.file), from: file.filled, to })
    }
}

impl Shared {
    fn run(&self) {
        let zeros = vec![0; WRITE];
        loop {
            match self.next_job() {
                Job::Stop => return,
                Job::Fill { file, from, to } => {
                    let result = fill(&file, from, to, &zeros);
                    self.filled(&file, to, result);
                }
                Job::Trim { path, file, size } => {
                    if let Err(error) = trim(&file, size) {
                        let path = path.display();
                        debug!(target: LOG, "cannot cut the zeros off {path}: {error}");
                    }
                }
                Job::Create => self.created(create(&self.next_path, &self.header)),
                Job::Remove => self.remove_next(),
            }
        }
    }

    fn remove_next(&self) {
        match fs::remove_file(&self.next_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.next_path.display();
                debug!(target: LOG, "cannot remove {path}: {error}");
            }
            _ => {}
        }
    }

    fn next_job(&self) -> Job {
        let mut state = self.state.lock();
        loop {
            if let Some((path, file, size)) = state.to_trim.pop() {
                return Job::Trim { path, file, size };
            }
            if state.stop && matches!(state.next, NextLog::Ready(_)) {
                state.next = NextLog::Broken;
            }
            if matches!(state.next, NextLog::Broken) {
                state.next = NextLog::Failed;
                return Job::Remove;
            }
            if state.stop {
                state.next = NextLog::None;
                return Job::Stop;
            }
            if let Some(job) = state.next_fill() {
                return job;
            }
            if let NextLog::Wanted(target) = state.next {
                state.next = NextLog::Created(target);
                return Job::Create;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Records that a piece is written, or that padding has failed.
    fn filled(&self, file: &Arc<File>, to: u64, result: io::Result<()>) {
        let mut state = self.state.lock();
        let mut failed = None;
        // It may be finished by now.
        if let Some(file) = state.files_mut().find(|padded| Arc::ptr_eq(&padded.file, file)) {
            file.filling_to = None;
            file.filled = file.filled.max(to);
            file.given_up = result.is_err();
            if file.given_up {
                file.target = file.filled;
                failed = Some(file.path.clone());
            }
        }
        if matches!(&state.next, NextLog::Ready(next) if next.given_up) {
            state.next = NextLog::Broken;
        }
        drop(state);
        self.changed.notify_all();
        if let (Some(path), Err(error)) = (failed, result) {
            warn_of_no_growth(&path, &error);
        }
    }

    /// Records that the next file is created, or that it cannot be.
    fn created(&self, result: io::Result<File>) {
        let mut state = self.state.lock();
        let NextLog::Created(target) = state.next else { return };
        match result {
            Ok(file) => {
                let position = self.header.len() as u64;
                let mut next = PaddedFile::new(self.next_path.clone(), file, position);
                next.target = target;
                state.next = NextLog::Ready(next);
            }
            Err(error) => {
                state.next = NextLog::Failed;
                drop(state);
                warn_of_no_growth(&self.next_path, &error);
            }
        }
    }
}

fn warn_of_no_growth(path: &Path, error: &io::Error) {
    let path = path.display();
    warn!(target: LOG, "cannot grow {path} ahead, the log goes on without: {error}");
}

/// Creates a log file without entries, in the place of one that a killed server has left.
fn create(path: &Path, header: &[u8]) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(header, 0)?;
    Ok(file)
}

fn fill(file: &File, from: u64, to: u64, zeros: &[u8]) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        file.write_all_at(&zeros[..len], at)?;
        at += len as u64;
    }
    file.sync_data()
}

fn trim(file: &File, size: u64) -> io::Result<()> {
    if file.metadata()?.len() > size { file.set_len(size) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;
    use std::fs;
    use std::time::Duration;

    const HEADER: &[u8] = &[9; 16];

    #[test]
    fn zeros_are_kept_ahead_by_what_was_used_within_limits() {
        const MIB: u64 = 1024 * 1024;
        for (written, filled, limit, target) in [
            (16, 16, 64 * MIB, Some(16 + FIRST_STEP)),
            (200 * 1024, FIRST_STEP, 64 * MIB, Some(200 * 1024 + FIRST_STEP)),
            (100 * 1024, FIRST_STEP, 64 * MIB, None),
            (10 * MIB, 10 * MIB, 64 * MIB, Some(20 * MIB)),
            (100 * MIB, 101 * MIB, 64 * MIB, Some(164 * MIB)),
            (100 * MIB, 140 * MIB, 64 * MIB, None),
            (1000, 1000, 8192, Some(1000 + 8192)),
            (1000, 1000, 0, None),
        ] {
            let target = target.map(|target: u64| target.next_multiple_of(BLOCK));
            assert_eq!(next_target(written, filled, limit), target, "{written} {filled} {limit}");
        }
    }

    fn wait_for_size(path: &Path, size: u64) {
        let deadline = crate::common::time::now() + Duration::from_secs(20);
        while fs::metadata(path).map_or(0, |file| file.len()) != size {
            assert!(crate::common::time::now() < deadline, "{:?}", fs::metadata(path));
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_file_grows_ahead_and_is_cut_when_it_is_done_with() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        fs::write(&path, [7; 100]).unwrap();
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 64 * 1024 * 1024);
        padding.start_file(&path, 100);
        padding.keep_ahead(100);
        wait_for_size(&path, (100 + FIRST_STEP).next_multiple_of(BLOCK));
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[..100] == [7; 100] && bytes[100..].iter().all(|byte| *byte == 0));
        padding.shutdown();
        assert_eq!(fs::read(&path).unwrap(), [7; 100]);
    }

    #[test]
    fn a_file_that_is_written_in_large_groups_is_not_grown() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        fs::write(&path, [7; 100]).unwrap();
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 64 * 1024 * 1024);
        padding.start_file(&path, 100);
        padding.keep_ahead(LARGE_GROUP + 1);
        assert!(padding.thread.is_none());
    }

    #[test]
    fn zeros_never_overwrite_what_is_appended_meanwhile() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        let file = File::create(&path).unwrap();
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 64 * 1024 * 1024);
        padding.start_file(&path, 0);
        let mut end = 0;
        for round in 0..3000_u64 {
            // From time to time, append far beyond the zeros.
            let bytes = vec![1; if round % 100 == 0 { 700_000 } else { 3000 }];
            padding.reserve(end + bytes.len() as u64);
            file.write_all_at(&bytes, end).unwrap();
            end += bytes.len() as u64;
            padding.keep_ahead(100);
        }
        padding.shutdown();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, end);
        assert_eq!(bytes.iter().position(|byte| *byte == 0), None);
    }

    #[test]
    fn a_file_that_cannot_be_grown_is_left_alone() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 1024);
        padding.start_file(&path, 16);
        padding.keep_ahead(100);
        padding.reserve(10_000);
        padding.keep_ahead(100);
        padding.shutdown();
        assert!(!path.exists());
    }

    #[test]
    fn the_next_file_grows_with_the_use_of_the_current_one() {
        const MIB: u64 = 1024 * 1024;
        for (written, largest, limit, size) in [
            (0, 0, 64 * MIB, 0),
            (200 * 1024, 0, 64 * MIB, 0),
            (256 * 1024, 0, 64 * MIB, PIECE),
            (3 * MIB + 1, 0, 64 * MIB, FIRST_NEXT),
            (3 * MIB + 1, 5 * MIB + 1, 64 * MIB, 5 * MIB),
            (10 * MIB, 0, 64 * MIB, 10 * MIB),
            (40 * MIB, 100 * MIB, 64 * MIB, 64 * MIB),
            (40 * MIB, 100 * MIB, PIECE - 1, PIECE - 1),
            (40 * MIB, 100 * MIB, 0, 0),
        ] {
            assert_eq!(next_size(written, largest, limit), size, "{written} {largest} {limit}");
        }
    }

    /// A prepared file of [`FIRST_NEXT`] bytes.
    fn prepared(dir: &TestDir) -> FilePadding {
        fs::write(dir.path().join(NEXT_LOG), [7; 100]).unwrap(); // left by a killed server
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 64 * 1024 * 1024);
        padding.prepare_next();
        wait_for_size(&dir.path().join(NEXT_LOG), FIRST_NEXT);
        padding
    }

    #[test]
    fn the_next_file_is_a_header_and_zeros_and_gets_its_name_when_the_log_rolls() {
        let dir = TestDir::new();
        let mut padding = prepared(&dir);
        let path = dir.path().join("log.1");
        let file = padding.start_next(&path).unwrap();
        padding.reserve(116);
        file.write_all_at(&[1; 100], 16).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[..16] == *HEADER && bytes[16..116] == [1; 100]);
        assert!(bytes[116..].iter().all(|byte| *byte == 0) && bytes.len() as u64 == FIRST_NEXT);
        assert!(!dir.path().join(NEXT_LOG).exists());

        // Its zeros are enough for now, and the next one is prepared as they are used.
        padding.keep_ahead(100);
        padding.reserve(2 * PIECE);
        padding.keep_ahead(100);
        wait_for_size(&dir.path().join(NEXT_LOG), 4 * PIECE);
        assert_eq!(fs::metadata(&path).unwrap().len(), FIRST_NEXT);

        padding.shutdown();
        assert!(!dir.path().join(NEXT_LOG).exists());
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * PIECE);
    }

    #[test]
    fn a_file_of_the_same_name_is_never_replaced() {
        let dir = TestDir::new();
        let mut padding = prepared(&dir);
        let path = dir.path().join("log.1");
        fs::write(&path, [7; 100]).unwrap();
        assert!(padding.start_next(&path).is_none());
        padding.shutdown();
        assert_eq!(fs::read(&path).unwrap(), [7; 100]);
        assert!(!dir.path().join(NEXT_LOG).exists());
    }

    #[test]
    fn without_a_prepared_file_the_caller_creates_one() {
        let dir = TestDir::new();
        let mut padding = FilePadding::new(&dir.path().join("none"), HEADER.to_vec(), 1 << 26);
        padding.prepare_next();
        assert!(padding.start_next(&dir.path().join("log.1")).is_none());
        padding.shutdown();
    }

    #[test]
    fn zeros_never_overwrite_what_is_appended_to_a_file_that_was_prepared() {
        let dir = TestDir::new();
        let mut padding = FilePadding::new(dir.path(), HEADER.to_vec(), 64 * 1024 * 1024);
        padding.prepare_next();
        for round in 1..200_u64 {
            let path = dir.path().join(format!("log.{round}"));
            let file = padding.start_next(&path).unwrap_or_else(|| {
                let file = create(&path, HEADER).unwrap();
                padding.start_file(&path, 16);
                file
            });
            let mut end = 16;
            for _ in 0..round {
                let bytes = [1; 30_000];
                padding.reserve(end + 30_000);
                file.write_all_at(&bytes, end).unwrap();
                end += 30_000;
                padding.keep_ahead(100);
            }
        }
        padding.shutdown();
        for round in 1..200 {
            let bytes = fs::read(dir.path().join(format!("log.{round}"))).unwrap();
            assert_eq!(bytes.len(), 16 + 30_000 * round);
            assert!(bytes[..16] == *HEADER && bytes[16..].iter().all(|byte| *byte == 1), "{round}");
        }
    }
}
