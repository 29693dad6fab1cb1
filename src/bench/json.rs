//! JSON for reports (no Java twin): this program writes it and never reads it.

use std::fmt::Write;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// A value that was not measured.
    Null,
    /// A number. Values that JSON cannot express (NaN, infinity) become null.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names and values, in the given order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An object of the pairs.
    pub(crate) fn object<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// A number, or null.
    pub(crate) fn optional(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    /// The text of the value, on several lines.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text.push('\n');
        text
    }

    fn write(&self, depth: usize, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Number(number) if number.is_finite() => {
                // Writing into a String cannot fail.
                let _written = write!(text, "{number}");
            }
            Self::Number(_) => text.push_str("null"),
            Self::Text(content) => write_text(content, text),
            Self::List(values) if values.iter().all(Self::is_scalar) => {
                text.push('[');
                for (at, value) in values.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { ", " });
                    value.write(depth, text);
                }
                text.push(']');
            }
            Self::List(values) => write_lines('[', ']', values, depth, text, |value, text| {
                value.write(depth + 1, text);
            }),
            Self::Object(pairs) => {
                write_lines('{', '}', pairs, depth, text, |(key, value), text| {
                    write_text(key, text);
                    text.push_str(": ");
                    value.write(depth + 1, text);
                })
            }
        }
    }

    const fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object(_))
    }
}

fn write_lines<T>(
    open: char,
    close: char,
    items: &[T],
    depth: usize,
    text: &mut String,
    mut write: impl FnMut(&T, &mut String),
) {
    text.push(open);
    for (at, item) in items.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        write(item, text);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

fn write_text(content: &str, text: &mut String) {
    text.push('"');
    for character in content.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            control if control < ' ' => {
                let _written = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lists_and_awkward_text_come_out_as_json() {
        let json = Json::object([
            ("a \"b\"\n\u{1}", Json::Text("back\\slash".into())),
            ("list", Json::List(vec![Json::Number(1.0), Json::Number(f64::NAN), Json::Null])),
            ("deep", Json::List(vec![Json::object([("x", Json::Number(0.25))])])),
        ]);
        assert_eq!(
            json.render(),
            "{\n  \"a \\\"b\\\"\\n\\u0001\": \"back\\\\slash\",\n  \"list\": [1, null, null],\n  \
             \"deep\": [\n    {\n      \"x\": 0.25\n    }\n  ]\n}\n"
        );
    }
}
