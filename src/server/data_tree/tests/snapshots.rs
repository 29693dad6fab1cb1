//! Complete, fuzzy and damaged snapshots.

use super::*;

fn serialized(tree: &DataTree) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.serialize(&mut bytes);
    bytes
}

#[test]
fn a_new_tree_takes_as_many_bytes_as_in_java() {
    // A snapshot of Java's empty tree has 424 bytes up to its first seal: header 16, no session 4, seal 13.
    let bytes = serialized(&new_tree(DataTreeConfig::default()));
    assert_eq!(bytes.len(), 424 - 16 - 4 - 13);
}

#[test]
fn a_tree_is_read_back_as_it_was() {
    let mut server = Server::new();
    server.create("/a", b"1");
    server.create("/a/\u{4e2d}", b"");
    server.set_data("/a", None);
    server.set_acl("/a", acl_of("x"));
    server.create_ephemeral("/a/e", SESSION);
    server.create_container("/c");
    server.create_ttl("/c/t", 5);
    server.delete("/a/\u{4e2d}");
    server.set_data("/", Some(b"root"));
    let mut tree = load(&serialized(&server.tree), *server.tree.config()).unwrap();
    check_tree(&tree);
    tree.set_last_processed_zxid(server.tree.last_processed_zxid());
    assert_eq!(tree.contents(), server.tree.contents());
}

#[test]
fn pieces_of_any_size_make_the_same_snapshot() {
    let mut server = Server::new();
    for number in 0..50 {
        server.create(&format!("/{number}"), b"data");
        server.create(&format!("/{number}/c"), b"data");
    }
    let whole = serialized(&server.tree);
    for about_bytes in [1, 100, 5000, usize::MAX] {
        let mut cursor = SnapshotCursor::new(&server.tree);
        let (mut bytes, mut chunks) = (Vec::new(), 1);
        while cursor.next_chunk(&server.tree, &mut bytes, about_bytes).unwrap() {
            chunks += 1;
        }
        assert_eq!(bytes, whole);
        assert!(chunks >= whole.len() / about_bytes.saturating_add(100), "{chunks}");
        assert_eq!(cursor.next_chunk(&server.tree, &mut bytes, 1), Ok(false));
        assert_eq!(bytes.len(), whole.len());
    }
}

/// The paths in a complete snapshot.
fn paths(bytes: &[u8]) -> Vec<String> {
    let tree = load(bytes, extended()).unwrap();
    tree.all_nodes().map(|node| node.path().to_owned()).collect()
}

/// Starts a snapshot and writes it up to and including a node.
fn snapshot_up_to(server: &Server, path: &str, bytes: &mut Vec<u8>) -> SnapshotCursor {
    let mut cursor = SnapshotCursor::new(&server.tree);
    assert_eq!(cursor.next_chunk(&server.tree, bytes, 0), Ok(true));
    let mut written = Vec::new();
    while written != path.as_bytes() {
        let start = bytes.len() + 4;
        assert_eq!(cursor.next_chunk(&server.tree, bytes, 1), Ok(true));
        let len = bytes[start - 1] as usize;
        written = bytes[start..start + len].to_vec();
    }
    cursor
}

fn finish(cursor: &mut SnapshotCursor, server: &Server, bytes: &mut Vec<u8>) {
    while cursor.next_chunk(&server.tree, bytes, 1).unwrap() {}
}

#[test]
fn a_child_that_is_created_after_its_parent_was_written_is_left_out() {
    let mut server = Server::new();
    server.create("/a", b"");
    server.create("/a/old", b"");
    let mut bytes = Vec::new();
    let mut cursor = snapshot_up_to(&server, "/a", &mut bytes);
    server.create("/a/new", b"");
    server.create("/a/old/new", b"");
    finish(&mut cursor, &server, &mut bytes);
    let paths = paths(&bytes);
    assert!(paths.contains(&"/a/old/new".to_owned()), "its parent was not written before");
    assert!(!paths.contains(&"/a/new".to_owned()));
}

#[test]
fn a_snapshot_survives_the_deletion_of_the_node_where_it_stands() {
    let mut server = Server::new();
    for path in ["/1", "/2", "/2/a", "/2/a/b", "/2/a/c", "/2/d", "/3"] {
        server.create(path, b"");
    }
    // Newest first: /3, /2, /2/d, /2/a, /2/a/c, /2/a/b, /1.
    let mut bytes = Vec::new();
    let mut cursor = snapshot_up_to(&server, "/2/d", &mut bytes);
    for path in ["/2/a/b", "/2/a/c", "/2/a"] {
        server.delete(path);
    }
    // Other nodes reuse the slots of the deleted ones.
    for path in ["/x", "/y", "/z"] {
        server.create(path, b"");
    }
    finish(&mut cursor, &server, &mut bytes);
    let paths = paths(&bytes);
    assert_eq!(paths.iter().filter(|path| !path.starts_with("/zookeeper")).count(), 5, "{paths:?}");
    assert!(["/1", "/2", "/2/d", "/3"].iter().all(|path| paths.iter().any(|found| found == path)));
}

#[test]
fn a_snapshot_survives_the_deletion_of_the_last_node() {
    let mut server = Server::new();
    server.create("/1", b"");
    let mut bytes = Vec::new();
    // The oldest child of the root is the system's node. It and all nodes below it are deleted during the
    // snapshot.
    let mut cursor = snapshot_up_to(&server, "/zookeeper", &mut bytes);
    server.delete("/zookeeper");
    finish(&mut cursor, &server, &mut bytes);
    assert_eq!(paths(&bytes).len(), 3);
}

#[test]
fn two_snapshots_at_once_do_not_disturb_each_other_and_leave_nothing_behind() {
    let mut server = Server::new();
    for number in 0..20 {
        server.create(&format!("/{number}"), b"");
    }
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let mut first = snapshot_up_to(&server, "/15", &mut one);
    let mut second = snapshot_up_to(&server, "/10", &mut two);
    for number in 5..15 {
        server.delete(&format!("/{number}"));
    }
    finish(&mut first, &server, &mut one);
    finish(&mut second, &server, &mut two);
    assert_eq!(paths(&one).len(), 4 + 10);
    assert_eq!(paths(&two).len(), 4 + 10 + 5, "10 to 14 were written before");
    drop((first, second));
    server.delete("/0");
    assert!(!server.tree.snapshots.is_any_running());
}

#[test]
fn a_snapshot_ends_when_the_tree_is_replaced() {
    let mut server = Server::new();
    let mut cursor = SnapshotCursor::new(&server.tree);
    let mut bytes = Vec::new();
    cursor.next_chunk(&server.tree, &mut bytes, 1).unwrap();
    let other = serialized(&server.tree);
    server.tree.deserialize(&mut BinaryInputArchive::new(&other[..], Limits::default())).unwrap();
    assert_eq!(cursor.next_chunk(&server.tree, &mut bytes, 1), Err(TreeReplaced));
}

#[test]
fn an_acl_that_was_set_while_a_snapshot_was_taken_is_closed_until_replay_sets_it() {
    let mut server = Server::new();
    server.create("/a", b"");
    let start = server.tree.last_processed_zxid();
    let mut cursor = SnapshotCursor::new(&server.tree);
    let mut bytes = Vec::new();
    cursor.next_chunk(&server.tree, &mut bytes, 1).unwrap();
    server.set_acl("/a", acl_of("x"));
    let txn = CreateTxn { acl: acl_of("y"), ..server.create_txn("/b", b"", false) };
    server.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn)));
    finish(&mut cursor, &server, &mut bytes);
    let mut tree = load(&bytes, extended()).unwrap();
    check_tree(&tree);
    for path in ["/a", "/b"] {
        let acl = tree.acl(path).unwrap().0;
        assert!(acl.len() == 1 && acl[0].perms == 0, "{acl:?}");
    }
    tree.set_last_processed_zxid(start);
    server.replay_onto(&mut tree, start);
    check_tree(&tree);
    assert_eq!(tree.contents(), server.tree.contents());
}

#[test]
fn every_broken_snapshot_is_refused_and_leaves_an_empty_tree() {
    let mut server = Server::new();
    server.create("/a", b"1");
    server.create("/a/b", b"1");
    let good = serialized(&server.tree);
    let mut tree = new_tree(extended());
    for len in 0..good.len() {
        let mut archive = BinaryInputArchive::new(&good[..len], Limits::default());
        let problem = tree.deserialize(&mut archive).unwrap_err();
        assert!(problem.is_end_of_input(), "at {len}: {problem}");
        assert!(tree.node("/").is_none() && tree.node("/a").is_none());
        assert_eq!((tree.node_count(), tree.approximate_data_size()), (0, 0));
        assert_eq!((tree.all_children_number("/"), tree.tree_digest()), (0, 0));
    }
    tree.deserialize(&mut BinaryInputArchive::new(&good[..], Limits::default())).unwrap();
    check_tree(&tree);
    assert!(tree.node("/a/b").is_some());
}

/// A snapshot of nodes with these paths and owners, without ACLs.
fn of_nodes(nodes: &[(&str, i64)]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for (path, owner) in nodes {
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(&[0xff; 4]);
        bytes.extend_from_slice(&(-1_i64).to_be_bytes());
        let stat = StatPersisted { ephemeral_owner: *owner, ..StatPersisted::default() };
        bytes.extend_from_slice(&stat.to_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 0, 1, b'/']);
    bytes
}

#[test]
fn a_snapshot_that_is_no_tree_is_refused() {
    for (nodes, problem) in [
        (&[][..], "no root"),
        (&[("/a", 0)], "unable to find parent  of path /a"),
        (&[("", 0), ("/a/b", 0)], "unable to find parent /a of path /a/b"),
        (&[("", 0), ("/a/b", 0), ("/a", 0)], "unable to find parent /a"),
        (&[("", 0), ("a", 0)], "a is no path"),
        (&[("", 0), ("/a", -2)], "Invalid ephemeralOwner. [fffffffffffffffe]"),
    ] {
        let error = load(&of_nodes(nodes), extended()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(problem), "{nodes:?}: {error}");
    }
}

#[test]
fn nodes_may_come_in_any_order_with_parents_before_children() {
    let nodes = [("", 0), ("/a", 0), ("/b", 0), ("/a/c", 0), ("/b/d", 0), ("/a/c/e", 0), ("/f", 0)];
    let tree = load(&of_nodes(&nodes), extended()).unwrap();
    check_tree(&tree);
    assert_eq!(tree.node_count(), 8);
    assert_eq!(tree.all_children_number("/a"), 2);
    assert!(tree.node(PROC_ZOOKEEPER).is_none());
}

#[test]
fn of_two_nodes_with_one_path_the_later_one_counts() {
    // One input has the order of snapshots; the others require a lookup of parents.
    for nodes in [
        &[("", 0), ("/a", 7), ("/a/b", 0), ("/a", i64::MIN), ("/a/b", 9), ("/a/c", 0), ("", 0)][..],
        &[("", 0), ("/a", 7), ("/a/b", 9), ("/x", 0), ("/a/c", 0), ("/a", i64::MIN), ("", 0)],
        &[
            ("", 0),
            ("/a", 7),
            ("/a", i64::MIN),
            ("/a/b", 9),
            ("/a", i64::MIN),
            ("/a/c", 0),
            ("/x", 0),
        ],
        &[("", 0), ("/a", 7), ("/a", i64::MIN), ("/x", 0), ("/a/c", 0), ("/x", 0), ("/a/b", 9)],
    ] {
        let tree = load(&of_nodes(nodes), extended()).unwrap();
        check_tree(&tree);
        let has_x = usize::from(tree.node("/x").is_some());
        assert_eq!((tree.node_count(), tree.containers()), (5 + has_x, vec!["/a".to_owned()]));
        assert_eq!(tree.ephemerals_count(), 1);
        assert_eq!(tree.ephemerals(SessionId(9)), ["/a/b"]);
        assert_eq!(tree.node("/a").unwrap().child_count(), 2);
    }
}
