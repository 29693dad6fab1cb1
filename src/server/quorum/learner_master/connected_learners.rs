//! The learners that are connected to a master, and the threads that talk to them (no Java twin: a master of Java's
//! accepts any number of connections).
//!
//! Threads: those that accept learners, talk to them, or shut the master down. Locks: `Leaf`, held briefly.

use std::cmp::Reverse;
use std::io;
use std::mem;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use log::info;

use super::LearnerMaster;
use crate::ids::Sid;
use crate::server::descriptor_reserve::Descriptors;
use crate::server::quorum::learner_handler::{Claim, LearnerHandler};
use crate::server::server_metrics::ServerMetrics;
use crate::server::strangers::RecentArrivals;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};

/// How many learners may be joining at once, not counting members that are being brought up to date. For one more,
/// another one is disconnected.
const MAX_JOINING: usize = 64;

#[derive(Default)]
struct State {
    handlers: Vec<Arc<LearnerHandler>>,
    threads: Vec<JoinHandle<()>>,
    /// The source addresses of recent connections.
    recent: RecentArrivals,
    /// No more learners are accepted.
    is_closed: bool,
}

/// The connected learners of a master.
pub(in crate::server::quorum) struct ConnectedLearners {
    /// The logger of the master.
    log_target: &'static str,
    state: RankedMutex<State>,
    /// The number of the next learner, unique within the life of the master.
    next_number: AtomicU32,
}

impl ConnectedLearners {
    pub(in crate::server::quorum) fn new(log_target: &'static str) -> Self {
        let state = RankedMutex::new(Rank::Leaf, "learners", State::default());
        Self { log_target, state, next_number: AtomicU32::new(0) }
    }

    /// All connected learners.
    pub(in crate::server::quorum) fn all(&self) -> Vec<Arc<LearnerHandler>> {
        self.state.lock().handlers.clone()
    }

    /// The number of connected learners.
    pub(in crate::server::quorum) fn count(&self) -> usize {
        self.state.lock().handlers.len()
    }

    /// Adds a learner, or disconnects it if the master has ended.
    pub(in crate::server::quorum) fn add(&self, handler: &Arc<LearnerHandler>) {
        let is_closed = {
            let mut state = self.state.lock();
            state.handlers.push(Arc::clone(handler));
            state.is_closed
        };
        if is_closed {
            handler.close_socket();
        }
    }

    /// Removes a learner.
    pub(in crate::server::quorum) fn remove(&self, handler: &Arc<LearnerHandler>) {
        self.state.lock().handlers.retain(|other| !Arc::ptr_eq(other, handler));
    }

    /// Starts the conversation with a learner that has connected to that master.
    ///
    /// # Errors
    /// When the connection has ended already, or a thread cannot be started.
    pub(in crate::server::quorum) fn serve(
        &self,
        stream: TcpStream,
        is_member: &dyn Fn(Sid) -> bool,
        metrics: &Arc<ServerMetrics>,
        master: Arc<dyn LearnerMaster>,
    ) -> io::Result<()> {
        let descriptors = Descriptors::now();
        let is_reserved = descriptors.is_reserved(&stream);
        let most = if is_reserved { descriptors.greetings().min(MAX_JOINING) } else { MAX_JOINING };
        let now_ms = master.clock().elapsed_ms();
        self.make_room(most, stream.peer_addr()?.ip(), is_member, now_ms);
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let handler = LearnerHandler::new(number, stream, metrics, master.clock())?;
        let thread = handler.start(master)?;
        let (finished, left_over) = {
            let mut state = self.state.lock();
            let (finished, running) = mem::take(&mut state.threads)
                .into_iter()
                .partition::<Vec<_>, _>(JoinHandle::is_finished);
            state.threads = running;
            if state.is_closed {
                (finished, Some(thread))
            } else {
                state.threads.push(thread);
                (finished, None)
            }
        };
        finished.into_iter().for_each(zookeeper_thread::join);
        if let Some(thread) = left_over {
            handler.close_socket();
            zookeeper_thread::join(thread);
        }
        Ok(())
    }

    /// Makes room for one more learner if `most` may be joining at once. Strangers are disconnected first, and
    /// members that have identified themselves last; members that are being brought up to date stay. Among equals,
    /// the address with the most present and recent connections comes first, and there the oldest connection.
    fn make_room(
        &self,
        most: usize,
        newcomer: IpAddr,
        is_member: &dyn Fn(Sid) -> bool,
        now_ms: i64,
    ) {
        // The sort below is stable and keeps the order of arrival.
        let ip = |handler: &LearnerHandler| handler.remote_address().ip();
        let leaving: Vec<Arc<LearnerHandler>> = {
            let mut state = self.state.lock();
            state.recent.enter(newcomer, now_ms);
            let alive = state.handlers.iter().filter(|handler| handler.is_alive());
            let mut joining: Vec<(Claim, &Arc<LearnerHandler>)> =
                alive.filter_map(|handler| Some((handler.claim(is_member)?, handler))).collect();
            let too_many = (joining.len() + 1).saturating_sub(most);
            if too_many == 0 {
                return;
            }
            let crowds = state.recent.beside(joining.iter().map(|(_, handler)| ip(handler)));
            joining.sort_by_key(|(claim, handler)| (*claim, Reverse(crowds.of(ip(handler)))));
            joining.into_iter().take(too_many).map(|(_, handler)| Arc::clone(handler)).collect()
        };
        for handler in leaving {
            info!(
                target: self.log_target,
                "{most} learners are on their way: /{} goes, which takes longest to say who it is",
                handler.remote_address()
            );
            handler.close_socket();
        }
    }

    /// Whether a learner that has identified itself may stay. The last file descriptors are for members, with one
    /// connection each.
    pub(in crate::server::quorum) fn has_room_for(
        &self,
        handler: &LearnerHandler,
        is_member: bool,
    ) -> bool {
        if !handler.has_reserved_descriptor() {
            return true;
        }
        let sid = handler.sid();
        // A member does not need its earlier connections, and an impostor must not hold several.
        let is_older = |other: &&Arc<LearnerHandler>| {
            other.sid() == sid && !other.is_greeting() && !std::ptr::eq(&***other, handler)
        };
        self.all().iter().filter(is_older).for_each(|other| other.close_socket());
        is_member
    }

    /// Disconnects all learners, accepts no more, and joins the threads. Must not be called by one of them.
    pub(in crate::server::quorum) fn close(&self) {
        let (handlers, threads) = {
            let mut state = self.state.lock();
            state.is_closed = true;
            (state.handlers.clone(), mem::take(&mut state.threads))
        };
        handlers.iter().for_each(|handler| handler.close_socket());
        threads.into_iter().for_each(zookeeper_thread::join);
    }
}
