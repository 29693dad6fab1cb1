//! Tests of `SessionTrackerImpl` (no Java twin). The clock stands still unless a test moves it.

use std::thread;
use std::time::Duration;

use super::*;
use crate::common::java_date::date_string;
use crate::common::time::{ManualClock, TimeSource, now};
use crate::server::exit_code::ExitCode;

const TICK_MS: i32 = 2_000;
const START_MS: i64 = 10_000;

/// Records which sessions have expired, and when, and checks the thread.
struct Expirer {
    clock: Arc<ManualClock>,
    expired: RankedMutex<Vec<(SessionId, i64)>>,
}

impl SessionExpirer for Expirer {
    fn expire(&self, sessions: &[Arc<Session>]) {
        assert_eq!(thread::current().name(), Some("SessionTracker"));
        for session in sessions {
            assert!(session.is_closing());
            self.expired.lock().push((session.id(), self.clock.elapsed_ms()));
        }
    }
}

struct NoFailure;

impl ZooKeeperServerListener for NoFailure {
    fn notify_stopping(&self, thread_name: &str, _: ExitCode) {
        panic!("{thread_name} has failed");
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    expirer: Arc<Expirer>,
    metrics: Arc<ServerMetrics>,
    sessions: SessionsWithTimeouts,
    tracker: Arc<SessionTrackerImpl>,
}

fn fixture_of(sessions: &[(i64, i32)]) -> Fixture {
    let clock = Arc::new(ManualClock::new(START_MS));
    let expired = RankedMutex::new(Rank::Leaf, "expired", Vec::new());
    let expirer = Arc::new(Expirer { clock: clock.clone(), expired });
    let metrics = ServerMetrics::with_default_provider();
    let sessions = sessions.iter().map(|(id, timeout_ms)| (SessionId(*id), *timeout_ms));
    let sessions = SessionsWithTimeouts::new(sessions.collect());
    let weak: Weak<Expirer> = Arc::downgrade(&expirer);
    let tracker = Arc::new(SessionTrackerImpl::new(
        weak,
        sessions.clone(),
        TICK_MS,
        Sid(1),
        clock.clone(),
        Arc::clone(&metrics),
    ));
    Fixture { clock, expirer, metrics, sessions, tracker }
}

fn fixture() -> Fixture {
    fixture_of(&[])
}

impl Fixture {
    fn start(&self) {
        self.tracker.start(Arc::new(NoFailure)).unwrap();
    }

    fn expired(&self) -> Vec<(SessionId, i64)> {
        self.expirer.expired.lock().clone()
    }

    /// Moves the clock and waits until the tracker's thread has noticed it.
    fn advance(&self, ms: i64) {
        self.clock.advance(ms);
        let deadline = now() + Duration::from_secs(30);
        while self.tracker.session_expiry_queue.wait_time_ms() == 0 {
            assert!(now() < deadline, "the tracker's thread sleeps on");
            thread::yield_now();
        }
    }

    fn wait_until_expired(&self, count: usize) {
        let deadline = now() + Duration::from_secs(30);
        while self.expired().len() < count {
            assert!(now() < deadline, "expired: {:?}", self.expired());
            thread::yield_now();
        }
    }
}

#[test]
fn first_ids_have_the_sid_above_and_the_time_below() {
    for (sid, elapsed_ms, id) in [
        (5, 0x0123_4567_89ab_cdef, 0x0567_89ab_cdef_0000_u64),
        (0xff, 0xff_ffff_ffff, 0xffff_ffff_ffff_0000),
        (1, 0, 0x0100_0000_0000_0000),
        // This would be the owner of containers.
        (0x80, 0, 0x8000_0000_0000_0001),
    ] {
        assert_eq!(initialize_next_session_id(Sid(sid), elapsed_ms).0.cast_unsigned(), id);
    }
}

#[test]
fn each_new_session_has_the_next_id_and_is_tracked_but_not_committed() {
    let fixture = fixture();
    let first = fixture.tracker.create_session(5_000);
    let second = fixture.tracker.create_session(5_000);
    assert_eq!(first, initialize_next_session_id(Sid(1), START_MS));
    assert_eq!(second.0, first.0 + 1);
    assert!(fixture.tracker.is_tracking_session(second));
    assert_eq!(fixture.tracker.global_sessions(), BTreeSet::from([first, second]));
    assert!(fixture.sessions.is_empty());
    assert!(fixture.tracker.commit_session(first, 5_000));
    assert!(!fixture.tracker.commit_session(first, 6_000));
    assert_eq!(fixture.tracker.session_timeout_ms(first), Some(6_000));
}

#[test]
fn a_session_of_the_database_gets_a_full_timeout_and_expires_at_the_end_of_its_tick() {
    let fixture = fixture_of(&[(1, 5_000)]);
    // 10000 + 5000, rounded up.
    let expected = BTreeMap::from([(16_000, BTreeSet::from([SessionId(1)]))]);
    assert_eq!(fixture.tracker.session_expiry_map(), expected);
    fixture.start();
    fixture.advance(5_999);
    assert_eq!(fixture.expired(), []);
    fixture.advance(1);
    fixture.wait_until_expired(1);
    assert_eq!(fixture.expired(), [(SessionId(1), 16_000)]);
    assert_eq!(fixture.metrics.stale_sessions_expired.value(), 1);
    assert!(!fixture.tracker.touch_session(SessionId(1), 5_000));
    assert!(fixture.tracker.is_tracking_session(SessionId(1)), "until its end is committed");
    fixture.tracker.remove_session(SessionId(1));
    assert!(fixture.sessions.is_empty());
    fixture.tracker.shutdown();
}

#[test]
fn a_touched_session_lives_on() {
    let fixture = fixture_of(&[(1, 5_000), (2, 5_000)]);
    let session = fixture.tracker.session(SessionId(2)).unwrap();
    fixture.start();
    for _ in 0..10 {
        assert!(fixture.tracker.touch_session(SessionId(1), 5_000));
        assert!(fixture.tracker.touch(&session, session.timeout_ms()));
        fixture.advance(4_000);
    }
    assert_eq!(fixture.expired(), []);
    fixture.advance(4_000);
    fixture.wait_until_expired(2);
    fixture.tracker.shutdown();
}

#[test]
fn who_is_closing_or_removed_or_unknown_cannot_be_touched() {
    let fixture = fixture_of(&[(1, 5_000), (2, 5_000)]);
    let [closing, removed] = [1, 2].map(|id| fixture.tracker.session(SessionId(id)).unwrap());
    fixture.tracker.set_session_closing(SessionId(1));
    fixture.tracker.set_session_closing(SessionId(77));
    fixture.tracker.remove_session(SessionId(2));
    for session in [closing, removed] {
        assert!(!fixture.tracker.touch(&session, 5_000));
        assert!(!fixture.tracker.touch_session(session.id(), 5_000));
    }
    assert!(!fixture.tracker.touch_session(SessionId(77), 5_000));
}

#[test]
fn a_session_answers_to_its_owner_alone() {
    let fixture = fixture_of(&[(1, 5_000), (2, 5_000)]);
    let tracker = &fixture.tracker;
    let (one, two, unknown) = (SessionId(1), SessionId(2), SessionId(3));
    assert_eq!(tracker.check_session(one, Owner::NONE), Ok(()));
    assert_eq!(tracker.check_session(one, Owner::LOCAL), Ok(()), "the first who asks");
    assert_eq!(tracker.check_session(one, Owner::LOCAL), Ok(()));
    assert_eq!(tracker.check_session(one, Owner::learner(0)), Err(KeeperError::SessionMoved));
    assert_eq!(tracker.set_owner(one, Owner::learner(0)), Ok(()));
    assert_eq!(tracker.check_global_session(one, Owner::LOCAL), Err(KeeperError::SessionMoved));
    assert_eq!(tracker.check_session(one, Owner::NONE), Err(KeeperError::SessionMoved));

    tracker.set_session_closing(two);
    assert_eq!(tracker.check_session(two, Owner::LOCAL), Err(KeeperError::SessionExpired));
    assert_eq!(tracker.set_owner(two, Owner::LOCAL), Err(KeeperError::SessionExpired));

    assert_eq!(tracker.check_session(unknown, Owner::LOCAL), Err(KeeperError::UnknownSession));
    let expired = Err(KeeperError::SessionExpired);
    assert_eq!(tracker.check_global_session(unknown, Owner::LOCAL), expired);
    assert_eq!(tracker.set_owner(unknown, Owner::LOCAL), expired);
}

#[test]
fn the_dump_has_java_s_form() {
    let fixture = fixture_of(&[(0x1_0000_0000_00ab, 5_000)]);
    let date = date_string(16_000);
    let expected = format!("Session Sets (1)/(1):\n1 expire at {date}:\n\t0x10000000000ab\n");
    assert_eq!(fixture.tracker.to_string(), expected);
    assert_eq!(fixture_of(&[]).tracker.to_string(), "Session Sets (0)/(0):\n");
}

#[test]
fn tracking_a_tracked_session_again_only_touches_it() {
    let fixture = fixture();
    assert!(fixture.tracker.track_session(SessionId(1), 5_000));
    fixture.clock.advance(4_000);
    assert!(!fixture.tracker.track_session(SessionId(1), 9_000));
    assert_eq!(fixture.tracker.session_expiry_map().into_keys().collect::<Vec<_>>(), [24_000]);
    assert_eq!(fixture.tracker.session(SessionId(1)).unwrap().timeout_ms(), 5_000);
}

#[test]
fn shutdown_ends_the_thread_and_a_second_one_finds_nothing() {
    let fixture = fixture_of(&[(1, 5_000)]);
    fixture.start();
    fixture.tracker.shutdown();
    fixture.tracker.shutdown();
    assert_eq!(Arc::strong_count(&fixture.tracker), 1, "the thread has let it go");
    fixture.clock.advance(100_000);
    assert_eq!(fixture.expired(), []);
}

#[test]
fn under_load_each_session_expires_once_and_not_before_what_its_last_touch_promised() {
    const SESSIONS: usize = 200;
    let fixture = fixture();
    let ids: Vec<_> = (0..SESSIONS).map(|_| fixture.tracker.create_session(4_000)).collect();
    let promised: Vec<_> = ids.iter().map(|_| AtomicI64::new(0)).collect();
    fixture.start();
    thread::scope(|scope| {
        for part in 0..4 {
            let (fixture, ids, promised) = (&fixture, &ids, &promised);
            scope.spawn(move || {
                let own = (part..SESSIONS).step_by(4).collect::<Vec<_>>();
                let sessions: Vec<_> =
                    own.iter().map(|at| fixture.tracker.session(ids[*at]).unwrap()).collect();
                for round in 0..400 {
                    // Fewer and fewer sessions show signs of life.
                    for (at, session) in own.iter().zip(&sessions).skip(round / 9) {
                        let timeout_ms = if round % 5 == 0 { 3_000 } else { 8_000 };
                        let now_ms = fixture.clock.elapsed_ms();
                        if fixture.tracker.touch(session, timeout_ms) {
                            let tick_ms = i64::from(TICK_MS);
                            let end =
                                (now_ms + i64::from(timeout_ms)) / tick_ms * tick_ms + tick_ms;
                            promised[*at].store(end, Ordering::SeqCst);
                        }
                    }
                    if round % 4 == part {
                        fixture.clock.advance(500);
                    }
                }
            });
        }
    });
    fixture.clock.advance(20_000);
    fixture.wait_until_expired(SESSIONS);
    fixture.tracker.shutdown();
    let expired = fixture.expired();
    assert_eq!(expired.len(), SESSIONS);
    let expired: BTreeMap<_, _> = expired.into_iter().collect();
    for (id, promised) in ids.iter().zip(&promised) {
        let promised = promised.load(Ordering::SeqCst);
        assert!(expired[id] >= promised, "{id} at {}, promised {promised}", expired[id]);
    }
}
