//! Replaces a small file atomically (Java: common/AtomicFileWritingIdiom.java).
//!
//! In Java the constructor does the work and the object is thrown away; here it is a function.

use std::io;
use std::path::Path;

use super::atomic_file_output_stream::AtomicFileOutputStream;

/// Writes a file with `write` and renames it to `target` on success. On failure an existing target stays as it
/// is.
///
/// # Errors
/// What `write` returns, and what [`AtomicFileOutputStream`] returns.
pub(crate) fn write_atomically(
    target: &Path,
    write: impl FnOnce(&mut AtomicFileOutputStream) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = AtomicFileOutputStream::create(target)?;
    write(&mut out)?;
    out.commit()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::server::persistence::test_dir::TestDir;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = TestDir::new();
        let target = dir.path().join("currentEpoch");
        write_atomically(&target, |out| out.write_all(b"5")).unwrap();
        let failed = write_atomically(&target, |out| {
            out.write_all(b"6")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read_to_string(&target).unwrap(), "5");
        assert_eq!(dir.names(), ["currentEpoch"]);
    }
}
