//! How connections are opened and accepted (Java: initiateConnection, startConnection, connectOne, receiveConnection
//! and handleConnection of server/quorum/QuorumCnxManager.java).
//!
//! Threads: `QuorumConnectionThread-[myid=N]-I` for each attempt to connect, and
//! `QuorumConnectionReceiverThread-ADDR` for each accepted connection; `quorum.cnxn.threads.size` limits the number
//! of each.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::{debug, error, info, warn};
use socket2::SockRef;

use super::connect;
use super::initial_message::{self, InitialMessage, InitialMessageError, OBSERVER_ID};
use super::{Greeting, LOG, QuorumCnxManager, workers};
use crate::common::deadline::{Deadline, DeadlineStream};
use crate::common::net_utils::{self, ResolveHost};
use crate::ids::Sid;
use crate::server::descriptor_reserve::Descriptors;
use crate::server::first_bytes::{self, LooksLike, looks_like};
use crate::server::quorum::multiple_addresses::MultipleAddresses;

impl QuorumCnxManager {
    fn initiate_connection(&self, sid: Sid, greeted: Option<MultipleAddresses>) {
        debug!(target: LOG, "Opening channel to server {sid}");
        if let Some(addresses) = &greeted
            && self.start_connection(sid, addresses)
        {
            return;
        }
        let configured = self.peer.election_addresses_of(sid);
        let mut is_known = greeted.is_some();
        for addresses in [configured.current, configured.next].into_iter().flatten() {
            is_known = true;
            if self.is_halted()
                || greeted.as_ref() != Some(&addresses) && self.start_connection(sid, &addresses)
            {
                return;
            }
        }
        if !is_known {
            warn!(target: LOG, "Invalid server id: {sid} ");
        }
    }

    fn open(&self, addresses: &MultipleAddresses) -> io::Result<TcpStream> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "nobody knows the host");
        let address = addresses.reachable_or_one().ok_or_else(unknown)?;
        let address = address.socket_address().ok_or_else(unknown)?;
        let timeout = self.settings.cnx_timeout;
        let stream = connect::connect(address, timeout, &|| self.is_halted())?;
        self.set_sock_opts(&stream)?;
        debug!(target: LOG, "Connected to election address {address}");
        Ok(stream)
    }

    /// Connects to a server, first at the address that it has sent, then at the configured addresses. Does nothing if
    /// there is a connection or an attempt is in progress.
    pub(super) fn initiate_connection_async(&self, sid: Sid, greeted: Option<MultipleAddresses>) {
        let mut table = self.table.lock();
        if table.is_halted {
            return;
        }
        let connection = table.peers.get(&sid).and_then(|peer| peer.connection.clone());
        if let Some(connection) = connection {
            debug!(target: LOG, "There is a connection already for server {sid}");
            let multi_address = self.settings.multi_address;
            if multi_address.enabled && multi_address.reachability_check_enabled {
                self.async_validate_if_socket_is_still_reachable(&mut table, &connection);
            }
            return;
        }
        if table.connecting.contains(&sid) {
            debug!(
                target: LOG,
                "Connection request to server id: {sid} is already in progress, so skipping this \
                 request"
            );
            if let Some(greeted) = greeted {
                table.greeted_meanwhile.insert(sid, greeted);
            }
            return;
        }
        if table.connecting.len() >= self.settings.cnxn_threads_size {
            drop(table);
            error!(
                target: LOG,
                "Exception while submitting quorum connection request to server {sid}: {} are in \
                 progress (quorum.cnxn.threads.size)",
                self.settings.cnxn_threads_size
            );
            return;
        }
        table.connecting.insert(sid);
        let started = self.spawn(&mut table, &self.thread_name(), move |this| {
            this.initiate_connection(sid, greeted);
            let greeted = {
                let mut table = this.table.lock();
                table.connecting.remove(&sid);
                table.greeted_meanwhile.remove(&sid)
            };
            if greeted.is_some() {
                this.initiate_connection_async(sid, greeted);
            }
        });
        if !started {
            table.connecting.remove(&sid);
        }
    }

    fn thread_name(&self) -> String {
        let number = self.next_thread.fetch_add(1, Ordering::Relaxed);
        format!("QuorumConnectionThread-[myid={}]-{number}", self.my_id)
    }

    /// Whether a server has accepted the connection.
    fn start_connection(&self, sid: Sid, addresses: &MultipleAddresses) -> bool {
        let stream = match self.open(addresses) {
            Ok(stream) => stream,
            Err(problem) => {
                if !self.is_halted() {
                    warn!(
                        target: LOG,
                        "Cannot open channel to {sid} at election address {addresses}: {problem}"
                    );
                }
                return false;
            }
        };
        let addresses = self.peer.my_election_addresses();
        let greeting =
            initial_message::greeting(self.my_id, &addresses, self.settings.multi_address.enabled);
        let mut output = &stream;
        if let Err(problem) = output.write_all(&greeting) {
            warn!(target: LOG, "Ignoring exception reading or writing challenge: {problem}");
            return false;
        }
        let my_id = self.my_id;
        if sid > my_id {
            info!(
                target: LOG,
                "Have smaller server identifier, so dropping the connection: (myId:{my_id} --> \
                 sid:{sid})"
            );
        } else {
            debug!(
                target: LOG,
                "Have larger server identifier, so keeping the connection: (myId:{my_id} --> \
                 sid:{sid})"
            );
            self.start_workers(sid, stream);
        }
        true
    }

    /// Starts a thread that waits for the initial message of a new connection. If too many connections are silent,
    /// one of the address with the most present and recent connections is closed, and of these the oldest.
    pub(super) fn receive_connection(&self, stream: TcpStream, remote: SocketAddr) {
        if let Err(problem) = self.set_sock_opts(&stream) {
            debug!(target: LOG, "the connection from {remote} is gone: {problem}");
            return;
        }
        let mut most = self.settings.cnxn_threads_size;
        let descriptors = Descriptors::now();
        if descriptors.is_reserved(&stream) {
            most = most.min(descriptors.greetings());
        }
        let stream = Arc::new(stream);
        let now_ms = self.peer.clock().elapsed_ms();
        let mut table = self.table.lock();
        if table.is_halted {
            return;
        }
        let ip = remote.ip();
        table.recent.enter(ip, now_ms);
        if table.greetings.len() >= most {
            let crowds = table.recent.beside(table.greetings.iter().map(|greeting| greeting.ip));
            let by_crowd = |(_, greeting): &(usize, &Greeting)| Reverse(crowds.of(greeting.ip));
            let oldest_of_crowd = table.greetings.iter().enumerate().min_by_key(by_crowd);
            if let Some(at) = oldest_of_crowd.map(|(at, _)| at) {
                workers::close_socket(&table.greetings.remove(at).stream);
            }
        }
        let number = self.next_thread.fetch_add(1, Ordering::Relaxed);
        table.greetings.push(Greeting { number, ip, stream: Arc::clone(&stream) });
        let name = format!("QuorumConnectionReceiverThread-{remote}");
        let started = self.spawn(&mut table, &name, move |this| {
            let said = this.read_greeting(&stream);
            this.table.lock().greetings.retain(|greeting| greeting.number != number);
            match said {
                Ok(greeting) => this.handle_connection(stream, &greeting),
                Err(InitialMessageError::Io(problem)) => {
                    if !this.is_halted() {
                        warn!(
                            target: LOG,
                            "Exception reading or writing challenge of {remote}: {problem}"
                        );
                    }
                }
                Err(problem) => {
                    error!(target: LOG, "Initial message parsing error! {remote}: {problem}");
                }
            }
        });
        if !started {
            table.greetings.retain(|greeting| greeting.number != number);
        }
    }

    fn read_greeting(&self, stream: &TcpStream) -> Result<InitialMessage, InitialMessageError> {
        let prefer_ipv6 = self.settings.prefer_ipv6;
        let resolve: ResolveHost<'_> = &|host| net_utils::resolve_host(host, prefer_ipv6);
        let mut input = DeadlineStream::new(stream);
        input.begin(Deadline::after(self.settings.greeting_timeout));
        let mut first = [0; first_bytes::ENOUGH];
        let came = input.peek(&mut first)?;
        if let Some(other) = looks_like(&first[..came])
            && other != LooksLike::Elector
        {
            return Err(InitialMessageError::Stranger(other.hint(Some(self.settings.http_ports))));
        }
        let greeting = InitialMessage::parse(&mut input, resolve)?;
        debug!(target: LOG, "Initial message parsed by {}: {greeting}", self.my_id);
        Ok(greeting)
    }

    fn handle_connection(&self, stream: Arc<TcpStream>, greeting: &InitialMessage) {
        let mut sid = greeting.sid;
        if sid == OBSERVER_ID {
            sid = Sid(self.observer_counter.fetch_sub(1, Ordering::Relaxed));
            info!(target: LOG, "Setting arbitrary identifier to observer: {sid}");
        }
        if sid == self.my_id {
            warn!(
                target: LOG,
                "We got a connection request from a server with our own ID. This should be either a \
                 configuration error, or a bug."
            );
            return;
        }
        if sid > self.my_id {
            // This is the last reference, unless the connection is being closed to make room.
            if let Some(stream) = Arc::into_inner(stream) {
                self.start_workers(sid, stream);
            }
            return;
        }
        // The other server would not call if it knew the existing connection, so that one is of no use any more.
        let old = {
            let mut table = self.table.lock();
            table.peers.get_mut(&sid).and_then(|peer| peer.connection.take())
        };
        if let Some(old) = old {
            self.finish(&old);
        }
        debug!(target: LOG, "Create new connection to server: {sid}");
        drop(stream);
        let mut addresses = greeting.election_addresses.iter().cloned().peekable();
        let timeout_ms = self.settings.multi_address.reachability_check_timeout_ms;
        let timeout = std::time::Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let said = addresses.peek().is_some();
        self.initiate_connection_async(
            sid,
            said.then(|| MultipleAddresses::new(addresses, timeout)),
        );
    }

    fn set_sock_opts(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(stream).set_keepalive(self.settings.tcp_keep_alive)
    }
}
