//! Our follower and observer with a leader that a test scripts: what is on their disk at every acknowledgement, what
//! they keep when the connection ends between any two packets, and what a leader cannot make them do (Java:
//! Learner.java, Follower.java, Observer.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use common::{DEADLINE, RawConnection, decode, wait_until};
use scripted_leader::{
    As, Connection, Member, bare, commit, inform, new_leader, path_of, proposal, txn_bytes,
    up_to_date,
};
use zookeeper_server::ids::{PeerEpoch, SessionId, Zxid};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::proto::{
    ConnectRequest, ConnectResponse, CreateRequest, GetDataRequest, SyncRequest,
};
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::quorum::learner::LearnerError;
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::internals::txn::{CreateSessionTxn, CreateTxn, TxnDigest, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// The only version of digests.
const DIGEST_VERSION: i32 = 2;

/// The zxid with that epoch and counter.
const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

fn history(counters: std::ops::RangeInclusive<i64>) -> Vec<Zxid> {
    counters.map(|counter| z(1, counter)).collect()
}

/// Sends the tree of another member as the leader's snapshot.
fn send_tree(leader: &mut Connection, zxid: Zxid, of: &Member) {
    leader.send(&bare(PacketType::Snap, zxid));
    of.peer.database().serialize_snapshot(|bytes| leader.stream.write_all(bytes)).unwrap();
    let signature = b"BenWasHere";
    leader.stream.write_all(&10_i32.to_be_bytes()).unwrap();
    leader.stream.write_all(signature).unwrap();
}

#[test]
fn what_a_diff_commits_is_on_disk_when_the_epoch_is_acknowledged_and_no_more() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 5)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        proposal(z(1, 5)),
        new_leader(2),
    ]);
    leader.expect_ack(z(2, 0));
    assert_eq!(member.log_on_disk(), history(1..=4));
    assert_eq!(member.epoch_on_disk(), "2");
    assert!(member.has(z(1, 4)) && !member.has(z(1, 5)));
    leader.send(&up_to_date());
    leader.expect_ack(z(2, 0));
    leader.expect_ack(z(1, 5));
    assert_eq!(member.log_on_disk(), history(1..=5));
    assert!(!member.has(z(1, 5)), "it is not committed");
    leader.send_all(&[commit(z(1, 5)), bare(PacketType::Ping, z(2, 0))]);
    assert_eq!(leader.expect(PacketType::Ping).zxid, z(2, 0));
    wait_until("the commit is applied", DEADLINE, || member.has(z(1, 5)));
    leader.send_all(&[proposal(z(2, 1)), proposal(z(2, 2)), commit(z(2, 1))]);
    leader.expect_ack(z(2, 1));
    leader.expect_ack(z(2, 2));
    wait_until("the commit is applied", DEADLINE, || member.has(z(2, 1)));
    drop(leader);
    assert!(matches!(member.ended(), LearnerError::Packet(_)));
    assert!(member.has(z(2, 2)), "an election is about what is logged");
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(2, 2));
    assert_eq!(member.exit_code(), None);
}

#[test]
fn a_follower_whose_disk_no_quorum_needs_logs_and_acknowledges_everything() {
    let mut member = Member::spare(&history(1..=3));
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    // The other servers do not commit this transaction, so the leader waits for this member.
    leader.send(&proposal(z(2, 1)));
    leader.expect_ack(z(2, 1));
    assert!(member.log_on_disk().ends_with(&[z(2, 1)]) && !member.has(z(2, 1)));
    leader.send(&commit(z(2, 1)));
    // The other servers commit these transactions. This member may acknowledge late, but only what is on its disk.
    for counter in 2..300 {
        leader.send_all(&[proposal(z(2, counter)), commit(z(2, counter))]);
    }
    for counter in 2..300 {
        leader.expect_ack(z(2, counter));
        if counter % 50 == 0 {
            assert!(member.log_on_disk().contains(&z(2, counter)));
        }
    }
    wait_until("the commits are applied", DEADLINE, || member.has(z(2, 299)));
    // The member logs what it has received when the leader goes, even if it was not yet time to log it.
    leader.send_all(&[proposal(z(2, 300)), commit(z(2, 300)), proposal(z(2, 301))]);
    drop(leader);
    assert!(matches!(member.ended(), LearnerError::Packet(_)));
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(2, 301));
    assert_eq!(member.log_on_disk().last(), Some(&z(2, 301)));
    assert_eq!(member.exit_code(), None);
}

#[test]
fn a_connection_that_ends_anywhere_in_a_diff_leaves_a_history_that_a_restart_finds_again() {
    let packets = [
        bare(PacketType::Diff, z(1, 5)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        proposal(z(1, 5)),
        new_leader(2),
        commit(z(1, 5)),
        up_to_date(),
    ];
    for sent in 0..=packets.len() {
        let (mut member, mut leader) = Member::following(&history(1..=3), 2);
        leader.send_all(&packets[..sent]);
        leader.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut acks = Vec::new();
        while let Some(packet) = leader.receive() {
            acks.push(packet.zxid);
        }
        member.ended();
        let last = member.peer.last_logged_zxid().unwrap();
        let expected = if sent < 5 {
            3
        } else if sent < 7 {
            4
        } else {
            5
        };
        assert_eq!(last, z(1, expected), "after {sent} packets");
        assert_eq!(member.log_on_disk(), history(1..=expected), "after {sent} packets");
        assert_eq!(member.epoch_on_disk(), if sent < 5 { "1" } else { "2" });
        assert!(acks.iter().all(|zxid| *zxid <= z(1, expected) || *zxid == z(2, 0)), "{acks:?}");
        let dir = Arc::clone(&member.dir);
        drop(member);
        let again = Member::over(dir, &[]);
        assert_eq!(again.peer.last_logged_zxid().unwrap(), last, "after {sent} packets");
    }
}

#[test]
fn a_hole_in_a_diff_is_never_acknowledged() {
    for (packets, last) in [
        (vec![proposal(z(1, 5))], z(1, 3)),
        (vec![proposal(z(1, 4)), commit(z(1, 4)), proposal(z(1, 6))], z(1, 4)),
        (vec![inform(z(1, 5))], z(1, 3)),
    ] {
        let (mut member, mut leader) = Member::following(&history(1..=3), 2);
        leader.send(&bare(PacketType::Diff, z(1, 6)));
        leader.send_all(&packets);
        leader.send_all(&[new_leader(2), up_to_date()]);
        leader.expect_end();
        let error = member.ended();
        assert!(
            matches!(error, LearnerError::Discontinuous { last: found, .. } if found == last),
            "{error}"
        );
        assert_eq!(member.log_on_disk(), history(1..=3));
        assert_eq!((member.epoch_on_disk().as_str(), member.exit_code()), ("1", None));
    }
}

#[test]
fn what_is_here_already_is_not_logged_again() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 4)));
    for counter in 2..=4 {
        leader.send_all(&[proposal(z(1, counter)), commit(z(1, counter))]);
    }
    leader.let_serve(2);
    assert_eq!(member.log_on_disk(), history(1..=4));
}

#[test]
fn a_truncation_takes_log_and_tree_back_and_is_saved_before_it_is_acknowledged() {
    let (member, mut leader) = Member::following(&history(1..=5), 3);
    leader.send_all(&[
        bare(PacketType::Trunc, z(1, 3)),
        proposal(z(2, 1)),
        commit(z(2, 1)),
        new_leader(3),
    ]);
    leader.expect_ack(z(3, 0));
    assert_eq!(member.log_on_disk(), [z(1, 1), z(1, 2), z(1, 3), z(2, 1)]);
    assert!(member.has(z(1, 3)) && !member.has(z(1, 4)) && member.has(z(2, 1)));
    assert_eq!(member.snapshots_on_disk()[0], z(2, 1));
    leader.send(&up_to_date());
    leader.expect_ack(z(3, 0));
    let again = member.restarted_after(leader);
    assert_eq!(again.peer.last_logged_zxid().unwrap(), z(2, 1));
    assert!(!again.has(z(1, 4)));
}

#[test]
fn a_truncation_to_what_is_not_here_is_refused_and_nothing_is_pretended() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[bare(PacketType::Trunc, z(1, 9)), new_leader(2)]);
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::TooShort { .. }), "{error}");
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
    assert_eq!(member.epoch_on_disk(), "1");
}

#[test]
fn a_snapshot_of_the_leader_is_on_disk_when_the_epoch_is_acknowledged() {
    let leaders: Vec<Zxid> = history(1..=2).into_iter().chain([z(2, 1), z(2, 2)]).collect();
    let other = Member::new(&leaders);
    // The member has transactions that are not in the leader's history.
    let (member, mut leader) = Member::following(&history(1..=7), 3);
    send_tree(&mut leader, z(2, 2), &other);
    leader.send_all(&[proposal(z(2, 3)), commit(z(2, 3)), proposal(z(2, 4)), new_leader(3)]);
    leader.expect_ack(z(3, 0));
    assert_eq!(member.snapshots_on_disk()[0], z(2, 3));
    assert_eq!(member.epoch_on_disk(), "3");
    assert!(member.has(z(2, 3)) && !member.has(z(1, 7)) && !member.has(z(2, 4)));
    leader.send(&up_to_date());
    leader.expect_ack(z(3, 0));
    leader.expect_ack(z(2, 4));
    let again = member.restarted_after(leader);
    assert_eq!(again.peer.last_logged_zxid().unwrap(), z(2, 4));
    assert!(again.has(z(2, 4)) && !again.has(z(1, 7)));
}

/// A leader applies transactions while it sends its tree. So for a while, the digests in its proposals belong to an
/// older tree than the learner's.
#[test]
fn a_tree_that_holds_what_is_committed_later_is_no_mismatch_of_digests() {
    let digest_of =
        |last: i64| Member::new(&history(1..=last)).peer.database().tree().read().tree_digest();
    let with_digest = |zxid: Zxid, tree_digest: i64| {
        let mut data = txn_bytes(zxid).1;
        data.extend(TxnDigest { version: DIGEST_VERSION, tree_digest }.to_bytes());
        QuorumPacket::new(PacketType::Proposal, zxid, Some(data))
    };
    let other = Member::new(&history(1..=5));
    let (member, mut leader) = Member::following(&[], 2);
    send_tree(&mut leader, z(1, 3), &other);
    for (counter, digest) in [(4, digest_of(4)), (5, digest_of(5)), (6, digest_of(6))] {
        leader.send_all(&[with_digest(z(1, counter), digest), commit(z(1, counter))]);
    }
    leader.let_serve(2);
    let mismatches = || member.peer.metrics().digest_mismatches_count.value();
    assert_eq!(mismatches(), 0);
    // From here on, both trees are the same.
    leader.send_all(&[with_digest(z(2, 1), 1), commit(z(2, 1))]);
    leader.expect_ack(z(2, 1));
    wait_until("another digest is noticed", DEADLINE, || mismatches() == 1);
}

#[test]
fn what_the_log_has_above_a_snapshot_of_the_leader_does_not_come_back() {
    let other = Member::new(&history(1..=4));
    let (member, mut leader) = Member::following(&history(1..=7), 2);
    send_tree(&mut leader, z(1, 4), &other);
    leader.let_serve(2);
    assert_eq!(member.log_on_disk(), history(1..=4));
    leader.send(&proposal(z(2, 1)));
    leader.expect_ack(z(2, 1));
    let again = member.restarted_after(leader);
    assert_eq!(again.peer.last_logged_zxid().unwrap(), z(2, 1));
    assert!(again.has(z(1, 4)) && !again.has(z(1, 5)));
}

#[test]
fn a_leader_that_goes_before_its_snapshot_is_saved_leaves_the_old_history() {
    let other = Member::new(&[z(2, 1), z(2, 2)]);
    for sent in 0..3 {
        let (mut member, mut leader) = Member::following(&history(1..=3), 3);
        if sent == 0 {
            // The connection ends within the tree.
            leader.send(&bare(PacketType::Snap, z(2, 2)));
            leader.stream.write_all(&[0, 0, 0, 1, 0]).unwrap();
        } else {
            send_tree(&mut leader, z(2, 2), &other);
        }
        if sent == 2 {
            leader.send_all(&[proposal(z(2, 3)), commit(z(2, 3))]);
        }
        drop(leader);
        member.ended();
        assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3), "case {sent}");
        assert!(member.has(z(1, 3)) && !member.has(z(2, 1)));
        assert_eq!(member.epoch_on_disk(), "1");
    }
}

#[test]
fn a_snapshot_without_its_signature_is_not_taken() {
    let other = Member::new(&history(1..=4));
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Snap, z(1, 4)));
    other.peer.database().serialize_snapshot(|bytes| leader.stream.write_all(bytes)).unwrap();
    leader.stream.write_all(b"\0\0\0\x03Ben").unwrap();
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::Signature(Some(_))), "{error}");
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
}

#[test]
fn a_commit_of_another_than_the_next_proposal_ends_the_process_as_in_java() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    leader.send_all(&[proposal(z(2, 1)), proposal(z(2, 2)), commit(z(2, 2))]);
    let error = member.ended();
    assert!(matches!(error, LearnerError::Unmatched { .. }), "{error}");
    assert_eq!(member.exit_code(), Some(ExitCode::UnmatchedTxnCommit));
}

/// A leader also pings a learner that is not up to date yet. It does not expect an answer.
#[test]
fn pings_before_uptodate_are_passed_over() {
    for what in [As::Follower, As::Observer] {
        let mut member = Member::new(&history(1..=3));
        let mut leader = member.follow_in_epoch(what, 2);
        let ping = bare(PacketType::Ping, z(2, 0));
        leader.send_all(&[
            bare(PacketType::Diff, z(1, 4)),
            ping.clone(),
            proposal(z(1, 4)),
            commit(z(1, 4)),
            ping.clone(),
            new_leader(2),
            ping.clone(),
        ]);
        leader.expect_ack(z(2, 0));
        leader.send_all(&[ping.clone(), up_to_date()]);
        leader.expect_ack(z(2, 0));
        leader.send(&bare(PacketType::Ping, z(2, 7)));
        assert_eq!(leader.expect(PacketType::Ping).zxid, z(2, 7), "the first that is answered");
        assert!(member.has(z(1, 4)));
    }
}

#[test]
fn a_proposal_that_leaves_a_hole_is_not_acknowledged() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    leader.send(&proposal(z(2, 1)));
    leader.expect_ack(z(2, 1));
    leader.send(&proposal(z(2, 3)));
    leader.expect_end();
    assert!(matches!(member.ended(), LearnerError::Discontinuous { .. }));
    assert_eq!(*member.log_on_disk().last().unwrap(), z(2, 1));
}

#[test]
fn bad_leaders_end_the_connection_and_change_nothing() {
    let wrong_type = bare(PacketType::Ping, z(2, 0)).to_bytes();
    let no_version = bare(PacketType::LeaderInfo, z(0, 0)).to_bytes();
    let mut too_long = bare(PacketType::LeaderInfo, z(2, 0)).to_bytes();
    too_long[12..16].copy_from_slice(&i32::MAX.to_be_bytes());
    let garbage = vec![0x5a; 4096];
    for bytes in [wrong_type, no_version, too_long, garbage] {
        let mut member = Member::new(&history(1..=3));
        let mut leader = member.follow(As::Follower);
        leader.expect(PacketType::FollowerInfo);
        leader.stream.write_all(&bytes).unwrap();
        leader.expect_end();
        member.ended();
        assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
        assert_eq!(member.peer.accepted_epoch(), PeerEpoch(1));
        assert_eq!(member.exit_code(), None);
    }
    // The leader sends a COMMIT in place of DIFF, SNAP or TRUNC, and then a proposal that cannot be read.
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&commit(z(1, 3)));
    assert!(matches!(member.ended(), LearnerError::Unexpected { .. }));
    assert_eq!(member.exit_code(), Some(ExitCode::QuorumPacketError));
    let mut leader = member.follow(As::Follower);
    leader.expect(PacketType::FollowerInfo);
    let version = Some(0x10000_i32.to_be_bytes().to_vec());
    leader.send(&QuorumPacket::new(PacketType::LeaderInfo, z(2, 0), version));
    let ack = leader.expect(PacketType::AckEpoch);
    assert_eq!(ack.data.unwrap(), (-1_i32).to_be_bytes(), "that epoch was promised before");
    let torn = txn_bytes(z(1, 4)).1[..30].to_vec();
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 4)),
        QuorumPacket::new(PacketType::Proposal, z(1, 4), Some(torn)),
    ]);
    leader.expect_end();
    assert!(matches!(member.ended(), LearnerError::Txn { .. }));
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
}

#[test]
fn an_end_from_outside_ends_a_follower_wherever_it_is() {
    for packets in [0, 1, 2, 3] {
        let mut member = Member::new(&history(1..=3));
        let mut leader = if packets == 0 {
            member.follow(As::Follower)
        } else {
            member.follow_in_epoch(As::Follower, 2)
        };
        if packets > 1 {
            leader.send(&bare(PacketType::Diff, z(1, 3)));
        }
        if packets > 2 {
            leader.let_serve(2);
        }
        let role = member.role();
        role.shutdown();
        role.shutdown();
        member.ended();
        assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
    }
}

#[test]
fn an_observer_logs_and_applies_what_it_is_informed_of() {
    let mut member = Member::new(&history(1..=3));
    let mut leader = member.follow_in_epoch(As::Observer, 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 5)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        inform(z(1, 5)),
    ]);
    leader.let_serve(2);
    assert!(member.has(z(1, 5)));
    leader.send_all(&[inform(z(2, 1)), inform(z(2, 2)), bare(PacketType::Ping, z(2, 2))]);
    leader.expect(PacketType::Ping);
    wait_until("it is applied", DEADLINE, || member.has(z(2, 2)));
    drop(leader);
    member.ended();
    let expected: Vec<Zxid> = history(1..=5).into_iter().chain([z(2, 1), z(2, 2)]).collect();
    assert_eq!(member.log_on_disk(), expected);
}

fn request_of(packet: &QuorumPacket) -> (SessionId, i32, i32, &[u8]) {
    let data = packet.data.as_deref().unwrap();
    let int = |at: usize| i32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    let session = i64::from_be_bytes(data[..8].try_into().unwrap());
    (SessionId(session), int(8), int(12), &data[16..])
}

/// The leader's answer to a request: a proposal and its commit.
fn answer(zxid: Zxid, session: SessionId, cxid: i32, op: OpCode, txn: &[u8]) -> Vec<QuorumPacket> {
    let header = TxnHeader { client_id: session, cxid, zxid, time: 1, r#type: op.code() };
    let data = Some([header.to_bytes(), txn.to_vec()].concat());
    vec![QuorumPacket::new(PacketType::Proposal, zxid, data), commit(zxid)]
}

#[test]
fn a_client_of_a_follower_is_served_through_the_leader_in_its_order() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    let mut raw = RawConnection::open(member.client_port);
    let connect =
        ConnectRequest { time_out: 20_000, passwd: Some(vec![0; 16]), ..ConnectRequest::default() };
    raw.send_frame(&connect.to_bytes());
    let packet = leader.expect(PacketType::Request);
    let (session, cxid, op, _) = request_of(&packet);
    assert_eq!((session.0 >> 56, cxid, op), (2, 0, OpCode::CreateSession.code()));
    let txn = CreateSessionTxn { time_out: 20_000 }.to_bytes();
    leader.send_all(&answer(z(2, 1), session, 0, OpCode::CreateSession, &txn));
    leader.expect_ack(z(2, 1));
    let response: ConnectResponse = decode(&raw.receive_frame().unwrap()).0;
    assert_eq!(response.session_id, session);

    // A write, a read after it, a sync and a read after that. They must be answered one after the other, in this
    // order.
    let create = CreateRequest {
        path: "/mine".into(),
        data: Some(vec![7]),
        acl: Some(ids::open_acl_unsafe()),
        flags: 0,
    };
    raw.send_request(1, OpCode::Create.code(), &create.to_bytes());
    let get = GetDataRequest { path: "/mine".into(), watch: false };
    raw.send_request(2, OpCode::GetData.code(), &get.to_bytes());
    raw.send_request(3, OpCode::Sync.code(), &SyncRequest { path: "/".into() }.to_bytes());
    let old = GetDataRequest { path: path_of(z(1, 3)), watch: false };
    raw.send_request(4, OpCode::GetData.code(), &old.to_bytes());
    let packet = leader.expect(PacketType::Request);
    assert_eq!(request_of(&packet), (session, 1, OpCode::Create.code(), &create.to_bytes()[..]));
    assert!(packet.authinfo.is_some_and(|ids| ids[0].scheme == "ip"));
    let packet = leader.expect(PacketType::Request);
    assert_eq!(request_of(&packet).2, OpCode::Sync.code());
    leader.send(&bare(PacketType::Ping, z(2, 1)));
    let touched = leader.expect(PacketType::Ping).data.unwrap();
    assert_eq!(touched[..8], session.0.to_be_bytes());
    let txn = CreateTxn {
        path: "/mine".into(),
        data: Some(vec![7]),
        acl: ids::open_acl_unsafe(),
        ephemeral: false,
        parent_c_version: 4,
    };
    leader.send_all(&answer(z(2, 2), session, 1, OpCode::Create, &txn.to_bytes()));
    leader.expect_ack(z(2, 2));
    let header = raw.receive_reply().unwrap().0;
    assert_eq!((header.xid, header.zxid, header.err), (1, z(2, 2), 0));
    let (header, _) = raw.receive_reply().unwrap();
    assert_eq!((header.xid, header.err), (2, 0));
    leader.send(&bare(PacketType::Sync, Zxid::ZERO));
    assert_eq!(raw.receive_reply().unwrap().0.xid, 3);
    assert_eq!(raw.receive_reply().unwrap().0.xid, 4);

    // The leader refuses the request, with an error transaction.
    raw.send_request(5, OpCode::Create.code(), &create.to_bytes());
    leader.expect(PacketType::Request);
    let error = (-110_i32).to_be_bytes();
    leader.send_all(&answer(z(2, 3), session, 5, OpCode::Error, &error));
    leader.expect_ack(z(2, 3));
    let header = raw.receive_reply().unwrap().0;
    assert_eq!((header.xid, header.err), (5, -110));
    drop(leader);
    assert!(raw.receive_frame().is_none(), "clients look for another server");
    member.ended();
}

#[test]
fn whether_a_session_may_come_back_says_the_leader() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    for valid in [true, false] {
        let session = SessionId(0x0300_0000_0000_0009);
        let passwd = zookeeper_server::internals::server::session_password::generate(session);
        let mut raw = RawConnection::open(member.client_port);
        let connect = ConnectRequest {
            time_out: 20_000,
            session_id: session,
            passwd: Some(passwd.to_vec()),
            ..ConnectRequest::default()
        };
        raw.send_frame(&connect.to_bytes());
        let packet = leader.expect(PacketType::Revalidate);
        let question = packet.data.unwrap();
        assert_eq!(question[..8], session.0.to_be_bytes());
        assert_eq!(question[8..], 20_000_i32.to_be_bytes());
        let data = [&session.0.to_be_bytes()[..], &[u8::from(valid)]].concat();
        leader.send(&QuorumPacket::new(PacketType::Revalidate, Zxid::NONE, Some(data)));
        let response: ConnectResponse = decode(&raw.receive_frame().unwrap()).0;
        assert_eq!(response.session_id, if valid { session } else { SessionId(0) });
        if valid {
            let get = GetDataRequest { path: path_of(z(1, 3)), watch: false };
            assert_eq!(raw.ask(1, OpCode::GetData, &get).0.err, 0);
        }
    }
}

#[test]
fn a_local_session_is_the_leaders_concern_when_it_makes_an_ephemeral_node() {
    let lines = "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true";
    let mut member = Member::configured(lines, &history(1..=3));
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    let mut raw = RawConnection::open(member.client_port);
    let session = raw.new_session().session_id;
    assert_eq!(session.0 >> 56, 2, "nobody else was asked");
    leader.send(&bare(PacketType::Ping, z(2, 0)));
    assert_eq!(leader.expect(PacketType::Ping).data.unwrap(), [], "nor told");
    let create = CreateRequest {
        path: "/ephemeral".into(),
        data: None,
        acl: Some(ids::open_acl_unsafe()),
        flags: 1,
    };
    raw.send_request(1, OpCode::Create.code(), &create.to_bytes());
    let packet = leader.expect(PacketType::Request);
    assert_eq!(request_of(&packet).2, OpCode::CreateSession.code());
    let packet = leader.expect(PacketType::Request);
    assert_eq!(request_of(&packet), (session, 1, OpCode::Create.code(), &create.to_bytes()[..]));
    let session_txn = CreateSessionTxn { time_out: 20_000 }.to_bytes();
    leader.send_all(&answer(z(2, 1), session, 0, OpCode::CreateSession, &session_txn));
    let txn = CreateTxn {
        path: "/ephemeral".into(),
        data: None,
        acl: ids::open_acl_unsafe(),
        ephemeral: true,
        parent_c_version: 4,
    };
    leader.send_all(&answer(z(2, 2), session, 1, OpCode::Create, &txn.to_bytes()));
    let header = raw.receive_reply().unwrap().0;
    assert_eq!((header.xid, header.err), (1, 0));
    leader.expect_ack(z(2, 1));
    leader.expect_ack(z(2, 2));
    leader.send(&bare(PacketType::Ping, z(2, 2)));
    let touched = leader.expect(PacketType::Ping).data.unwrap();
    assert_eq!(touched[..8], session.0.to_be_bytes(), "it is a global session now");
    // The leader ends the session. The client is told nothing more, and its connection ends.
    leader.send_all(&answer(z(2, 3), session, 0, OpCode::CloseSession, &[0, 0, 0, 0]));
    leader.expect_ack(z(2, 3));
    assert!(raw.receive_frame().is_none());
}

#[test]
fn an_observer_that_keeps_nothing_on_disk_is_sent_what_it_lacks_again() {
    let mut member = Member::configured("syncEnabled=false", &history(1..=3));
    let mut leader = member.follow_in_epoch(As::Observer, 2);
    leader.send_all(&[bare(PacketType::Diff, z(1, 5)), inform(z(1, 4)), inform(z(1, 5))]);
    leader.let_serve(2);
    leader.send(&inform(z(2, 1)));
    wait_until("it is applied", DEADLINE, || member.has(z(2, 1)));
    drop(leader);
    member.ended();
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(2, 1), "it is still in memory");
    assert_eq!(member.log_on_disk(), history(1..=3));
    // The next leader truncates to a zxid that was never on the observer's disk. After that, the observer reports
    // only what is on its disk.
    let mut leader = member.follow_in_epoch(As::Observer, 3);
    leader.send(&bare(PacketType::Trunc, z(1, 5)));
    assert!(matches!(member.ended(), LearnerError::TooShort { .. }));
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
}

/// Moves the log directory away, and back again.
struct NoDisk {
    dir: PathBuf,
    aside: PathBuf,
}

impl NoDisk {
    fn of(member: &Member) -> Self {
        let dir = member.dir.path().join("data/version-2");
        let aside = member.dir.path().join("data/aside");
        fs::rename(&dir, &aside).unwrap();
        fs::write(&dir, "no directory").unwrap();
        Self { dir, aside }
    }

    fn back(self) {
        fs::remove_file(&self.dir).unwrap();
        fs::rename(&self.aside, &self.dir).unwrap();
    }
}

#[test]
fn a_log_that_fails_ends_the_process_and_nothing_is_acknowledged_or_applied() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[bare(PacketType::Diff, z(1, 4)), proposal(z(1, 4)), commit(z(1, 4))]);
    let disk = NoDisk::of(&member);
    leader.send_all(&[new_leader(2), up_to_date()]);
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::Log(_)), "{error}");
    assert_eq!(member.exit_code(), Some(ExitCode::UnexpectedError));
    disk.back();
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3), "what is on disk counts");
    assert!(!member.has(z(1, 4)));
    assert_eq!(member.epoch_on_disk(), "1");
}

#[test]
fn a_log_that_fails_while_the_follower_serves_ends_the_process_and_nothing_is_acknowledged() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    let disk = NoDisk::of(&member);
    leader.send(&proposal(z(2, 1)));
    assert_eq!(member.wait_exit_code(), ExitCode::UnexpectedError);
    leader.send_all(&[proposal(z(2, 2)), bare(PacketType::Ping, z(2, 2))]);
    leader.expect(PacketType::Ping);
    drop(leader);
    member.ended();
    disk.back();
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3), "what is on disk counts");
    assert_eq!(member.log_on_disk(), history(1..=3));
}

#[test]
fn a_client_that_sends_more_than_the_follower_takes_waits() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    let mut raw = RawConnection::open(member.client_port);
    let connect =
        ConnectRequest { time_out: 20_000, passwd: Some(vec![0; 16]), ..ConnectRequest::default() };
    raw.send_frame(&connect.to_bytes());
    let session = request_of(&leader.expect(PacketType::Request)).0;
    let session_txn = CreateSessionTxn { time_out: 20_000 }.to_bytes();
    leader.send_all(&answer(z(2, 1), session, 0, OpCode::CreateSession, &session_txn));
    leader.expect_ack(z(2, 1));
    assert!(raw.receive_frame().is_some());
    // More than the follower takes at once. Its limit is half of Java's 1000, because there are two followers.
    const REQUESTS: i32 = 1200;
    for xid in 1..=REQUESTS {
        raw.send_request(xid, OpCode::Delete.code(), &[0, 0, 0, 2, b'/', b'x', 0, 0, 0, 0]);
    }
    let error = (-101_i32).to_be_bytes();
    let mut acknowledged = 1;
    for xid in 1..=REQUESTS {
        let request = loop {
            let packet = leader.receive().unwrap();
            match packet.packet_type() {
                Some(PacketType::Ack) => acknowledged += 1,
                _ => break packet,
            }
        };
        assert_eq!(request_of(&request).1, xid);
        let zxid = z(2, 1 + i64::from(xid));
        leader.send_all(&answer(zxid, session, xid, OpCode::Error, &error));
    }
    for xid in 1..=REQUESTS {
        assert_eq!(raw.receive_reply().unwrap().0.xid, xid);
    }
    assert!(acknowledged <= REQUESTS + 1);
}
