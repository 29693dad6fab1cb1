//! The request to delete an empty container (Java: org/apache/zookeeper/DeleteContainerRequest.java).
//!
//! Its encoding is written by hand, because the path is sent as a buffer of plain UTF-8 and not as a jute string.
//! Servers before 3.9 send and expect only the bytes without their length. Only a server sends this request, to its
//! leader.

use std::io::Read;

use crate::jute::{BinaryInputArchive, InputError, OutputArchive, Record};

/// The container to delete. The leader creates this request itself; ordinary clients do not send it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeleteContainerRequest {
    /// The node.
    pub path: String,
}

impl Record for DeleteContainerRequest {
    const NAME: &'static str = "DeleteContainerRequest";

    fn fields() -> Vec<(&'static str, String)> {
        vec![("path", "buffer".into())]
    }

    fn serialize<A: OutputArchive + ?Sized>(&self, archive: &mut A) {
        archive.write_buffer(Some(self.path.as_bytes()), "path");
    }

    fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError> {
        let bytes = archive.read_buffer("path")?.ok_or(InputError::Null { tag: "path" })?;
        let path = match String::from_utf8(bytes) {
            Ok(path) => path,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(Self { path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Limits;

    #[test]
    fn the_path_is_a_buffer_of_plain_utf8() {
        let request = DeleteContainerRequest { path: "/\u{1f600}".into() };
        let bytes = request.to_bytes();
        assert_eq!(bytes, [0, 0, 0, 5, b'/', 0xf0, 0x9f, 0x98, 0x80]);
        let mut archive = BinaryInputArchive::new(&bytes[..], Limits::default());
        assert_eq!(DeleteContainerRequest::deserialize(&mut archive).unwrap(), request);
    }

    #[test]
    fn a_null_path_is_refused() {
        let mut archive = BinaryInputArchive::new(&[0xff; 4][..], Limits::default());
        assert!(DeleteContainerRequest::deserialize(&mut archive).is_err());
    }
}
