//! Measures how long nobody can write after the leader of an ensemble is killed (no Java twin).
//!
//! Every member has one client, which writes a node of its own, one write after the other. When its connection ends,
//! the client takes its session to the next member, and so on in turns, with a few milliseconds between two attempts.
//! Java's client waits for up to a second between attempts; that would measure the client and not the servers.
//!
//! Threads: the caller's thread kills the leader; `bench-writer-N` is one thread for each client.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::common::time;
use crate::data::Stat;
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::proto::{ExistsRequest, SetDataRequest};
use crate::server::zookeeper_thread;
use crate::zoo_defs::OpCode;

use super::error::BenchError;
use super::load::Target;
use super::running_server::RunningServer;
use super::server_process::pause;
use super::session::{STALL, Session, close_all};
use super::template::key_path;

/// With fewer members, no quorum is left to elect a leader.
pub(crate) const LEAST_MEMBERS: usize = 3;

/// The time between two attempts to continue a session.
const RETRY_EVERY: Duration = Duration::from_millis(5);

/// Writes of each client before the kill.
const WARM_WRITES: u64 = 100;

/// A client reports at most three times: it is warm, it is back, it has failed.
const NEWS_OF_A_CLIENT: usize = 3;

/// How long an answer may take before the client tries the next member. Java's client waits as long, with three
/// members and sessions of 30 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time from the kill to the end of the next successful write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outage {
    /// For the first client, among those that were connected to followers.
    pub(crate) follower: Duration,
    /// For the client that was connected to the leader.
    pub(crate) leader: Duration,
}

impl Outage {
    /// The longer of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { follower: self.follower.max(other.follower), leader: self.leader.max(other.leader) }
    }
}

/// Kills the leader under load. Then starts it again and waits until it follows and has caught up.
///
/// # Errors
/// If the ensemble does not recover, loses a session, or loses an acknowledged write.
pub(crate) fn outage(server: &mut RunningServer, target: &Target) -> Result<Outage, BenchError> {
    let leader = server.leader()?;
    let addrs: Arc<[SocketAddr]> = (0..server.members()).map(|at| server.addr(at)).collect();
    let before = versions(target, addrs.len())?;
    let mut writers = Writers::start(&addrs, target)?;
    writers.wait_for(|news| matches!(news, News::Warm))?;
    let (told, dead) = server.kill(leader)?;
    // Set only once, here.
    let _set = writers.shared.dead.set(dead);
    let backs = writers.wait_for(|news| matches!(news, News::Back(_)))?;
    let ends = writers.stop()?;
    server.restart(leader)?;
    let after = versions(target, addrs.len())?;
    for (at, end) in ends.iter().enumerate() {
        check(at, end, i64::from(after[at]) - i64::from(before[at]))?;
    }
    close_all(ends.into_iter().map(|end| end.session).collect());
    outage_of(&backs, leader, told)
}

/// Computes the outage from the moments at which the clients could write again.
fn outage_of(backs: &[News], leader: usize, told: Instant) -> Result<Outage, BenchError> {
    let back = |at: usize| match backs[at] {
        News::Back(instant) => Some(instant.saturating_duration_since(told)),
        _ => None,
    };
    let followers = (0..backs.len()).filter(|at| *at != leader).filter_map(back);
    let nobody = || BenchError::Protocol("no client has written again".into());
    Ok(Outage {
        follower: followers.min().ok_or_else(nobody)?,
        leader: back(leader).ok_or_else(nobody)?,
    })
}

/// What a client reports while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It has written often enough for the leader to be killed.
    Warm,
    /// It has had the first write acknowledged that was requested after the leader was dead.
    Back(Instant),
}

/// What a client has done by its end.
#[derive(Debug)]
struct WriterEnd {
    session: Session,
    acknowledged: u64,
    /// Requested writes. A write without an answer may have been applied.
    asked: u64,
}

/// What the clients share.
#[derive(Debug, Default)]
struct Shared {
    /// When the leader was dead. The dead leader cannot have answered a write that was requested later.
    dead: OnceLock<Instant>,
    stopping: AtomicBool,
}

/// The clients at work, one for each member.
struct Writers {
    shared: Arc<Shared>,
    news: Receiver<(usize, Result<News, BenchError>)>,
    ends: Receiver<(usize, WriterEnd)>,
    count: usize,
}

impl Writers {
    fn start(addrs: &Arc<[SocketAddr]>, target: &Target) -> Result<Self, BenchError> {
        let shared = Arc::new(Shared::default());
        let (news_sender, news) = bounded(addrs.len() * NEWS_OF_A_CLIENT);
        let (end_sender, ends) = bounded(addrs.len());
        for at in 0..addrs.len() {
            let session = Session::connect(addrs[at], target.session_timeout_ms)?;
            session.set_patience(PATIENCE)?;
            let writer = Writer {
                session,
                addrs: Arc::clone(addrs),
                at,
                request: SetDataRequest {
                    path: key(target, at),
                    data: Some(vec![b'f'; target.value_bytes]),
                    version: -1,
                },
                shared: Arc::clone(&shared),
            };
            let (news, ends) = (news_sender.clone(), end_sender.clone());
            let body = move || {
                let done = writer.run(|what| drop(news.send((at, Ok(what)))));
                report(at, done, &news, &ends);
                Ok::<(), String>(())
            };
            zookeeper_thread::spawn(&format!("bench-writer-{at}"), None, body)
                .map_err(BenchError::io("start a thread"))?;
        }
        Ok(Self { shared, news, ends, count: addrs.len() })
    }

    /// Waits until every client has reported such news. Returns the news in the order of the clients.
    fn wait_for(&mut self, wanted: fn(&News) -> bool) -> Result<Vec<News>, BenchError> {
        let mut told: Vec<Option<News>> = vec![None; self.count];
        let until = time::now() + STALL;
        while told.iter().any(Option::is_none) {
            let (at, news) = self.news.recv_deadline(until).map_err(|_| {
                BenchError::Protocol(format!("no successful write within {STALL:?} of a kill"))
            })?;
            let news = news?;
            if wanted(&news) {
                told[at] = Some(news);
            }
        }
        Ok(told.into_iter().flatten().collect())
    }

    /// Lets every client finish its write. Returns their results in the order of the clients.
    fn stop(self) -> Result<Vec<WriterEnd>, BenchError> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut ends: Vec<(usize, WriterEnd)> = Vec::new();
        while ends.len() < self.count {
            match self.ends.recv_timeout(STALL) {
                Ok(end) => ends.push(end),
                // A client that has failed has reported why.
                Err(_) => {
                    let first = self.news.try_iter().find_map(|(_, news)| news.err());
                    let late = || BenchError::Protocol("a client does not end".into());
                    return Err(first.unwrap_or_else(late));
                }
            }
        }
        ends.sort_by_key(|(at, _)| *at);
        Ok(ends.into_iter().map(|(_, end)| end).collect())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }
}

/// Reports how a client has ended. Nobody receives it if another client has failed before.
fn report(
    at: usize,
    done: Result<WriterEnd, BenchError>,
    news: &Sender<(usize, Result<News, BenchError>)>,
    ends: &Sender<(usize, WriterEnd)>,
) {
    match done {
        Ok(end) => drop(ends.send((at, end))),
        Err(error) => drop(news.send((at, Err(error)))),
    }
}

/// A client that writes one node.
struct Writer {
    session: Session,
    addrs: Arc<[SocketAddr]>,
    /// The index of the member that it is connected to.
    at: usize,
    request: SetDataRequest,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, tell: impl Fn(News)) -> Result<WriterEnd, BenchError> {
        let (mut acknowledged, mut asked) = (0, 0);
        let mut is_back = false;
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let sent = time::now();
            asked += 1;
            match self.session.demand(OpCode::SetData, &self.request, &self.request.path, &[]) {
                Ok(_) => acknowledged += 1,
                Err(BenchError::Io { .. }) => {
                    self.reconnect()?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if acknowledged == WARM_WRITES {
                tell(News::Warm);
            }
            if !is_back && self.shared.dead.get().is_some_and(|dead| sent >= *dead) {
                is_back = true;
                tell(News::Back(time::now()));
            }
        }
        Ok(WriterEnd { session: self.session, acknowledged, asked })
    }

    /// Tries the next members until one accepts the session.
    fn reconnect(&mut self) -> Result<(), BenchError> {
        let start = time::now();
        loop {
            self.at = (self.at + 1) % self.addrs.len();
            match self.session.resume(self.addrs[self.at], PATIENCE) {
                Err(BenchError::Connect { .. }) if start.elapsed() < STALL => pause(RETRY_EVERY),
                done => return done,
            }
        }
    }
}

fn key(target: &Target, client: usize) -> String {
    key_path(&target.root, client as u64)
}

/// The versions of the clients' nodes, read after a sync.
fn versions(target: &Target, clients: usize) -> Result<Vec<i32>, BenchError> {
    let mut observer = target.observer()?;
    let mut version = |client| {
        let request = ExistsRequest { path: key(target, client), watch: false };
        let reply = observer.demand(OpCode::Exists, &request, &request.path, &[])?;
        let mut archive = BinaryInputArchive::new(&reply.body[..], Limits::default());
        let stat = Stat::deserialize(&mut archive);
        stat.map(|stat| stat.version)
            .map_err(|error| BenchError::Protocol(format!("exists: {error}")))
    };
    let versions = (0..clients).map(&mut version).collect::<Result<_, _>>()?;
    close_all(vec![observer]);
    Ok(versions)
}

/// Every acknowledged write must be applied, and no write that was not requested.
fn check(client: usize, end: &WriterEnd, applied: i64) -> Result<(), BenchError> {
    check_counts(client, end.acknowledged, end.asked, applied)
}

fn check_counts(client: usize, acked: u64, asked: u64, applied: i64) -> Result<(), BenchError> {
    let is_right = u64::try_from(applied).is_ok_and(|count| (acked..=asked).contains(&count));
    if is_right {
        return Ok(());
    }
    Err(BenchError::Protocol(format!(
        "failover: client {client} asked for {asked} writes, {acked} were acknowledged, its node shows {applied}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_that_of_the_first_client_of_a_follower_and_that_of_the_leaders() {
        let told = time::now();
        let back = |ms| News::Back(told + Duration::from_millis(ms));
        let outage = outage_of(&[back(70), back(90), back(50)], 1, told).unwrap();
        assert_eq!((outage.follower.as_millis(), outage.leader.as_millis()), (50, 90));
        assert!(outage_of(&[back(70), News::Warm], 1, told).is_err());
    }

    #[test]
    fn a_lost_write_and_one_that_nobody_asked_for_are_faults() {
        for (applied, is_right) in [(9, false), (10, true), (12, true), (13, false), (-1, false)] {
            assert_eq!(check_counts(0, 10, 12, applied).is_ok(), is_right, "{applied}");
        }
    }
}
