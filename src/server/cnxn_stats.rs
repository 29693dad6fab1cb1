//! The statistics of a connection, as `cons` and `stat` show them (Java: the statistics of server/ServerCnxn.java,
//! server/Stats.java).
//!
//! Java takes the connection's monitor for each reply. Here the counters are atomics. The replies of one connection
//! are made one after the other, so contention is rare. A concurrent reader may see only a part of a reply's
//! changes. The minimum latency is the smallest measured one; Java starts it at 0, where it stays until the
//! statistics are reset.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::common::net_utils::{delimited_host, socket_host_address};
use crate::ids::{SessionId, Zxid};

/// Counters of one connection.
#[derive(Debug)]
pub struct CnxnStats {
    established_ms: i64,
    packets_received: AtomicI64,
    packets_sent: AtomicI64,
    last_operation: AtomicU64,
    last_cxid: AtomicI64,
    last_zxid: AtomicI64,
    last_response_time_ms: AtomicI64,
    /// The newest sign of life except the last reply: the connection's start, or the last reply before a reset.
    alive_before_ms: AtomicI64,
    last_latency_ms: AtomicI64,
    min_latency_ms: AtomicI64,
    max_latency_ms: AtomicI64,
    count: AtomicI64,
    total_latency_ms: AtomicI64,
}

// All accesses are relaxed: no other data depends on these values.
impl CnxnStats {
    /// Creates the statistics of a connection that starts now, as wall clock time and as elapsed time.
    #[must_use]
    pub const fn new(now_wall_ms: i64, now_ms: i64) -> Self {
        Self {
            established_ms: now_wall_ms,
            alive_before_ms: AtomicI64::new(now_ms),
            packets_received: AtomicI64::new(0),
            packets_sent: AtomicI64::new(0),
            last_operation: AtomicU64::new(0),
            last_cxid: AtomicI64::new(0),
            last_zxid: AtomicI64::new(0),
            last_response_time_ms: AtomicI64::new(0),
            last_latency_ms: AtomicI64::new(0),
            min_latency_ms: AtomicI64::new(i64::MAX),
            max_latency_ms: AtomicI64::new(0),
            count: AtomicI64::new(0),
            total_latency_ms: AtomicI64::new(0),
        }
    }

    /// Counts a packet from the client.
    pub fn packet_received(&self) {
        self.packets_received.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts packets to the client.
    pub fn packets_were_sent(&self, packets: i64) {
        self.packets_sent.fetch_add(packets, Ordering::Relaxed);
    }

    /// Records `times` replies with the same latency (Java: updateStatsForResponse, for each of them). `cxid`,
    /// `zxid` and `operation` are those of the last reply: the client's request number, the zxid in the reply, and
    /// the operation's short name of at most eight letters. `now_ms` is elapsed time, not wall clock time.
    pub fn update_for_response(
        &self,
        cxid: i32,
        zxid: Zxid,
        operation: &'static str,
        latency_ms: i64,
        now_ms: i64,
        times: u32,
    ) {
        let times = i64::from(times);
        // A negative cxid marks a special request, such as a ping, which the client did not number.
        if cxid >= 0 {
            self.last_cxid.store(cxid.into(), Ordering::Relaxed);
        }
        self.last_zxid.store(zxid.0, Ordering::Relaxed);
        self.last_operation.store(packed(operation), Ordering::Relaxed);
        self.last_response_time_ms.store(now_ms, Ordering::Relaxed);
        self.last_latency_ms.store(latency_ms, Ordering::Relaxed);
        if latency_ms < self.min_latency_ms.load(Ordering::Relaxed) {
            self.min_latency_ms.store(latency_ms, Ordering::Relaxed);
        }
        if latency_ms > self.max_latency_ms.load(Ordering::Relaxed) {
            self.max_latency_ms.store(latency_ms, Ordering::Relaxed);
        }
        self.count.fetch_add(times, Ordering::Relaxed);
        self.total_latency_ms.fetch_add(latency_ms.wrapping_mul(times), Ordering::Relaxed);
    }

    /// Resets the statistics (`crst`; Java: resetStats).
    pub fn reset(&self) {
        self.alive_before_ms.store(self.last_alive_ms(), Ordering::Relaxed);
        self.packets_received.store(0, Ordering::Relaxed);
        self.packets_sent.store(0, Ordering::Relaxed);
        self.min_latency_ms.store(i64::MAX, Ordering::Relaxed);
        self.max_latency_ms.store(0, Ordering::Relaxed);
        self.last_operation.store(packed("NA"), Ordering::Relaxed);
        self.last_cxid.store(-1, Ordering::Relaxed);
        self.last_zxid.store(-1, Ordering::Relaxed);
        self.last_response_time_ms.store(0, Ordering::Relaxed);
        self.last_latency_ms.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        self.total_latency_ms.store(0, Ordering::Relaxed);
    }

    /// When the connection was made, by the wall clock in ms since 1970.
    #[must_use]
    pub const fn established_ms(&self) -> i64 {
        self.established_ms
    }

    /// Packets from the client.
    #[must_use]
    pub fn packets_received(&self) -> i64 {
        self.packets_received.load(Ordering::Relaxed)
    }

    /// Packets to the client.
    #[must_use]
    pub fn packets_sent(&self) -> i64 {
        self.packets_sent.load(Ordering::Relaxed)
    }

    /// The short name of the last operation; none before the first reply.
    #[must_use]
    pub fn last_operation(&self) -> Option<String> {
        let bytes = self.last_operation.load(Ordering::Relaxed).to_be_bytes();
        let name: String =
            bytes.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        (!name.is_empty()).then_some(name)
    }

    /// The cxid of the last operation; -1 after a reset.
    #[must_use]
    pub fn last_cxid(&self) -> i64 {
        self.last_cxid.load(Ordering::Relaxed)
    }

    /// The zxid of the last reply; -1 after a reset.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        Zxid(self.last_zxid.load(Ordering::Relaxed))
    }

    /// When the last reply was made, elapsed time in ms.
    #[must_use]
    pub fn last_response_time_ms(&self) -> i64 {
        self.last_response_time_ms.load(Ordering::Relaxed)
    }

    /// When the connection last showed a sign of life, elapsed time in ms: its start or its last reply.
    #[must_use]
    pub fn last_alive_ms(&self) -> i64 {
        self.last_response_time_ms().max(self.alive_before_ms.load(Ordering::Relaxed))
    }

    /// The last latency, in ms.
    #[must_use]
    pub fn last_latency_ms(&self) -> i64 {
        self.last_latency_ms.load(Ordering::Relaxed)
    }

    /// The smallest latency, in ms.
    #[must_use]
    pub fn min_latency_ms(&self) -> i64 {
        match self.min_latency_ms.load(Ordering::Relaxed) {
            i64::MAX => 0,
            min => min,
        }
    }

    /// The average latency, in whole ms.
    #[must_use]
    pub fn avg_latency_ms(&self) -> i64 {
        let total = self.total_latency_ms.load(Ordering::Relaxed);
        total.checked_div(self.count.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The largest latency, in ms.
    #[must_use]
    pub fn max_latency_ms(&self) -> i64 {
        self.max_latency_ms.load(Ordering::Relaxed)
    }
}

/// Packs a short name into a number, so that an atomic can hold it.
fn packed(name: &str) -> u64 {
    debug_assert!(name.len() <= 8, "{name} is too long for the name of an operation");
    name.bytes().take(8).fold(0, |packed, byte| (packed << 8) | u64::from(byte))
}

/// A connection at one moment.
#[derive(Debug)]
pub struct ConnectionInfo<'a> {
    /// The client's address.
    pub remote: SocketAddr,
    /// What the connection waits for: 1 for bytes from the client, 4 for space to send, 5 for both, 0 for neither,
    /// for example while a four-letter word is answered (Java: getInterestOps, of the selector).
    pub interest_ops: i32,
    /// Requests of the client that are not answered yet.
    pub outstanding_requests: i64,
    /// The session, 0 before there is one.
    pub session_id: SessionId,
    /// The negotiated timeout.
    pub session_timeout_ms: i32,
    /// The counters.
    pub stats: &'a CnxnStats,
}

impl ConnectionInfo<'_> {
    /// Appends the line of `cons`, or the shorter one of `stat`, without its end (Java:
    /// dumpConnectionInfo).
    pub fn dump(&self, out: &mut String, brief: bool) {
        let stats = self.stats;
        // Writing to a string cannot fail.
        let _written = write!(
            out,
            " {}[{:x}](queued={},recved={},sent={}",
            java_socket_address(self.remote),
            self.interest_ops,
            self.outstanding_requests,
            stats.packets_received(),
            stats.packets_sent()
        );
        if !brief && self.session_id != SessionId(0) {
            let last_operation = stats.last_operation();
            let _written = write!(
                out,
                ",sid={},lop={},est={},to={}",
                self.session_id,
                last_operation.as_deref().unwrap_or("null"),
                stats.established_ms(),
                self.session_timeout_ms
            );
            let last_cxid = stats.last_cxid();
            if last_cxid >= 0 {
                let _written = write!(out, ",lcxid={last_cxid:#x}");
            }
            let _written = write!(
                out,
                ",lzxid={},lresp={},llat={},minlat={},avglat={},maxlat={}",
                stats.last_zxid(),
                stats.last_response_time_ms(),
                stats.last_latency_ms(),
                stats.min_latency_ms(),
                stats.avg_latency_ms(),
                stats.max_latency_ms()
            );
        }
        out.push(')');
    }
}

/// `/address:port`, as Java writes the address of a socket.
#[must_use]
pub(crate) fn java_socket_address(address: SocketAddr) -> String {
    format!("/{}:{}", delimited_host(&socket_host_address(address)), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stats: &CnxnStats, session_id: i64, brief: bool) -> String {
        let info = ConnectionInfo {
            remote: "127.0.0.1:47264".parse().unwrap(),
            interest_ops: 1,
            outstanding_requests: 2,
            session_id: SessionId(session_id),
            session_timeout_ms: 10_000,
            stats,
        };
        let mut out = String::new();
        info.dump(&mut out, brief);
        out
    }

    #[test]
    fn the_line_of_a_connection_is_javas() {
        let stats = CnxnStats::new(1_795_249_911_060, 1);
        (0..6).for_each(|_| stats.packet_received());
        stats.packets_were_sent(7);
        assert_eq!(line(&stats, 0, false), " /127.0.0.1:47264[1](queued=2,recved=6,sent=7)");
        stats.update_for_response(4, Zxid(0x19), "GETD", 0, 1_631_815, 3);
        stats.update_for_response(-2, Zxid(0x1a), "PING", 8, 1_631_816, 1);
        assert_eq!(line(&stats, 1, true), " /127.0.0.1:47264[1](queued=2,recved=6,sent=7)");
        assert_eq!(
            line(&stats, 0x0100_0017_f768_0001, false),
            " /127.0.0.1:47264[1](queued=2,recved=6,sent=7,sid=0x1000017f7680001,lop=PING,\
             est=1795249911060,to=10000,lcxid=0x4,lzxid=0x1a,lresp=1631816,llat=8,minlat=0,\
             avglat=2,maxlat=8)"
        );
    }

    #[test]
    fn after_a_reset_nothing_is_known_of_the_last_operation() {
        let stats = CnxnStats::new(5, 2);
        assert_eq!(stats.last_alive_ms(), 2);
        assert_eq!(stats.last_operation(), None);
        stats.update_for_response(4, Zxid(0x19), "GETACN", 3, 7, 1);
        assert_eq!(stats.last_operation().as_deref(), Some("GETACN"));
        assert_eq!((stats.min_latency_ms(), stats.max_latency_ms()), (3, 3));
        stats.reset();
        assert_eq!(stats.last_alive_ms(), 7, "a reset is no reason to expire earlier");
        assert_eq!(
            line(&stats, 1, false),
            " /127.0.0.1:47264[1](queued=2,recved=0,sent=0,sid=0x1,lop=NA,est=5,to=10000,\
             lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)"
        );
    }

    #[test]
    fn addresses_are_spelled_as_java_spells_them() {
        for (address, text) in [
            ("127.0.0.1:2181", "/127.0.0.1:2181"),
            ("[::1]:2181", "/[0:0:0:0:0:0:0:1]:2181"),
            ("[::ffff:10.0.0.7]:1", "/10.0.0.7:1"),
        ] {
            assert_eq!(java_socket_address(address.parse().unwrap()), text);
        }
    }
}
