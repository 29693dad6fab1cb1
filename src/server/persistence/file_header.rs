//! The header of log files and snapshots (Java: server/persistence/FileHeader.java, made from zookeeper.jute).

crate::record! {
    /// The first 16 bytes of a log file or snapshot.
    pub struct FileHeader {
        /// The magic number, which tells a log file from a snapshot.
        magic: i32,
        /// The version of the format: 2 in all releases. Nothing reads it.
        version: i32,
        /// The number of the database: 0 in a log file, -1 in a snapshot. Nothing reads it.
        dbid: i64,
    }
}

impl FileHeader {
    /// The size on disk, in bytes.
    pub const SIZE: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Record;

    #[test]
    fn the_header_is_sixteen_bytes() {
        let header = FileHeader { magic: 0x5a4b_4c47, version: 2, dbid: 0 };
        assert_eq!(header.to_bytes(), *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
        assert_eq!(header.to_bytes().len(), FileHeader::SIZE);
    }
}
