//! Sends a file unchanged as an answer (Java: server/admin/StreamOutputter.java).

use std::fs::File;
use std::io;

use super::http_message::Content;

/// The content type of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/octet-stream";

/// The file's bytes, up to its current length.
///
/// # Errors
/// When the file's length cannot be read.
pub(crate) fn content(file: File) -> io::Result<Content> {
    let length = file.metadata()?.len();
    Ok(Content::Stream(Box::new(file), length))
}
