//! Connections that wait until a server is running (no Java twin: Java reads each one's ConnectRequest and closes
//! it).
//!
//! When a leader is lost, all clients of all members reconnect within a second, and again within a second after they
//! are rejected. Reading all of them would keep the members from electing the next leader. So a new connection waits
//! here, unread, for the next server. It does not wait long, because another member may have a
//! server. A connection that sends a four-letter word gets its answer at once.
//!
//! Belongs to the admission thread. No locks.

use std::collections::VecDeque;
use std::net::TcpStream;

use rustix::net::{RecvFlags, recv};

use super::Arrival;
use crate::server::command::four_letter_commands;
use crate::server::connection_limits::ConnectionSlot;

/// How long connections wait for a new server after the last one was lost, ms.
const HOLD_MS: i64 = 3_000;

/// How long a connection may be silent before it is read, ms.
const SILENCE_MS: i64 = 1_000;

/// A connection that will get a reader.
pub(super) struct Accepted {
    pub(super) arrival: Arrival,
    pub(super) slot: ConnectionSlot,
}

/// What a connection has sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// Fewer than four bytes yet.
    Nothing,
    /// A four-letter word; or the connection has ended.
    Other,
    /// Anything else: it wants a session.
    Session,
}

/// What to do with a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It gets a reader.
    Reader,
    /// It waits.
    Wait,
    /// It is closed: another member may serve it.
    TurnAway,
}

/// The waiting connections, oldest first.
#[derive(Default)]
pub(super) struct Newcomers {
    waiting: VecDeque<(Accepted, Opening)>,
}

impl Newcomers {
    pub(super) fn push(&mut self, accepted: Accepted) {
        self.waiting.push_back((accepted, Opening::Nothing));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all connections.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Accepted> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(accepted, _)| accepted)
    }

    /// Takes the connections that wait no longer, after no server has been running for `unserved_ms`.
    pub(super) fn take_decided(
        &mut self,
        now_ms: i64,
        unserved_ms: i64,
    ) -> Vec<(Accepted, Verdict)> {
        let mut decided = Vec::new();
        for (accepted, mut opening) in std::mem::take(&mut self.waiting) {
            if opening == Opening::Nothing {
                opening = look(&accepted.arrival.stream);
            }
            match verdict(opening, now_ms - accepted.arrival.since_ms, unserved_ms) {
                Verdict::Wait => self.waiting.push_back((accepted, opening)),
                other => decided.push((accepted, other)),
            }
        }
        decided
    }
}

fn verdict(opening: Opening, waited_ms: i64, unserved_ms: i64) -> Verdict {
    match opening {
        Opening::Other => Verdict::Reader,
        Opening::Nothing if waited_ms >= SILENCE_MS => Verdict::Reader,
        Opening::Session if unserved_ms >= HOLD_MS => Verdict::TurnAway,
        Opening::Nothing | Opening::Session => Verdict::Wait,
    }
}

/// Looks at the first bytes without consuming them.
fn look(stream: &TcpStream) -> Opening {
    let mut word = [0; 4];
    match recv(stream, &mut word[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((4, _)) if four_letter_commands::is_known(i32::from_be_bytes(word)) => Opening::Other,
        Ok((4, _)) => Opening::Session,
        Ok((1.., _)) => Opening::Nothing,
        Err(error) if error == rustix::io::Errno::AGAIN => Opening::Nothing,
        _ => Opening::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connection_limits::ConnectionLimits;
    use crate::server::strangers::Strangers;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn who_wants_a_session_waits_for_a_server_and_others_do_not() {
        for (opening, waited_ms, unserved_ms, expected) in [
            (Opening::Session, 0, 0, Verdict::Wait),
            (Opening::Session, 2_900, 2_999, Verdict::Wait),
            (Opening::Session, 0, 3_000, Verdict::TurnAway),
            (Opening::Other, 0, 0, Verdict::Reader),
            (Opening::Other, 0, 9_000, Verdict::Reader),
            (Opening::Nothing, 999, 9_000, Verdict::Wait),
            (Opening::Nothing, 1_000, 0, Verdict::Reader),
        ] {
            assert_eq!(verdict(opening, waited_ms, unserved_ms), expected, "{opening:?}");
        }
    }

    #[test]
    fn a_look_takes_nothing_and_waits_for_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, remote) = listener.accept().unwrap();
        let slot = ConnectionLimits::new(0, 0).admit(remote.ip()).unwrap();
        let mut newcomers = Newcomers::default();
        let stranger = Strangers::new().enter(remote.ip());
        let arrival = Arrival { stream, remote, stranger, last_place: None, since_ms: 0 };
        newcomers.push(Accepted { arrival, slot });
        let mut after = |newcomers: &mut Newcomers, bytes: &[u8]| {
            client.write_all(bytes).unwrap();
            newcomers.take_decided(0, HOLD_MS).pop()
        };
        assert!(after(&mut newcomers, b"").is_none());
        assert!(after(&mut newcomers, b"\0\0").is_none(), "half a length");
        // On the loopback device, written bytes arrive at once.
        let (mut accepted, verdict) = after(&mut newcomers, b"\0\x2c").unwrap();
        assert_eq!(verdict, Verdict::TurnAway);
        let mut bytes = [0; 4];
        std::io::Read::read_exact(&mut accepted.arrival.stream, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\x2c");
        newcomers.push(accepted);
        let (accepted, verdict) = after(&mut newcomers, b"ruok").unwrap();
        assert_eq!(verdict, Verdict::Reader);
        newcomers.push(accepted);
        assert_eq!(newcomers.take_all().count(), 1);
        assert!(newcomers.is_empty());
    }
}
