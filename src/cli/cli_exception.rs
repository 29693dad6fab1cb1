//! Why a command failed (Java: cli/CliException.java and the classes beside it).

use crate::client_cnxn::ClientError;
use crate::keeper_exception::KeeperError;
use crate::server::exit_code::ExitCode;
use crate::zookeeper::MultiError;

/// The error of a command: the message for the user, and the exit code of the shell if this was its last command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The message.
    pub message: String,
    /// The exit code of the shell.
    pub exit_code: ExitCode,
    /// The server's error code, if the server refused a request.
    pub keeper_error: Option<KeeperError>,
}

impl CliError {
    /// An error with that text.
    pub fn new(message: impl Into<String>) -> Self {
        let exit_code = ExitCode::UnexpectedError;
        Self { message: message.into(), exit_code, keeper_error: None }
    }

    /// The command does not exist (Java: CommandNotFoundException, which says so twice).
    #[must_use]
    pub fn command_not_found(command: &str) -> Self {
        let message = format!("Command not found: Command not found {command}");
        Self { exit_code: ExitCode::CommandNotFound, ..Self::new(message) }
    }
}

/// The error for a text that is not a number, in the words of Java's parseInt.
#[must_use]
pub(crate) fn not_a_number(text: &str) -> CliError {
    CliError::new(format!("For input string: \"{text}\""))
}

/// Java: CliWrapperException, and MalformedPathException.
impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self { keeper_error: error.keeper_error(), ..Self::new(words_of(&error)) }
    }
}

/// Java: CliWrapperException.getMessage.
fn words_of(error: &ClientError) -> String {
    let ClientError::Keeper { error: code, path } = error else { return error.to_string() };
    let words = match code {
        KeeperError::NoNode => "Node does not exist: ",
        KeeperError::NoChildrenForEphemerals => "Ephemerals cannot have children: ",
        KeeperError::NodeExists => "Node already exists: ",
        KeeperError::NotEmpty => "Node not empty: ",
        KeeperError::NotReadOnly => "Not a read-only call: ",
        KeeperError::InvalidAcl => "Acl is not valid : ",
        KeeperError::NoAuth => "Insufficient permission : ",
        KeeperError::BadArguments => "Arguments are not valid : ",
        KeeperError::BadVersion => "version No is not valid : ",
        KeeperError::QuotaExceeded => "Quota has exceeded : ",
        KeeperError::ReconfigInProgress => return RECONFIG_IN_PROGRESS.into(),
        KeeperError::NewConfigNoQuorum => return NEW_CONFIG_NO_QUORUM.into(),
        _ => return error.to_string(),
    };
    format!("{words}{}", path.as_deref().unwrap_or("null"))
}

const RECONFIG_IN_PROGRESS: &str =
    "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)";

const NEW_CONFIG_NO_QUORUM: &str = "No quorum of new config is connected and up-to-date with the \
                                    leader of last commmitted config - try invoking \
                                    reconfiguration after new servers are connected and synced";

impl From<MultiError> for CliError {
    fn from(error: MultiError) -> Self {
        match error {
            MultiError::Request(error) | MultiError::Part { error, .. } => error.into(),
            MultiError::MixedKinds(error) => Self::new(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_server_are_told_in_javas_words() {
        let message = |error, path: Option<&str>| {
            let path = path.map(str::to_owned);
            CliError::from(ClientError::Keeper { error, path }).message
        };
        for (error, path, text) in [
            (KeeperError::NoNode, Some("/a"), "Node does not exist: /a"),
            (KeeperError::InvalidAcl, None, "Acl is not valid : null"),
            (KeeperError::BadVersion, Some("/a"), "version No is not valid : /a"),
            (KeeperError::ReconfigDisabled, None, "KeeperErrorCode = Reconfig is disabled"),
            (KeeperError::NoWatcher, Some("/w"), "KeeperErrorCode = No such watcher for /w"),
        ] {
            assert_eq!(message(error, path), text);
        }
        assert_eq!(CliError::command_not_found("foo").exit_code.value(), 127);
    }
}
