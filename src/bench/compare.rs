//! Compares servers side by side, load by load, in rounds (no Java twin).
//!
//! All servers of a round run at the same time, but only one of them works. Each load runs on one server after the
//! other before the next load begins. The order of the servers changes, so that other work on the machine disturbs
//! all of them alike. A server is one process, or an ensemble on this machine. Members of an idle ensemble send each
//! other a few pings a second, which costs well below a hundredth of a processor.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::BenchError;
use super::failover::{Outage, outage};
use super::figures::{Better, Figure, Figures, Section};
use super::load::{Creation, Load, Mix, Second, Target, populate, run};
use super::running_server::RunningServer;
use super::scenarios::{
    Cell, MATRIX, QUIET_WITHIN, SESSION_TIMEOUT_MS, cell, creation, fresh_start, idle_sessions,
    restart, watch_memory, watchers,
};
use super::server_process::{
    Ports, ServerOptions, ServerSpec, raise_file_limit, wait_for_quiet_machine,
};
use super::storm::{Storm, storm};
use super::tail::{Tail, events, many_creates};

/// The node below which the loads work.
const ROOT: &str = "/bench";

/// How often the watched node is written, including the warm-up.
const WATCH_ROUNDS: usize = 20;

/// The parts of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Start time and idle memory, then the loads.
    Matrix,
    /// Creation of many nodes, the memory with them, and the start with them.
    Nodes,
    /// Idle sessions.
    Sessions,
    /// Watches.
    Watches,
    /// Failover: the leader of an ensemble is killed.
    Failover,
    /// The slowest writes of many clients, also while something happens to the server.
    Tail,
    /// Thousands of clients that come at once.
    Storm,
}

impl Part {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("matrix", Self::Matrix),
        ("nodes", Self::Nodes),
        ("sessions", Self::Sessions),
        ("watches", Self::Watches),
        ("failover", Self::Failover),
        ("tail", Self::Tail),
        ("storm", Self::Storm),
    ];
}

/// What to compare, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// The servers to compare, and behind them the limit, if it is wanted.
    pub(crate) servers: Vec<ServerSpec>,
    /// Whether the last server is one that does nothing. Only its throughput is measured. It shows what this machine
    /// can do at most.
    pub(crate) limit: bool,
    /// Processes of each server: 1 for a standalone server, otherwise the members of the ensemble.
    pub(crate) members: usize,
    pub(crate) options: ServerOptions,
    pub(crate) parts: Vec<Part>,
    pub(crate) rounds: usize,
    /// Only loads whose name contains one of these; empty means all loads.
    pub(crate) only: Vec<String>,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    pub(crate) threads: Option<usize>,
    /// How long a mixed load runs on each server before the first measured load: just-in-time compilers need it.
    pub(crate) warm_server: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// How long to wait, before each measurement, for other programs on the machine to become idle.
    pub(crate) patience: Duration,
    pub(crate) creation: Creation,
    pub(crate) sessions: usize,
    pub(crate) hold: Duration,
    /// How many clients watch one node. Each number is measured.
    pub(crate) watchers: Vec<usize>,
    /// How many watches are set to measure their memory; 0 leaves this out.
    pub(crate) watch_paths: usize,
    /// How many times the leader is killed in a round.
    pub(crate) kills: usize,
    pub(crate) tail: Tail,
    /// How many clients come at once.
    pub(crate) storm_clients: usize,
    /// How many watches each of them has.
    pub(crate) storm_watches: usize,
    pub(crate) dir: PathBuf,
    /// Keep the data directories and logs.
    pub(crate) keep: bool,
}

impl Comparison {
    /// How many servers are compared: all but the limit.
    fn compared(&self) -> usize {
        self.servers.len() - usize::from(self.limit)
    }

    /// The largest number of clients at the same time.
    fn most_clients(&self) -> usize {
        let clients = |part: &Part| match part {
            Part::Matrix => MATRIX.iter().map(|cell| cell.clients).max().unwrap_or_default(),
            Part::Sessions => self.sessions,
            Part::Watches => self.watchers.iter().copied().max().unwrap_or_default(),
            // Some write while others come and go.
            Part::Tail => self.tail.clients.saturating_mul(2),
            Part::Storm => self.storm_clients,
            Part::Nodes | Part::Failover => self.members,
        };
        self.parts.iter().map(clients).max().unwrap_or_default()
    }
}

/// Runs all rounds. Returns what was measured, and the error that ended the rounds early: a server did not start,
/// answered wrongly or lost a session. Its log and data are kept then.
pub(crate) fn compare(plan: &Comparison, out: &mut dyn Write) -> (Figures, Result<(), BenchError>) {
    let needed = plan.most_clients() as u64 + 100;
    if let Some(limit) = raise_file_limit().filter(|limit| *limit < needed) {
        say(out, &format!("only {limit} files may be open: fewer than {needed} for all sessions"));
    }
    let compared = plan.servers.iter().take(plan.compared());
    let labels = compared.map(|server| server.label.clone()).collect();
    let (figures, ports) = (Figures::new(labels), Ports::new());
    let mut round = Round { plan, number: 0, figures, ports, out };
    let done = round.all();
    (round.figures, done)
}

struct Round<'a> {
    plan: &'a Comparison,
    number: usize,
    figures: Figures,
    ports: Ports,
    out: &'a mut dyn Write,
}

/// A scenario on one server that is started only for it.
type Scenario<'a> = fn(&mut Round<'a>, usize, RunningServer) -> Result<(), BenchError>;

impl<'a> Round<'a> {
    fn all(&mut self) -> Result<(), BenchError> {
        for number in 1..=self.plan.rounds {
            self.number = number;
            for part in &self.plan.parts {
                match part {
                    Part::Matrix => self.matrix()?,
                    Part::Nodes => self.each("nodes", Round::nodes)?,
                    Part::Sessions => self.each("sessions", Round::sessions)?,
                    Part::Watches => self.each("watches", Round::watches)?,
                    Part::Failover => self.failover()?,
                    Part::Tail => self.each("tail", Round::tail)?,
                    Part::Storm => self.each("storm", Round::storm)?,
                }
            }
        }
        Ok(())
    }

    fn matrix(&mut self) -> Result<(), BenchError> {
        let plan = self.plan;
        let mut running = Vec::new();
        for at in order(plan.servers.len(), self.number) {
            let server = self.start(at, "matrix")?;
            if at < plan.compared() {
                for figure in fresh_start(&server) {
                    self.add(at, figure);
                }
            }
            running.push((at, server));
        }
        self.prepare(&running)?;
        let wanted = |cell: &Cell| {
            plan.only.is_empty() || plan.only.iter().any(|only| cell.name.contains(only.as_str()))
        };
        for (turn, load) in MATRIX.iter().filter(|cell| wanted(cell)).enumerate() {
            for place in order(running.len(), turn + self.number) {
                let (at, server) = &running[place];
                self.one_cell(*at, server, *load)?;
            }
        }
        self.stop_all(running, "matrix")
    }

    /// Creates the nodes to work on, and warms up each server.
    fn prepare(&mut self, running: &[(usize, RunningServer)]) -> Result<(), BenchError> {
        for (at, server) in running {
            let target = self.target(server);
            self.prepare_one(*at, server, &target)?;
        }
        Ok(())
    }

    fn prepare_one(
        &mut self,
        at: usize,
        server: &RunningServer,
        target: &Target,
    ) -> Result<(), BenchError> {
        let is_limit = at >= self.plan.compared();
        // A server that does nothing needs no warm-up.
        let warm_up = if is_limit { Duration::ZERO } else { self.plan.warm_server };
        self.say(at, &format!("set-up and {} s of warm-up", warm_up.as_secs()));
        populate(target)?;
        self.warm(target, warm_up)?;
        server.wait_quiet(QUIET_WITHIN);
        Ok(())
    }

    fn stop_all(&self, running: Vec<(usize, RunningServer)>, part: &str) -> Result<(), BenchError> {
        for (at, server) in running {
            server.stop()?;
            self.remove(at, part);
        }
        Ok(())
    }

    fn failover(&mut self) -> Result<(), BenchError> {
        let plan = self.plan;
        let mut running = Vec::new();
        for at in order(plan.compared(), self.number) {
            running.push((at, self.start(at, "failover")?));
        }
        self.prepare(&running)?;
        let mut worst = vec![Outage::default(); plan.compared()];
        for turn in 0..plan.kills {
            for place in order(running.len(), turn + self.number) {
                let (at, server) = &mut running[place];
                wait_for_quiet_machine(plan.patience);
                let target = self.target(server);
                let outage = outage(server, &target)?;
                server.wait_quiet(QUIET_WITHIN);
                worst[*at] = worst[*at].max(outage);
                self.add_all(*at, "failover", outage_figures("", outage));
            }
        }
        for (at, _) in &running {
            self.add_all(*at, "failover", outage_figures(", worst of a round", worst[*at]));
        }
        self.stop_all(running, "failover")
    }

    fn one_cell(
        &mut self,
        at: usize,
        server: &RunningServer,
        load: Cell,
    ) -> Result<(), BenchError> {
        let plan = self.plan;
        wait_for_quiet_machine(plan.patience);
        let times = (plan.warm_up, plan.duration);
        let target = self.target(server);
        let mut rates = Vec::new();
        let mut on_second = |second: Second| {
            if second.measuring {
                rates.push(second.replies as f64 / second.length);
            }
        };
        let figures = cell(&target, load, plan.threads, times, &mut on_second)?;
        let rates: Vec<String> = rates.into_iter().map(super::figures::number).collect();
        self.say(at, &format!("{}: {} ops/s", load.name, rates.join(", ")));
        for figure in figures {
            self.add(at, figure);
        }
        server.wait_quiet(QUIET_WITHIN);
        Ok(())
    }

    fn warm(&self, target: &Target, duration: Duration) -> Result<(), BenchError> {
        let mix = Mix { reads: 70, writes: 30 };
        let threads = self.plan.threads;
        let (warm_up, duration) = (Duration::ZERO, duration / 2);
        for (clients, in_flight) in [(64, 16), (16, 1)] {
            let load = Load { clients, in_flight, mix, threads, warm_up, duration };
            run(target, &load, &mut |_| {})?;
        }
        Ok(())
    }

    /// Runs the scenario on every server. Each server is started only for it.
    fn each(&mut self, part: &str, scenario: Scenario<'a>) -> Result<(), BenchError> {
        for at in order(self.plan.compared(), self.number) {
            wait_for_quiet_machine(self.plan.patience);
            let server = self.start(at, part)?;
            scenario(self, at, server)?;
            self.remove(at, part);
        }
        Ok(())
    }

    fn nodes(&mut self, at: usize, server: RunningServer) -> Result<(), BenchError> {
        let plan = self.plan;
        let target = self.target(&server);
        let figures = creation(&target, plan.creation, &server, &mut |_| {})?;
        self.add_all(at, "nodes", figures);
        server.stop()?;
        // A start takes a snapshot, so the second start finds nothing to replay.
        for what in ["from snapshot and log", "from a snapshot alone"] {
            let spec = &plan.servers[at];
            let (dir, members) = (self.dir(at, "nodes"), plan.members);
            let server = RunningServer::start(spec, &dir, members, &plan.options, &mut self.ports)?;
            self.add_all(at, "nodes", restart(&server, what));
            server.stop()?;
        }
        Ok(())
    }

    fn sessions(&mut self, at: usize, server: RunningServer) -> Result<(), BenchError> {
        server.wait_quiet(QUIET_WITHIN);
        let target = self.target(&server);
        let figures = idle_sessions(&target, self.plan.sessions, self.plan.hold)?;
        self.add_all(at, "sessions", figures);
        server.stop()
    }

    fn watches(&mut self, at: usize, server: RunningServer) -> Result<(), BenchError> {
        let plan = self.plan;
        let target = self.target(&server);
        // First: thousands of clients would leave memory behind in which a million watches have room.
        if plan.watch_paths > 0 {
            let figures = watch_memory(&target, plan.watch_paths, &server)?;
            self.add_all(at, "watches", figures);
        }
        for clients in &plan.watchers {
            let figures = watchers(&target, *clients, WATCH_ROUNDS)?;
            self.add_all(at, "watches", figures);
        }
        server.stop()
    }

    fn tail(&mut self, at: usize, mut server: RunningServer) -> Result<(), BenchError> {
        let plan = self.plan;
        let target = Target { value_bytes: plan.tail.value_bytes, ..self.target(&server) };
        self.prepare_one(at, &server, &target)?;
        let creation = Creation { clients: plan.tail.clients, in_flight: 1, ..plan.creation };
        let figures = many_creates(&target, creation, &server)?;
        self.add_all(at, "tail", figures);
        let figures = events(&mut server, &target, plan.tail, (plan.warm_up, plan.duration))?;
        self.add_all(at, "tail", figures);
        server.stop()
    }

    fn storm(&mut self, at: usize, mut server: RunningServer) -> Result<(), BenchError> {
        let plan = self.plan;
        let target = self.target(&server);
        let asked = Storm { clients: plan.storm_clients, watches: plan.storm_watches };
        let figures = storm(&mut server, &target, asked)?;
        self.add_all(at, "storm", figures);
        server.stop()
    }

    fn start(&mut self, at: usize, part: &str) -> Result<RunningServer, BenchError> {
        let dir = self.dir(at, part);
        if dir.exists() {
            let removed = fs::remove_dir_all(&dir);
            removed.map_err(BenchError::io(format!("empty {}", dir.display())))?;
        }
        let plan = self.plan;
        let spec = &plan.servers[at];
        // Several processes would count the writes of one load apart.
        let members = if at < plan.compared() { plan.members } else { 1 };
        RunningServer::start(spec, &dir, members, &plan.options, &mut self.ports)
    }

    fn target(&self, server: &RunningServer) -> Target {
        Target {
            addrs: server.addrs(),
            root: ROOT.into(),
            keys: self.plan.keys,
            value_bytes: self.plan.value_bytes,
            session_timeout_ms: SESSION_TIMEOUT_MS,
            pids: server.pids(),
        }
    }

    fn add_all(&mut self, at: usize, part: &str, figures: Vec<Figure>) {
        for figure in figures {
            let value = super::figures::number(figure.value);
            self.say(at, &format!("{part}: {} {value} {}", figure.name, figure.unit));
            self.add(at, figure);
        }
    }

    /// Adds a figure. Of the limit, only the throughput says something about other servers.
    fn add(&mut self, at: usize, figure: Figure) {
        if at < self.plan.compared() {
            self.figures.add(at, figure);
        } else if figure.section == Section::Throughput {
            self.figures.add_limit(figure);
        }
    }

    fn say(&mut self, at: usize, what: &str) {
        let label = &self.plan.servers[at].label;
        say(self.out, &format!("round {}/{}  {label:<12} {what}", self.number, self.plan.rounds));
    }

    fn dir(&self, at: usize, part: &str) -> PathBuf {
        let label = &self.plan.servers[at].label;
        self.plan.dir.join(format!("round-{}-{part}-{label}", self.number))
    }

    fn remove(&self, at: usize, part: &str) {
        if !self.plan.keep {
            remove_dir(&self.dir(at, part));
        }
    }
}

fn outage_figures(which: &str, outage: Outage) -> Vec<Figure> {
    let figure = |who: &str, outage: Duration| Figure {
        section: Section::Failover,
        name: format!("{who}{which}"),
        unit: "ms",
        better: Better::Lower,
        value: outage.as_secs_f64() * 1e3,
    };
    vec![
        figure("client of a follower", outage.follower),
        figure("client of the leader", outage.leader),
    ]
}

/// Removes the data of a finished round. A failure is ignored: what remains does no harm.
fn remove_dir(dir: &Path) {
    drop(fs::remove_dir_all(dir));
}

/// Prints progress. Errors are ignored: if the output is closed, printing the report fails later.
fn say(out: &mut dyn Write, line: &str) {
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// All indices, starting with a different one in each turn.
fn order(count: usize, turn: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at + turn) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_first_in_some_round() {
        let firsts: Vec<usize> = (1..=3).filter_map(|turn| order(3, turn).next()).collect();
        assert_eq!(firsts, [1, 2, 0]);
        assert_eq!(order(3, 1).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(0, 1).count(), 0);
    }
}
