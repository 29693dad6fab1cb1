//! Configurations that are proposed and that take effect (Java: setLastSeenQuorumVerifier, setQuorumVerifier,
//! processReconfig, restartLeaderElection, updateLearnerType and updateVote of server/quorum/QuorumPeer.java).
//!
//! Threads: on a learner the peer's own, on a leader the one that commits, and WorkerReceiver while the peer is LOOKING.
//! Locks: `Leaf`, held briefly; no lock is held while files are written. None of these functions waits for another
//! server or for a thread: a leader calls them while it holds its proposals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::{debug, error, info, warn};

use super::{LOG, QuorumPeer, view};
use crate::common::net_utils::InetSocketAddress;
use crate::ids::{Sid, Zxid};
use crate::server::quorum::flexible::quorum_verifier::{QuorumVerifier, same_addresses};
use crate::server::quorum::quorum_peer_config::config_files;
use crate::server::quorum::states::LearnerType;
use crate::server::quorum::vote::Vote;

impl QuorumPeer {
    fn next_dynamic_config_file(&self) -> Option<PathBuf> {
        self.settings().config_file.as_deref().map(config_files::next_dynamic_config_file)
    }

    /// Deletes `zoo.cfg.dynamic.next` if it has nothing newer than the configuration in effect. This is so if the
    /// server was killed after it had written the configuration and before it had deleted this file.
    pub(super) fn forget_old_next_config(&self) {
        if !self.view.forget_old_last_seen() {
            return;
        }
        if let Some(file) = self.next_dynamic_config_file() {
            info!(target: LOG, "{} is in effect already: it is deleted", file.display());
            config_files::delete_file(&file);
        }
    }

    /// Records a proposed configuration, on disk if `write` is set, so that it is known after a restart.
    pub fn set_last_seen_quorum_verifier(&self, verifier: &Arc<dyn QuorumVerifier>, write: bool) {
        if !self.is_reconfig_enabled() {
            info!(target: LOG, "Dynamic reconfig is disabled, we don't store the last seen config.");
            return;
        }
        if !self.view.set_last_seen(verifier) {
            return;
        }
        if write
            && let Some(file) = self.next_dynamic_config_file()
            && let Err(problem) =
                config_files::write_dynamic_config(&file, &verifier.to_text(), true)
        {
            error!(target: LOG, "Error writing next dynamic config file to disk: {problem}");
        }
        self.machinery.connect_new_peers(&*self.view.current(), &**verifier, self.my_id());
    }

    fn set_quorum_verifier(&self, verifier: &Arc<dyn QuorumVerifier>) -> view::Replaced {
        let replaced = self.view.set_current(verifier);
        let mut is_written = true;
        if replaced.taken
            && let Some(config_file) = &self.settings().config_file
        {
            let me = verifier.members().servers.get(&self.my_id());
            let erase_client_port = me.is_some_and(|server| {
                server.client_address.is_some() && !server.is_client_address_from_static
            });
            let (text, version) = (verifier.to_text(), verifier.version());
            let written = config_files::write_both(config_file, &text, version, erase_client_port);
            if let Err(problem) = written {
                error!(target: LOG, "the new configuration cannot be written to disk: {problem}");
                is_written = false;
            }
        }
        // If it could not be written, the next start needs the file.
        if replaced.is_last_seen
            && is_written
            && let Some(file) = self.next_dynamic_config_file()
        {
            config_files::delete_file(&file);
        }
        replaced
    }

    /// Puts a configuration into effect if it is newer than the current one (Java: processReconfig). Returns whether
    /// it changes the role or the leader.
    pub fn process_reconfig(
        &self,
        verifier: &Arc<dyn QuorumVerifier>,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
        restart_election: bool,
    ) -> bool {
        if !self.is_reconfig_enabled() {
            debug!(target: LOG, "Reconfig feature is disabled, skip reconfig processing.");
            return false;
        }
        let old_client_address = self.view.my_client_address();
        let replaced = self.set_quorum_verifier(verifier);
        // The configuration may have come without the transaction, from an election or with NEWLEADER.
        self.init_config_in_zk_database();
        if !replaced.taken || replaced.previous.same_as(&**verifier) {
            return false;
        }
        if restart_election {
            self.restart_leader_election();
        }
        self.move_client_port(&**verifier, old_client_address.as_ref());
        if let Some(server) = self.active_server() {
            server.update_global_outstanding_limit();
        }
        let role_change = self.update_learner_type(&**verifier);
        let leader_change = match suggested_leader {
            Some(leader) => self.update_vote(leader, zxid.unwrap_or(Zxid::ZERO)),
            None => {
                let changed = self.leader_has_changed(&*replaced.previous, &**verifier);
                // Nobody is designated, so an election must follow.
                self.state.lock().reconfig_flag = false;
                changed
            }
        };
        role_change || leader_change
    }

    /// Listens for clients at the address that the configuration has for this server, if that is another one. The
    /// clients that are connected stay.
    fn move_client_port(&self, verifier: &dyn QuorumVerifier, old: Option<&InetSocketAddress>) {
        let me = verifier.members().servers.get(&self.my_id());
        let Some(address) = me.and_then(|me| me.client_address.as_ref()) else { return };
        if Some(address) == old {
            return;
        }
        let Some(factory) = &self.parts.cnxn_factory else {
            warn!(
                target: LOG,
                "the new configuration has the client address {address}, and this server was started without a client \
                 port: it listens there after its next start"
            );
            return;
        };
        let prefer_ipv4_stack = self.properties().bool("java.net.preferIPv4Stack");
        let moved = match address.bind_address(prefer_ipv4_stack) {
            Some(bound) => factory.reconfigure(bound).map_err(|problem| problem.to_string()),
            None => Err("the name has no address".to_owned()),
        };
        match moved {
            Ok(()) => self.update_thread_name(),
            Err(problem) => error!(
                target: LOG,
                "Error reconfiguring client port to {address}, the old one is kept: {problem}"
            ),
        }
    }

    fn leader_has_changed(&self, old: &dyn QuorumVerifier, new: &dyn QuorumVerifier) -> bool {
        let Some(leader) = self.current_vote().map(|vote| vote.id) else { return true };
        let voter = |verifier: &dyn QuorumVerifier| {
            let server = verifier.members().servers.get(&leader).cloned();
            server.filter(|server| server.learner_type == LearnerType::Participant)
        };
        match (voter(old), voter(new)) {
            (Some(old), Some(new)) => !same_addresses(&old.addresses, &new.addresses),
            _ => true,
        }
    }

    fn update_learner_type(&self, verifier: &dyn QuorumVerifier) -> bool {
        let server = verifier.members().servers.get(&self.my_id());
        let (new, what) = match server.map(|server| server.learner_type) {
            Some(LearnerType::Observer) => (LearnerType::Observer, "an observer"),
            Some(LearnerType::Participant) => (LearnerType::Participant, "a voting participant"),
            None => (LearnerType::Participant, "a non-voting participant"),
        };
        let mut state = self.state.lock();
        if state.learner_type == new {
            return false;
        }
        state.learner_type = new;
        state.reconfig_flag = true;
        drop(state);
        info!(target: LOG, "Becoming {what}");
        true
    }

    fn update_vote(&self, leader: Sid, zxid: Zxid) -> bool {
        let mut state = self.state.lock();
        if state.current_vote.as_ref().is_none_or(|vote| vote.id == leader) {
            return false;
        }
        state.current_vote = Some(Vote::of_leader(leader, zxid));
        state.reconfig_flag = true;
        drop(state);
        warn!(target: LOG, "Suggested leader: {leader}");
        true
    }

    /// Replaces the election and its connections, because they belong to an old configuration: the election port may
    /// have moved (Java: restartLeaderElection). The threads of the old ones end by themselves.
    fn restart_leader_election(&self) {
        warn!(target: LOG, "Restarting Leader Election");
        let Some(this) = self.me.upgrade() else { return };
        this.machinery.retire_election();
        self.shutting_down_election.store(false, Ordering::Release);
        if let Err(problem) = this.start_leader_election() {
            error!(target: LOG, "no election can be held, the next one starts anew: {problem}");
            self.set_shutting_down_election();
        }
    }

    /// Makes the next election start from scratch.
    pub fn set_shutting_down_election(&self) {
        self.shutting_down_election.store(true, Ordering::Release);
    }

    /// Whether the next election must start from scratch because of a new configuration; resets the flag.
    #[must_use]
    pub fn take_shutting_down_election(&self) -> bool {
        self.shutting_down_election.swap(false, Ordering::AcqRel)
    }

    /// Like [`take_shutting_down_election`](Self::take_shutting_down_election), but keeps the flag.
    #[must_use]
    pub fn is_shutting_down_election(&self) -> bool {
        self.shutting_down_election.load(Ordering::Acquire)
    }
}
