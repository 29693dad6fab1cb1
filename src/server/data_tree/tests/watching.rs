//! Which watchers are notified, and in which order.

use super::*;
use crate::proto::SetWatches2;
use crate::watcher::WatcherType;
use crate::zoo_defs::add_watch_modes::{PERSISTENT, PERSISTENT_RECURSIVE};

fn event(event_type: EventType, path: &str) -> (EventType, String) {
    (event_type, path.to_owned())
}

#[test]
fn create_tells_of_the_node_and_then_of_the_parents_children() {
    let mut server = Server::new();
    server.create("/p", b"");
    let listener = Listener::new();
    let watcher = listener.watcher();
    assert!(server.tree.stat_node("/p/n", Some(&watcher)).is_err());
    server.tree.children("/p", Some(&watcher)).unwrap();
    assert_eq!(server.tree.watch_count(), 2);
    server.create("/p/n", b"");
    let expected =
        [event(EventType::NodeCreated, "/p/n"), event(EventType::NodeChildrenChanged, "/p")];
    assert_eq!(listener.told(), expected);
    assert_eq!(server.tree.watch_count(), 0);
    server.delete("/p/n");
    assert_eq!(listener.told(), []);
}

#[test]
fn a_child_of_the_root_changes_the_children_of_the_root() {
    let mut server = Server::new();
    let listener = Listener::new();
    server.tree.children("/", Some(&listener.watcher())).unwrap();
    server.create("/a", b"");
    assert_eq!(listener.told(), [event(EventType::NodeChildrenChanged, "/")]);
}

#[test]
fn delete_tells_a_watcher_once_and_then_the_parents() {
    let mut server = Server::new();
    server.create("/p", b"");
    server.create("/p/n", b"");
    let (both, child_only) = (Listener::new(), Listener::new());
    server.tree.get_data("/p/n", Some(&both.watcher())).unwrap();
    server.tree.children("/p/n", Some(&both.watcher())).unwrap();
    server.tree.children("/p/n", Some(&child_only.watcher())).unwrap();
    server.tree.children("/p", Some(&both.watcher())).unwrap();
    server.delete("/p/n");
    let expected =
        [event(EventType::NodeDeleted, "/p/n"), event(EventType::NodeChildrenChanged, "/p")];
    assert_eq!(both.told(), expected);
    assert_eq!(child_only.told(), expected[..1]);
    assert_eq!(server.tree.watch_count(), 0);
}

#[test]
fn set_data_tells_and_set_acl_does_not() {
    let mut server = Server::new();
    server.create("/a", b"");
    let listener = Listener::new();
    server.tree.get_data("/a", Some(&listener.watcher())).unwrap();
    server.set_acl("/a", acl_of("x"));
    assert_eq!(listener.told(), []);
    server.set_data("/a", Some(b"1"));
    assert_eq!(listener.told(), [event(EventType::NodeDataChanged, "/a")]);
}

#[test]
fn a_missing_node_leaves_no_data_or_child_watch() {
    let server = Server::new();
    let watcher = Listener::new().watcher();
    assert!(server.tree.get_data("/no", Some(&watcher)).is_err());
    assert!(server.tree.children("/no", Some(&watcher)).is_err());
    assert_eq!(server.tree.watch_count(), 0);
}

#[test]
fn events_carry_the_zxid_and_the_acl_that_the_node_had() {
    let mut server = Server::new();
    server.create("/p", b"");
    server.set_acl("/p", acl_of("parent"));
    let listener = Listener::new();
    server.tree.add_watch("/p", &listener.watcher(), PERSISTENT_RECURSIVE).unwrap();
    server.tree.add_watch("/p", &listener.watcher(), PERSISTENT).unwrap();
    let txn = CreateTxn { acl: acl_of("child"), ..server.create_txn("/p/c", b"", false) };
    let created = server.apply(OpCode::Create, SESSION, Some(TxnBody::Create(txn))).zxid;
    server.set_acl("/p/c", acl_of("later"));
    let set = server.set_data("/p/c", None).zxid;
    let deleted = server.delete("/p/c").zxid;
    let told = std::mem::take(&mut *listener.told.lock());
    let expected = [
        (EventType::NodeCreated, "/p/c", created, acl_of("child")),
        (EventType::NodeChildrenChanged, "/p", created, acl_of("parent")),
        (EventType::NodeDataChanged, "/p/c", set, acl_of("later")),
        (EventType::NodeDeleted, "/p/c", deleted, acl_of("later")),
        (EventType::NodeChildrenChanged, "/p", deleted, acl_of("parent")),
    ];
    let expected = expected.map(|(kind, path, zxid, acl)| (kind, path.to_owned(), zxid, Some(acl)));
    assert_eq!(told, expected);
    check_tree(&server.tree);
}

#[test]
fn close_session_tells_of_each_ephemeral_node() {
    let mut server = Server::new();
    server.create_ephemeral("/e", SESSION);
    let listener = Listener::new();
    server.tree.stat_node("/e", Some(&listener.watcher())).unwrap();
    server.close_session(SESSION);
    assert_eq!(listener.told(), [event(EventType::NodeDeleted, "/e")]);
}

#[test]
fn watches_are_set_again_and_what_has_changed_is_told_at_once() {
    let mut server = Server::new();
    for path in ["/same", "/changed", "/born", "/children"] {
        server.create(path, b"");
    }
    let seen = server.tree.last_processed_zxid();
    server.set_data("/changed", Some(b"1"));
    server.create("/children/c", b"");
    let listener = Listener::new();
    let watcher = listener.watcher();
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let watches = SetWatches2 {
        relative_zxid: seen,
        data_watches: paths(&["/gone", "/changed", "/same"]),
        exist_watches: paths(&["/born", "/unborn"]),
        child_watches: paths(&["/gone", "/children", "/same"]),
        persistent_watches: paths(&["/persistent"]),
        persistent_recursive_watches: paths(&["/recursive"]),
    };
    server.tree.set_watches(&watches, &watcher).unwrap();
    let told = std::mem::take(&mut *listener.told.lock());
    let expected = [
        (EventType::NodeDeleted, "/gone"),
        (EventType::NodeDataChanged, "/changed"),
        (EventType::NodeCreated, "/born"),
        (EventType::NodeDeleted, "/gone"),
        (EventType::NodeChildrenChanged, "/children"),
    ];
    let expected = expected.map(|(kind, path)| (kind, path.to_owned(), Zxid::NONE, None));
    assert_eq!(told, expected);
    let contains = |path, kind| server.tree.contains_watcher(path, kind, &watcher).unwrap();
    assert!(contains("/same", WatcherType::Data) && contains("/same", WatcherType::Children));
    assert!(contains("/unborn", WatcherType::Data));
    assert!(contains("/persistent", WatcherType::Persistent));
    assert!(contains("/recursive", WatcherType::PersistentRecursive));
    assert!(!contains("/changed", WatcherType::Any));
}

#[test]
fn a_watch_is_removed_by_its_type() {
    let mut server = Server::new();
    server.create("/a", b"");
    let watcher = Listener::new().watcher();
    let tree = &server.tree;
    tree.get_data("/a", Some(&watcher)).unwrap();
    tree.children("/a", Some(&watcher)).unwrap();
    tree.add_watch("/a", &watcher, PERSISTENT).unwrap();
    assert!(tree.add_watch("/a", &watcher, 2).is_err());
    let remove = |kind| tree.remove_watch("/a", kind, &watcher).unwrap();
    assert!(remove(WatcherType::Data) && !remove(WatcherType::Data));
    assert!(remove(WatcherType::Children) && !remove(WatcherType::Children));
    assert!(!remove(WatcherType::PersistentRecursive));
    assert!(remove(WatcherType::Persistent));
    assert_eq!(tree.watch_count(), 0);
    tree.add_watch("/a", &watcher, PERSISTENT).unwrap();
    assert!(remove(WatcherType::Any) && !remove(WatcherType::Any));
    tree.add_watch("/a", &watcher, PERSISTENT).unwrap();
    tree.remove_cnxn(&watcher);
    assert_eq!(tree.watch_count(), 0);
}

#[test]
fn the_dumps_show_data_watches() {
    let mut server = Server::new();
    server.create("/a", b"");
    let listener = Listener::new();
    server.tree.get_data("/a", Some(&listener.watcher())).unwrap();
    let mut text = String::new();
    server.tree.dump_watches_summary(&mut text);
    assert!(text.starts_with("1 connections watching 1 paths"), "{text}");
    text.clear();
    server.tree.data_watches().dump_watches(&mut text, true);
    assert!(text.starts_with("/a\n\t0x1000000000000007"), "{text}");
    server.tree.shutdown_watcher();
}

#[test]
fn reads_and_writes_are_counted_by_their_first_name() {
    let mut server = Server::new();
    let metrics = ServerMetrics::with_default_provider();
    server.tree.parts.metrics = metrics.clone();
    server.create("/top1", b"");
    server.create("/top1/child", &[0; 100]);
    server.set_data("/top1/child", Some(&[0; 7]));
    server.tree.get_data("/top1/child", None).unwrap();
    server.tree.stat_node("/top1", None).unwrap();
    server.tree.children("/top1", None).unwrap();
    server.tree.children("/", None).unwrap();
    server.delete("/top1/child");
    let mut dumped = Vec::new();
    metrics.metrics_provider().dump(&mut |name, value| dumped.push(format!("{name} {value}")));
    let (writes, reads) =
        (5 + 11 + 100 + 11 + 7 + 11, 11 + 7 + 5 + 5 + 5 + 3 * STAT_OVERHEAD_BYTES);
    for line in [
        format!("sum_top1_write_per_namespace {writes}"),
        "cnt_top1_write_per_namespace 4".into(),
        format!("sum_top1_read_per_namespace {reads}"),
        "cnt_top1_read_per_namespace 3".into(),
    ] {
        assert!(dumped.contains(&line), "{line} {dumped:?}");
    }
}
