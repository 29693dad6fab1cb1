//! Servers that are killed, or have no room for their log, while clients write. After a restart, every acknowledged
//! write is there, whatever else the crash has left in the directory, and no write is half done (no Java twin).
//!
//! `cargo test --test crash -- --ignored kills rounds=N seed=N` repeats the long test. A seed repeats the writes and
//! the damage, but not the moment of the kill.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

mod common;
#[path = "crash/damage.rs"]
mod damage;
#[path = "crash/guests.rs"]
mod guests;
#[path = "crash/load.rs"]
mod load;
#[path = "hostile/random.rs"]
mod random;
#[path = "crash/tree.rs"]
mod tree;

use std::thread;
use std::time::Duration;

use common::{Server, ServerBuilder};
use guests::Guests;
use load::Writer;
use random::Random;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use zookeeper_server::ids::Zxid;
use zookeeper_server::internals::common::time;

/// How many sessions write at the same time. Every second one waits for each answer.
const WRITERS: u64 = 4;

/// The number of requests in flight in a session that does not wait.
const PIPELINE: usize = 32;

/// The longest time for which clients write before a kill, ms.
const LONGEST_LOAD_MS: usize = 150;

/// The longest time between a start and a kill before the server serves, ms.
const LONGEST_START_MS: usize = 60;

/// The file size at which the log has no more room, in bytes.
const ROOM: u64 = 3 << 20;

/// The exit code of a server that cannot write its log. Java's server intends the same code, but exits with 0 if
/// nothing is left to be written when it ends.
const UNEXPECTED_ERROR: i32 = 1;

/// A server, and the clients that know what it must contain.
struct Crashes {
    server: Server,
    writers: Vec<Writer>,
    guests: Guests,
    random: Random,
}

impl Crashes {
    fn new(builder: ServerBuilder, seed: u64, usual_bytes: usize) -> Self {
        let server = builder
            .config("maxClientCnxns=0")
            .property("zookeeper.root.logger", "WARN,CONSOLE")
            .start();
        let writer = |part: u64| {
            let depth = if part.is_multiple_of(2) { PIPELINE } else { 1 };
            let random = Random::of_part(seed, part + 1);
            Writer::new(server.client(), &format!("/w{part}"), random, depth, usual_bytes)
        };
        let writers = (0..WRITERS).map(writer).collect();
        let guests = Guests::new(server.client_port());
        Self { server, writers, guests, random: Random::of_part(seed, 0) }
    }

    /// Lets all clients write until the server is gone. `end` must make it end.
    fn load(&mut self, end: impl FnOnce(&mut Server)) {
        thread::scope(|scope| {
            for writer in &mut self.writers {
                scope.spawn(|| writer.run());
            }
            scope.spawn(|| self.guests.run());
            end(&mut self.server);
        });
    }

    /// Starts the server again and checks all its data.
    fn start_again_and_check(&mut self) {
        self.server.start_again();
        let zxid = zxid_of(&self.server);
        thread::scope(|scope| {
            for writer in &mut self.writers {
                scope.spawn(move || writer.check(zxid));
            }
        });
        self.guests.check(&self.server.client());
    }

    /// Kills the server under load, and perhaps also while it starts. Damages the files it leaves as a power failure
    /// would.
    fn round(&mut self, number: u64) {
        let load = pause(&mut self.random, LONGEST_LOAD_MS);
        self.load(|server| {
            crossbeam::channel::after(load).recv().unwrap();
            server.kill9();
        });
        let mut done = damage::harm(&mut self.random, &self.server.version_dir());
        // The values give large and small log files, and frequent and rare snapshots.
        for (key, values) in [
            ("zookeeper.snapCount", ["2", "10", "100", "1000"]),
            ("zookeeper.preAllocSize", ["4", "64", "1024", "65536"]),
        ] {
            let value = *self.random.pick(&values);
            self.server.set_property(key, value);
            done += &format!(" {key}={value}");
        }
        while self.random.one_in(4) {
            let start = pause(&mut self.random, LONGEST_START_MS);
            self.server.spawn();
            crossbeam::channel::after(start).recv().unwrap();
            self.server.kill9();
            done += &format!(", killed {start:?} after a start");
        }
        println!("round {number}: killed after {load:?}; {done}");
        self.start_again_and_check();
    }

    fn acknowledgements(&self) -> u64 {
        self.writers.iter().map(Writer::acknowledgements).sum()
    }
}

fn pause(random: &mut Random, longest_ms: usize) -> Duration {
    Duration::from_micros(u64::try_from(random.below(longest_ms * 1000)).unwrap())
}

/// The last zxid of the server.
#[track_caller]
fn zxid_of(server: &Server) -> Zxid {
    let answer = server.wait_four_letter_word("srvr");
    let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x")).expect("a zxid");
    Zxid(i64::from_str_radix(zxid, 16).unwrap())
}

fn killed_again_and_again(seed: u64, rounds: u64) {
    let start = time::now();
    // The server purges old logs and snapshots at each start, while it serves.
    let builder = ServerBuilder::new()
        .config("autopurge.purgeInterval=1")
        .config("autopurge.snapRetainCount=3");
    let mut crashes = Crashes::new(builder, seed, 300);
    for round in 1..=rounds {
        crashes.round(round);
    }
    println!(
        "{rounds} rounds in {:?}: {} writes were acknowledged, {} sessions came and went",
        start.elapsed(),
        crashes.acknowledgements(),
        crashes.guests.count()
    );
    let log = crashes.server.log();
    assert!(!log.contains("panic"), "{log}");
}

#[test]
fn some_kills_under_load_lose_nothing_that_was_acknowledged() {
    killed_again_and_again(random::seed("some kills", None), 5);
}

#[test]
#[ignore = "long: a hundred kills"]
fn a_hundred_kills_under_load_lose_nothing_that_was_acknowledged() {
    let rounds = random::argument("rounds").unwrap_or(100);
    killed_again_and_again(random::seed("a hundred kills", None), rounds);
}

/// From now on, no file of the process may grow beyond `bytes`.
fn limit_files(server: &Server, bytes: u64) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let limit = Rlimit { current: Some(bytes), maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).unwrap();
}

/// The log runs out of room twice. After each restart there is room again.
fn no_room_for_the_log(builder: ServerBuilder, pre_alloc_kib: &str) {
    let builder = builder
        .property("zookeeper.snapCount", "1000000")
        .property("zookeeper.preAllocSize", pre_alloc_kib);
    let mut crashes = Crashes::new(builder, random::seed("no room", None), 3000);
    for _ in 0..2 {
        limit_files(&crashes.server, ROOM);
        crashes.load(|server| {
            let status = server.wait_ended();
            assert_eq!(status.code(), Some(UNEXPECTED_ERROR), "{status}");
        });
        println!("{} writes were acknowledged so far", crashes.acknowledgements());
        crashes.start_again_and_check();
    }
    let log = crashes.server.log();
    assert!(log.contains("Severe unrecoverable error"), "{log}");
    assert!(!log.contains("panic"), "{log}");
    // The server stops and starts normally as long as it has room.
    assert_eq!(crashes.server.stop().code().unwrap_or(0), 0);
    crashes.start_again_and_check();
}

#[test]
fn a_log_that_finds_no_room_ends_the_server_and_loses_nothing_that_was_acknowledged() {
    for pre_alloc_kib in ["16", "65536"] {
        no_room_for_the_log(ServerBuilder::new(), pre_alloc_kib);
    }
}
