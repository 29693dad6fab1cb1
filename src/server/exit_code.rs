//! What the process ends with (Java: server/ExitCode.java).

/// Codes that supervisors know from Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Ended as asked.
    ExecutionFinished = 0,
    /// Something that should not happen.
    UnexpectedError = 1,
    /// Wrong arguments or a wrong configuration.
    InvalidInvocation = 2,
    /// The data directory cannot be used.
    UnableToAccessDatadir = 3,
    /// The admin server does not start.
    ErrorStartingAdminServer = 4,
    /// A snapshot cannot be taken.
    TxnlogErrorTakingSnapshot = 10,
    /// A commit that is not the next proposal.
    UnmatchedTxnCommit = 12,
    /// A packet between servers that cannot be.
    QuorumPacketError = 13,
    /// The quorum or election port cannot be bound.
    UnableToBindQuorumPort = 14,
    /// The shell was given a command that it does not know (Java: CommandNotFoundException).
    CommandNotFound = 127,
}

impl ExitCode {
    /// The number for the operating system.
    #[must_use]
    pub const fn value(self) -> i32 {
        self as i32
    }
}
