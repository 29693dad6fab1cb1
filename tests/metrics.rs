//! The counters of `mntr` on the path of a write through the processors (no Java twin).
//!
//! `cargo test --test metrics -- --ignored java` runs the same tests against Java's servers, to test the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use common::{DEADLINE, Program, Server, ServerBuilder, wait_until};
use ensemble::{Ensemble, create};
use zookeeper_server::create_mode::CreateMode;

const JAVA: Program = Program::Java("3.9.5");

const WRITES: u32 = 20;

/// Checks that each counter has counted every write and little else, because there are few other requests.
#[track_caller]
fn have_counted_writes(server: &Server, keys: &[&str]) {
    for key in keys {
        // Java may count after it has answered.
        wait_until(key, DEADLINE, || server.monitor(key) >= f64::from(WRITES));
        let value = server.monitor(key);
        assert!(value <= f64::from(WRITES + 20), "{key} is {value}");
    }
}

fn write(server: &Server) {
    let client = server.client();
    for n in 0..WRITES {
        create(&client, &format!("/n{n}"), CreateMode::Persistent).unwrap();
    }
    client.close();
}

fn standalone(program: Program) {
    let server = ServerBuilder::new().program(program).start();
    write(&server);
    have_counted_writes(
        &server,
        &[
            "prep_processor_request_queued",
            "cnt_prep_processor_queue_time_ms",
            "cnt_prep_process_time",
            "cnt_proposal_process_time",
            "sync_processor_request_queued",
            "cnt_sync_processor_queue_time_ms",
            "cnt_sync_processor_queue_and_flush_time_ms",
            "cnt_sync_process_time",
        ],
    );
    assert!(server.monitor("cnt_close_session_prep_time") >= 1.0);
    assert!(server.monitor("max_prep_process_time") < 60_000.0, "times, not moments");
    assert!(server.monitor("max_sync_processor_queue_and_flush_time_ms") < 60_000.0);
}

fn members(program: Program) {
    let ensemble = Ensemble::start(program, 3, 0);
    let at = ensemble.wait_leader();
    let server = |at: usize| &ensemble.members[at % 3].server;
    let (leader, follower, other) = (server(at), server(at + 1), server(at + 2));
    write(follower);
    let everywhere = ["cnt_write_final_proc_time_ms", "sum_write_commit_proc_issued"];
    have_counted_writes(leader, &everywhere);
    have_counted_writes(follower, &everywhere);
    have_counted_writes(other, &["cnt_server_write_committed_time_ms"]);
    let local = ["cnt_write_commitproc_time_ms", "cnt_local_write_committed_time_ms"];
    have_counted_writes(follower, &local);
    for key in ["max_write_commitproc_time_ms", "max_local_write_committed_time_ms"] {
        assert!(follower.monitor(key) < 60_000.0, "times, not moments");
    }
}

#[test]
fn a_server_that_runs_alone_counts_writes() {
    standalone(Program::Ours);
}

#[test]
#[ignore = "needs Java 3.9, and tests the test"]
fn java_counts_writes() {
    standalone(JAVA);
}

#[test]
fn members_count_writes() {
    members(Program::Ours);
}

#[test]
#[ignore = "needs Java 3.9, and tests the test"]
fn java_members_count_writes() {
    members(JAVA);
}
