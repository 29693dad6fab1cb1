//! The exit codes of the process (Java: server/ExitCode.java).

/// The same codes as Java's, because supervisors know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// A normal end.
    ExecutionFinished = 0,
    /// An unexpected error.
    UnexpectedError = 1,
    /// Wrong arguments or a wrong configuration.
    InvalidInvocation = 2,
    /// The data directory cannot be used.
    UnableToAccessDatadir = 3,
    /// The admin server does not start.
    ErrorStartingAdminServer = 4,
    /// A snapshot cannot be taken.
    TxnlogErrorTakingSnapshot = 10,
    /// A commit does not match the next proposal.
    UnmatchedTxnCommit = 12,
    /// A packet between servers is invalid.
    QuorumPacketError = 13,
    /// The quorum or election port cannot be bound.
    UnableToBindQuorumPort = 14,
    /// The shell was given an unknown command (Java: CommandNotFoundException).
    CommandNotFound = 127,
}

impl ExitCode {
    /// The number for the operating system.
    #[must_use]
    pub const fn value(self) -> i32 {
        self as i32
    }
}
