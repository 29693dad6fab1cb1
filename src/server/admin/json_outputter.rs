//! Formats answers as JSON (Java: server/admin/JsonOutputter.java, and the library behind it).
//!
//! The layout is that of Java's library with indentation enabled, so that answers can be compared byte by byte:
//! a blank on both sides of a colon, and lists on one line except for objects in them.

use std::borrow::Cow;

use crate::metrics::metric_value::{MetricValue, java_double};

/// The content type of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// The value `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A fraction.
    Double(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Json>),
    /// Names and values in order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Creates an object from names and values.
    pub fn object<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Object(entries.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Appends the text; `level` is the number of objects around it.
    fn write(&self, out: &mut String, level: usize) {
        match self {
            Self::Null => *out += "null",
            Self::Bool(value) => *out += if *value { "true" } else { "false" },
            Self::Long(number) => *out += &number.to_string(),
            Self::Double(number) if number.is_finite() => *out += &java_double(*number),
            Self::Double(number) => write_text(out, &java_double(*number)),
            Self::Text(text) => write_text(out, text),
            Self::List(values) => {
                *out += "[ ";
                for (number, value) in values.iter().enumerate() {
                    if number > 0 {
                        *out += ", ";
                    }
                    value.write(out, level);
                }
                *out += if values.is_empty() { "]" } else { " ]" };
            }
            Self::Object(entries) => {
                let entries = entries.iter().map(|(name, value)| (name.as_str(), value));
                write_object(out, level, entries);
            }
        }
    }
}

fn write_object<'a>(
    out: &mut String,
    level: usize,
    entries: impl ExactSizeIterator<Item = (&'a str, &'a Json)>,
) {
    if entries.len() == 0 {
        *out += "{ }";
        return;
    }
    *out += "{";
    for (number, (name, value)) in entries.enumerate() {
        if number > 0 {
            *out += ",";
        }
        end_line(out, level + 1);
        write_text(out, name);
        *out += " : ";
        value.write(out, level + 1);
    }
    end_line(out, level);
    *out += "}";
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Long(number)
    }
}

impl From<i32> for Json {
    fn from(number: i32) -> Self {
        Self::Long(number.into())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Long(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<MetricValue> for Json {
    fn from(value: MetricValue) -> Self {
        match value {
            MetricValue::Long(number) => Self::Long(number),
            MetricValue::Double(number) => Self::Double(number),
            MetricValue::Text(text) => Self::Text(text),
        }
    }
}

fn end_line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level));
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => *out += "\\\"",
            '\\' => *out += "\\\\",
            '\u{8}' => *out += "\\b",
            '\u{c}' => *out += "\\f",
            '\n' => *out += "\\n",
            '\r' => *out += "\\r",
            '\t' => *out += "\\t",
            control if control < ' ' => *out += &format!("\\u{:04X}", u32::from(control)),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The names and values of an answer as JSON text.
#[must_use]
pub(crate) fn output(entries: &[(&str, Cow<'_, Json>)]) -> String {
    let mut text = String::new();
    write_object(&mut text, 0, entries.iter().map(|(name, value)| (*name, &**value)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &Json) -> String {
        let mut text = String::new();
        json.write(&mut text, 0);
        text
    }

    #[test]
    fn the_layout_is_that_of_javas_library() {
        let json = Json::object([
            ("n", Json::Null),
            ("empty", Json::List(Vec::new())),
            ("none", Json::Object(Vec::new())),
            ("list", Json::List(vec![Json::Long(1), Json::Double(2.0), Json::Double(f64::NAN)])),
            (
                "objects",
                Json::List(vec![
                    Json::object([("a", true.into())]),
                    Json::object([("b", Json::object([("c", 1_i64.into())]))]),
                ]),
            ),
        ]);
        assert_eq!(
            text(&json),
            r#"{
  "n" : null,
  "empty" : [ ],
  "none" : { },
  "list" : [ 1, 2.0, "NaN" ],
  "objects" : [ {
    "a" : true
  }, {
    "b" : {
      "c" : 1
    }
  } ]
}"#
        );
    }

    #[test]
    fn what_cannot_stand_in_a_text_is_escaped() {
        assert_eq!(text(&"/a/g\"ä€\\\n\t\u{1f}".into()), "\"/a/g\\\"ä€\\\\\\n\\t\\u001F\"");
    }
}
