//! Log lines with the layout of Java's conf/logback.xml (no Java twin: logback).
//!
//! `%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n`: the class is the last part of the logger's name, and
//! the line number is that of the Rust source. Differs from Java: every line shows `myid` once it is known, and a tab
//! follows each line break inside a message, so that a client's data cannot forge a log line.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use env_logger::{Builder, Target, WriteStyle};
use log::{Level, LevelFilter, Record};

use crate::common::java_date;
use crate::common::time::{SystemClock, TimeSource};
use crate::common::zk_config::SystemProperties;
use crate::ids::Sid;
use crate::util::thread_name;

/// Where the log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// To standard output, from INFO. For servers.
    Stdout,
    /// To standard error, from WARN. For tools, whose standard output is their result.
    Stderr,
}

impl LogTo {
    const fn default_level(self) -> LevelFilter {
        match self {
            Self::Stdout => LevelFilter::Info,
            Self::Stderr => LevelFilter::Warn,
        }
    }
}

/// The data about the server that every line shows.
#[derive(Clone, Debug, Default)]
pub struct LogContext {
    myid: Arc<OnceLock<Sid>>,
}

impl LogContext {
    /// Sets the id of this server (Java: `MDC.put("myid", ..)`). Later calls have no effect.
    pub fn set_myid(&self, myid: Sid) {
        self.myid.get_or_init(|| myid);
    }
}

/// Starts logging for the whole process. A second call has no effect.
///
/// The level comes from the first of these properties that is set: `zookeeper.root.logger`, whose first word is a
/// level (`INFO,CONSOLE`), `zookeeper.console.threshold`, `zookeeper.log.threshold`. `zookeeper.log.filters`, a list
/// such as `warn,org.apache.zookeeper.server.persistence=debug`, takes precedence.
pub fn init(properties: &SystemProperties, log_to: LogTo) -> LogContext {
    let context = LogContext::default();
    let shown = context.clone();
    let mut builder = Builder::new();
    builder.filter_level(level(properties, log_to.default_level()));
    if let Some(filters) = properties.get("zookeeper.log.filters") {
        builder.parse_filters(filters);
    }
    builder.write_style(WriteStyle::Never).target(match log_to {
        LogTo::Stdout => Target::Stdout,
        LogTo::Stderr => Target::Stderr,
    });
    let clock = SystemClock::new();
    builder.format(move |out, record| {
        let (wall_ms, myid) = (clock.wall_ms(), shown.myid.get().copied());
        thread_name::with_current_name(|thread| {
            write_line(out, &Line { wall_ms, myid, thread, record })
        })
    });
    // A second server in the same process uses the log of the first one.
    let _already_started = builder.try_init();
    context
}

/// The level from the first of the properties that is set. An unknown level counts as DEBUG, as in logback.
fn level(properties: &SystemProperties, default: LevelFilter) -> LevelFilter {
    let names = ["zookeeper.root.logger", "zookeeper.console.threshold", "zookeeper.log.threshold"];
    let Some(text) = names.iter().find_map(|name| properties.get(name)) else { return default };
    let name = text.split(',').next().unwrap_or_default().trim().to_ascii_uppercase();
    match name.as_str() {
        "OFF" => LevelFilter::Off,
        "FATAL" | "ERROR" => LevelFilter::Error,
        "WARN" => LevelFilter::Warn,
        "INFO" => LevelFilter::Info,
        "TRACE" | "ALL" => LevelFilter::Trace,
        _ => LevelFilter::Debug,
    }
}

/// The parts of a log line.
struct Line<'a> {
    wall_ms: i64,
    myid: Option<Sid>,
    thread: &'a str,
    record: &'a Record<'a>,
}

fn write_line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let record = line.record;
    let myid = line.myid.map(|myid| myid.to_string()).unwrap_or_default();
    let level = match record.level() {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    };
    write!(
        out,
        "{} [myid:{myid}] - {level} [{}:{}@{}] - ",
        java_date::iso8601(line.wall_ms),
        line.thread,
        class_name(record.target()),
        record.line().unwrap_or_default(),
    )?;
    let mut message = OneLine { out, result: Ok(()) };
    if fmt::write(&mut message, *record.args()).is_err() {
        message.result?;
    }
    writeln!(out)
}

/// The last part of a logger's name or of a module path.
fn class_name(target: &str) -> &str {
    target.rsplit(['.', ':']).next().unwrap_or(target)
}

/// Passes a message on, with a tab after each line break.
struct OneLine<'a, W> {
    out: &'a mut W,
    result: io::Result<()>,
}

impl<W: Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (at, part) in text.split('\n').enumerate() {
            let tab: &[u8] = if at == 0 { b"" } else { b"\n\t" };
            let written =
                self.out.write_all(tab).and_then(|()| self.out.write_all(part.as_bytes()));
            if written.is_err() {
                self.result = written;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(myid: Option<Sid>, level: Level, target: &str, message: &str) -> String {
        let mut out = Vec::new();
        let thread = "QuorumPeer[myid=1](plain=0.0.0.0:2181)(secure=disabled)";
        let mut builder = Record::builder();
        let builder = builder.level(level).target(target).line(Some(142));
        write_line(
            &mut out,
            &Line {
                wall_ms: 123,
                myid,
                thread,
                record: &builder.args(format_args!("{message}")).build(),
            },
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_javas_layout_and_the_whole_name_of_the_thread() {
        let text = line(Some(Sid(1)), Level::Info, "org.apache.zookeeper.server.Request", "m");
        let (time, rest) = text.split_at(23);
        assert_eq!(time, java_date::iso8601(123));
        assert_eq!(
            rest,
            " [myid:1] - INFO  \
             [QuorumPeer[myid=1](plain=0.0.0.0:2181)(secure=disabled):Request@142] - m\n"
        );
        let text = line(None, Level::Error, "zookeeper_server::bench", "m");
        assert!(text.contains(" [myid:] - ERROR ["), "{text}");
        assert!(text.contains(":bench@142] - m"), "{text}");
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let text = line(None, Level::Warn, "a.B", "one\n2026-01-01 two\n");
        assert!(text.ends_with(" - one\n\t2026-01-01 two\n\t\n"), "{text:?}");
    }

    #[test]
    fn the_first_property_that_is_set_gives_the_level() {
        for (properties, expected) in [
            (vec![], LevelFilter::Info),
            (vec![("zookeeper.log.threshold", "warn")], LevelFilter::Warn),
            (vec![("zookeeper.root.logger", "ERROR, CONSOLE")], LevelFilter::Error),
            (
                vec![("zookeeper.console.threshold", "TRACE"), ("zookeeper.log.threshold", "OFF")],
                LevelFilter::Trace,
            ),
            (
                vec![("zookeeper.root.logger", "OFF"), ("zookeeper.console.threshold", "TRACE")],
                LevelFilter::Off,
            ),
            (vec![("zookeeper.root.logger", "loud")], LevelFilter::Debug),
        ] {
            let text = format!("{properties:?}");
            let properties = SystemProperties::from_pairs(properties);
            assert_eq!(level(&properties, LevelFilter::Info), expected, "{text}");
        }
    }
}
