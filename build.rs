//! Says to the crate which sources it is built from, and when (no Java twin: Java's build writes version/Info.java).
//!
//! The revision and its date are git's. They change, and the crate is built again, when another revision is checked out or
//! made, not otherwise. `ZOOKEEPER_REVISION_HASH` and `ZOOKEEPER_BUILD_DATE` say them where there is no git;
//! `SOURCE_DATE_EPOCH` (seconds) goes before git's date.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to it by the environment, and it has nobody's clock"
)]

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const REVISION: &str = "ZOOKEEPER_REVISION_HASH";
const DATE: &str = "ZOOKEEPER_BUILD_DATE";
const EPOCH: &str = "SOURCE_DATE_EPOCH";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in [REVISION, DATE, EPOCH] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let from_git = git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix.is_empty());
    if from_git {
        watch_git();
    }
    let ask = |args: &[&str]| from_git.then(|| git(args)).flatten();
    let revision = env::var(REVISION).ok().or_else(|| ask(&["rev-parse", "HEAD"]));
    if let Some(revision) = revision {
        println!("cargo::rustc-env={REVISION}={revision}");
    }
    let date = env::var(DATE).unwrap_or_else(|_| {
        let epoch = env::var(EPOCH).ok().and_then(|epoch| epoch.trim().parse().ok());
        let of_revision = || ask(&["show", "-s", "--format=%ct", "HEAD"])?.parse().ok();
        date(epoch.or_else(of_revision).unwrap_or_else(now))
    });
    println!("cargo::rustc-env={DATE}={date}");
}

/// What git answers in the directory of the sources; `None` without git, or where this is no repository.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Has cargo run this again when the revision may be another one. Each commit and checkout adds to the log of HEAD; where
/// none is kept, the files with the revision are looked at. Cargo takes a file that is missing for changed.
fn watch_git() {
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    let names = [Some("logs/HEAD"), Some("HEAD"), branch.as_deref(), Some("packed-refs")];
    let files =
        names.into_iter().flatten().filter_map(|name| git(&["rev-parse", "--git-path", name]));
    for file in files.filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-01-31 09:05 UTC`, as Java's build writes it.
pub(crate) fn date(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    // Counted in years that begin in March, so that a leap day is the last one of its year.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02} UTC")
}
