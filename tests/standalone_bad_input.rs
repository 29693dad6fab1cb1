//! Clients that send what no client sends, to a real server. The server goes on serving the others, and takes no more
//! memory, threads and files than before.
//!
//! The long test prints its seed. `cargo test --test standalone_bad_input -- --ignored million seed=N frames=N`
//! repeats it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown when it fails")]

#[path = "hostile/attack.rs"]
mod attack;
mod common;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/mutation.rs"]
mod mutation;
#[path = "hostile/process.rs"]
mod process;
#[path = "hostile/random.rs"]
mod random;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use attack::{Attack, Sent};
use common::{Client, DEADLINE, RawConnection, Server, ServerBuilder, wait_for, wait_until};
use mutation::framed;
use process::Taken;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::internals::delete_container_request::DeleteContainerRequest;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::multi_operation_record::MultiOperationRecord;
use zookeeper_server::internals::proto::{
    ConnectRequest, CreateTTLRequest, GetDataRequest, SetDataRequest,
};
use zookeeper_server::internals::txn::CreateSessionTxn;
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::{OpCode, ids, perms};

/// The digest of `super:secret`. This user may delete nodes whose ACLs the mutated requests have closed.
const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";

/// How many connections attack at the same time.
const ATTACKERS: u64 = 4;

const MIB: u64 = 1 << 20;

/// How much memory the unread answers of one connection may take, in MiB: the server's limit for one connection, and
/// some slack.
const UNREAD_LIMIT_MIB: u64 = 300;

/// How much more memory than before the server may have afterwards, in bytes, because its allocator has not given it
/// back.
const TOLERATED_GROWTH: u64 = 48 * MIB;

/// A server on which sessions can end soon.
fn server() -> Server {
    builder().start()
}

fn builder() -> ServerBuilder {
    ServerBuilder::new()
        .config("tickTime=100")
        .config("maxSessionTimeout=20000")
        .config("maxClientCnxns=0")
        .property("zookeeper.DigestAuthenticationProvider.superDigest", SUPER_DIGEST)
        .property("zookeeper.extendedTypesEnabled", "true")
        .property("zookeeper.forceSync", "no")
        .property("zookeeper.root.logger", "WARN,CONSOLE")
}

/// A client with its own node, which nobody else may change.
struct Witness {
    client: Client,
    version: i32,
}

impl Witness {
    const PATH: &str = "/witness";

    fn new(server: &Server) -> Self {
        let client = server.client();
        client.add_auth_info("digest", b"witness:secret").unwrap();
        let own = Id { scheme: "auth".into(), id: String::new() };
        let acl = vec![ACL { perms: perms::ALL, id: own }];
        client.create(Self::PATH, None, acl, CreateMode::Persistent).unwrap();
        Self { client, version: 0 }
    }

    /// Writes and reads its node, and checks that nobody else has changed it.
    #[track_caller]
    fn look(&mut self) {
        let data = self.version.to_be_bytes();
        let stat = self.client.set_data(Self::PATH, Some(&data), self.version).unwrap();
        self.version += 1;
        assert_eq!(stat.version, self.version);
        let (read, stat) = self.client.get_data(Self::PATH, true).unwrap();
        assert_eq!((read.as_deref(), stat.version), (Some(&data[..]), self.version));
    }
}

/// Sends frames from several connections at once until the server has received `frames` packets. The witness writes
/// meanwhile.
fn attack(server: &Server, witness: &mut Witness, seed: u64, frames: f64) -> Sent {
    let (attack, sent) = (Attack::new(server.client_port(), seed), Sent::default());
    let (attack, sent_so_far, enough) = (&attack, &sent, AtomicBool::new(false));
    let wanted = server.monitor("packets_received") + frames;
    thread::scope(|scope| {
        for part in 0..ATTACKERS {
            let enough = &enough;
            scope.spawn(move || attack.run(part, enough, sent_so_far));
        }
        // Also ends the attack when the witness panics.
        let _stop = StopAtEnd(&enough);
        while server.monitor("packets_received") < wanted {
            witness.look();
        }
    });
    sent
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Deletes everything that the attack has left. Only the system's own nodes and the witness remain.
fn clean(server: &Server) {
    let client = server.client();
    client.add_auth_info("digest", b"super:secret").unwrap();
    for (parent, kept) in [("/", ["zookeeper", "witness"]), ("/zookeeper", ["quota", "config"])] {
        for name in client.get_children(parent, false).unwrap() {
            if !kept.contains(&name.as_str()) {
                delete_below(&client, &format!("{}/{name}", parent.trim_end_matches('/')), true);
            }
        }
    }
    delete_below(&client, "/zookeeper/quota", false);
    client.close();
}

fn delete_below(client: &Client, path: &str, itself: bool) {
    let children = client.get_children(path, false).unwrap_or_default();
    for name in children {
        delete_below(client, &format!("{path}/{name}"), true);
    }
    if itself {
        match client.delete(path, -1) {
            Ok(()) => {}
            // The node was a container, or belonged to a session that has ended.
            Err(error) if error.keeper_error() == Some(KeeperError::NoNode) => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

/// Waits until all connections but the witness's are gone, with their watches.
#[track_caller]
fn wait_until_quiet(server: &Server) {
    wait_until("the attackers' connections are gone", common::DEADLINE, || {
        // The connections of the witness and of the four-letter word itself.
        server.monitor("num_alive_connections") <= 2.0
    });
    wait_until("their watches are gone", common::DEADLINE, || server.monitor("watch_count") <= 1.0);
}

/// Waits until all sessions but the witness's have ended, and have left nothing.
#[track_caller]
fn wait_until_sessions_end(server: &Server) {
    let ended =
        wait_for(common::DEADLINE, || (server.monitor("global_sessions") <= 1.0).then_some(()));
    assert!(ended.is_some(), "sessions are left: {:?}", server.four_letter_word("dump"));
    assert_eq!(server.monitor("ephemerals_count"), 0.0);
}

#[track_caller]
fn assert_no_panic(server: &Server) {
    let log = server.log();
    let panics: Vec<_> = log.lines().filter(|line| line.contains("panic")).collect();
    assert!(panics.is_empty(), "{} panics, the first: {}", panics.len(), panics[0]);
}

/// Attacks twice, and compares the server's resources after the first attack and at the end.
fn mutated_frames_disturb_nobody(seed: u64, frames: f64, until_sessions_end: bool) {
    let server = server();
    let mut witness = Witness::new(&server);
    let mut taken = Vec::new();
    for (part, frames) in (0..).zip([frames * 0.2, frames * 0.8]) {
        let sent = attack(&server, &mut witness, seed.wrapping_add(part), frames);
        wait_until_quiet(&server);
        if until_sessions_end {
            wait_until_sessions_end(&server);
        }
        clean(&server);
        taken.push(Taken::by(server.pid()));
        let received = server.monitor("packets_received");
        println!("{sent:?}, the server has received {received} and takes {:?}", taken.last());
    }
    let fresh = server.client();
    fresh.create("/fresh", None, ids::open_acl_unsafe(), CreateMode::Ephemeral).unwrap();
    fresh.close();
    witness.look();
    assert_no_panic(&server);
    let [first, mut last] = taken[..] else { panic!("{taken:?}") };
    let given_back = wait_for(common::DEADLINE, || {
        last = Taken::by(server.pid());
        // One or two may belong to a connection that is just ending.
        let is_as_before = last.resident_bytes < first.resident_bytes + TOLERATED_GROWTH
            && last.threads <= first.threads + 2
            && last.open_files <= first.open_files + 2;
        is_as_before.then_some(())
    });
    assert!(given_back.is_some(), "{taken:?}, and at last {last:?}");
}

#[test]
fn some_thousand_mutated_frames_disturb_nobody() {
    mutated_frames_disturb_nobody(random::seed("mutated frames", Some(1)), 5_000.0, false);
}

#[test]
#[ignore = "long: a million frames"]
fn a_million_mutated_frames_disturb_nobody() {
    let frames = random::argument("frames").map_or(1e6, |frames| frames as f64);
    mutated_frames_disturb_nobody(random::seed("a million mutated frames", Some(2)), frames, true);
}

#[test]
fn what_is_no_session_is_closed_without_an_answer_or_with_the_one_that_java_gives() {
    let server = server();
    let not_a_connect = GetDataRequest { path: "/".into(), watch: false }.to_bytes();
    for (name, bytes) in [
        ("a negative length", framed_as(-1, &[])),
        ("the smallest length", framed_as(i32::MIN, &[])),
        ("a length above jute.maxbuffer", framed_as(0x10_0000, &[])),
        ("the largest length", framed_as(i32::MAX, &[])),
        ("an empty frame", framed_as(0, &[])),
        ("a request before the session", framed_as(21, &not_a_connect)),
        (
            "a password longer than its frame",
            framed_as(28, &[vec![0; 24], vec![0, 0, 1, 0]].concat()),
        ),
    ] {
        let mut raw = server.raw();
        raw.send_bytes(&bytes);
        assert_eq!(raw.receive_frame(), None, "{name}");
    }
    // As in Java, the server answers an unknown operation and then closes the connection.
    let mut raw = server.raw();
    raw.new_session();
    raw.send_request(1, 999, &[]);
    let (header, _) = raw.receive_reply().unwrap();
    assert_eq!(header.err, KeeperError::Unimplemented.code());
    assert_eq!(raw.receive_frame(), None);
    // The server takes a second ConnectRequest for a request of type 0.
    let mut raw = server.raw();
    raw.new_session();
    raw.send_frame(
        &ConnectRequest { passwd: Some(vec![0; 16]), ..ConnectRequest::default() }.to_bytes(),
    );
    while raw.receive_frame().is_some() {}
    wait_until("it serves", DEADLINE, || server.serves());
    assert_no_panic(&server);
}

fn framed_as(len: i32, body: &[u8]) -> Vec<u8> {
    [&len.to_be_bytes()[..], body].concat()
}

#[test]
fn a_frame_may_come_byte_by_byte_and_many_at_once() {
    let server = server();
    let connect = framed(frames::connect(10_000));
    let request = |xid: i32| {
        let payload = GetDataRequest { path: "/zookeeper".into(), watch: false }.to_bytes();
        framed([&xid.to_be_bytes()[..], &OpCode::GetData.code().to_be_bytes(), &payload].concat())
    };
    let bytes = [connect, request(1), request(2)].concat();
    let mut slow = server.raw();
    for byte in &bytes {
        slow.send_bytes(&[*byte]);
    }
    let mut fast = server.raw();
    fast.send_bytes(&bytes);
    for raw in [&mut slow, &mut fast] {
        assert!(raw.receive_frame().is_some());
        for xid in [1, 2] {
            let (header, _) = raw.receive_reply().unwrap();
            assert_eq!((header.xid, header.err), (xid, 0));
        }
    }
}

#[test]
fn a_length_that_is_only_claimed_takes_no_memory() {
    const CONNECTIONS: u64 = 300;
    // The sessions send nothing more, so the first one must live until the last one has begun.
    const TIMEOUT_MS: i32 = 600_000;
    let server = builder().config(&format!("maxSessionTimeout={TIMEOUT_MS}")).start();
    let before = Taken::by(server.pid());
    let claims: Vec<RawConnection> = (0..CONNECTIONS)
        .map(|_| {
            let mut raw = server.raw();
            assert_eq!(raw.new_session_for(TIMEOUT_MS).time_out, TIMEOUT_MS);
            raw.send_bytes(&framed_as(0xf_ffff, &[1, 2, 3]));
            raw
        })
        .collect();
    wait_until("all are connected", common::DEADLINE, || {
        server.monitor("num_alive_connections") >= CONNECTIONS as f64
    });
    let after = Taken::by(server.pid());
    // A buffer for each announced frame would take 300 MiB. Only a thread and its buffers may remain for each
    // connection.
    let each = (after.resident_bytes - before.resident_bytes) / CONNECTIONS;
    println!("{each} bytes for each connection");
    assert!(each < MIB / 4, "{each} bytes each: {before:?} {after:?}");
    drop(claims);
}

#[test]
fn who_asks_and_does_not_read_waits_and_takes_no_memory_without_end() {
    const ANSWERS: i32 = 600;
    let server = server();
    let client = server.client();
    let large = vec![7; 1_000_000];
    client.create("/large", Some(&large), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let before = Taken::by(server.pid());
    let mut raw = server.raw();
    raw.new_session();
    let read = GetDataRequest { path: "/large".into(), watch: false };
    let received = server.monitor("packets_received");
    // Every answer is longer than what the server keeps for a client that does not read.
    (1..=ANSWERS).for_each(|xid| raw.send_request(xid, OpCode::GetData.code(), &read.to_bytes()));
    // By the end of these reads, the server has read all requests that it reads at once.
    for _ in 0..20 {
        client.get_data("/large", false).unwrap();
    }
    let (received, after) =
        (server.monitor("packets_received") - received, Taken::by(server.pid()));
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes) / MIB;
    println!("{received} packets were received; resident memory grew by {grown} MiB");
    assert!(grown < UNREAD_LIMIT_MIB, "{received} packets received, grown by {grown} MiB");
    // A client that reads at last gets all answers.
    for xid in 1..=ANSWERS {
        let (header, _) = raw.receive_reply().expect("the connection is not dropped");
        assert_eq!((header.xid, header.err), (xid, 0));
    }
}

#[test]
fn who_takes_an_answer_slowly_keeps_the_session() {
    const PIECE: usize = 100_000;
    let server = server();
    let client = server.client();
    let large = vec![7; 1_000_000];
    client.create("/large", Some(&large), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let mut raw = server.raw();
    // The timeout is so long that the session survives if the machine stands still for some seconds.
    let session = raw.new_session_for(20_000);
    // 20 MB in one answer.
    let reads = MultiOperationRecord::new(vec![Op::get_data("/large"); 20]).unwrap();
    raw.send_request(1, OpCode::MultiRead.code(), &reads.to_bytes());
    let mut len = [0; 4];
    raw.stream.read_exact(&mut len).unwrap();
    let mut left = usize::try_from(u32::from_be_bytes(len)).unwrap();
    assert!(left > 20_000_000);
    let end = || server.session_end(session.session_id).expect("the session is alive");
    let first = end();
    let pace = crossbeam::channel::tick(Duration::from_millis(50));
    let mut pings = 0;
    while !end().is_later_by(4, first) {
        assert!(left > PIECE, "the session's end was not put off while it took the answer");
        pace.recv().unwrap();
        raw.send_request(-2, OpCode::Ping.code(), &[]);
        pings += 1;
        raw.stream.read_exact(&mut vec![0; PIECE]).expect("the connection stays");
        left -= PIECE;
    }
    raw.stream.read_exact(&mut vec![0; left]).expect("the connection stays");
    for _ in 0..pings {
        assert_eq!(raw.receive_reply().expect("the session is alive").0.xid, -2);
    }
}

#[test]
fn a_request_that_cannot_be_decoded_takes_no_zxid_and_no_place_in_the_log() {
    let mut server = server();
    let client = server.client();
    client.create("/a", Some(b"1"), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let again = ConnectRequest {
        time_out: 20_000,
        session_id: client.session_id(),
        passwd: Some(client.session_passwd()),
        ..ConnectRequest::default()
    };
    client.cnxn().abandon();
    let mut zxid = client.last_zxid();
    for version in 0..3 {
        // The last log file begins with the last transaction and is named after it. If the refused request were
        // logged under that zxid, the new log file would get the same name.
        server.kill9();
        server.start_again();
        let mut raw = server.raw();
        assert!(raw.handshake(&again, true).is_some());
        raw.send_request(1, OpCode::Create.code(), b"no create at all");
        let (header, _) = raw.receive_reply().unwrap();
        assert_eq!((header.err, header.zxid), (KeeperError::MarshallingError.code(), zxid));
        let set = SetDataRequest { path: "/a".into(), data: None, version };
        let (header, _) = raw.ask(2, OpCode::SetData, &set);
        zxid = zxid.next();
        assert_eq!((header.err, header.zxid), (0, zxid));
    }
    server.kill9();
    server.start_again();
    assert_eq!(server.client().exists("/a", false).unwrap().unwrap().version, 3);
    let log = server.log();
    assert!(!log.contains("is there already") && !log.contains("Current zxid"), "{log}");
}

#[test]
fn a_time_to_live_with_a_mode_that_has_none_is_refused_without_a_body() {
    let server = server();
    let client = server.client();
    let again = ConnectRequest {
        time_out: 20_000,
        session_id: client.session_id(),
        passwd: Some(client.session_passwd()),
        ..ConnectRequest::default()
    };
    client.cnxn().abandon();
    let mut raw = server.raw();
    assert!(raw.handshake(&again, true).is_some());
    for flags in 0..=4 {
        for ttl in [-1, 0, 1000] {
            let acl = Some(ids::open_acl_unsafe());
            let create = CreateTTLRequest { path: "/ttl".into(), data: None, acl, flags, ttl };
            let (header, body) = raw.ask(1, OpCode::CreateTtl, &create);
            assert_eq!(header.err, KeeperError::BadArguments.code(), "mode {flags}, ttl {ttl}");
            assert_eq!(body, [0_u8; 0], "mode {flags}, ttl {ttl}");
        }
    }
    assert_eq!(server.client().exists("/ttl", false).unwrap(), None);
    assert!(!server.log().contains("failed when it was applied"), "{}", server.log());
}

#[test]
fn who_asks_in_a_servers_name_may_do_no_more_than_before() {
    let server = ServerBuilder::new()
        .config("tickTime=100")
        .config("maxSessionTimeout=20000")
        .property("zookeeper.root.logger", "WARN,CONSOLE")
        .start();
    let owner = server.client();
    owner.add_auth_info("digest", b"owner:secret").unwrap();
    let own = Id { scheme: "auth".into(), id: String::new() };
    let acl = vec![ACL { perms: perms::ALL, id: own }];
    owner.create("/closed", None, acl.clone(), CreateMode::Persistent).unwrap();
    owner.create("/closed/a", None, acl, CreateMode::Persistent).unwrap();
    owner.create("/open", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();

    let mut raw = server.raw();
    raw.new_session();
    for (path, code) in [("/closed/a", KeeperError::NoAuth.code()), ("/open", 0)] {
        let request = DeleteContainerRequest { path: path.to_owned() };
        assert_eq!(raw.ask(1, OpCode::DeleteContainer, &request).0.err, code, "{path}");
    }
    assert!(owner.exists("/closed/a", false).unwrap().is_some());
    assert!(owner.exists("/open", false).unwrap().is_none());

    raw.send_request(
        3,
        OpCode::CreateSession.code(),
        &CreateSessionTxn { time_out: i32::MAX }.to_bytes(),
    );
    assert!(raw.receive_frame().is_some(), "answered as a new session is");
    owner.close();
    wait_until("the session ends", common::DEADLINE, || server.monitor("global_sessions") == 0.0);
}
