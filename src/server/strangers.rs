//! Counts connections that have not identified themselves, by address (no Java twin).
//!
//! When there are too many, a connection from an address with many makes room for one from an address with few. So a
//! silent crowd does not keep others out, however fast it reconnects. All ports use this rule.
//!
//! Threads: those that accept, close or set up sessions. Locks: its own (`Rank::Leaf`), for a few instructions.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection_limits::AddressCounts;
use crate::util::lock_rank::{Rank, RankedMutex};

/// Up to this number, connections from one address are no crowd.
const FEW: usize = 4;

/// Up to this number, connections from one address, present and recent ones together, are no crowd.
const LIGHT: usize = 8;

/// How long an arrival counts, ms: at least this long, at most twice as long.
const OF_LATE_MS: i64 = 1_000;

/// The number of addresses that are remembered per period.
const MAX_REMEMBERED: usize = 4_096;

/// The addresses of recent connections, for a port with few places. A client may have only few connections at a
/// time, but come again and again.
#[derive(Debug, Default)]
pub(crate) struct RecentArrivals {
    since_ms: i64,
    now: AddressCounts,
    before: AddressCounts,
}

impl RecentArrivals {
    /// Records an arrival.
    pub(crate) fn enter(&mut self, ip: IpAddr, now_ms: i64) {
        let passed_ms = now_ms - self.since_ms;
        if passed_ms >= OF_LATE_MS || self.now.addresses() >= MAX_REMEMBERED {
            let last = std::mem::take(&mut self.now);
            self.before = if passed_ms < 2 * OF_LATE_MS { last } else { AddressCounts::default() };
            self.since_ms = now_ms;
        }
        self.now.add(ip);
    }

    /// Combines the recent arrivals with the connections that are present.
    #[must_use]
    pub(crate) fn beside(&self, present: impl Iterator<Item = IpAddr>) -> Crowds<'_> {
        let mut counts = AddressCounts::default();
        present.for_each(|ip| counts.add(ip));
        Crowds { recent: self, present: counts }
    }
}

/// The crowd of each address. A connection from the address with the greatest crowd makes room for a newcomer.
pub(crate) struct Crowds<'a> {
    recent: &'a RecentArrivals,
    present: AddressCounts,
}

impl Crowds<'_> {
    /// The size of the address's crowd: present connections plus recent arrivals.
    #[must_use]
    pub(crate) fn of(&self, ip: IpAddr) -> usize {
        self.present.of(ip) + self.recent.now.of(ip) + self.recent.before.of(ip)
    }

    /// The size of the address's crowd, as a power of two. Crowds of the same class are about equally large. No crowd
    /// has the class 0, however often its client comes.
    #[must_use]
    pub(crate) fn class(&self, ip: IpAddr) -> usize {
        if self.is_light(ip) { 0 } else { self.of(ip).ilog2() as usize }
    }

    /// Whether the address has no crowd.
    #[must_use]
    pub(crate) fn is_light(&self, ip: IpAddr) -> bool {
        self.of(ip) <= LIGHT
    }
}

/// Counts the strangers of one port.
pub(crate) struct Strangers {
    by_address: RankedMutex<AddressCounts>,
    last_places: AtomicU64,
}

/// Which connection makes room for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MakesRoom {
    /// The oldest of the address with the most connections. The newcomer's address has few, and it may get one of
    /// the last places.
    Crowd(IpAddr),
    /// The oldest of all, after a grace period. The newcomer's address has few connections, like all addresses.
    OldestForOneOfFew,
    /// The oldest of all, after a grace period. The newcomer's address has many connections.
    OldestForOneOfMany,
}

impl Strangers {
    /// Creates an empty count.
    #[must_use]
    pub(crate) fn new() -> Arc<Self> {
        let by_address = RankedMutex::new(Rank::Leaf, "strangers", AddressCounts::default());
        Arc::new(Self { by_address, last_places: AtomicU64::new(0) })
    }

    /// Takes one of the last places, for a connection from an address with few of them. As many other places are
    /// kept free as last places are taken.
    pub(crate) fn take_last_place(self: &Arc<Self>) -> LastPlace {
        self.last_places.fetch_add(1, Ordering::Relaxed);
        LastPlace(Arc::clone(self))
    }

    /// How many of the last places are taken.
    #[must_use]
    pub(crate) fn last_places(&self) -> u64 {
        self.last_places.load(Ordering::Relaxed)
    }

    /// Counts a connection as long as its slot lives.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> StrangerSlot {
        self.by_address.lock().add(ip);
        StrangerSlot { strangers: Arc::clone(self), ip }
    }

    /// Which connection makes room for this newcomer, which is counted already.
    #[must_use]
    pub(crate) fn who_makes_room_for(&self, newcomer: &StrangerSlot) -> MakesRoom {
        let by_address = self.by_address.lock();
        if by_address.of(newcomer.ip) > FEW {
            return MakesRoom::OldestForOneOfMany;
        }
        match by_address.busiest() {
            Some((ip, most)) if most > FEW => MakesRoom::Crowd(ip),
            _ => MakesRoom::OldestForOneOfFew,
        }
    }
}

/// A counted connection.
#[must_use]
pub(crate) struct StrangerSlot {
    strangers: Arc<Strangers>,
    ip: IpAddr,
}

impl Drop for StrangerSlot {
    fn drop(&mut self) {
        self.strangers.by_address.lock().remove(self.ip);
    }
}

/// A place that is kept for addresses with few connections.
#[must_use]
pub(crate) struct LastPlace(Arc<Strangers>);

impl Drop for LastPlace {
    fn drop(&mut self) {
        self.0.last_places.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn a_crowd_makes_room_for_who_comes_alone() {
        let strangers = Strangers::new();
        let mut crowd: Vec<_> = (0..20).map(|_| strangers.enter(ip(1))).collect();
        let alone = strangers.enter(ip(2));
        assert_eq!(strangers.who_makes_room_for(&alone), MakesRoom::Crowd(ip(1)));
        assert_eq!(strangers.who_makes_room_for(&crowd[19]), MakesRoom::OldestForOneOfMany);
        let others: Vec<_> = (0..6).map(|_| strangers.enter(ip(3))).collect();
        assert_eq!(strangers.who_makes_room_for(&others[5]), MakesRoom::OldestForOneOfMany);
        drop(others);
        crowd.truncate(FEW);
        assert_eq!(strangers.who_makes_room_for(&alone), MakesRoom::OldestForOneOfFew);
        assert_eq!(strangers.who_makes_room_for(&crowd[0]), MakesRoom::OldestForOneOfFew);
    }

    #[test]
    fn who_comes_again_and_again_is_a_crowd_whatever_is_left_of_it() {
        let mut recent = RecentArrivals::default();
        let of = |recent: &RecentArrivals, last, present: &[u8]| {
            recent.beside(present.iter().map(|last| ip(*last))).of(ip(last))
        };
        (0..20).for_each(|_| recent.enter("::ffff:127.0.0.1".parse().unwrap(), 500));
        recent.enter(ip(2), 900);
        assert_eq!((of(&recent, 1, &[1, 2]), of(&recent, 2, &[1, 2])), (21, 2));
        recent.enter(ip(2), 1_000);
        assert_eq!((of(&recent, 1, &[]), of(&recent, 2, &[])), (20, 2));
        recent.enter(ip(2), 2_000);
        assert_eq!((of(&recent, 1, &[]), of(&recent, 2, &[])), (0, 2));
        recent.enter(ip(2), 9_000);
        assert_eq!(of(&recent, 2, &[]), 1, "what came long ago is forgotten");
        let light =
            |others: &[u8]| recent.beside(others.iter().map(|last| ip(*last))).is_light(ip(2));
        assert!(light(&[2; 7]) && !light(&[2; 8]));
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut recent = RecentArrivals::default();
        (0..100_000_u32).for_each(|number| recent.enter(IpAddr::from(number.to_be_bytes()), 0));
        assert!(recent.now.addresses() + recent.before.addresses() <= 2 * MAX_REMEMBERED);
    }

    #[test]
    fn who_is_gone_does_not_count() {
        let strangers = Strangers::new();
        drop((0..20).map(|_| strangers.enter(ip(1))).collect::<Vec<_>>());
        assert!(strangers.by_address.lock().is_empty());
        let _mapped = strangers.enter("::ffff:127.0.0.1".parse().unwrap());
        assert_eq!(strangers.by_address.lock().of(ip(1)), 1);
    }
}
