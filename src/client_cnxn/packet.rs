//! Requests and their answers (Java: ClientCnxn.Packet, and the inner classes WatchRegistration of ZooKeeper.java).

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{ClientError, Shared};
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::RequestHeader;
use crate::zoo_defs::OpCode;

/// In which of the client's tables a watch is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// Set by `getData`, and by `exists` on an existing node.
    Data,
    /// Set by `exists`. If the node exists, it becomes a data watch.
    Exist,
    /// Set by `getChildren`.
    Child,
    /// A persistent watch.
    Persistent,
    /// A persistent recursive watch: it also covers all descendants.
    PersistentRecursive,
}

/// A watch that a request sets if it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRegistration {
    /// What kind of watch.
    pub kind: WatchKind,
    /// The node, relative to the chroot.
    pub path: String,
}

/// A reply as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The zxid in its header.
    pub zxid: Zxid,
    /// The error code in its header; 0 if there is no error.
    pub err: i32,
    /// The bytes after the header.
    pub body: Vec<u8>,
}

/// A request that waits for its reply.
pub(super) struct Packet {
    pub(super) op: OpCode,
    pub(super) xid: i32,
    pub(super) payload: Vec<u8>,
    pub(super) watch: Option<WatchRegistration>,
    reply: Sender<Result<Reply, KeeperError>>,
}

impl Packet {
    pub(super) fn new<T>(
        op: OpCode,
        payload: Vec<u8>,
        watch: Option<WatchRegistration>,
        decode: fn(&[u8], Limits) -> Result<T, InputError>,
        cnxn: &Arc<Shared>,
    ) -> (Self, Pending<T>) {
        let (reply, receiver) = bounded(1);
        let packet = Self { op, xid: 0, payload, watch, reply };
        let (limits, timeout) = (cnxn.config.limits, cnxn.config.request_timeout);
        let cnxn = Arc::downgrade(cnxn);
        (packet, Pending { receiver, decode, limits, timeout, cnxn })
    }

    /// Passes the reply to the waiting thread.
    pub(super) fn finish(self, result: Result<Reply, KeeperError>) {
        // If nobody waits any more, the reply is dropped.
        let _nobody_waits = self.reply.send(result);
    }
}

/// A reply that is still to come.
#[derive(Debug)]
#[must_use]
pub struct Pending<T> {
    receiver: Receiver<Result<Reply, KeeperError>>,
    decode: fn(&[u8], Limits) -> Result<T, InputError>,
    limits: Limits,
    timeout: Option<Duration>,
    cnxn: Weak<Shared>,
}

impl<T> Pending<T> {
    /// Waits for the reply. An error from the server is part of the reply. If the operation takes too long, the
    /// connection is broken, and the client reconnects, because a server that does not answer one request answers none
    /// of those behind it.
    ///
    /// # Errors
    /// If the connection or the session is lost, or the operation takes too long.
    pub fn wait_reply(&self) -> Result<Reply, ClientError> {
        let received = match self.timeout {
            Some(timeout) => self.receiver.recv_timeout(timeout),
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let reply = received.unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => {
                    if let Some(cnxn) = self.cnxn.upgrade() {
                        cnxn.break_connection();
                    }
                    KeeperError::RequestTimeout
                }
                RecvTimeoutError::Disconnected => KeeperError::ConnectionLoss,
            })
        });
        reply.map_err(|error| ClientError::Keeper { error, path: None })
    }

    /// Waits for the reply and decodes it.
    ///
    /// # Errors
    /// If the server refused the operation, or as [`wait_reply`](Self::wait_reply).
    pub fn wait(self) -> Result<T, ClientError> {
        self.wait_with_zxid().map(|(value, _)| value)
    }

    /// As [`wait`](Self::wait), but also returns the zxid in the header.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_with_zxid(self) -> Result<(T, Zxid), ClientError> {
        let reply = self.wait_reply()?;
        if reply.err != 0 {
            return Err(ClientError::of_code(reply.err, None));
        }
        Ok(((self.decode)(&reply.body, self.limits)?, reply.zxid))
    }
}

/// Decodes the body as that record.
pub(super) fn decode_record<T: Record>(body: &[u8], limits: Limits) -> Result<T, InputError> {
    T::deserialize(&mut BinaryInputArchive::new(body, limits))
}

/// Ignores the body, which is empty or does not matter.
pub(crate) fn decode_nothing(_body: &[u8], _limits: Limits) -> Result<(), InputError> {
    Ok(())
}

/// A request as it is sent: length, header, record.
pub(super) fn frame(xid: i32, op: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = RequestHeader { xid, r#type: op.code() }.to_bytes();
    let mut bytes = length(header.len() + payload.len()).to_vec();
    bytes.extend(header);
    bytes.extend(payload);
    bytes
}

/// The length before a frame. A length above Java's largest int is sent as that int, because every server refuses it.
pub(super) fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_length_a_header_and_the_record() {
        assert_eq!(
            frame(7, OpCode::GetData, b"xy"),
            [0, 0, 0, 10, 0, 0, 0, 7, 0, 0, 0, 4, b'x', b'y']
        );
    }
}
