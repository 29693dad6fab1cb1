//! Connections that have not said who they are, by the address from which they come (no Java twin).
//!
//! Where there are too many, who comes from where many come makes room for who comes from where few come: a crowd that says
//! nothing does not keep others out, however fast it comes back. All ports choose so.
//!
//! Threads: whoever accepts, closes or sets up a session. Locks: its own (`Rank::Leaf`), for a few instructions.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection_limits::AddressCounts;
use crate::util::lock_rank::{Rank, RankedMutex};

/// So many of one address are no crowd.
const FEW: usize = 4;

/// Who makes room for a newcomer where all are in one short list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// The address from which most come, the newcomer counted; none when no two come from one.
    pub ip: Option<IpAddr>,
    /// No other one comes from where the newcomer does.
    pub is_newcomer_alone: bool,
}

impl Crowd {
    /// Looks at all others.
    #[must_use]
    pub fn beside(newcomer: IpAddr, others: impl Iterator<Item = IpAddr>) -> Self {
        let mut by_address = AddressCounts::default();
        others.chain([newcomer]).for_each(|ip| by_address.add(ip));
        let crowd = by_address.busiest().filter(|(_, most)| *most > 1);
        Self { ip: crowd.map(|(ip, _)| ip), is_newcomer_alone: by_address.of(newcomer) == 1 }
    }

    /// Whether one from that address makes room before others do.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        self.ip == Some(ip.to_canonical())
    }
}

/// Counts those of one port.
pub struct Strangers {
    by_address: RankedMutex<AddressCounts>,
    last_places: AtomicU64,
}

/// Who makes room for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakesRoom {
    /// The oldest of the address from which most come; the newcomer is one of few and may have one of the last places.
    Crowd(IpAddr),
    /// The oldest of all, when it has had its time; the newcomer is one of few, as all are.
    OldestForOneOfFew,
    /// The oldest of all, when it has had its time; the newcomer is one of many.
    OldestForOneOfMany,
}

impl Strangers {
    /// There is none.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let by_address = RankedMutex::new(Rank::Leaf, "strangers", AddressCounts::default());
        Arc::new(Self { by_address, last_places: AtomicU64::new(0) })
    }

    /// One gets a place that is kept for who comes from where few come. Others get as many fewer for as long as it has that.
    pub fn take_last_place(self: &Arc<Self>) -> LastPlace {
        self.last_places.fetch_add(1, Ordering::Relaxed);
        LastPlace(Arc::clone(self))
    }

    /// How many such places are taken.
    #[must_use]
    pub fn last_places(&self) -> u64 {
        self.last_places.load(Ordering::Relaxed)
    }

    /// One comes, and is counted for as long as its slot lives.
    pub fn enter(self: &Arc<Self>, ip: IpAddr) -> StrangerSlot {
        self.by_address.lock().add(ip);
        StrangerSlot { strangers: Arc::clone(self), ip }
    }

    /// Who makes room for that newcomer, who is counted already.
    #[must_use]
    pub fn who_makes_room_for(&self, newcomer: &StrangerSlot) -> MakesRoom {
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
pub struct StrangerSlot {
    strangers: Arc<Strangers>,
    ip: IpAddr,
}

impl Drop for StrangerSlot {
    fn drop(&mut self) {
        self.strangers.by_address.lock().remove(self.ip);
    }
}

/// A place that is kept for who comes from where few come.
#[must_use]
pub struct LastPlace(Arc<Strangers>);

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
    fn in_a_short_list_the_address_makes_room_from_which_most_come() {
        let beside = |newcomer, others: &[u8]| {
            Crowd::beside(ip(newcomer), others.iter().map(|last| ip(*last)))
        };
        let crowd =
            |last: Option<u8>, is_newcomer_alone| Crowd { ip: last.map(ip), is_newcomer_alone };
        assert_eq!(beside(1, &[2, 3, 2]), crowd(Some(2), true));
        assert_eq!(beside(2, &[2, 3, 1]), crowd(Some(2), false));
        assert_eq!(beside(1, &[2, 3, 4]), crowd(None, true));
        assert!(beside(1, &[2, 2]).has("::ffff:127.0.0.2".parse().unwrap()));
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
