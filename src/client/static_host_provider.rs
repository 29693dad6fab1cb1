//! A list of servers in random order (Java: client/StaticHostProvider.java).
//!
//! A new list moves only as many clients as are needed for an even load. Each client decides by itself, at random, with
//! probabilities from the sizes of the lists: if all clients get the same lists, each server has the same number of
//! them in the end. A client that moves is "in reconfig mode" until it is connected or has tried all servers.
//! Locks: `Leaf`, never while a name is looked up.
//! Differs from Java: a client stays with its server if the new list spells the name in another case, or gives an IPv6
//! address. In Java it connects anew.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::connect_string_parser::{HostPort, InvalidConnectString};
use super::host_provider::{HostProvider, NextHost};
use crate::common::net_utils;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::random::random;

/// Looks up the addresses of a server (Java: StaticHostProvider.Resolver).
pub type Resolver = Box<dyn Fn(&HostPort) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// A list of servers in random order. Their names are looked up again for every connection.
pub struct StaticHostProvider {
    list: RankedMutex<ServerList>,
    resolver: Resolver,
}

impl fmt::Debug for StaticHostProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list.lock().servers).finish()
    }
}

impl StaticHostProvider {
    /// A provider of these servers, which the system looks up.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(servers: &[HostPort]) -> Result<Self, InvalidConnectString> {
        let look_up = |server: &HostPort| net_utils::resolve_all(&server.host, server.port);
        Self::with_resolver(servers, Box::new(look_up))
    }

    /// As [`new`](Self::new), with another way to look up names.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_resolver(
        servers: &[HostPort],
        resolver: Resolver,
    ) -> Result<Self, InvalidConnectString> {
        Self::seeded(servers, resolver, random())
    }

    fn seeded(
        servers: &[HostPort],
        resolver: Resolver,
        seed: u64,
    ) -> Result<Self, InvalidConnectString> {
        let list = ServerList::new(servers, SourceOfRandomness(seed))?;
        Ok(Self { list: RankedMutex::new(Rank::Leaf, "StaticHostProvider.list", list), resolver })
    }
}

impl HostProvider for StaticHostProvider {
    fn size(&self) -> usize {
        self.list.lock().servers.len()
    }

    fn next(&self) -> NextHost {
        self.list.lock().next()
    }

    fn resolve(&self, server: &HostPort) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = (self.resolver)(server)?;
        self.list.lock().random.shuffle(&mut addresses);
        Ok(addresses)
    }

    fn on_connected(&self) {
        self.list.lock().on_connected();
    }

    fn update_server_list(
        &self,
        servers: &[HostPort],
        current: Option<&HostPort>,
    ) -> Result<bool, InvalidConnectString> {
        self.list.lock().update(servers, current)
    }
}

/// The servers, and where the client is among them. Knows no network.
struct ServerList {
    /// At least one.
    servers: Vec<HostPort>,
    random: SourceOfRandomness,
    /// The position of the server that was tried last.
    current_index: Option<usize>,
    /// The position of the server that the client was connected to last.
    last_index: Option<usize>,
    /// There is one in reconfig mode.
    migration: Option<Migration>,
}

impl ServerList {
    fn new(
        servers: &[HostPort],
        mut random: SourceOfRandomness,
    ) -> Result<Self, InvalidConnectString> {
        let servers = shuffled(servers, &mut random)?;
        Ok(Self { servers, random, current_index: None, last_index: None, migration: None })
    }

    fn next(&mut self) -> NextHost {
        let mut all_tried = false;
        if let Some(migration) = &mut self.migration {
            if let Some(server) = migration.next_host(&mut self.random) {
                self.current_index = position(&self.servers, &server);
                return NextHost { server, all_tried };
            }
            self.migration = None;
            all_tried = true;
        }
        let at = self.current_index.map_or(0, |at| (at + 1) % self.servers.len());
        self.current_index = Some(at);
        all_tried |= self.last_index == Some(at);
        // The very first attempt does not wait.
        self.last_index.get_or_insert(0);
        NextHost { server: self.servers[at].clone(), all_tried }
    }

    fn on_connected(&mut self) {
        self.last_index = self.current_index;
        self.migration = None;
    }

    fn update(
        &mut self,
        servers: &[HostPort],
        current: Option<&HostPort>,
    ) -> Result<bool, InvalidConnectString> {
        let servers = shuffled(servers, &mut self.random)?;
        let mine = if self.migration.is_some() {
            // The client has left its server, and would connect to this one.
            self.next().server
        } else {
            let last = &self.servers[self.last_index.unwrap_or(0)];
            current.unwrap_or(last).clone()
        };
        let stays_possible = position(&servers, &mine).is_some();
        let (old, new): (Vec<_>, Vec<_>) =
            servers.iter().cloned().partition(|one| position(&self.servers, one).is_some());
        let (before, kept, added) = (self.servers.len(), old.len(), new.len());
        let random = self.random.next_float();
        let probability_of_new = probability_of_new(before, kept, added, stays_possible, random);
        self.migration = probability_of_new.map(|probability_of_new| Migration {
            old: old.into(),
            new: new.into(),
            probability_of_new,
        });
        // A client that stays goes on from its place in the new list.
        let tried = self.current_index.map(|at| &self.servers[at]);
        self.current_index = match self.migration {
            None => tried.and_then(|tried| position(&servers, tried)),
            Some(_) => None,
        };
        self.last_index = self.current_index;
        self.servers = servers;
        Ok(self.migration.is_some())
    }
}

/// The servers that a client in reconfig mode has not tried.
struct Migration {
    /// Those that the previous list had, too.
    old: VecDeque<HostPort>,
    new: VecDeque<HostPort>,
    /// How likely it is that a new one is taken, as long as there are both.
    probability_of_new: f64,
}

impl Migration {
    /// Java: nextHostInReconfigMode.
    fn next_host(&mut self, random: &mut SourceOfRandomness) -> Option<HostPort> {
        let takes_new = random.next_float() <= self.probability_of_new;
        if takes_new || self.old.is_empty() {
            self.new.pop_front().or_else(|| self.old.pop_front())
        } else {
            self.old.pop_front()
        }
    }
}

/// How likely a client should go to one of the `added` servers rather than to one of the `kept` ones, which were among
/// the `before` servers of the previous list; `None` if it stays where it is, which is one of the kept servers if
/// `stays_possible`. `random` is from 0 to 1.
fn probability_of_new(
    before: usize,
    kept: usize,
    added: usize,
    stays_possible: bool,
    random: f64,
) -> Option<f64> {
    let (before, kept, after) = (before as f64, kept as f64, (kept + added) as f64);
    if after > before {
        // Each server is to have fewer clients than before, so whoever moves goes to a new one.
        let leaves = !stays_possible || random <= 1.0 - before / after;
        return leaves.then_some(1.0);
    }
    if stays_possible {
        return None;
    }
    // This is no number if all old servers are still there. The comparison with it then chooses an old one.
    Some(1.0 - kept * (before - after) / (after * (before - kept)))
}

fn position(servers: &[HostPort], server: &HostPort) -> Option<usize> {
    servers.iter().position(|other| other.is_same(server))
}

fn shuffled(
    servers: &[HostPort],
    random: &mut SourceOfRandomness,
) -> Result<Vec<HostPort>, InvalidConnectString> {
    if servers.is_empty() {
        return Err(InvalidConnectString::Empty);
    }
    let mut servers = servers.to_vec();
    random.shuffle(&mut servers);
    Ok(servers)
}

/// A generator of random numbers (SplitMix64). They are not secret.
struct SourceOfRandomness(u64);

impl SourceOfRandomness {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, without 1.
    fn next_float(&mut self) -> f64 {
        // A double has 53 bits of precision.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = usize::try_from(self.next() % (at as u64 + 1)).unwrap_or(0);
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

    use super::*;

    const CLIENTS: usize = 10_000;

    fn host(number: usize) -> HostPort {
        let port = u16::try_from(1234 + number).unwrap();
        HostPort { host: format!("10.10.10.{number}"), port }
    }

    /// The servers with the numbers 1 to `last`.
    fn hosts(last: usize) -> Vec<HostPort> {
        (1..=last).map(host).collect()
    }

    fn list_of(servers: usize, seed: u64) -> ServerList {
        ServerList::new(&hosts(servers), SourceOfRandomness(seed)).unwrap()
    }

    fn number_of(server: &HostPort) -> usize {
        usize::from(server.port - 1234)
    }

    #[test]
    fn the_servers_come_in_turn_and_the_client_waits_before_it_starts_over() {
        let mut list = list_of(3, 1);
        let first_round: Vec<_> = (0..3).map(|_| list.next()).collect();
        assert!(first_round.iter().all(|next| !next.all_tried), "{first_round:?}");
        let mut numbers: Vec<_> = first_round.iter().map(|next| number_of(&next.server)).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        let again = list.next();
        assert_eq!((&again.server, again.all_tried), (&first_round[0].server, true));
        // The server after the one that was connected is tried at once, also if others were tried before.
        list.next();
        list.on_connected();
        let rest: Vec<_> = (0..4).map(|_| list.next().all_tried).collect();
        assert_eq!(rest, [false, false, true, false]);
    }

    #[test]
    fn a_connection_does_not_start_the_round_anew() {
        let mut list = list_of(2, 1);
        let first = list.next().server;
        list.on_connected();
        assert_ne!(list.next().server, first);
        let mut alone = list_of(1, 1);
        assert!(!alone.next().all_tried);
        assert!(alone.next().all_tried);
    }

    #[test]
    fn a_list_without_servers_is_refused_and_changes_nothing() {
        assert_eq!(StaticHostProvider::new(&[]).unwrap_err(), InvalidConnectString::Empty);
        let provider = StaticHostProvider::new(&hosts(2)).unwrap();
        let refused = provider.update_server_list(&[], None).unwrap_err();
        assert_eq!(refused.to_string(), "A HostProvider may not be empty!");
        assert_eq!(provider.size(), 2);
    }

    #[test]
    fn a_client_moves_only_if_that_balances_the_load() {
        for (before, kept, added, stays_possible, random, expected) in [
            // Fewer servers, or as many: it stays if it can.
            (4, 3, 0, true, 0.0, None),
            (3, 3, 0, true, 0.0, None),
            (3, 2, 0, false, 0.0, Some(0.0)),
            (3, 1, 1, false, 0.0, Some(0.75)),
            (3, 2, 1, false, 0.0, Some(1.0)),
            (3, 0, 2, false, 0.0, Some(1.0)),
            // More: it moves to a new one with a probability of 1 - 9/10, or if it must.
            (9, 9, 1, true, 0.09, Some(1.0)),
            (9, 9, 1, true, 0.11, None),
            (2, 2, 1, false, 0.99, Some(1.0)),
        ] {
            let found = probability_of_new(before, kept, added, stays_possible, random);
            assert_eq!(found, expected, "{before} {kept} {added} {stays_possible} {random}");
        }
        // No server has come or gone, and the client's is in neither list.
        assert!(probability_of_new(3, 3, 0, false, 0.5).unwrap().is_nan());
        // A server that is named twice makes no difference larger than all numbers.
        assert!(probability_of_new(1, 2, 0, false, 0.5).is_some());
    }

    #[test]
    fn whoever_is_left_out_is_disconnected() {
        let mut list = list_of(4, 1);
        let mine = host(3);
        assert!(!list.update(&hosts(3), Some(&mine)).unwrap());
        list.on_connected();
        assert!(!list.update(&hosts(3), Some(&mine)).unwrap());
        list.on_connected();
        assert!(list.update(&hosts(2), Some(&mine)).unwrap());
        list.on_connected();
        assert!(list.update(&hosts(2), Some(&mine)).unwrap());
        list.on_connected();
        let others: Vec<_> = (2..=4).map(host).collect();
        assert!(list.update(&others, Some(&host(1))).unwrap());
    }

    #[test]
    fn a_server_is_the_same_if_its_name_and_port_are() {
        let named = |name: &str, port| HostPort { host: name.to_owned(), port };
        for (current, moves) in [
            (named("testhost-3.testdomain.com", 1237), false),
            (named("TestHost-3.TestDomain.com", 1237), false),
            (named("testhost-3.testdomain.com", 1238), true),
            (named("testhost-4.testdomain.com", 1237), true),
        ] {
            let servers = [
                named("testhost-1.testdomain.com", 1235),
                named("testhost-3.testdomain.com", 1237),
            ];
            let mut list = ServerList::new(&servers, SourceOfRandomness(1)).unwrap();
            assert_eq!(list.update(&servers, Some(&current)).unwrap(), moves, "{current:?}");
        }
        let ipv6 = named("::1", 2181);
        let mut list = ServerList::new(std::slice::from_ref(&ipv6), SourceOfRandomness(1)).unwrap();
        assert!(!list.update(std::slice::from_ref(&ipv6), Some(&ipv6)).unwrap());
    }

    #[test]
    fn new_servers_come_first_then_old_ones_then_all_in_turn() {
        let mut list = list_of(4, 1);
        let servers: Vec<_> = (3..=12).map(host).collect();
        assert!(list.update(&servers, Some(&host(1))).unwrap());
        let tried: Vec<_> = (0..10).map(|_| list.next()).collect();
        assert!(tried.iter().all(|next| !next.all_tried));
        let mut numbers: Vec<_> = tried.iter().map(|next| number_of(&next.server)).collect();
        numbers[..8].sort_unstable();
        numbers[8..].sort_unstable();
        assert_eq!(numbers, [5, 6, 7, 8, 9, 10, 11, 12, 3, 4]);
        let first = list.next();
        assert!(first.all_tried, "every server was tried");
        let round: Vec<_> = (0..9).map(|_| list.next()).collect();
        assert!(round.iter().all(|next| next.server != first.server), "{round:?}");
        assert_eq!(list.next().server, first.server);
    }

    /// A client, and the server that it is connected to.
    struct Client {
        list: ServerList,
        server: HostPort,
    }

    fn clients_of(servers: usize) -> Vec<Client> {
        let client = |seed| {
            let mut list = list_of(servers, seed);
            let server = list.next().server;
            list.on_connected();
            Client { list, server }
        };
        (0..CLIENTS as u64).map(client).collect()
    }

    /// Every client gets the list, and connects again if it must.
    fn update(clients: &mut [Client], servers: &[HostPort]) {
        for client in clients {
            if client.list.update(servers, Some(&client.server)).unwrap() {
                client.server = client.list.next().server;
            }
            client.list.on_connected();
        }
    }

    /// Checks that these servers have all clients, and each the same number, within a tenth.
    #[track_caller]
    fn assert_balanced<'a>(servers: impl Iterator<Item = &'a HostPort>, expected: &[HostPort]) {
        let mut counts = [0; 32];
        servers.for_each(|server| counts[number_of(server)] += 1);
        let share = CLIENTS / expected.len();
        for (number, count) in counts.into_iter().enumerate() {
            let expects = expected.iter().any(|server| number_of(server) == number);
            let most = if expects { share * 11 / 10 } else { 0 };
            let least = if expects { share * 9 / 10 } else { 0 };
            assert!((least..=most).contains(&count), "server {number} has {count} of {counts:?}");
        }
    }

    #[test]
    fn servers_that_come_and_go_have_the_same_load() {
        let mut clients = clients_of(9);
        assert_balanced(clients.iter().map(|client| &client.server), &hosts(9));
        let without_the_first: Vec<_> = (2..=9).map(host).collect();
        for servers in [hosts(8), hosts(6), without_the_first, hosts(9)] {
            update(&mut clients, &servers);
            assert_balanced(clients.iter().map(|client| &client.server), &servers);
        }
    }

    #[test]
    fn a_client_without_a_connection_counts_where_it_was_last() {
        let mut clients = clients_of(9);
        // Half of them have never connected: they count at the first server of their list.
        for (seed, client) in (0..).zip(&mut clients[..CLIENTS / 2]) {
            client.list = list_of(9, seed);
        }
        for servers in [hosts(7), hosts(8)] {
            for (at, client) in clients.iter_mut().enumerate() {
                let current = (at >= CLIENTS / 2).then_some(&client.server);
                let stays_at = client.list.current_index.map_or_else(
                    || client.list.servers[0].clone(),
                    |at| client.list.servers[at].clone(),
                );
                let moves = client.list.update(&servers, current).unwrap();
                client.server = if moves { client.list.next().server } else { stays_at };
                client.list.current_index = position(&client.list.servers, &client.server);
                client.list.on_connected();
            }
            assert_balanced(clients.iter().map(|client| &client.server), &servers);
        }
    }

    #[test]
    fn the_next_list_may_come_while_the_client_still_looks_for_a_server() {
        let mut clients = clients_of(9);
        for client in &mut clients {
            client.list.update(&hosts(7), Some(&client.server)).unwrap();
        }
        for (at, client) in clients.iter_mut().enumerate() {
            let current = (at >= CLIENTS / 2).then_some(&client.server);
            client.server = if client.list.update(&hosts(9), current).unwrap() {
                client.list.next().server
            } else {
                let at = client.list.current_index.unwrap();
                client.list.servers[at].clone()
            };
            client.list.on_connected();
        }
        assert_balanced(clients.iter().map(|client| &client.server), &hosts(9));
    }

    #[test]
    fn names_are_looked_up_for_every_connection() {
        let looked_up = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looked_up);
        let addresses: Vec<IpAddr> =
            ["192.168.1.1", "192.168.1.2"].iter().map(|text| text.parse().unwrap()).collect();
        let of_name = addresses.clone();
        let resolver = move |server: &HostPort| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(of_name.iter().map(|ip| SocketAddr::new(*ip, server.port)).collect())
        };
        let servers = [HostPort { host: "www.apache.org".into(), port: 1234 }];
        let provider =
            StaticHostProvider::seeded(&servers, Box::new(resolver), 1).expect("a server");
        let mut first = [0; 2];
        for _ in 0..100 {
            let found = provider.resolve(&provider.next().server).unwrap();
            assert_eq!((found.len(), provider.size()), (2, 1));
            first[addresses.iter().position(|ip| *ip == found[0].ip()).unwrap()] += 1;
        }
        assert_eq!(looked_up.load(Ordering::Relaxed), 100);
        assert!(first.iter().all(|count| *count > 25), "either address comes first: {first:?}");
    }

    /// Java's test of an address that changes: the client stays, because the name is the same.
    #[test]
    fn a_server_whose_address_changes_is_the_same_server() {
        let last = AtomicU8::new(0);
        let resolver = move |server: &HostPort| {
            let address = [10, 0, 0, last.fetch_add(1, Ordering::Relaxed)];
            Ok(vec![SocketAddr::new(address.into(), server.port)])
        };
        let servers = [HostPort { host: "testhost-1.resolvable.zk".into(), port: 1235 }];
        let provider =
            StaticHostProvider::with_resolver(&servers, Box::new(resolver)).expect("a server");
        let current = provider.next().server;
        assert_ne!(provider.resolve(&current).unwrap(), provider.resolve(&current).unwrap());
        assert!(!provider.update_server_list(&servers, Some(&current)).unwrap());
    }

    #[test]
    fn a_host_that_is_unknown_is_an_error_and_comes_again_in_its_turn() {
        let unknown = |_: &HostPort| Err(io::ErrorKind::NotFound.into());
        let provider =
            StaticHostProvider::with_resolver(&hosts(1), Box::new(unknown)).expect("a server");
        let next = provider.next().server;
        assert_eq!(provider.resolve(&next).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(provider.next().server, next);
        // An address is not looked up.
        let provider = StaticHostProvider::new(&hosts(30)).unwrap();
        for _ in 0..30 {
            let server = provider.next().server;
            let found = provider.resolve(&server).unwrap();
            assert_eq!(found[0].to_string(), format!("{}:{}", server.host, server.port));
        }
    }
}
