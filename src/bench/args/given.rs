//! The options that were given on the command line (no Java twin).

use std::str::FromStr;
use std::time::Duration;

use getopts::Matches;

use crate::bench::error::BenchError;
use crate::bench::template::MAX_KEYS;

use super::JsonTo;

/// The given options, with defaults for the others.
pub(super) struct Given<'a>(pub(super) &'a Matches);

impl Given<'_> {
    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.0.opt_str(name).unwrap_or_else(|| default.into())
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, BenchError> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                BenchError::Arguments(format!("--{name} {text}: no number, or out of range"))
            })
        };
        self.0.opt_str(name).map(parse).transpose()
    }

    /// Numbers separated by commas; empty if the option is not given.
    pub(super) fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, BenchError> {
        let parse = |text: &str| {
            text.trim().parse().map_err(|_| {
                BenchError::Arguments(format!("--{name} {text}: no number, or out of range"))
            })
        };
        self.0.opt_str(name).map_or(Ok(Vec::new()), |list| list.split(',').map(parse).collect())
    }

    /// Numbers separated by commas, each 1 or more.
    pub(super) fn positives(
        &self,
        name: &str,
        default: &[usize],
    ) -> Result<Vec<usize>, BenchError> {
        let numbers: Vec<usize> = self.numbers(name)?;
        if numbers.contains(&0) {
            return Err(BenchError::Arguments(format!("--{name}: each must be 1 or more")));
        }
        Ok(if numbers.is_empty() { default.to_vec() } else { numbers })
    }

    pub(super) fn number_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, BenchError> {
        Ok(self.number(name)?.unwrap_or(default))
    }

    pub(super) fn positive(&self, name: &str, default: usize) -> Result<usize, BenchError> {
        match self.number_or(name, default)? {
            0 => Err(BenchError::Arguments(format!("--{name} must be 1 or more"))),
            number => Ok(number),
        }
    }

    pub(super) fn at_most(
        &self,
        name: &str,
        default: usize,
        limit: usize,
    ) -> Result<usize, BenchError> {
        let number = self.number_or(name, default)?;
        if number > limit {
            return Err(BenchError::Arguments(format!("--{name} must be {limit} or less")));
        }
        Ok(number)
    }

    pub(super) fn keys(&self, name: &str, default: u64) -> Result<u64, BenchError> {
        let number = self.number_or(name, default)?;
        if !(1..=MAX_KEYS).contains(&number) {
            return Err(BenchError::Arguments(format!("--{name} must be 1 to {MAX_KEYS}")));
        }
        Ok(number)
    }

    pub(super) fn threads(&self) -> Result<Option<usize>, BenchError> {
        if !self.0.opt_present("threads") {
            return Ok(None);
        }
        self.positive("threads", 1).map(Some)
    }

    pub(super) fn time(&self, name: &str, default: Duration) -> Result<Duration, BenchError> {
        let wrong = |text: &str| {
            BenchError::Arguments(format!(
                "--{name} {text}: a time looks like 500ms, 10s, 2m or 10"
            ))
        };
        self.0.opt_str(name).map_or(Ok(default), |text| time(&text).ok_or_else(|| wrong(&text)))
    }

    pub(super) fn json(&self) -> JsonTo {
        match self.0.opt_str("json").as_deref() {
            None => JsonTo::Nobody,
            Some("-") => JsonTo::Output,
            Some(file) => JsonTo::File(file.into()),
        }
    }
}

/// `500ms`, `10s`, `2m`, or seconds without a unit; at most a day.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = match text {
        _ if text.ends_with("ms") => (text.strip_suffix("ms")?, 0.001),
        _ if text.ends_with('s') => (text.strip_suffix('s')?, 1.0),
        _ if text.ends_with('m') => (text.strip_suffix('m')?, 60.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}
