//! What an observer master has received from its leader and keeps for observers (Java: proposedPkts and committedPkts
//! of server/quorum/ObserverMaster.java). Pure.
//!
//! Differs from Java: The master begins with what its follower knows when it starts, and remembers what it has thrown
//! away. So an observer that connects in the first moments, or when nothing is kept, gets no history with a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::{Sid, Zxid};
use crate::server::quorum::learner_handler::{write_inform, write_inform_and_activate};

/// The size of a packet without its data, as Java estimates it.
const PACKET_SIZE: usize = 4 + 8 + 8 + 8;

/// How many packets are thrown away for each new one when the limit is near.
const EVICTED_PER_PACKET: usize = 5;

/// A committed transaction, as observers receive it.
#[derive(Clone, Debug)]
pub(super) struct CommittedPacket {
    pub(super) zxid: Zxid,
    txn: Arc<[u8]>,
    /// A reconfiguration takes effect with the transaction, and this is the designated leader.
    activates: Option<Sid>,
}

impl CommittedPacket {
    /// Writes the packet in place of the buffer's content.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self.activates {
            None => write_inform(self.zxid, &self.txn, bytes),
            Some(leader) => write_inform_and_activate(self.zxid, leader, &self.txn, bytes),
        }
    }

    fn size(&self) -> usize {
        let designated_leader = if self.activates.is_some() { size_of::<i64>() } else { 0 };
        PACKET_SIZE + designated_leader + self.txn.len()
    }
}

/// A commit that is not of the next proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The next proposal.
    pub(super) pending: Zxid,
}

/// An observer lacks transactions that are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFarBehind {
    /// The last transaction that was thrown away.
    pub(super) evicted: Zxid,
}

/// The proposals and the committed transactions.
pub(super) struct RetainedPackets {
    proposed: VecDeque<(Zxid, Arc<[u8]>)>,
    committed: VecDeque<CommittedPacket>,
    /// The size of the committed packets, in bytes.
    size: usize,
    /// The largest size, in bytes (`zookeeper.observerMaster.sizeLimit`).
    limit: usize,
    /// The last committed packet that was thrown away.
    evicted: Zxid,
    last_committed: Zxid,
}

impl RetainedPackets {
    /// Nothing yet; the tree has all transactions up to `last_committed`.
    pub(super) const fn new(limit: usize, last_committed: Zxid) -> Self {
        Self {
            proposed: VecDeque::new(),
            committed: VecDeque::new(),
            size: 0,
            limit,
            evicted: Zxid::ZERO,
            last_committed,
        }
    }

    /// The last committed transaction (Java: lastProposedZxid).
    pub(super) const fn last_committed(&self) -> Zxid {
        self.last_committed
    }

    /// Keeps a proposal until it is committed (Java: proposalReceived).
    pub(super) fn proposed(&mut self, zxid: Zxid, txn: Arc<[u8]>) {
        self.proposed.push_back((zxid, txn));
    }

    /// Moves the next proposal to the committed ones, and returns it (Java: removeProposedPacket,
    /// cacheCommittedPacket). `None` if it was not proposed since this master exists.
    ///
    /// # Errors
    /// When the next proposal is an earlier one.
    pub(super) fn committed(
        &mut self,
        zxid: Zxid,
        activates: Option<Sid>,
    ) -> Result<Option<CommittedPacket>, Mismatch> {
        let txn = match self.proposed.front() {
            Some((pending, _)) if *pending < zxid => return Err(Mismatch { pending: *pending }),
            Some((pending, txn)) if *pending == zxid => Arc::clone(txn),
            _ => return Ok(None),
        };
        self.proposed.pop_front();
        let packet = CommittedPacket { zxid, txn, activates };
        self.last_committed = zxid;
        self.size += packet.size();
        self.committed.push_back(packet.clone());
        self.make_room();
        Ok(Some(packet))
    }

    /// Near the limit, as many as five packets go for each that comes. So many small packets make room before a large
    /// one comes.
    fn make_room(&mut self) {
        // 0.8 of the limit, as in Java.
        let is_near = |size: usize, limit: usize| size.saturating_mul(10) > limit.saturating_mul(8);
        for _ in 0..EVICTED_PER_PACKET {
            if !is_near(self.size, self.limit) {
                break;
            }
            self.evict();
        }
        while self.size > self.limit {
            self.evict();
        }
    }

    fn evict(&mut self) {
        match self.committed.pop_front() {
            Some(packet) => {
                self.size -= packet.size();
                self.evicted = packet.zxid;
            }
            None => self.size = 0,
        }
    }

    /// The committed transactions after `last_seen`.
    ///
    /// # Errors
    /// When some of them were thrown away.
    pub(super) fn after(
        &self,
        last_seen: Zxid,
    ) -> Result<impl Iterator<Item = &CommittedPacket>, TooFarBehind> {
        if last_seen < self.evicted {
            return Err(TooFarBehind { evicted: self.evicted });
        }
        Ok(self.committed.iter().filter(move |packet| packet.zxid > last_seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::quorum_packet::{PacketType, QuorumPacket};

    /// Of 100 bytes, with what Java adds.
    fn txn() -> Arc<[u8]> {
        vec![7; 100 - PACKET_SIZE].into()
    }

    fn with_committed(limit: usize, count: i64) -> RetainedPackets {
        let mut packets = RetainedPackets::new(limit, Zxid::new(2, 0));
        for counter in 1..=count {
            packets.proposed(Zxid::new(2, counter), txn());
            assert!(packets.committed(Zxid::new(2, counter), None).unwrap().is_some());
        }
        packets
    }

    fn counters(packets: &RetainedPackets, last_seen: Zxid) -> Result<Vec<i64>, TooFarBehind> {
        Ok(packets.after(last_seen)?.map(|packet| packet.zxid.counter()).collect())
    }

    #[test]
    fn a_proposal_goes_to_observers_when_it_is_committed() {
        let mut packets = RetainedPackets::new(1_000, Zxid::new(1, 9));
        packets.proposed(Zxid::new(2, 1), txn());
        packets.proposed(Zxid::new(2, 2), txn());
        assert_eq!(counters(&packets, Zxid::new(1, 9)), Ok(vec![]));
        assert!(packets.committed(Zxid::new(1, 9), None).unwrap().is_none(), "it is in the tree");
        let mismatch = packets.committed(Zxid::new(2, 2), None).unwrap_err();
        assert_eq!(mismatch, Mismatch { pending: Zxid::new(2, 1) });
        assert!(packets.committed(Zxid::new(2, 1), None).unwrap().is_some());
        assert_eq!(packets.last_committed(), Zxid::new(2, 1));
        assert!(packets.committed(Zxid::new(2, 2), None).unwrap().is_some());
        assert!(packets.committed(Zxid::new(2, 3), None).unwrap().is_none(), "never proposed");
        // The tree of the follower may be behind, whatever epoch it is in.
        assert_eq!(counters(&packets, Zxid::new(1, 9)), Ok(vec![1, 2]));
        assert_eq!(counters(&packets, Zxid::new(2, 1)), Ok(vec![2]));
        assert_eq!(counters(&packets, Zxid::new(2, 2)), Ok(vec![]));
    }

    #[test]
    fn near_the_limit_up_to_five_packets_go_for_each_new_one() {
        let packets = with_committed(1_000, 8);
        assert_eq!(counters(&packets, Zxid::new(2, 0)).unwrap().len(), 8, "800 are not above 80%");
        let packets = with_committed(1_000, 9);
        // One is enough to be at 80% again.
        assert_eq!(counters(&packets, Zxid::new(2, 1)), Ok((2..=9).collect()));
        let mut packets = with_committed(1_000, 8);
        packets.proposed(Zxid::new(2, 9), vec![7; 700 - PACKET_SIZE].into());
        assert!(packets.committed(Zxid::new(2, 9), None).unwrap().is_some());
        // Five go because of the 80%: 1,000 are left, which is the limit.
        assert_eq!(counters(&packets, Zxid::new(2, 5)), Ok((6..=9).collect()));
    }

    #[test]
    fn the_limit_holds_whatever_comes() {
        let mut packets = with_committed(1_000, 8);
        packets.proposed(Zxid::new(2, 9), vec![7; 5_000].into());
        assert!(packets.committed(Zxid::new(2, 9), None).unwrap().is_some());
        assert_eq!((packets.size, packets.committed.len()), (0, 0));
        // Who lacks it cannot be served from here, and who has it can.
        let too_far = TooFarBehind { evicted: Zxid::new(2, 9) };
        assert_eq!(counters(&packets, Zxid::new(2, 8)), Err(too_far));
        assert_eq!(counters(&packets, Zxid::new(2, 9)), Ok(vec![]));
    }

    #[test]
    fn an_observer_that_lacks_what_was_thrown_away_is_too_far_behind() {
        let packets = with_committed(1_000, 12);
        let first = *counters(&packets, Zxid::new(2, 12 - 8)).unwrap().first().unwrap();
        let evicted = Zxid::new(2, first - 1);
        assert!(counters(&packets, evicted).is_ok());
        let behind = Zxid::new(2, first - 2);
        assert_eq!(counters(&packets, behind), Err(TooFarBehind { evicted }));
    }

    #[test]
    fn a_reconfiguration_names_the_designated_leader_before_its_transaction() {
        let mut packets = RetainedPackets::new(1_000, Zxid::ZERO);
        packets.proposed(Zxid(5), Arc::new([1, 2]));
        let packet = packets.committed(Zxid(5), Some(Sid(3))).unwrap().unwrap();
        assert_eq!(packet.size(), PACKET_SIZE + 8 + 2);
        let mut bytes = vec![9];
        packet.write(&mut bytes);
        let data = vec![0, 0, 0, 0, 0, 0, 0, 3, 1, 2];
        let expected = QuorumPacket::new(PacketType::InformAndActivate, Zxid(5), Some(data));
        assert_eq!(bytes, crate::jute::Record::to_bytes(&expected));
    }
}
