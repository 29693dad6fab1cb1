//! The HTTP server's table of connections, which decides who is closed for a newcomer (no Java twin).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::iter;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::server::fair_queue::FairQueue;
use crate::server::strangers::RecentArrivals;

/// The limits for all connections. A newcomer beyond them replaces a connection that does not wait for the server's
/// answer. If there is none, the newcomer is answered 503. If too many threads of replaced connections still run, the
/// newcomer waits until one of them has ended.
const OF_ALL: Limits = Limits { arrivals: 128, serving: 64, ending: 64, for_few: 16 };
/// The limits for connections that use one of the last file descriptors. Other ports need these, too.
const OF_LAST: Limits = Limits { arrivals: 32, serving: 16, ending: 8, for_few: 8 };
/// A connection from an address with fewer connections than the newcomer's is safe for this time, in ms: its
/// client may be about to send a request.
const GRACE_MS: i64 = 1_000;

/// The open connections, and the threads that have ended but are not joined yet.
#[derive(Default)]
pub(super) struct Connections {
    next: u64,
    /// The addresses of recent connections, including those that did not get a place.
    recent: RecentArrivals,
    /// The connections that have no thread yet.
    pub(super) arrivals: FairQueue<Arrival>,
    pub(super) stopped: bool,
    pub(super) open: HashMap<u64, Connection>,
    pub(super) ended: Vec<JoinHandle<()>>,
}

pub(super) struct Connection {
    pub(super) stream: Arc<TcpStream>,
    pub(super) ip: IpAddr,
    /// When the connection got its place, ms.
    pub(super) since_ms: i64,
    pub(super) activity: Arc<Activity>,
    pub(super) thread: Option<JoinHandle<()>>,
    /// The connection uses one of the last file descriptors.
    pub(super) is_last: bool,
    /// The connection was closed for a newcomer, and its thread is about to end.
    pub(super) is_ending: bool,
}

/// What a connection waits for, and since when.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) stage: AtomicU8,
    /// The turn of the current request. A lower number has waited longer.
    pub(super) turn: AtomicU64,
}

/// The client must send its request, or the rest of it.
pub(super) const READING: u8 = 0;
/// The client must read its answer.
pub(super) const WRITING: u8 = 1;
/// The server must answer.
pub(super) const WORKING: u8 = 2;

/// The largest numbers of connections.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections without a thread.
    arrivals: usize,
    /// Connections that are served.
    serving: usize,
    /// Connections that are closed, but whose thread still runs.
    ending: usize,
    /// Additional places for newcomers from addresses with few connections.
    for_few: usize,
}

/// A new connection.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    /// The connection uses one of the last file descriptors.
    pub(super) is_last: bool,
}

/// Why a newcomer does not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Connections were closed for newcomers, and their threads are about to end.
    UntilOneEnds,
    /// All other connections are being answered, or are still protected by the grace time.
    AllAreServed,
}

impl Connections {
    /// Queues a new connection until it gets a thread. Returns the connection that must be refused if too many wait:
    /// the oldest from the address with the most recent arrivals.
    pub(super) fn enqueue(&mut self, arrival: Arrival, now_ms: i64) -> Option<Arrival> {
        let ip = arrival.remote.ip();
        let limits = if arrival.is_last { OF_LAST } else { OF_ALL };
        self.recent.enter(ip, now_ms);
        self.arrivals.push(ip, arrival);
        if self.arrivals.len() <= limits.arrivals {
            return None;
        }
        let crowds = self.recent.beside(iter::empty());
        self.arrivals.pop_heaviest(|ip| crowds.class(ip))
    }

    /// Makes a place for a newcomer. Returns the limit that was reached, if another connection was closed for it.
    ///
    /// # Errors
    /// If there is no place for it.
    pub(super) fn find_place(&mut self, newcomer: &Connection) -> Result<Option<usize>, NoPlace> {
        if newcomer.is_last && self.make_room(newcomer, OF_LAST, |one| one.is_last)? {
            return Ok(Some(OF_LAST.serving));
        }
        let were_full = self.make_room(newcomer, OF_ALL, |_| true)?;
        Ok(were_full.then_some(OF_ALL.serving))
    }

    /// Enters a newcomer that has found a place. Returns its number.
    pub(super) fn enter(&mut self, newcomer: Connection) -> u64 {
        self.next += 1;
        let id = self.next;
        self.open.insert(id, newcomer);
        id
    }

    /// Makes a place among the connections that `is_meant` selects. Returns whether a connection was closed for it.
    fn make_room(
        &mut self,
        newcomer: &Connection,
        limits: Limits,
        is_meant: impl Fn(&Connection) -> bool,
    ) -> Result<bool, NoPlace> {
        let meant = || self.open.values().filter(|connection| is_meant(connection));
        let serving = || meant().filter(|connection| !connection.is_ending);
        let served = serving().count();
        if served < limits.serving {
            return Ok(false);
        }
        let crowds = self.recent.beside(serving().map(|connection| connection.ip));
        let beyond = if crowds.is_light(newcomer.ip) { limits.for_few } else { 0 };
        let running = meant().count();
        if running >= limits.serving + limits.ending + beyond {
            let ends = running > served;
            return Err(if ends { NoPlace::UntilOneEnds } else { NoPlace::AllAreServed });
        }
        // The newcomer is among the recent arrivals but not yet among the open connections.
        let crowd_of_newcomer = crowds.class(newcomer.ip);
        let makes_room = |connection: &&mut Connection| {
            is_meant(connection)
                && !connection.is_ending
                && connection.activity.stage.load(Ordering::Relaxed) != WORKING
                && (crowds.class(connection.ip) >= crowd_of_newcomer
                    || newcomer.since_ms - connection.since_ms >= GRACE_MS)
        };
        let longest = self.open.values_mut().filter(makes_room).min_by_key(|connection| {
            let Activity { stage, turn } = &*connection.activity;
            (
                Reverse(crowds.class(connection.ip)),
                stage.load(Ordering::Relaxed),
                turn.load(Ordering::Relaxed),
            )
        });
        let Some(longest) = longest else {
            let has_place = served < limits.serving + beyond;
            return if has_place { Ok(false) } else { Err(NoPlace::AllAreServed) };
        };
        longest.is_ending = true;
        let _closed = longest.stream.shutdown(Shutdown::Both); // it may be closed already
        Ok(true)
    }

    /// Takes the threads that have ended. Waiting for those that are about to end would delay newcomers.
    pub(super) fn take_gone(&mut self) -> Vec<JoinHandle<()>> {
        self.ended.extract_if(.., |thread| thread.is_finished()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    /// Registers one connection in `stage` from each address; returns how many got a place.
    fn register(
        table: &mut Connections,
        stage: u8,
        is_last: bool,
        from: impl IntoIterator<Item = u8>,
    ) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut let_in = 0;
        for ip in from.into_iter().map(ip) {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let activity = Activity { stage: AtomicU8::new(stage), ..Activity::default() };
            table.recent.enter(ip, 0);
            let newcomer = Connection {
                stream: Arc::new(stream),
                ip,
                since_ms: 0,
                activity: Arc::new(activity),
                thread: None,
                is_last,
                is_ending: false,
            };
            if table.find_place(&newcomer).is_ok() {
                table.enter(newcomer);
                let_in += 1;
            }
        }
        let_in
    }

    #[test]
    fn connections_have_only_some_of_the_last_descriptors() {
        let mut table = Connections::default();
        assert_eq!(register(&mut table, READING, false, [1; 10]), 10);
        // New connections get a place until this many threads are about to end.
        assert_eq!(register(&mut table, READING, true, [1; 30]), OF_LAST.serving + OF_LAST.ending);
        assert_eq!(register(&mut table, READING, true, 2..30), OF_LAST.for_few, "each alone");
        assert_eq!(
            table.open.values().filter(|one| one.is_last && !one.is_ending).count(),
            OF_LAST.serving
        );
        assert_eq!(register(&mut table, READING, false, [1; 10]), 10, "others do not count");
    }

    #[test]
    fn a_newcomer_knows_whether_there_will_be_a_place_soon() {
        let mut table = Connections::default();
        register(&mut table, READING, true, [1; 30]);
        let newcomer = table.open.values().find(|one| !one.is_ending).map(|one| Connection {
            stream: Arc::clone(&one.stream),
            activity: Arc::default(),
            thread: None,
            ..*one
        });
        let newcomer = newcomer.unwrap();
        assert_eq!(table.find_place(&newcomer), Err(NoPlace::UntilOneEnds));
        table.open.retain(|_, one| !one.is_ending);
        table.open.values().for_each(|one| one.activity.stage.store(WORKING, Ordering::Relaxed));
        assert_eq!(table.find_place(&newcomer), Err(NoPlace::AllAreServed));
    }

    #[test]
    fn while_all_others_are_answered_only_some_more_are_let_in() {
        let mut table = Connections::default();
        let last = OF_LAST.serving + OF_LAST.for_few;
        assert_eq!(register(&mut table, WORKING, true, 1..100), last);
        assert_eq!(register(&mut table, WORKING, true, [1]), 0);
        let others = OF_ALL.serving + OF_ALL.for_few - last;
        assert_eq!(register(&mut table, WORKING, false, 100..200), others);
        assert_eq!(register(&mut table, WORKING, false, [1]), 0);
    }

    /// A client that asks every few hundred ms has come more often of late than each address of a crowd in its first
    /// moment.
    #[test]
    fn a_crowd_that_has_just_come_does_not_keep_out_who_comes_regularly() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let arrival = |last: u8| Arrival {
            stream: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
            remote: SocketAddr::from((ip(last), 1)),
            is_last: false,
        };
        let mut table = Connections::default();
        let visitor = 200;
        (0..5).for_each(|_| table.recent.enter(ip(visitor), 0));
        let crowd = || (1..=40).cycle();
        let first = crowd().take(OF_ALL.arrivals).map(|last| table.enqueue(arrival(last), 500));
        assert_eq!(first.flatten().count(), 0);
        let refused = table.enqueue(arrival(visitor), 500).unwrap();
        assert_ne!(refused.remote.ip(), ip(visitor));

        let mut table = Connections::default();
        (0..5).for_each(|_| table.recent.enter(ip(visitor), 0));
        let places = OF_ALL.serving + OF_ALL.for_few;
        register(&mut table, READING, false, crowd().take(places));
        assert_eq!(register(&mut table, READING, false, [visitor]), 1);
    }

    #[test]
    fn a_crowd_from_many_addresses_does_not_take_the_place_of_who_comes_alone() {
        let mut table = Connections::default();
        // A few connections of each address remain open, as they do at any moment of a returning crowd.
        (1..=40).for_each(|last| (0..20).for_each(|_| table.recent.enter(ip(last), 0)));
        assert_eq!(register(&mut table, READING, true, 1..=4), 4);
        assert_eq!(register(&mut table, READING, true, [50]), 1);
        assert_eq!(register(&mut table, READING, true, 1..=7), 7);
        let alone = table.open.values().find(|one| one.ip == ip(50)).unwrap();
        assert!(!alone.is_ending);
    }
}
