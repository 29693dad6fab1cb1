//! Java's text form of a record (Java: org/apache/jute/ToStringOutputArchive.java), for tools that print
//! records.

use std::fmt::Write as _;

use super::{OutputArchive, Record};

/// Collects the text of one record.
#[derive(Debug, Default)]
pub struct ToStringOutputArchive {
    text: String,
    has_value: bool,
}

impl ToStringOutputArchive {
    /// The text of Java's `toString` for the record, with the line end that closes it.
    #[must_use]
    pub fn text_of<T: Record>(record: &T) -> String {
        let mut archive = Self::default();
        record.serialize(&mut archive);
        archive.text
    }

    fn comma_unless_first(&mut self) {
        if self.has_value {
            self.text.push(',');
        }
        self.has_value = true;
    }

    fn open(&mut self, text: &str) {
        self.comma_unless_first();
        self.text.push_str(text);
        self.has_value = false;
    }

    fn close(&mut self, text: &str, has_value: bool) {
        self.text.push_str(text);
        self.has_value = has_value;
    }
}

impl OutputArchive for ToStringOutputArchive {
    fn write_byte(&mut self, value: u8, tag: &str) {
        self.write_long(i64::from(value.cast_signed()), tag);
    }

    fn write_bool(&mut self, value: bool, _tag: &str) {
        self.comma_unless_first();
        self.text.push(if value { 'T' } else { 'F' });
    }

    fn write_int(&mut self, value: i32, tag: &str) {
        self.write_long(i64::from(value), tag);
    }

    fn write_long(&mut self, value: i64, _tag: &str) {
        self.comma_unless_first();
        self.text.push_str(&value.to_string());
    }

    fn write_string(&mut self, value: Option<&str>, _tag: &str) {
        self.comma_unless_first();
        let Some(text) = value else { return };
        self.text.push('\'');
        for character in text.chars() {
            match character {
                '\0' => self.text.push_str("%00"),
                '\n' => self.text.push_str("%0A"),
                '\r' => self.text.push_str("%0D"),
                ',' => self.text.push_str("%2C"),
                '}' => self.text.push_str("%7D"),
                '%' => self.text.push_str("%25"),
                other => self.text.push(other),
            }
        }
    }

    fn write_buffer(&mut self, value: Option<&[u8]>, _tag: &str) {
        self.comma_unless_first();
        let Some(bytes) = value.filter(|bytes| !bytes.is_empty()) else { return };
        self.text.push('#');
        for byte in bytes {
            // Java prints the sign and no leading zeros.
            let written = write!(self.text, "{:x}", i32::from(byte.cast_signed()));
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
    }

    fn start_record(&mut self, tag: &str) {
        if !tag.is_empty() {
            self.open("s{");
        }
    }

    fn end_record(&mut self, tag: &str) {
        if tag.is_empty() {
            self.close("\n", false);
        } else {
            self.close("}", true);
        }
    }

    fn start_vector(&mut self, _len: Option<usize>, _tag: &str) {
        self.open("v{");
    }

    fn end_vector(&mut self, _tag: &str) {
        self.close("}", true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ACL, Id};
    use crate::txn::CreateTxn;

    #[test]
    fn a_record_prints_as_java_prints_it() {
        let txn = CreateTxn {
            path: "/a,b".into(),
            data: Some(vec![0x0a, 0xff]),
            acl: vec![ACL { perms: 31, id: Id { scheme: "world".into(), id: "anyone".into() } }],
            ephemeral: true,
            parent_c_version: 7,
        };
        assert_eq!(
            ToStringOutputArchive::text_of(&txn),
            "'/a%2Cb,#affffffff,v{s{31,s{'world,'anyone}}},T,7\n"
        );
    }
}
