//! The errors in answers to clients (Java: org/apache/zookeeper/KeeperException.java).

/// A code that is not part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code {0}")]
pub struct UnknownErrorCode(
    /// The code.
    pub i32,
);

/// Why a request was refused (Java: KeeperException.Code). It is an answer to a client, not a failure of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeeperError {
    /// The server failed for a reason that has no other code.
    #[error("KeeperErrorCode = SYSTEMERROR")]
    SystemError,
    /// A part of a multi that was not executed.
    #[error("KeeperErrorCode = RUNTIMEINCONSISTENCY")]
    RuntimeInconsistency,
    /// The data are inconsistent.
    #[error("KeeperErrorCode = DATAINCONSISTENCY")]
    DataInconsistency,
    /// In the client: the connection is lost.
    #[error("KeeperErrorCode = CONNECTIONLOSS")]
    ConnectionLoss,
    /// The request cannot be decoded.
    #[error("KeeperErrorCode = MARSHALLINGERROR")]
    MarshallingError,
    /// The server does not know the operation.
    #[error("KeeperErrorCode = UNIMPLEMENTED")]
    Unimplemented,
    /// In the client: the answer did not arrive in time.
    #[error("KeeperErrorCode = OPERATIONTIMEOUT")]
    OperationTimeout,
    /// A path, mode or value is invalid.
    #[error("KeeperErrorCode = BADARGUMENTS")]
    BadArguments,
    /// Between servers: the session is unknown.
    #[error("KeeperErrorCode = UNKNOWNSESSION")]
    UnknownSession,
    /// Not enough servers of the new configuration are connected.
    #[error("KeeperErrorCode = NEWCONFIGNOQUORUM")]
    NewConfigNoQuorum,
    /// Another reconfiguration is in progress.
    #[error("KeeperErrorCode = RECONFIGINPROGRESS")]
    ReconfigInProgress,
    /// Never sent. The codes below it are errors of the operation itself.
    #[error("KeeperErrorCode = APIERROR")]
    ApiError,
    /// The node does not exist.
    #[error("KeeperErrorCode = NONODE")]
    NoNode,
    /// The client does not have the permission.
    #[error("KeeperErrorCode = NOAUTH")]
    NoAuth,
    /// The version differs from the requested one.
    #[error("KeeperErrorCode = BADVERSION")]
    BadVersion,
    /// An ephemeral node cannot have children.
    #[error("KeeperErrorCode = NOCHILDRENFOREPHEMERALS")]
    NoChildrenForEphemerals,
    /// The node already exists.
    #[error("KeeperErrorCode = NODEEXISTS")]
    NodeExists,
    /// The node has children.
    #[error("KeeperErrorCode = NOTEMPTY")]
    NotEmpty,
    /// The session has expired.
    #[error("KeeperErrorCode = SESSIONEXPIRED")]
    SessionExpired,
    /// In the client: a callback of the wrong kind.
    #[error("KeeperErrorCode = INVALIDCALLBACK")]
    InvalidCallback,
    /// The ACL is empty or has an invalid entry.
    #[error("KeeperErrorCode = INVALIDACL")]
    InvalidAcl,
    /// The server refused the credentials.
    #[error("KeeperErrorCode = AUTHFAILED")]
    AuthFailed,
    /// The session has moved to another connection.
    #[error("KeeperErrorCode = SESSIONMOVED")]
    SessionMoved,
    /// A write was sent to a read-only server.
    #[error("KeeperErrorCode = NOTREADONLY")]
    NotReadOnly,
    /// A local session cannot have ephemeral nodes.
    #[error("KeeperErrorCode = EPHEMERALONLOCALSESSION")]
    EphemeralOnLocalSession,
    /// There is no such watch.
    #[error("KeeperErrorCode = NOWATCHER")]
    NoWatcher,
    /// In the client: the request took too long.
    #[error("KeeperErrorCode = REQUESTTIMEOUT")]
    RequestTimeout,
    /// Reconfiguration is disabled.
    #[error("KeeperErrorCode = RECONFIGDISABLED")]
    ReconfigDisabled,
    /// The server requires the client to authenticate first.
    #[error("KeeperErrorCode = SESSIONCLOSEDREQUIRESASLAUTH")]
    SessionClosedRequireSaslAuth,
    /// The request would exceed a hard quota.
    #[error("KeeperErrorCode = QUOTAEXCEEDED")]
    QuotaExceeded,
    /// The request waited too long in the server.
    #[error("KeeperErrorCode = THROTTLEDOP")]
    ThrottledOp,
}

impl KeeperError {
    /// All errors, in the order of their codes.
    pub const ALL: &[Self] = &[
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::DataInconsistency,
        Self::ConnectionLoss,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::OperationTimeout,
        Self::BadArguments,
        Self::UnknownSession,
        Self::NewConfigNoQuorum,
        Self::ReconfigInProgress,
        Self::ApiError,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidCallback,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::EphemeralOnLocalSession,
        Self::NoWatcher,
        Self::RequestTimeout,
        Self::ReconfigDisabled,
        Self::SessionClosedRequireSaslAuth,
        Self::QuotaExceeded,
        Self::ThrottledOp,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::SystemError => -1,
            Self::RuntimeInconsistency => -2,
            Self::DataInconsistency => -3,
            Self::ConnectionLoss => -4,
            Self::MarshallingError => -5,
            Self::Unimplemented => -6,
            Self::OperationTimeout => -7,
            Self::BadArguments => -8,
            Self::UnknownSession => -12,
            Self::NewConfigNoQuorum => -13,
            Self::ReconfigInProgress => -14,
            Self::ApiError => -100,
            Self::NoNode => -101,
            Self::NoAuth => -102,
            Self::BadVersion => -103,
            Self::NoChildrenForEphemerals => -108,
            Self::NodeExists => -110,
            Self::NotEmpty => -111,
            Self::SessionExpired => -112,
            Self::InvalidCallback => -113,
            Self::InvalidAcl => -114,
            Self::AuthFailed => -115,
            Self::SessionMoved => -118,
            Self::NotReadOnly => -119,
            Self::EphemeralOnLocalSession => -120,
            Self::NoWatcher => -121,
            Self::RequestTimeout => -122,
            Self::ReconfigDisabled => -123,
            Self::SessionClosedRequireSaslAuth => -124,
            Self::QuotaExceeded => -125,
            Self::ThrottledOp => -127,
        }
    }

    /// The text that Java's clients and shell show (Java: getCodeMessage).
    #[must_use]
    pub const fn code_message(self) -> &'static str {
        match self {
            Self::SystemError => "SystemError",
            Self::RuntimeInconsistency => "RuntimeInconsistency",
            Self::DataInconsistency => "DataInconsistency",
            Self::ConnectionLoss => "ConnectionLoss",
            Self::MarshallingError => "MarshallingError",
            Self::Unimplemented => "Unimplemented",
            Self::OperationTimeout => "OperationTimeout",
            Self::BadArguments => "BadArguments",
            Self::UnknownSession => "Unknown error UNKNOWNSESSION",
            Self::NewConfigNoQuorum => "NewConfigNoQuorum",
            Self::ReconfigInProgress => "ReconfigInProgress",
            Self::ApiError => "APIError",
            Self::NoNode => "NoNode",
            Self::NoAuth => "NoAuth",
            Self::BadVersion => "BadVersion",
            Self::NoChildrenForEphemerals => "NoChildrenForEphemerals",
            Self::NodeExists => "NodeExists",
            Self::NotEmpty => "Directory not empty",
            Self::SessionExpired => "Session expired",
            Self::InvalidCallback => "Invalid callback",
            Self::InvalidAcl => "InvalidACL",
            Self::AuthFailed => "AuthFailed",
            Self::SessionMoved => "Session moved",
            Self::NotReadOnly => "Not a read-only call",
            Self::EphemeralOnLocalSession => "Ephemeral node on local session",
            Self::NoWatcher => "No such watcher",
            Self::RequestTimeout => "Unknown error REQUESTTIMEOUT",
            Self::ReconfigDisabled => "Reconfig is disabled",
            Self::SessionClosedRequireSaslAuth => {
                "Session closed because client failed to authenticate"
            }
            Self::QuotaExceeded => "Quota has exceeded",
            Self::ThrottledOp => "Op throttled due to high load",
        }
    }

    /// The number on the wire for a result: 0 if there is no error.
    #[must_use]
    pub const fn code_of<T>(result: &Result<T, Self>) -> i32 {
        match result {
            Ok(_) => 0,
            Err(error) => error.code(),
        }
    }
}

impl TryFrom<i32> for KeeperError {
    type Error = UnknownErrorCode;
    fn try_from(code: i32) -> Result<Self, UnknownErrorCode> {
        Self::ALL.iter().copied().find(|error| error.code() == code).ok_or(UnknownErrorCode(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_error() {
        for error in KeeperError::ALL {
            assert_eq!(KeeperError::try_from(error.code()), Ok(*error));
        }
        assert_eq!(KeeperError::try_from(0), Err(UnknownErrorCode(0)));
        assert_eq!(KeeperError::NoNode.code(), -101);
    }
}
