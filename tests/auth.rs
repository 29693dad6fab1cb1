//! Authentication and permissions on a real server (Java: package server/auth, and the checks of ACLs).

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use common::{Client, DEADLINE, Server, ServerBuilder, wait_until};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::internals::proto::{AuthPacket, GetDataRequest};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::{OpCode, ids, perms};
use zookeeper_server::zookeeper::States;

/// The digest of `super:test`.
const SUPER_DIGEST: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// The digest of `bob:pa:ss`.
const BOB: &str = "bob:ZLnpyJBWh1VZxyRoQkI2cRg/9PM=";

fn acl(perms: i32, scheme: &str, id: &str) -> ACL {
    ACL { perms, id: Id { scheme: scheme.into(), id: id.into() } }
}

fn create(client: &Client, path: &str, acl: Vec<ACL>) -> Option<KeeperError> {
    let created = client.create(path, Some(b"data"), acl, CreateMode::Persistent);
    created.err().map(|error| error.keeper_error().unwrap())
}

fn read(client: &Client, path: &str) -> Option<KeeperError> {
    client.get_data(path, false).err().map(|error| error.keeper_error().unwrap())
}

mod bodies {
    use super::*;

    pub(crate) fn acls_are_checked_when_set_and_when_asked(builder: ServerBuilder) {
        let server = builder.start();
        let (client, bob) = (server.client(), server.client());
        bob.add_auth_info("digest", b"bob:pa:ss").unwrap();
        for (n, (set, refusal)) in [
            (vec![acl(1, "auth", "")], Some(KeeperError::InvalidAcl)),
            (vec![acl(1, "world", "everybody")], Some(KeeperError::InvalidAcl)),
            (vec![acl(1, "digest", "bob")], Some(KeeperError::InvalidAcl)),
            (vec![acl(1, "nonsense", "x")], Some(KeeperError::InvalidAcl)),
            (vec![acl(1, "ip", "10.0.0.0/33")], Some(KeeperError::InvalidAcl)),
            (vec![acl(1, "ip", "2001:db8::/32")], None),
            (vec![acl(1, "digest", "x:y")], None),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(create(&client, &format!("/set{n}"), set.clone()), refusal, "{set:?}");
        }

        assert_eq!(create(&client, "/near", vec![acl(perms::ALL, "ip", "127.0.0.0/8")]), None);
        assert_eq!(create(&client, "/far", vec![acl(perms::ALL, "ip", "10.0.0.0/8")]), None);
        assert_eq!(read(&client, "/near"), None);
        assert_eq!(read(&client, "/far"), Some(KeeperError::NoAuth));
        assert_eq!(
            client.exists("/far", false).unwrap_err().keeper_error(),
            Some(KeeperError::NoAuth)
        );

        assert_eq!(create(&bob, "/bob", vec![acl(perms::ALL, "auth", "")]), None);
        assert_eq!(bob.get_acl("/bob").unwrap().0, [acl(perms::ALL, "digest", BOB)]);
        for refused in [
            read(&client, "/bob"),
            create(&client, "/bob/a", ids::open_acl_unsafe()),
            client.set_data("/bob", None, -1).err().and_then(|error| error.keeper_error()),
            client.get_children("/bob", false).err().and_then(|error| error.keeper_error()),
            client.get_acl("/bob").err().and_then(|error| error.keeper_error()),
            client
                .set_acl("/bob", ids::open_acl_unsafe(), -1)
                .err()
                .and_then(|error| error.keeper_error()),
            client.multi(vec![Op::check("/bob", -1)]).err().and_then(|error| error.keeper_error()),
        ] {
            assert_eq!(refused, Some(KeeperError::NoAuth));
        }
        // The ACL of the parent decides who may delete a node.
        client.delete("/bob", -1).unwrap();
    }

    pub(crate) fn hashes_are_shown_to_those_who_may_change_them(builder: ServerBuilder) {
        let server = builder.start();
        let (client, bob) = (server.client(), server.client());
        bob.add_auth_info("digest", b"bob:pa:ss").unwrap();
        let node = vec![acl(perms::READ, "world", "anyone"), acl(perms::ALL, "digest", BOB)];
        assert_eq!(create(&client, "/a", node.clone()), None);
        assert_eq!(bob.get_acl("/a").unwrap().0, node);
        let masked = vec![acl(perms::READ, "world", "anyone"), acl(perms::ALL, "digest", "bob:x")];
        assert_eq!(client.get_acl("/a").unwrap().0, masked);
        let mut ids: Vec<(String, String)> =
            bob.who_am_i().unwrap().into_iter().map(|info| (info.auth_scheme, info.user)).collect();
        ids.sort();
        assert_eq!(
            ids,
            [("digest", "bob"), ("ip", "127.0.0.1")].map(|(a, b)| (a.into(), b.into()))
        );
    }

    pub(crate) fn the_super_user_may_do_everything(builder: ServerBuilder) {
        let server = builder
            .property("zookeeper.DigestAuthenticationProvider.superDigest", SUPER_DIGEST)
            .start();
        let (client, root) = (server.client(), server.client());
        assert_eq!(create(&client, "/closed", vec![acl(perms::ALL, "ip", "10.0.0.1")]), None);
        client.add_auth_info("digest", b"super:wrong").unwrap();
        assert_eq!(read(&client, "/closed"), Some(KeeperError::NoAuth));
        root.add_auth_info("digest", b"super:test").unwrap();
        assert_eq!(read(&root, "/closed"), None);
        root.set_acl("/closed", ids::open_acl_unsafe(), -1).unwrap();
        assert_eq!(read(&client, "/closed"), None);
    }

    pub(crate) fn acls_can_be_skipped(builder: ServerBuilder) {
        let server = builder.property("zookeeper.skipACL", "yes").start();
        let client = server.client();
        assert_eq!(create(&client, "/closed", vec![acl(perms::ALL, "ip", "10.0.0.1")]), None);
        assert_eq!(read(&client, "/closed"), None);
        assert_eq!(create(&client, "/bad", vec![]), Some(KeeperError::InvalidAcl));
    }

    pub(crate) fn passwords_can_be_hashed_otherwise_or_not_be_there(builder: ServerBuilder) {
        let server = builder
            .clone()
            .property("zookeeper.DigestAuthenticationProvider.digestAlg", "SHA-256")
            .start();
        let client = server.client();
        client.add_auth_info("digest", b"super:test").unwrap();
        assert_eq!(create(&client, "/a", vec![acl(perms::ALL, "auth", "")]), None);
        let hash = "super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=";
        assert_eq!(client.get_acl("/a").unwrap().0, [acl(perms::ALL, "digest", hash)]);

        let server =
            builder.property("zookeeper.DigestAuthenticationProvider.enabled", "false").start();
        let client = server.client();
        assert_eq!(
            create(&client, "/a", vec![acl(perms::ALL, "digest", BOB)]),
            Some(KeeperError::InvalidAcl)
        );
        let refused = client.add_auth_info("digest", b"bob:x").unwrap_err();
        assert_eq!(refused.keeper_error(), Some(KeeperError::AuthFailed));
    }

    pub(crate) fn who_must_authenticate_may_do_nothing_before(builder: ServerBuilder) {
        let server = builder
            .property("zookeeper.enforce.auth.enabled", "true")
            .property("zookeeper.enforce.auth.schemes", "digest")
            .start();
        let mut raw = server.raw();
        raw.new_session();
        let request = GetDataRequest { path: "/".into(), watch: false };
        let (header, body) = raw.ask(1, OpCode::GetData, &request);
        let code = KeeperError::SessionClosedRequireSaslAuth.code();
        assert_eq!((header.xid, header.zxid.0, header.err, body.len()), (1, 0, code, 0));
        assert!(raw.receive_frame().is_none(), "the connection is closed");

        let mut raw = server.raw();
        raw.new_session();
        let packet =
            AuthPacket { r#type: 0, scheme: "digest".into(), auth: Some(b"bob:x".to_vec()) };
        let (header, _) = raw.ask(-4, OpCode::Auth, &packet);
        assert_eq!((header.xid, header.zxid.0, header.err), (-4, 0, 0));
        assert_eq!(raw.ask(2, OpCode::GetData, &request).0.err, 0);
    }

    pub(crate) fn an_unknown_scheme_ends_the_connection(builder: ServerBuilder) {
        let server = builder.start();
        let mut raw = server.raw();
        raw.new_session();
        let packet = AuthPacket { r#type: 0, scheme: "nonsense".into(), auth: None };
        let (header, body) = raw.ask(-4, OpCode::Auth, &packet);
        let code = KeeperError::AuthFailed.code();
        assert_eq!((header.xid, header.zxid.0, header.err, body.len()), (-4, 0, code, 0));
        assert!(raw.receive_frame().is_none(), "the connection is closed");
    }

    pub(crate) fn clients_of_another_ensemble_are_sent_away_without_a_word(builder: ServerBuilder) {
        let server = builder
            .property(
                "zookeeper.authProvider.1",
                "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
            )
            .property("zookeeper.ensembleAuthName", "mine,ours")
            .start();
        for (name, accepted) in [("ours", true), ("", true), ("yours", false)] {
            let mut raw = server.raw();
            raw.new_session();
            let packet = AuthPacket {
                r#type: 0,
                scheme: "ensemble".into(),
                auth: Some(name.as_bytes().to_vec()),
            };
            raw.send_request(
                -4,
                OpCode::Auth.code(),
                &zookeeper_server::internals::jute::Record::to_bytes(&packet),
            );
            let reply = raw.receive_reply().map(|(header, _)| header.err);
            assert_eq!(reply, accepted.then_some(0), "{name}");
        }
        assert!(server.monitor("ensemble_auth_fail") >= 1.0);
        assert!(server.monitor("ensemble_auth_success") >= 1.0);
    }

    pub(crate) fn the_sample_provider_looks_into_the_tree(builder: ServerBuilder) {
        let server = builder
            .property(
                "zookeeper.authProvider.1",
                "org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
            )
            .start();
        let (client, other) = (server.client(), server.client());
        client.add_auth_info("key", b"anything").unwrap();
        client
            .create("/key", Some(b"25"), vec![acl(perms::ALL, "auth", "")], CreateMode::Persistent)
            .unwrap();
        assert_eq!(read(&other, "/key"), Some(KeeperError::NoAuth));
        other.add_auth_info("key", b"50").unwrap();
        assert_eq!(read(&other, "/key"), None);
        let refused = other.add_auth_info("key", b"51").unwrap_err();
        assert_eq!(refused.keeper_error(), Some(KeeperError::AuthFailed));
        wait_until("the client is at its end", DEADLINE, || other.state() == States::AuthFailed);
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    acls_are_checked_when_set_and_when_asked, java_checks_acls;
    hashes_are_shown_to_those_who_may_change_them, java_hides_hashes;
    the_super_user_may_do_everything, java_has_a_super_user;
    acls_can_be_skipped, java_skips_acls;
    passwords_can_be_hashed_otherwise_or_not_be_there, java_hashes_passwords_otherwise;
    who_must_authenticate_may_do_nothing_before, java_enforces_authentication;
    an_unknown_scheme_ends_the_connection, java_knows_no_unknown_scheme;
    clients_of_another_ensemble_are_sent_away_without_a_word, java_sends_other_ensembles_away;
    the_sample_provider_looks_into_the_tree, java_has_a_sample_provider;
}

#[test]
fn a_provider_that_is_not_here_stops_the_start_and_names_the_setting() {
    for (class, words) in [
        ("com.example.Provider", "no such authentication provider"),
        ("org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "SASL"),
    ] {
        let mut server = ServerBuilder::new().config(&format!("authProvider.1={class}")).prepare();
        server.spawn();
        let status = server.wait_ended();
        assert_ne!(status.code(), Some(0));
        let log = server.log();
        assert!(log.contains(&format!("authProvider.1={class}: ")), "{log}");
        assert!(log.contains(words), "{log}");
    }
}

#[test]
fn a_connection_has_the_id_of_its_address() {
    let server = Server::start();
    let ids = server.client().who_am_i().unwrap();
    assert_eq!(ids.len(), 1);
    assert_eq!((ids[0].auth_scheme.as_str(), ids[0].user.as_str()), ("ip", "127.0.0.1"));
}
