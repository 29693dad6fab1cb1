//! All clients come at once, with their watches, and come back after the leader was killed (no Java twin).
//!
//! A server that is alone is killed itself and started again at once: its clients knock while it starts. In an
//! ensemble the others elect a new leader; the killed member is started again only after the measurement.

use std::net::SocketAddr;
use std::time::Duration;

use crate::data::Stat;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::{ExistsRequest, SetDataRequest, SetWatches};
use crate::zoo_defs::OpCode;

use super::crowd::{Crowd, Report};
use super::error::BenchError;
use super::failover::LEAST_MEMBERS;
use super::figures::{Better, Figure, Section};
use super::load::{Target, create_path};
use super::running_server::RunningServer;
use super::scenarios::Measured;
use super::session::{Session, close_all};
use super::template::create_request;

/// The number of watched nodes.
const NODES: usize = 1_000;

/// How many nodes are created at the same time.
const CREATES_IN_FLIGHT: usize = 250;

/// The distance between the nodes that a client watches. It has no divisor in common with [`NODES`], so that all nodes
/// of a client are different.
const STEP: usize = 7;

/// The time after which the measurement gives up.
const GIVE_UP: Duration = Duration::from_secs(120);

/// How many clients, and how many watches each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storm {
    pub(crate) clients: usize,
    pub(crate) watches: usize,
}

/// Runs the storm on a server that was started for it. Kills its leader (alone: itself) and starts it again at the end.
///
/// # Errors
/// If a client is not served in time, a session is lost, or a member that was not killed does not serve.
pub(crate) fn storm(server: &mut RunningServer, target: &Target, storm: Storm) -> Measured {
    let Storm { clients, watches } = storm;
    check(storm, server.members())?;
    let base = format!("{}/storm", target.root);
    let last_zxid = make_nodes(target, &base)?;
    let addrs: Vec<SocketAddr> = (0..server.members()).map(|at| server.addr(at)).collect();
    let below = base.clone();
    let of_client = move |number, seen| watches_of(&below, number, watches, seen);
    let mut crowd = Crowd::new(clients, &addrs, last_zxid, of_client)?;
    let report = crowd.connect(GIVE_UP)?;
    let mut figures = figures_of(&format!("{clients} clients come"), &report)?;

    let is_alone = server.members() == 1;
    let victim = if is_alone { 0 } else { server.leader()? };
    let (killed, _) = server.kill(victim)?;
    if is_alone {
        server.spawn_again(victim)?;
    }
    let report = crowd.come_back(killed, GIVE_UP)?;
    figures.extend(figures_of(&format!("{clients} clients come back"), &report)?);
    if is_alone {
        server.wait_until_back(victim)?;
    } else {
        check_survivors(server, target, &base, victim)?;
        server.restart(victim)?;
    }
    Ok(figures)
}

fn check(storm: Storm, members: usize) -> Result<(), BenchError> {
    let Storm { clients, watches } = storm;
    let wrong = |why: String| Err(BenchError::Arguments(format!("storm: {why}")));
    if clients == 0 {
        return wrong("no clients".into());
    }
    if watches > NODES {
        return wrong(format!("{watches} watches of a client, and there are {NODES} nodes"));
    }
    if members > 1 && members < LEAST_MEMBERS {
        return wrong(format!("{members} members have no quorum without their leader"));
    }
    Ok(())
}

/// Creates the watched nodes. Returns the zxid of the last one, when every member has it.
fn make_nodes(target: &Target, base: &str) -> Result<Zxid, BenchError> {
    let mut session = target.observer()?;
    create_path(&mut session, base)?;
    let nodes: Vec<String> = (0..NODES).map(|node| path_of(base, node)).collect();
    for nodes in nodes.chunks(CREATES_IN_FLIGHT) {
        for path in nodes {
            let request = create_request(path.clone(), b"some configuration");
            session.send(OpCode::Create, &request)?;
        }
        for path in nodes {
            let code = session.receive()?.err;
            if code != 0 && code != KeeperError::NodeExists.code() {
                return Err(BenchError::Refused { what: format!("create of {path}"), code });
            }
        }
    }
    let request = ExistsRequest { path: base.to_owned(), watch: false };
    let reply = session.demand(OpCode::Exists, &request, base, &[])?;
    let stat = Stat::deserialize(&mut BinaryInputArchive::new(&reply.body[..], Limits::default()));
    let stat = stat.map_err(|error| BenchError::Protocol(format!("exists: {error}")))?;
    close_all(vec![session]);
    target.sync_members()?;
    Ok(stat.pzxid)
}

fn path_of(base: &str, node: usize) -> String {
    format!("{base}/config-{node:04}")
}

/// The watches of a client. Each node has about as many watches as any other.
fn watches_of(base: &str, number: usize, watches: usize, seen: Zxid) -> SetWatches {
    let node = |at: usize| (number + at * STEP) % NODES;
    SetWatches {
        relative_zxid: seen,
        data_watches: (0..watches).map(|at| path_of(base, node(at))).collect(),
        ..SetWatches::default()
    }
}

/// A connection that was cut off is only counted: the client gets its session back with the next one.
fn figures_of(what: &str, report: &Report) -> Measured {
    if report.unserved > 0 || report.lost_sessions > 0 {
        return Err(BenchError::Protocol(format!("{what}: {report}")));
    }
    let figure = |name: &str, unit, value| Figure {
        section: Section::Storm,
        name: format!("{what}: {name}"),
        unit,
        better: Better::Lower,
        value,
    };
    let served = |name, percent| figure(name, "ms", report.percentile_ms(percent) as f64);
    Ok(vec![
        served("half served", 50),
        served("99%", 99),
        served("last served", 100),
        figure("cut off", "", report.cut_off as f64),
        figure("sessions lost", "", report.lost_sessions as f64),
    ])
}

/// The other members must have stayed in the quorum: one leads, the others follow, and each takes a write.
fn check_survivors(
    server: &RunningServer,
    target: &Target,
    path: &str,
    victim: usize,
) -> Result<(), BenchError> {
    let mut modes = Vec::new();
    for member in (0..server.members()).filter(|member| *member != victim) {
        modes.push(server.mode(member));
        let mut session = Session::connect(server.addr(member), target.session_timeout_ms)?;
        let data = Some(b"written after the storm".to_vec());
        let request = SetDataRequest { path: path.to_owned(), data, version: -1 };
        session.demand(OpCode::SetData, &request, path, &[])?;
        close_all(vec![session]);
    }
    if is_quorum(&modes) {
        return Ok(());
    }
    let modes: Vec<&str> = modes.iter().map(|mode| mode.as_deref().unwrap_or("no mode")).collect();
    let modes = modes.join(", ");
    Err(BenchError::Protocol(format!("after the storm, the members that remain report: {modes}")))
}

/// Whether one member leads and all others follow it.
fn is_quorum(modes: &[Option<String>]) -> bool {
    let count = |wanted| modes.iter().filter(|mode| mode.as_deref() == Some(wanted)).count();
    count("leader") == 1 && count("follower") == modes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_client_watches_different_nodes_and_each_node_has_as_many_watches() {
        let mut watches: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..NODES {
            let set = watches_of("/b/storm", number, 20, Zxid(9));
            assert_eq!(set.relative_zxid, Zxid(9));
            let paths: BTreeSet<_> = set.data_watches.iter().cloned().collect();
            assert_eq!(paths.len(), 20, "{paths:?}");
            for path in paths {
                *watches.entry(path).or_default() += 1;
            }
        }
        assert_eq!(watches.len(), NODES);
        assert!(watches.values().all(|count| *count == 20));
        assert!(watches.contains_key("/b/storm/config-0999"));
        let all = watches_of("/b/storm", 5, NODES, Zxid(0)).data_watches;
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), NODES);
    }

    #[test]
    fn the_figures_name_the_clients_and_count_what_was_cut_off() {
        let report = Report { served_ms: (1..=10).collect(), cut_off: 3, ..Report::default() };
        let figures = figures_of("10 clients come", &report).unwrap();
        let figures: Vec<_> =
            figures.iter().map(|figure| (&*figure.name, figure.unit, figure.value)).collect();
        let expected = [
            ("10 clients come: half served", "ms", 5.0),
            ("10 clients come: 99%", "ms", 10.0),
            ("10 clients come: last served", "ms", 10.0),
            ("10 clients come: cut off", "", 3.0),
            ("10 clients come: sessions lost", "", 0.0),
        ];
        assert_eq!(figures, expected);
    }

    #[test]
    fn a_lost_session_and_a_client_that_nobody_serves_are_errors() {
        for (unserved, lost_sessions) in [(1, 0), (0, 1)] {
            let report = Report { unserved, lost_sessions, ..Report::default() };
            let error = figures_of("10 clients come back", &report).unwrap_err().to_string();
            let said = format!("{unserved} not served, 0 cut off, {lost_sessions} sessions lost");
            assert!(error.contains("10 clients come back") && error.contains(&said), "{error}");
        }
    }

    #[test]
    fn a_quorum_is_one_leader_and_its_followers() {
        let is_quorum = |modes: &[&str]| {
            let mode = |mode: &&str| (!mode.is_empty()).then(|| (*mode).to_owned());
            super::is_quorum(&modes.iter().map(mode).collect::<Vec<_>>())
        };
        assert!(is_quorum(&["follower", "leader"]));
        assert!(is_quorum(&["leader", "follower", "follower", "follower"]));
        for modes in [["follower", "follower"], ["leader", "leader"], ["leader", ""]] {
            assert!(!is_quorum(&modes), "{modes:?}");
        }
    }

    #[test]
    fn a_storm_needs_clients_and_a_quorum_without_the_leader() {
        let is_right =
            |clients, watches, members| check(Storm { clients, watches }, members).is_ok();
        assert!(is_right(10, 100, 1) && is_right(1, 0, 3) && is_right(1, NODES, 5));
        assert!(!is_right(0, 100, 1) && !is_right(10, NODES + 1, 3) && !is_right(10, 100, 2));
    }
}
