//! Java's faults by which a member loses transactions or differs from the others. Each has a test for the moment at
//! which it strikes in Java. ARCHITECTURE.md says what Java does and what this server does instead.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "quorum/scripted_leader.rs"]
mod scripted_leader;
#[path = "quorum/scripted_learners.rs"]
mod scripted_learners;

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{DEADLINE, TempDir, decode, wait_until};
use scripted_leader::{
    As, Connection, Member, SESSION, bare, commit, new_leader, path_of, proposal, up_to_date,
};
use scripted_learners::Leading;
use zookeeper_server::ids::{PeerEpoch, SessionId, Zxid};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::quorum::learner::LearnerError;
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::internals::txn::{CloseSessionTxn, CreateSessionTxn, CreateTxn, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

fn history(counters: std::ops::RangeInclusive<i64>) -> Vec<Zxid> {
    counters.map(|counter| z(1, counter)).collect()
}

fn data_of(dir: &TempDir) -> PathBuf {
    dir.path().join("data/version-2")
}

/// Starts a member on a copy of the other member's disk, as if that member was killed now.
fn killed_now(member: &Member) -> Member {
    let dir = Arc::new(TempDir::new("killed"));
    let to = data_of(&dir);
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(data_of(&member.dir)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    Member::over(dir, &[])
}

/// Those of these transactions whose nodes are in the member's tree.
fn in_tree(member: &Member, zxids: &[Zxid]) -> Vec<Zxid> {
    zxids.iter().copied().filter(|zxid| member.has(*zxid)).collect()
}

/// While this value exists, no log file can be created that begins with that transaction.
struct NoLog(PathBuf);

impl NoLog {
    fn at(dir: &Path, zxid: Zxid) -> Self {
        let path = dir.join(format!("log.{:x}", zxid.0));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for NoLog {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

/// Sends the tree of another member as the leader's snapshot.
fn send_tree(leader: &mut Connection, zxid: Zxid, of: &Member) {
    leader.send(&bare(PacketType::Snap, zxid));
    of.peer.database().serialize_snapshot(|bytes| leader.stream.write_all(bytes)).unwrap();
    leader.stream.write_all(b"\0\0\0\x0aBenWasHere").unwrap();
}

/// The same greeting as [`Member::follow_in_epoch`]. Returns the last zxid that the member reports.
fn told(member: &mut Member, epoch: i64) -> (Connection, Zxid) {
    let mut leader = member.follow(As::Follower);
    leader.expect(PacketType::FollowerInfo);
    let version = Some(0x10000_i32.to_be_bytes().to_vec());
    let epoch = Zxid::start_of(PeerEpoch(epoch));
    leader.send(&QuorumPacket::new(PacketType::LeaderInfo, epoch, version));
    let told = leader.expect(PacketType::AckEpoch).zxid;
    (leader, told)
}

fn header_of(proposal: &QuorumPacket) -> TxnHeader {
    decode::<TxnHeader>(proposal.data.as_deref().unwrap()).0
}

fn log_txn(member: &Member, zxid: Zxid, txn: &CreateTxn) {
    let op = OpCode::Create.code();
    let header = TxnHeader { client_id: SESSION, cxid: 1, zxid, time: 1, r#type: op };
    let bytes = [header.to_bytes(), txn.to_bytes()].concat();
    member.peer.database().snap_log().append(&header, &bytes).unwrap();
}

fn create(zxid: Zxid, data: usize, ephemeral: bool) -> CreateTxn {
    CreateTxn {
        path: path_of(zxid),
        data: Some(vec![0; data]),
        acl: ids::open_acl_unsafe(),
        ephemeral,
        parent_c_version: i32::try_from(zxid.counter()).unwrap(),
    }
}

/// ZOOKEEPER-2845: When its role ended, a member kept its tree, which lacked transactions that were logged and not
/// committed. The member voted with this tree.
#[test]
fn what_is_logged_and_not_committed_is_in_the_tree_that_the_next_role_begins_with() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    leader.send(&proposal(z(2, 1)));
    leader.expect_ack(z(2, 1));
    assert!(!member.has(z(2, 1)));
    drop(leader);
    member.ended();
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(2, 1));
    assert!(member.has(z(2, 1)), "the vote and the tree are about the same");
    // The transaction was never committed, so the next leader does not have it.
    let mut leader = member.follow_in_epoch(As::Follower, 3);
    leader.send(&bare(PacketType::Trunc, z(1, 3)));
    leader.let_serve(3);
    assert!(!member.has(z(2, 1)));
    assert_eq!(member.log_on_disk(), history(1..=3));
}

/// ZOOKEEPER-2872: A member acknowledged a snapshot of the leader that was not on disk, and later loaded an
/// incomplete one.
#[test]
fn a_snapshot_that_cannot_be_saved_is_not_acknowledged_and_a_part_of_one_is_not_loaded() {
    let other = Member::new(&[z(2, 1), z(2, 2)]);
    let (mut member, mut leader) = Member::following(&history(1..=3), 3);
    let dir = data_of(&member.dir);
    // This directory has the name of the snapshot, so the snapshot cannot be saved.
    let in_the_way = dir.join("snapshot.200000002");
    fs::create_dir_all(in_the_way.join("in it")).unwrap();
    send_tree(&mut leader, z(2, 2), &other);
    leader.send_all(&[new_leader(3), up_to_date()]);
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::Snapshot(_)), "{error}");
    fs::remove_dir_all(in_the_way).unwrap();
    assert_eq!(member.epoch_on_disk(), "1");
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
    // The snapshot is incomplete, as after a full disk or a power failure.
    let whole = other.peer.database().save_snapshot().unwrap();
    let bytes = fs::read(whole).unwrap();
    fs::write(dir.join("snapshot.200000002"), &bytes[..bytes.len() / 2]).unwrap();
    let again = killed_now(&member);
    assert_eq!(again.peer.last_logged_zxid().unwrap(), z(1, 3));
    assert!(again.has(z(1, 3)) && !again.has(z(2, 1)));
}

/// ZOOKEEPER-3023: A learner acknowledged the epoch, and applied the transactions that the DIFF commits some time
/// later.
#[test]
fn what_a_diff_commits_is_in_the_tree_when_the_epoch_is_acknowledged() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 40)));
    for counter in 4..=40 {
        leader.send_all(&[proposal(z(1, counter)), commit(z(1, counter))]);
    }
    leader.send(&new_leader(2));
    leader.expect_ack(z(2, 0));
    assert_eq!(in_tree(&member, &history(1..=40)), history(1..=40));
    assert_eq!(member.peer.database().last_processed_zxid(), z(1, 40));
}

/// ZOOKEEPER-3104: The leader sent NEWLEADER before the transactions that were committed while it sent its tree. The
/// tree contained some of these already. The learner saved it as the tree of an earlier zxid.
#[test]
fn what_is_committed_while_a_snapshot_is_sent_comes_before_new_leader() {
    let candidate = Leading::candidate(Arc::new(TempDir::new("leader")), "snapshotSizeFactor=-1");
    for counter in 1..=16 {
        log_txn(&candidate, z(1, counter), &create(z(1, counter), 1_000_000, false));
    }
    candidate.peer.database().fast_forward_data_base().unwrap();
    let leading = Leading::of(candidate);
    let mut follower = leading.with_follower(1, z(1, 16));
    let mut slow = leading.follower(3, Zxid::ZERO);
    assert_eq!(slow.expect(PacketType::Snap).zxid, z(2, 0));
    // The learner stops reading, so the leader stops somewhere in the tree.
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    for session in 1..=3 {
        follower.request(session, 0, OpCode::CreateSession, &timeout);
        assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, session));
        follower.ack(z(2, session));
        assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, session));
    }
    // The signature contains the byte `e` three times.
    let mut tail = Vec::new();
    while !tail.ends_with(b"BenWasHere") {
        let old = tail.len().saturating_sub(16);
        tail.drain(..old);
        assert_ne!(slow.input.read_until(b'e', &mut tail).unwrap(), 0, "the tree ends");
    }
    for session in 1..=3 {
        assert_eq!(slow.expect(PacketType::Proposal).zxid, z(2, session));
        assert_eq!(slow.expect(PacketType::Commit).zxid, z(2, session));
    }
    slow.acknowledge_new_leader();
}

/// ZOOKEEPER-3642: A leader's tree that was never saved stayed in memory, and the member applied the next leader's
/// DIFF to it.
#[test]
fn a_diff_after_a_snapshot_that_was_not_saved_begins_with_what_is_on_disk() {
    let other = Member::new(&[z(2, 1), z(2, 2)]);
    let (mut member, mut leader) = Member::following(&history(1..=3), 3);
    send_tree(&mut leader, z(2, 2), &other);
    leader.send_all(&[proposal(z(2, 3)), commit(z(2, 3))]);
    drop(leader);
    member.ended();
    let (mut leader, told) = told(&mut member, 4);
    assert_eq!(told, z(1, 3));
    leader.send_all(&[bare(PacketType::Diff, z(1, 4)), proposal(z(1, 4)), commit(z(1, 4))]);
    leader.let_serve(4);
    let all = [history(1..=4), vec![z(2, 1), z(2, 2), z(2, 3)]].concat();
    assert_eq!(in_tree(&member, &all), history(1..=4));
    assert_eq!(in_tree(&killed_now(&member), &all), history(1..=4));
}

/// ZOOKEEPER-3911: A follower acknowledged NEWLEADER before it had logged the transactions of the DIFF. If all
/// followers ended at that moment, the ensemble lost acknowledged writes.
#[test]
fn a_follower_that_is_killed_right_after_the_ack_of_new_leader_has_what_was_committed() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 6)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        proposal(z(1, 5)),
        commit(z(1, 5)),
        proposal(z(1, 6)),
        new_leader(2),
    ]);
    leader.expect_ack(z(2, 0));
    let killed = killed_now(&member);
    assert_eq!(killed.log_on_disk(), history(1..=5));
    assert_eq!(killed.peer.last_logged_zxid().unwrap(), z(1, 5));
    assert_eq!(killed.peer.current_epoch(), PeerEpoch(2));
}

/// ZOOKEEPER-4394: A COMMIT after NEWLEADER ended the follower if the proposal had come before NEWLEADER.
#[test]
fn what_is_proposed_before_new_leader_may_be_committed_after_it() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 3)),
        proposal(z(1, 4)),
        proposal(z(1, 5)),
        new_leader(2),
        commit(z(1, 4)),
    ]);
    leader.expect_ack(z(2, 0));
    leader.send_all(&[proposal(z(2, 1)), commit(z(1, 5)), commit(z(2, 1)), up_to_date()]);
    leader.expect_ack(z(2, 0));
    for zxid in [z(1, 4), z(1, 5), z(2, 1)] {
        leader.expect_ack(zxid);
    }
    wait_until("all is applied", DEADLINE, || member.has(z(2, 1)));
    assert!(member.has(z(1, 4)) && member.has(z(1, 5)));
}

/// ZOOKEEPER-4643: A member set `currentEpoch` before the history was on disk. Without this history it won the next
/// election, and made others truncate committed transactions.
#[test]
fn the_epoch_is_not_entered_when_its_history_cannot_be_logged() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[bare(PacketType::Diff, z(1, 4)), proposal(z(1, 4)), commit(z(1, 4))]);
    let no_log = NoLog::at(&data_of(&member.dir), z(1, 4));
    leader.send_all(&[new_leader(2), up_to_date()]);
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::Log(_)), "{error}");
    assert_eq!(member.epoch_on_disk(), "1");
    drop(no_log);
    let killed = killed_now(&member);
    assert_eq!(killed.peer.current_epoch(), PeerEpoch(1));
    assert_eq!(killed.peer.last_logged_zxid().unwrap(), z(1, 3));
}

/// ZOOKEEPER-4646: A member queued the transactions for the thread that logs, and acknowledged NEWLEADER before they
/// were logged.
#[test]
fn no_ack_leaves_before_the_log_has_what_it_promises() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 303)));
    for counter in 4..=303 {
        leader.send_all(&[proposal(z(1, counter)), commit(z(1, counter))]);
    }
    leader.send(&new_leader(2));
    leader.expect_ack(z(2, 0));
    assert_eq!(member.log_on_disk(), history(1..=303));
    // The same is true from the first acknowledgement after UPTODATE on.
    leader.send_all(&[proposal(z(2, 1)), up_to_date()]);
    leader.expect_ack(z(2, 0));
    leader.expect_ack(z(2, 1));
    assert_eq!(member.log_on_disk().last(), Some(&z(2, 1)));
}

/// ZOOKEEPER-4712: The log thread of an ended follower lived on, and wrote to the log while the next follower ran.
#[test]
fn a_follower_that_has_ended_logs_nothing_more() {
    let mut member = Member::new(&history(1..=3));
    let holders = |member: &Member| Arc::strong_count(member.peer.database().snap_log());
    let before = holders(&member);
    for (epoch, as_what) in [(2, As::Follower), (4, As::Observer)] {
        let mut leader = member.follow_in_epoch(as_what, epoch);
        leader.send(&bare(PacketType::Diff, z(1, 3)));
        leader.let_serve(epoch);
        let make = if as_what == As::Follower { proposal } else { scripted_leader::inform };
        let packets: Vec<QuorumPacket> = (1..=400).map(|counter| make(z(epoch, counter))).collect();
        leader.send_all(&packets);
        drop(leader);
        member.ended();
        assert_eq!(holders(&member), before, "nobody is left who could write to the log");
        let logged = member.log_on_disk();
        assert_eq!(member.peer.last_logged_zxid().unwrap(), *logged.last().unwrap());
        // The next leader has none of these transactions.
        let mut leader = member.follow_in_epoch(as_what, epoch + 1);
        if logged.len() > 3 {
            leader.send(&bare(PacketType::Trunc, z(1, 3)));
        } else {
            leader.send(&bare(PacketType::Diff, z(1, 3)));
        }
        leader.let_serve(epoch + 1);
        drop(leader);
        member.ended();
        assert_eq!(member.log_on_disk(), history(1..=3));
        assert_eq!(in_tree(&member, &[z(1, 3), z(epoch, 1)]), [z(1, 3)]);
    }
}

/// ZOOKEEPER-4785: Between the two ACKs of an epoch, a follower had the epoch in `currentEpoch`, but transactions of
/// the DIFF only in memory.
#[test]
fn at_each_ack_of_a_diff_everything_before_it_is_on_disk() {
    let (member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 5)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        proposal(z(1, 5)),
        new_leader(2),
        commit(z(1, 5)),
    ]);
    leader.expect_ack(z(2, 0));
    let first = killed_now(&member);
    assert_eq!((first.epoch_on_disk().as_str(), first.log_on_disk()), ("2", history(1..=4)));
    leader.send(&up_to_date());
    leader.expect_ack(z(2, 0));
    leader.expect_ack(z(1, 5));
    let second = killed_now(&member);
    assert_eq!((second.epoch_on_disk().as_str(), second.log_on_disk()), ("2", history(1..=5)));
    assert_eq!(in_tree(&second, &history(1..=5)), history(1..=5));
}

/// ZOOKEEPER-4925: The committed log lacked the transactions of a DIFF. If the member led next, it passed the gap on.
#[test]
fn the_committed_log_has_no_hole_where_a_diff_was() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send_all(&[
        bare(PacketType::Diff, z(1, 5)),
        proposal(z(1, 4)),
        commit(z(1, 4)),
        proposal(z(1, 5)),
        commit(z(1, 5)),
    ]);
    leader.let_serve(2);
    leader.send_all(&[proposal(z(2, 1)), commit(z(2, 1))]);
    leader.expect_ack(z(2, 1));
    wait_until("it is applied", DEADLINE, || member.has(z(2, 1)));
    let kept = |member: &Member| -> Vec<Zxid> {
        let log = member.peer.database().committed_log().unwrap().read();
        log.iter().map(|proposal| proposal.zxid).collect()
    };
    let all = [history(1..=5), vec![z(2, 1)]].concat();
    assert_eq!(kept(&member), all);
    drop(leader);
    member.ended();
    assert_eq!(kept(&member), all);
    // A member does not accept a DIFF with a gap, either.
    let mut leader = member.follow_in_epoch(As::Follower, 3);
    leader.send_all(&[bare(PacketType::Diff, z(2, 3)), proposal(z(2, 3)), commit(z(2, 3))]);
    leader.expect_end();
    assert!(matches!(member.ended(), LearnerError::Discontinuous { .. }));
}

/// ZOOKEEPER-4882: A disk failed for a moment. A transaction that others had committed was in the tree but not in the
/// log, and the next transactions were logged after this gap.
#[test]
fn a_follower_whose_log_has_failed_is_not_ahead_of_its_disk() {
    let (mut member, mut leader) = Member::following(&history(1..=3), 2);
    leader.send(&bare(PacketType::Diff, z(1, 3)));
    leader.let_serve(2);
    let no_log = NoLog::at(&data_of(&member.dir), z(2, 1));
    leader.send(&proposal(z(2, 1)));
    assert_eq!(member.wait_exit_code(), ExitCode::UnexpectedError);
    leader.send(&commit(z(2, 1)));
    wait_until("others have it", DEADLINE, || member.has(z(2, 1)));
    // The disk works again before the process has ended.
    drop(no_log);
    drop(leader);
    member.ended();
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 3));
    assert!(!member.has(z(2, 1)));
    let (mut leader, told) = told(&mut member, 3);
    assert_eq!(told, z(1, 3));
    leader.send(&bare(PacketType::Diff, z(2, 1)));
    leader.send_all(&[proposal(z(2, 1)), commit(z(2, 1)), new_leader(3)]);
    // The member either has everything on disk that it acknowledges, or acknowledges nothing.
    if leader.receive().is_some() {
        assert_eq!(killed_now(&member).log_on_disk(), [history(1..=3), vec![z(2, 1)]].concat());
    }
}

/// The same fault (ZOOKEEPER-4882) with the leader's disk.
#[test]
fn a_leader_whose_log_has_failed_is_not_ahead_of_its_disk() {
    let mut leading = Leading::new(1..=3);
    let mut one = leading.with_follower(1, z(1, 3));
    let mut other = leading.with_late_follower();
    // The leader takes this snapshot while it goes on. It must be complete before the log fails.
    wait_until("the epoch is in a snapshot", DEADLINE, || {
        leading.member.snapshots_on_disk().first() == Some(&z(2, 0))
    });
    let no_log = NoLog::at(&data_of(&leading.member.dir), z(2, 1));
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    one.request(8, 0, OpCode::CreateSession, &timeout);
    for follower in [&mut one, &mut other] {
        assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
        follower.ack(z(2, 1));
    }
    // The two followers are a majority without the leader.
    assert_eq!(one.expect(PacketType::Commit).zxid, z(2, 1));
    assert_eq!(leading.member.wait_exit_code(), ExitCode::UnexpectedError);
    let database = Arc::clone(leading.member.peer.database());
    wait_until("it is applied", DEADLINE, || database.last_processed_zxid() == z(2, 1));
    drop(no_log);
    leading.end();
    assert_eq!(leading.member.log_on_disk(), history(1..=3));
    assert_eq!(
        leading.member.peer.last_logged_zxid().unwrap(),
        z(2, 0),
        "the epoch, by a snapshot"
    );
    assert_eq!(database.sessions_with_timeouts().timeout_ms(SessionId(8)), None);
}

/// A leader with transactions of epochs 0 and 1. If `is_snapshot`, its log also has `(0, 7)` from a leader that
/// failed. It then got the tree of the next leader as a snapshot, and followed that leader.
fn leader_with_two_epochs(is_snapshot: bool) -> Leading {
    let candidate = Leading::candidate(Arc::new(TempDir::new("leader")), "snapshotSizeFactor=1");
    let database = Arc::clone(candidate.peer.database());
    // This transaction has a file of its own. It makes the snapshot so large that the leader may send the later
    // transactions instead.
    log_txn(&candidate, z(0, 1), &create(z(0, 1), 900_000, false));
    database.fast_forward_data_base().unwrap();
    for counter in 2..=6 {
        log_txn(&candidate, z(0, counter), &create(z(0, counter), 1, false));
    }
    database.snap_log().commit().unwrap();
    database.fast_forward_data_base().unwrap();
    database.save_snapshot().unwrap();
    if is_snapshot {
        log_txn(&candidate, z(0, 7), &create(z(0, 7), 1, false));
        database.snap_log().commit().unwrap();
        database.tree().write().set_last_processed_zxid(z(1, 0));
        database.save_snapshot().unwrap();
    }
    for counter in 1..=600 {
        log_txn(&candidate, z(1, counter), &create(z(1, counter), 1, false));
    }
    database.snap_log().commit().unwrap();
    candidate.peer.set_accepted_epoch(PeerEpoch(1)).unwrap();
    candidate.peer.set_current_epoch(PeerEpoch(1)).unwrap();
    let dir = Arc::clone(&candidate.dir);
    drop(candidate);
    Leading::of(Leading::candidate(dir, "snapshotSizeFactor=1"))
}

/// ZOOKEEPER-2846: A DIFF from the log on disk contained a transaction that was never committed.
#[test]
fn what_was_never_committed_at_the_end_of_an_epoch_is_not_sent_from_the_log_on_disk() {
    let leading = leader_with_two_epochs(true);
    let _quorum = leading.with_follower(1, z(1, 600));
    let mut behind = leading.follower(3, z(0, 5));
    behind.expect(PacketType::Snap);
    // A learner whose last zxid is in epoch 1 gets the transactions that it lacks.
    let mut behind = leading.follower(3, z(1, 20));
    behind.expect(PacketType::Diff);
    assert_eq!(behind.expect(PacketType::Proposal).zxid, z(1, 21));
}

#[test]
fn the_log_on_disk_is_sent_across_the_end_of_an_epoch_that_this_server_has_seen() {
    let leading = leader_with_two_epochs(false);
    let _quorum = leading.with_follower(1, z(1, 600));
    let mut behind = leading.follower(3, z(0, 6));
    assert_eq!(behind.expect(PacketType::Diff).zxid, z(1, 600));
    for counter in 1..=600 {
        assert_eq!(behind.expect(PacketType::Proposal).zxid, z(1, counter));
        assert_eq!(behind.expect(PacketType::Commit).zxid, z(1, counter));
    }
    behind.acknowledge_new_leader();
}

/// ZOOKEEPER-5010: A leader deleted the ephemeral nodes of unknown sessions only in its own tree.
#[test]
fn a_leader_deletes_ephemeral_nodes_of_unknown_sessions_for_everybody() {
    let candidate = Leading::candidate(Arc::new(TempDir::new("leader")), "");
    log_txn(&candidate, z(1, 1), &create(z(1, 1), 1, true));
    candidate.peer.database().fast_forward_data_base().unwrap();
    let leading = Leading::of(candidate);
    let mut follower = leading.follower(1, z(1, 1));
    assert_eq!(follower.expect(PacketType::Diff).zxid, z(1, 1));
    follower.expect(PacketType::NewLeader);
    assert!(leading.member.has(z(1, 1)), "as its followers");
    follower.ack(z(2, 0));
    let closing = loop {
        let packet = follower.receive().unwrap();
        if packet.packet_type() == Some(PacketType::Proposal) {
            break packet;
        }
        assert_eq!(packet.packet_type(), Some(PacketType::UpToDate));
    };
    let header = header_of(&closing);
    assert_eq!((header.client_id, header.r#type), (SESSION, OpCode::CloseSession.code()));
    let (_, rest) = decode::<TxnHeader>(closing.data.as_deref().unwrap());
    assert_eq!(decode::<CloseSessionTxn>(rest).0.paths2_delete, [path_of(z(1, 1))]);
    assert!(leading.member.has(z(1, 1)));
    follower.ack(z(2, 1));
    wait_until("it is deleted", DEADLINE, || !leading.member.has(z(1, 1)));
}

/// ZOOKEEPER-5010, when the leader deletes such nodes only in its own tree.
#[test]
fn a_follower_with_ephemeral_nodes_of_unknown_sessions_gets_its_leaders_tree() {
    let other = Member::new(&history(1..=3));
    let mut member = Member::new(&history(1..=3));
    log_txn(&member, z(1, 4), &create(z(1, 4), 1, true));
    member.peer.database().fast_forward_data_base().unwrap();
    let (mut leader, told_zxid) = told(&mut member, 2);
    assert_eq!(told_zxid, Zxid::ZERO, "it has nothing to build on");
    other.peer.database().tree().write().set_last_processed_zxid(z(1, 4));
    send_tree(&mut leader, z(1, 4), &other);
    leader.let_serve(2);
    assert_eq!(in_tree(&member, &history(1..=4)), history(1..=3));
    let killed = killed_now(&member);
    assert_eq!(in_tree(&killed, &history(1..=4)), history(1..=3));
    drop(leader);
    member.ended();
    assert_eq!(told(&mut member, 3).1, z(1, 4));
}

/// ZOOKEEPER-4685: A follower that acknowledged a transaction before NEWLEADER was never counted, so the leader gave
/// up.
#[test]
fn a_follower_that_acknowledges_transactions_before_new_leader_counts() {
    let leading = Leading::new(1..=5);
    let mut follower = leading.follower(1, z(1, 3));
    follower.expect(PacketType::Diff);
    for counter in [4, 5] {
        assert_eq!(follower.expect(PacketType::Proposal).zxid, z(1, counter));
        follower.expect(PacketType::Commit);
        follower.ack(z(1, counter));
    }
    follower.acknowledge_new_leader();
    let timeout = CreateSessionTxn { time_out: 40_000 }.to_bytes();
    follower.request(8, 0, OpCode::CreateSession, &timeout);
    assert_eq!(follower.expect(PacketType::Proposal).zxid, z(2, 1));
    // This follower has the transaction on disk before it is in the epoch. Until then, its acknowledgement does not
    // count.
    let mut late = leading.follower(3, z(2, 0));
    late.expect(PacketType::Diff);
    assert_eq!(late.expect(PacketType::Proposal).zxid, z(2, 1));
    late.ack(z(2, 1));
    late.acknowledge_new_leader();
    assert_eq!(late.expect(PacketType::Commit).zxid, z(2, 1));
    assert_eq!(follower.expect(PacketType::Commit).zxid, z(2, 1));
}

/// A leader truncates transactions that are in the only snapshot. Java loads that snapshot again, with all truncated
/// transactions.
#[test]
fn a_truncation_below_the_only_snapshot_has_the_leader_send_its_tree() {
    let other = Member::new(&history(1..=5));
    let mut member = Member::new(&history(1..=9));
    member.peer.database().save_snapshot().unwrap();
    for file in fs::read_dir(data_of(&member.dir)).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with("snapshot.0") {
            fs::remove_file(path).unwrap();
        }
    }
    let mut leader = member.follow_in_epoch(As::Follower, 2);
    leader.send(&bare(PacketType::Trunc, z(1, 5)));
    leader.expect_end();
    let error = member.ended();
    assert!(matches!(error, LearnerError::Truncate { .. }), "{error}");
    assert_eq!(member.exit_code(), None);
    assert_eq!(member.peer.last_logged_zxid().unwrap(), z(1, 9), "nothing was given up yet");
    let (mut leader, told_zxid) = told(&mut member, 3);
    assert_eq!(told_zxid, Zxid::ZERO);
    send_tree(&mut leader, z(1, 5), &other);
    leader.let_serve(3);
    assert_eq!(in_tree(&member, &history(1..=9)), history(1..=5));
    let killed = killed_now(&member);
    assert_eq!(killed.peer.last_logged_zxid().unwrap(), z(1, 5));
    assert_eq!(in_tree(&killed, &history(1..=9)), history(1..=5));
}
