//! Thousands of clients on a few threads (no Java twin). Each client behaves like Java's client: it connects, opens or
//! resumes its session, sets its watches and sends pings. After a loss, it pauses for up to a second and tries another
//! server.
//!
//! Reports how long it took until each client was served, and how many were cut off.
//!
//! Threads: `bench-crowd-N` drives its share of the clients. It ends when the caller has its report.

mod member;
mod shard;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::bounded;

use crate::common::time;
use crate::ids::{SessionId, Zxid};
use crate::proto::SetWatches;
use crate::server::zookeeper_thread;

use super::error::BenchError;
use member::Member;
use shard::{Shard, WatchesOf};

/// The number of threads that drive the clients.
const SHARDS: usize = 2;

/// What has happened since the start of a measurement.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The time until each client was served, ms, sorted.
    pub served_ms: Vec<u128>,
    /// The number of clients that were not served in time.
    pub unserved: usize,
    /// Connections that ended after their session was open. Connections from before the measurement are not counted.
    pub cut_off: usize,
    /// Attempts that ended before a session was open: nobody listened, or the server did not serve.
    pub turned_away: usize,
    /// Attempts for which one SYN was not enough.
    pub slow_connects: usize,
    /// Sessions that the server did not resume.
    pub lost_sessions: usize,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.served_ms.extend(other.served_ms);
        self.served_ms.sort_unstable();
        self.unserved += other.unserved;
        self.cut_off += other.cut_off;
        self.turned_away += other.turned_away;
        self.slow_connects += other.slow_connects;
        self.lost_sessions += other.lost_sessions;
    }

    /// The time after which this percentage of the served clients was served, ms.
    #[must_use]
    pub fn percentile_ms(&self, percent: usize) -> u128 {
        let at = (self.served_ms.len() * percent).div_ceil(100).max(1) - 1;
        self.served_ms.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { served_ms, unserved, cut_off, turned_away, slow_connects, lost_sessions } = self;
        write!(
            f,
            "{} served, half after {} ms, 99% after {} ms, the last after {} ms; {unserved} not served, {cut_off} cut \
             off, {lost_sessions} sessions lost, {turned_away} attempts turned away, {slow_connects} slow connects",
            served_ms.len(),
            self.percentile_ms(50),
            self.percentile_ms(99),
            self.percentile_ms(100)
        )
    }
}

/// All clients.
pub struct Crowd {
    shards: Vec<Shard>,
}

impl Crowd {
    /// Creates the clients without connecting them. `set_watches` returns the watches of a client; its arguments are
    /// the client's number and the last zxid that the client has seen.
    ///
    /// # Errors
    /// If there is no server, or the system cannot wait for sockets.
    pub fn new(
        count: usize,
        servers: &[SocketAddr],
        last_zxid: Zxid,
        set_watches: impl Fn(usize, Zxid) -> SetWatches + Send + Sync + 'static,
    ) -> Result<Self, BenchError> {
        if servers.is_empty() {
            return Err(BenchError::Arguments("a crowd needs a server".into()));
        }
        let servers: Arc<[SocketAddr]> = servers.into();
        let set_watches: Arc<WatchesOf> = Arc::new(set_watches);
        let mut shards = Vec::with_capacity(SHARDS);
        for at in 0..SHARDS {
            let numbers = (at..count).step_by(SHARDS);
            let members = numbers.map(|number| Member::new(number, last_zxid)).collect();
            shards.push(Shard::new(members, Arc::clone(&servers), Arc::clone(&set_watches))?);
        }
        Ok(Self { shards })
    }

    /// Connects all clients at once. Returns a moment after all are served.
    ///
    /// # Errors
    /// If a server violates the protocol, or this program has no room for a connection.
    pub fn connect(&mut self, at_most: Duration) -> Result<Report, BenchError> {
        let start = time::now();
        for shard in &mut self.shards {
            shard.due = (0..shard.members.len()).map(|at| Reverse((start, at))).collect();
        }
        self.drive(start, at_most)
    }

    /// All clients have lost their servers at `start`. Returns a moment after all are served again.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn come_back(&mut self, start: Instant, at_most: Duration) -> Result<Report, BenchError> {
        for member in self.members() {
            member.served_at = None;
        }
        self.come_back_one(start, at_most)
    }

    /// The same, if only some clients have lost their server.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn come_back_one(
        &mut self,
        start: Instant,
        at_most: Duration,
    ) -> Result<Report, BenchError> {
        for member in self.members() {
            member.is_old = true;
        }
        self.drive(start, at_most)
    }

    /// The session id and the password of each client.
    #[must_use]
    pub fn sessions(&self) -> Vec<(SessionId, Vec<u8>)> {
        let mut members: Vec<_> = self.shards.iter().flat_map(|shard| &shard.members).collect();
        members.sort_unstable_by_key(|member| member.number);
        members.into_iter().map(|member| (member.session_id, member.passwd.clone())).collect()
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.shards.iter_mut().flat_map(|shard| &mut shard.members)
    }

    /// Lends each shard to a thread until all clients are served or the time is over.
    fn drive(&mut self, start: Instant, at_most: Duration) -> Result<Report, BenchError> {
        let count = self.shards.len();
        let (sender, ends) = bounded(count);
        for (at, mut shard) in self.shards.drain(..).enumerate() {
            let sender = sender.clone();
            let body = move || {
                let driven = shard.drive(start, at_most);
                sender.send((shard, driven)).map_err(|_| "nobody waits for the report")
            };
            zookeeper_thread::spawn(&format!("bench-crowd-{at}"), None, body)
                .map_err(BenchError::io("start a thread"))?;
        }
        // The channel ends with the last thread.
        drop(sender);
        let mut report = Report::default();
        let mut failed = None;
        for (shard, driven) in ends {
            self.shards.push(shard);
            match driven {
                Ok(more) => report.add(more),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if self.shards.len() < count => {
                Err(BenchError::Protocol("a thread of the crowd has panicked".into()))
            }
            None => Ok(report),
        }
    }
}
