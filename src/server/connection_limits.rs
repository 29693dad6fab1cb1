//! Limits the number of connections, in total and per address (no Java twin: NIOServerCnxnFactory's ipMap and
//! ServerCnxnFactory.limitTotalNumberOfCnxns).
//!
//! Threads: those that accept and close connections. Locks: its own (`Rank::Leaf`), for a few instructions. Differs
//! from Java: a connection is counted when it is admitted. Java counts it later, so several connections that arrive
//! at once can exceed the limit together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use log::{error, info, warn};

use crate::common::zk_config::SystemProperties;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ServerCnxnFactory";

/// An address with fewer connections has few.
const FEW_IN_TOTAL: usize = 16;

/// An address with fewer connections has very few.
const VERY_FEW_IN_TOTAL: usize = 8;

const MAX_CNXNS: &str = "zookeeper.maxCnxns";

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManyConnections {
    /// `maxCnxns`.
    #[error("Too many connections max allowed is {max}")]
    InAll {
        /// The limit.
        max: usize,
    },
    /// `maxClientCnxns`. The address is written as in Java's log.
    #[error("Too many connections from /{ip} - max is {max}")]
    FromAddress {
        /// The client.
        ip: IpAddr,
        /// The limit.
        max: usize,
    },
}

/// Reads the limit of all connections from `zookeeper.maxCnxns`; 0 is no limit (Java: initMaxCnxns).
#[must_use]
pub(crate) fn max_cnxns_from_properties(properties: &SystemProperties) -> usize {
    let configured = properties.number_or::<i32>(MAX_CNXNS, 0);
    let max = usize::try_from(configured).unwrap_or(0);
    if configured < 0 {
        warn!(target: LOG, "maxCnxns should be greater than or equal to 0, using default value 0.");
    } else if max == 0 {
        warn!(target: LOG, "maxCnxns is not configured, using default value 0.");
    } else {
        info!(target: LOG, "maxCnxns configured value is {max}.");
    }
    max
}

/// A count for each address. An IPv4 address and its IPv6 form are the same address.
#[derive(Debug, Default)]
pub(crate) struct AddressCounts(HashMap<IpAddr, usize>);

impl AddressCounts {
    /// Increments the count of the address.
    pub(crate) fn add(&mut self, ip: IpAddr) {
        *self.0.entry(ip.to_canonical()).or_default() += 1;
    }

    /// Decrements the count of the address.
    pub(crate) fn remove(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        if let Some(count) = self.0.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&ip);
            }
        }
    }

    /// The count of the address.
    #[must_use]
    pub(crate) fn of(&self, ip: IpAddr) -> usize {
        self.0.get(&ip.to_canonical()).copied().unwrap_or(0)
    }

    /// The address with the highest count, and this count.
    #[must_use]
    pub(crate) fn busiest(&self) -> Option<(IpAddr, usize)> {
        self.0.iter().max_by_key(|(_, count)| **count).map(|(ip, count)| (*ip, *count))
    }

    /// The number of addresses with a count.
    #[must_use]
    pub(crate) fn addresses(&self) -> usize {
        self.0.len()
    }

    /// Whether no address has a count.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: AddressCounts,
}

/// Counts the connections of one port.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    max_cnxns: usize,
    max_client_cnxns: usize,
    counts: RankedMutex<Counts>,
}

impl ConnectionLimits {
    /// Allows `max_cnxns` connections in total and `max_client_cnxns` from one address; 0 is no limit.
    #[must_use]
    pub(crate) fn new(max_cnxns: usize, max_client_cnxns: usize) -> Arc<Self> {
        let counts = RankedMutex::new(Rank::Leaf, "ConnectionLimits", Counts::default());
        Arc::new(Self { max_cnxns, max_client_cnxns, counts })
    }

    /// Whether the address has few connections, with a session or without: few in total, or at most half as many as the
    /// address with the most connections.
    #[must_use]
    pub(crate) fn has_few_connections(&self, ip: IpAddr) -> bool {
        self.has_fewer(ip, FEW_IN_TOTAL, 2)
    }

    /// Whether the address has very few: in total, or at most a quarter of the address with the most connections. Many
    /// addresses that each have few can take all places for those that have few.
    #[must_use]
    pub(crate) fn has_very_few_connections(&self, ip: IpAddr) -> bool {
        self.has_fewer(ip, VERY_FEW_IN_TOTAL, 4)
    }

    /// Whether the address has fewer connections than `in_total`, or at most one for `part` of the address with the most.
    fn has_fewer(&self, ip: IpAddr, in_total: usize, part: usize) -> bool {
        let counts = self.counts.lock();
        let of_address = counts.by_address.of(ip);
        of_address < in_total
            || counts.by_address.busiest().is_some_and(|(_, most)| part * of_address <= most)
    }

    /// Counts a connection as long as the returned slot lives.
    ///
    /// # Errors
    /// When a limit is reached. The caller logs this (`Error accepting new connection: `), counts
    /// `connection_rejected` and closes the socket.
    pub(crate) fn admit(
        self: &Arc<Self>,
        ip: IpAddr,
    ) -> Result<ConnectionSlot, TooManyConnections> {
        let ip = ip.to_canonical();
        let mut counts = self.counts.lock();
        let all = counts.all;
        if self.max_cnxns > 0 && all >= self.max_cnxns {
            drop(counts);
            error!(target: LOG, "Too many connections {all} - max is {}", self.max_cnxns);
            return Err(TooManyConnections::InAll { max: self.max_cnxns });
        }
        if self.max_client_cnxns > 0 && counts.by_address.of(ip) >= self.max_client_cnxns {
            return Err(TooManyConnections::FromAddress { ip, max: self.max_client_cnxns });
        }
        counts.all += 1;
        counts.by_address.add(ip);
        drop(counts);
        Ok(ConnectionSlot { limits: Arc::clone(self), ip })
    }

    /// How many connections there are.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn num_connections(&self) -> usize {
        self.counts.lock().all
    }

    fn release(&self, ip: IpAddr) {
        let mut counts = self.counts.lock();
        counts.all -= 1;
        counts.by_address.remove(ip);
    }
}

/// A counted connection.
#[derive(Debug)]
#[must_use]
pub(crate) struct ConnectionSlot {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limits.release(self.ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn one_address_gets_no_more_than_its_share_and_gets_it_back() {
        let limits = ConnectionLimits::new(0, 2);
        let slots = [limits.admit(ip(1)).unwrap(), limits.admit(ip(1)).unwrap()];
        let error = limits.admit(ip(1)).unwrap_err();
        assert_eq!(error.to_string(), "Too many connections from /10.0.0.1 - max is 2");
        let other = limits.admit(ip(2)).unwrap();
        assert_eq!(limits.num_connections(), 3);
        drop(slots);
        drop(limits.admit(ip(1)).unwrap());
        assert_eq!(limits.num_connections(), 1);
        drop(other);
        assert!(limits.counts.lock().by_address.is_empty());
    }

    #[test]
    fn an_address_has_few_connections_beside_one_with_many() {
        let limits = ConnectionLimits::new(0, 0);
        let slots = |last, count| (0..count).map(|_| limits.admit(ip(last)).unwrap()).collect();
        let _many: Vec<_> = slots(1, 40);
        let some: Vec<_> = slots(2, 20);
        let _others: Vec<_> = slots(3, 21);
        let few = [1, 2, 3, 4].map(|last| limits.has_few_connections(ip(last)));
        assert_eq!(few, [false, true, false, true]);
        let very_few = [1, 2, 4].map(|last| limits.has_very_few_connections(ip(last)));
        assert_eq!(very_few, [false, false, true]);
        let _ten: Vec<_> = slots(5, 10);
        assert!(limits.has_very_few_connections(ip(5)), "a quarter of 40");
        drop(some);
        let _few: Vec<_> = slots(2, FEW_IN_TOTAL - 1);
        assert!(limits.has_few_connections(ip(2)));
    }

    #[test]
    fn an_ipv4_address_in_the_form_of_ipv6_is_the_same_address() {
        let limits = ConnectionLimits::new(0, 1);
        let _slot = limits.admit("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(limits.admit(ip(1)).is_err());
    }

    #[test]
    fn all_addresses_share_the_limit_in_all() {
        let limits = ConnectionLimits::new(2, 60);
        let _slots = [limits.admit(ip(1)).unwrap(), limits.admit(ip(2)).unwrap()];
        let error = limits.admit(ip(3)).unwrap_err();
        assert_eq!(error.to_string(), "Too many connections max allowed is 2");
        assert_eq!(limits.num_connections(), 2);
    }

    #[test]
    fn a_negative_limit_in_all_is_none() {
        for (value, max) in [("-1", 0), ("0", 0), ("7", 7)] {
            let properties = SystemProperties::from_pairs([(MAX_CNXNS, value)]);
            assert_eq!(max_cnxns_from_properties(&properties), max);
        }
        assert_eq!(max_cnxns_from_properties(&SystemProperties::new()), 0);
    }
}
