//! Usage and limits.

use super::*;
use crate::quotas::{limit_path, quota_path, stat_path};
use crate::server::data_tree::quota::QuotaViolation;
use crate::stats_track::StatsTrack;

/// Sets a quota like the command line client: the path in the quota tree, the limits, the usage.
fn set_quota(server: &mut Server, path: &str, limits: &str) {
    let mut walked = String::new();
    for name in quota_path(path).trim_start_matches('/').split('/') {
        walked.push('/');
        walked.push_str(name);
        if server.tree.node(&walked).is_none() {
            server.create(&walked, b"");
        }
    }
    server.create(&limit_path(path), limits.as_bytes());
    server.create(&stat_path(path), b"count=-1,bytes=-1");
}

fn usage(tree: &DataTree, path: &str) -> (i64, i64) {
    let node = tree.node(&stat_path(path)).unwrap();
    let stats = StatsTrack::from_data(node.data()).unwrap();
    (stats.count(), stats.bytes())
}

#[test]
fn usage_counts_the_node_and_all_below_it() {
    let mut server = Server::new();
    server.create("/a", b"12345");
    server.create("/a/b", b"123");
    set_quota(&mut server, "/a", "count=10,bytes=100");
    assert_eq!(usage(&server.tree, "/a"), (2, 8));
    server.create("/a/b/c", b"1");
    server.create("/ab", b"not below");
    assert_eq!(usage(&server.tree, "/a"), (3, 9));
    server.set_data("/a/b", Some(b""));
    server.set_data("/a", None);
    assert_eq!(usage(&server.tree, "/a"), (3, 1));
    server.delete("/a/b/c");
    assert_eq!(usage(&server.tree, "/a"), (2, 0));
    assert_eq!(server.tree.node(&stat_path("/a")).unwrap().data(), Some(&b"count=2,bytes=0"[..]));
    check_tree(&server.tree);
}

#[test]
fn a_quota_ends_with_its_limit_node() {
    let mut server = Server::new();
    server.create("/a", b"");
    set_quota(&mut server, "/a", "count=10,bytes=100");
    assert_eq!(server.tree.max_prefix_with_quota("/a/b/c").as_deref(), Some("/a"));
    assert_eq!(server.tree.max_prefix_with_quota("/"), None);
    server.delete(&limit_path("/a"));
    assert_eq!(server.tree.max_prefix_with_quota("/a"), None);
    server.create("/a/b", b"");
    assert_eq!(usage(&server.tree, "/a"), (1, 0));
}

#[test]
fn the_deepest_quota_counts_alone() {
    let mut server = Server::new();
    server.create("/a", b"1");
    server.create("/a/b", b"1");
    set_quota(&mut server, "/a", "count=10");
    set_quota(&mut server, "/a/b", "count=10");
    server.create("/a/b/c", b"1");
    assert_eq!(usage(&server.tree, "/a"), (2, 2));
    assert_eq!(usage(&server.tree, "/a/b"), (2, 2));
}

#[test]
fn usage_changes_the_state_of_its_node_in_nothing_but_the_length() {
    let mut server = Server::new();
    server.create("/a", b"");
    set_quota(&mut server, "/a", "count=10");
    let before = server.tree.node(&stat_path("/a")).unwrap().stat_persisted();
    let digest = server.tree.tree_digest();
    server.create("/a/b", b"");
    server.delete("/a/b");
    assert_eq!(server.tree.node(&stat_path("/a")).unwrap().stat_persisted(), before);
    assert_ne!(server.tree.tree_digest(), digest, "of /a");
}

#[test]
fn limits_are_checked_nodes_before_bytes_and_hard_before_soft() {
    let mut server = Server::new();
    server.create("/a", b"12345");
    set_quota(&mut server, "/a", "count=1,bytes=5=;byteHardLimit=8");
    let violations = |bytes, count| server.tree.quota_violations("/a/b", bytes, count).unwrap();
    assert_eq!(violations(3, 0), []);
    let soft = QuotaViolation {
        message: "Quota exceeded: /a [current count=2, softCountLimit=1]".into(),
        hard: false,
    };
    let hard = QuotaViolation {
        message: "Quota exceeded: /a [current bytes=9, hardByteLimit=8]".into(),
        hard: true,
    };
    assert_eq!(violations(3, 1), std::slice::from_ref(&soft));
    assert_eq!(violations(4, 1), [soft, hard.clone()]);
    assert_eq!(violations(4, 0), [hard]);
    assert_eq!(server.tree.quota_violations("/b", 1000, 1000), Ok(vec![]));
    server.set_data(&limit_path("/a"), Some(b"count=5,bytes=5=;countHardLimit=1"));
    let violations = server.tree.quota_violations("/a/b", 100, 1).unwrap();
    assert_eq!(violations.len(), 1);
    assert!(violations[0].hard && violations[0].message.contains("hardCountLimit=1"));
}

#[test]
fn a_quota_that_cannot_be_read_stops_clients_and_no_transaction() {
    let mut server = Server::new();
    server.create("/a", b"");
    set_quota(&mut server, "/a", "count=1");
    server.set_data(&stat_path("/a"), Some(b"garbage"));
    assert_eq!(server.create("/a/b", b"").err, 0);
    assert!(server.tree.quota_violations("/a/c", 1, 1).is_err(), "usage");
    server.set_data(&limit_path("/a"), Some(b"count=x"));
    assert!(server.tree.quota_violations("/a/c", 1, 1).is_err(), "limits");
    server.set_data(&limit_path("/a"), None);
    assert!(server.tree.quota_violations("/a/c", 1, 1).is_err(), "null limits");
    server.delete(&stat_path("/a"));
    assert_eq!(server.create("/a/c", b"").err, 0);
    // This limit node has no path.
    assert_eq!(server.create(&limit_path(""), b"count=1").err, 0);
    assert_eq!(server.delete(&limit_path("")).err, 0);
    assert_eq!(server.create("/zookeeper/zookeeper_limits", b"").err, 0);
    assert_eq!(server.delete("/zookeeper/zookeeper_limits").err, 0);
    check_tree(&server.tree);
}

#[test]
fn usage_is_counted_anew_when_a_tree_is_loaded() {
    let mut server = Server::new();
    server.create("/a", b"12345");
    set_quota(&mut server, "/a", "count=1,bytes=5");
    server.create("/a/b", b"1");
    server.set_data(&stat_path("/a"), Some(b"count=100,bytes=100"));
    server.create(&limit_path(""), b"count=1");
    let mut bytes = Vec::new();
    server.tree.serialize(&mut bytes);
    let tree = load(&bytes, *server.tree.config()).unwrap();
    assert_eq!(usage(&tree, "/a"), (2, 6));
    assert_eq!(tree.max_prefix_with_quota("/a/b").as_deref(), Some("/a"));
    check_tree(&tree);
}

#[test]
fn loading_forgets_the_quotas_of_the_old_tree() {
    let mut server = Server::new();
    server.create("/a", b"");
    set_quota(&mut server, "/a", "count=1");
    let mut bytes = Vec::new();
    new_tree(extended()).serialize(&mut bytes);
    server.tree.deserialize(&mut BinaryInputArchive::new(&bytes[..], Limits::default())).unwrap();
    assert_eq!(server.tree.max_prefix_with_quota("/a"), None);
    assert_eq!(server.tree.contents().nodes, new_tree(extended()).contents().nodes);
}

#[test]
fn a_delete_that_takes_children_along_counts_them_too() {
    let mut server = Server::new();
    for path in ["/a", "/a/b", "/a/b/c", "/a/b/d"] {
        server.create(path, b"12");
    }
    set_quota(&mut server, "/a", "count=10");
    server.delete("/a/b");
    assert_eq!(usage(&server.tree, "/a"), (1, 2));
    // Deleting a node above the limit node removes the quota.
    server.delete(&quota_path("/a"));
    assert_eq!(server.tree.max_prefix_with_quota("/a"), None);
    check_tree(&server.tree);
}
