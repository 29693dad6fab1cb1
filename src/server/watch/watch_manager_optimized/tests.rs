//! Tests of `WatchManagerOptimized` (no Java twin).

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::*;
use crate::common::time::now;
use crate::server::watch::test_watcher::{Random, TestWatcher};

/// A manager that cleans up when this many watchers are dead.
fn manager(clean_threshold: usize) -> WatchManagerOptimized {
    let cleaner = WatcherCleanerConfig {
        clean_threshold,
        clean_interval_seconds: 0,
        clean_threads_num: 1,
        max_in_processing_dead_watchers: 0,
    };
    WatchManagerOptimized::start(cleaner, 3, ServerMetrics::null()).unwrap()
}

fn fire(manager: &WatchManagerOptimized, path: &str) -> Option<WatcherOrBitSet> {
    manager.trigger_watch(path, EventType::NodeDeleted, Zxid(7), None, None)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !is_so() {
        assert!(now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_watch_fires_once_and_the_suppressed_are_not_told() {
    let (data, child) = (manager(10), manager(10));
    let [both, one] = [1, 2].map(TestWatcher::new);
    // In the second manager the watchers have each other's number.
    data.add_watch("/a", &both.as_ref());
    child.add_watch("/a", &one.as_ref());
    child.add_watch("/a", &both.as_ref());
    assert!(!child.add_watch("/a", &one.as_ref()));
    let told = fire(&data, "/a");
    let found =
        child.trigger_watch("/a", EventType::NodeDeleted, Zxid(7), None, told.as_ref()).unwrap();
    assert_eq!((found.size(), found.contains(&both.as_ref())), (2, true));
    assert_eq!((both.told().len(), one.told().len()), (1, 1));
    assert!(fire(&data, "/a").is_none());
    assert_eq!((data.size(), child.size()), (0, 0));
    data.shutdown();
    child.shutdown();
}

#[test]
fn persistent_watches_are_refused() {
    let (manager, watcher) = (manager(10), TestWatcher::new(1).as_ref());
    for mode in [WatcherMode::Persistent, WatcherMode::PersistentRecursive] {
        let refused = Err(KeeperError::MarshallingError);
        assert_eq!(manager.add_watch_mode("/a", &watcher, mode), refused);
        assert_eq!(manager.contains_watcher("/a", &watcher, Some(mode)), refused);
        assert_eq!(manager.remove_watcher("/a", &watcher, Some(mode)), refused);
    }
    let mode = WatcherMode::Standard;
    assert_eq!(manager.add_watch_mode("/a", &watcher, mode), Ok(true));
    assert_eq!(manager.contains_watcher("/a", &watcher, Some(mode)), Ok(true));
    assert_eq!(manager.remove_watcher("/a", &watcher, Some(mode)), Ok(true));
    assert_eq!(manager.contains_watcher("/a", &watcher, None), Ok(false));
    manager.shutdown();
}

#[test]
fn a_dead_watcher_is_told_nothing_and_its_number_comes_back_when_it_is_cleaned_up() {
    let manager = manager(2);
    let watchers = [1, 2, 3].map(TestWatcher::new);
    for watcher in &watchers {
        assert!(manager.add_watch("/a", &watcher.as_ref()));
    }
    assert!(manager.add_watch("/only_dead", &watchers[0].as_ref()));
    watchers[0].close();
    manager.remove_all(&watchers[0].as_ref());
    assert!(!manager.add_watch("/b", &watchers[0].as_ref()));
    assert_eq!(manager.watches_summary().num_connections, 3, "one is less than the threshold");

    watchers[1].close();
    manager.remove_all(&watchers[1].as_ref());
    wait_until("cleaned up", || manager.watches_summary().num_connections == 1);
    assert_eq!(manager.to_string(), "1 connections watching 1 paths\nTotal watches:1");
    assert_eq!(Arc::strong_count(&watchers[0]), 1);

    let new = TestWatcher::new(4);
    manager.add_watch("/c", &new.as_ref());
    assert_eq!(manager.watches.watcher_bits.read().bit(&new.as_ref()), Some(0));
    fire(&manager, "/c");
    assert_eq!(new.told().len(), 1);
    assert_eq!(fire(&manager, "/a").unwrap().size(), 1);
    assert_eq!(watchers.each_ref().map(|watcher| watcher.told().len()), [0, 0, 1]);
    manager.shutdown();
}

#[test]
fn reports_and_dumps_say_who_watches_what() {
    let (manager, watcher) = (manager(10), TestWatcher::new(0x1f));
    manager.add_watch("/a", &watcher.as_ref());
    let [mut by_path, mut by_session] = [String::new(), String::new()];
    manager.dump_watches(&mut by_path, true);
    manager.dump_watches(&mut by_session, false);
    assert_eq!((by_path.as_str(), by_session.as_str()), ("/a\n\t0x1f\n", "0x1f\n\t/a\n"));
    let id = watcher.as_ref().0.session_id();
    assert_eq!(manager.watches().paths(id), Some(&BTreeSet::from([Arc::from("/a")])));
    assert_eq!(manager.watches_by_path().sessions("/a"), Some(&BTreeSet::from([id])));
    manager.shutdown();
}

/// Runs random operations on a manager and on a set of pairs, and compares the results.
fn agrees_with_the_model(seed: u64) {
    const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/b", "/c"];
    let mut random = Random(seed);
    let manager = manager(usize::MAX);
    let watchers: Vec<_> = (0..8).map(TestWatcher::new).collect();
    let mut model = BTreeSet::new();
    for _ in 0..400 {
        let path = *random.pick(&PATHS);
        let at = usize::try_from(random.below(8)).unwrap();
        let watcher = watchers[at].as_ref();
        match random.below(8) {
            0..4 => assert_eq!(manager.add_watch(path, &watcher), model.insert((path, at))),
            4..6 => {
                let removed = manager.remove_watcher(path, &watcher, None);
                assert_eq!(removed, Ok(model.remove(&(path, at))));
            }
            _ => {
                let found: Vec<_> = model.extract_if(.., |(watched, _)| *watched == path).collect();
                let answer = fire(&manager, path).map_or(0, |answer| answer.size());
                assert_eq!(answer, found.len(), "seed {seed}");
                for (other, watcher) in watchers.iter().enumerate() {
                    let told = usize::from(found.contains(&(path, other)));
                    assert_eq!(watcher.told().len(), told, "seed {seed}");
                }
            }
        }
        let contains = manager.contains_watcher(path, &watcher, None);
        assert_eq!(contains, Ok(model.contains(&(path, at))));
        let paths: BTreeSet<_> = model.iter().map(|(path, _)| *path).collect();
        let summary = manager.watches_summary();
        assert_eq!((summary.num_paths, summary.total_watches), (paths.len(), model.len()));
    }
    manager.shutdown();
}

#[test]
fn it_does_what_a_naive_model_does() {
    for seed in 1..60 {
        agrees_with_the_model(seed);
    }
}

#[test]
fn nobody_is_told_of_what_he_does_not_watch_while_numbers_are_given_out_again() {
    let manager = manager(1);
    thread::scope(|scope| {
        for id in 0..3_u64 {
            let manager = &manager;
            scope.spawn(move || {
                let own = format!("/{id}");
                for round in 0..300 {
                    let watcher = TestWatcher::new(i64::try_from(id).unwrap());
                    manager.add_watch(&own, &watcher.as_ref());
                    if round % 3 == 0 {
                        fire(manager, &own);
                    }
                    watcher.close();
                    manager.remove_all(&watcher.as_ref());
                    assert!(watcher.told().iter().all(|(_, path)| *path == own));
                }
            });
        }
    });
    wait_until("all are cleaned up", || manager.watches_summary() == WatchesSummary::default());
    manager.shutdown();
}
