//! Grows the log file ahead of its end (Java: server/persistence/FilePadding.java).
//!
//! In Java, the appending thread writes one zero byte 64 MiB ahead. That leaves a hole in the file, so every
//! append still allocates blocks and its fdatasync writes the file system's journal. Here a separate thread
//! writes real zeros ahead of the end and syncs them, so that the fdatasync of an append writes only the
//! appended data. A reader sees the same in both cases: zeros after the last entry. The distance grows with use
//! from `FIRST_STEP` to `preAllocSize`, so a small log needs little space. When a file is finished, its
//! remaining zeros are cut off.
//!
//! Threads: `LogPadding`, started when the first file grows, ended and joined by [`FilePadding::shutdown`].
//! Locks: one leaf, held briefly. The appending thread waits for the padding thread only if it reaches the
//! piece that is being written, and then for at most that piece.
//!
//! Padding is optional: if zeros cannot be written, the log continues without them and logs that once per file.
//! The thread has its own file descriptor. The system reports a failed write-back once per descriptor, so an
//! error that the padding thread receives is also reported to the appending thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use log::{debug, warn};

use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex, RankedMutexGuard};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.FileTxnLog";

/// How far ahead the file is grown first, in bytes.
const FIRST_STEP: u64 = 256 * 1024;

/// How much is written and synced at once, in bytes. A concurrent append waits for at most one piece.
const PIECE: u64 = 512 * 1024;

/// The size of one write call, in bytes. The file system blocks other writes during the call.
const WRITE: usize = 64 * 1024;

/// After a larger group of appends the file is not grown, in bytes. For large groups the allocation of blocks
/// is a small part of the work, and zeros would double the amount written (break-even was measured between 128
/// and 256 KiB).
const LARGE_GROUP: u64 = 128 * 1024;

/// The size of a grown file is a multiple of this, in bytes.
const BLOCK: u64 = 4096;

/// Keeps zeros ahead of the end of the current log file.
#[derive(Debug)]
pub(crate) struct FilePadding {
    pre_alloc_size: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: RankedMutex<State>,
    changed: RankedCondvar,
}

#[derive(Debug, Default)]
struct State {
    current: Option<PaddedFile>,
    /// Finished files, and their size without the zeros.
    to_trim: Vec<(Arc<OpenFile>, u64)>,
    stop: bool,
}

/// A log file with this module's own file descriptor.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
}

/// The current log file. Offsets are in bytes.
#[derive(Debug)]
struct PaddedFile {
    open: Arc<OpenFile>,
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
    const fn is_filling_below(&self, end: u64) -> bool {
        self.filling_to.is_some() && end > self.filled
    }
}

/// The next job of the padding thread.
enum Job {
    Fill { open: Arc<OpenFile>, from: u64, to: u64 },
    Trim { open: Arc<OpenFile>, size: u64 },
    Stop,
}

impl FilePadding {
    /// Creates padding that grows files by at most `pre_alloc_size` bytes; 0 disables it.
    #[must_use]
    pub(crate) fn new(pre_alloc_size: u64) -> Self {
        let state = RankedMutex::new(Rank::Leaf, "log padding", State::default());
        let shared = Arc::new(Shared { state, changed: RankedCondvar::new() });
        Self { pre_alloc_size, shared, thread: None }
    }

    /// Switches to a new log file that is appended to at `position`.
    pub(crate) fn start_file(&mut self, path: &Path, position: u64) {
        self.finish_file();
        if self.pre_alloc_size == 0 {
            return;
        }
        match OpenOptions::new().write(true).open(path) {
            Ok(file) => {
                let open = Arc::new(OpenFile { path: path.to_owned(), file });
                self.shared.state.lock().current = Some(PaddedFile {
                    open,
                    written: position,
                    filled: position,
                    target: position,
                    filling_to: None,
                    given_up: false,
                });
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

    /// Grows the file if its zeros run low. Must be called when the `appended` bytes are on disk, because zeros
    /// must not be written before them.
    pub(crate) fn keep_ahead(&mut self, appended: u64) {
        if appended > LARGE_GROUP {
            return;
        }
        let mut state = self.shared.state.lock();
        let Some(file) = state.current.as_mut().filter(|file| !file.given_up) else { return };
        let Some(target) =
            next_target(file.written, file.filled.max(file.target), self.pre_alloc_size)
        else {
            return;
        };
        file.target = target;
        drop(state);
        self.shared.changed.notify_all();
        self.start_thread();
    }

    fn start_thread(&mut self) {
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
                self.shared.state.lock().current = None;
            }
        }
    }

    /// Finishes the current file. The thread soon cuts off its zeros.
    pub(crate) fn finish_file(&mut self) {
        let mut state = self.shared.state.lock();
        let Some(file) = state.current.take() else { return };
        if file.filled > file.written || file.filling_to.is_some() {
            state.to_trim.push((file.open, file.written));
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// Finishes the current file, and ends the thread once its work is done.
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

/// The new end of the zeros, if too few of them are left between `written` and `filled`. The distance is the
/// amount used so far, within limits.
fn next_target(written: u64, filled: u64, pre_alloc_size: u64) -> Option<u64> {
    let wanted = written.max(FIRST_STEP).min(pre_alloc_size);
    (filled.saturating_sub(written) < wanted.div_ceil(2))
        .then(|| written.saturating_add(wanted).next_multiple_of(BLOCK))
}

impl Shared {
    fn run(&self) {
        let zeros = vec![0; WRITE];
        loop {
            match self.next_job() {
                Job::Stop => return,
                Job::Fill { open, from, to } => {
                    let result = fill(&open.file, from, to, &zeros);
                    self.filled(&open, to, result);
                }
                Job::Trim { open, size } => {
                    if let Err(error) = trim(&open.file, size) {
                        let path = open.path.display();
                        debug!(target: LOG, "cannot cut the zeros off {path}: {error}");
                    }
                }
            }
        }
    }

    fn next_job(&self) -> Job {
        let mut state = self.state.lock();
        loop {
            if let Some((open, size)) = state.to_trim.pop() {
                return Job::Trim { open, size };
            }
            if state.stop {
                return Job::Stop;
            }
            if let Some(job) = next_fill(&mut state) {
                return job;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Records that a piece is written, or that padding has failed.
    fn filled(&self, open: &Arc<OpenFile>, to: u64, result: io::Result<()>) {
        let mut state = self.state.lock();
        // The file may be finished by now.
        if let Some(file) = state.current.as_mut().filter(|file| Arc::ptr_eq(&file.open, open)) {
            file.filling_to = None;
            file.filled = file.filled.max(to);
            file.given_up = result.is_err();
            if file.given_up {
                file.target = file.filled;
            }
        }
        drop(state);
        self.changed.notify_all();
        if let Err(error) = result {
            warn_of_no_growth(&open.path, &error);
        }
    }
}

fn next_fill(state: &mut RankedMutexGuard<'_, State>) -> Option<Job> {
    let file = state.current.as_mut().filter(|file| file.filled < file.target)?;
    let to = file.target.min(file.filled + PIECE);
    file.filling_to = Some(to);
    Some(Job::Fill { open: Arc::clone(&file.open), from: file.filled, to })
}

fn warn_of_no_growth(path: &Path, error: &io::Error) {
    let path = path.display();
    warn!(target: LOG, "cannot grow {path} ahead, the log goes on without: {error}");
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
        while fs::metadata(path).unwrap().len() != size {
            assert!(crate::common::time::now() < deadline, "{:?}", fs::metadata(path));
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_file_grows_ahead_and_is_cut_when_it_is_done_with() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        fs::write(&path, [7; 100]).unwrap();
        let mut padding = FilePadding::new(64 * 1024 * 1024);
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
        let mut padding = FilePadding::new(64 * 1024 * 1024);
        padding.start_file(&path, 100);
        padding.keep_ahead(LARGE_GROUP + 1);
        assert!(padding.thread.is_none());
    }

    #[test]
    fn zeros_never_overwrite_what_is_appended_meanwhile() {
        let dir = TestDir::new();
        let path = dir.path().join("log.1");
        let file = File::create(&path).unwrap();
        let mut padding = FilePadding::new(64 * 1024 * 1024);
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
        let mut padding = FilePadding::new(1024);
        padding.start_file(&path, 16);
        padding.keep_ahead(100);
        padding.reserve(10_000);
        padding.keep_ahead(100);
        padding.shutdown();
        assert!(!path.exists());
    }
}
