//! The audit log of real servers (Java: audit/AuditHelper.java, audit/ZKAuditProvider.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use common::{Client, DEADLINE, Server, ServerBuilder, wait_until};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::{ids, perms};

/// The audit lines of a client's session since the server started, each from the user on.
fn lines(server: &Server, client: &Client) -> Vec<String> {
    let session = format!("session={:#x}\t", client.session_id().0);
    let log = server.log();
    let of_client = log.lines().filter_map(|line| line.split_once(&session));
    of_client.map(|(_, rest)| rest.to_owned()).collect()
}

mod bodies {
    use super::*;

    pub(crate) fn every_change_is_a_line_with_its_outcome(builder: ServerBuilder) {
        let server = builder.config("audit.enable=true").start();
        let client = server.client();
        let open = ids::open_acl_unsafe;
        let reads = vec![ACL {
            perms: perms::READ,
            id: Id { scheme: "world".into(), id: "anyone".into() },
        }];
        client.create("/p", Some(b"1"), open(), CreateMode::Persistent).unwrap();
        client.create("/p", None, open(), CreateMode::Persistent).unwrap_err();
        client.create("/p/e", None, open(), CreateMode::Ephemeral).unwrap();
        client.create("/p/s-", None, open(), CreateMode::PersistentSequential).unwrap();
        client.create("/c", None, open(), CreateMode::Container).unwrap();
        client.set_data("/p", Some(b"2"), -1).unwrap();
        client.set_data("/p", Some(b"2"), 77).unwrap_err();
        client.delete("/p/s-0000000001", -1).unwrap();
        client.delete("/p", -1).unwrap_err();
        client.set_acl("/p", reads, -1).unwrap();
        client.set_acl("/none", open(), -1).unwrap_err();
        client
            .multi(vec![
                Op::create("/m", None, open(), CreateMode::Persistent),
                Op::set_data("/m", None, -1),
                Op::delete("/m", -1),
            ])
            .unwrap();
        client.multi(vec![Op::delete("/m", -1)]).unwrap_err();
        client.get_data("/p", false).unwrap();
        client.exists("/none", false).unwrap();
        let expected = [
            "create znode=/p znode_type=persistent result=success",
            "create znode=/p znode_type=persistent result=failure",
            "create znode=/p/e znode_type=ephemeral result=success",
            "create znode=/p/s-0000000001 znode_type=persistent_sequential result=success",
            "create znode=/c znode_type=container result=success",
            "setData znode=/p result=success",
            "setData znode=/p result=failure",
            "delete znode=/p/s-0000000001 result=success",
            "delete znode=/p result=failure",
            "setAcl znode=/p acl=world:anyone:r result=success",
            "setAcl znode=/none acl=world:anyone:cdrwa result=failure",
            "create znode=/m znode_type=persistent result=success",
            "setData znode=/m result=success",
            "delete znode=/m result=success",
            "multiOperation result=failure",
        ];
        let expected = expected.map(|line| {
            let line = format!("user=127.0.0.1 ip=127.0.0.1 operation={line}");
            line.replace(' ', "\t")
        });
        wait_until("all lines are there", DEADLINE, || {
            lines(&server, &client).len() >= expected.len()
        });
        assert_eq!(lines(&server, &client), expected);
    }

    pub(crate) fn what_the_server_does_itself_is_a_line_too(builder: ServerBuilder) {
        let mut server = builder
            .config("audit.enable=true")
            .config("tickTime=200")
            .config("minSessionTimeout=1000")
            .start();
        let mut raw = server.raw();
        let session = raw.new_session_for(1000);
        let client = server.client();
        let request = zookeeper_server::internals::proto::CreateRequest {
            path: "/e".into(),
            data: None,
            acl: Some(ids::open_acl_unsafe()),
            flags: 1,
        };
        let op = zookeeper_server::zoo_defs::OpCode::Create;
        assert_eq!(raw.ask(1, op, &request).0.err, 0);
        drop(raw);
        wait_until("the session ends", DEADLINE, || client.exists("/e", false).unwrap().is_none());
        let id = session.session_id.0;
        server.stop();
        let log = server.log();
        for line in [
            "operation=serverStart\tresult=success".to_owned(),
            format!("session={id:#x}\tuser="),
            "operation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/e\tresult=success"
                .into(),
            "operation=serverStop\tresult=invoked".into(),
        ] {
            assert!(log.contains(&line), "{line}");
        }
    }

    pub(crate) fn nothing_is_logged_unless_it_is_switched_on(builder: ServerBuilder) {
        let server = builder.start();
        let client = server.client();
        client.create("/p", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
        client.close();
        assert!(!server.log().contains("operation=create"));
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    every_change_is_a_line_with_its_outcome, java_logs_every_change;
    what_the_server_does_itself_is_a_line_too, java_logs_what_it_does_itself;
    nothing_is_logged_unless_it_is_switched_on, java_logs_nothing_unless_it_is_switched_on;
}
