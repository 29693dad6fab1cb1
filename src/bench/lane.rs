//! The requests in flight on one connection, without its socket (no Java twin).
//!
//! A lane writes requests into a buffer until the wanted number is in flight. It checks the replies: their order by
//! xid, their zxids, their content. After its creation, it allocates no memory.

use std::sync::Arc;

use super::error::BenchError;
use super::latencies::Latencies;
use super::reply::{EVENT_XID, Expected, Frame, PING_XID, Verdict, next_frame};
use super::template::Template;

/// Counts failures, and describes the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    /// Replies that are errors.
    pub(crate) refused: u64,
    /// Replies without an error, but with a wrong body.
    pub(crate) wrong_body: u64,
    /// Replies whose zxid is lower than that of an earlier reply of the same session.
    pub(crate) zxid_went_back: u64,
    /// The first failure, in words.
    pub(crate) first: Option<String>,
}

impl Failures {
    /// The number of all failures.
    #[must_use]
    pub(crate) const fn count(&self) -> u64 {
        self.refused + self.wrong_body + self.zxid_went_back
    }

    fn merge(&mut self, other: &Self) {
        self.refused += other.refused;
        self.wrong_body += other.wrong_body;
        self.zxid_went_back += other.zxid_went_back;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    fn note_first(&mut self, what: impl FnOnce() -> String) {
        if self.first.is_none() {
            self.first = Some(what());
        }
    }
}

/// The results of the replies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Latencies of reads.
    pub(crate) reads: Latencies,
    /// Latencies of writes, including creates.
    pub(crate) writes: Latencies,
    /// Failures, including those during the warm-up.
    pub(crate) failures: Failures,
    /// Errors that the caller expects.
    pub(crate) tolerated: u64,
    /// Successful writes, including those during the warm-up.
    pub(crate) acknowledged_writes: u64,
    /// Whether latencies are recorded now.
    pub(crate) recording: bool,
}

impl Tally {
    /// The number of operations whose latencies were recorded.
    #[must_use]
    pub(crate) fn operations(&self) -> u64 {
        self.reads.count() + self.writes.count()
    }

    /// Adds the results of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.reads.merge(&other.reads);
        self.writes.merge(&other.writes);
        self.failures.merge(&other.failures);
        self.tolerated += other.tolerated;
        self.acknowledged_writes += other.acknowledged_writes;
    }
}

/// Which requests a lane sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Reads and writes of random keys, in the ratio of the two shares.
    Keys { keys: u64, reads: u64, writes: u64 },
    /// Creates the keys of the range, in order.
    CreateKeys { next: u64, end: u64 },
    /// Creates the nodes of the range, in order, in directories of `fanout` each.
    CreateNodes { next: u64, end: u64, fanout: u64 },
}

/// The requests of a measurement, and what their replies must look like.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) read: (Template, Expected),
    pub(crate) write: (Template, Expected),
    pub(crate) create_key: (Template, Expected),
    pub(crate) create_node: (Template, Expected),
}

impl Requests {
    /// Requests for nodes below `root` with that value.
    pub(crate) fn new(root: &str, value: &[u8]) -> Self {
        let key_len = super::template::key_path(root, 0).len();
        let node_len = super::template::node_path(root, 0, 0).len();
        Self {
            read: (Template::read(root), Expected::read(value.len())),
            write: (Template::write(root, value), Expected::write()),
            create_key: (Template::create_key(root, value), Expected::create(key_len)),
            create_node: (Template::create_node(root, value), Expected::create(node_len)),
        }
    }

    fn expected(&self, kind: Kind) -> &Expected {
        match kind {
            Kind::Read => &self.read.1,
            Kind::Write => &self.write.1,
            Kind::CreateKey => &self.create_key.1,
            Kind::CreateNode => &self.create_node.1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    CreateKey,
    CreateNode,
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at_ns: u64,
    kind: Kind,
}

/// One connection's requests in flight.
#[derive(Debug)]
pub(crate) struct Lane {
    requests: Arc<Requests>,
    source: Source,
    /// How many more requests may be made.
    left: u64,
    random: u64,
    /// A ring buffer with one slot for each request that may be in flight.
    sent: Box<[Sent]>,
    oldest: usize,
    in_flight: usize,
    oldest_xid: i32,
    last_zxid: i64,
}

impl Lane {
    /// Creates a lane with `depth` requests in flight that makes at most `left` requests. `seed` selects its keys.
    /// `first_xid` is the next free xid of the session.
    pub(crate) fn new(
        requests: Arc<Requests>,
        source: Source,
        depth: usize,
        left: u64,
        seed: u64,
        first_xid: i32,
    ) -> Self {
        Self {
            requests,
            source,
            left,
            random: mix(seed) | 1, // xorshift never leaves zero
            sent: vec![Sent { at_ns: 0, kind: Kind::Read }; depth.max(1)].into(),
            oldest: 0,
            in_flight: 0,
            oldest_xid: first_xid,
            last_zxid: 0,
        }
    }

    /// Appends requests to `out` until enough are in flight or no request is left.
    #[inline]
    pub(crate) fn fill(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        while self.in_flight < self.sent.len() && self.left > 0 {
            let xid = self.xid_after(self.in_flight);
            let Some(kind) = self.append_next(xid, out) else {
                self.left = 0;
                return;
            };
            let mut slot = self.oldest + self.in_flight;
            if slot >= self.sent.len() {
                slot -= self.sent.len();
            }
            self.sent[slot] = Sent { at_ns: now_ns, kind };
            self.in_flight += 1;
            self.left -= 1;
        }
    }

    /// Makes no further requests.
    pub(crate) fn stop(&mut self) {
        self.left = 0;
    }

    /// Whether every request has its reply and no request will follow.
    pub(crate) fn is_finished(&self) -> bool {
        self.left == 0 && self.in_flight == 0
    }

    /// The next free xid, for the next user of the connection.
    pub(crate) fn next_xid(&self) -> i32 {
        self.xid_after(self.in_flight)
    }

    /// Checks the complete replies at the start of `bytes`. Returns how many bytes they take and how many replies
    /// there are.
    ///
    /// # Errors
    /// If a reply does not belong to the oldest request. Everything after it is unreliable.
    #[inline]
    pub(crate) fn take_replies(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<(usize, u64), BenchError> {
        let (mut taken, mut replies) = (0, 0);
        while let Some((frame, len)) = next_frame(&bytes[taken..])? {
            taken += len;
            if matches!(frame.xid, EVENT_XID | PING_XID) {
                continue;
            }
            if self.in_flight == 0 || frame.xid != self.oldest_xid {
                let (found, wanted) = (frame.xid, self.oldest_xid);
                let flight = self.in_flight;
                return Err(BenchError::Protocol(format!(
                    "xid {found} where {wanted} belongs, {flight} requests in flight"
                )));
            }
            let sent = self.sent[self.oldest];
            self.oldest = if self.oldest + 1 == self.sent.len() { 0 } else { self.oldest + 1 };
            self.in_flight -= 1;
            self.oldest_xid = xid_plus(self.oldest_xid, 1);
            self.judge(&frame, sent, now_ns, tally);
            replies += 1;
        }
        Ok((taken, replies))
    }

    #[inline]
    fn judge(&mut self, frame: &Frame<'_>, sent: Sent, now_ns: u64, tally: &mut Tally) {
        let expected = self.requests.expected(sent.kind);
        match expected.judge(frame) {
            Verdict::Good => {
                let is_read = sent.kind == Kind::Read;
                tally.acknowledged_writes += u64::from(!is_read);
                if tally.recording {
                    let latencies = if is_read { &mut tally.reads } else { &mut tally.writes };
                    latencies.record(now_ns - sent.at_ns);
                }
            }
            Verdict::Tolerated => tally.tolerated += 1,
            Verdict::Refused => {
                tally.failures.refused += 1;
                tally.failures.note_first(|| expected.describe(frame));
            }
            Verdict::WrongBody => {
                tally.failures.wrong_body += 1;
                tally.failures.note_first(|| expected.describe(frame));
            }
        }
        if frame.zxid < self.last_zxid {
            let last = self.last_zxid;
            tally.failures.zxid_went_back += 1;
            tally.failures.note_first(|| format!("zxid {:#x} follows {last:#x}", frame.zxid));
        }
        self.last_zxid = frame.zxid;
    }

    /// Appends the next request of the source; `None` if there is none.
    #[inline]
    fn append_next(&mut self, xid: i32, out: &mut Vec<u8>) -> Option<Kind> {
        match &mut self.source {
            Source::Keys { keys, reads, writes } => {
                let random = xorshift(&mut self.random);
                // Two independent parts of one random number: one selects the key, the other selects read or write.
                let key = ((random >> 32) * *keys) >> 32;
                if ((random & 0xffff_ffff) * (*reads + *writes)) >> 32 < *writes {
                    self.requests.write.0.append(xid, [key], out);
                    return Some(Kind::Write);
                }
                self.requests.read.0.append(xid, [key], out);
                Some(Kind::Read)
            }
            Source::CreateKeys { next, end } => {
                let key = *next;
                (key < *end).then(|| {
                    *next += 1;
                    self.requests.create_key.0.append(xid, [key], out);
                    Kind::CreateKey
                })
            }
            Source::CreateNodes { next, end, fanout } => {
                let node = *next;
                (node < *end).then(|| {
                    *next += 1;
                    self.requests.create_node.0.append(xid, [node / *fanout, node], out);
                    Kind::CreateNode
                })
            }
        }
    }

    fn xid_after(&self, requests: usize) -> i32 {
        xid_plus(self.oldest_xid, requests)
    }
}

/// The xid after that many requests. Xids are positive and start again at 1 after the largest.
fn xid_plus(xid: i32, requests: usize) -> i32 {
    let later = i64::from(xid) + i64::try_from(requests).unwrap_or(i64::MAX / 2);
    i32::try_from(later).unwrap_or_else(|_| i32::try_from(later - i64::from(i32::MAX)).unwrap_or(1))
}

/// Marsaglia's xorshift64: cheap, and random enough to pick keys.
#[inline]
fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Spreads small seeds over all bits (the finaliser of splitmix64).
fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reply::STAT_BYTES;

    const KEYS: u64 = 10;

    fn lane(reads: u64, writes: u64, depth: usize, left: u64) -> Lane {
        let requests = Arc::new(Requests::new("/b", &[7; 100]));
        Lane::new(requests, Source::Keys { keys: KEYS, reads, writes }, depth, left, 1, 5)
    }

    fn recording() -> Tally {
        Tally { recording: true, ..Tally::default() }
    }

    fn reply(xid: i32, zxid: i64, err: i32, data: Option<usize>) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some(len) = data {
            body.extend(u32::try_from(len).unwrap().to_be_bytes());
            body.resize(4 + len, 0);
        }
        if err == 0 {
            body.resize(body.len() + STAT_BYTES, 0);
        }
        let mut bytes = u32::try_from(16 + body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(xid.to_be_bytes());
        bytes.extend(zxid.to_be_bytes());
        bytes.extend(err.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn no_more_requests_are_in_flight_than_asked_for() {
        let mut lane = lane(1, 0, 3, u64::MAX);
        let mut out = Vec::new();
        lane.fill(0, &mut out);
        let request_len = lane.requests.read.0.len();
        assert_eq!(out.len(), 3 * request_len);
        lane.fill(0, &mut out);
        assert_eq!(out.len(), 3 * request_len);

        let mut tally = recording();
        let bytes = reply(5, 1, 0, Some(100));
        assert_eq!(lane.take_replies(&bytes, 40, &mut tally).unwrap(), (bytes.len(), 1));
        lane.fill(50, &mut out);
        assert_eq!(out.len(), 4 * request_len);
        assert_eq!((tally.operations(), tally.failures.count()), (1, 0));
    }

    #[test]
    fn a_reply_out_of_order_or_without_a_request_ends_the_lane() {
        let mut lane = lane(1, 0, 2, 2);
        let mut tally = recording();
        assert!(lane.take_replies(&reply(5, 1, 0, Some(100)), 0, &mut tally).is_err());
        lane.fill(0, &mut Vec::new());
        assert!(lane.take_replies(&reply(6, 1, 0, Some(100)), 0, &mut tally).is_err());
        assert!(lane.take_replies(&reply(5, 1, 0, Some(100)), 0, &mut tally).is_ok());
    }

    #[test]
    fn errors_short_data_and_a_zxid_that_goes_back_are_counted_apart() {
        let mut lane = lane(1, 0, 4, 4);
        let mut tally = recording();
        lane.fill(0, &mut Vec::new());
        let mut bytes = reply(5, 10, 0, Some(100));
        bytes.extend(reply(6, 11, -101, None));
        bytes.extend(reply(7, 12, 0, Some(99)));
        bytes.extend(reply(8, 9, 0, Some(100)));
        lane.take_replies(&bytes, 1, &mut tally).unwrap();
        let Failures { refused, wrong_body, zxid_went_back, first } = tally.failures;
        assert_eq!((refused, wrong_body, zxid_went_back), (1, 1, 1));
        assert_eq!(first.as_deref(), Some("getData is refused: KeeperErrorCode = NONODE"));
        assert!(lane.is_finished());
    }

    #[test]
    fn events_and_pings_between_replies_are_stepped_over() {
        let mut lane = lane(1, 0, 1, 1);
        let mut tally = recording();
        lane.fill(0, &mut Vec::new());
        let mut bytes = reply(EVENT_XID, -1, 0, None);
        bytes.extend(reply(PING_XID, 0, 0, None));
        bytes.extend(reply(5, 3, 0, Some(100)));
        assert_eq!(lane.take_replies(&bytes, 1, &mut tally).unwrap(), (bytes.len(), 1));
        assert_eq!(tally.failures, Failures::default());
    }

    #[test]
    fn reads_and_writes_come_in_the_ratio_and_over_all_keys() {
        let mut lane = lane(9, 1, 10_000, 10_000);
        lane.fill(0, &mut Vec::new());
        let writes = lane.sent.iter().filter(|sent| sent.kind == Kind::Write).count();
        assert!((800..1200).contains(&writes), "{writes} of 10000");

        let mut out = Vec::new();
        let mut lane = self::lane(1, 0, 200, 200);
        lane.fill(0, &mut out);
        for key in 0..KEYS {
            let path = crate::bench::template::key_path("/b", key);
            assert!(out.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn creates_walk_their_range_once_and_then_the_lane_is_finished() {
        let requests = Arc::new(Requests::new("/b", b"v"));
        let source = Source::CreateNodes { next: 998, end: 1002, fanout: 1000 };
        let mut lane = Lane::new(requests, source, 100, u64::MAX, 0, 1);
        let mut out = Vec::new();
        lane.fill(0, &mut out);
        assert_eq!(lane.in_flight, 4);
        for path in ["/b/d00000/n00000998", "/b/d00001/n00001001"] {
            assert!(out.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
        }
        assert_eq!(lane.left, 0);
        assert!(!lane.is_finished());
    }

    #[test]
    fn xids_stay_positive_after_the_largest() {
        assert_eq!(xid_plus(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(xid_plus(i32::MAX, 1), 1);
        assert_eq!(xid_plus(i32::MAX, 3), 3);
    }

    #[test]
    fn latencies_are_noted_only_while_recording() {
        let mut lane = lane(1, 0, 1, 2);
        let mut tally = Tally::default();
        lane.fill(0, &mut Vec::new());
        lane.take_replies(&reply(5, 3, 0, Some(100)), 1000, &mut tally).unwrap();
        assert_eq!(tally.operations(), 0);
        tally.recording = true;
        lane.fill(2000, &mut Vec::new());
        lane.take_replies(&reply(6, 3, 0, Some(100)), 5000, &mut tally).unwrap();
        assert_eq!((tally.operations(), tally.reads.max().as_nanos() / 100), (1, 30));
    }
}
