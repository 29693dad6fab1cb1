//! The wire format of election notifications (Java: Notification, buildMsg and the first half of WorkerReceiver.run
//! of server/quorum/FastLeaderElection.java).
//!
//! The format has grown over time: first without an epoch (28 bytes), then with an epoch (36), with a version (40,
//! since 3.4.6), and with the configuration (since 3.5). This server writes the latest format; servers of 3.4 read
//! the fields that they know.

use byteorder::{BigEndian, ByteOrder};

use crate::ids::{PeerEpoch, Sid, Zxid};

/// The format version of the notifications that this server writes.
pub const CURRENT_VERSION: i32 = 2;

/// The length of the oldest format, the minimum of any notification, in bytes.
const WITHOUT_EPOCH: usize = 28;

/// The length of a notification since 3.4.6. As in Java, its version field is ignored.
const BEFORE_RECONFIG: usize = 40;

/// A notification in its wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationFrame {
    /// The code of the sender's state.
    pub state: i32,
    /// The leader that the sender votes for or follows.
    pub leader: Sid,
    /// The last zxid of that leader.
    pub zxid: Zxid,
    /// The election round.
    pub election_epoch: i64,
    /// The peer epoch of that leader.
    pub peer_epoch: PeerEpoch,
    /// The format version; 0 for the old formats.
    pub version: i32,
    /// The text of the sender's configuration, since version 2.
    pub config: Option<Vec<u8>>,
}

/// Why a message is not a valid notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// It is shorter than the oldest format.
    #[error("it has {0} bytes only")]
    Short(usize),
    /// It ends too early.
    #[error("it ends too early, after {0} bytes")]
    Partial(usize),
    /// The length of the configuration is impossible.
    #[error(
        "Invalid configLength in notification message! capacity={capacity}, configLength={length}"
    )]
    ConfigLength {
        /// The length of the message, in bytes.
        capacity: usize,
        /// The length that it claims for the configuration.
        length: i32,
    },
}

/// The unread rest of a message.
struct Rest<'a> {
    bytes: &'a [u8],
    capacity: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NotificationError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or(NotificationError::Partial(self.capacity))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32, NotificationError> {
        self.take(4).map(BigEndian::read_i32)
    }

    fn long(&mut self) -> Result<i64, NotificationError> {
        self.take(8).map(BigEndian::read_i64)
    }
}

impl NotificationFrame {
    /// Decodes a notification of any format.
    ///
    /// # Errors
    /// When the message is not valid. This includes the format of 3.4.0 to 3.4.5, which later servers never
    /// understood.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotificationError> {
        let capacity = bytes.len();
        if capacity < WITHOUT_EPOCH {
            return Err(NotificationError::Short(capacity));
        }
        let mut rest = Rest { bytes, capacity };
        let state = rest.int()?;
        let leader = Sid(rest.long()?);
        let zxid = Zxid(rest.long()?);
        let election_epoch = rest.long()?;
        let peer_epoch =
            if capacity == WITHOUT_EPOCH { zxid.peer_epoch() } else { PeerEpoch(rest.long()?) };
        let is_old = capacity == WITHOUT_EPOCH || capacity == BEFORE_RECONFIG;
        let version = if is_old { 0 } else { rest.int()? };
        let mut config = None;
        if version > 1 {
            let length = rest.int()?;
            let bytes = match usize::try_from(length) {
                Ok(bytes) if bytes <= capacity => bytes,
                _ => return Err(NotificationError::ConfigLength { capacity, length }),
            };
            config = Some(rest.take(bytes)?.to_vec());
        }
        Ok(Self { state, leader, zxid, election_epoch, peer_epoch, version, config })
    }

    /// Encodes a notification in the latest format, whatever its `version` is.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let config = self.config.as_deref().unwrap_or_default();
        let length = i32::try_from(config.len()).unwrap_or(i32::MAX);
        let mut bytes = Vec::with_capacity(BEFORE_RECONFIG + 4 + config.len());
        bytes.extend_from_slice(&self.state.to_be_bytes());
        bytes.extend_from_slice(&self.leader.0.to_be_bytes());
        bytes.extend_from_slice(&self.zxid.0.to_be_bytes());
        bytes.extend_from_slice(&self.election_epoch.to_be_bytes());
        bytes.extend_from_slice(&self.peer_epoch.0.to_be_bytes());
        bytes.extend_from_slice(&CURRENT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(config);
        bytes
    }

    /// The version of the sender's configuration; 0 if there is none. It is found without parsing the configuration,
    /// because parsing resolves host names.
    #[must_use]
    pub fn config_version(&self) -> i64 {
        let text = String::from_utf8_lossy(self.config.as_deref().unwrap_or_default());
        let version = text.lines().rev().find_map(|line| line.trim().strip_prefix("version="));
        version.and_then(|version| i64::from_str_radix(version.trim(), 16).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of the 36-byte format: state FOLLOWING, leader 3, zxid 0x500000007, round 9, epoch 6.
    const FIELDS: [u8; 36] = [
        0, 0, 0, 1, //
        0, 0, 0, 0, 0, 0, 0, 3, //
        0, 0, 0, 5, 0, 0, 0, 7, //
        0, 0, 0, 0, 0, 0, 0, 9, //
        0, 0, 0, 0, 0, 0, 0, 6,
    ];

    fn frame(peer_epoch: i64, version: i32, config: Option<&str>) -> NotificationFrame {
        NotificationFrame {
            state: 1,
            leader: Sid(3),
            zxid: Zxid(0x5_0000_0007),
            election_epoch: 9,
            peer_epoch: PeerEpoch(peer_epoch),
            version,
            config: config.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn with(tail: &[u8]) -> Vec<u8> {
        [&FIELDS[..], tail].concat()
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(NotificationFrame::decode(&FIELDS[..28]), Ok(frame(5, 0, None)));
        let of_3_4 = with(&[0, 0, 0, 1]);
        assert_eq!(
            NotificationFrame::decode(&of_3_4),
            Ok(frame(6, 0, None)),
            "40 bytes: version 0"
        );
        let of_3_5 = with(b"\0\0\0\x02\0\0\0\x09version=0");
        assert_eq!(NotificationFrame::decode(&of_3_5), Ok(frame(6, 2, Some("version=0"))));
        let no_config = with(&[0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(NotificationFrame::decode(&no_config), Ok(frame(6, 2, Some(""))));
        let longer = with(&[0, 0, 0, 1, 7]);
        assert_eq!(NotificationFrame::decode(&longer), Ok(frame(6, 1, None)));
        let newer = with(b"\0\0\0\x03\0\0\0\x01xmore");
        assert_eq!(NotificationFrame::decode(&newer), Ok(frame(6, 3, Some("x"))));
    }

    #[test]
    fn what_ends_too_early_or_lies_about_its_length_is_refused() {
        use NotificationError::{ConfigLength, Partial, Short};
        for length in 0..28 {
            let error = NotificationFrame::decode(&FIELDS[..length]).unwrap_err();
            assert_eq!(error, Short(length));
        }
        for length in 29..=36 {
            let error = NotificationFrame::decode(&FIELDS[..length]).unwrap_err();
            assert_eq!(error, Partial(length), "as those of 3.4.0 to 3.4.5");
        }
        let length = |n: i32, text: &[u8]| {
            with(&[&2_i32.to_be_bytes()[..], &n.to_be_bytes(), text].concat())
        };
        for (bytes, error) in [
            (with(&[0, 0, 0]), Partial(39)),
            (with(&[0, 0, 0, 2, 0]), Partial(41)),
            (length(-1, b""), ConfigLength { capacity: 44, length: -1 }),
            (length(i32::MAX, b""), ConfigLength { capacity: 44, length: i32::MAX }),
            (length(45, b""), ConfigLength { capacity: 44, length: 45 }),
            (length(10, b"version=0"), Partial(53)),
        ] {
            assert_eq!(NotificationFrame::decode(&bytes), Err(error));
        }
    }

    #[test]
    fn it_is_written_in_the_form_of_3_5() {
        let written = frame(6, 0, Some("version=0")).encode();
        assert_eq!(written, with(b"\0\0\0\x02\0\0\0\x09version=0"));
    }

    #[test]
    fn the_version_of_the_configuration_is_its_last_line() {
        let text = "server.1=version=5:1:2:participant\nversion=100000003";
        assert_eq!(frame(6, 2, Some(text)).config_version(), 0x1_0000_0003);
        assert_eq!(frame(6, 2, Some("server.1=a:1:2")).config_version(), 0);
        assert_eq!(frame(6, 2, Some("version=xyz")).config_version(), 0);
        assert_eq!(frame(6, 1, None).config_version(), 0);
    }
}
