//! Tests of the decision, row by row (no Java twin).

use super::*;
use std::sync::Arc;

fn bounds(committed: Option<(Zxid, Zxid)>, last_processed: Zxid) -> Bounds {
    Bounds { committed, last_processed, history_from: Zxid(i64::MAX) }
}

fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid::new(epoch, counter)
}

/// Epoch 4 from 3 to 7, then epoch 5 without transactions.
fn usual() -> Bounds {
    bounds(Some((z(4, 3), z(4, 7))), z(5, 0))
}

fn look(queue: &mut SyncQueue, zxids: &[Zxid], bounds: &Bounds) -> Result<(), NoDiff> {
    for zxid in zxids {
        let proposal = || CommittedProposal { zxid: *zxid, bytes: Arc::new([]) };
        queue.add(*zxid, proposal, bounds)?;
    }
    queue.finish(bounds);
    Ok(())
}

/// What a learner gets out of these transactions.
fn diff(
    peer: Zxid,
    zxids: &[Zxid],
    bounds: &Bounds,
) -> Result<(Option<SyncOp>, Vec<Zxid>), NoDiff> {
    let mut queue = SyncQueue::new(peer);
    look(&mut queue, zxids, bounds)?;
    let zxids = queue.proposals.iter().map(|proposal| proposal.zxid).collect();
    Ok((queue.op, zxids))
}

#[test]
fn a_forced_snapshot_goes_before_everything() {
    assert_eq!(choose(z(5, 0), &usual(), true, true), Source::Snapshot);
}

#[test]
fn who_has_everything_gets_an_empty_diff() {
    assert_eq!(choose(z(5, 0), &usual(), false, true), Source::Nothing(SyncOp::Diff(z(5, 0))));
    let empty = bounds(None, Zxid::ZERO);
    assert_eq!(choose(Zxid::ZERO, &empty, false, true), Source::Nothing(SyncOp::Diff(Zxid::ZERO)));
}

#[test]
fn who_has_too_much_is_cut_off_at_the_end_of_the_committed_log() {
    let cut = Source::Nothing(SyncOp::Trunc(z(4, 7)));
    assert_eq!(choose(z(4, 8), &usual(), false, true), cut);
    assert_eq!(choose(z(6, 2), &usual(), false, true), cut);
    let empty = bounds(None, z(4, 7));
    assert_eq!(choose(z(4, 8), &empty, false, true), cut);
}

#[test]
fn who_is_at_the_start_of_an_epoch_is_never_cut_off() {
    let source = choose(z(6, 0), &usual(), false, true);
    assert_eq!(source, Source::Snapshot, "neither in the log nor before it");
}

#[test]
fn who_is_in_the_committed_log_gets_the_rest_of_it() {
    for peer in [z(4, 3), z(4, 5), z(4, 7)] {
        assert_eq!(choose(peer, &usual(), false, false), Source::CommittedLog);
    }
    let log = [z(4, 3), z(4, 4), z(4, 5), z(4, 6), z(4, 7)];
    let (op, rest) = diff(z(4, 5), &log, &usual()).unwrap();
    assert_eq!(op, Some(SyncOp::Diff(z(4, 7))));
    assert_eq!(rest, [z(4, 6), z(4, 7)]);
    let (op, rest) = diff(z(4, 7), &log, &usual()).unwrap();
    assert_eq!((op, rest), (Some(SyncOp::Diff(z(4, 7))), vec![]));
}

#[test]
fn the_disk_is_asked_for_what_is_before_the_committed_log_unless_that_is_off() {
    assert_eq!(choose(z(4, 2), &usual(), false, true), Source::TxnLog);
    assert_eq!(choose(z(4, 2), &usual(), false, false), Source::Snapshot);
    assert_eq!(choose(Zxid::NONE, &usual(), false, true), Source::TxnLog);
}

#[test]
fn at_the_start_of_an_epoch_a_learner_gets_what_came_in_it() {
    let history = bounds(Some((z(4, 6), z(5, 2))), z(5, 2));
    assert_eq!(choose(z(5, 0), &history, false, true), Source::CommittedLog);
    let log = [z(4, 6), z(4, 7), z(5, 1), z(5, 2)];
    let (op, rest) = diff(z(5, 0), &log, &history).unwrap();
    assert_eq!((op, rest), (Some(SyncOp::Diff(z(5, 2))), vec![z(5, 1), z(5, 2)]));
    let nothing_since = [z(4, 6), z(4, 7)];
    let (op, rest) = diff(z(5, 0), &nothing_since, &usual()).unwrap();
    assert_eq!((op, rest), (Some(SyncOp::Diff(z(4, 7))), vec![]));
}

#[test]
fn who_has_something_of_an_epoch_that_ended_without_it_gets_a_snapshot() {
    let history = bounds(Some((z(4, 3), z(5, 2))), z(5, 2));
    let log = [z(4, 3), z(4, 4), z(5, 1), z(5, 2)];
    assert_eq!(diff(z(4, 9), &log, &history).unwrap_err(), NoDiff::OtherEpoch);
}

#[test]
fn a_hole_is_never_handed_on() {
    let history = bounds(Some((z(4, 3), z(5, 2))), z(5, 2));
    let hole = [z(4, 3), z(4, 4), z(4, 6)];
    assert_eq!(diff(z(4, 3), &hole, &history).unwrap_err(), NoDiff::Hole(z(4, 4)));
    assert_eq!(diff(z(4, 5), &hole, &history).unwrap_err(), NoDiff::Hole(z(4, 4)));
    let epoch_without_start = [z(4, 3), z(4, 4), z(5, 2)];
    assert_eq!(diff(z(4, 4), &epoch_without_start, &history).unwrap_err(), NoDiff::Hole(z(4, 4)));
    let behind_the_learner = [z(4, 1), z(4, 3), z(4, 4)];
    assert_eq!(diff(z(4, 3), &behind_the_learner, &history).unwrap().1, [z(4, 4)]);
}

#[test]
fn disk_and_committed_log_go_together_as_long_as_the_epoch_lasts() {
    let history = bounds(Some((z(4, 5), z(5, 1))), z(5, 1));
    let all = [z(4, 2), z(4, 3), z(4, 4), z(4, 5), z(4, 6), z(5, 1)];
    let (op, rest) = diff(z(4, 3), &all, &history).unwrap();
    assert_eq!(op, Some(SyncOp::Diff(z(5, 1))));
    assert_eq!(rest, [z(4, 4), z(4, 5), z(4, 6), z(5, 1)]);
    // The end of epoch 4 on this disk may never have been committed.
    let late = bounds(Some((z(5, 1), z(5, 2))), z(5, 2));
    let all = [z(4, 3), z(4, 4), z(5, 1), z(5, 2)];
    assert_eq!(diff(z(4, 3), &all, &late).unwrap_err(), NoDiff::EpochEndsOnDisk(z(4, 4)));
    assert_eq!(diff(z(4, 4), &all, &late).unwrap_err(), NoDiff::EpochEndsOnDisk(z(4, 4)));
    // If this server had it in its tree, it was.
    let late = Bounds { history_from: z(4, 4), ..late };
    assert_eq!(diff(z(4, 3), &all, &late).unwrap().1, [z(4, 4), z(5, 1), z(5, 2)]);
    let late = Bounds { history_from: z(5, 0), ..late };
    assert_eq!(diff(z(4, 3), &all, &late).unwrap_err(), NoDiff::EpochEndsOnDisk(z(4, 4)));
    // A learner that has entered epoch 5 has the right end of epoch 4.
    assert_eq!(diff(z(5, 0), &all, &late).unwrap().1, [z(5, 1), z(5, 2)]);
}

#[test]
fn a_disk_that_begins_behind_the_learner_does_not_help() {
    let all = [z(4, 2), z(4, 3), z(4, 4)];
    assert_eq!(diff(z(4, 1), &all, &usual()).unwrap_err(), NoDiff::TooLate);
    assert_eq!(diff(Zxid::NONE, &all, &usual()).unwrap_err(), NoDiff::TooLate);
}
