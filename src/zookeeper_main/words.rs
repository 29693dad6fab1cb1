//! Splits a typed line into words (Java: MyCommandOptions.parseCommand in ZooKeeperMain.java).
//!
//! Blanks separate words. A word in single or double quotes keeps its blanks and loses its quotes. As with Java's
//! regular expression, a quote that is never closed is ignored, and a quote inside a word is an ordinary character.

/// The words.
#[must_use]
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some((word, after)) = next_word(rest) {
        words.push(without_quotes(word).to_owned());
        rest = after;
    }
    words
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// The next word, and the text after the blanks that follow it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_blank);
    let first = text.chars().next()?;
    let end = if matches!(first, '"' | '\'') {
        match text[1..].find(first) {
            Some(at) => at + 2,
            None => return next_word(&text[1..]),
        }
    } else {
        text.find(is_blank).unwrap_or(text.len())
    };
    let (word, after) = text.split_at(end);
    Some((word, after.trim_start_matches(is_blank)))
}

fn without_quotes(word: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| word.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same results as from Java's regular expressions.
    #[test]
    fn quotes_keep_blanks_together() {
        for (line, words) in [
            ("ls /", &["ls", "/"][..]),
            ("  get   -s\t/a  ", &["get", "-s", "/a"]),
            ("create \"/a b\" 'it is'", &["create", "/a b", "it is"]),
            ("create /a it's", &["create", "/a", "it's"]),
            ("create \"/uneven", &["create", "/uneven"]),
            ("set /a \"\"", &["set", "/a", ""]),
            ("a\"b c\"", &["a\"b", "c\""]),
            ("'a' 'b", &["a", "b"]),
            ("' \"a b\"", &["a b"]),
            ("\"", &[]),
            ("\"a\"b", &["a", "b"]),
            ("", &[]),
            ("   ", &[]),
        ] {
            assert_eq!(split(line), words, "{line:?}");
        }
    }
}
