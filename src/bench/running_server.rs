//! A server that a comparison has started: one process, or the members of an ensemble (no Java twin).

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::time;

use super::error::BenchError;
use super::process_stats::ProcessStats;
use super::server_process::{
    LOOK_EVERY, Place, Ports, ServerOptions, ServerProcess, ServerSpec, pause,
};
use super::session::{Session, close_all};

/// How long a server may take to start. It may have to load a million nodes in that time.
const START_DEADLINE: Duration = Duration::from_secs(300);

/// The session timeout to ask for, in ms. Sessions of this module live only for a moment.
const SESSION_TIMEOUT_MS: i32 = 30_000;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct RunningServer {
    /// The time from the start of the processes until all of them have reported their mode.
    pub(crate) served_after: Duration,
    /// The time from the start of the processes to the first session.
    pub(crate) session_after: Duration,
    spec: ServerSpec,
    options: ServerOptions,
    members: Vec<(Place, ServerProcess)>,
}

impl RunningServer {
    /// Starts the server on the directory, which may already contain data, and waits until all members serve.
    ///
    /// # Errors
    /// If a member cannot be started, ends, or does not serve in time.
    pub(crate) fn start(
        spec: &ServerSpec,
        dir: &Path,
        members: usize,
        options: &ServerOptions,
        ports: &mut Ports,
    ) -> Result<Self, BenchError> {
        let places = places(dir, members, ports)?;
        let started = time::now();
        let start = |place: Place| {
            ServerProcess::start(spec, &place, options).map(|process| (place, process))
        };
        let members = places.into_iter().map(start).collect::<Result<_, _>>()?;
        let mut server = Self {
            served_after: Duration::ZERO,
            session_after: Duration::ZERO,
            spec: spec.clone(),
            options: options.clone(),
            members,
        };
        for at in 0..server.members.len() {
            server.wait_until_serving(at, started)?;
        }
        server.served_after = started.elapsed();
        let session = Session::connect(server.addr(0), SESSION_TIMEOUT_MS)?;
        server.session_after = started.elapsed();
        close_all(vec![session]);
        Ok(server)
    }

    /// The client addresses of all members, the leader last. Code that needs only one server then measures a
    /// follower, because most clients of an ensemble are connected to a follower.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        let is_leader = |process: &ServerProcess| process.mode().as_deref() == Some("leader");
        let mut members: Vec<(bool, SocketAddr)> =
            self.members.iter().map(|(_, process)| (is_leader(process), process.addr())).collect();
        members.sort_by_key(|(is_leader, _)| *is_leader);
        members.into_iter().map(|(_, addr)| addr).collect()
    }

    /// The main process of each member.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|(_, process)| process.pid()).collect()
    }

    /// The number of members.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// The client address of this member.
    pub(crate) fn addr(&self, member: usize) -> SocketAddr {
        self.members[member].1.addr()
    }

    /// The index of the leader.
    ///
    /// # Errors
    /// If there is no leader for a long time.
    pub(crate) fn leader(&self) -> Result<usize, BenchError> {
        let start = time::now();
        while start.elapsed() < START_DEADLINE {
            let mut modes = self.members.iter().map(|(_, process)| process.mode());
            if let Some(leader) = modes.position(|mode| mode.as_deref() == Some("leader")) {
                return Ok(leader);
            }
            pause(LOOK_EVERY);
        }
        Err(self.members[0].1.failed(format!("no member leads within {START_DEADLINE:?}")))
    }

    /// Kills the member. Returns the time of the kill signal, and the time when the process was dead.
    ///
    /// # Errors
    /// As [`ServerProcess::kill`].
    pub(crate) fn kill(&mut self, member: usize) -> Result<(Instant, Instant), BenchError> {
        self.members[member].1.kill()
    }

    /// Removes the data of a killed member. When it starts again, it needs everything from the leader.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub(crate) fn wipe(&self, member: usize) -> Result<(), BenchError> {
        let data = self.members[member].0.dir.join("data");
        fs::remove_dir_all(&data).map_err(BenchError::io(format!("remove {}", data.display())))
    }

    /// The mode that this member reports; `None` if it does not serve.
    pub(crate) fn mode(&self, member: usize) -> Option<String> {
        self.members[member].1.mode()
    }

    /// Starts a killed member again, and waits until it has everything that was acknowledged.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn restart(&mut self, member: usize) -> Result<(), BenchError> {
        self.spawn_again(member)?;
        self.wait_until_back(member)
    }

    /// Starts a killed member again and does not wait until it serves.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn spawn_again(&mut self, member: usize) -> Result<(), BenchError> {
        let (place, process) = &mut self.members[member];
        *process = ServerProcess::start(&self.spec, place, &self.options)?;
        Ok(())
    }

    /// Waits until a member that was started again has everything that was acknowledged.
    ///
    /// # Errors
    /// If it ends, or does not serve in time.
    pub(crate) fn wait_until_back(&mut self, member: usize) -> Result<(), BenchError> {
        self.wait_until_serving(member, time::now())?;
        let mut session = Session::connect(self.addr(member), SESSION_TIMEOUT_MS)?;
        session.sync()?;
        close_all(vec![session]);
        Ok(())
    }

    /// Asks all members to end (SIGTERM) and waits until they have ended.
    ///
    /// # Errors
    /// If a member has already ended, or does not end in time.
    pub(crate) fn stop(mut self) -> Result<(), BenchError> {
        for (_, process) in &mut self.members {
            process.fail_if_ended("by itself")?;
        }
        for (_, process) in &self.members {
            process.signal(Signal::TERM);
        }
        self.members.iter_mut().try_for_each(|(_, process)| process.wait_for_end())
    }

    /// Waits until the server uses hardly any CPU time, but only for a few seconds. Work that remains from one
    /// measurement then does not count in the next.
    pub(crate) fn wait_quiet(&self, at_most: Duration) {
        const WINDOW: Duration = Duration::from_millis(250);
        let stats = ProcessStats::default();
        let pids = self.pids();
        let start = time::now();
        let mut before = stats.cpu_of_trees(&pids);
        while start.elapsed() < at_most {
            pause(WINDOW);
            let now = stats.cpu_of_trees(&pids);
            let (Some(then), Some(used)) = (before, now) else { return };
            if used.saturating_sub(then) < WINDOW / 12 {
                return;
            }
            before = now;
        }
    }

    fn wait_until_serving(&mut self, member: usize, started: Instant) -> Result<(), BenchError> {
        while self.members[member].1.mode().is_none() {
            for (_, process) in &mut self.members {
                process.fail_if_ended("before it served")?;
            }
            if started.elapsed() > START_DEADLINE {
                let process = &self.members[member].1;
                return Err(process.failed(format!("does not serve within {START_DEADLINE:?}")));
            }
            pause(LOOK_EVERY);
        }
        Ok(())
    }
}

/// Directories and ports: a standalone server uses the directory itself, each member uses a directory below it.
fn places(dir: &Path, members: usize, ports: &mut Ports) -> Result<Vec<Place>, BenchError> {
    if members == 1 {
        return Ok(vec![Place { dir: dir.into(), port: ports.take()?, membership: None }]);
    }
    let mut servers = String::new();
    for member in 1..=members {
        let (quorum, election) = (ports.take()?, ports.take()?);
        // Writing into a String cannot fail.
        let _written =
            writeln!(servers, "server.{member}={}:{quorum}:{election}", Ipv4Addr::LOCALHOST);
    }
    let place = |member| {
        Ok(Place {
            dir: dir.join(format!("member-{member}")),
            port: ports.take()?,
            membership: Some((member, servers.clone())),
        })
    };
    (1..=members).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn members_have_directories_and_ports_of_their_own_and_one_list_of_all() {
        let places = places(Path::new("/d"), 3, &mut Ports::new()).unwrap();
        let dirs: BTreeSet<_> = places.iter().map(|place| &place.dir).collect();
        let ports: BTreeSet<_> = places.iter().map(|place| place.port).collect();
        assert_eq!((dirs.len(), ports.len()), (3, 3));
        let lists: BTreeSet<_> =
            places.iter().map(|place| &place.membership.as_ref().unwrap().1).collect();
        assert_eq!(lists.len(), 1);
        let list = lists.first().unwrap();
        assert_eq!(list.lines().count(), 3, "{list}");
        let all: BTreeSet<_> = list.split(['=', ':', '\n']).collect();
        // Three names, one address, six ports, and the empty text after the last line.
        assert_eq!(all.len(), 3 + 1 + 6 + 1, "{list}");
        assert_eq!(places[2].membership.as_ref().unwrap().0, 3);
    }

    #[test]
    fn a_server_that_is_alone_lives_in_the_directory_itself() {
        let places = places(Path::new("/d"), 1, &mut Ports::new()).unwrap();
        assert_eq!((places.len(), places[0].dir.as_path()), (1, Path::new("/d")));
        assert_eq!(places[0].membership, None);
    }
}
