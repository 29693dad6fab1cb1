//! Reads files of keys and values as Java does (no Java twin: java.util.Properties).
//!
//! zoo.cfg, the dynamic configuration file and the ensemble configuration in the data tree all have this
//! format. Unlike Java, this reader keeps the order of the file, and for each pair the line on which it starts,
//! so that errors can name it.

use thiserror::Error;

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The name, with escapes resolved.
    pub key: String,
    /// The text after the separator, with escapes resolved. Trailing blanks are part of the value.
    pub value: String,
    /// The line on which it starts, counted from 1.
    pub line: usize,
}

/// The pairs of one file in the file's order. Each name occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Property>,
    replaced: Vec<Property>,
}

/// An escape that Java's reader refuses as well.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: \\u must be followed by four hex digits that form a character")]
pub struct MalformedEscape {
    /// The line on which the pair starts.
    pub line: usize,
}

impl Properties {
    /// Reads a file. Each byte is one ISO 8859-1 character; other characters are written as `\uXXXX`
    /// (Java: Properties.load(InputStream)).
    ///
    /// # Errors
    /// [`MalformedEscape`], the only error of this format.
    pub fn load(bytes: &[u8]) -> Result<Self, MalformedEscape> {
        Self::read(bytes.iter().map(|byte| char::from(*byte)))
    }

    /// Reads decoded text (Java: Properties.load(Reader)).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_str(text: &str) -> Result<Self, MalformedEscape> {
        Self::read(text.chars())
    }

    fn read(chars: impl Iterator<Item = char>) -> Result<Self, MalformedEscape> {
        let mut properties = Self::default();
        for (line, text) in logical_lines(chars) {
            let (key, value) = split(&text);
            let malformed = || MalformedEscape { line };
            properties.put(Property {
                key: unescape(key).ok_or_else(malformed)?,
                value: unescape(value).ok_or_else(malformed)?,
                line,
            });
        }
        Ok(properties)
    }

    /// Sets a value. An earlier pair of the same name moves to [`replaced`](Self::replaced).
    pub fn put(&mut self, property: Property) {
        if let Some(at) = self.entries.iter().position(|earlier| earlier.key == property.key) {
            self.replaced.push(self.entries.remove(at));
        }
        self.entries.push(property);
    }

    /// The value for a name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// All pairs, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.entries.iter()
    }

    /// The pairs that have no effect because a later pair has the same name.
    #[must_use]
    pub fn replaced(&self) -> &[Property] {
        &self.replaced
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// The lines that contain a pair. Comments and empty lines are dropped and continued lines are joined; escapes
/// are kept.
fn logical_lines(chars: impl Iterator<Item = char>) -> Vec<(usize, Vec<char>)> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut text: Vec<char> = Vec::new();
    let mut continued = false;
    let natural_lines = natural_lines(chars);
    let ends_with_break = natural_lines.last().is_none_or(Vec::is_empty);
    for (number, mut natural) in natural_lines.into_iter().enumerate() {
        let blanks = natural.iter().take_while(|c| is_blank(**c)).count();
        natural.drain(..blanks);
        if text.is_empty() {
            if matches!(natural.first(), None | Some('#' | '!')) {
                continued = false;
                continue;
            }
            if !continued {
                start = number + 1;
            }
        }
        text.append(&mut natural);
        let backslashes = text.iter().rev().take_while(|c| **c == '\\').count();
        continued = backslashes % 2 == 1;
        if continued {
            text.pop();
        } else {
            lines.push((start, std::mem::take(&mut text)));
        }
    }
    // The file ends within a continued line. As in Java, a backslash alone makes an empty pair.
    if !text.is_empty() || (continued && !ends_with_break) {
        lines.push((start, text));
    }
    lines
}

/// Splits at `\n`, `\r` and `\r\n`.
fn natural_lines(chars: impl Iterator<Item = char>) -> Vec<Vec<char>> {
    let mut lines = vec![Vec::new()];
    let mut after_return = false;
    for c in chars {
        match c {
            '\n' if after_return => {}
            '\n' | '\r' => lines.push(Vec::new()),
            _ => {
                if let Some(line) = lines.last_mut() {
                    line.push(c);
                }
            }
        }
        after_return = c == '\r';
    }
    lines
}

/// Splits a line into key and value. The key ends at the first unescaped blank, `=` or `:`. The separator is
/// all blanks there, with at most one `=` or `:` among them.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut escaped = false;
    let key_length = line
        .iter()
        .position(|c| {
            let ends = !escaped && (matches!(c, '=' | ':') || is_blank(*c));
            escaped = *c == '\\' && !escaped;
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(key_length);
    let mut separated = false;
    let separator = rest
        .iter()
        .position(|c| match c {
            '=' | ':' if !separated => {
                separated = true;
                false
            }
            _ => !is_blank(*c),
        })
        .unwrap_or(rest.len());
    (key, &rest[separator..])
}

/// Resolves escapes; `None` if a `\u` is malformed. Java's characters are UTF-16 units, so two escapes can form
/// one character.
fn unescape(text: &[char]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.iter().copied();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' {
            match chars.next() {
                None => break,
                Some('u') => {
                    units.push(hex_unit(&mut chars)?);
                    continue;
                }
                Some('t') => '\t',
                Some('r') => '\r',
                Some('n') => '\n',
                Some('f') => '\x0c',
                Some(other) => other,
            }
        } else {
            c
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    // An unpaired surrogate is not a character. Java would keep it and print `?` wherever the text leaves the
    // process.
    String::from_utf16(&units).ok()
}

fn hex_unit(chars: &mut impl Iterator<Item = char>) -> Option<u16> {
    let mut unit = 0_u32;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let properties = Properties::load(text.as_bytes()).unwrap();
        properties.iter().map(|p| (p.key.clone(), p.value.clone())).collect()
    }

    #[test]
    fn separators_blanks_and_escapes_are_javas() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("a \t\x0c= \t b ", "a", "b "),
            ("a = = b", "a", "= b"),
            ("a : = b", "a", "= b"),
            ("  a", "a", ""),
            ("=b", "", "b"),
            ("a\\=b=c", "a=b", "c"),
            ("a\\ b c", "a b", "c"),
            ("a\\\\=c", "a\\", "c"),
            ("dir=C:\\\\zoo\\data", "dir", "C:\\zoodata"),
            ("t=\\t\\n\\r\\f\\q", "t", "\t\n\r\x0cq"),
            ("u=\\u00e4\\uD83D\\uDE00", "u", "\u{e4}\u{1f600}"),
            ("server.1=[::1]:2888:3888;2181", "server.1", "[::1]:2888:3888;2181"),
            ("a=b\\", "a", "b"),
            ("\\", "", ""),
        ] {
            assert_eq!(pairs(text), [(key.to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn comments_and_empty_lines_carry_nothing() {
        assert_eq!(pairs("# a=b\n  ! c=d\r\n\r\n \t\n"), []);
        assert_eq!(pairs("a=b # c"), [("a".to_owned(), "b # c".to_owned())]);
        assert_eq!(pairs("\\\n"), []);
        assert_eq!(pairs("# a \\\nb=c"), [("b".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn a_backslash_continues_a_line_and_an_even_number_does_not() {
        assert_eq!(pairs("a=b,\\\n   c\\\r\n\td"), [("a".to_owned(), "b,cd".to_owned())]);
        assert_eq!(
            pairs("a=b\\\\\nc=d"),
            [("a".to_owned(), "b\\".to_owned()), ("c".to_owned(), "d".to_owned())]
        );
        assert_eq!(
            pairs("a=b\\\n\nc=d"),
            [("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())]
        );
        assert_eq!(pairs("a=b\\\n#c"), [("a".to_owned(), "b#c".to_owned())]);
    }

    #[test]
    fn the_last_of_two_values_counts_and_the_first_is_told() {
        let properties = Properties::load(b"a=1\n\nb=2\na=3").unwrap();
        assert_eq!(properties.get("a"), Some("3"));
        let lines: Vec<_> = properties.iter().map(|p| (p.key.as_str(), p.line)).collect();
        assert_eq!(lines, [("b", 3), ("a", 4)]);
        assert_eq!(properties.replaced().len(), 1);
        assert_eq!(properties.replaced()[0].line, 1);
    }

    #[test]
    fn bytes_are_latin_1_and_text_is_what_it_is() {
        assert_eq!(Properties::load("a=\u{e4}".as_bytes()).unwrap().get("a"), Some("\u{c3}\u{a4}"));
        assert_eq!(Properties::load_str("a=\u{e4}").unwrap().get("a"), Some("\u{e4}"));
    }

    #[test]
    fn a_malformed_escape_is_refused_with_its_line() {
        for text in ["\na=\\u12", "\na\\u12g4=b", "\n\\u", "\na=\\uD83D"] {
            assert_eq!(
                Properties::load(text.as_bytes()),
                Err(MalformedEscape { line: 2 }),
                "{text:?}"
            );
        }
    }
}
