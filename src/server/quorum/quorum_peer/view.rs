//! The configurations of the ensemble that this member knows (Java: quorumVerifier, lastSeenQuorumVerifier and
//! myAddrs of server/quorum/QuorumPeer.java, guarded by QV_LOCK).
//!
//! Locks: `Leaf`, held briefly. The thread that changes the view writes the files, without the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use log::warn;

use super::LOG;
use crate::common::net_utils::{InetSocketAddress, ResolveHost};
use crate::ids::Sid;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::quorum_server::QuorumServer;
use crate::util::lock_rank::{Rank, RankedMutex};

struct State {
    current: Arc<dyn QuorumVerifier>,
    last_seen: Option<Arc<dyn QuorumVerifier>>,
    /// The servers whose addresses were resolved again since.
    resolved: BTreeMap<Sid, QuorumServer>,
    /// This member in the last configuration that had it (Java: myAddrs).
    me: Option<QuorumServer>,
}

/// The configurations of the ensemble that this member knows.
pub(crate) struct View {
    my_id: Sid,
    state: RankedMutex<State>,
}

/// The result of putting a configuration into effect.
pub(crate) struct Replaced {
    /// The previous configuration.
    pub previous: Arc<dyn QuorumVerifier>,
    /// Whether the new configuration is in effect now; only a newer one is taken.
    pub taken: bool,
    /// Whether it is the last seen one, so that no newer one is pending.
    pub is_last_seen: bool,
}

impl View {
    /// The view of a member that starts with these configurations.
    #[must_use]
    pub(crate) fn new(
        my_id: Sid,
        current: Arc<dyn QuorumVerifier>,
        last_seen: Option<Arc<dyn QuorumVerifier>>,
    ) -> Self {
        let last_seen = last_seen.or_else(|| Some(Arc::clone(&current)));
        let me = current.members().servers.get(&my_id).cloned();
        let state = State { current, last_seen, resolved: BTreeMap::new(), me };
        Self { my_id, state: RankedMutex::new(Rank::Leaf, "view of the ensemble", state) }
    }

    /// The configuration in effect.
    #[must_use]
    pub(crate) fn current(&self) -> Arc<dyn QuorumVerifier> {
        Arc::clone(&self.state.lock().current)
    }

    /// The last seen configuration.
    #[must_use]
    pub(crate) fn last_seen(&self) -> Option<Arc<dyn QuorumVerifier>> {
        self.state.lock().last_seen.clone()
    }

    /// Puts a configuration into effect if it is newer than the current one (Java: setQuorumVerifier).
    #[must_use]
    pub(crate) fn set_current(&self, verifier: &Arc<dyn QuorumVerifier>) -> Replaced {
        let mut state = self.state.lock();
        let previous = Arc::clone(&state.current);
        let taken = verifier.version() > previous.version();
        if taken {
            state.current = Arc::clone(verifier);
            state.resolved.clear();
            if let Some(me) = verifier.members().servers.get(&self.my_id) {
                state.me = Some(me.clone());
            }
            if state.last_seen.as_ref().is_none_or(|seen| verifier.version() > seen.version()) {
                state.last_seen = Some(Arc::clone(verifier));
            }
        }
        let seen = state.last_seen.as_ref().map(|seen| seen.version());
        Replaced { previous, taken, is_last_seen: seen == Some(verifier.version()) }
    }

    /// Forgets a last seen configuration that is not newer than the one in effect. Returns whether there was one.
    #[must_use]
    pub(crate) fn forget_old_last_seen(&self) -> bool {
        let mut state = self.state.lock();
        let version = state.current.version();
        let is_old = state
            .last_seen
            .as_ref()
            .is_some_and(|seen| seen.version() <= version && !Arc::ptr_eq(seen, &state.current));
        if is_old {
            state.last_seen = Some(Arc::clone(&state.current));
        }
        is_old
    }

    /// Records a proposed configuration; false when it is known already (Java: setLastSeenQuorumVerifier). It may be
    /// older than the last seen one: a leader that does not know that one has dropped it.
    #[must_use]
    pub(crate) fn set_last_seen(&self, verifier: &Arc<dyn QuorumVerifier>) -> bool {
        let mut state = self.state.lock();
        if let Some(seen) = state.last_seen.as_ref().filter(|s| s.version() > verifier.version()) {
            warn!(
                target: LOG,
                "the configuration {:x} was proposed and is replaced by {:x}",
                seen.version(),
                verifier.version()
            );
        }
        let is_known =
            state.last_seen.as_ref().is_some_and(|seen| seen.version() == verifier.version());
        if !is_known {
            state.last_seen = Some(Arc::clone(verifier));
        }
        !is_known
    }

    /// The voters of the current and of the last seen configuration.
    #[must_use]
    pub(crate) fn current_and_next_voters(&self) -> BTreeSet<Sid> {
        let state = self.state.lock();
        let last_seen = state.last_seen.iter().flat_map(|seen| seen.members().voting_members());
        state.current.members().voting_members().chain(last_seen).map(|server| server.id).collect()
    }

    /// A member of the current or the last seen configuration, with its most recently resolved addresses.
    #[must_use]
    pub(crate) fn server(&self, id: Sid) -> Option<QuorumServer> {
        let state = self.state.lock();
        if let Some(server) = state.resolved.get(&id) {
            return Some(server.clone());
        }
        let in_current = state.current.members().servers.get(&id);
        let in_last_seen =
            state.last_seen.as_ref().and_then(|seen| seen.members().servers.get(&id));
        in_current.or(in_last_seen).cloned()
    }

    /// This member; after its removal, as it was in the last configuration that had it.
    #[must_use]
    pub(crate) fn me(&self) -> Option<QuorumServer> {
        let state = self.state.lock();
        if state.current.is_member(self.my_id)
            && let Some(me) = state.resolved.get(&self.my_id)
        {
            return Some(me.clone());
        }
        state.me.clone()
    }

    /// The address at which this member serves clients, if a configuration has said so (Java: getClientAddress).
    #[must_use]
    pub(crate) fn my_client_address(&self) -> Option<InetSocketAddress> {
        self.state.lock().me.as_ref().and_then(|me| me.client_address.clone())
    }

    /// Resolves a member's host names again, since they may have changed (Java: recreateSocketAddresses). The lock is
    /// not held meanwhile.
    pub(crate) fn recreate_socket_addresses(&self, id: Sid, resolve: ResolveHost<'_>) {
        let Some(mut server) = self.server(id) else { return };
        for address in server.addresses.iter_mut().chain(&mut server.election_addresses) {
            *address = InetSocketAddress::new(&address.host, address.port, resolve);
        }
        self.state.lock().resolved.insert(id, server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::quorum::flexible::create_quorum_verifier::from_members;
    use crate::server::quorum::flexible::test_members::{server, voters};
    use crate::server::quorum::states::LearnerType;

    fn config(version: i64, sids: &[i64]) -> Arc<dyn QuorumVerifier> {
        let mut members = voters(sids);
        members.version = version;
        from_members(members, None)
    }

    fn versions(view: &View) -> (i64, Option<i64>) {
        (view.current().version(), view.last_seen().map(|seen| seen.version()))
    }

    #[test]
    fn only_newer_configurations_take_effect_and_older_ones_may_replace_a_proposed_one() {
        let view = View::new(Sid(1), config(5, &[1, 2, 3]), None);
        assert_eq!(versions(&view), (5, Some(5)));
        assert!(!view.set_last_seen(&config(5, &[1])), "it is known");
        assert!(view.set_last_seen(&config(9, &[1, 2])));
        assert_eq!(versions(&view), (5, Some(9)));
        assert!(view.set_last_seen(&config(7, &[1, 2, 4])), "a leader has dropped it");
        assert_eq!(versions(&view), (5, Some(7)));
        assert!(view.current_and_next_voters().contains(&Sid(4)));
        let replaced = view.set_current(&config(4, &[1]));
        assert!(!replaced.taken);
        let replaced = view.set_current(&config(7, &[1, 2, 4]));
        assert!(replaced.taken && replaced.is_last_seen);
        let replaced = view.set_current(&config(8, &[1, 2]));
        assert!(replaced.taken && replaced.is_last_seen, "it was not proposed here");
        assert_eq!(versions(&view), (8, Some(8)));
        assert_eq!(replaced.previous.version(), 7);
    }

    #[test]
    fn a_proposed_configuration_that_is_in_effect_is_forgotten_at_the_start() {
        for (next, is_forgotten) in [(4, true), (5, true), (6, false)] {
            let view = View::new(Sid(1), config(5, &[1, 2]), Some(config(next, &[1])));
            assert_eq!(view.forget_old_last_seen(), is_forgotten, "{next}");
            let kept = if is_forgotten { 5 } else { next };
            assert_eq!(versions(&view), (5, Some(kept)));
        }
        assert!(!View::new(Sid(1), config(5, &[1]), None).forget_old_last_seen());
    }

    #[test]
    fn a_removed_member_knows_its_last_addresses() {
        let view = View::new(Sid(1), config(1, &[1, 2]), None);
        let mut members = voters(&[2]);
        let moved = QuorumServer { id: Sid(1), ..server(7, LearnerType::Observer) };
        members.servers.insert(Sid(1), moved.clone());
        members.version = 2;
        assert!(view.set_current(&from_members(members, None)).taken);
        view.recreate_socket_addresses(Sid(1), &|_| None);
        assert_eq!(view.me().unwrap(), moved);
        assert!(view.set_current(&config(3, &[2, 3])).taken);
        assert_eq!(view.server(Sid(1)), None);
        assert_eq!(view.me().unwrap(), moved);
    }
}
