//! Data as text (Java: cli/OutputFormatter.java with PlainOutputFormatter, Base64OutputFormatter and
//! HexDumpOutputFormatter).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How to show data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputFormatter {
    /// As UTF-8.
    Plain,
    /// In base64.
    Base64,
    /// As bytes and characters, 16 to a line.
    HexDump,
}

impl OutputFormatter {
    /// The text of the data.
    #[must_use]
    pub(crate) fn format(self, data: &[u8]) -> String {
        match self {
            Self::Plain => String::from_utf8_lossy(data).into_owned(),
            Self::Base64 => STANDARD.encode(data),
            Self::HexDump => hex_dump(data),
        }
    }
}

const EDGE: &str = "+--------+-------------------------------------------------+----------------+";

/// The format of netty's prettyHexDump.
fn hex_dump(data: &[u8]) -> String {
    if data.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "         +-------------------------------------------------+\n         \
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n{EDGE}"
    );
    for (row, bytes) in data.chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String = bytes
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        let line = write!(text, "\n|{:08x}| {:47} |{shown:16}|", row * 16, hex.join(" "));
        debug_assert!(line.is_ok(), "writing to a String cannot fail");
    }
    text + "\n" + EDGE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of Java's formatter.
    #[test]
    fn a_hex_dump_is_that_of_java() {
        let data: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(7).wrapping_add(20)).collect();
        assert_eq!(
            OutputFormatter::HexDump.format(&data),
            r#"         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 14 1b 22 29 30 37 3e 45 4c 53 5a 61 68 6f 76 7d |..")07>ELSZahov}|
|00000010| 84 8b 92 99 a0 a7 ae b5 bc c3 ca d1 d8 df e6 ed |................|
|00000020| f4 fb 02 09 10 17 1e 25                         |.......%        |
+--------+-------------------------------------------------+----------------+"#
        );
        assert_eq!(OutputFormatter::HexDump.format(b""), "");
    }

    #[test]
    fn data_are_shown_as_text_and_in_base64() {
        assert_eq!(OutputFormatter::Base64.format(b"hello"), "aGVsbG8=");
        assert_eq!(OutputFormatter::Plain.format(b"a\xff"), "a\u{fffd}");
    }
}
