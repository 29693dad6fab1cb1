//! Splits and trims text as Java's String does (Java: org/apache/zookeeper/common/StringUtils.java, and
//! String.split and trim).

/// Removes all characters up to and including the blank from both ends (Java: String.trim). Rust's `trim`
/// removes a different set.
#[must_use]
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// The pieces between the separators. As in Java's String.split, empty pieces at the end are dropped.
#[must_use]
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    if text.is_empty() {
        return vec![text];
    }
    let mut pieces: Vec<&str> = text.split(separator).collect();
    while pieces.last().is_some_and(|piece| piece.is_empty()) {
        pieces.pop();
    }
    pieces
}

/// The pieces between the separators, trimmed and without empty ones (Java: StringUtils.split).
#[must_use]
pub(crate) fn split_trimmed(text: &str, separator: char) -> Vec<&str> {
    text.split(separator).map(trim).filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pieces_at_the_end_are_left_out() {
        for (text, pieces) in [
            ("", vec![""]),
            ("a", vec!["a"]),
            ("a;", vec!["a"]),
            (";a", vec!["", "a"]),
            ("a;;b;;", vec!["a", "", "b"]),
            (";;", vec![]),
        ] {
            assert_eq!(split(text, ';'), pieces, "{text:?}");
        }
        assert_eq!(split_trimmed(" a ,, b\t", ','), ["a", "b"]);
    }

    #[test]
    fn trim_takes_control_characters_and_leaves_other_blanks() {
        assert_eq!(trim("\0\t a\u{a0} \n"), "a\u{a0}");
    }
}
