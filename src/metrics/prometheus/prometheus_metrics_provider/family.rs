//! Exported metrics and their text form (Java: the text format of Prometheus's client library, version 0.0.4).

use crate::metrics::metric_value::{MetricValue, java_double};
use crate::metrics::metrics_provider::DumpSink;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Summary,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    pub(super) const fn new(name: String, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        Self { name, labels, value }
    }
}

/// A metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Family {
    name: String,
    /// The help text. For its own metrics Java's server exports only the name as help text.
    help: Option<&'static str>,
    kind: Kind,
    samples: Vec<Sample>,
}

impl Family {
    pub(super) const fn new(name: String, kind: Kind, samples: Vec<Sample>) -> Self {
        Self { name, help: None, kind, samples }
    }

    /// The same family with a help text.
    pub(super) fn with_help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }

    /// A family with a single value without labels.
    pub(super) fn of_one(name: &str, kind: Kind, value: f64) -> Self {
        Self::new(name.to_owned(), kind, vec![Sample::new(name.to_owned(), Vec::new(), value)])
    }

    /// Appends the family's lines: all of them if `names` is empty, else those whose names are in `names`. A
    /// family without any requested line is left out.
    pub(super) fn write(&self, out: &mut String, names: &[&str]) {
        let wanted = |sample: &&Sample| names.is_empty() || names.contains(&sample.name.as_str());
        let samples: Vec<&Sample> = self.samples.iter().filter(wanted).collect();
        if samples.is_empty() && !names.is_empty() {
            return;
        }
        let name = &self.name;
        let help = self.help.unwrap_or(name);
        *out += &format!("# HELP {name} {help}\n# TYPE {name} {}\n", self.kind.as_str());
        for sample in samples {
            *out += &sample.name;
            if !sample.labels.is_empty() {
                *out += "{";
                for (label, value) in &sample.labels {
                    *out += &format!("{label}=\"{}\",", escaped(value));
                }
                *out += "}";
            }
            *out += &format!(" {}\n", go_double(sample.value));
        }
    }

    /// Passes the values to `sink`, for `mntr`, with the labels as part of the names.
    pub(super) fn dump(&self, sink: &mut DumpSink<'_>) {
        for sample in &self.samples {
            let mut name = sample.name.clone();
            if !sample.labels.is_empty() {
                let labels =
                    sample.labels.iter().map(|(label, value)| format!("{label}=\"{value}\""));
                name += &format!("{{{}}}", labels.collect::<Vec<_>>().join(","));
            }
            sink(&name, MetricValue::Double(sample.value));
        }
    }
}

/// The value of a label, escaped for quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number in the form that scrapers parse.
fn go_double(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    java_double(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_of_prometheus() {
        let one = Family::of_one("znode_count", Kind::Gauge, 8.0);
        let fds = Family::of_one("fds", Kind::Gauge, 1.0).with_help("Open files.");
        let key = |value: &str| ("key", value.to_owned());
        let quantile = ("quantile", "0.5".to_owned());
        let set = Family::new(
            "w".into(),
            Kind::Summary,
            vec![
                Sample::new("w".into(), vec![key("a\"\\\n"), quantile.clone()], f64::NAN),
                Sample::new("w_count".into(), vec![key("a")], 304.0),
            ],
        );
        let empty = Family::new("e".into(), Kind::Counter, Vec::new());
        let mut text = String::new();
        for family in [&one, &fds, &set, &empty] {
            family.write(&mut text, &[]);
        }
        assert_eq!(
            text,
            "# HELP znode_count znode_count\n# TYPE znode_count gauge\nznode_count 8.0\n\
             # HELP fds Open files.\n# TYPE fds gauge\nfds 1.0\n\
             # HELP w w\n# TYPE w summary\nw{key=\"a\\\"\\\\\\n\",quantile=\"0.5\",} NaN\n\
             w_count{key=\"a\",} 304.0\n# HELP e e\n# TYPE e counter\n"
        );
        let mut dumped = Vec::new();
        set.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
        assert_eq!(dumped[1], "w_count{key=\"a\"} 304.0");
        assert!(dumped[0].ends_with(",quantile=\"0.5\"} NaN"), "{dumped:?}");
    }

    #[test]
    fn only_what_is_asked_for_is_written() {
        let sample = |name: &str| Sample::new(name.into(), Vec::new(), 0.0);
        let family =
            Family::new("s".into(), Kind::Summary, vec![sample("s_count"), sample("s_sum")]);
        let mut text = String::new();
        family.write(&mut text, &["other"]);
        assert_eq!(text, "");
        family.write(&mut text, &["s_sum", "other"]);
        assert_eq!(text, "# HELP s s\n# TYPE s summary\ns_sum 0.0\n");
    }
}
