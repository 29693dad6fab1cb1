//! How a learner identifies itself to its leader (Java: server/quorum/LearnerInfo.java).

use crate::ids::Sid;
use crate::jute::{BinaryInputArchive, InputError, Limits};

crate::record! {
    /// The identification of a learner.
    pub struct LearnerInfo {
        /// The learner's id.
        serverid: Sid,
        /// The protocol version: [`PROTOCOL_VERSION`] since 3.4.
        protocol_version: i32,
        /// The version of the learner's configuration, since 3.5.
        config_version: i64,
    }
}

/// The protocol version of every release since 3.4.
pub const PROTOCOL_VERSION: i32 = 0x10000;

/// The identification of a learner of any version; older versions say less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The learner's id; 0 if too little was sent, and none if nothing was.
    pub sid: Option<Sid>,
    /// The protocol version; 0x1 if it was not sent.
    pub protocol_version: i32,
    /// The version of the learner's configuration; sent since 3.5.
    pub config_version: Option<i64>,
}

impl Greeting {
    /// Parses the data of FOLLOWERINFO or OBSERVERINFO: nothing, a bare id, or a [`LearnerInfo`] with or without its
    /// last field (Java: within LearnerHandler.run).
    ///
    /// # Errors
    /// When the data ends too early.
    pub fn read(data: Option<&[u8]>) -> Result<Self, InputError> {
        let mut greeting = Self { sid: None, protocol_version: 1, config_version: None };
        let Some(data) = data else { return Ok(greeting) };
        greeting.sid = Some(Sid(0));
        let mut archive = BinaryInputArchive::new(data, Limits::default());
        if data.len() >= 8 {
            greeting.sid = Some(Sid(archive.read_long()?));
        }
        if data.len() >= 12 {
            greeting.protocol_version = archive.read_int()?;
        }
        if data.len() >= 20 {
            greeting.config_version = Some(archive.read_long()?);
        }
        Ok(greeting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Record;

    #[test]
    fn a_learner_says_as_much_as_its_version_knows() {
        let info =
            LearnerInfo { serverid: Sid(3), protocol_version: PROTOCOL_VERSION, config_version: 9 };
        let bytes = info.to_bytes();
        assert_eq!(bytes.len(), 20);
        let read = |len: usize| Greeting::read(Some(&bytes[..len])).unwrap();
        let (sid, protocol_version) = (Some(Sid(3)), PROTOCOL_VERSION);
        assert_eq!(read(20), Greeting { sid, protocol_version, config_version: Some(9) });
        assert_eq!(read(12), Greeting { sid, protocol_version, config_version: None });
        assert_eq!(read(8), Greeting { sid, protocol_version: 1, config_version: None });
        assert_eq!(Greeting::read(None).unwrap().sid, None);
        assert_eq!((read(0).sid, read(7).sid), (Some(Sid(0)), Some(Sid(0))));
    }
}
