//! The server never logs a transaction that no server could read back. So it restarts with everything that it has
//! acknowledged (no Java twin: Java logs them, and does not start again).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;

use common::{Client, DEADLINE, Server, wait_until};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::{ids, perms};

/// Three names of this length are longer than a transaction may be.
const NAME: usize = 900_000;

fn create(client: &Client, path: &str, mode: CreateMode) {
    client.create(path, None, ids::open_acl_unsafe(), mode).unwrap();
}

fn is_there(client: &Client, path: &str) -> bool {
    // Reads the parent, because `exists` needs the permission to read the node.
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { "/" } else { parent };
    client.get_children(parent, false).unwrap().iter().any(|child| child == name)
}

/// Checks that a node that is created now exists after a kill and a restart.
fn starts_again_with(server: &mut Server, path: &str) {
    let client = server.client();
    create(&client, path, CreateMode::Persistent);
    server.kill9();
    server.start_again();
    assert!(is_there(&server.client(), path), "{path} is lost");
}

#[test]
fn the_end_of_a_session_with_long_names_is_logged() {
    let mut server = Server::start();
    let owner = server.client();
    let paths: Vec<String> =
        (0..3).map(|number| format!("/e{number}/{}", "x".repeat(NAME))).collect();
    for (number, path) in paths.iter().enumerate() {
        create(&owner, &format!("/e{number}"), CreateMode::Persistent);
        create(&owner, path, CreateMode::Ephemeral);
    }
    owner.close();
    let all_are_gone = |client: &Client| paths.iter().all(|path| !is_there(client, path));
    let client = server.client();
    wait_until("the session's nodes are gone", DEADLINE, || all_are_gone(&client));
    starts_again_with(&mut server, "/later");
    let client = server.client();
    assert!(all_are_gone(&client) && is_there(&client, "/e0"));
    assert!(server.log().contains("without the names of its 3 ephemeral nodes"));
}

#[test]
fn a_multi_whose_acls_make_a_giant_of_it_is_refused_and_changes_nothing() {
    let mut server = Server::start();
    let client = server.client();
    client.add_auth_info("digest", format!("{}:password", "u".repeat(60_000)).as_bytes()).unwrap();
    let auth = || {
        let id = Id { scheme: "auth".into(), id: String::new() };
        vec![ACL { perms: perms::ALL, id }]
    };
    let creates = |count: usize| -> Vec<Op> {
        (0..count)
            .map(|number| {
                let path = format!("/m{number}");
                Op::create(path, None, auth(), CreateMode::Persistent)
            })
            .collect()
    };
    let refusal = client.multi(creates(44)).unwrap_err();
    assert_eq!(refusal.keeper_error(), Some(KeeperError::MarshallingError), "{refusal}");
    assert!(!is_there(&client, "/m0"));
    client.multi(creates(10)).unwrap();
    // Only the accepted multi has changed the parent.
    let root = client.exists("/", false).unwrap().unwrap();
    assert_eq!((root.num_children, root.cversion), (11, 9));
    starts_again_with(&mut server, "/later");
    let client = server.client();
    assert!(is_there(&client, "/m9") && !is_there(&client, "/m10"));
}

#[test]
fn the_ids_of_a_connection_have_a_bound() {
    let server = Server::start();
    let client = server.client();
    let id = |number: usize| format!("{number}{}:password", "u".repeat(30_000));
    client.add_auth_info("digest", id(0).as_bytes()).unwrap();
    client.add_auth_info("digest", id(1).as_bytes()).unwrap();
    let refused = client.add_auth_info("digest", id(2).as_bytes());
    assert!(refused.is_err());
    assert!(server.log().contains("Authentication refused"));
}
