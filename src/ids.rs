//! The ids used everywhere: [`Zxid`], [`PeerEpoch`], [`SessionId`], [`Sid`] (no Java twin: Java passes bare longs).
//!
//! Every bit pattern is valid, so the types can be fields of records. Java compares all of these ids as signed
//! numbers, and so do these types.

use std::fmt;
use std::io::Read;

use crate::jute::{BinaryInputArchive, InputError, JuteField, OutputArchive};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl JuteField for $name {
            fn jute_type() -> String {
                i64::jute_type()
            }
            fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
                archive.write_long(self.0, tag);
            }
            fn read<R: Read>(
                archive: &mut BinaryInputArchive<R>,
                _tag: &'static str,
            ) -> Result<Self, InputError> {
                archive.read_long().map(Self)
            }
        }
    };
}

id! {
    /// The position of a transaction in the history: the leader's epoch in the high half, a counter in the low half
    /// (Java: ZxidUtils).
    Zxid
}

id! {
    /// The number of a leader's term: the high half of its zxids.
    PeerEpoch
}

id! {
    /// A client's session. The high byte is the id of the server that created it (Java: SessionTrackerImpl).
    SessionId
}

id! {
    /// A server of the ensemble, as in its `myid` file.
    Sid
}

impl Zxid {
    /// No transaction yet.
    pub const ZERO: Self = Self(0);
    /// Java's -1: the zxid is unknown, or no transaction applies.
    pub const NONE: Self = Self(-1);

    /// The `counter`th transaction of `epoch` (Java: ZxidUtils.makeZxid).
    #[must_use]
    pub const fn new(epoch: i64, counter: i64) -> Self {
        Self((epoch << 32) | (counter & 0xffff_ffff))
    }

    /// The epoch of the leader that proposed it (Java: ZxidUtils.getEpochFromZxid).
    #[must_use]
    pub const fn epoch(self) -> i64 {
        self.0 >> 32
    }

    /// The epoch of the leader that proposed it, as a [`PeerEpoch`].
    #[must_use]
    pub const fn peer_epoch(self) -> PeerEpoch {
        PeerEpoch(self.epoch())
    }

    /// The zxid at the start of an epoch. No transaction has this zxid.
    #[must_use]
    pub const fn start_of(epoch: PeerEpoch) -> Self {
        Self::new(epoch.0, 0)
    }

    /// Its counter within the epoch (Java: ZxidUtils.getCounterFromZxid).
    #[must_use]
    pub const fn counter(self) -> i64 {
        self.0 & 0xffff_ffff
    }

    /// The zxid after this one. It wraps around as in Java.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Prints it as in logs: `0x` and lower-case hex digits.
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Prints it as in logs: `0x` and lower-case hex digits.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Prints it as in logs and files: a decimal number.
impl fmt::Display for PeerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_is_an_epoch_and_a_counter() {
        let zxid = Zxid::new(3, 0x1_0000_0002);
        assert_eq!((zxid.epoch(), zxid.counter()), (3, 2));
        assert_eq!(zxid.to_string(), "0x300000002");
        assert!(Zxid::NONE < Zxid::ZERO);
        assert_eq!(SessionId(-1).to_string(), "0xffffffffffffffff");
    }
}
