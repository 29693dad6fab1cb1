//! The byte streams of snapshots (Java: server/persistence/SnapStream.java).
//!
//! A snapshot's checksum is the Adler-32 of its uncompressed bytes, whether the file is compressed or not. It
//! is computed over the whole buffer, not for each read, because records are read a few bytes at a time.
//! No threads, no locks.

pub(crate) mod snappy;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use log::{error, info};
use simd_adler32::Adler32;

use self::snappy::{SnappyReader, SnappyWriter};
use super::util::{SNAPSHOT_FILE_PREFIX, zxid_from_name};
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, OutputArchive};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.persistence.SnapStream";

/// The size of a read, in bytes.
const READ: usize = 256 * 1024;

/// The encoded path in a seal. Every uncompressed snapshot ends with it.
const SEAL_PATH: [u8; 5] = [0, 0, 0, 1, b'/'];

/// The minimum size of an uncompressed snapshot, in bytes.
const SHORTEST: u64 = 10;

/// The first bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The compression of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamMode {
    /// gzip.
    Gzip,
    /// The block format of snappy-java.
    Snappy,
    /// No compression.
    Checked,
}

impl StreamMode {
    /// The compression for a name in the setting or a file extension, ignoring case. Any other name means no
    /// compression.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "gz" => Self::Gzip,
            "snappy" => Self::Snappy,
            _ => Self::Checked,
        }
    }

    /// The compression for the extension of a file name (Java: getStreamMode). Points at the end do not count, because
    /// Java's `split` drops empty parts there.
    #[must_use]
    pub fn from_file_name(name: &str) -> Self {
        let parts = name.trim_end_matches('.').rsplit_once('.');
        parts.map_or(Self::Checked, |(_, extension)| Self::from_name(extension))
    }

    /// The extension of file names.
    #[must_use]
    pub const fn file_extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
            Self::Checked => "",
        }
    }
}

/// Reads from an input and computes the checksum of the bytes read.
pub(crate) struct CheckedInputStream<R> {
    input: R,
    buffer: Vec<u8>,
    unread: Range<usize>,
    /// The end of the part of the buffer that the checksum includes.
    summed: usize,
    adler: Adler32,
}

impl<R: Read> CheckedInputStream<R> {
    /// Creates a stream at the start of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; READ], unread: 0..0, summed: 0, adler: Adler32::new() }
    }

    fn sum_up(&mut self) {
        self.adler.write(&self.buffer[self.summed..self.unread.start]);
        self.summed = self.unread.start;
    }

    /// The checksum of all bytes read so far.
    pub(crate) fn checksum(&mut self) -> Adler32 {
        self.sum_up();
        self.adler.clone()
    }

    /// Fills the buffer if it is empty. It stays empty at the end of the input.
    fn fill(&mut self) -> io::Result<()> {
        if !self.unread.is_empty() {
            return Ok(());
        }
        self.sum_up();
        self.unread = 0..0;
        self.summed = 0;
        loop {
            match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.unread.end = read?;
                    return Ok(());
                }
            }
        }
    }

    #[cold]
    fn read_exact_across(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = self.read(bytes)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[len..];
        }
        Ok(())
    }
}

impl<R: Read> Read for CheckedInputStream<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let len = bytes.len().min(self.unread.len());
        let start = self.unread.start;
        bytes[..len].copy_from_slice(&self.buffer[start..start + len]);
        self.unread.start += len;
        Ok(len)
    }

    #[inline]
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let start = self.unread.start;
        if bytes.len() > self.unread.len() {
            return self.read_exact_across(bytes);
        }
        bytes.copy_from_slice(&self.buffer[start..start + bytes.len()]);
        self.unread.start += bytes.len();
        Ok(())
    }
}

/// Opens a snapshot with the compression that its name indicates (Java: getInputStream).
///
/// # Errors
/// When the file cannot be opened or is not compressed as its name indicates.
pub(crate) fn input_stream(path: &Path) -> io::Result<CheckedInputStream<Box<dyn Read>>> {
    decoded(File::open(path)?, mode_of(path))
}

/// Decompresses the input.
pub(super) fn decoded<'a>(
    input: impl Read + 'a,
    mode: StreamMode,
) -> io::Result<CheckedInputStream<Box<dyn Read + 'a>>> {
    let buffered = |input| io::BufReader::with_capacity(READ, input);
    let input: Box<dyn Read + 'a> = match mode {
        StreamMode::Gzip => Box::new(MultiGzDecoder::new(buffered(input))),
        StreamMode::Snappy => Box::new(SnappyReader::new(buffered(input))?),
        StreamMode::Checked => Box::new(input),
    };
    Ok(CheckedInputStream::new(input))
}

fn mode_of(path: &Path) -> StreamMode {
    path.file_name()
        .and_then(|name| name.to_str())
        .map_or(StreamMode::Checked, StreamMode::from_file_name)
}

/// Writes to an output and computes the checksum of the bytes written.
pub(crate) struct CheckedOutputStream<W: Write> {
    sink: Sink<W>,
    adler: Adler32,
}

enum Sink<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Snappy(Box<SnappyWriter<W>>),
}

impl<W: Write> CheckedOutputStream<W> {
    /// Creates a stream that writes to `out` with the compression `mode` (Java: getOutputStream). Callers
    /// should write large pieces, because the stream does not buffer.
    ///
    /// # Errors
    /// When the header of the compressed format cannot be written.
    pub(crate) fn new(out: W, mode: StreamMode) -> io::Result<Self> {
        let sink = match mode {
            StreamMode::Checked => Sink::Plain(out),
            StreamMode::Gzip => Sink::Gzip(GzEncoder::new(out, Compression::default())),
            StreamMode::Snappy => Sink::Snappy(Box::new(SnappyWriter::new(out)?)),
        };
        Ok(Self { sink, adler: Adler32::new() })
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.adler.write(bytes);
        match &mut self.sink {
            Sink::Plain(out) => out.write_all(bytes),
            Sink::Gzip(out) => out.write_all(bytes),
            Sink::Snappy(out) => out.write_all(bytes),
        }
    }

    /// Writes the checksum of all bytes written so far, and the path that ends a part (Java: sealStream).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(13);
        let mut archive = BinaryOutputArchive::new(&mut bytes);
        archive.write_long(i64::from(self.adler.finish()), "val");
        archive.write_string(Some("/"), "path");
        self.write_all(&bytes)
    }

    /// Writes the rest of the compressed data and returns the output.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self.sink {
            Sink::Plain(out) => Ok(out),
            Sink::Gzip(out) => out.finish(),
            Sink::Snappy(out) => out.finish(),
        }
    }
}

/// Reads a seal. False if its checksum does not match the bytes read before (Java: checkSealIntegrity).
///
/// # Errors
/// When the input ends or fails.
pub(crate) fn check_seal<R: Read>(
    archive: &mut BinaryInputArchive<CheckedInputStream<R>>,
) -> Result<bool, InputError> {
    let computed = archive.input().checksum().finish();
    let stored = archive.read_long()?;
    archive.read_string("path")?;
    Ok(stored == i64::from(computed))
}

/// A quick check for a complete snapshot (Java: isValidSnapshot). The name must be that of a snapshot. An
/// uncompressed file must end in a seal, and a compressed one must start with the magic bytes of its format.
/// Nothing else is read.
///
/// # Errors
/// When the file cannot be read.
pub fn is_valid_snapshot(path: &Path) -> io::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if zxid_from_name(name, SNAPSHOT_FILE_PREFIX) == Zxid::NONE {
        return Ok(false);
    }
    match StreamMode::from_file_name(name) {
        StreamMode::Gzip => starts_with(path, &GZIP_MAGIC),
        StreamMode::Snappy => starts_with(path, &snappy::MAGIC),
        StreamMode::Checked => ends_in_seal(path),
    }
}

fn starts_with(path: &Path, magic: &[u8]) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?.take(magic.len() as u64).read_to_end(&mut bytes)?;
    if bytes.len() < magic.len() {
        error!(target: LOG, "Read incorrect number of bytes from {}", path.display());
    }
    Ok(bytes == magic)
}

fn ends_in_seal(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size < SHORTEST {
        return Ok(false);
    }
    let mut end = [0; SEAL_PATH.len()];
    file.seek(SeekFrom::Start(size - end.len() as u64))?;
    file.read_exact(&mut end)?;
    if end != SEAL_PATH {
        info!(target: LOG, "Invalid snapshot {}. It ends in {end:x?}", path.display());
    }
    Ok(end == SEAL_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;
    use std::fs;

    #[test]
    fn the_mode_is_in_the_name() {
        for (name, mode) in [
            ("snapshot.1f", StreamMode::Checked),
            ("snapshot.1f.gz", StreamMode::Gzip),
            ("snapshot.1f.SNAPPY", StreamMode::Snappy),
            ("snapshot.1f.tmp", StreamMode::Checked),
            ("snapshot", StreamMode::Checked),
        ] {
            assert_eq!(StreamMode::from_file_name(name), mode, "{name}");
        }
    }

    #[test]
    fn only_what_looks_like_a_whole_snapshot_is_a_candidate() {
        let dir = TestDir::new();
        for (name, content, valid) in [
            ("snapshot.1", &b"0123456789\0\0\0\x01/"[..], true),
            ("snapshot.2", b"0123456789\0\0\0\x01/\0", false),
            ("snapshot.3", b"\0\0\0\x01/", false),
            ("snapshot.4", b"", false),
            ("snapshot.5.gz", b"\x1f\x8bx", true),
            ("snapshot.6.gz", b"\x1f", false),
            ("snapshot.7.snappy", b"\x82SNAPPY\0", true),
            ("snapshot.8.snappy", b"\x82SNAPPX\0", false),
            ("tmp-snapshot.9", b"0123456789\0\0\0\x01/", false),
            ("snapshot.a.tmp", b"0123456789\0\0\0\x01/", true),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            assert_eq!(is_valid_snapshot(&path).unwrap(), valid, "{name}");
        }
        assert!(is_valid_snapshot(&dir.path().join("snapshot.ff")).is_err());
    }

    #[test]
    fn the_checksum_covers_what_was_read_and_not_what_was_buffered() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * READ + 100).collect();
        let mut input = CheckedInputStream::new(&bytes[..]);
        let mut read = 0;
        for len in [1, 0, 7, READ - 8, 1, 2 * READ, 50] {
            input.read_exact(&mut vec![0; len]).unwrap();
            read += len;
            let mut expected = Adler32::new();
            expected.write(&bytes[..read]);
            assert_eq!(input.checksum().finish(), expected.finish(), "after {read} bytes");
        }
        assert!(input.read_exact(&mut [0; 51]).is_err());
    }

    #[test]
    fn every_mode_gives_back_what_was_written() {
        let dir = TestDir::new();
        let piece: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for mode in [StreamMode::Checked, StreamMode::Gzip, StreamMode::Snappy] {
            let path = dir.path().join(format!("snapshot.1{}", mode.file_extension()));
            let mut out = CheckedOutputStream::new(File::create(&path).unwrap(), mode).unwrap();
            for end in [1, 10, 32768, piece.len(), 0] {
                out.write_all(&piece[..end]).unwrap();
            }
            out.seal().unwrap();
            drop(out.finish().unwrap());
            assert!(is_valid_snapshot(&path).unwrap(), "{mode:?}");

            let mut input = input_stream(&path).unwrap();
            for end in [1, 10, 32768, piece.len(), 0] {
                let mut bytes = vec![0; end];
                input.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes, piece[..end], "{mode:?}");
            }
            let mut archive = BinaryInputArchive::new(input, crate::jute::Limits::default());
            assert!(check_seal(&mut archive).unwrap(), "{mode:?}");
            assert_eq!(archive.input().read(&mut [0; 1]).unwrap(), 0);
        }
    }
}
