//! The part of Rust's lexical structure that the rules need (no Java twin): what is code, and where functions begin
//! and end.

use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// Relative to the project's directory.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The text with comments, strings and characters blanked out. Line numbers stay the same.
    pub(crate) code: String,
}

/// A function and its body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) first_line: usize,
    last_line: usize,
}

impl Function {
    pub(crate) fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Self {
        let code = blank(&text);
        Self { path: path.to_owned(), text, code }
    }

    /// Whether the file contains only tests, or what they need.
    pub(crate) fn is_test_file(&self) -> bool {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        self.path.starts_with("tests")
            || name == "tests"
            || name.starts_with("test_")
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The code before the tests at the end of the file.
    pub(crate) fn product_code(&self) -> &str {
        if self.is_test_file() {
            return "";
        }
        self.code.find("#[cfg(test)]\nmod ").map_or(&self.code, |tests| &self.code[..tests])
    }

    /// The lines of code with one of the words.
    pub(crate) fn find(&self, words: &[&str], fault: &str) -> Vec<(usize, String)> {
        find(&self.code, words, fault)
    }

    /// Like [`find`](Self::find), but without tests.
    pub(crate) fn find_in_product_code(&self, words: &[&str], fault: &str) -> Vec<(usize, String)> {
        find(self.product_code(), words, fault)
    }

    /// All functions with a body, including inner functions.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        let code: Vec<char> = self.code.chars().collect();
        let breaks: Vec<usize> = (0..code.len()).filter(|at| code[*at] == '\n').collect();
        let line_of = |at: usize| breaks.partition_point(|line_break| *line_break < at) + 1;
        let mut at = 0;
        while let Some(start) = next_fn(&code, at) {
            at = start + 3;
            let name: String =
                code[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            // A function has a body if a brace comes before a semicolon. A function type (`fn` in a type) has neither
            // a name nor a body.
            let opening = (at..code.len()).find(|i| matches!(code[*i], '{' | ';'));
            let Some(opening) = opening.filter(|i| code[*i] == '{' && !name.is_empty()) else {
                continue;
            };
            let last_line = line_of(closing(&code, opening));
            functions.push(Function { name, first_line: line_of(start), last_line });
        }
        functions
    }
}

fn find(code: &str, words: &[&str], fault: &str) -> Vec<(usize, String)> {
    let lines = code.lines().enumerate();
    let found = lines.filter(|(_, line)| words.iter().any(|word| has_word(line, word)));
    found.map(|(at, _)| (at + 1, fault.to_owned())).collect()
}

/// Whether the line contains the word, and not only a longer name that ends with it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}

fn next_fn(code: &[char], from: usize) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    (from..code.len().saturating_sub(3))
        .find(|at| code[*at..*at + 3] == ['f', 'n', ' '] && (*at == 0 || !is_word(code[*at - 1])))
}

/// The brace that closes the one at `opening`.
fn closing(code: &[char], opening: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.iter().enumerate().skip(opening) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len() - 1
}

/// Replaces comments, strings and characters with blanks.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code: Vec<char> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code.into_iter().collect()
}

/// The end of the comment, string or character at `at`; `at` itself if there is none.
fn skip(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest),
        ['b', '"', ..] if !after_word => at + 1 + quoted(&rest[1..]),
        ['r', '"' | '#', ..] if !after_word => at + raw(rest, 1),
        ['b', 'r', '"' | '#', ..] if !after_word => at + raw(rest, 2),
        // The character after the backslash may be the quote itself.
        ['\'', '\\', _, rest @ ..] => {
            at + 3 + rest.iter().position(|c| *c == '\'').map_or(0, |i| i + 1)
        }
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `r"..."` or `r#"..."#`. An identifier such as `r#type` is not a string.
fn raw(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return 0;
    }
    let body = prefix + hashes + 1;
    let ends = |at: &usize| {
        rest[*at] == '"' && rest[*at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (body..rest.len()).find(ends).map_or(rest.len(), |at| at + 1 + hashes)
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("\"a\\\"b\" c", "       c"),
        ("r#\"a\"b\"# c", "         c"),
        ("r#type c", "r#type c"),
        ("'{' c 'a c '\\'' c '\\u{1}' c", "    c 'a c      c         c"),
        ("b\"x\" b'{' br\"y\"", "     b          "),
    ] {
        assert_eq!(blank(text).trim_end(), code.trim_end(), "{text}");
    }
}

#[test]
fn functions_are_measured_from_their_first_line_to_the_closing_brace() {
    let text = "trait A {\n    fn a(&self) -> fn(u8) -> u8;\n}\nfn b() {\n    let c = || { 1 \
        };\n}\n";
    let source = Source::new(Path::new("src/a.rs"), text.to_owned());
    let found: Vec<_> =
        source.functions().iter().map(|f| (f.name.clone(), f.first_line, f.lines())).collect();
    assert_eq!(found, [("b".to_owned(), 4, 3)]);
}
