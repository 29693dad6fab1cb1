//! snappy-java's stream format (no Java twin here; Java: org.xerial.snappy.SnappyOutputStream, SnappyInputStream).
//!
//! A stream is a header (magic, version 1, compatible version 1) followed by blocks. A block is a length (int)
//! and that many bytes of raw snappy data, 32 KiB when uncompressed. A file can contain several streams, each
//! with its own header.

use std::io::{self, Read, Write};

use byteorder::{BigEndian, ByteOrder};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// The first bytes of every stream.
pub(crate) const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";

/// The version and the lowest compatible version, as snappy-java writes them.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];

/// The uncompressed size of a block that this server writes.
const BLOCK: usize = 32 * 1024;

/// The largest accepted block, in bytes, compressed or not. Writers use 32 KiB unless they are configured
/// otherwise.
const LARGEST_BLOCK: usize = 16 * 1024 * 1024;

/// The largest possible compression ratio: three bytes copy at most 64. A block that claims more is refused
/// before memory is allocated.
const LARGEST_RATIO: usize = 22;

/// Decompresses a stream.
#[derive(Debug)]
pub(crate) struct SnappyReader<R> {
    input: R,
    block: Vec<u8>,
    read: usize,
    compressed: Vec<u8>,
}

impl<R: Read> SnappyReader<R> {
    /// Creates a reader and reads the header.
    ///
    /// # Errors
    /// When the input does not start with a header.
    pub(crate) fn new(mut input: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("it does not start as a snappy stream"));
        }
        input.read_exact(&mut [0; VERSIONS.len()])?;
        Ok(Self { input, block: Vec::new(), read: 0, compressed: Vec::new() })
    }

    /// Reads the next block; false at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        if !read_exact_or_end(&mut self.input, &mut length)? {
            return Ok(false);
        }
        if length == MAGIC[..4] {
            self.input.read_exact(&mut [0; MAGIC.len() - 4 + VERSIONS.len()])?;
            self.block.clear();
            self.read = 0;
            return Ok(true);
        }
        let length = BigEndian::read_u32(&length) as usize;
        if length > max_compress_len(LARGEST_BLOCK) {
            return Err(invalid("a block is too large"));
        }
        self.compressed.clear();
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut self.compressed)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain = decompress_len(&self.compressed).map_err(invalid)?;
        if plain > LARGEST_BLOCK || plain / LARGEST_RATIO > self.compressed.len() {
            return Err(invalid("a block is too large"));
        }
        self.block.resize(plain, 0);
        let len = Decoder::new().decompress(&self.compressed, &mut self.block).map_err(invalid)?;
        self.block.truncate(len);
        self.read = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappyReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.read == self.block.len() {
            if bytes.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let len = (&self.block[self.read..]).read(bytes)?;
        self.read += len;
        Ok(len)
    }
}

/// Fills `bytes`. False if the input has ended before the first byte.
fn read_exact_or_end(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    let mut read = 0;
    while read < bytes.len() {
        match input.read(&mut bytes[read..]) {
            Ok(0) if read == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => read += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn invalid(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Compresses a stream.
#[derive(Debug)]
pub(crate) struct SnappyWriter<W> {
    out: W,
    encoder: Encoder,
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl<W: Write> SnappyWriter<W> {
    /// Creates a writer and writes the header.
    ///
    /// # Errors
    /// When `out` fails.
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSIONS)?;
        let encoder = Encoder::new();
        Ok(Self { out, encoder, block: Vec::with_capacity(BLOCK), compressed: Vec::new() })
    }

    /// Writes all bytes. The last incomplete block stays in memory until [`finish`](Self::finish).
    ///
    /// # Errors
    /// When `out` fails.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = bytes.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&bytes[..len]);
            bytes = &bytes[len..];
            if self.block.len() == BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        const LENGTH: usize = 4;
        self.compressed.resize(LENGTH + max_compress_len(self.block.len()), 0);
        let compressed = &mut self.compressed[LENGTH..];
        let len = self.encoder.compress(&self.block, compressed).map_err(invalid)?;
        BigEndian::write_u32(&mut self.compressed[..LENGTH], u32::try_from(len).map_err(invalid)?);
        self.block.clear();
        self.out.write_all(&self.compressed[..LENGTH + len])
    }

    /// Writes the last block.
    ///
    /// # Errors
    /// When `out` fails.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(bytes: &[u8]) -> Vec<u8> {
        let mut out = SnappyWriter::new(Vec::new()).unwrap();
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn read(stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        SnappyReader::new(stream)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn streams_one_after_the_other_are_one() {
        let bytes = vec![5; 100_000];
        let mut both = stream(&bytes);
        both.extend(stream(b"end"));
        assert_eq!(read(&both).unwrap(), [&bytes[..], b"end"].concat());
        assert!(read(&stream(b"")).unwrap().is_empty());
    }

    #[test]
    fn a_stream_that_is_cut_or_claims_too_much_is_an_error() {
        let whole = stream(&[3; 1000]);
        for len in 17..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        assert!(read(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff").is_err());
        assert!(read(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x05\xff\xff\xff\xff\x0f").is_err());
        assert!(read(b"\x81SNAPPY\0\0\0\0\x01\0\0\0\x01").is_err());
    }
}
