//! An ensemble whose members come, go and move while it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use zookeeper_server::data::Stat;
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::zookeeper::ZooKeeper;

use crate::common::{
    Client, DEADLINE, Program, Server, ServerBuilder, client_config, free_port, wait_for,
    wait_until,
};
use crate::ensemble::Mode;

/// One member.
pub struct Peer {
    pub sid: i64,
    pub server: Server,
    pub quorum: u16,
    pub election: u16,
    pub client: u16,
    /// Whether its process runs.
    pub up: bool,
}

impl Peer {
    /// `server.N=...`, as a participant or an observer.
    pub fn line(&self, role: &str) -> String {
        let Self { sid, quorum, election, client, .. } = self;
        format!("server.{sid}=127.0.0.1:{quorum}:{election}:{role};127.0.0.1:{client}")
    }

    pub fn mode(&self) -> Option<Mode> {
        let answer = self.server.four_letter_word("srvr")?;
        match answer.lines().find_map(|line| line.strip_prefix("Mode: "))? {
            "leader" => Some(Mode::Leader),
            "follower" => Some(Mode::Follower),
            "observer" => Some(Mode::Observer),
            other => panic!("a member is {other}"),
        }
    }

    #[track_caller]
    pub fn wait_mode(&self, mode: Mode) {
        let what = format!("server {} is a {mode:?}", self.sid);
        wait_until(&what, DEADLINE, || self.mode() == Some(mode));
    }

    pub fn start(&mut self) {
        self.server.spawn();
        self.up = true;
    }

    /// The AdminServer's answer to a command.
    #[track_caller]
    pub fn admin(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.admin_port())).unwrap();
        write!(stream, "GET /commands/{command} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn kill9(&mut self) {
        self.server.kill9();
        self.up = false;
    }

    pub fn file(&self, suffix: &str) -> Option<String> {
        fs::read_to_string(self.server.dir().join(format!("zoo.cfg{suffix}"))).ok()
    }

    /// The configuration in its tree.
    pub fn config(&self) -> Option<String> {
        let (client, _events) = ZooKeeper::connect(&self.server.address(), client_config()).ok()?;
        let (data, _) = client.get_data("/zookeeper/config", false).ok()?;
        client.close();
        String::from_utf8(data?).ok()
    }
}

/// All members that were ever there. Indexes count from 0, server ids from 1.
pub struct Site {
    pub peers: Vec<Peer>,
    lines: Vec<String>,
}

impl Site {
    /// Starts `voters` members that know each other from the start, with these lines in their zoo.cfg.
    #[track_caller]
    pub fn start(voters: usize, lines: &[&str]) -> Self {
        Self::start_of(&vec![Program::Ours; voters], lines)
    }

    /// The same with a program for each member.
    #[track_caller]
    pub fn start_of(programs: &[Program], lines: &[&str]) -> Self {
        let mut site = Self::prepared(programs, lines);
        site.peers.iter_mut().for_each(Peer::start);
        site.wait_serving();
        site
    }

    /// The same, but none of them is started yet.
    pub fn prepared(programs: &[Program], lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let mut site = Self { peers: Vec::new(), lines };
        let ports: Vec<_> = programs.iter().map(|_| [(); 3].map(|()| free_port())).collect();
        let known: Vec<String> = (1..)
            .zip(&ports)
            .map(|(sid, [quorum, election, _])| {
                format!("server.{sid}=127.0.0.1:{quorum}:{election}")
            })
            .collect();
        for (program, ports) in programs.iter().zip(ports) {
            site.prepare(*program, ports, &known);
        }
        site
    }

    fn prepare(&mut self, program: Program, ports: [u16; 3], known: &[String]) {
        let [quorum, election, client] = ports;
        let sid = i64::try_from(self.peers.len()).unwrap() + 1;
        let mut builder = ServerBuilder::new()
            .program(program)
            .admin_server()
            .config("tickTime=1000")
            .config("initLimit=30")
            .config("syncLimit=40")
            .config("reconfigEnabled=true")
            .config("standaloneEnabled=false")
            .config("maxClientCnxns=0")
            .config(&format!("clientPort={client}"));
        for line in self.lines.iter().chain(known) {
            builder = builder.config(line);
        }
        let mut server = builder.prepare();
        server.set_client_port(client);
        fs::write(server.dir().join("data/myid"), format!("{sid}\n")).unwrap();
        self.peers.push(Peer { sid, server, quorum, election, client, up: false });
    }

    /// Starts a server that knows `known` and itself, in that role. It is not a member yet. Returns its index.
    #[track_caller]
    pub fn come(&mut self, known: &[usize], role: &str) -> usize {
        let ports = [(); 3].map(|()| free_port());
        let mut lines: Vec<String> =
            known.iter().map(|at| self.peers[*at].line("participant")).collect();
        lines.iter_mut().for_each(|line| line.truncate(line.find(';').unwrap()));
        let sid = self.peers.len() + 1;
        lines.push(format!("server.{sid}=127.0.0.1:{}:{}:{role}", ports[0], ports[1]));
        if role == "observer" {
            lines.push("peerType=observer".to_owned());
        }
        self.prepare(Program::Ours, ports, &lines);
        let at = self.peers.len() - 1;
        self.peers[at].start();
        let what = format!("server {sid} serves");
        wait_until(&what, DEADLINE, || self.peers[at].server.serves());
        at
    }

    #[track_caller]
    pub fn wait_serving(&self) {
        for peer in self.peers.iter().filter(|peer| peer.up) {
            let what = format!("server {} serves", peer.sid);
            wait_until(&what, DEADLINE, || peer.server.serves());
        }
        self.leader();
    }

    /// The index of the leader.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let leader = wait_for(DEADLINE, || {
            let mut up = self.peers.iter().filter(|peer| peer.up);
            let leader = up.find(|peer| peer.mode() == Some(Mode::Leader))?;
            Some(usize::try_from(leader.sid - 1).unwrap())
        });
        leader.expect("somebody leads")
    }

    /// The index of a running member that follows.
    #[track_caller]
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let mut others = (0..self.peers.len()).filter(|at| *at != leader && self.peers[*at].up);
        others.find(|at| self.peers[*at].mode() == Some(Mode::Follower)).expect("a follower")
    }

    /// Asks a member for a change. Returns the new configuration.
    pub fn ask(
        &self,
        at: usize,
        joining: &str,
        leaving: &str,
        from: i64,
    ) -> Result<(String, Stat), KeeperError> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ask(&self.peers[at], given(joining), given(leaving), None, from)
    }

    /// The same with a list of all members.
    pub fn ask_for(&self, at: usize, members: &str) -> Result<(String, Stat), KeeperError> {
        ask(&self.peers[at], None, None, Some(members.to_owned()), -1)
    }

    /// Changes the ensemble through its leader, which stays. Returns the new configuration.
    #[track_caller]
    pub fn change(&self, joining: &str, leaving: &str) -> String {
        let changed = self.ask(self.leader(), joining, leaving, -1);
        changed.unwrap_or_else(|error| panic!("+{joining} -{leaving}: {error}")).0
    }

    /// Waits until these members, and nobody else, are in the configuration that each of them has, in the tree and on
    /// disk, and until nothing is pending.
    #[track_caller]
    pub fn all_have(&self, config: &str) {
        let version = version_of(config);
        for peer in self.peers.iter().filter(|peer| peer.up) {
            let mut shown = None;
            let has = wait_for(DEADLINE, || {
                shown = peer.config();
                (lines_of(shown.as_deref()?) == lines_of(config)).then_some(())
            });
            assert!(has.is_some(), "server {} has {shown:?}, not {config}", peer.sid);
            let file = format!(".dynamic.{version}");
            let mut on_disk = None;
            let is_written = wait_for(DEADLINE, || {
                on_disk = peer.file(&file);
                let expected: BTreeSet<_> =
                    lines_of(config).into_iter().filter(|line| !line.starts_with("ver")).collect();
                let refers = peer.file("")?.contains(&format!("zoo.cfg{file}"));
                (refers && lines_of(on_disk.as_deref()?) == expected).then_some(())
            });
            assert!(is_written.is_some(), "server {} has written {on_disk:?}", peer.sid);
            let what = format!("server {} has nothing pending", peer.sid);
            wait_until(&what, DEADLINE, || peer.file(".dynamic.next").is_none());
        }
    }
}

fn ask(
    peer: &Peer,
    joining: Option<String>,
    leaving: Option<String>,
    members: Option<String>,
    from: i64,
) -> Result<(String, Stat), KeeperError> {
    let client = Client::connect(&peer.server.address(), client_config());
    let answer =
        client.reconfigure(joining.as_deref(), leaving.as_deref(), members.as_deref(), from);
    client.close();
    match answer {
        Ok((data, stat)) => Ok((String::from_utf8(data.unwrap_or_default()).unwrap(), stat)),
        Err(error) => Err(error.keeper_error().expect("an answer of the server or of the client")),
    }
}

pub fn lines_of(config: &str) -> BTreeSet<&str> {
    config.lines().collect()
}

pub fn version_of(config: &str) -> &str {
    config.lines().find_map(|line| line.strip_prefix("version=")).expect("a version")
}
