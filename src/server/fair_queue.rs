//! A queue in which addresses take turns (no Java twin).
//!
//! A client from an address with few waiting items does not wait behind a crowd from another address.
//!
//! Threads: none of its own. Locks: none; the owner guards the queue.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// The queue. An IPv4 address and its IPv6 form are the same address.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// The waiting items of each address, oldest first. No list is empty.
    waiting: HashMap<IpAddr, VecDeque<T>>,
    /// The addresses with waiting items, in the order of their turns.
    turns: VecDeque<IpAddr>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// The number of waiting items.
    #[must_use]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether no item waits.
    #[must_use]
    #[cfg(test)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, ip: IpAddr, item: T) {
        let ip = ip.to_canonical();
        let of_address = self.waiting.entry(ip).or_default();
        if of_address.is_empty() {
            self.turns.push_back(ip);
        }
        of_address.push_back(item);
        self.len += 1;
    }

    /// Takes the oldest item of the address whose turn it is. The next turn of this address comes after all others.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let ip = self.turns.pop_front()?;
        let item = self.take_oldest(ip);
        if self.waiting.contains_key(&ip) {
            self.turns.push_back(ip);
        }
        item
    }

    /// Removes the oldest item of the address with the greatest weight. Among several such addresses, it takes the one
    /// with the most waiting items, and among those the one whose turn comes last.
    pub(crate) fn pop_heaviest(&mut self, weight: impl Fn(IpAddr) -> usize) -> Option<T> {
        let waiting = |ip: &IpAddr| self.waiting.get(ip).map_or(0, VecDeque::len);
        let ip = *self.turns.iter().max_by_key(|ip| (weight(**ip), waiting(ip)))?;
        let item = self.take_oldest(ip);
        if !self.waiting.contains_key(&ip) {
            self.turns.retain(|turn| *turn != ip);
        }
        item
    }

    fn take_oldest(&mut self, ip: IpAddr) -> Option<T> {
        let of_address = self.waiting.get_mut(&ip)?;
        let item = of_address.pop_front()?;
        if of_address.is_empty() {
            self.waiting.remove(&ip);
        }
        self.len -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn queue(items: &[(u8, u32)]) -> FairQueue<u32> {
        let mut queue = FairQueue::default();
        items.iter().for_each(|(last, item)| queue.push(ip(*last), *item));
        queue
    }

    #[test]
    fn who_comes_alone_does_not_wait_behind_a_crowd() {
        let mut queue = queue(&[(1, 10), (1, 11), (1, 12), (1, 13), (2, 20), (3, 30)]);
        queue.push("::ffff:127.0.0.2".parse().unwrap(), 21);
        assert_eq!(queue.len(), 7);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [10, 20, 30, 11, 21, 12, 13]);
        assert!(queue.is_empty());
        queue.push(ip(1), 14);
        assert_eq!((queue.pop(), queue.pop()), (Some(14), None));
    }

    #[test]
    fn the_oldest_of_the_heaviest_address_makes_room() {
        let mut queue = queue(&[(2, 20), (1, 10), (1, 11), (3, 30), (2, 21)]);
        let weight = |heavy| move |one: IpAddr| usize::from(one == heavy);
        assert_eq!(queue.pop_heaviest(weight(ip(1))), Some(10));
        assert_eq!(queue.pop_heaviest(weight(ip(1))), Some(11));
        assert_eq!(queue.pop_heaviest(weight(ip(1))), Some(20), "it has the most");
        assert_eq!(queue.pop_heaviest(weight(ip(1))), Some(30), "all have the same weight");
        assert_eq!((queue.pop(), queue.pop(), queue.len()), (Some(21), None, 0));
        assert_eq!(queue.pop_heaviest(weight(ip(1))), None);
    }
}
