//! Tests the crowd against a server that stores nothing and knows no session a second time (no Java twin).

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::null_server::{Answer, NullServer};
use super::shard::PING_EVERY;
use super::*;
use crate::jute::Record;
use crate::zoo_defs::OpCode;

/// The time after which a test gives up.
const GIVE_UP: Duration = Duration::from_secs(60);

fn one_watch(number: usize, relative_zxid: Zxid) -> SetWatches {
    SetWatches { relative_zxid, data_watches: vec![format!("/{number}")], ..Default::default() }
}

fn crowd_of(count: usize, server: &NullServer) -> Crowd {
    Crowd::new(count, &[server.addr()], Zxid(0), one_watch).unwrap()
}

#[test]
fn a_percentile_is_the_time_of_the_last_of_that_many() {
    let report = |count: u128| Report { served_ms: (1..=count).collect(), ..Report::default() };
    for (count, times) in [(200, [100, 198, 200]), (3, [2, 3, 3]), (1, [1; 3]), (0, [0; 3])] {
        let report = report(count);
        assert_eq!([50, 99, 100].map(|percent| report.percentile_ms(percent)), times);
    }
}

#[test]
fn the_reports_of_the_threads_make_one() {
    let one = Report { served_ms: vec![1, 5], unserved: 1, cut_off: 2, ..Report::default() };
    let other = Report { served_ms: vec![3], cut_off: 1, lost_sessions: 4, ..Report::default() };
    let mut both = Report::default();
    both.add(one);
    both.add(other);
    assert_eq!(both.served_ms, [1, 3, 5]);
    assert_eq!((both.unserved, both.cut_off, both.lost_sessions), (1, 3, 4));
    let text = both.to_string();
    assert!(text.starts_with("3 served, half after 3 ms"), "{text}");
    assert!(text.contains("1 not served, 3 cut off, 4 sessions lost"), "{text}");
}

#[test]
fn every_client_has_a_session_and_watches_of_its_own_and_sends_pings() {
    let (sender, received) = bounded(100);
    let note = move |op: i32, body: &[u8]| -> Option<Answer> {
        sender.send((op, body.to_vec())).unwrap();
        None
    };
    let server = NullServer::start(0, Box::new(note)).unwrap();
    let mut crowd = crowd_of(10, &server);
    let report = crowd.connect(GIVE_UP).unwrap();
    assert_eq!((report.served_ms.len(), report.unserved), (10, 0), "{report}");
    assert_eq!((report.cut_off, report.turned_away, report.lost_sessions), (0, 0, 0));
    let mut watches: Vec<_> = received.try_iter().collect();
    watches.sort_unstable();
    let expected = |number| one_watch(number, Zxid(0)).to_bytes();
    let expected: Vec<_> =
        (0..10).map(|number| (OpCode::SetWatches.code(), expected(number))).collect();
    assert_eq!(watches, expected);
    let mut ids: Vec<_> = crowd.sessions().into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=10).map(SessionId).collect::<Vec<_>>());

    let shard = &mut crowd.shards[0];
    let due = shard.members[3].since + PING_EVERY;
    shard.time_has_come(3, due).unwrap();
    let ping = received.recv_timeout(GIVE_UP).unwrap();
    assert_eq!(ping, (OpCode::Ping.code(), Vec::new()));
    server.stop();
}

/// The server cuts a client off and does not know its session afterwards.
#[test]
fn a_client_that_is_cut_off_tries_again_and_a_lost_session_is_seen() {
    let has_closed = AtomicBool::new(false);
    let close_one = move |op: i32, _: &[u8]| -> Option<Answer> {
        let closes = op == OpCode::SetWatches.code() && !has_closed.swap(true, Ordering::SeqCst);
        closes.then_some(Answer::Close)
    };
    let server = NullServer::start(0, Box::new(close_one)).unwrap();
    let report = crowd_of(10, &server).connect(GIVE_UP).unwrap();
    assert_eq!((report.served_ms.len(), report.unserved), (10, 0), "{report}");
    assert_eq!((report.cut_off, report.lost_sessions), (1, 1), "{report}");
    // The attempt that did not get its session back.
    assert_eq!(report.turned_away, 1, "{report}");
    server.stop();
}

#[test]
fn a_crowd_gives_up_when_nobody_serves_it_and_stops_at_a_wrong_answer() {
    let refuse = |op: i32, _: &[u8]| -> Option<Answer> {
        (op == OpCode::SetWatches.code()).then_some(Answer::Reply { err: -4, body: Vec::new() })
    };
    let server = NullServer::start(0, Box::new(refuse)).unwrap();
    let error = crowd_of(3, &server).connect(GIVE_UP).unwrap_err().to_string();
    assert!(error.contains("error -4 where watches were set"), "{error}");
    server.stop();

    let close = |_: i32, _: &[u8]| -> Option<Answer> { Some(Answer::Close) };
    let server = NullServer::start(0, Box::new(close)).unwrap();
    let report = crowd_of(3, &server).connect(Duration::from_millis(300)).unwrap();
    assert_eq!((report.served_ms.len(), report.unserved), (0, 3), "{report}");
    server.stop();

    assert!(Crowd::new(3, &[], Zxid(0), one_watch).is_err());
}
