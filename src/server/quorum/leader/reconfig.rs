//! A leader that changes its ensemble (Java: getDesignatedLeader and the parts of propose and tryToCommit for a
//! reconfiguration, of server/quorum/Leader.java).
//!
//! Prep asks for the new configuration ([`Leader::next_config`]). It is kept here until the transaction is proposed. From
//! then on, a proposal needs a quorum of both configurations. When the reconfiguration commits, the new one takes effect,
//! and the leader stays only if it is a voter there at the same address. Otherwise it names another leader, and commits
//! nothing more.
//!
//! Locks: `Leaf`, for what is kept. Threads: none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use log::{error, info, warn};

use super::broadcast::{Activation, Activator};
use super::next_config::{Ensemble, next_config};
use super::proposal::Proposals;
use super::{LOG, Leader};
use crate::common::net_utils::{self, ResolveHost};
use crate::ids::{Sid, Zxid};
use crate::keeper_exception::KeeperError;
use crate::proto::ReconfigRequest;
use crate::server::quorum::flexible::java_long_map_order::java_long_map_order;
use crate::server::quorum::flexible::quorum_verifier::{QuorumVerifier, same_addresses};
use crate::server::quorum::learner_handler::LearnerHandler;
use crate::util::lock_rank::{Rank, RankedMutex};

/// How many looked up hosts are kept at most.
const MOST_HOSTS: usize = 1_000;

/// No zxid: nothing is planned.
const NOTHING: i64 = 0;

/// What a leader keeps for a reconfiguration.
pub(super) struct Plan {
    /// The zxid with which the planned configuration will be proposed.
    zxid: AtomicI64,
    next: RankedMutex<Option<Arc<dyn QuorumVerifier>>>,
    hosts: RankedMutex<BTreeMap<String, Option<IpAddr>>>,
    /// The followers that receive proposals, for a thread that may not lock the proposals.
    followers: RankedMutex<Vec<Arc<LearnerHandler>>>,
}

impl Plan {
    pub(super) fn new() -> Self {
        Self {
            zxid: AtomicI64::new(NOTHING),
            next: RankedMutex::new(Rank::Leaf, "planned configuration", None),
            hosts: RankedMutex::new(Rank::Leaf, "looked up hosts", BTreeMap::new()),
            followers: RankedMutex::new(Rank::Leaf, "followers of the leader", Vec::new()),
        }
    }

    /// Notes the followers that receive proposals.
    pub(super) fn set_followers(&self, followers: &[Arc<LearnerHandler>]) {
        *self.followers.lock() = followers.to_vec();
    }

    pub(super) fn followers(&self) -> Vec<Arc<LearnerHandler>> {
        self.followers.lock().clone()
    }

    /// The planned configuration, if it was planned for the proposal with this zxid.
    pub(super) fn take(&self, zxid: Zxid) -> Option<Arc<dyn QuorumVerifier>> {
        if self.zxid.load(Ordering::Acquire) != zxid.0 {
            return None;
        }
        self.zxid.store(NOTHING, Ordering::Release);
        self.next.lock().take()
    }
}

impl Leader {
    fn ask_for_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        resolve: ResolveHost<'_>,
    ) -> Result<Arc<dyn QuorumVerifier>, KeeperError> {
        let current = self.peer.quorum_verifier();
        let last_seen = self.peer.last_seen_quorum_verifier();
        let last_seen = last_seen.unwrap_or_else(|| Arc::clone(&current));
        let settings = self.peer.settings();
        let ensemble = Ensemble {
            current: &*current,
            last_seen: &*last_seen,
            is_one_planned: self.plan.zxid.load(Ordering::Acquire) != NOTHING,
            standalone_enabled: settings.standalone_enabled,
            multi_address: settings.multi_address.enabled,
            resolve,
            is_quorum_synced: &|verifier| self.is_quorum_synced(verifier),
        };
        next_config(request, zxid, &ensemble)
    }

    /// Looks up the hosts that the request names.
    pub(super) fn look_up_hosts_of(&self, request: &ReconfigRequest) {
        let prefer_ipv6 = self.peer.properties().bool("java.net.preferIPv6Addresses");
        // The request is examined twice: now without locks, to learn the names, and later with them.
        let resolve = |host: &str| {
            let address = net_utils::resolve_host(host, prefer_ipv6);
            let mut hosts = self.plan.hosts.lock();
            if hosts.len() >= MOST_HOSTS {
                hosts.clear();
            }
            hosts.insert(host.to_owned(), address);
            address
        };
        super::next_config::name_hosts(request, &resolve);
    }

    /// Plans the configuration that the request asks for. Returns its text.
    pub(super) fn plan_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        is_allowed: &dyn Fn() -> Result<(), KeeperError>,
    ) -> Result<String, KeeperError> {
        let resolve = |host: &str| self.plan.hosts.lock().get(host).copied().flatten();
        let verifier = self.ask_for_config(request, zxid, &resolve)?;
        is_allowed()?;
        let text = verifier.to_text();
        *self.plan.next.lock() = Some(verifier);
        self.plan.zxid.store(zxid.0, Ordering::Release);
        Ok(text)
    }

    /// Whether this server would lead that configuration: as a voter at the address of today.
    fn stays_in(&self, verifier: &dyn QuorumVerifier) -> bool {
        let me = verifier.members().servers.get(&self.peer.my_id());
        me.is_some_and(|me| {
            verifier.is_voter(me.id) && same_addresses(&me.addresses, &self.peer.quorum_addresses())
        })
    }

    /// Completes a reconfiguration that was pending when this leader was elected, or gives a new ensemble its first
    /// version (Java: within startZkServer). Returns whether this leader may commit.
    pub(super) fn complete_config(&self, start: Zxid) -> bool {
        if !self.peer.settings().reconfig_enabled {
            info!(
                target: LOG,
                "Dynamic reconfig feature is disabled, skip designatedLeader calculation and reconfig processing."
            );
            return true;
        }
        let Some(last_seen) = self.peer.last_seen_quorum_verifier() else { return true };
        let my_id = self.peer.my_id();
        let leader = if self.stays_in(&*last_seen) {
            my_id
        } else {
            let candidates = self.agreement.last_supporters();
            designated_leader(candidates, my_id, &Proposals::new(start, Vec::new()))
                .unwrap_or(my_id)
        };
        self.peer.process_reconfig(&last_seen, Some(leader), Some(start), true);
        if leader != my_id {
            warn!(
                target: LOG,
                "This leader is not the designated leader, it will be initialized with allowedToCommit = false"
            );
        }
        leader == my_id
    }
}

impl Activator for Leader {
    fn activate(
        &self,
        verifier: &Arc<dyn QuorumVerifier>,
        acks: Vec<Sid>,
        left: &Proposals,
    ) -> Activation {
        let my_id = self.peer.my_id();
        let leader = if self.stays_in(&**verifier) {
            my_id
        } else {
            designated_leader(acks, my_id, left).unwrap_or_else(|| {
                error!(target: LOG, "no voter of the new configuration has acknowledged it");
                my_id
            })
        };
        self.peer.process_reconfig(verifier, Some(leader), Some(self.zk.server().zxid()), true);
        if leader != my_id {
            info!(
                target: LOG,
                "Committing a reconfiguration (reconfigEnabled={}); this leader is not the designated leader anymore, \
                 setting allowedToCommit=false",
                self.peer.settings().reconfig_enabled
            );
        }
        Activation { leader, verifiers: self.verifiers() }
    }
}

/// The best next leader: of the voters that have acknowledged the new configuration, one that has acknowledged as many
/// of the proposals behind it as possible. `None` if there is nobody (Java: the second half of getDesignatedLeader).
fn designated_leader(acks: Vec<Sid>, my_id: Sid, left: &Proposals) -> Option<Sid> {
    // Among equals, Java takes the first one of its set.
    let acks = java_long_map_order(acks.into_iter().map(|sid| sid.0)).into_iter().map(Sid);
    let mut candidates: Vec<Sid> = acks.filter(|sid| *sid != my_id).collect();
    let mut best = *candidates.first()?;
    for acks in left.acks_by_voters() {
        candidates.retain(|sid| acks.contains(sid));
        match candidates.first() {
            Some(first) => best = *first,
            None => break,
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::server::quorum::flexible::test_members::majority_of;
    use crate::server::request::Request;

    fn proposals(acks: &[&[i64]]) -> Proposals {
        let verifiers = vec![majority_of(&[1, 2, 3]), majority_of(&[2, 3, 4, 5])];
        let mut proposals = Proposals::new(Zxid::new(2, 0), verifiers);
        for (at, acks) in (1..).zip(acks) {
            let request = Request::new(None, SessionId(1), 0, 1, None, Arc::new([]));
            proposals.propose(Zxid::new(2, at), Box::new(request));
            for sid in *acks {
                proposals.ack(Sid(*sid), Zxid::new(2, at));
            }
        }
        proposals
    }

    fn designated(acks: &[i64], left: &[&[i64]]) -> Option<i64> {
        let acks = acks.iter().map(|sid| Sid(*sid)).collect();
        designated_leader(acks, Sid(1), &proposals(left)).map(|sid| sid.0)
    }

    #[test]
    fn the_next_leader_has_acknowledged_most() {
        assert_eq!(designated(&[1, 2, 3], &[]), Some(2));
        assert_eq!(designated(&[1, 2, 3], &[&[3]]), Some(3));
        assert_eq!(designated(&[2, 3, 4], &[&[3, 2], &[3]]), Some(3));
        assert_eq!(designated(&[2, 3], &[&[2, 3], &[1]]), Some(2), "nobody has the last one");
        assert_eq!(designated(&[1], &[]), None);
    }

    #[test]
    fn who_votes_in_one_of_the_two_configurations_only_is_out_after_the_first_proposal() {
        // Server 4 does not vote in the old configuration, so its acknowledgement does not count there.
        assert_eq!(designated(&[4, 5], &[&[4, 5]]), Some(4));
        assert_eq!(designated(&[4, 2], &[&[4, 2]]), Some(2));
    }
}
