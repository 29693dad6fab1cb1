//! Answers as they stand in a file (Java: server/admin/StreamOutputter.java).

use std::fs::File;
use std::io;

use super::http_message::Content;

/// The type of the bytes.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// The file's bytes, as many as it has now.
///
/// # Errors
/// When the file cannot be asked how long it is.
pub fn content(file: File) -> io::Result<Content> {
    let length = file.metadata()?.len();
    Ok(Content::Stream(Box::new(file), length))
}
