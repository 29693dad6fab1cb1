//! The watches that a client has set (Java: ZKWatchManager.java).
//!
//! It stores only the paths: the single event channel of the client delivers all events.

use std::collections::BTreeSet;

use super::{WatchKind, WatchRegistration};
use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::proto::SetWatches2;
use crate::watcher::{EventType, WatcherType};

/// The limit for the paths in one request that sets watches again, in bytes (Java: SET_WATCHES_MAX_LENGTH).
const SET_WATCHES_MAX_LENGTH: usize = 128 * 1024;

/// The paths with watches, relative to the chroot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZkWatchManager {
    data: BTreeSet<String>,
    exist: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    persistent_recursive: BTreeSet<String>,
}

impl ZkWatchManager {
    fn table(&mut self, kind: WatchKind) -> &mut BTreeSet<String> {
        match kind {
            WatchKind::Data => &mut self.data,
            WatchKind::Exist => &mut self.exist,
            WatchKind::Child => &mut self.child,
            WatchKind::Persistent => &mut self.persistent,
            WatchKind::PersistentRecursive => &mut self.persistent_recursive,
        }
    }

    /// Records the watch of a request that was answered with that code (Java: WatchRegistration.register).
    pub(crate) fn register(&mut self, watch: WatchRegistration, err: i32) {
        let kind = match (watch.kind, err) {
            (WatchKind::Exist, 0) => WatchKind::Data,
            (WatchKind::Exist, code) if code == KeeperError::NoNode.code() => WatchKind::Exist,
            (kind, 0) => kind,
            _ => return,
        };
        self.table(kind).insert(watch.path);
    }

    /// Removes the watches that an event has triggered (Java: materialize).
    pub(crate) fn fired(&mut self, event_type: EventType, path: &str) {
        match event_type {
            EventType::NodeDataChanged | EventType::NodeCreated => {
                self.data.remove(path);
                self.exist.remove(path);
            }
            EventType::NodeChildrenChanged => {
                self.child.remove(path);
            }
            EventType::NodeDeleted => {
                self.data.remove(path);
                self.exist.remove(path);
                self.child.remove(path);
            }
            EventType::None
            | EventType::DataWatchRemoved
            | EventType::ChildWatchRemoved
            | EventType::PersistentWatchRemoved => {}
        }
    }

    /// Removes the watches of that type, and returns which kinds there were (Java: removeWatcher).
    pub(crate) fn remove(&mut self, watcher_type: WatcherType, path: &str) -> Vec<EventType> {
        let all = watcher_type == WatcherType::Any;
        let mut remove = |of_type: WatcherType, kind: WatchKind| {
            (all || watcher_type == of_type) && self.table(kind).remove(path)
        };
        let child = remove(WatcherType::Children, WatchKind::Child);
        let data = remove(WatcherType::Data, WatchKind::Data)
            | remove(WatcherType::Data, WatchKind::Exist);
        let persistent = remove(WatcherType::Persistent, WatchKind::Persistent)
            | remove(WatcherType::PersistentRecursive, WatchKind::PersistentRecursive);
        [
            (child, EventType::ChildWatchRemoved),
            (data, EventType::DataWatchRemoved),
            (persistent, EventType::PersistentWatchRemoved),
        ]
        .into_iter()
        .filter_map(|(was_there, event_type)| was_there.then_some(event_type))
        .collect()
    }

    /// Whether there is a watch of that type.
    #[must_use]
    pub(crate) fn contains(&self, watcher_type: WatcherType, path: &str) -> bool {
        !self.clone_of(path).remove(watcher_type, path).is_empty()
    }

    /// The tables reduced to that path.
    fn clone_of(&self, path: &str) -> Self {
        let only = |table: &BTreeSet<String>| table.get(path).cloned().into_iter().collect();
        Self {
            data: only(&self.data),
            exist: only(&self.exist),
            child: only(&self.child),
            persistent: only(&self.persistent),
            persistent_recursive: only(&self.persistent_recursive),
        }
    }

    /// The requests that set all watches again, each of limited length (Java: within primeConnection).
    #[must_use]
    pub(crate) fn set_watches(
        &self,
        relative_zxid: Zxid,
        to_server: impl Fn(&str) -> String,
    ) -> Vec<SetWatches2> {
        type Field = fn(&mut SetWatches2) -> &mut Vec<String>;
        let tables: [(&BTreeSet<String>, Field); 5] = [
            (&self.data, |request| &mut request.data_watches),
            (&self.exist, |request| &mut request.exist_watches),
            (&self.child, |request| &mut request.child_watches),
            (&self.persistent, |request| &mut request.persistent_watches),
            (&self.persistent_recursive, |request| &mut request.persistent_recursive_watches),
        ];
        let mut requests: Vec<SetWatches2> = Vec::new();
        let mut room = 0;
        for (paths, field) in tables {
            for path in paths {
                let path = to_server(path);
                if room == 0 {
                    requests.push(SetWatches2 { relative_zxid, ..SetWatches2::default() });
                    room = SET_WATCHES_MAX_LENGTH;
                }
                room = room.saturating_sub(path.len());
                if let Some(request) = requests.last_mut() {
                    field(request).push(path);
                }
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(watches: &[(WatchKind, &str, i32)]) -> ZkWatchManager {
        let mut manager = ZkWatchManager::default();
        for (kind, path, err) in watches {
            manager.register(WatchRegistration { kind: *kind, path: (*path).into() }, *err);
        }
        manager
    }

    #[test]
    fn a_watch_is_noted_when_its_request_succeeds_or_exists_finds_nothing() {
        let no_node = KeeperError::NoNode.code();
        let manager = with(&[
            (WatchKind::Data, "/a", 0),
            (WatchKind::Data, "/b", no_node),
            (WatchKind::Exist, "/c", 0),
            (WatchKind::Exist, "/d", no_node),
            (WatchKind::Exist, "/e", KeeperError::NoAuth.code()),
        ]);
        assert_eq!(manager.data, ["/a", "/c"].map(str::to_owned).into());
        assert_eq!(manager.exist, ["/d"].map(str::to_owned).into());
    }

    #[test]
    fn an_event_uses_up_watches_but_persistent_ones_stay() {
        let mut manager = with(&[
            (WatchKind::Data, "/a", 0),
            (WatchKind::Child, "/a", 0),
            (WatchKind::Persistent, "/a", 0),
        ]);
        manager.fired(EventType::NodeDataChanged, "/a");
        assert!(!manager.contains(WatcherType::Data, "/a"));
        assert!(manager.contains(WatcherType::Children, "/a"));
        manager.fired(EventType::NodeDeleted, "/a");
        assert!(!manager.contains(WatcherType::Children, "/a"));
        assert!(manager.contains(WatcherType::Any, "/a"));
        assert_eq!(manager.remove(WatcherType::Any, "/a"), [EventType::PersistentWatchRemoved]);
        assert_eq!(manager.remove(WatcherType::Any, "/a"), []);
    }

    #[test]
    fn watches_are_set_again_in_requests_of_bearable_length() {
        let long = "x".repeat(SET_WATCHES_MAX_LENGTH);
        let manager = with(&[
            (WatchKind::Data, "/a", 0),
            (WatchKind::Child, &format!("/{long}"), 0),
            (WatchKind::PersistentRecursive, "/c", 0),
        ]);
        let requests = manager.set_watches(Zxid(9), |path| format!("/app{path}"));
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].data_watches, ["/app/a"]);
        assert_eq!(requests[0].child_watches.len(), 1);
        assert_eq!(requests[1].persistent_recursive_watches, ["/app/c"]);
        assert_eq!(requests[1].relative_zxid, Zxid(9));
        assert!(ZkWatchManager::default().set_watches(Zxid(9), str::to_owned).is_empty());
    }
}
