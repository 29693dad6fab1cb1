//! What a node's `ephemeralOwner` means (Java: server/EphemeralType.java, server/EphemeralTypeEmulate353.java).
//!
//! Usually it is the session of an ephemeral node. A few values mean something else: the lowest long marks a
//! container. With extended types, a high byte of 0xff marks a feature. The only feature is a time to live, in the
//! low 40 bits.
//!
//! Differs from Java: the two settings are a value that is passed to the users, not system properties read on every
//! call.

use crate::common::zk_config::SystemProperties;
use crate::create_mode::CreateMode;
use crate::keeper_exception::KeeperError;

/// The owner of every container (Java: CONTAINER_EPHEMERAL_OWNER).
pub(crate) const CONTAINER_EPHEMERAL_OWNER: i64 = i64::MIN;

/// The highest server id that is possible with extended types.
pub(crate) const MAX_EXTENDED_SERVER_ID: i64 = 0xfe;

/// The longest time to live: 40 bits of milliseconds, about 34 years (Java: TTL.maxValue).
pub(crate) const MAX_TTL_MS: i64 = 0x00ff_ffff_ffff;

const EXTENDED_MASK: i64 = 0xff00_0000_0000_0000_u64.cast_signed();
const RESERVED_BITS_MASK: i64 = 0x00ff_ff00_0000_0000;
/// The only feature, in the reserved bits.
const EXTENDED_BIT_TTL: i64 = 0;

const _: () = assert!(EXTENDED_MASK | RESERVED_BITS_MASK | MAX_TTL_MS == -1);

/// The kind of node that an owner marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EphemeralType {
    /// Exists until it is deleted.
    Void,
    /// Is deleted when its owner, a session, ends.
    Normal,
    /// A container.
    Container,
    /// Has a time to live.
    Ttl,
}

/// The high byte of the owner marks an extended type, but the feature is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid ephemeralOwner. [{0:x}]")]
pub struct InvalidEphemeralOwner(
    /// The owner.
    pub i64,
);

/// The settings that decide what an owner means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EphemeralTypes {
    /// `zookeeper.extendedTypesEnabled`: nodes may have a time to live.
    pub extended_types_enabled: bool,
    /// `zookeeper.emulate353TTLNodes`: the format of 3.5.3 is understood, too.
    pub emulate_353_ttl_nodes: bool,
}

impl EphemeralTypes {
    /// From `zookeeper.extendedTypesEnabled` and `zookeeper.emulate353TTLNodes`.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        Self {
            extended_types_enabled: properties.bool("zookeeper.extendedTypesEnabled"),
            emulate_353_ttl_nodes: properties.bool("zookeeper.emulate353TTLNodes"),
        }
    }

    /// What the owner means (Java: EphemeralType.get).
    ///
    /// # Errors
    /// When extended types are on and the owner marks an unknown feature.
    pub const fn of(self, ephemeral_owner: i64) -> Result<EphemeralType, InvalidEphemeralOwner> {
        if self.extended_types_enabled {
            if self.emulate_353_ttl_nodes
                && ephemeral_owner < 0
                && ephemeral_owner != CONTAINER_EPHEMERAL_OWNER
            {
                return Ok(EphemeralType::Ttl);
            }
            if ephemeral_owner & EXTENDED_MASK == EXTENDED_MASK {
                return if ephemeral_owner & RESERVED_BITS_MASK == EXTENDED_BIT_TTL {
                    Ok(EphemeralType::Ttl)
                } else {
                    Err(InvalidEphemeralOwner(ephemeral_owner))
                };
            }
        }
        Ok(match ephemeral_owner {
            CONTAINER_EPHEMERAL_OWNER => EphemeralType::Container,
            0 => EphemeralType::Void,
            _ => EphemeralType::Normal,
        })
    }

    /// As [`of`](Self::of), but an owner with an unknown feature counts as a session, whose end deletes the node.
    /// Java throws.
    #[must_use]
    pub(super) const fn of_or_normal(self, ephemeral_owner: i64) -> EphemeralType {
        match self.of(ephemeral_owner) {
            Ok(ephemeral_type) => ephemeral_type,
            Err(_) => EphemeralType::Normal,
        }
    }

    /// The owner as a client sees it: a session, or 0 (Java: DataNode.getClientEphemeralOwner).
    #[must_use]
    pub const fn client_ephemeral_owner(self, ephemeral_owner: i64) -> i64 {
        match self.of_or_normal(ephemeral_owner) {
            EphemeralType::Normal => ephemeral_owner,
            EphemeralType::Void | EphemeralType::Container | EphemeralType::Ttl => 0,
        }
    }

    /// Refuses a server id whose sessions would look like extended types (Java: validateServerId).
    ///
    /// # Errors
    /// The text for the log.
    pub fn validate_server_id(self, server_id: i64) -> Result<(), String> {
        if self.extended_types_enabled && server_id > MAX_EXTENDED_SERVER_ID {
            return Err(format!(
                "extendedTypesEnabled is true but Server ID is too large. Cannot be larger than \
                 {MAX_EXTENDED_SERVER_ID}"
            ));
        }
        Ok(())
    }
}

impl EphemeralType {
    /// The owner of a node with this time to live (Java: EphemeralType.TTL.toEphemeralOwner).
    ///
    /// # Errors
    /// [`KeeperError::BadArguments`] when it is not between 1 ms and [`MAX_TTL_MS`].
    pub const fn ttl_to_ephemeral_owner(ttl_ms: i64) -> Result<i64, KeeperError> {
        if ttl_ms > MAX_TTL_MS || ttl_ms <= 0 {
            return Err(KeeperError::BadArguments);
        }
        Ok(EXTENDED_MASK | EXTENDED_BIT_TTL | ttl_ms)
    }

    /// The time to live of an owner, in milliseconds (Java: EphemeralType.TTL.getValue). For the format of 3.5.3 it
    /// is the low 40 bits, as in Java.
    #[must_use]
    pub const fn ttl_ms(ephemeral_owner: i64) -> i64 {
        ephemeral_owner & MAX_TTL_MS
    }

    /// Refuses a time to live for a mode without one, or outside its limits (Java: validateTTL).
    ///
    /// # Errors
    /// [`KeeperError::BadArguments`].
    pub const fn validate_ttl(mode: CreateMode, ttl_ms: i64) -> Result<(), KeeperError> {
        if mode.is_ttl() {
            match Self::ttl_to_ephemeral_owner(ttl_ms) {
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            }
        } else if ttl_ms >= 0 {
            Err(KeeperError::BadArguments)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: EphemeralTypes =
        EphemeralTypes { extended_types_enabled: false, emulate_353_ttl_nodes: false };
    const EXTENDED: EphemeralTypes =
        EphemeralTypes { extended_types_enabled: true, emulate_353_ttl_nodes: false };
    const EMULATING: EphemeralTypes =
        EphemeralTypes { extended_types_enabled: true, emulate_353_ttl_nodes: true };

    #[test]
    fn an_owner_means_what_java_says_it_means() {
        let ttl = EphemeralType::ttl_to_ephemeral_owner(1).unwrap();
        assert_eq!(ttl.cast_unsigned(), 0xff00_0000_0000_0001);
        let ttl_353 = CONTAINER_EPHEMERAL_OWNER | 5;
        let highest_session = 0xfe00_0000_0000_0001_u64.cast_signed();
        for (types, owner, meaning) in [
            (PLAIN, 0, EphemeralType::Void),
            (PLAIN, 1, EphemeralType::Normal),
            (PLAIN, -1, EphemeralType::Normal),
            (PLAIN, ttl, EphemeralType::Normal),
            (PLAIN, CONTAINER_EPHEMERAL_OWNER, EphemeralType::Container),
            (EXTENDED, 0, EphemeralType::Void),
            (EXTENDED, 1, EphemeralType::Normal),
            (EXTENDED, highest_session, EphemeralType::Normal),
            (EXTENDED, ttl, EphemeralType::Ttl),
            (EXTENDED, ttl_353, EphemeralType::Normal),
            (EXTENDED, CONTAINER_EPHEMERAL_OWNER, EphemeralType::Container),
            (EMULATING, ttl, EphemeralType::Ttl),
            (EMULATING, ttl_353, EphemeralType::Ttl),
            (EMULATING, highest_session, EphemeralType::Ttl),
            (EMULATING, CONTAINER_EPHEMERAL_OWNER, EphemeralType::Container),
        ] {
            assert_eq!(types.of(owner), Ok(meaning), "{types:?} {owner:#x}");
        }
        assert_eq!(EXTENDED.of(-1), Err(InvalidEphemeralOwner(-1)));
        assert_eq!(EXTENDED.of_or_normal(-1), EphemeralType::Normal);
        assert_eq!(EMULATING.of(-1), Ok(EphemeralType::Ttl));
        assert_eq!(EphemeralType::ttl_ms(ttl), 1);
    }

    #[test]
    fn only_a_ttl_mode_has_a_time_to_live_and_it_has_a_limit() {
        assert_eq!(EphemeralType::validate_ttl(CreateMode::PersistentWithTtl, MAX_TTL_MS), Ok(()));
        for (mode, ttl_ms) in [
            (CreateMode::PersistentWithTtl, MAX_TTL_MS + 1),
            (CreateMode::PersistentWithTtl, 0),
            (CreateMode::PersistentSequentialWithTtl, -1),
            (CreateMode::Persistent, 0),
            (CreateMode::Container, 5),
        ] {
            let refused = EphemeralType::validate_ttl(mode, ttl_ms);
            assert_eq!(refused, Err(KeeperError::BadArguments), "{mode:?} {ttl_ms}");
        }
        assert_eq!(EphemeralType::validate_ttl(CreateMode::Ephemeral, -1), Ok(()));
    }

    #[test]
    fn a_server_id_of_255_is_only_refused_with_extended_types() {
        assert!(EXTENDED.validate_server_id(254).is_ok());
        assert!(EXTENDED.validate_server_id(255).is_err());
        assert!(PLAIN.validate_server_id(255).is_ok());
    }
}
