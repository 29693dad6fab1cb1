//! When a follower writes proposals to its log (no Java twin; Java: as soon as nothing more has come).
//!
//! In an ensemble of three, a write is committed when the leader and one follower have it on disk. Nobody waits for
//! the disk of the other follower. So the voters beyond the first quorum, in the order of their ids, let proposals
//! gather for the time of a few commits and log them as one group, as long as the other servers commit without them.
//! If a commit takes longer than usual, such a spare follower logs at once. If that happens often, it logs like the
//! others for a while. It never acknowledges a proposal that is not on its disk; only the time of logging changes.
//!
//! This is pure logic: the caller passes the time. Threads: the peer's. Locks: none.

use std::time::{Duration, Instant};

use crate::ids::Zxid;

/// When a proposal is uncommitted for this multiple of the usual commit time, the leader may be waiting for this
/// disk.
const PATIENCE: u32 = 3;
const PATIENCE_LIMITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(8));

/// Proposals may gather for this multiple of the usual commit time.
const GATHER: u32 = 6;
const GATHER_LIMITS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(16));

/// Each new commit time moves the usual time by this fraction of the difference.
const SMOOTHING: u32 = 16;

/// How many proposals may gather.
const MOST: usize = 256;

/// A group that was needed adds this much to the score; a group that was not takes one away.
const NEEDED: u32 = 8;

/// From this score on, the disk counts as needed often.
const OFTEN: u32 = 40;

/// How long the follower then logs like the others, at first. The time doubles on each repetition, up to `LONGEST`.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(32);

/// Decides when to log.
#[derive(Debug)]
pub(in crate::server::quorum) struct LogPace {
    /// The other servers form a quorum without this one.
    is_spare: bool,
    /// The usual time between commits.
    usual: Duration,
    /// The unlogged proposals: their number, the last zxid before them, and when the first was seen.
    unlogged: usize,
    logged: Zxid,
    since: Option<Instant>,
    /// The next proposal to be committed, and since when it is the next.
    next: Option<(Zxid, Instant)>,
    score: u32,
    eager_until: Option<Instant>,
    eager_for: Duration,
}

impl LogPace {
    /// The pace of a follower; `is_spare` means that its disk is not needed for a quorum.
    pub(in crate::server::quorum) const fn new(is_spare: bool) -> Self {
        Self {
            is_spare,
            usual: Duration::ZERO,
            unlogged: 0,
            logged: Zxid::ZERO,
            since: None,
            next: None,
            score: 0,
            eager_until: None,
            eager_for: FIRST,
        }
    }

    /// A proposal was received.
    pub(in crate::server::quorum) const fn proposed(&mut self) {
        self.unlogged += 1;
    }

    /// How long to wait for more proposals; `None` when it is time to log. `next` is the proposal to be committed
    /// next, `last` the last one received.
    pub(in crate::server::quorum) fn wait(
        &mut self,
        now: Instant,
        next: Option<Zxid>,
        last: Zxid,
    ) -> Option<Duration> {
        if !self.is_spare {
            return None;
        }
        self.note_next(now, next);
        if self.unlogged == 0 {
            return None;
        }
        let wait = self.gather(now);
        if wait.is_none() {
            (self.unlogged, self.logged, self.since) = (0, last, None);
        }
        wait
    }

    fn gather(&mut self, now: Instant) -> Option<Duration> {
        if self.eager_until.is_some_and(|until| now < until) {
            return None;
        }
        let full_at = *self.since.get_or_insert(now) + within(self.usual * GATHER, GATHER_LIMITS);
        // If the next proposal is logged here already, it waits for other servers.
        let waits = self.next.filter(|(zxid, _)| *zxid > self.logged);
        let patience = within(self.usual * PATIENCE, PATIENCE_LIMITS);
        let needed_at = waits.map(|(_, since)| since + patience);
        if needed_at.is_some_and(|at| now >= at) {
            self.was_needed(now);
            return None;
        }
        if now >= full_at || self.unlogged >= MOST {
            self.was_spare();
            return None;
        }
        let until = needed_at.map_or(full_at, |at| at.min(full_at));
        Some(until - now)
    }

    /// Learns the usual commit time from each commit.
    fn note_next(&mut self, now: Instant, next: Option<Zxid>) {
        match self.next {
            Some((zxid, _)) if next == Some(zxid) => return,
            Some((_, since)) => {
                let took = (now - since).min(PATIENCE_LIMITS.1);
                self.usual = self.usual - self.usual / SMOOTHING + took / SMOOTHING;
            }
            None => {}
        }
        self.next = next.map(|zxid| (zxid, now));
    }

    fn was_needed(&mut self, now: Instant) {
        self.score += NEEDED;
        if self.score >= OFTEN {
            self.eager_until = Some(now + self.eager_for);
            self.eager_for = (2 * self.eager_for).min(LONGEST);
            // The next trial ends soon if the disk is still needed.
            self.score = OFTEN - NEEDED;
        }
    }

    const fn was_spare(&mut self) {
        self.score = self.score.saturating_sub(1);
        if self.score == 0 {
            self.eager_for = FIRST;
        }
    }
}

fn within(time: Duration, (least, most): (Duration, Duration)) -> Duration {
    time.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = GATHER_LIMITS.0;
    const PATIENCE: Duration = PATIENCE_LIMITS.0;
    const STEP: Duration = Duration::from_micros(100);

    /// A follower that receives one proposal after the other.
    struct Trial {
        pace: LogPace,
        now: Instant,
        last: Zxid,
    }

    impl Trial {
        fn new(is_spare: bool) -> Self {
            Self { pace: LogPace::new(is_spare), now: crate::common::time::now(), last: Zxid(10) }
        }

        /// Receives a proposal that is the next to be committed; returns whether it is logged at once.
        fn propose(&mut self) -> bool {
            self.propose_behind(self.last.next())
        }

        /// Receives a proposal while `next` is the next to be committed; returns whether it is logged at once.
        fn propose_behind(&mut self, next: Zxid) -> bool {
            self.last = self.last.next();
            self.pace.proposed();
            self.look(Some(next)).is_none()
        }

        fn look(&mut self, next: Option<Zxid>) -> Option<Duration> {
            self.pace.wait(self.now, next, self.last)
        }

        /// Receives a proposal that the others commit after `takes`; returns whether it was logged here before that.
        fn write(&mut self, takes: Duration) -> bool {
            let mut was_logged = self.propose();
            let committed = self.now + takes;
            while self.now < committed {
                self.now += STEP;
                was_logged |= self.pace.unlogged > 0 && self.look(Some(self.last)).is_none();
            }
            let _ = self.look(None);
            was_logged
        }
    }

    #[test]
    fn whose_disk_is_needed_for_a_quorum_logs_at_once() {
        let mut trial = Trial::new(false);
        for _ in 0..100 {
            assert!(trial.propose());
            trial.now += STEP;
        }
    }

    #[test]
    fn what_others_commit_in_time_gathers_and_is_logged_as_one_group() {
        let mut trial = Trial::new(true);
        // Each commit takes 400 us. Six of them take 2.4 ms, and the arrival of the next proposal triggers the
        // logging.
        let groups = (0..600).filter(|_| trial.write(4 * STEP)).count();
        assert!((85..=125).contains(&groups), "{groups} groups");
        assert_eq!(trial.pace.score, 0, "nobody has waited for it");
    }

    #[test]
    fn a_time_without_writes_is_no_slow_commit() {
        let mut trial = Trial::new(true);
        trial.pace.eager_until = Some(trial.now + LONGEST);
        for _ in 0..100 {
            trial.write(4 * STEP);
            trial.now += FIRST / 10;
        }
        assert!(trial.pace.usual <= 5 * STEP, "{:?}", trial.pace.usual);
    }

    #[test]
    fn slow_disks_of_others_are_waited_for_longer() {
        let mut trial = Trial::new(true);
        let slow = Duration::from_micros(2500);
        let wait = |trial: &mut Trial| (0..300).filter(|_| trial.write(slow)).count();
        wait(&mut trial);
        // Until the follower has learnt the slower pace, its disk seems to be needed.
        trial.now += LONGEST;
        wait(&mut trial);
        let groups = wait(&mut trial);
        assert!(groups < 75, "{groups} groups");
        assert_eq!(trial.pace.score, 0);
    }

    #[test]
    fn what_has_gathered_is_logged_when_nothing_more_comes() {
        let mut trial = Trial::new(true);
        assert!(!trial.propose());
        assert_eq!(trial.look(None), Some(GATHER), "it is committed");
        trial.now += GATHER / 2;
        assert_eq!(trial.look(None), Some(GATHER / 2));
        trial.now += GATHER / 2;
        assert_eq!(trial.look(None), None);
        trial.now += GATHER;
        assert_eq!(trial.look(None), None, "nothing is left");
    }

    #[test]
    fn what_is_not_committed_soon_is_logged_soon() {
        let mut trial = Trial::new(true);
        assert!(!trial.propose());
        assert_eq!(trial.look(Some(trial.last)), Some(PATIENCE));
        trial.now += PATIENCE;
        assert_eq!(trial.look(Some(trial.last)), None);
    }

    #[test]
    fn a_commit_gives_the_next_one_its_own_time() {
        let mut trial = Trial::new(true);
        assert!(!trial.propose());
        let first = trial.last;
        trial.now += PATIENCE / 2;
        assert!(!trial.propose_behind(first));
        trial.now += PATIENCE / 2 - STEP;
        let wait = trial.look(Some(trial.last)).unwrap();
        assert_eq!(wait, PATIENCE, "the first is committed, and the second is the next");
    }

    #[test]
    fn what_is_logged_here_already_is_nothing_to_hurry_for() {
        let mut trial = Trial::new(true);
        assert!(!trial.propose());
        trial.now += PATIENCE;
        let first = trial.last;
        assert_eq!(trial.look(Some(first)), None, "logged, and not committed by the others yet");
        assert!(!trial.propose_behind(first));
        trial.now += PATIENCE;
        assert_eq!(trial.look(Some(first)), Some(GATHER - PATIENCE));
    }

    #[test]
    fn many_that_gather_are_logged_before_the_time() {
        let mut trial = Trial::new(true);
        let first = Zxid(11);
        for _ in 1..MOST {
            assert!(!trial.propose_behind(first));
        }
        assert!(trial.propose_behind(first));
    }

    #[test]
    fn who_is_needed_often_logs_at_once_and_tries_again_later() {
        let mut trial = Trial::new(true);
        let mut waits = Vec::new();
        // For a minute the others do not commit without this follower.
        let start = trial.now;
        while trial.now < start + Duration::from_secs(60) {
            let asked = trial.now;
            if !trial.propose() {
                trial.now += PATIENCE;
                assert_eq!(trial.look(Some(trial.last)), None);
                waits.push(asked - start);
            }
            trial.now += STEP;
        }
        assert!(waits.len() < 12, "{waits:?}");
        // Now they do, and within half a minute the follower is spare again.
        let end = trial.now + LONGEST;
        while trial.now < end {
            trial.write(4 * STEP);
        }
        assert!(!trial.propose());
        assert_eq!(trial.pace.eager_for, FIRST);
    }
}
