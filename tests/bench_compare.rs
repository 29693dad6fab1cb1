//! Tests the comparison of `zookeeper bench` end to end: it starts servers, loads them in turns and prints ratios.
//! The single servers answer every request and keep nothing, because the tests check the report and not the figures.
//! The ensembles are real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const ZOOKEEPER: &str = env!("CARGO_BIN_EXE_zookeeper");

fn work_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("zk-bench-{name}-{}", std::process::id()));
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    dir
}

fn bench(args: &[&str]) -> Output {
    Command::new(ZOOKEEPER).arg("bench").args(args).output().unwrap()
}

#[test]
fn a_comparison_starts_its_servers_and_shows_the_first_against_the_others() {
    let dir = work_dir("compare");
    let json = dir.with_extension("json");
    let server = |label| format!("{label}={ZOOKEEPER} bench null {{cfg}}");
    let done = bench(&[
        "compare",
        "--server",
        &server("first"),
        "--server",
        &server("second"),
        "--parts",
        "matrix,nodes,sessions",
        "--limit",
        "--rounds=1",
        "--only=reads 1x1",
        "--keys=20",
        "--warm-server=0",
        "--warm-up=0",
        "--duration=100ms",
        "--nodes=2000",
        "--sessions=300",
        "--hold=200ms",
        "--dir",
        dir.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    for line in ["reads 1x1  ", "2 000 creates, 1x1000", "start from a snapshot alone", "idle  "] {
        let row = text.lines().find(|found| found.starts_with(line) && !found.contains("round"));
        assert!(row.is_some(), "no line {line:?} in\n{text}");
    }
    // The limit has a throughput and nothing else.
    let head = |section: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.starts_with(section)).unwrap();
        line.strip_prefix(section).unwrap().split_whitespace().collect()
    };
    let compared = ["unit", "first", "second", "ratio", "spread"];
    assert_eq!(head("Memory  "), compared);
    assert_eq!(head("Throughput  "), [&compared[..], &["limit", "of", "limit"]].concat());
    let row = text.lines().find(|line| line.starts_with("reads 1x1  ")).unwrap();
    assert!(row.ends_with('%'), "{row}");
    let json_text = fs::read_to_string(&json).unwrap();
    assert!(json_text.contains("\"second\""), "{json_text}");
    fs::remove_file(&json).unwrap();
    // The data of finished rounds are deleted.
    assert_eq!(fs::read_dir(&dir).map_or(0, Iterator::count), 0);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_ensemble_is_started_loaded_robbed_of_its_leader_and_stopped() {
    let dir = work_dir("ensemble");
    let server = |label| format!("{label}={ZOOKEEPER} server {{cfg}}");
    let done = bench(&[
        "compare",
        "--members=3",
        "--server",
        &server("first"),
        "--server",
        &server("second"),
        "--parts",
        "matrix,nodes,sessions,watches,failover",
        "--rounds=1",
        "--only=90/10 16x1",
        "--keys=20",
        "--warm-server=0",
        "--warm-up=0",
        "--setting=forceSync=no",
        // Long enough for some of the writes even on the slowest disk.
        "--duration=3s",
        "--nodes=1000",
        "--sessions=20",
        "--hold=100ms",
        "--watchers=20,30",
        "--watch-paths=0",
        "--kills=1",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    for line in [
        "mixed 90/10 16x1  ",
        "mixed 90/10 16x1 write p99",
        "1 000 creates, 1x1000",
        "start from a snapshot alone",
        "20 idle sessions: opening",
        "20 watches of a node: last event",
        "30 watches of a node: last event",
        "client of a follower  ",
        "client of the leader, worst of a round",
    ] {
        let row = text.lines().find(|found| found.starts_with(line));
        // The row has two values and a ratio, and no missing value.
        let row = row.unwrap_or_else(|| panic!("no line {line:?} in\n{text}"));
        assert!(row.contains('.') && !row.trim_end_matches('-').contains(" - "), "{row}");
    }
    assert_eq!(fs::read_dir(&dir).map_or(0, Iterator::count), 0);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_ensemble_shows_the_tail_of_its_writes_and_stands_a_storm() {
    let dir = work_dir("tail");
    let done = bench(&[
        "compare",
        "--members=3",
        "--server",
        &format!("ours={ZOOKEEPER} server {{cfg}}"),
        "--parts",
        "watches,tail,storm",
        "--rounds=1",
        "--keys=20",
        "--warm-server=0",
        "--warm-up=0",
        "--duration=100ms",
        "--setting=forceSync=no",
        "--setting=snapCount=500",
        "--watchers=20",
        "--watch-paths=1000",
        "--nodes=2000",
        "--tail-clients=20",
        "--tail-size=200",
        "--storm-clients=30",
        "--storm-watches=2",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    for line in [
        "Tail of many writes  ",
        "2 000 creates, 20x1  ",
        "2 000 creates, 20x1 p99.9  ",
        "2 000 creates, 20x1 max  ",
        "longest write through: nothing  ",
        "longest write through: a log roll and snapshot  ",
        "longest write through: 20 clients come and go  ",
        "longest write through: a member's restart with SNAP  ",
        "All clients at once  ",
        "1 000 watches: each  ",
    ] {
        assert!(text.lines().any(|row| row.starts_with(line)), "no line {line:?} in\n{text}");
    }
    assert_eq!(fs::read_dir(&dir).map_or(0, Iterator::count), 0);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_server_that_does_not_start_is_named_with_its_log() {
    let dir = work_dir("broken");
    let done = bench(&[
        "compare",
        "--server",
        "broken=cat /nonexistent-file",
        "--rounds=1",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(
        text.contains("server broken: ended with") && text.contains("nonexistent-file"),
        "{text}"
    );
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn wrong_arguments_end_with_the_code_for_wrong_arguments() {
    let done = bench(&["run", "--clients", "none"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stdout).contains("--clients none"));
}
