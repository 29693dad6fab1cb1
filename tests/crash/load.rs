//! Writers that know which of their writes were acknowledged (no Java twin).
//!
//! A server processes the requests of a session in order. So after a crash, a writer must find the result of all its
//! acknowledged writes, followed by none, some or all of the writes in flight, from the first one on and without a
//! gap.

#![allow(dead_code, unreachable_pub, reason = "a module of a test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::collections::VecDeque;

use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::multi_response::MultiResponse;
use zookeeper_server::internals::proto::{CreateResponse, SetDataResponse};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op_result::OpResult;
use zookeeper_server::zoo_defs::ids;
use zookeeper_server::zookeeper::{ClientError, Pending};

use super::common::{Client, DEADLINE, wait_for};
use super::random::Random;
use super::tree::{Outcome, Shown, Tree, Write};

/// The number of nodes above which a writer deletes some.
const MANY_NODES: usize = 70;

type Outcomes = Result<Vec<Outcome>, KeeperError>;

/// An answer that has not arrived yet.
enum Answer {
    Create(Pending<CreateResponse>),
    Set(Pending<SetDataResponse>),
    Delete(Pending<()>),
    Multi(Pending<MultiResponse>),
}

impl Answer {
    /// The outcome of each write, and the zxid of the transaction.
    fn wait(self) -> Result<(Outcomes, Option<Zxid>), ClientError> {
        let one = |outcome| Ok(vec![outcome]);
        let answered = match self {
            Self::Create(pending) => pending
                .wait_with_zxid()
                .map(|(created, zxid)| (one(Outcome::Created(created.path)), zxid)),
            Self::Set(pending) => pending
                .wait_with_zxid()
                .map(|(set, zxid)| (one(Outcome::Set(set.stat.version)), zxid)),
            Self::Delete(pending) => {
                pending.wait_with_zxid().map(|((), zxid)| (one(Outcome::Deleted), zxid))
            }
            Self::Multi(pending) => {
                pending.wait_with_zxid().map(|(response, zxid)| (outcomes(response.results), zxid))
            }
        };
        match answered {
            Ok((outcomes, zxid)) => Ok((outcomes, Some(zxid))),
            Err(error) => match error.keeper_error() {
                Some(
                    refused @ (KeeperError::BadVersion
                    | KeeperError::NotEmpty
                    | KeeperError::NodeExists
                    | KeeperError::NoNode),
                ) => Ok((Err(refused), None)),
                _ => Err(error),
            },
        }
    }
}

fn outcomes(results: Vec<OpResult>) -> Outcomes {
    if let Some(err) = results.iter().map(OpResult::err).find(|err| *err != 0) {
        return Err(KeeperError::try_from(err).expect("a known error"));
    }
    let outcome = |result| match result {
        OpResult::Create { path } => Outcome::Created(path),
        OpResult::SetData { stat } => Outcome::Set(stat.version),
        OpResult::Delete => Outcome::Deleted,
        OpResult::Check => Outcome::Checked,
        other => panic!("{other:?} is no answer to a write"),
    };
    Ok(results.into_iter().map(outcome).collect())
}

struct InFlight {
    writes: Vec<Write>,
    expected: Outcomes,
    answer: Answer,
}

/// A session with nodes of its own.
pub struct Writer {
    client: Client,
    session: SessionId,
    root: String,
    random: Random,
    /// How many requests it keeps in flight.
    depth: usize,
    /// The usual maximum of the data, in bytes. A few nodes get more.
    usual_bytes: usize,
    count: u64,
    /// The nodes after all acknowledged writes.
    acknowledged: Tree,
    /// The nodes after all writes that were sent.
    sent: Tree,
    in_flight: VecDeque<InFlight>,
    /// Writes that were sent and never answered.
    unanswered: VecDeque<Vec<Write>>,
    /// The last zxid that was acknowledged to this writer, or that it knows the server to have.
    last_zxid: Zxid,
    acknowledgements: u64,
}

impl Writer {
    /// Creates a writer and its root node.
    pub fn new(client: Client, root: &str, random: Random, depth: usize, bytes: usize) -> Self {
        let session = client.session_id();
        let mut writer = Self {
            client,
            session,
            root: root.to_owned(),
            random,
            depth,
            usual_bytes: bytes,
            count: 0,
            acknowledged: Tree::default(),
            sent: Tree::default(),
            in_flight: VecDeque::new(),
            unanswered: VecDeque::new(),
            last_zxid: Zxid::ZERO,
            acknowledgements: 0,
        };
        for name in ["", "/seq", "/one", "/two", "/three"] {
            writer.submit(vec![writer.create(name, CreateMode::Persistent, Vec::new())]);
        }
        while !writer.in_flight.is_empty() {
            writer.take_answer().expect("the server serves");
        }
        writer
    }

    /// The number of acknowledged writes in total.
    pub const fn acknowledgements(&self) -> u64 {
        self.acknowledgements
    }

    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Writes until the connection is lost.
    pub fn run(&mut self) {
        loop {
            while self.in_flight.len() < self.depth {
                let writes = self.invent();
                self.submit(writes);
            }
            if let Err((writes, error)) = self.take_answer() {
                assert_eq!(error.keeper_error(), Some(KeeperError::ConnectionLoss), "{error}");
                self.unanswered.push_back(writes);
                break;
            }
        }
        // Requests that were sent later cannot have been answered.
        for InFlight { writes, answer, .. } in self.in_flight.drain(..) {
            let error = answer.wait().expect_err("an answer behind one that was lost");
            assert_eq!(error.keeper_error(), Some(KeeperError::ConnectionLoss), "{error}");
            self.unanswered.push_back(writes);
        }
    }

    /// Checks the writer's nodes on a restarted server whose last zxid is `server_zxid`.
    pub fn check(&mut self, server_zxid: Zxid) {
        // A server refuses a client that has seen a later zxid than the server has.
        assert!(self.last_zxid <= server_zxid, "{} is forgotten", self.last_zxid);
        // The client may have reached a server that was killed during its start, and may not have noticed that yet.
        let is_served = wait_for(DEADLINE, || {
            let is_connected = self.client.wait_connected(DEADLINE);
            (is_connected && self.client.exists(&self.root, false).is_ok()).then_some(())
        });
        assert!(is_served.is_some(), "{}: {}", self.root, self.client.state());
        assert_eq!(self.client.session_id(), self.session, "it is still the same session");
        self.last_zxid = server_zxid;
        let shown = self.read();
        let mut tree = std::mem::take(&mut self.acknowledged);
        let mut differences = Vec::new();
        while let Some(difference) = tree.difference(&shown, self.session) {
            differences.push(difference);
            let Some(writes) = self.unanswered.pop_front() else {
                panic!(
                    "{}: not what comes of the acknowledged writes ({}), nor of any more: {}",
                    self.root,
                    differences[0],
                    differences.join("; ")
                );
            };
            // This write may be one that the server refuses.
            let _outcomes = tree.apply(&writes, None);
        }
        for (path, (_, stat)) in &shown {
            let last = stat.czxid.max(stat.mzxid).max(stat.pzxid);
            assert!(last <= server_zxid, "{path} has {last}, the server {server_zxid}");
        }
        tree.learn(&shown);
        self.unanswered.clear();
        self.sent = tree.clone();
        self.acknowledged = tree;
    }

    fn read(&self) -> Shown {
        let mut shown = Shown::new();
        let mut paths = vec![self.root.clone()];
        while let Some(path) = paths.pop() {
            let data = self.client.submit_get_data(&path, false);
            let children = self.client.get_children(&path, false).unwrap();
            let data = data.wait().unwrap();
            paths.extend(children.into_iter().map(|name| format!("{path}/{name}")));
            shown.insert(path, (data.data.unwrap_or_default(), data.stat));
        }
        shown
    }

    fn submit(&mut self, writes: Vec<Write>) {
        let expected = self.sent.apply(&writes, None);
        let client = &self.client;
        let answer = match &writes[..] {
            [Write::Create { path, data, mode }] => Answer::Create(client.submit_create(
                path,
                Some(data),
                ids::open_acl_unsafe(),
                *mode,
            )),
            [Write::Set { path, data, version }] => {
                Answer::Set(client.submit_set_data(path, Some(data), *version))
            }
            [Write::Delete { path, version }] => {
                Answer::Delete(client.submit_delete(path, *version))
            }
            several => {
                let ops = several.iter().map(Write::op).collect();
                Answer::Multi(client.submit_multi(ops).expect("only writes"))
            }
        };
        self.in_flight.push_back(InFlight { writes, expected, answer });
    }

    /// Waits for the oldest outstanding answer. Returns the writes if the connection is lost.
    fn take_answer(&mut self) -> Result<(), (Vec<Write>, ClientError)> {
        let InFlight { writes, expected, answer } = self.in_flight.pop_front().expect("one");
        let (outcomes, zxid) = match answer.wait() {
            Ok(answered) => answered,
            Err(error) => return Err((writes, error)),
        };
        assert_eq!(outcomes, expected, "{writes:?}");
        if let Some(zxid) = zxid {
            assert!(zxid > self.last_zxid, "{zxid} after {}: {writes:?}", self.last_zxid);
            self.last_zxid = zxid;
        }
        let applied = self.acknowledged.apply(&writes, zxid);
        assert_eq!(applied, outcomes, "{writes:?}");
        self.acknowledgements += 1;
        Ok(())
    }

    fn create(&self, name: &str, mode: CreateMode, data: Vec<u8>) -> Write {
        Write::Create { path: format!("{}{name}", self.root), data, mode }
    }

    /// Data that differ every time.
    fn data(&mut self) -> Vec<u8> {
        self.count += 1;
        let mut data = format!("{} of {}", self.count, self.root).into_bytes();
        let longest = if self.random.one_in(50) { 30_000 } else { self.usual_bytes };
        let len = self.random.below(longest).max(data.len());
        data.resize(len, b'.');
        data
    }

    /// A path whose node may or may not exist, and the version of the node.
    fn some_node(&mut self) -> (String, i32) {
        let paths = self.sent.paths("/n");
        let path = if paths.is_empty() {
            format!("{}/n0", self.root)
        } else {
            (*self.random.pick(&paths)).clone()
        };
        let version = self.sent.version(&path);
        (path, version)
    }

    fn set(&mut self, name: &str, data: &[u8]) -> Write {
        let path = format!("{}{name}", self.root);
        let version = if self.random.one_in(3) { -1 } else { self.sent.version(&path) };
        Write::Set { path, data: data.to_vec(), version }
    }

    /// The next request: a single write, or a multi.
    fn invent(&mut self) -> Vec<Write> {
        if self.sent.len() > MANY_NODES {
            let parts = ["/seq/", "/n"];
            let some = self.sent.paths(parts[self.random.below(2)]);
            if !some.is_empty() {
                let path = (*self.random.pick(&some)).clone();
                return vec![Write::Delete { path, version: -1 }];
            }
        }
        let data = self.data();
        let name = format!("/n{}", self.count);
        match self.random.below(20) {
            0..4 => vec![self.create(&name, CreateMode::Persistent, data)],
            4..6 => vec![self.create(&name, CreateMode::Ephemeral, data)],
            6..8 => vec![self.create("/seq/s-", CreateMode::PersistentSequential, data)],
            8 => vec![self.create("/seq/e-", CreateMode::EphemeralSequential, data)],
            9..13 => {
                let (path, version) = self.some_node();
                vec![Write::Set { path, data, version }]
            }
            13 => {
                let (path, version) = self.some_node();
                vec![Write::Set { path, data, version: version + 7 }]
            }
            14 => {
                let (path, version) = self.some_node();
                vec![Write::Delete { path, version }]
            }
            part => self.invent_multi(part, &name, data),
        }
    }

    fn invent_multi(&mut self, part: usize, name: &str, data: Vec<u8>) -> Vec<Write> {
        match part {
            15 | 16 => ["/one", "/two", "/three"].map(|name| self.set(name, &data)).to_vec(),
            17 => {
                let path = format!("{}{name}", self.root);
                let set = Write::Set { path, data: data.clone(), version: 0 };
                let child = self.create(&format!("{name}/c"), CreateMode::Ephemeral, data);
                vec![self.create(name, CreateMode::Persistent, Vec::new()), set, child]
            }
            18 => (0..3)
                .map(|_| self.create("/seq/m-", CreateMode::PersistentSequential, data.clone()))
                .collect(),
            // The last part fails, so the multi changes nothing.
            _ => {
                let (one, two) = (self.set("/one", &data), self.set("/two", &data));
                let path = format!("{}/three", self.root);
                vec![one, two, Write::Check { version: self.sent.version(&path) + 1, path }]
            }
        }
    }
}
