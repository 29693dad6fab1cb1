//! Sends and receives notifications (Java: Messenger of server/quorum/FastLeaderElection.java).
//!
//! Threads: `WorkerSender[myid=N]`, `WorkerReceiver[myid=N]`.
//!
//! Differs from Java: A received configuration is parsed only if it is newer than this server's, because parsing
//! resolves host names. The election restarts only if the new configuration took effect; on a server whose
//! configuration must not change, Java would restart it for ever. That a configuration is newer is logged only if it comes
//! from a voter or is taken over, because strangers could fill the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{debug, info};

use super::notification::{NotificationError, NotificationFrame};
use super::{FastLeaderElection, LOG, Notification};
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::server::quorum::quorum_cnx_manager::Message;
use crate::server::quorum::states::ServerState;

/// How long the receiver waits for a message before it checks for shutdown.
const POLL: Duration = Duration::from_secs(3);

/// A notification to send to one server (Java: ToSend).
pub(super) struct ToSend {
    pub(super) leader: Sid,
    pub(super) zxid: Zxid,
    pub(super) election_epoch: i64,
    pub(super) state: ServerState,
    pub(super) peer_epoch: PeerEpoch,
    /// The server that receives it.
    pub(super) sid: Sid,
}

/// What the receiver does after a message.
#[derive(PartialEq, Eq)]
enum Next {
    /// Handle the next message.
    Message,
    /// Start a new election with the new configuration.
    Restart,
}

impl FastLeaderElection {
    pub(super) fn run_sender(&self) {
        while let Some(to_send) = self.send_queue.take() {
            let frame = NotificationFrame {
                state: to_send.state.code(),
                leader: to_send.leader,
                zxid: to_send.zxid,
                election_epoch: to_send.election_epoch,
                peer_epoch: to_send.peer_epoch,
                version: super::notification::CURRENT_VERSION,
                config: Some(self.peer.quorum_verifier().to_text().into_bytes()),
            };
            self.manager.to_send(to_send.sid, frame.encode().into());
        }
        info!(target: LOG, "WorkerSender is down");
    }

    pub(super) fn run_receiver(&self) {
        while !self.is_stopped() && !self.manager.is_halted() {
            let Some(message) = self.manager.poll_recv_queue(POLL) else { continue };
            if self.receive(&message) == Next::Restart {
                info!(target: LOG, "restarting leader election");
                self.peer.set_shutting_down_election();
                self.stop_messenger();
            }
        }
        info!(target: LOG, "WorkerReceiver is down");
    }

    fn receive(&self, message: &Message) -> Next {
        let sid = message.sid;
        let frame = match NotificationFrame::decode(&message.bytes) {
            Ok(frame) => frame,
            Err(NotificationError::Short(length)) => {
                let value = format!("{length} bytes from server {sid}");
                self.short_messages.rate_limit_log("Got a short response", Some(&value));
                return Next::Message;
            }
            Err(problem) => {
                let length = message.bytes.len();
                let value = format!("sid={sid} (message length: {length}): {problem}");
                self.malformed_messages.rate_limit_log(
                    "Skipping the processing of a partial / malformed response message sent by",
                    Some(&value),
                );
                return Next::Message;
            }
        };
        if frame.version == 0 {
            debug!(target: LOG, "Backward compatibility mode, server id: {sid}");
        }
        if self.take_newer_config(&frame, sid) == Next::Restart {
            return Next::Restart;
        }
        if self.valid_voter(sid) {
            self.receive_from_voter(&frame, sid);
        } else {
            self.answer_non_voter(sid);
        }
        Next::Message
    }

    /// A LOOKING server adopts a configuration that is newer than its own.
    fn take_newer_config(&self, frame: &NotificationFrame, sid: Sid) -> Next {
        let current = self.peer.quorum_verifier();
        let version = frame.config_version();
        if version <= current.version() {
            return Next::Message;
        }
        let (my_id, mine) = (self.my_id, current.version());
        let note =
            || info!(target: LOG, "{my_id} Received version: {version:x} my version: {mine:x}");
        let is_voter = self.valid_voter(sid);
        let state = self.peer.peer_state();
        if state != ServerState::Looking {
            if is_voter {
                note();
            }
            debug!(target: LOG, "Skip processReconfig(), state: {state}");
            return Next::Message;
        }
        let text = String::from_utf8_lossy(frame.config.as_deref().unwrap_or_default());
        let verifier = match self.peer.config_from_string(&text) {
            Ok(verifier) => verifier,
            Err(problem) => {
                self.bad_configs.rate_limit_log(
                    "Something went wrong while processing config received from",
                    Some(&format!("{sid}: {problem}")),
                );
                return Next::Message;
            }
        };
        self.peer.process_reconfig(&verifier);
        let is_taken = self.peer.quorum_verifier().version() == verifier.version();
        if is_taken || is_voter {
            note();
        }
        if is_taken && !verifier.same_as(&*current) { Next::Restart } else { Next::Message }
    }

    /// A server without a vote, such as an observer, asks for the leader.
    fn answer_non_voter(&self, sid: Sid) {
        let Some(vote) = self.peer.current_vote() else { return };
        self.send_queue.offer(ToSend {
            leader: vote.id,
            zxid: vote.zxid,
            election_epoch: self.logical_clock.load(Ordering::Acquire),
            state: self.peer.peer_state(),
            peer_epoch: vote.peer_epoch,
            sid,
        });
    }

    fn receive_from_voter(&self, frame: &NotificationFrame, sid: Sid) {
        let Some(state) = ServerState::from_code(frame.state) else { return };
        let my_state = self.peer.peer_state();
        info!(
            target: LOG,
            "Notification: my state:{my_state}; n.sid:{sid}, n.state:{state}, n.leader:{}, \
             n.round:0x{:x}, n.peerEpoch:0x{:x}, n.zxid:0x{:x}, message format version:0x{:x}, \
             n.config version:0x{:x}",
            frame.leader,
            frame.election_epoch,
            frame.peer_epoch,
            frame.zxid,
            frame.version,
            frame.config_version()
        );
        if my_state != ServerState::Looking {
            if state == ServerState::Looking {
                self.answer_late_comer(sid, my_state);
            }
            return;
        }
        self.recv_queue.offer(Notification {
            version: frame.version,
            leader: frame.leader,
            zxid: frame.zxid,
            election_epoch: frame.election_epoch,
            state,
            sid,
            peer_epoch: frame.peer_epoch,
        });
        let round = self.logical_clock.load(Ordering::Acquire);
        if state == ServerState::Looking && frame.election_epoch < round {
            let proposal = self.vote();
            self.send_queue.offer(ToSend {
                leader: proposal.id,
                zxid: proposal.zxid,
                election_epoch: round,
                state: my_state,
                peer_epoch: proposal.peer_epoch,
                sid,
            });
        }
    }

    /// A LOOKING server asks for the leader that this server has.
    fn answer_late_comer(&self, sid: Sid, my_state: ServerState) {
        self.peer.report_looking_sid(sid);
        let Some(vote) = self.peer.current_vote() else { return };
        debug!(
            target: LOG,
            "Sending new notification. My id ={} recipient={sid} zxid=0x{:x} leader={}",
            self.my_id,
            vote.zxid,
            vote.id
        );
        self.send_queue.offer(ToSend {
            leader: vote.id,
            zxid: vote.zxid,
            election_epoch: vote.election_epoch,
            state: my_state,
            peer_epoch: vote.peer_epoch,
            sid,
        });
    }
}
