//! Starts ensembles of server processes, and compares the trees of their members (no Java twin).
//!
//! `tests/harness/ensemble.py` does the same for the suites that need other servers and clients.

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{bounded, never};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Stat};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::zoo_defs::ids;
use zookeeper_server::zookeeper::ZooKeeper;

use super::common::{
    Client, DEADLINE, Program, Server, ServerBuilder, client_config, free_port, wait_for,
    wait_until,
};

/// The pause of a writer between two requests.
const PAUSE: Duration = Duration::from_millis(5);

const WRITERS: usize = 3;

/// How many acknowledgements each writer gets before and after a fault.
const WRITES_BETWEEN_FAULTS: usize = 20;

/// How a learner is brought up to date, and the line that it logs then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    Diff,
    Snap,
    Trunc,
}

impl CatchUp {
    const ALL: [(Self, &str); 3] = [
        (Self::Diff, "Getting a diff from the leader"),
        (Self::Snap, "Getting a snapshot from leader"),
        (Self::Trunc, "Truncating log to get in sync with the leader"),
    ];
}

/// The mode of a member in its answer to `srvr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Leader,
    Follower,
    Observer,
}

/// A member of an ensemble. Member ids count from 1.
#[derive(Debug)]
pub struct Member {
    pub server: Server,
    pub is_observer: bool,
    is_up: bool,
    starts: u32,
}

impl Member {
    /// The mode; `None` if the member does not serve.
    pub fn mode(&self) -> Option<Mode> {
        let answer = self.is_up.then(|| self.server.four_letter_word("srvr"))??;
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "))?;
        match mode.trim() {
            "leader" => Some(Mode::Leader),
            "follower" => Some(Mode::Follower),
            "observer" => Some(Mode::Observer),
            other => panic!("a member of an ensemble is {other}"),
        }
    }

    /// Starts the member without waiting. It writes to a new log file; the old ones are kept beside it.
    pub fn start(&mut self) {
        let log = self.server.dir().join("server.log");
        if log.exists() {
            let old = self.server.dir().join(format!("server-{}.log", self.starts));
            fs::rename(&log, old).unwrap();
        }
        self.starts += 1;
        self.server.spawn();
        self.is_up = true;
    }

    pub fn kill9(&mut self) {
        self.server.kill9();
        self.is_up = false;
    }

    /// Stops all threads of the member. Its connections stay open.
    #[track_caller]
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets the threads of the member continue.
    #[track_caller]
    pub fn thaw(&self) {
        self.server.thaw();
    }

    pub fn stop(&mut self) {
        self.server.stop();
        self.is_up = false;
    }

    /// How the member has caught up with the leader since its last start.
    pub fn caught_up_by(&self) -> Vec<CatchUp> {
        let log = self.server.log();
        let has = |(way, words): &(CatchUp, &str)| log.contains(*words).then_some(*way);
        CatchUp::ALL.iter().filter_map(has).collect()
    }
}

/// All members of an ensemble.
#[derive(Debug)]
pub struct Ensemble {
    pub members: Vec<Member>,
    roots: u32,
}

impl Ensemble {
    /// No members, in the place of an ensemble that is moved out of a reference.
    pub fn none() -> Self {
        Self { members: Vec::new(), roots: 0 }
    }

    /// Starts voters and observers of one program, and waits until all serve.
    #[track_caller]
    pub fn start(program: Program, voters: usize, observers: usize) -> Self {
        Self::start_of(&vec![program; voters + observers], voters, &[])
    }

    /// Starts one member for each program and waits until all serve. The first `voters` members are voters. `more`
    /// are lines for zoo.cfg.
    #[track_caller]
    pub fn start_of(programs: &[Program], voters: usize, more: &[&str]) -> Self {
        Self::start_on_hosts(programs, voters, more, |_| "127.0.0.1".to_owned())
    }

    /// The same, with an address of its own for each member, for ports that several members have in common.
    #[track_caller]
    pub fn start_on_hosts(
        programs: &[Program],
        voters: usize,
        more: &[&str],
        host: impl Fn(usize) -> String,
    ) -> Self {
        let observers = programs.len() - voters;
        let ports: Vec<_> = (0..voters + observers).map(|_| (free_port(), free_port())).collect();
        let line = |(at, (quorum, election)): (usize, &(u16, u16))| {
            let role = if at < voters { "" } else { ":observer" };
            format!("server.{}={}:{quorum}:{election}{role}", at + 1, host(at))
        };
        let lines: Vec<String> = ports.iter().enumerate().map(line).collect();
        let member = |at: usize| {
            let mut builder = ServerBuilder::new()
                .program(programs[at])
                .config("tickTime=1000")
                // The limits are long enough for a slow machine. A leader that nobody follows still gives up before
                // `DEADLINE`.
                .config("initLimit=30")
                .config("syncLimit=40")
                .config("maxClientCnxns=0")
                // Leaders never read their log for a learner. So the test knows which learners get a snapshot.
                .property("zookeeper.snapshotSizeFactor", "-1")
                .property("zookeeper.commitLogCount", "500");
            builder = lines.iter().fold(builder, |builder, line| builder.config(line));
            builder = more.iter().fold(builder, |builder, line| builder.config(line));
            if at >= voters {
                builder = builder.config("peerType=observer");
            }
            let server = builder.prepare();
            fs::write(server.dir().join("data/myid"), format!("{}\n", at + 1)).unwrap();
            Member { server, is_observer: at >= voters, is_up: false, starts: 0 }
        };
        let mut ensemble = Self { members: (0..ports.len()).map(member).collect(), roots: 0 };
        for member in &mut ensemble.members {
            member.start();
        }
        ensemble.wait_serving();
        ensemble
    }

    /// Waits until all running members serve in their role, and one leads.
    #[track_caller]
    pub fn wait_serving(&mut self) {
        let members = self.members.iter_mut().enumerate();
        for (at, member) in members.filter(|(_, member)| member.is_up) {
            let mut last = None;
            let serves = wait_for(DEADLINE, || {
                assert!(!member.server.has_ended(), "member {} has ended", at + 1);
                last = member.mode();
                (last? == Mode::Observer).eq(&member.is_observer).then_some(())
            });
            let wanted = if member.is_observer { "an observer" } else { "a voter" };
            assert!(serves.is_some(), "member {} does not serve as {wanted}: {last:?}", at + 1);
        }
        self.wait_leader();
    }

    /// Waits for a leader. Returns its index.
    #[track_caller]
    pub fn wait_leader(&self) -> usize {
        self.wait_at(Mode::Leader)
    }

    /// Waits for a member in that mode. Returns the index of the first one.
    #[track_caller]
    pub fn wait_at(&self, mode: Mode) -> usize {
        let member = wait_for(DEADLINE, || self.at(mode));
        member.unwrap_or_else(|| panic!("nobody is a {mode:?}"))
    }

    /// The index of the first member in that mode.
    pub fn at(&self, mode: Mode) -> Option<usize> {
        self.members.iter().position(|member| member.mode() == Some(mode))
    }

    /// `host:port,host:port`, for clients.
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.members.iter().map(|member| member.server.address()).collect();
        addresses.join(",")
    }

    /// A path that no test has used yet.
    pub fn new_root(&mut self, name: &str) -> String {
        self.roots += 1;
        format!("/{name}{}", self.roots)
    }

    /// Creates `count` nodes through the leader.
    #[track_caller]
    pub fn write(&mut self, count: usize) {
        let root = self.new_root("some");
        let client = self.members[self.wait_leader()].server.client();
        create(&client, &root, CreateMode::Persistent).unwrap();
        let path = format!("{root}/n-");
        let submit = |_| {
            let mode = CreateMode::PersistentSequential;
            client.submit_create(&path, Some(b"data"), ids::open_acl_unsafe(), mode)
        };
        let pending: Vec<_> = (0..count).map(submit).collect();
        for one in pending {
            one.wait().unwrap();
        }
        client.close();
    }

    /// Checks that all running members show the same tree. Returns the tree.
    #[track_caller]
    pub fn same_trees(&self) -> Tree {
        let up: Vec<_> = self.members.iter().enumerate().filter(|(_, m)| m.is_up).collect();
        let mut difference = None;
        // A session may expire between two reads, so a difference counts only if it lasts.
        let same = wait_for(DEADLINE, || {
            let trees: Vec<Tree> =
                up.iter().map(|(_, member)| tree_of(&member.server.client())).collect();
            difference = (1..trees.len()).find_map(|at| {
                let what = first_difference(&trees[0], &trees[at])?;
                Some(format!("members {} and {}: {what}", up[0].0 + 1, up[at].0 + 1))
            });
            difference.is_none().then(|| trees.into_iter().next().unwrap())
        });
        same.unwrap_or_else(|| panic!("{}", difference.unwrap_or_default()))
    }
}

/// The data, stat and ACL of every node of clients, by path.
pub type Tree = BTreeMap<String, (Option<Vec<u8>>, Stat, Vec<ACL>)>;

/// The tree of the client's server, after a sync.
#[track_caller]
pub fn tree_of(client: &Client) -> Tree {
    client.sync("/").unwrap();
    let mut tree = Tree::new();
    let mut paths = vec!["/".to_owned()];
    while let Some(path) = paths.pop() {
        let data = client.submit_get_data(&path, false);
        let children = client.submit_get_children(&path, false);
        let acl = client.get_acl(&path);
        let (Ok(data), Ok(children), Ok((acl, _))) = (data.wait(), children.wait(), acl) else {
            // The node may have been deleted meanwhile.
            assert_eq!(client.exists(&path, false).unwrap(), None, "{path}");
            continue;
        };
        let parent = path.trim_end_matches('/');
        let below = children.children.into_iter().map(|name| format!("{parent}/{name}"));
        paths.extend(below.filter(|path| path != "/zookeeper"));
        tree.insert(path, (data.data, data.stat, acl));
    }
    client.close();
    tree
}

fn first_difference(left: &Tree, right: &Tree) -> Option<String> {
    let mut paths: Vec<_> = left.keys().chain(right.keys()).collect();
    paths.sort();
    let differs = |path: &&&String| left.get(**path) != right.get(**path);
    let path = paths.iter().find(differs)?;
    Some(format!("{path}: {:?} and {:?}", left.get(*path), right.get(*path)))
}

pub fn create(client: &ZooKeeper, path: &str, mode: CreateMode) -> Result<String, KeeperError> {
    let made = client.create(path, Some(b"data"), ids::open_acl_unsafe(), mode);
    made.map_err(|error| error.keeper_error().expect("an answer of the server or of the client"))
}

/// The answers that one writer got.
#[derive(Debug, Default)]
pub struct Told {
    acknowledged: Vec<String>,
    /// How often the connection was lost before the answer.
    pub lost: usize,
}

impl Told {
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }

    /// Checks that every acknowledged node exists.
    #[track_caller]
    pub fn check(&self, tree: &Tree) {
        for path in &self.acknowledged {
            assert!(tree.contains_key(path), "{path} was acknowledged, and is lost");
        }
    }
}

/// How many writes each writer has got acknowledged so far.
#[derive(Debug, Default)]
pub struct Load {
    acknowledged: [AtomicUsize; WRITERS],
}

impl Load {
    /// Waits until every writer has got some more acknowledgements.
    #[track_caller]
    pub fn goes_on(&self) {
        let told = || self.acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed));
        let before = told();
        wait_until("all writers go on", DEADLINE, || {
            told().iter().zip(before).all(|(now, before)| *now >= before + WRITES_BETWEEN_FAULTS)
        });
    }
}

/// Creates a writer's root node. An earlier attempt without an answer may have created it.
fn make_root(client: &Client, root: &str) {
    let made = wait_for(DEADLINE, || match create(client, root, CreateMode::Persistent) {
        Ok(_) | Err(KeeperError::NodeExists) => Some(()),
        Err(KeeperError::ConnectionLoss | KeeperError::RequestTimeout) => None,
        Err(other) => panic!("create {root}: {other:?}"),
    });
    assert!(made.is_some(), "{root}: no member serves");
}

fn write_until(client: &Client, root: &str, acknowledged: &AtomicUsize, stop: &AtomicBool) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("{root}/n{number}");
        match create(client, &path, CreateMode::Persistent) {
            Ok(path) => {
                told.acknowledged.push(path);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(KeeperError::ConnectionLoss | KeeperError::RequestTimeout) => {
                told.lost += 1;
                assert!(client.wait_connected(DEADLINE), "{root}: no member serves");
            }
            Err(other) => panic!("create {path}: {other:?}"),
        }
        let _always_a_timeout = never::<()>().recv_timeout(PAUSE);
    }
    client.close();
    told
}

/// Lets some clients write through any members while `trouble` happens. Returns the answers that they got.
#[track_caller]
pub fn under_load(
    ensemble: &mut Ensemble,
    trouble: impl FnOnce(&mut Ensemble, &Load),
) -> Vec<Told> {
    let stop = AtomicBool::new(false);
    let load = Load::default();
    let addresses = ensemble.addresses();
    let roots: [String; WRITERS] = std::array::from_fn(|_| ensemble.new_root("load"));
    thread::scope(|scope| {
        let (ready, are_ready) = bounded(WRITERS);
        let writers = roots.iter().zip(&load.acknowledged).map(|(root, acknowledged)| {
            let (addresses, stop, ready) = (&addresses, &stop, ready.clone());
            scope.spawn(move || {
                let client = Client::connect(addresses, client_config());
                make_root(&client, root);
                ready.send(()).unwrap();
                drop(ready);
                write_until(&client, root, acknowledged, stop)
            })
        });
        let writers: Vec<_> = writers.collect();
        // Also stops the writers when `trouble` panics.
        let ends = StopAtEnd(&stop);
        drop(ready);
        // Each writer gets ready in time, or panics.
        assert_eq!(are_ready.iter().count(), WRITERS, "writers that write");
        trouble(ensemble, &load);
        drop(ends);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs each test for members of this repository and, to test the test itself, for Java's members.
#[allow(unused_macros, reason = "not every file with an ensemble has such tests")]
macro_rules! on_both {
    ($($name:ident: $call:expr;)*) => {
        $(
            mod $name {
                use super::*;

                const RUN: fn(Program) = $call;

                #[test]
                fn ours() {
                    RUN(Program::Ours);
                }

                #[test]
                #[ignore = "needs Java 3.9, and tests the test"]
                fn java() {
                    RUN(JAVA);
                }
            }
        )*
    };
}

#[allow(unused_imports, reason = "as above")]
pub(crate) use on_both;
