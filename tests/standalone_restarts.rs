//! What a standalone server keeps over restarts, and in which files (Java: SyncRequestProcessor.java,
//! FileTxnSnapLog.java, and the quotas of DataTree.java).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use common::{Client, DEADLINE, Server, ServerBuilder, client_config, wait_until};
use zookeeper_server::add_watch_mode::AddWatchMode;
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::internals::proto::CheckVersionRequest;
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::watcher::EventType;
use zookeeper_server::zoo_defs::{OpCode, ids};

fn make(client: &Client, path: &str, data: Option<&[u8]>) -> Option<KeeperError> {
    let made = client.create(path, data, ids::open_acl_unsafe(), CreateMode::Persistent);
    made.err().map(|error| error.keeper_error().unwrap())
}

/// The logs or snapshots of a server, oldest first.
fn files(server: &Server, kind: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(server.version_dir()).unwrap().map(|entry| entry.unwrap().path());
    let zxid = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        i64::from_str_radix(name.strip_prefix(kind)?.strip_prefix('.')?, 16).ok()
    };
    let by_zxid: BTreeMap<_, _> = files.filter_map(|path| Some((zxid(&path)?, path))).collect();
    by_zxid.into_values().collect()
}

/// Checks that each log ends between half of the limit and the whole limit. Then the server takes a snapshot, unless
/// one is under way.
#[track_caller]
fn logs_end_in_time(server: &Server, fewest: usize) {
    let (logs, snapshots) = (files(server, "log"), files(server, "snapshot"));
    assert!((fewest..=2 * fewest + 1).contains(&logs.len()), "{logs:?}");
    assert!((2..=logs.len() + 1).contains(&snapshots.len()), "{snapshots:?}");
}

/// The beginning of long node names.
const LONG: &str = "0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789";

mod bodies {
    use super::*;

    pub(crate) fn a_quota_holds_after_restarts_and_refusals_are_counted(builder: ServerBuilder) {
        let mut server = builder.property("zookeeper.enforceQuota", "true").start();
        let client = server.client();
        for path in ["/q", "/q/a", "/zookeeper/quota/q"] {
            assert_eq!(make(&client, path, Some(b"1234")), None);
        }
        let limits = "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3";
        let stats = "/zookeeper/quota/q/zookeeper_stats";
        assert_eq!(make(&client, stats, Some(b"count=0,bytes=0")), None);
        let path = "/zookeeper/quota/q/zookeeper_limits";
        assert_eq!(make(&client, path, Some(limits.as_bytes())), None);
        for restarts in 0..3 {
            let client = server.client();
            let usage = client.get_data(stats, false).unwrap().0.unwrap();
            assert_eq!(usage, b"count=2,bytes=8", "after {restarts} restarts");
            assert_eq!(make(&client, "/q/b", Some(b"123")), Some(KeeperError::QuotaExceeded));
            let set = client.set_data("/q/a", Some(b"1234567"), -1);
            assert_eq!(set.unwrap_err().keeper_error(), Some(KeeperError::QuotaExceeded));
            assert_eq!(make(&client, "/q/b", Some(b"12")), None);
            assert_eq!(make(&client, "/q/c", None), Some(KeeperError::QuotaExceeded));
            client.delete("/q/b", -1).unwrap();
            assert_eq!(server.monitor("q_quota_exceeded_error_per_namespace"), 3.0);
            client.close();
            server.stop();
            server.start_again();
        }
    }

    pub(crate) fn snapshots_come_as_often_as_the_number_of_writes_says(builder: ServerBuilder) {
        let mut server = builder
            .property("zookeeper.snapCount", "100")
            .property("zookeeper.forceSync", "no")
            .start();
        let client = server.client();
        for n in 0..800 {
            assert_eq!(make(&client, &format!("/n{n}"), None), None);
        }
        client.close();
        server.stop();
        logs_end_in_time(&server, 8);
        // Only the beginning of the newest snapshot has reached the disk.
        let newest = files(&server, "snapshot").pop().unwrap();
        File::options().write(true).open(newest).unwrap().set_len(3).unwrap();
        server.start_again();
        let client = server.client();
        assert!(client.exists("/n799", false).unwrap().is_some());
        assert_eq!(client.get_data("/n7", false).unwrap().0, None);
        assert_eq!(client.get_all_children_number("/").unwrap(), 803);
    }

    pub(crate) fn snapshots_come_as_often_as_the_size_of_the_log_says(builder: ServerBuilder) {
        const PER_LOG: usize = 128;
        let mut server = builder
            .property("zookeeper.snapSizeLimitInKb", "512")
            // Java also counts the bytes that are only reserved.
            .property("zookeeper.preAllocSize", "50")
            .property("zookeeper.forceSync", "no")
            .start();
        let client = server.client();
        for n in 0..5 * PER_LOG {
            assert_eq!(make(&client, &format!("/n{n}"), Some(&[b'0'; 4096])), None);
        }
        client.close();
        server.stop();
        logs_end_in_time(&server, 5);
    }

    pub(crate) fn what_is_too_large_for_the_limit_is_not_read_from_disk(builder: ServerBuilder) {
        for is_in_snapshot in [false, true] {
            let mut server = builder.clone().start();
            let client = server.client();
            assert_eq!(make(&client, "/large", Some(&[1; 5000])), None);
            client.close();
            server.stop();
            if is_in_snapshot {
                // One more start writes the node to a snapshot.
                server.start_again();
                wait_until("there is a snapshot with it", DEADLINE, || {
                    let newest = files(&server, "snapshot").pop().unwrap();
                    newest.metadata().unwrap().len() > 5000
                });
                server.stop();
            }
            server.set_property("jute.maxbuffer", "100");
            server.spawn();
            assert!(!server.wait_ended().success(), "it has started with what it may not read");
            server.set_property("jute.maxbuffer", "6000");
            server.start_again();
            assert_eq!(server.client().get_data("/large", false).unwrap().0, Some(vec![1; 5000]));
        }
    }

    pub(crate) fn digests_may_be_switched_off_and_on_between_starts(builder: ServerBuilder) {
        let mut server = builder.start();
        for (round, is_on) in [true, false, true, false, true].into_iter().enumerate() {
            if round > 0 {
                // With only one of the two settings, the server writes snapshots that Java cannot read.
                for key in ["digest.enabled", "serializeLastProcessedZxid.enabled"] {
                    server.set_property(&format!("zookeeper.{key}"), &is_on.to_string());
                }
                server.start_again();
            }
            let client = server.client();
            let path = format!("/r{round}");
            assert_eq!(make(&client, &path, Some(b"1")), None);
            client.set_data(&path, Some(b"2"), 0).unwrap();
            for before in 0..=round {
                let data = client.get_data(&format!("/r{before}"), false).unwrap().0;
                assert_eq!(data.unwrap(), b"2");
            }
            assert_eq!(server.monitor("digest_mismatches_count"), 0.0, "in round {round}");
            client.close();
            server.stop();
        }
    }

    pub(crate) fn a_lone_check_is_refused_and_leaves_a_log_that_can_be_read(
        builder: ServerBuilder,
    ) {
        let mut server = builder.start();
        assert_eq!(make(&server.client(), "/before", None), None);
        let mut raw = server.raw();
        raw.new_session();
        let request = CheckVersionRequest { path: "/".into(), version: -1 };
        let (header, _) = raw.ask(1, OpCode::Check, &request);
        assert_eq!(header.err, KeeperError::Unimplemented.code());
        server.kill9();
        server.start_again();
        assert!(server.client().exists("/before", false).unwrap().is_some());
    }

    /// Creates so many nodes with long paths that no single request can contain them. Returns their names.
    fn make_kids(client: &Client, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|n| format!("{LONG}-{n}")).collect();
        let submit = |name: &String| {
            let path = format!("/chroot/kids/{name}");
            client.submit_create(&path, None, ids::open_acl_unsafe(), CreateMode::Persistent)
        };
        let made: Vec<_> = names.iter().map(submit).collect();
        made.into_iter().for_each(|one| assert!(one.wait().is_ok()));
        names
    }

    pub(crate) fn watches_of_every_kind_are_there_again_after_a_restart(builder: ServerBuilder) {
        const MANY: usize = 1500;
        let mut server = builder.property("zookeeper.forceSync", "no").start();
        let writer = server.client();
        for path in ["/chroot", "/chroot/p", "/chroot/r", "/chroot/kids", "/chroot/gone"] {
            assert_eq!(make(&writer, path, None), None);
        }
        let watcher = server.client_below("/chroot", client_config());
        watcher.get_children("/kids", true).unwrap();
        watcher.get_children("/", true).unwrap();
        watcher.exists("/later", true).unwrap();
        watcher.exists("/gone", true).unwrap();
        watcher.add_watch("/p", AddWatchMode::Persistent).unwrap();
        watcher.add_watch("/r", AddWatchMode::PersistentRecursive).unwrap();
        let names = make_kids(&writer, MANY);
        let event = watcher.next_watch_event();
        assert_eq!(event.event_type, EventType::NodeChildrenChanged);
        watcher.get_children("/kids", true).unwrap();
        for name in &names {
            let _answered_later = watcher.submit_get_data(&format!("/kids/{name}"), true);
        }
        watcher.exists("/", false).unwrap();
        server.stop();
        server.start_again();
        assert!(watcher.wait_connected(DEADLINE) && writer.wait_connected(DEADLINE));
        wait_until("they are set again", DEADLINE, || {
            server.monitor("watch_count") >= (MANY + 6) as f64
        });
        assert_eq!(watcher.watch_events(), [], "nothing has happened");

        let _known = make(&writer, "/outside", None);
        let changes: Vec<_> = names
            .iter()
            .map(|name| writer.submit_set_data(&format!("/chroot/kids/{name}"), None, -1))
            .collect();
        changes.into_iter().for_each(|one| assert!(one.wait().is_ok()));
        make(&writer, "/chroot/kids/new", None);
        make(&writer, "/chroot/later", None);
        writer.delete("/chroot/gone", -1).unwrap();
        for _ in 0..2 {
            writer.set_data("/chroot/p", None, -1).unwrap();
        }
        make(&writer, "/chroot/r/a", None);
        make(&writer, "/chroot/r/a/b", None);
        watcher.sync("/").unwrap();
        watcher.exists("/", false).unwrap();
        let events = watcher.watch_events().into_iter();
        let told: Vec<_> = events.map(|event| (event.event_type, event.path.unwrap())).collect();
        let of_kids: Vec<_> = names
            .iter()
            .map(|name| (EventType::NodeDataChanged, format!("/kids/{name}")))
            .collect();
        assert_eq!(told[..MANY], of_kids);
        let rest = [
            (EventType::NodeChildrenChanged, "/kids"),
            (EventType::NodeCreated, "/later"),
            (EventType::NodeChildrenChanged, "/"),
            (EventType::NodeDeleted, "/gone"),
            (EventType::NodeDataChanged, "/p"),
            (EventType::NodeDataChanged, "/p"),
            (EventType::NodeCreated, "/r/a"),
            (EventType::NodeCreated, "/r/a/b"),
        ];
        assert_eq!(told[MANY..], rest.map(|(event, path)| (event, path.to_owned())));
    }
}

against_both! {
    ServerBuilder::new(), ServerBuilder::java();
    a_quota_holds_after_restarts_and_refusals_are_counted, java_keeps_quotas;
    snapshots_come_as_often_as_the_number_of_writes_says, java_takes_snapshots_by_number;
    snapshots_come_as_often_as_the_size_of_the_log_says, java_takes_snapshots_by_size;
    what_is_too_large_for_the_limit_is_not_read_from_disk, java_does_not_read_what_is_too_large;
    digests_may_be_switched_off_and_on_between_starts, java_digests_may_be_switched;
    a_lone_check_is_refused_and_leaves_a_log_that_can_be_read, java_refuses_a_lone_check;
    watches_of_every_kind_are_there_again_after_a_restart, java_has_watches_again;
}
