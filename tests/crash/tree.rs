//! Computes what a writer's nodes must be, independently of the server (no Java twin).

#![allow(dead_code, unreachable_pub, reason = "a module of a test crate")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::collections::BTreeMap;

use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::Stat;
use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::ids;

/// One write, alone or as part of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Create { path: String, data: Vec<u8>, mode: CreateMode },
    Set { path: String, data: Vec<u8>, version: i32 },
    Delete { path: String, version: i32 },
    Check { path: String, version: i32 },
}

impl Write {
    /// The write as part of a multi.
    pub fn op(&self) -> Op {
        match self.clone() {
            Self::Create { path, data, mode } => {
                Op::create(path, Some(data), ids::open_acl_unsafe(), mode)
            }
            Self::Set { path, data, version } => Op::set_data(path, Some(data), version),
            Self::Delete { path, version } => Op::delete(path, version),
            Self::Check { path, version } => Op::check(path, version),
        }
    }
}

/// The server's answer to one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The path of the new node.
    Created(String),
    /// The version of the data.
    Set(i32),
    Deleted,
    Checked,
}

/// A node as its writer knows it. The zxid of a transaction that was never answered is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    data: Vec<u8>,
    version: i32,
    /// How many children were ever created, which is the next sequence number.
    creates: i32,
    children: i32,
    ephemeral: bool,
    czxid: Option<Zxid>,
    mzxid: Option<Zxid>,
    pzxid: Option<Zxid>,
}

/// A node as the server shows it.
pub type Shown = BTreeMap<String, (Vec<u8>, Stat)>;

/// The nodes of one writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The version of a node's data; -1 if there is no such node.
    pub fn version(&self, path: &str) -> i32 {
        self.nodes.get(path).map_or(-1, |node| node.version)
    }

    /// The paths that contain this text.
    pub fn paths(&self, with: &str) -> Vec<&String> {
        self.nodes.keys().filter(|path| path.contains(with)).collect()
    }

    /// Applies all the writes, or none if one fails.
    pub fn apply(
        &mut self,
        writes: &[Write],
        zxid: Option<Zxid>,
    ) -> Result<Vec<Outcome>, KeeperError> {
        if let [write] = writes {
            return Ok(vec![self.apply_one(write, zxid)?]);
        }
        let mut after = self.clone();
        let outcomes: Result<Vec<_>, _> =
            writes.iter().map(|write| after.apply_one(write, zxid)).collect();
        if outcomes.is_ok() {
            *self = after;
        }
        outcomes
    }

    fn apply_one(&mut self, write: &Write, zxid: Option<Zxid>) -> Result<Outcome, KeeperError> {
        match write {
            Write::Create { path, data, mode } => {
                let name = self.create(path, data, *mode, zxid)?;
                Ok(Outcome::Created(name))
            }
            Write::Set { path, data, version } => {
                let node = self.of_version(path, *version)?;
                node.data.clone_from(data);
                node.version += 1;
                node.mzxid = zxid;
                Ok(Outcome::Set(node.version))
            }
            Write::Delete { path, version } => {
                if self.of_version(path, *version)?.children > 0 {
                    return Err(KeeperError::NotEmpty);
                }
                self.nodes.remove(path);
                if let Some(parent) = self.nodes.get_mut(parent_of(path)) {
                    parent.children -= 1;
                    parent.pzxid = zxid;
                }
                Ok(Outcome::Deleted)
            }
            Write::Check { path, version } => {
                self.of_version(path, *version).map(|_| Outcome::Checked)
            }
        }
    }

    fn create(
        &mut self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
        zxid: Option<Zxid>,
    ) -> Result<String, KeeperError> {
        let is_sequential =
            matches!(mode, CreateMode::PersistentSequential | CreateMode::EphemeralSequential);
        let ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        let number = self.nodes.get(parent_of(path)).map_or(0, |parent| parent.creates);
        let path = if is_sequential { format!("{path}{number:010}") } else { path.to_owned() };
        if self.nodes.contains_key(&path) {
            return Err(KeeperError::NodeExists);
        }
        if let Some(parent) = self.nodes.get_mut(parent_of(&path)) {
            parent.creates += 1;
            parent.children += 1;
            parent.pzxid = zxid;
        }
        let node = Node {
            data: data.to_vec(),
            version: 0,
            creates: 0,
            children: 0,
            ephemeral,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
        };
        self.nodes.insert(path.clone(), node);
        Ok(path)
    }

    fn of_version(&mut self, path: &str, version: i32) -> Result<&mut Node, KeeperError> {
        let node = self.nodes.get_mut(path).ok_or(KeeperError::NoNode)?;
        if version != -1 && version != node.version {
            return Err(KeeperError::BadVersion);
        }
        Ok(node)
    }

    /// The first difference from the server's nodes; `None` if there is none.
    pub fn difference(&self, shown: &Shown, session: SessionId) -> Option<String> {
        if let Some(path) = self.nodes.keys().find(|path| !shown.contains_key(*path)) {
            return Some(format!("{path} is missing"));
        }
        if let Some(path) = shown.keys().find(|path| !self.nodes.contains_key(*path)) {
            return Some(format!("{path} is there"));
        }
        self.nodes.iter().find_map(|(path, node)| {
            let (data, stat) = &shown[path];
            node.difference(data, stat, session).map(|what| format!("{path}: {what}"))
        })
    }

    /// Takes the zxids from the server's nodes, because those of unanswered writes are unknown.
    pub fn learn(&mut self, shown: &Shown) {
        for (path, node) in &mut self.nodes {
            let stat = &shown[path].1;
            node.czxid = Some(stat.czxid);
            node.mzxid = Some(stat.mzxid);
            node.pzxid = Some(stat.pzxid);
        }
    }
}

impl Node {
    fn difference(&self, data: &[u8], stat: &Stat, session: SessionId) -> Option<String> {
        let owner = if self.ephemeral { session.0 } else { 0 };
        let numbers = [
            ("version", self.version.into(), stat.version.into()),
            ("cversion", i64::from(self.creates * 2 - self.children), stat.cversion.into()),
            ("children", self.children.into(), stat.num_children.into()),
            ("aversion", 0, stat.aversion.into()),
            ("owner", owner, stat.ephemeral_owner),
        ];
        let zxids = [
            ("czxid", self.czxid, stat.czxid),
            ("mzxid", self.mzxid, stat.mzxid),
            ("pzxid", self.pzxid, stat.pzxid),
        ];
        if self.data != data {
            let (wanted, found) = (start_of(&self.data), start_of(data));
            return Some(format!("data are {found}, not {wanted}"));
        }
        let numbers = numbers.into_iter().find(|(_, wanted, found)| wanted != found);
        let zxids = zxids.into_iter().find_map(|(name, wanted, found)| {
            wanted.filter(|wanted| *wanted != found).map(|wanted| (name, wanted.0, found.0))
        });
        numbers
            .or(zxids)
            .map(|(name, wanted, found)| format!("{name} is {found:#x}, not {wanted:#x}"))
    }
}

fn start_of(data: &[u8]) -> String {
    let start = String::from_utf8_lossy(&data[..data.len().min(20)]);
    format!("{} bytes {start:?}", data.len())
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
