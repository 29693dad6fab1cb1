//! Takes snapshots through the admin server and restores servers from them, standalone and in an ensemble (Java: the
//! commands `snapshot` and `restore` of server/admin/Commands.java).
//!
//! Java restores a snapshot into a running server. Ours answers that the snapshot must be put into the directories of
//! a stopped server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;
#[path = "common/ensemble.rs"]
mod ensemble;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Client, DEADLINE, Program, Server, ServerBuilder, decode};
use ensemble::{Ensemble, create};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::ids::SessionId;
use zookeeper_server::internals::proto::{ConnectRequest, ConnectResponse};
use zookeeper_server::zoo_defs::perms;

const JAVA: Program = Program::Java("3.9.5");

/// The digest of `root:pass`.
const ROOT: &str = "root:9RIYjZZwJPEVFWoUcfcdkAlZkCo=";

const GOOD: &str = "digest root:pass";

/// How many nodes [`populate`] creates at a time.
const COUNT: usize = 10;

/// The answer of an HTTP server.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Asks the admin server. A request with a body is a POST.
fn ask(server: &Server, path: &str, authorization: Option<&str>, body: Option<&[u8]>) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", server.admin_port())).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head =
        format!("{method} /commands/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    if let Some(authorization) = authorization {
        head += &format!("Authorization: {authorization}\r\n");
    }
    if let Some(body) = body {
        head += "Content-Type: application/octet-stream\r\n";
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    // A server that refuses the request at once may not read the whole body.
    let _refused = stream.write_all(body.unwrap_or_default());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: BTreeMap<_, _> = lines.map(header).collect();
    let mut body = bytes[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        body = without_chunks(&body);
    }
    Answer { status, headers, body }
}

fn without_chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|two| two == b"\r\n").expect("the length of a chunk");
        let len = std::str::from_utf8(&bytes[..line]).unwrap();
        let len = usize::from_str_radix(len.trim(), 16).unwrap();
        if len == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[line + 2..line + 2 + len]);
        bytes = &bytes[line + 2 + len + 2..];
    }
}

/// Creates `COUNT` nodes below a path. Creates the path if it does not exist.
fn populate(client: &Client, path: &str) {
    let _there_already = create(client, path, CreateMode::Persistent);
    for _ in 0..COUNT {
        create(client, &format!("{path}/n-"), CreateMode::PersistentSequential).unwrap();
    }
}

/// Takes a snapshot. Returns the zxid in the form of a file name, and the bytes.
fn snapshot(server: &Server) -> (String, Vec<u8>) {
    let answer = ask(server, "snapshot?streaming=true", Some(GOOD), None);
    assert_eq!(answer.status, 200);
    for header in ["last_zxid", "snapshot_size"] {
        assert!(answer.headers.contains_key(header), "{header}: {:?}", answer.headers);
    }
    assert_eq!(answer.headers["snapshot_size"], answer.body.len().to_string());
    let zxid = answer.headers["last_zxid"].trim_start_matches("0x").to_owned();
    (zxid, answer.body)
}

/// Replaces all data of a stopped server with a snapshot.
fn put_in(server: &Server, zxid: &str, bytes: &[u8]) {
    fs::remove_dir_all(server.version_dir()).unwrap();
    fs::create_dir(server.version_dir()).unwrap();
    fs::write(server.version_dir().join(format!("snapshot.{zxid}")), bytes).unwrap();
}

fn count(client: &Client, path: &str) -> usize {
    client.sync(path).unwrap();
    usize::try_from(client.get_all_children_number(path).unwrap()).unwrap()
}

fn with_admin(builder: ServerBuilder) -> ServerBuilder {
    builder.admin_server().config("admin.rateLimiterIntervalInMS=0")
}

/// Asks for the client's session without having seen any transaction. Returns the id of the session that the server
/// gives.
fn taken_up(server: &Server, client: &Client) -> SessionId {
    let request = ConnectRequest {
        time_out: 30_000,
        session_id: client.session_id(),
        passwd: Some(client.session_passwd()),
        ..ConnectRequest::default()
    };
    let answer = server.raw().handshake(&request, true).expect("an answer");
    decode::<ConnectResponse>(&answer).0.session_id
}

/// Gives `root` all permissions on the root node, and everybody else only some.
fn close_the_root(client: &Client) {
    let acl = |perms, scheme: &str, id: &str| ACL {
        perms,
        id: Id { scheme: scheme.into(), id: id.into() },
    };
    let readable = acl(perms::READ | perms::CREATE, "world", "anyone");
    client.set_acl("/", vec![acl(perms::ALL, "digest", ROOT), readable], -1).unwrap();
}

mod bodies {
    use super::*;

    pub(crate) fn a_server_goes_back_to_tree_and_sessions_of_a_snapshot(builder: ServerBuilder) {
        let mut server = with_admin(builder).start();
        let before = server.client();
        populate(&before, "/restored");
        create(&before, "/ephemeral-before", CreateMode::Ephemeral).unwrap();
        close_the_root(&before);
        let (zxid, bytes) = snapshot(&server);

        let after = server.client();
        populate(&after, "/restored");
        create(&after, "/ephemeral-after", CreateMode::Ephemeral).unwrap();
        assert_eq!(count(&after, "/restored"), 2 * COUNT);
        server.stop();
        put_in(&server, &zxid, &bytes);
        server.start_again();

        let new = server.client();
        assert_eq!(count(&new, "/restored"), COUNT);
        // A session that was open at the snapshot lives on. A later session has to be opened anew.
        assert!(new.exists("/ephemeral-before", false).unwrap().is_some());
        assert_eq!(new.exists("/ephemeral-after", false).unwrap(), None);
        assert_eq!(taken_up(&server, &before), before.session_id());
        assert_eq!(taken_up(&server, &after), SessionId(0));
        populate(&new, "/restored");
        assert_eq!(count(&new, "/restored"), 2 * COUNT);
    }

    pub(crate) fn snapshots_are_for_those_who_may_do_everything_with_the_root(
        builder: ServerBuilder,
    ) {
        let server = with_admin(builder.clone()).start();
        let client = server.client();
        assert_eq!(ask(&server, "snapshot?streaming=true", None, None).status, 401);
        assert_eq!(
            ask(&server, "snapshot?streaming=true", Some("digest:root:pass"), None).status,
            401
        );
        assert_eq!(
            ask(&server, "snapshot?streaming=true", Some("other root:pass"), None).status,
            401
        );
        // Everybody has all permissions on the root node.
        assert_eq!(ask(&server, "snapshot?streaming=true", Some("digest a:b"), None).status, 200);
        close_the_root(&client);
        assert_eq!(ask(&server, "snapshot?streaming=true", Some("digest a:b"), None).status, 403);
        assert_eq!(ask(&server, "restore", Some("digest a:b"), Some(b"nothing")).status, 403);
        let kept = ask(&server, "snapshot?streaming=false", Some(GOOD), None);
        assert_eq!(kept.status, 200);
        assert!(kept.headers.contains_key("last_zxid"), "{:?}", kept.headers);
        assert_eq!(ask(&server, "restore", Some(GOOD), Some(b"Invalid snapshot")).status, 500);
        // The failed restore has not disturbed the server.
        create(&client, "/after", CreateMode::Persistent).unwrap();

        let server = with_admin(builder)
            .config("admin.snapshot.enabled=false")
            .config("admin.restore.enabled=false")
            .start();
        assert_eq!(ask(&server, "snapshot?streaming=true", Some(GOOD), None).status, 503);
        assert_eq!(ask(&server, "restore", Some(GOOD), Some(b"nothing")).status, 503);
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    a_server_goes_back_to_tree_and_sessions_of_a_snapshot, java_goes_back_to_a_snapshot;
    snapshots_are_for_those_who_may_do_everything_with_the_root, java_asks_who_may;
}

/// Restores all members from a snapshot of one of them.
fn members_go_back(program: Program) {
    let lines = ["admin.enableServer=true", "admin.rateLimiterIntervalInMS=0"];
    let mut ensemble = Ensemble::start_of(&[program; 3], 3, &lines);
    let leader = ensemble.wait_leader();
    let client = ensemble.members[leader].server.client();
    populate(&client, "/restored");
    let (zxid, bytes) = snapshot(&ensemble.members[leader].server);
    populate(&client, "/restored");
    client.close();
    for member in &mut ensemble.members {
        member.stop();
        put_in(&member.server, &zxid, &bytes);
    }
    for member in &mut ensemble.members {
        member.start();
    }
    ensemble.wait_serving();
    for member in &ensemble.members {
        assert_eq!(count(&member.server.client(), "/restored"), COUNT);
    }
    populate(&ensemble.members[leader].server.client(), "/restored");
    for member in &ensemble.members {
        assert_eq!(count(&member.server.client(), "/restored"), 2 * COUNT);
    }
    ensemble.same_trees();
}

#[test]
fn members_of_an_ensemble_go_back_to_a_snapshot_and_on_from_there() {
    members_go_back(Program::Ours);
}

#[test]
#[ignore = "needs Java 3.9"]
fn java_members_go_back_to_a_snapshot_and_on_from_there() {
    members_go_back(JAVA);
}
