//! Tests of `WatchManager` (no Java twin): single rules by name, and random operations against a very simple
//! model.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use super::*;
use crate::ids::SessionId;
use crate::server::watch::test_watcher::{Random, TestWatcher};
use WatcherMode::{Persistent, PersistentRecursive, Standard};

fn manager() -> WatchManager {
    WatchManager::new(ServerMetrics::null())
}

fn fire(manager: &WatchManager, path: &str) -> usize {
    manager
        .trigger_watch(path, EventType::NodeDataChanged, Zxid(7), None, None)
        .map_or(0, |found| found.size())
}

#[test]
fn a_standard_watch_fires_once() {
    let (manager, watcher) = (manager(), TestWatcher::new(1));
    assert!(manager.add_watch("/a", &watcher.as_ref()));
    assert!(!manager.add_watch("/a", &watcher.as_ref()));
    assert_eq!((fire(&manager, "/a"), fire(&manager, "/a")), (1, 0));
    assert_eq!(watcher.told(), [(EventType::NodeDataChanged, "/a".to_owned())]);
    manager.table.lock().check();
}

#[test]
fn persistent_watches_stay_and_only_recursive_ones_see_what_is_below() {
    let manager = manager();
    let [deep, flat, both] = [1, 2, 3].map(TestWatcher::new);
    for (watcher, path, mode) in [
        (&deep, "/", PersistentRecursive),
        (&flat, "/a", Persistent),
        (&both, "/a", Standard),
        (&both, "/a", PersistentRecursive),
        (&both, "/a/b", Persistent),
    ] {
        assert_eq!(manager.add_watch_mode(path, &watcher.as_ref(), mode), Ok(true));
    }
    for _ in 0..2 {
        assert_eq!(fire(&manager, "/a"), 3);
        assert_eq!(fire(&manager, "/a/b"), 2, "one event for each watcher");
        assert_eq!(fire(&manager, "/ab"), 1);
    }
    assert_eq!((deep.told().len(), flat.told().len(), both.told().len()), (6, 2, 4));
    assert_eq!(manager.contains_watcher("/a", &both.as_ref(), Some(Standard)), Ok(false));
    assert_eq!(manager.contains_watcher("/a", &both.as_ref(), None), Ok(true));
}

#[test]
fn each_mode_is_removed_alone() {
    let (manager, watcher) = (manager(), TestWatcher::new(1));
    let watcher = watcher.as_ref();
    for mode in WatcherMode::ALL {
        assert_eq!(manager.add_watch_mode("/a", &watcher, mode), Ok(true));
    }
    assert_eq!(manager.size(), 1);
    assert_eq!(manager.remove_watcher("/a", &watcher, Some(PersistentRecursive)), Ok(true));
    assert_eq!(manager.remove_watcher("/a", &watcher, Some(PersistentRecursive)), Ok(false));
    assert_eq!(fire(&manager, "/a/b"), 0);
    assert_eq!(manager.remove_watcher("/a", &watcher, None), Ok(true));
    assert_eq!(manager.remove_watcher("/a", &watcher, None), Ok(false));
    assert_eq!(manager.watches_summary(), WatchesSummary::default());
}

#[test]
fn a_closed_watcher_gets_no_watch() {
    let (manager, watcher) = (manager(), TestWatcher::new(1));
    watcher.close();
    assert!(!manager.add_watch("/a", &watcher.as_ref()));
    assert_eq!(manager.add_watch_mode("/a", &watcher.as_ref(), Persistent), Ok(false));
    assert_eq!(manager.watches_summary(), WatchesSummary::default());
}

#[test]
fn the_suppressed_are_found_but_not_told_however_many_they_are() {
    for count in [1, 20] {
        let (data, child) = (manager(), manager());
        let watchers: Vec<_> = (0..count).map(|_| TestWatcher::new(1)).collect();
        let other = TestWatcher::new(2);
        for watcher in &watchers {
            data.add_watch("/a", &watcher.as_ref());
            child.add_watch("/a", &watcher.as_ref());
        }
        child.add_watch("/a", &other.as_ref());
        let told = data.trigger_watch("/a", EventType::NodeDeleted, Zxid(1), None, None);
        let found = child.trigger_watch("/a", EventType::NodeDeleted, Zxid(1), None, told.as_ref());
        assert_eq!(found.map(|found| found.size()), Some(count + 1));
        assert_eq!(other.told().len(), 1);
        assert!(watchers.iter().all(|watcher| watcher.told().len() == 1));
    }
}

#[test]
fn whose_watches_have_all_fired_is_still_counted_as_a_connection() {
    let (manager, watcher) = (manager(), TestWatcher::new(0x10));
    manager.add_watch("/a", &watcher.as_ref());
    fire(&manager, "/a");
    assert_eq!(manager.to_string(), "1 connections watching 0 paths\nTotal watches:0");
    manager.remove_all(&watcher.as_ref());
    assert_eq!(manager.to_string(), "0 connections watching 0 paths\nTotal watches:0");
}

#[test]
fn dumps_have_the_form_of_wchp_and_wchc() {
    let (manager, watcher) = (manager(), TestWatcher::new(0x100_0000_00ff));
    manager.add_watch("/a", &watcher.as_ref());
    let [mut by_path, mut by_session] = [String::new(), String::new()];
    manager.dump_watches(&mut by_path, true);
    manager.dump_watches(&mut by_session, false);
    assert_eq!(by_path, "/a\n\t0x100000000ff\n");
    assert_eq!(by_session, "0x100000000ff\n\t/a\n");
}

#[test]
fn who_was_found_is_counted_by_kind_of_event_suppressed_or_not() {
    let metrics = ServerMetrics::with_default_provider();
    let manager = WatchManager::new(Arc::clone(&metrics));
    for id in 1..=3 {
        manager.add_watch("/a", &TestWatcher::new(id).as_ref());
    }
    let told = WatcherOrBitSet::new(vec![TestWatcher::new(9).as_ref()]);
    manager.trigger_watch("/a", EventType::NodeCreated, Zxid(1), None, Some(&told));
    manager.trigger_watch("/a", EventType::NodeDeleted, Zxid(1), None, None);
    let mut dumped = BTreeMap::new();
    metrics
        .metrics_provider()
        .dump(&mut |name, value| _ = dumped.insert(name.to_owned(), value.to_string()));
    assert_eq!(dumped["sum_node_created_watch_count"], "3");
    assert_eq!(dumped["cnt_node_deleted_watch_count"], "0");
}

#[test]
fn a_removed_watcher_is_not_kept_alive() {
    let (manager, watcher) = (manager(), TestWatcher::new(1));
    manager.add_watch("/a", &watcher.as_ref());
    manager.remove_all(&watcher.as_ref());
    assert_eq!(Arc::strong_count(&watcher), 1);
}

/// The modes by path and watcher, and the known watchers.
#[derive(Default)]
struct Model {
    modes: BTreeMap<(String, usize), BTreeSet<u8>>,
    known: BTreeSet<usize>,
}

impl Model {
    fn remove(&mut self, path: &str, watcher: usize, mode: Option<WatcherMode>) -> bool {
        let key = (path.to_owned(), watcher);
        let Some(modes) = self.modes.get_mut(&key) else { return false };
        let removed = match mode {
            Some(mode) => modes.remove(&(mode as u8)),
            None => !std::mem::take(modes).is_empty(),
        };
        if modes.is_empty() {
            self.modes.remove(&key);
            if !self.modes.keys().any(|(_, other)| *other == watcher) {
                self.known.remove(&watcher);
            }
        }
        removed
    }

    fn fire(&mut self, path: &str) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        self.modes.retain(|(watched, watcher), modes| {
            let below = watched == "/" || path.starts_with(&format!("{watched}/"));
            if watched == path {
                found.insert(*watcher);
                modes.remove(&(Standard as u8));
            } else if below && modes.contains(&(PersistentRecursive as u8)) {
                found.insert(*watcher);
            }
            !modes.is_empty()
        });
        found
    }

    fn paths(&self, watcher: usize) -> BTreeSet<Arc<str>> {
        let all = self.modes.keys().filter(|(_, other)| *other == watcher);
        all.map(|(path, _)| Arc::from(path.as_str())).collect()
    }
}

const PATHS: [&str; 9] = ["/", "/a", "/a/b", "/a/b/c", "/a/bc", "/b", "/b/b", "/b/b/b", "/c"];

/// Runs random operations on the manager and the model, and compares all results.
fn agrees_with_the_model(seed: u64) {
    let mut random = Random(seed);
    let (manager, mut model) = (manager(), Model::default());
    let watchers: Vec<_> =
        (0..random.below(6) + 1).map(|id| TestWatcher::new(i64::try_from(id).unwrap())).collect();
    for step in 0..300 {
        let path = *random.pick(&PATHS);
        let at = usize::try_from(random.below(watchers.len() as u64)).unwrap();
        let watcher = watchers[at].as_ref();
        let mode = *random.pick(&WatcherMode::ALL);
        let any_mode = (random.below(3) > 0).then_some(mode);
        match random.below(10) {
            0..5 => {
                let modes = model.modes.entry((path.to_owned(), at)).or_default();
                model.known.insert(at);
                let added = manager.add_watch_mode(path, &watcher, mode);
                assert_eq!(added, Ok(modes.insert(mode as u8)));
            }
            5..7 => {
                let removed = model.remove(path, at, any_mode);
                assert_eq!(manager.remove_watcher(path, &watcher, any_mode), Ok(removed));
            }
            7..9 => {
                let suppressed = random.below(2) == 0;
                let suppress = WatcherOrBitSet::new(vec![watcher]);
                let found = model.fire(path);
                let answer = manager.trigger_watch(
                    path,
                    EventType::NodeCreated,
                    Zxid(1),
                    None,
                    suppressed.then_some(&suppress),
                );
                assert_eq!(answer.map_or(0, |answer| answer.size()), found.len());
                for (other, told) in watchers.iter().enumerate() {
                    let expected = found.contains(&other) && !(suppressed && other == at);
                    assert_eq!(told.told().len(), usize::from(expected), "seed {seed}, {step}");
                }
            }
            _ => {
                manager.remove_all(&watcher);
                model.modes.retain(|(_, other), _| *other != at);
                model.known.remove(&at);
            }
        }
        compare(&manager, &model, &watchers, seed);
    }
}

fn compare(manager: &WatchManager, model: &Model, watchers: &[Arc<TestWatcher>], seed: u64) {
    manager.table.lock().check();
    let paths: BTreeSet<_> = model.modes.keys().map(|(path, _)| path).collect();
    let summary = WatchesSummary {
        num_connections: model.known.len(),
        num_paths: paths.len(),
        total_watches: model.modes.len(),
    };
    assert_eq!(manager.watches_summary(), summary, "seed {seed}");
    assert_eq!(manager.size(), model.modes.len());
    let (by_id, by_path) = (manager.watches(), manager.watches_by_path());
    for (at, watcher) in watchers.iter().enumerate() {
        let id = SessionId(i64::try_from(at).unwrap());
        let known = model.known.contains(&at).then(|| model.paths(at));
        assert_eq!(by_id.paths(id), known.as_ref());
        for path in PATHS {
            let modes = model.modes.get(&(path.to_owned(), at));
            let ids = by_path.sessions(path);
            assert_eq!(ids.is_some_and(|ids| ids.contains(&id)), modes.is_some());
            for mode in WatcherMode::ALL {
                let expected = modes.is_some_and(|modes| modes.contains(&(mode as u8)));
                let contains = manager.contains_watcher(path, &watcher.as_ref(), Some(mode));
                assert_eq!(contains, Ok(expected));
            }
        }
    }
}

#[test]
fn it_does_what_a_naive_model_does() {
    for seed in 1..25 {
        agrees_with_the_model(seed);
    }
}

#[test]
fn one_given_seed_can_be_run_alone() {
    agrees_with_the_model(4711);
}

#[test]
fn threads_that_add_fire_and_leave_end_with_an_empty_table() {
    let manager = manager();
    thread::scope(|scope| {
        for id in 0..4 {
            let manager = &manager;
            scope.spawn(move || {
                let mut random = Random(id + 1);
                let watcher = TestWatcher::new(i64::try_from(id).unwrap());
                for _ in 0..2000 {
                    let path = *random.pick(&PATHS);
                    let mode = *random.pick(&WatcherMode::ALL);
                    match random.below(4) {
                        0 => _ = fire(manager, path),
                        1 => _ = manager.remove_watcher(path, &watcher.as_ref(), None),
                        _ => _ = manager.add_watch_mode(path, &watcher.as_ref(), mode),
                    }
                }
                watcher.close();
                manager.remove_all(&watcher.as_ref());
                assert!(!manager.add_watch("/a", &watcher.as_ref()));
            });
        }
    });
    manager.table.lock().check();
    assert_eq!(manager.watches_summary(), WatchesSummary::default());
}
