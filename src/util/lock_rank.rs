//! Locks with a fixed order (no Java twin).
//!
//! The types wrap parking_lot's locks. With debug assertions, a thread panics with the names of both locks if
//! it takes a lock whose rank is not above all ranks that it holds. In release builds the check costs nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The order in which a thread may take locks: from the top of this list down. A thread never holds two locks
/// of the same rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The peer's state and role. No lock has this rank today; these locks are leaves.
    QuorumPeer,
    /// A leader's agreement on the epoch; the start and shutdown of a learner.
    Role,
    /// The right to take a snapshot; the right to make a long report.
    Server,
    /// The right to write transactions. The thread that holds it also passes on what it has written: it applies or
    /// acknowledges it. In a read-only server, the right to answer.
    SyncProcessor,
    /// The transaction log. It is held across disk writes, like the right to write.
    TxnLog,
    /// A step of the first processor: it prepares requests, or forwards them to the leader.
    FirstProcessor,
    /// The right to apply committed requests.
    CommitProcessor,
    /// Changes that are prepared but not applied yet.
    OutstandingChanges,
    /// The proposals of a leader, or the syncs that a learner has forwarded.
    Proposals,
    /// Requests that wait for their commit.
    CommitQueue,
    /// The output of a server to another server.
    PacketOutput,
    /// The data tree.
    DataTree,
    /// The committed transactions that are kept for learners.
    CommittedLog,
    /// The positions of running snapshots in the tree.
    DataTreeParts,
    /// The watches.
    WatchManager,
    /// A part of the watched paths, if they are locked separately from the watchers.
    WatchedPaths,
    /// Dead watchers that wait to be cleaned up.
    WatcherCleaner,
    /// The sessions and their expiry times.
    SessionTracker,
    /// The table of connections.
    ConnectionTable,
    /// The requests of one connection that wait for an earlier one.
    ConnectionQueue,
    /// The output of one connection.
    ConnectionOutput,
    /// The table of metrics by name.
    Metrics,
    /// A lock that is held briefly, while no other code is called.
    Leaf,
}

#[cfg(debug_assertions)]
mod held {
    use super::Rank;
    use std::cell::RefCell;

    thread_local! {
        static HELD: RefCell<Vec<(Rank, &'static str)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn enter(rank: Rank, name: &'static str) {
        HELD.with_borrow_mut(|held| {
            if let Some((other_rank, other)) = held.iter().find(|(other, _)| *other >= rank) {
                let (other_rank, other) = (*other_rank, *other);
                panic!(
                    "lock order: {name} ({rank:?}) taken while {other} ({other_rank:?}) is held"
                );
            }
            held.push((rank, name));
        });
    }

    pub(super) fn leave(rank: Rank) {
        // A guard may be dropped while the thread ends and its thread locals are gone.
        let _gone = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if let Some(at) = held.iter().rposition(|(other, _)| *other == rank) {
                held.remove(at);
            }
        });
    }
}

/// Records that a lock is held, for as long as the value lives.
struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
}

impl Held {
    #[cfg_attr(
        not(debug_assertions),
        expect(unused_variables, reason = "only checked in debug builds")
    )]
    #[inline]
    fn enter(rank: Rank, name: &'static str) -> Self {
        #[cfg(debug_assertions)]
        held::enter(rank, name);
        Self {
            #[cfg(debug_assertions)]
            rank,
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        held::leave(self.rank);
    }
}

/// A mutex with a rank.
pub struct RankedMutex<T: ?Sized> {
    rank: Rank,
    name: &'static str,
    mutex: Mutex<T>,
}

impl<T> RankedMutex<T> {
    /// Creates a lock of this rank. The name appears in the message when the order is violated.
    pub const fn new(rank: Rank, name: &'static str, value: T) -> Self {
        Self { rank, name, mutex: Mutex::new(value) }
    }

    /// Consumes the lock and returns its value.
    pub fn into_inner(self) -> T {
        self.mutex.into_inner()
    }
}

impl<T: ?Sized> RankedMutex<T> {
    /// Waits for the lock and takes it.
    ///
    /// # Panics
    /// In debug builds, when this thread holds a lock of this rank or a later one.
    #[inline]
    pub fn lock(&self) -> RankedMutexGuard<'_, T> {
        let held = Held::enter(self.rank, self.name);
        RankedMutexGuard { guard: self.mutex.lock(), _held: held }
    }

    /// The protected value. Exclusive access to the mutex makes locking unnecessary.
    pub fn get_mut(&mut self) -> &mut T {
        self.mutex.get_mut()
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<RankedMutexGuard<'_, T>> {
        let guard = self.mutex.try_lock()?;
        Some(RankedMutexGuard { guard, _held: Held::enter(self.rank, self.name) })
    }
}

impl<T: ?Sized> fmt::Debug for RankedMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RankedMutex({})", self.name)
    }
}

/// A held [`RankedMutex`].
#[must_use]
pub struct RankedMutexGuard<'a, T: ?Sized> {
    guard: MutexGuard<'a, T>,
    _held: Held,
}

impl<T: ?Sized> Deref for RankedMutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for RankedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A condition that threads wait for with a [`RankedMutexGuard`].
#[derive(Debug, Default)]
pub(crate) struct RankedCondvar(Condvar);

impl RankedCondvar {
    /// Creates a condition without waiting threads.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self(Condvar::new())
    }

    /// Releases the lock, waits for a notification, and takes the lock again.
    pub(crate) fn wait<T: ?Sized>(&self, guard: &mut RankedMutexGuard<'_, T>) {
        self.0.wait(&mut guard.guard);
    }

    /// As [`wait`](Self::wait), with a timeout. True if the time ran out.
    pub(crate) fn wait_for<T: ?Sized>(
        &self,
        guard: &mut RankedMutexGuard<'_, T>,
        timeout: Duration,
    ) -> bool {
        self.0.wait_for(&mut guard.guard, timeout).timed_out()
    }

    /// Wakes one waiting thread.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiting threads.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A read-write lock with a rank.
pub struct RankedRwLock<T: ?Sized> {
    rank: Rank,
    name: &'static str,
    lock: RwLock<T>,
}

impl<T> RankedRwLock<T> {
    /// Creates a lock of this rank. The name appears in the message when the order is violated.
    pub const fn new(rank: Rank, name: &'static str, value: T) -> Self {
        Self { rank, name, lock: RwLock::new(value) }
    }
}

impl<T: ?Sized> RankedRwLock<T> {
    /// Waits for shared access.
    ///
    /// # Panics
    /// In debug builds, when this thread holds a lock of this rank or a later one.
    #[inline]
    pub fn read(&self) -> RankedReadGuard<'_, T> {
        let held = Held::enter(self.rank, self.name);
        RankedReadGuard { guard: self.lock.read(), _held: held }
    }

    /// Waits for exclusive access.
    ///
    /// # Panics
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(&self) -> RankedWriteGuard<'_, T> {
        let held = Held::enter(self.rank, self.name);
        RankedWriteGuard { guard: self.lock.write(), _held: held }
    }
}

impl<T: ?Sized> fmt::Debug for RankedRwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RankedRwLock({})", self.name)
    }
}

/// Shared access to a [`RankedRwLock`].
#[must_use]
pub struct RankedReadGuard<'a, T: ?Sized> {
    guard: RwLockReadGuard<'a, T>,
    _held: Held,
}

impl<T: ?Sized> Deref for RankedReadGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

/// Exclusive access to a [`RankedRwLock`].
#[must_use]
pub struct RankedWriteGuard<'a, T: ?Sized> {
    guard: RwLockWriteGuard<'a, T>,
    _held: Held,
}

impl<T: ?Sized> Deref for RankedWriteGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for RankedWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_taken_in_order_are_let_go_in_any_order() {
        let tree = RankedRwLock::new(Rank::DataTree, "tree", 1);
        let watches = RankedMutex::new(Rank::WatchManager, "watches", 2);
        let tree_guard = tree.read();
        let watch_guard = watches.lock();
        assert_eq!(*tree_guard + *watch_guard, 3);
        drop(tree_guard);
        drop(watch_guard);
        drop(tree.write());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "tree (DataTree) taken while watches (WatchManager) is held")]
    fn a_lock_taken_out_of_order_panics_with_both_names() {
        let tree = RankedRwLock::new(Rank::DataTree, "tree", 1);
        let watches = RankedMutex::new(Rank::WatchManager, "watches", 2);
        let _watches = watches.lock();
        let _tree = tree.read();
    }
}
