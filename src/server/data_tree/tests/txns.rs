//! Every transaction type, and Java's behavior in unusual cases.

use super::*;
use crate::audit::audit_event::AuditEvent;
use crate::audit::audit_logger::AuditLogger;
use crate::keeper_exception::KeeperError;

#[test]
fn a_new_tree_has_the_systems_nodes() {
    let tree = new_tree(DataTreeConfig::default());
    check_tree(&tree);
    assert_eq!(tree.node_count(), 5);
    assert_eq!(tree.approximate_data_size(), 44);
    assert_eq!(tree.tree_digest(), 0x51c6_d660);
    let (acl, stat) = tree.acl(CONFIG_NODE).unwrap();
    assert_eq!((&*acl, stat.aversion), (&*ids::read_acl_unsafe(), -1));
    let mut names: Vec<&str> = tree.node(PROC_ZOOKEEPER).unwrap().children().collect();
    names.sort_unstable();
    assert_eq!(names, ["config", "quota"]);
    assert_eq!(tree.node("").unwrap().path(), "/");
    assert!(DataTree::is_special_path("/") && !DataTree::is_special_path("/a"));
}

#[test]
fn the_config_node_can_be_put_in_its_place_again() {
    let mut tree = new_tree(DataTreeConfig::default());
    let before = tree.contents();
    tree.add_config_node();
    check_tree(&tree);
    assert_eq!(tree.contents(), before);
}

#[test]
fn create_makes_a_node_and_counts_for_the_parent() {
    let mut server = Server::new();
    let result = server.create("/a", b"xyz");
    assert_eq!(
        result,
        ProcessTxnResult {
            client_id: SESSION,
            cxid: 3,
            zxid: Zxid(1),
            err: 0,
            r#type: OpCode::Create.code(),
            path: Some("/a".into()),
            stat: None,
            multi_result: None,
        }
    );
    let stat = server.stat("/a");
    let expected = Stat {
        czxid: Zxid(1),
        mzxid: Zxid(1),
        ctime: 1_000_001,
        mtime: 1_000_001,
        data_length: 3,
        pzxid: Zxid(1),
        ..Stat::default()
    };
    assert_eq!(stat, expected);
    let root = server.stat("/");
    // The child version counts one creation; /zookeeper exists without one.
    assert_eq!((root.num_children, root.cversion, root.pzxid), (2, 0, Zxid(1)));
    assert_eq!(server.tree.last_processed_zxid(), Zxid(1));
    check_tree(&server.tree);
}

#[test]
fn the_other_kinds_of_create_also_return_the_state() {
    let mut server = Server::new();
    let result = server.create_ephemeral("/e", SESSION);
    assert_eq!(result.stat, Some(server.stat("/e")));
    assert_eq!(result.stat.unwrap().ephemeral_owner, SESSION.0);
    let result = server.create_container("/c");
    assert_eq!(result.stat, Some(server.stat("/c")));
    assert_eq!(result.stat.unwrap().ephemeral_owner, 0);
    let result = server.create_ttl("/t", 5000);
    assert_eq!(result.stat, Some(server.stat("/t")));
    assert_eq!(server.stat("/t").ephemeral_owner, 0);
    let owner = server.tree.node("/t").unwrap().ephemeral_owner();
    assert_eq!(owner.cast_unsigned(), 0xff00_0000_0000_1388);
    assert_eq!(server.tree.containers(), ["/c"]);
    assert_eq!(server.tree.ttls(), ["/t"]);
    assert_eq!(server.tree.ephemerals(SESSION), ["/e"]);
    check_tree(&server.tree);
}

#[test]
fn without_extended_types_a_ttl_node_is_an_ephemeral_of_an_odd_session() {
    let mut server = Server::with(DataTreeConfig::default());
    server.create_ttl("/t", 1);
    let odd = SessionId(0xff00_0000_0000_0001_u64.cast_signed());
    assert_eq!(server.tree.ephemerals(odd), ["/t"]);
    assert_eq!(server.stat("/t").ephemeral_owner, odd.0);
    assert!(server.tree.ttls().is_empty());
    server.delete("/t");
    check_tree(&server.tree);
}

#[test]
fn a_create_without_a_parent_or_with_an_odd_path_changes_nothing() {
    let mut server = Server::new();
    let before = server.tree.contents().nodes;
    for path in ["/no/parent", "no-slash", ""] {
        let txn = CreateTxn { path: path.into(), parent_c_version: 9, ..CreateTxn::default() };
        let result = server.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn)));
        assert_eq!(result.err, KeeperError::NoNode.code(), "{path:?}");
    }
    let result = server.create_ttl("/t", 0);
    assert_eq!(result.err, KeeperError::BadArguments.code());
    assert_eq!(server.tree.contents().nodes, before);
    check_tree(&server.tree);
}

#[test]
fn a_replayed_create_of_an_existing_node_raises_the_parent_and_sets_the_acl_only() {
    for op in [OpCode::Create, OpCode::Create2] {
        let mut server = Server::new();
        server.create("/a", b"new");
        let txn = CreateTxn {
            path: "/a".into(),
            data: Some(b"old".to_vec()),
            acl: acl_of("x"),
            ephemeral: false,
            parent_c_version: 7,
        };
        let result = server.apply(op, SESSION, Some(TxnBody::Create(txn.clone())));
        assert_eq!(result.err, KeeperError::NodeExists.code());
        assert_eq!(server.tree.get_data("/a", None).unwrap().0, Some(&b"new"[..]));
        assert_eq!(*server.tree.acl("/a").unwrap().0, acl_of("x"));
        let root = server.tree.node("/").unwrap().stat_persisted();
        assert_eq!((root.cversion, root.pzxid), (7, Zxid(2)));
        // An older transaction lowers nothing.
        let older = CreateTxn { parent_c_version: 3, ..txn };
        server.apply(op, SESSION, Some(TxnBody::Create(older)));
        let root = server.tree.node("/").unwrap().stat_persisted();
        assert_eq!((root.cversion, root.pzxid), (7, Zxid(2)));
        check_tree(&server.tree);
    }
}

#[test]
fn a_create_of_the_root_meets_the_root() {
    let mut server = Server::new();
    let result = server.create("/", b"x");
    assert_eq!(result.err, KeeperError::NodeExists.code());
    assert_eq!(server.tree.node("/").unwrap().data(), Some(&[][..]));
    assert_eq!(server.delete("/").err, KeeperError::NoNode.code());
    check_tree(&server.tree);
}

#[test]
fn a_create_of_an_old_log_counts_up_from_the_parents_version() {
    let mut server = Server::new();
    for (path, cversion) in [("/a", 1), ("/b", 2)] {
        let txn = CreateTxn { path: path.into(), parent_c_version: -1, ..CreateTxn::default() };
        server.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn)));
        assert_eq!(server.tree.node("/").unwrap().stat_persisted().cversion, cversion);
    }
    assert_eq!(server.tree.node("/a").unwrap().data(), None);
}

#[test]
fn a_create_with_a_lower_parent_version_does_not_revert_the_parent() {
    let mut server = Server::new();
    server.create("/a", b"");
    server.create("/b", b"");
    let txn = CreateTxn { path: "/c".into(), parent_c_version: 1, ..CreateTxn::default() };
    server.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn)));
    let root = server.tree.node("/").unwrap().stat_persisted();
    assert_eq!((root.cversion, root.pzxid), (2, Zxid(2)));
    assert!(server.tree.node("/c").is_some());
}

#[test]
fn delete_removes_the_node_and_sets_the_parents_pzxid_only() {
    let mut server = Server::new();
    server.create("/a", b"");
    server.create_container("/a/c");
    let result = server.delete("/a/c");
    assert_eq!((result.err, result.path.as_deref()), (0, Some("/a/c")));
    let stat = server.stat("/a");
    assert_eq!((stat.num_children, stat.cversion, stat.pzxid), (0, 2, Zxid(3)));
    assert!(server.tree.containers().is_empty());
    check_tree(&server.tree);
}

#[test]
fn a_delete_of_a_missing_node_still_raises_the_parents_pzxid_and_never_lowers_it() {
    let mut server = Server::new();
    server.create("/a", b"");
    assert_eq!(server.delete("/a/gone").err, KeeperError::NoNode.code());
    assert_eq!(server.stat("/a").pzxid, Zxid(2));
    let header = TxnHeader { zxid: Zxid(1), ..server.header(OpCode::Delete, SESSION) };
    let txn = TxnBody::Delete(DeleteTxn { path: "/a/gone".into() });
    server.tree.process_txn(&header, Some(txn));
    assert_eq!(server.stat("/a").pzxid, Zxid(2));
    assert_eq!(server.tree.last_processed_zxid(), Zxid(2));
    assert_eq!(server.delete("/no/parent").err, KeeperError::NoNode.code());
    check_tree(&server.tree);
}

#[test]
fn a_delete_that_meets_children_takes_them_along() {
    let mut server = Server::new();
    server.create("/a", b"");
    server.create("/a/b", b"1");
    server.create_ephemeral("/a/b/e", SESSION);
    server.create_ttl("/a/b/t", 7);
    server.create_container("/a/c");
    server.create("/a/c/d", b"2");
    server.create("/other", b"3");
    assert_eq!(server.delete("/a").err, 0);
    for path in ["/a", "/a/b", "/a/b/e", "/a/b/t", "/a/c", "/a/c/d"] {
        assert!(server.tree.node(path).is_none(), "{path}");
    }
    check_tree(&server.tree);
    assert_eq!(server.tree.node_count(), 6);
}

#[test]
fn set_data_replaces_the_data_and_null_is_not_empty() {
    let mut server = Server::new();
    server.create("/a", b"old");
    for data in [Some(&b"longer than before"[..]), None, Some(b"")] {
        let result = server.set_data("/a", data);
        let zxid = result.zxid;
        let stat = result.stat.unwrap();
        assert_eq!(server.tree.get_data("/a", None).unwrap(), (data, stat.clone()));
        assert_eq!((stat.mzxid, stat.mtime, stat.czxid), (zxid, 1_000_000 + zxid.0, Zxid(1)));
        check_tree(&server.tree);
    }
    assert_eq!(server.stat("/a").version, 3);
    assert_eq!(server.set_data("/b", None).err, KeeperError::NoNode.code());
    assert_eq!(server.set_data("/", Some(b"root")).err, 0);
    check_tree(&server.tree);
}

#[test]
fn reconfig_writes_the_config_node() {
    let mut server = Server::new();
    let data = Some(b"server.1=a:1:2".to_vec());
    let txn = SetDataTxn { path: CONFIG_NODE.into(), data, version: -1 };
    let result = server.apply(OpCode::Reconfig, SESSION, Some(TxnBody::SetData(txn)));
    assert_eq!(result.stat.unwrap().version, -1);
    assert_eq!(server.tree.get_data(CONFIG_NODE, None).unwrap().0, Some(&b"server.1=a:1:2"[..]));
}

#[test]
fn set_acl_changes_the_acl_and_its_version() {
    let mut server = Server::new();
    server.create("/a", b"");
    let result = server.set_acl("/a", acl_of("x"));
    let stat = result.stat.unwrap();
    assert_eq!((stat.aversion, stat.mzxid, stat.version), (1, Zxid(1), 0));
    assert_eq!(server.tree.acl("/a").unwrap(), (acl_of("x").into(), stat));
    assert_eq!(server.set_acl("/b", acl_of("x")).err, KeeperError::NoNode.code());
    check_tree(&server.tree);
    server.delete("/a");
    check_tree(&server.tree);
}

#[test]
fn close_session_deletes_what_is_listed_and_then_what_is_left() {
    let mut server = Server::new();
    let other = SessionId(9);
    server.create("/d", b"");
    for path in ["/d/1", "/d/2", "/3"] {
        server.create_ephemeral(path, SESSION);
    }
    server.create_ephemeral("/d/other", other);
    let paths2_delete = vec!["/d/1".into(), "/d/gone".into(), "/d/other".into()];
    let txn = TxnBody::CloseSession(CloseSessionTxn { paths2_delete });
    let result = server.apply(OpCode::CloseSession, SESSION, Some(txn));
    assert_eq!((result.err, result.path), (0, None));
    // As in Java, the list is used without checks.
    for path in ["/d/1", "/d/2", "/3", "/d/other"] {
        assert!(server.tree.node(path).is_none(), "{path}");
    }
    assert_eq!(server.stat("/d").pzxid, result.zxid);
    assert!(server.tree.ephemerals(SESSION).is_empty());
    check_tree(&server.tree);
}

#[test]
fn a_close_session_without_a_record_deletes_what_the_server_knows() {
    let mut server = Server::new();
    server.create_ephemeral("/1", SESSION);
    server.create_ephemeral("/2", SESSION);
    server.create_ephemeral("/other", SessionId(9));
    server.apply(OpCode::CloseSession, SESSION, None);
    assert!(server.tree.node("/1").is_none() && server.tree.node("/2").is_none());
    assert_eq!(server.tree.sessions().collect::<Vec<_>>(), [SessionId(9)]);
    check_tree(&server.tree);
}

#[test]
fn a_session_stays_listed_until_it_is_closed() {
    let mut server = Server::new();
    server.create_ephemeral("/e", SESSION);
    assert_eq!(server.tree.ephemeral_paths(SESSION).collect::<Vec<_>>(), ["/e"]);
    server.delete("/e");
    assert_eq!(server.tree.sessions().collect::<Vec<_>>(), [SESSION]);
    assert_eq!(server.tree.ephemeral_paths(SESSION).count(), 0);
    server.close_session(SESSION);
    assert_eq!(server.tree.sessions().count(), 0);
    assert_eq!(server.tree.ephemerals_count(), 0);
}

#[test]
fn the_audit_is_told_of_every_ephemeral_node_of_a_closed_session() {
    struct Audit(RankedMutex<Vec<String>>);
    impl AuditLogger for Audit {
        fn log_audit_event(&self, event: &AuditEvent) {
            self.0.lock().push(event.to_string());
        }
    }
    let audit = Arc::new(Audit(RankedMutex::new(Rank::Leaf, "audit", Vec::new())));
    let mut server = Server::new();
    let provider = ZKAuditProvider::with_logger(audit.clone(), "zk".into());
    server.tree.parts.audit = Arc::new(provider);
    server.create_ephemeral("/e", SESSION);
    let txn = CloseSessionTxn { paths2_delete: vec!["/gone".into()] };
    server.apply(OpCode::CloseSession, SESSION, Some(TxnBody::CloseSession(txn)));
    let logged = std::mem::take(&mut *audit.0.lock());
    assert_eq!(logged.len(), 2);
    for (line, (znode, result)) in logged.iter().zip([("/gone", "failure"), ("/e", "success")]) {
        for part in [format!("znode={znode}\t"), format!("result={result}")] {
            assert!(line.contains(&part), "{line}");
        }
        assert!(line.contains("session=0x1000000000000007\t"), "{line}");
    }
}

#[test]
fn sessions_and_errors_move_the_zxid_and_nothing_else() {
    let mut server = Server::new();
    let before = server.tree.contents().nodes;
    server.apply(OpCode::CreateSession, SESSION, Some(TxnBody::CreateSession(Default::default())));
    let txn = TxnBody::Error(ErrorTxn { err: KeeperError::NoNode.code() });
    let result = server.apply(OpCode::Error, SESSION, Some(txn));
    assert_eq!(result.err, KeeperError::NoNode.code());
    server.apply(OpCode::CloseSession, SESSION, None);
    assert_eq!(server.tree.contents().nodes, before);
    assert_eq!(server.tree.last_processed_zxid(), Zxid(3));
}

fn delete_part(path: &str) -> (OpCode, TxnBody) {
    (OpCode::Delete, TxnBody::Delete(DeleteTxn { path: path.into() }))
}

fn error_part(error: KeeperError) -> (OpCode, TxnBody) {
    (OpCode::Error, TxnBody::Error(ErrorTxn { err: error.code() }))
}

#[test]
fn a_multi_applies_its_parts_in_order() {
    let mut server = Server::new();
    server.create("/a", b"");
    let check = CheckVersionTxn { path: "/a".into(), version: 0 };
    let set = SetDataTxn { path: "/a/b".into(), data: Some(b"2".to_vec()), version: 1 };
    let container = server.create_txn("/a/c", b"", false);
    let container = CreateContainerTxn {
        path: container.path,
        data: container.data,
        acl: container.acl,
        parent_c_version: 2,
    };
    let ttl =
        CreateTTLTxn { path: "/a/t".into(), parent_c_version: 3, ttl: 4, ..Default::default() };
    let parts = vec![
        (OpCode::Check, TxnBody::CheckVersion(check)),
        (OpCode::Create, TxnBody::Create(server.create_txn("/a/b", b"1", false))),
        (OpCode::SetData, TxnBody::SetData(set)),
        (OpCode::CreateContainer, TxnBody::CreateContainer(container)),
        (OpCode::CreateTtl, TxnBody::CreateTtl(ttl)),
        delete_part("/a/c"),
        (OpCode::Create2, TxnBody::Create(server.create_txn("/a/e", b"e", true))),
        (OpCode::DeleteContainer, delete_part("/a/t").1),
    ];
    let result = server.multi(parts);
    assert_eq!((result.err, result.path), (0, None));
    let parts = result.multi_result.unwrap();
    let types: Vec<i32> = parts.iter().map(|part| part.r#type).collect();
    assert_eq!(types, [13, 1, 5, 19, 21, 2, 15, 20]);
    assert!(parts.iter().all(|part| part.err == 0 && part.zxid == Zxid(2) && part.cxid == 3));
    let with_stat: Vec<bool> = parts.iter().map(|part| part.stat.is_some()).collect();
    assert_eq!(with_stat, [false, false, true, true, true, false, true, false]);
    assert_eq!(parts[0].path.as_deref(), Some("/a"));
    assert_eq!(server.tree.get_data("/a/b", None).unwrap().0, Some(&b"2"[..]));
    assert_eq!(server.tree.ephemerals(SESSION), ["/a/e"]);
    assert_eq!(server.stat("/a").num_children, 2);
    check_tree(&server.tree);
}

#[test]
fn a_multi_with_an_error_changes_nothing() {
    let mut server = Server::new();
    server.create("/a", b"");
    let before = server.tree.contents();
    let result = server.multi(vec![
        delete_part("/a"),
        error_part(KeeperError::BadVersion),
        error_part(KeeperError::RuntimeInconsistency),
        delete_part("/b"),
    ]);
    assert_eq!(result.err, KeeperError::BadVersion.code());
    assert_eq!(result.r#type, OpCode::Multi.code());
    let parts = result.multi_result.unwrap();
    let codes: Vec<(i32, i32)> = parts.iter().map(|part| (part.r#type, part.err)).collect();
    assert_eq!(codes, [(-1, 0), (-1, -103), (-1, -2), (-1, -2)]);
    let after = server.tree.contents();
    assert_eq!((after.nodes, after.digest), (before.nodes, before.digest));
    assert_eq!(after.last_processed_zxid, Zxid(2));
}

#[test]
fn a_replayed_multi_goes_on_after_a_part_that_fails() {
    let mut server = Server::new();
    server.create("/a", b"");
    let result = server.multi(vec![delete_part("/gone"), delete_part("/a")]);
    assert_eq!(result.err, KeeperError::NoNode.code());
    let parts = result.multi_result.unwrap();
    assert_eq!((parts[0].err, parts[1].err), (KeeperError::NoNode.code(), 0));
    assert!(server.tree.node("/a").is_none());
}

#[test]
fn a_create_in_a_multi_that_meets_its_node_raises_the_parent() {
    let mut server = Server::new();
    server.create("/a", b"");
    let txn = CreateTxn { parent_c_version: 9, ..server.create_txn("/a", b"", false) };
    server.multi(vec![(OpCode::Create, TxnBody::Create(txn))]);
    assert_eq!(server.tree.node("/").unwrap().stat_persisted().cversion, 9);
}

#[test]
fn a_multi_with_a_part_that_cannot_be_read_ends_there() {
    let mut server = Server::new();
    server.create("/a", b"");
    server.create("/b", b"");
    let part = |op: OpCode, data: Option<Vec<u8>>| Txn { r#type: op.code(), data };
    for bad in [
        part(OpCode::Delete, Some(vec![0, 0])),
        part(OpCode::Delete, None),
        part(OpCode::CloseSession, Some(vec![])),
        Txn { r#type: 77, data: Some(vec![]) },
    ] {
        let delete = |path: &str| part(OpCode::Delete, Some(delete_part(path).1.to_bytes()));
        let txns = vec![delete("/a"), bad, delete("/b")];
        let txn = TxnBody::Multi(MultiTxn { txns });
        let result = server.apply(OpCode::Multi, SESSION, Some(txn));
        assert_eq!(result.multi_result.unwrap().len(), 1);
        assert!(server.tree.node("/a").is_none());
        assert!(server.tree.node("/b").is_some());
        server.create("/a", b"");
    }
}

#[test]
fn all_descendants_are_counted() {
    let mut server = Server::new();
    for path in ["/a", "/a/b", "/a/b/1", "/a/b/2", "/a/b/3", "/ab"] {
        server.create(path, b"");
    }
    for (path, number) in [("/a", 4), ("/a/b", 3), ("/a/b/1", 0), ("/x", 0), ("/", 9)] {
        assert_eq!(server.tree.all_children_number(path), number, "{path}");
    }
}

#[test]
fn children_are_found_and_their_places_are_used_again() {
    let mut server = Server::new();
    server.create("/p", b"");
    for round in 0..3 {
        for number in 0..2000 {
            server.create(&format!("/p/{number}"), b"");
        }
        for number in (0..2000).filter(|number| number % 3 != round) {
            server.delete(&format!("/p/{number}"));
        }
        let (node, stat) = server.tree.children("/p", None).unwrap();
        assert_eq!(usize::try_from(stat.num_children), Ok(node.children().count()));
        for name in node.children() {
            assert_eq!(name.parse::<i32>().unwrap() % 3, round);
        }
        for number in (0..2000).filter(|number| number % 3 == round) {
            server.delete(&format!("/p/{number}"));
        }
        assert_eq!(server.tree.node("/p").unwrap().children().next(), None);
    }
    check_tree(&server.tree);
}

#[test]
fn a_path_of_five_thousand_names_needs_no_deep_stack() {
    let mut server = Server::new();
    let mut path = String::new();
    for _ in 0..5_000 {
        path.push_str("/a");
        server.create(&path, b"x");
    }
    assert_eq!(server.tree.all_children_number("/a"), 4_999);
    let mut bytes = Vec::new();
    server.tree.serialize(&mut bytes);
    let config = *server.tree.config();
    let mut tree = load(&bytes, config).unwrap();
    assert_eq!(tree.tree_digest(), server.tree.tree_digest());
    let header = server.header(OpCode::Delete, SESSION);
    tree.process_txn(&header, Some(TxnBody::Delete(DeleteTxn { path: "/a".into() })));
    assert_eq!(tree.node_count(), 5);
    check_tree(&tree);
}
