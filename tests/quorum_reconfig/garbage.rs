//! Configurations that no server of an ensemble sends, from leaders and in elections. A member that gets one stays as it
//! was, and its log says in one line what was wrong.

use std::sync::OnceLock;

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{LevelFilter, Log, Metadata, Record as LogRecord};
use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::server::quorum::fast_leader_election::notification::NotificationFrame;
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};

use crate::common::{DEADLINE, wait_until};
use crate::scripted::Scripted;
use crate::scripted_leader::{As, Connection, Member, bare, inform, proposal, up_to_date};
use crate::site::Site;
use crate::{OPEN, all_know, changeable, reconfig_txn, write};

/// The longest line about a configuration, in bytes. A configuration may be much longer.
const LONGEST_LINE: usize = 700;

/// How often a stranger repeats a configuration, and how many lines it may cost.
const FLOOD: usize = 3000;
const LINES_OF_FLOOD: usize = 100;

/// Configurations that cannot be read, and what is said about each. Each but the last ones claims to be the newest.
fn garbage() -> Vec<(Vec<u8>, &'static str)> {
    let one = "server.1=127.0.0.1:1:2:participant";
    let newest = |lines: &str| format!("{lines}\nversion=7fffffffffffffff").into_bytes();
    vec![
        (newest("nonsense"), "Unrecognised parameter: nonsense"),
        (newest("server.1=a"), "does not have the form"),
        (newest("server.1=127.0.0.1:a:2"), "Address unresolved"),
        (newest("server.one=127.0.0.1:1:2"), "must be a whole number"),
        (newest("server.1=127.0.0.1:1:2:voter"), "Unrecognised peertype: voter"),
        (newest("server.1=127.0.0.1:1:2:observer"), "nobody votes in it"),
        (newest(""), "nobody votes in it"),
        (newest(&format!("verifier=oracle\n{one}")), "Unrecognised parameter: verifier"),
        (newest(&format!("{one}\ngroup.1=2:3")), "Server 1 is not in a group"),
        (newest(&format!("{one}\ngroup.1=1:2")), "server 2 is in a group but is no participant"),
        (newest(&format!("{one}\ngroup.1=1\nweight.1=heavy")), "weight.1=heavy"),
        (newest(&format!("{one}\nserver.2=\\u00")), "four hex digits"),
        ([b"\xff\xfe\xfd=1\n".to_vec(), newest(one)].concat(), "Unrecognised parameter: \u{fffd}"),
        (newest("a\0b"), "Unrecognised parameter: a\\u{0}b"),
        (newest("server.1=forged\\n2026-01-01 forged"), "forged\\n2026"),
        (newest(&"long".repeat(50_000)), "Unrecognised parameter: longlong"),
    ]
}

// --- from a leader

static SAID: OnceLock<(Sender<String>, Receiver<String>)> = OnceLock::new();

/// Keeps what learners of this process log about configurations that they pass over.
struct Listener;

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &LogRecord<'_>) {
        let line = record.args().to_string();
        if let (Some((said, _)), true) = (SAID.get(), line.contains("configuration is passed over"))
        {
            said.try_send(line).expect("the test reads them");
        }
    }

    fn flush(&self) {}
}

/// The lines so far.
fn said() -> Vec<String> {
    let (_, lines) = SAID.get_or_init(|| {
        log::set_logger(&Listener).unwrap();
        log::set_max_level(LevelFilter::Warn);
        bounded(1000)
    });
    lines.try_iter().collect()
}

#[track_caller]
fn is_clear(line: &str, reason: &str) {
    assert!(line.contains(reason), "{reason}: {line}");
    assert!(line.len() < LONGEST_LINE && !line.contains('\n'), "{} bytes: {line}", line.len());
}

/// The member's configuration is that of its start.
#[track_caller]
fn is_unchanged(member: &Member, before: &str) {
    let dir = member.dir.path();
    assert_eq!(std::fs::read_to_string(dir.join("zoo.cfg")).unwrap(), before);
    assert!(!dir.join("zoo.cfg.dynamic.next").exists());
    assert_eq!(member.peer.quorum_verifier().version(), 0);
    let seen = member.peer.last_seen_quorum_verifier().unwrap();
    assert_eq!(seen.version(), 0);
}

/// A member that has one transaction and is told by a leader that nothing is missing.
fn synchronizing(what: As) -> (Member, String, Connection) {
    let (mut member, before) = changeable(&[Zxid::new(1, 1)]);
    let mut leader = member.follow_in_epoch(what, 2);
    leader.send(&bare(PacketType::Diff, Zxid::new(1, 1)));
    (member, before, leader)
}

/// A configuration with this version, which a member could take.
fn good(member: &Member, version: Zxid) -> String {
    let text = member.peer.quorum_verifier().to_text();
    text.replace("version=0", &format!("version={:x}", version.0))
}

fn first() -> Zxid {
    Zxid::start_of(PeerEpoch(2)).next()
}

#[test]
fn a_leaders_garbage_leaves_a_member_as_it_was() {
    let (start, next) = (first_of_epoch(), first());
    said();
    for (text, reason) in garbage() {
        // In NEWLEADER it is passed over.
        let (mut member, before, mut leader) = synchronizing(As::Follower);
        leader.send(&QuorumPacket::new(PacketType::NewLeader, start, Some(text.clone())));
        leader.expect_ack(start);
        // UPTODATE has no configuration.
        leader.send(&QuorumPacket::new(PacketType::UpToDate, Zxid::NONE, Some(text.clone())));
        leader.expect_ack(start);
        is_unchanged(&member, &before);
        let lines = said();
        assert_eq!(lines.len(), 1, "{reason}: {lines:?}");
        is_clear(&lines[0], reason);
        // In a transaction it ends the connection, and nothing is logged.
        let text = String::from_utf8_lossy(&text);
        let data = Some(reconfig_txn(next, &text));
        leader.send(&QuorumPacket::new(PacketType::Proposal, next, data));
        leader.expect_end();
        is_clear(&member.ended().to_string(), reason);
        is_unchanged(&member, &before);
        assert_eq!(member.log_on_disk(), [Zxid::new(1, 1)], "{text:?}");
        assert_eq!(member.exit_code(), None);
        // The same for an observer, before and after it serves.
        for serves in [false, true] {
            let (mut member, before, mut leader) = synchronizing(As::Observer);
            if serves {
                leader.let_serve(2);
            }
            leader.send(&activation(1, &reconfig_txn(next, &text), next));
            leader.expect_end();
            is_clear(&member.ended().to_string(), reason);
            is_unchanged(&member, &before);
        }
    }
    // What is too short for a configuration is none.
    for data in [vec![], vec![0]] {
        let (member, before, mut leader) = synchronizing(As::Follower);
        leader.send(&QuorumPacket::new(PacketType::NewLeader, start, Some(data)));
        leader.expect_ack(start);
        leader.send(&up_to_date());
        leader.expect_ack(start);
        is_unchanged(&member, &before);
    }
    assert_eq!(said(), [""; 0]);
}

const fn first_of_epoch() -> Zxid {
    Zxid::start_of(PeerEpoch(2))
}

/// INFORMANDACTIVATE: the designated leader and a transaction.
fn activation(leader: i64, txn: &[u8], zxid: Zxid) -> QuorumPacket {
    let data = [&leader.to_be_bytes(), txn].concat();
    QuorumPacket::new(PacketType::InformAndActivate, zxid, Some(data))
}

#[test]
fn an_activation_that_is_cut_off_leaves_an_observer_as_it_was() {
    for data in [vec![], vec![1; 7], vec![1; 9], vec![0; 60]] {
        for serves in [false, true] {
            let (mut member, before, mut leader) = synchronizing(As::Observer);
            if serves {
                leader.let_serve(2);
            }
            let packet =
                QuorumPacket::new(PacketType::InformAndActivate, first(), Some(data.clone()));
            leader.send(&packet);
            leader.expect_end();
            let reason = if data.len() < 8 { "lacks its data" } else { "0x200000001" };
            is_clear(&member.ended().to_string(), reason);
            is_unchanged(&member, &before);
        }
    }
}

/// A configuration that could be read, in a transaction that leaves a gap.
#[test]
fn a_configuration_behind_a_gap_leaves_a_member_as_it_was() {
    let behind_a_gap = first().next().next();
    for (what, serves) in
        [(As::Follower, false), (As::Follower, true), (As::Observer, false), (As::Observer, true)]
    {
        let (mut member, before, mut leader) = synchronizing(what);
        if serves {
            leader.let_serve(2);
        }
        leader.send(&if what == As::Follower { proposal(first()) } else { inform(first()) });
        let txn = reconfig_txn(behind_a_gap, &good(&member, behind_a_gap));
        leader.send(&if what == As::Follower {
            QuorumPacket::new(PacketType::Proposal, behind_a_gap, Some(txn))
        } else {
            activation(1, &txn, behind_a_gap)
        });
        // A follower that serves acknowledges the first one.
        while leader.receive().is_some() {}
        is_clear(&member.ended().to_string(), "0x200000003");
        is_unchanged(&member, &before);
    }
}

#[test]
fn an_activation_without_its_proposal_leaves_a_member_as_it_was() {
    let next = first();
    for data in [None, Some(vec![1; 7]), Some(vec![0; 8])] {
        for (serves, proposed) in [(false, false), (true, false), (true, true)] {
            let (mut member, before, mut leader) = synchronizing(As::Follower);
            if serves {
                leader.let_serve(2);
            }
            if proposed {
                leader.send(&proposal(next));
                leader.expect_ack(next);
            }
            leader.send(&QuorumPacket::new(PacketType::CommitAndActivate, next, data.clone()));
            let is_whole = data.as_ref().is_some_and(|data| data.len() >= 8);
            if proposed && is_whole {
                // It is the commit of an ordinary transaction, too.
                wait_until("it is committed", DEADLINE, || member.has(next));
            } else {
                leader.expect_end();
                is_clear(&member.ended().to_string(), "0x200000001");
            }
            is_unchanged(&member, &before);
        }
    }
}

/// The configuration is pending then. A leader that knows it completes it.
#[test]
fn an_activation_without_a_leader_does_not_activate() {
    for serves in [false, true] {
        let (mut member, _, mut leader) = synchronizing(As::Follower);
        if serves {
            leader.let_serve(2);
        }
        let next = first();
        let data = Some(reconfig_txn(next, &good(&member, next)));
        leader.send(&QuorumPacket::new(PacketType::Proposal, next, data));
        leader.send(&QuorumPacket::new(PacketType::CommitAndActivate, next, Some(vec![1; 7])));
        while leader.receive().is_some() {}
        is_clear(&member.ended().to_string(), "lacks its data");
        assert_eq!(member.peer.quorum_verifier().version(), 0);
        assert!(!member.has(next));
        assert_eq!(member.peer.last_seen_quorum_verifier().unwrap().version(), next.0);
    }
}

// --- in elections

/// A vote of a server that is behind: it is answered and changes nothing.
fn vote(zxid: i64, config: &[u8]) -> Vec<u8> {
    NotificationFrame {
        state: 0,
        leader: Sid(1),
        zxid: Zxid(zxid),
        election_epoch: 0,
        peer_epoch: PeerEpoch(0),
        version: 2,
        config: Some(config.to_vec()),
    }
    .encode()
}

/// A vote that says that its configuration has that length, in bytes.
fn lying_vote(length: i32) -> Vec<u8> {
    let mut bytes = vote(0, b"version=7fffffffffffffff");
    bytes[40..44].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Sends a message until the log of server 1 has a line with these words. By then, it has handled the messages before.
#[track_caller]
fn says(site: &Site, peer: &mut Scripted, message: &[u8], words: &str) {
    wait_until(&format!("a line with {words:?}"), DEADLINE, || {
        peer.send(message);
        site.peers[0].server.log().contains(words)
    });
}

#[test]
fn garbage_in_votes_leaves_a_server_that_looks_for_a_leader_as_it_was() {
    let mut site = Site::start(3, &[OPEN]);
    write(&site, 0, "/before");
    let config = site.peers[0].config().unwrap();
    site.peers[1].kill9();
    site.peers[2].kill9();
    wait_until("server 1 is alone", DEADLINE, || site.peers[0].mode().is_none());
    let before = site.peers[0].file("").unwrap();
    let mut voter = Scripted::connect_as_3_4(site.peers[0].election, 3);
    let mut stranger = Scripted::connect_as_3_4(site.peers[0].election, 99);
    // Older and unnumbered ones are of servers that are behind.
    for text in ["server.1=127.0.0.1:1:2\nversion=1", "server.1=127.0.0.1:1:2", "", "version=zz"] {
        voter.send(&vote(0, text.as_bytes()));
        stranger.send(&vote(0, text.as_bytes()));
    }
    let garbage = garbage();
    let (first, reason) = &garbage[0];
    says(&site, &mut voter, &vote(0, first), reason);
    for (text, _) in &garbage {
        voter.send(&vote(0, text));
        stranger.send(&vote(0, text));
    }
    says(&site, &mut voter, &vote(0x77, b""), "n.zxid:0x77,");
    // A stranger that repeats itself does not fill the log.
    let lines = || site.peers[0].server.log().lines().count();
    let lines_before = lines();
    for _ in 0..FLOOD {
        stranger.send(&vote(0, first));
    }
    says(&site, &mut stranger, &lying_vote(-1), "configLength=-1");
    let flood = lines() - lines_before;
    assert!(flood < LINES_OF_FLOOD, "{flood} lines");
    for length in [i32::MIN, 1000, i32::MAX] {
        stranger.send(&lying_vote(length));
    }
    let log = site.peers[0].server.log();
    let about_it = "Something went wrong while processing config received from";
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(about_it)).collect();
    is_clear(lines[0], reason);
    lines.iter().for_each(|line| is_clear(line, "(configuration from another member)"));
    assert_eq!(site.peers[0].file("").unwrap(), before);
    assert_eq!(site.peers[0].file(".dynamic.next"), None);
    // The members agree as before.
    site.peers[1].start();
    site.peers[2].start();
    site.wait_serving();
    site.all_have(&config);
    all_know(&site, "/before");
}
