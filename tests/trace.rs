//! The trace mask selects what a real server logs at TRACE (Java: server/ZooTrace.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{DEADLINE, Server, ServerBuilder, wait_until};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::zoo_defs::ids;

/// Sends `stmk` with this mask.
fn set_mask(server: &Server, mask: i64) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.client_port())).unwrap();
    stream.write_all(&[&b"stmk"[..], &mask.to_be_bytes()].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, mask.to_string());
}

/// How many lines of the log have all these words.
fn lines_with(server: &Server, words: &[&str]) -> usize {
    let log = server.log();
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[test]
fn the_mask_selects_what_is_traced() {
    let server = ServerBuilder::new().property("zookeeper.log.filters", "trace").start();
    let client = server.client();
    let open = ids::open_acl_unsafe;
    client.create("/a", None, open(), CreateMode::Persistent).unwrap();
    client.get_data("/a", true).unwrap();
    wait_until("requests are traced", DEADLINE, || {
        let seen = |processor: &str, op: &str| {
            lines_with(&server, &["TRACE", &format!(":{processor}sessionid:0x"), op]) > 0
        };
        seen("P", "type:create ") && seen("E", "type:create ") && seen("E", "type:getData ")
    });
    assert!(lines_with(&server, &["SessionTrackerImpl --- Adding session 0x"]) > 0);
    // Pings and events are not in the default mask.
    assert_eq!(lines_with(&server, &["Touch session"]), 0);
    client.set_data("/a", None, -1).unwrap();
    client.next_watch_event();
    assert_eq!(lines_with(&server, &["Deliver event"]), 0);

    set_mask(&server, 1 << 3 | 1 << 6);
    assert_eq!(server.wait_four_letter_word("gtmk").trim_end(), "72");
    client.get_data("/a", true).unwrap();
    client.set_data("/a", None, -1).unwrap();
    client.next_watch_event();
    wait_until("events and touches are traced", DEADLINE, || {
        lines_with(&server, &["TRACE", "Deliver event WatchedEvent", "path:/a"]) == 1
            && lines_with(&server, &["Touch session: 0x"]) > 0
    });
    let before = lines_with(&server, &["sessionid:0x"]);
    client.create("/b", None, open(), CreateMode::Persistent).unwrap();
    client.delete("/b", -1).unwrap();
    set_mask(&server, 0);
    assert_eq!(lines_with(&server, &["TRACE", ":Esessionid:0x", "type:delete "]), 0);
    assert!(before > 0);
}
