//! One of our members follows a leader that the test scripts. Tests check what the member has on disk and what it
//! sends at every step.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(unreachable_pub, reason = "a module of several test crates")]
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::fs;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, bounded};
use zookeeper_server::ids::{PeerEpoch, SessionId, Sid, Zxid};
use zookeeper_server::internals::audit::zk_audit_provider::ZKAuditProvider;
use zookeeper_server::internals::common::time::SystemClock;
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::jute::{Limits, Record};
use zookeeper_server::internals::metrics::impls::default_metrics_provider::DefaultMetricsProvider;
use zookeeper_server::internals::server::admin::dummy_admin_server::DummyAdminServer;
use zookeeper_server::internals::server::auth::provider_registry::ProviderRegistry;
use zookeeper_server::internals::server::authentication_helper::AuthenticationHelper;
use zookeeper_server::internals::server::command::command_executor::CommandExecutor;
use zookeeper_server::internals::server::command::four_letter_commands::FourLetterCommands;
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::nio_server_cnxn_factory::{
    CnxnFactoryConfig, NIOServerCnxnFactory,
};
use zookeeper_server::internals::server::persistence::file_txn_snap_log::{
    FileTxnSnapLog, FileTxnSnapLogConfig,
};
use zookeeper_server::internals::server::quorum::flexible::create_quorum_verifier::from_members;
use zookeeper_server::internals::server::quorum::follower::Follower;
use zookeeper_server::internals::server::quorum::learner::LearnerError;
use zookeeper_server::internals::server::quorum::learner_info::Greeting;
use zookeeper_server::internals::server::quorum::observer::Observer;
use zookeeper_server::internals::server::quorum::quorum_packet::{
    PacketType, QuorumPacket, read_packet,
};
use zookeeper_server::internals::server::quorum::quorum_peer::{QuorumPeer, QuorumPeerParts};
use zookeeper_server::internals::server::quorum::quorum_peer_config::QuorumPeerConfig;
use zookeeper_server::internals::server::quorum::quorum_peer_settings::QuorumPeerSettings;
use zookeeper_server::internals::server::quorum::states::LearnerType;
use zookeeper_server::internals::server::quorum::vote::Vote;
use zookeeper_server::internals::server::server_cnxn_factory::ServerCnxnFactory;
use zookeeper_server::internals::server::server_metrics::ServerMetrics;
use zookeeper_server::internals::server::server_settings::ServerSettings;
use zookeeper_server::internals::server::server_stats::ServerStats;
use zookeeper_server::internals::server::zk_database::{DatabaseReports, ZKDatabase};
use zookeeper_server::internals::server::zookeeper_thread;
use zookeeper_server::internals::txn::{CreateTxn, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

use crate::common::{DEADLINE, TempDir, free_port};

/// The session of all scripted transactions.
pub const SESSION: SessionId = SessionId(0x1_0000_0001);

/// The path of the node that a transaction creates.
pub fn path_of(zxid: Zxid) -> String {
    format!("/n{}-{}", zxid.epoch(), zxid.counter())
}

/// A transaction that creates a node, as it stands in a log and in proposals.
pub fn txn_bytes(zxid: Zxid) -> (TxnHeader, Vec<u8>) {
    let header =
        TxnHeader { client_id: SESSION, cxid: 1, zxid, time: 1, r#type: OpCode::Create.code() };
    let txn = CreateTxn {
        path: path_of(zxid),
        data: Some(vec![1]),
        acl: ids::open_acl_unsafe(),
        ephemeral: false,
        parent_c_version: i32::try_from(zxid.counter()).unwrap(),
    };
    let bytes = [header.to_bytes(), txn.to_bytes()].concat();
    (header, bytes)
}

/// The role in which a member follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    Follower,
    Observer,
}

/// The running learner.
pub enum Role {
    Follower(Arc<Follower>),
    Observer(Arc<Observer>),
}

impl Role {
    pub fn shutdown(&self) {
        match self {
            Self::Follower(follower) => follower.shutdown(),
            Self::Observer(observer) => observer.shutdown(),
        }
    }
}

/// A member with only the parts that a learner needs. The test decides the elections.
pub struct Member {
    pub dir: Arc<TempDir>,
    pub peer: Arc<QuorumPeer>,
    pub client_port: u16,
    listener: TcpListener,
    factory: Arc<NIOServerCnxnFactory>,
    exits: Receiver<ExitCode>,
    role: Option<Arc<Role>>,
    thread: Option<JoinHandle<()>>,
    ended: Option<Receiver<Result<(), LearnerError>>>,
}

impl Member {
    /// A member whose log has these transactions, and whose epochs are that of the last transaction.
    pub fn new(history: &[Zxid]) -> Self {
        Self::over(Arc::new(TempDir::new("learner")), history)
    }

    /// The same, with a leader in a new epoch to which the member has already sent its last zxid.
    pub fn following(history: &[Zxid], epoch: i64) -> (Self, Connection) {
        let mut member = Self::new(history);
        let leader = member.follow_in_epoch(As::Follower, epoch);
        (member, leader)
    }

    /// A member with the data in this directory, and more transactions.
    pub fn over(dir: Arc<TempDir>, history: &[Zxid]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let leader_port = listener.local_addr().unwrap().port();
        let servers = format!(
            "server.1=127.0.0.1:{leader_port}:1\nserver.2=127.0.0.1:2:3\nserver.3=127.0.0.1:4:5"
        );
        Self::of(dir, &servers, listener, history)
    }

    /// The same as `new`, with more lines in the configuration.
    pub fn configured(lines: &str, history: &[Zxid]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let servers = format!(
            "server.1=127.0.0.1:{port}:1\nserver.2=127.0.0.1:2:3\nserver.3=127.0.0.1:4:5\n{lines}"
        );
        Self::of(Arc::new(TempDir::new("learner")), &servers, listener, history)
    }

    /// A member without which its leader and a server with a smaller id are a quorum.
    pub fn spare(history: &[Zxid]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let servers =
            format!("server.0=127.0.0.1:2:3\nserver.1=127.0.0.1:{port}:1\nserver.2=127.0.0.1:4:5");
        Self::of(Arc::new(TempDir::new("learner")), &servers, listener, history)
    }

    /// Server 2 of an ensemble with other servers. It has voted for that leader.
    pub fn among(dir: Arc<TempDir>, servers: &str, leader: Sid) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let member = Self::of(dir, servers, listener, &[]);
        member.elect(leader);
        member
    }

    fn of(dir: Arc<TempDir>, servers: &str, listener: TcpListener, history: &[Zxid]) -> Self {
        let client_port = free_port();
        let data_dir = dir.path().join("data");
        fs::create_dir_all(&data_dir).unwrap();
        fs::write(data_dir.join("myid"), "2").unwrap();
        let config = format!(
            "dataDir={}\ntickTime=1000\ninitLimit=60\nsyncLimit=60\nclientPort={client_port}\n\
             {servers}\n",
            data_dir.display()
        );
        let file = dir.path().join("zoo.cfg");
        fs::write(&file, config).unwrap();
        let mut properties = SystemProperties::new();
        let config = QuorumPeerConfig::parse(&file, &mut properties).unwrap();
        let (sender, exits) = bounded(8);
        let (peer, factory) = new_peer(&config, properties, client_port, sender);
        peer.load_data_base().unwrap();
        for zxid in history {
            let (header, bytes) = txn_bytes(*zxid);
            peer.database().snap_log().append(&header, &bytes).unwrap();
        }
        if let Some(last) = history.last() {
            peer.database().fast_forward_data_base().unwrap();
            peer.set_accepted_epoch(last.peer_epoch()).unwrap();
            peer.set_current_epoch(last.peer_epoch()).unwrap();
        }
        let member = Self {
            dir,
            peer,
            client_port,
            listener,
            factory,
            exits,
            role: None,
            thread: None,
            ended: None,
        };
        member.elect(Sid(1));
        member
    }

    /// Ends the member after its leader has gone, and starts a new member on the same disk.
    #[must_use]
    pub fn restarted_after(mut self, leader: Connection) -> Self {
        drop(leader);
        self.ended();
        let dir = Arc::clone(&self.dir);
        drop(self);
        Self::over(dir, &[])
    }

    /// Makes the member vote for that server.
    pub fn elect(&self, leader: Sid) {
        self.peer.set_current_vote(Vote::new(leader, Zxid::ZERO, PeerEpoch(0)));
    }

    /// Lets the member follow. Returns the leader's end of the connection.
    pub fn follow(&mut self, what: As) -> Connection {
        self.start(what);
        Connection::new(self.listener.accept().unwrap().0)
    }

    /// Lets the member follow the server for which it votes.
    pub fn start(&mut self, what: As) {
        let (sender, ended) = bounded(1);
        let role = Arc::new(match what {
            As::Follower => Role::Follower(Follower::new(&self.peer)),
            As::Observer => Role::Observer(Observer::new(&self.peer)),
        });
        let of_thread = Arc::clone(&role);
        let thread = zookeeper_thread::spawn("QuorumPeer-test", None, move || {
            let result = match &*of_thread {
                Role::Follower(follower) => follower.follow_leader(),
                Role::Observer(observer) => observer.observe_leader(),
            };
            of_thread.shutdown();
            sender.send(result)
        });
        self.thread = Some(thread.unwrap());
        self.ended = Some(ended);
        self.role = Some(role);
    }

    /// Lets the member follow, and plays the leader up to the point where a leader looks at the learner's history.
    pub fn follow_in_epoch(&mut self, what: As, epoch: i64) -> Connection {
        let mut leader = self.follow(what);
        let hello =
            if what == As::Follower { PacketType::FollowerInfo } else { PacketType::ObserverInfo };
        let packet = leader.expect(hello);
        let greeting = Greeting::read(packet.data.as_deref()).unwrap();
        assert_eq!((greeting.sid, greeting.protocol_version), (Some(Sid(2)), 0x10000));
        let version = Some(0x10000_i32.to_be_bytes().to_vec());
        let epoch = Zxid::start_of(PeerEpoch(epoch));
        leader.send(&QuorumPacket::new(PacketType::LeaderInfo, epoch, version));
        let last = leader.expect(PacketType::AckEpoch).zxid;
        assert_eq!(last, self.peer.database().last_processed_zxid());
        leader
    }

    /// Waits until the running role ends. Returns the reason. By then, nothing of the role is left.
    pub fn ended(&mut self) -> LearnerError {
        let result = self.ended.take().unwrap().recv_timeout(DEADLINE);
        zookeeper_thread::join(self.thread.take().unwrap());
        self.role = None;
        result.expect("the learner ends in time").expect_err("it never ends well")
    }

    /// The running role.
    pub fn role(&self) -> Arc<Role> {
        Arc::clone(self.role.as_ref().unwrap())
    }

    /// The code with which the process was to exit.
    pub fn exit_code(&self) -> Option<ExitCode> {
        self.exits.try_recv().ok()
    }

    /// The same, but waits until there is one.
    #[track_caller]
    pub fn wait_exit_code(&self) -> ExitCode {
        self.exits.recv_timeout(DEADLINE).expect("the process is to end")
    }

    /// The transactions that a reader finds in the member's log on disk now.
    pub fn log_on_disk(&self) -> Vec<Zxid> {
        let dir = self.dir.path().join("data");
        let mut config = FileTxnSnapLogConfig::from_properties(&SystemProperties::new());
        config.datadir_autocreate = false;
        let reports = Arc::new(());
        let snap_log = FileTxnSnapLog::new(&dir, &dir, config, reports).unwrap();
        let mut iterator = snap_log.read_txn_log(Zxid::ZERO, false).unwrap();
        let mut zxids = Vec::new();
        while let Some(header) = iterator.header() {
            zxids.push(header.zxid);
            iterator.advance().unwrap();
        }
        zxids
    }

    /// The snapshots on the member's disk, newest first.
    pub fn snapshots_on_disk(&self) -> Vec<Zxid> {
        let found = self.peer.database().snap_log().find_n_valid_snapshots(9).unwrap();
        found.into_iter().map(|file| file.zxid).collect()
    }

    /// The content of `currentEpoch` on disk.
    pub fn epoch_on_disk(&self) -> String {
        fs::read_to_string(self.dir.path().join("data/version-2/currentEpoch")).unwrap()
    }

    /// Whether the tree has the node of that transaction.
    pub fn has(&self, zxid: Zxid) -> bool {
        self.peer.database().tree().read().node(&path_of(zxid)).is_some()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(role) = self.role.take() {
            role.shutdown();
        }
        if let Some(thread) = self.thread.take() {
            zookeeper_thread::join(thread);
        }
        self.factory.shutdown();
    }
}

fn new_peer(
    config: &QuorumPeerConfig,
    properties: SystemProperties,
    client_port: u16,
    stop: crossbeam::channel::Sender<ExitCode>,
) -> (Arc<QuorumPeer>, Arc<NIOServerCnxnFactory>) {
    let clock = SystemClock::shared();
    let metrics = Arc::new(ServerMetrics::new(Arc::new(DefaultMetricsProvider::default())));
    let stats = Arc::new(ServerStats::new(Arc::clone(&metrics), Arc::clone(&clock)));
    let audit = Arc::new(ZKAuditProvider::from_properties(&properties).unwrap());
    let providers = Arc::new(ProviderRegistry::from_properties(&properties, &clock).unwrap());
    let server_settings = ServerSettings::new(&config.server_config(), &properties);
    let reports = DatabaseReports {
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        stats: Arc::clone(&stats),
        audit: Arc::clone(&audit),
    };
    let (log_dir, dir) = (&config.data_dir, &config.data_dir);
    let database = ZKDatabase::open(log_dir, dir, &properties, &server_settings, &reports);
    let database = database.unwrap().with_committed_log(&properties);
    let address = (Ipv4Addr::LOCALHOST, client_port).into();
    let factory = NIOServerCnxnFactory::new(
        CnxnFactoryConfig::new(address, 0, -1, &properties),
        CommandExecutor::new(FourLetterCommands::from_properties(&properties)),
        Arc::clone(&clock),
    )
    .unwrap();
    let peer = QuorumPeer::new(QuorumPeerParts {
        my_id: Sid(2),
        settings: QuorumPeerSettings::new(config, &properties),
        server_settings,
        authentication: AuthenticationHelper::from_properties(&properties, &providers).unwrap(),
        properties,
        clock,
        database: Arc::new(database),
        stats,
        metrics,
        audit,
        providers,
        cnxn_factory: Some(Arc::clone(&factory)),
        admin_server: Arc::new(DummyAdminServer),
        learner_type: LearnerType::Participant,
        verifier: from_members(config.quorum_members.clone(), None),
        last_seen_verifier: None,
        stop,
    });
    factory.start(&peer.listener()).unwrap();
    (peer, factory)
}

/// The leader's end of a connection.
pub struct Connection {
    pub stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input }
    }

    pub fn send(&mut self, packet: &QuorumPacket) {
        self.send_all(std::slice::from_ref(packet));
    }

    /// Sends packets in one write.
    pub fn send_all(&mut self, packets: &[QuorumPacket]) {
        let bytes: Vec<u8> = packets.iter().flat_map(Record::to_bytes).collect();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The learner's next packet, if there is one.
    pub fn receive(&mut self) -> Option<QuorumPacket> {
        read_packet(&mut self.input, Limits::default()).ok()
    }

    /// The learner's next packet, which must be of that type.
    #[track_caller]
    pub fn expect(&mut self, packet_type: PacketType) -> QuorumPacket {
        let packet = self.receive().expect("a packet");
        assert_eq!(packet.packet_type(), Some(packet_type), "{packet:?}");
        packet
    }

    /// Receives the next packet, which must acknowledge that zxid.
    #[track_caller]
    pub fn expect_ack(&mut self, zxid: Zxid) {
        assert_eq!(self.expect(PacketType::Ack).zxid, zxid);
    }

    /// Waits for the end of the connection. The learner must not send another packet.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.receive(), None);
    }

    /// Leads the learner from NEWLEADER to where it serves. No other packets come between.
    #[track_caller]
    pub fn let_serve(&mut self, epoch: i64) {
        let start = Zxid::start_of(PeerEpoch(epoch));
        self.send(&new_leader(epoch));
        self.expect_ack(start);
        self.send(&up_to_date());
        self.expect_ack(start);
        // The learner acknowledges before it has started. It answers a PING after that.
        self.send(&bare(PacketType::Ping, start));
        self.expect(PacketType::Ping);
    }
}

pub fn bare(packet_type: PacketType, zxid: Zxid) -> QuorumPacket {
    QuorumPacket::new(packet_type, zxid, None)
}

pub fn proposal(zxid: Zxid) -> QuorumPacket {
    QuorumPacket::new(PacketType::Proposal, zxid, Some(txn_bytes(zxid).1))
}

pub fn inform(zxid: Zxid) -> QuorumPacket {
    QuorumPacket::new(PacketType::Inform, zxid, Some(txn_bytes(zxid).1))
}

pub fn commit(zxid: Zxid) -> QuorumPacket {
    bare(PacketType::Commit, zxid)
}

pub fn new_leader(epoch: i64) -> QuorumPacket {
    bare(PacketType::NewLeader, Zxid::start_of(PeerEpoch(epoch)))
}

pub fn up_to_date() -> QuorumPacket {
    bare(PacketType::UpToDate, Zxid::NONE)
}
