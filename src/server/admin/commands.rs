//! The admin commands, their table and the check of who may run them (Java: server/admin/Commands.java, Command.java,
//! CommandBase.java, GetCommand.java, PostCommand.java).
//!
//! Each AdminServer has its own `Commands`; Java has one table for the process. The files beside this one
//! implement the commands. A request with the wrong method is answered with 405; Java fails with 500.

mod contents;
mod ensemble;
mod settings;
mod snapshots;
mod statistics;

use std::io::Read;
use std::sync::Arc;

use log::warn;

use super::admin_context::AdminContext;
use super::auth_request::AuthRequest;
use super::command_response::CommandResponse;
use super::http_message::Status;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::data::Id;
use crate::keeper_exception::KeeperError;
use crate::server::auth::authentication_provider::HttpAuthRequest;
use crate::server::command::abstract_four_letter_command::ZK_NOT_SERVING;
use crate::server::server_metrics::ServerMetrics;
use crate::server::util::rate_limiter::RateLimiter;
use crate::zoo_defs::perms;

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.admin.Commands";

/// The arguments of a command: names and values from the query of the request.
pub(crate) type Kwargs = [(String, String)];

/// The function that runs a command.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Handles GET, with or without a server.
    Get(fn(&Commands, Option<&dyn AdminContext>, &Kwargs, &mut CommandResponse)),
    /// Handles GET; requires a running server.
    GetServing(fn(&Commands, &dyn AdminContext, &Kwargs, &mut CommandResponse)),
    /// Handles POST with a body; requires a running server.
    PostServing(fn(&Commands, &dyn AdminContext, &mut dyn Read, &mut CommandResponse)),
}

/// A command of the AdminServer.
#[derive(Clone, Copy)]
pub(crate) struct Command {
    /// The command's names. Answers and the list of commands show the first one.
    pub names: &'static [&'static str],
    /// The permission that the command requires, if any.
    pub auth_request: Option<AuthRequest>,
    /// The function that runs it.
    pub run: Run,
}

impl Command {
    /// The name in answers and in the list of commands (Java: getPrimaryName).
    #[must_use]
    pub(crate) const fn primary_name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether the command requires a running server (Java: isServerRequired).
    #[must_use]
    pub(crate) const fn is_server_required(&self) -> bool {
        !matches!(self.run, Run::Get(_))
    }
}

/// Snapshots may be taken and restored, and an observer may be moved, by users with all permissions on the root.
const ALL_ON_ROOT: AuthRequest = AuthRequest { permission: perms::ALL, path: "/" };

const fn get(
    names: &'static [&'static str],
    run: fn(&Commands, Option<&dyn AdminContext>, &Kwargs, &mut CommandResponse),
) -> Command {
    Command { names, auth_request: None, run: Run::Get(run) }
}

const fn serving(
    names: &'static [&'static str],
    run: fn(&Commands, &dyn AdminContext, &Kwargs, &mut CommandResponse),
) -> Command {
    Command { names, auth_request: None, run: Run::GetServing(run) }
}

/// All admin commands.
pub(crate) const COMMANDS: [Command; 29] = [
    serving(&["connection_stat_reset", "crst"], statistics::reset_connections),
    serving(&["configuration", "conf", "config"], settings::configuration),
    serving(&["connections", "cons"], statistics::connections),
    serving(&["hash"], contents::digests),
    serving(&["dirs"], contents::dirs),
    serving(&["dump"], contents::dump),
    get(&["environment", "env", "envi"], settings::environment),
    get(&["get_trace_mask", "gtmk"], settings::get_trace_mask),
    serving(&["initial_configuration", "icfg"], settings::initial_configuration),
    serving(&["is_read_only", "isro"], ensemble::is_read_only),
    serving(&["last_snapshot", "lsnp"], contents::last_snapshot),
    serving(&["leader", "lead"], ensemble::leader),
    Command {
        names: &["learner_master", "lmst"],
        auth_request: Some(ALL_ON_ROOT),
        run: Run::GetServing(ensemble::learner_master),
    },
    get(&["monitor", "mntr"], statistics::monitor),
    serving(&["observer_connection_stat_reset", "orst"], ensemble::reset_observers),
    Command {
        names: &["restore", "rest"],
        auth_request: Some(ALL_ON_ROOT),
        run: Run::PostServing(snapshots::restore),
    },
    serving(&["ruok"], ensemble::are_you_ok),
    get(&["set_trace_mask", "stmk"], settings::set_trace_mask),
    Command {
        names: &["snapshot", "snap"],
        auth_request: Some(ALL_ON_ROOT),
        run: Run::GetServing(snapshots::snapshot),
    },
    serving(&["server_stats", "srvr"], statistics::server),
    serving(&["stats", "stat"], statistics::server_and_connections),
    serving(&["stat_reset", "srst"], statistics::reset),
    serving(&["observers", "obsr"], ensemble::observers),
    get(&["system_properties", "sysp"], settings::system_properties),
    serving(&["voting_view"], ensemble::voting_view),
    serving(&["watches", "wchc"], contents::watches),
    serving(&["watches_by_path", "wchp"], contents::watches_by_path),
    serving(&["watch_summary", "wchs"], contents::watch_summary),
    get(&["zabstate"], ensemble::zab_state),
];

/// The settings of the admin commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminCommandsConfig {
    /// Whether `snapshot` is allowed.
    pub snapshot_enabled: bool,
    /// Whether `restore` is allowed.
    pub restore_enabled: bool,
    /// The minimum time between two `snapshot` commands. The setting is documented in ms, but Java uses it as
    /// microseconds for this command. This server does the same to stay compatible.
    pub rate_limiter_interval_ms: i64,
}

impl Default for AdminCommandsConfig {
    fn default() -> Self {
        Self { snapshot_enabled: true, restore_enabled: true, rate_limiter_interval_ms: 300_000 }
    }
}

impl AdminCommandsConfig {
    /// The settings with Java's defaults.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let default = Self::default();
        let interval = properties
            .number_or("zookeeper.admin.rateLimiterIntervalInMS", default.rate_limiter_interval_ms);
        Self {
            snapshot_enabled: properties.bool_or("zookeeper.admin.snapshot.enabled", true),
            restore_enabled: properties.bool_or("zookeeper.admin.restore.enabled", true),
            rate_limiter_interval_ms: interval,
        }
    }
}

/// What the commands need besides the server.
pub(crate) struct CommandsParts {
    /// The settings.
    pub config: AdminCommandsConfig,
    /// The metrics that `monitor` shows.
    pub metrics: Arc<ServerMetrics>,
    /// The clock.
    pub clock: Clock,
    /// The properties that `system_properties` shows.
    pub properties: SystemProperties,
}

/// Runs commands.
pub(crate) struct Commands {
    parts: CommandsParts,
    snapshot_limiter: RateLimiter,
}

impl Commands {
    /// Creates the commands from their parts.
    #[must_use]
    pub(crate) fn new(parts: CommandsParts) -> Self {
        let interval_ms = parts.config.rate_limiter_interval_ms;
        Self {
            snapshot_limiter: RateLimiter::new(1, interval_ms / 1000, Arc::clone(&parts.clock)),
            parts,
        }
    }

    /// The commands' first names, sorted (Java: getPrimaryNames).
    #[must_use]
    pub(crate) fn primary_names() -> Vec<&'static str> {
        let mut names: Vec<_> = COMMANDS.iter().map(Command::primary_name).collect();
        names.sort_unstable();
        names
    }

    /// Finds a command by any of its names (Java: getCommand).
    #[must_use]
    pub(crate) fn command(name: &str) -> Option<&'static Command> {
        const COMMANDS_HERE: &[Command] = &COMMANDS;
        COMMANDS_HERE.iter().find(|command| command.names.contains(&name))
    }

    /// Whether the command's answer has a line for each watch, session or connection.
    #[must_use]
    pub(crate) fn may_be_long(name: &str) -> bool {
        let long = ["connections", "dump", "stats", "watches", "watches_by_path"];
        Self::command(name).is_some_and(|command| long.contains(&command.primary_name()))
    }

    /// Runs a command by GET. `auth_info` is the header `Authorization`; `request` holds what the
    /// authentication needs from the request.
    #[must_use]
    pub(crate) fn run_get_command(
        &self,
        name: &str,
        server: Option<&dyn AdminContext>,
        kwargs: &Kwargs,
        auth_info: Option<&str>,
        request: &HttpAuthRequest<'_>,
    ) -> CommandResponse {
        let (command, serving) = match check(name, server, auth_info, request) {
            Ok(checked) => checked,
            Err(response) => return *response,
        };
        let mut response = CommandResponse::new(command.primary_name());
        match (command.run, serving) {
            (Run::Get(run), _) => run(self, server, kwargs, &mut response),
            (Run::GetServing(run), Some(serving)) => run(self, serving, kwargs, &mut response),
            _ => return wrong_method(command, "the command is run by POST"),
        }
        response
    }

    /// Runs a command by POST with the body of the request.
    #[must_use]
    pub(crate) fn run_post_command(
        &self,
        name: &str,
        server: Option<&dyn AdminContext>,
        body: &mut dyn Read,
        auth_info: Option<&str>,
        request: &HttpAuthRequest<'_>,
    ) -> CommandResponse {
        let (command, serving) = match check(name, server, auth_info, request) {
            Ok(checked) => checked,
            Err(response) => return *response,
        };
        let mut response = CommandResponse::new(command.primary_name());
        match (command.run, serving) {
            (Run::PostServing(run), Some(serving)) => run(self, serving, body, &mut response),
            _ => return wrong_method(command, "the command is run by GET"),
        }
        response
    }
}

fn wrong_method(command: &Command, error: &str) -> CommandResponse {
    CommandResponse::error(command.primary_name(), error, Status::METHOD_NOT_ALLOWED)
}

/// Returns the command and the server if it is running, or the error response if the command may not be run.
fn check<'a>(
    name: &str,
    server: Option<&'a dyn AdminContext>,
    auth_info: Option<&str>,
    request: &HttpAuthRequest<'_>,
) -> Result<(&'static Command, Option<&'a dyn AdminContext>), Box<CommandResponse>> {
    let refused = |error: &str, status| Box::new(CommandResponse::error(name, error, status));
    let Some(command) = Commands::command(name) else {
        warn!(target: LOG, "Unknown command");
        return Err(refused(&format!("Unknown command: {name}"), Status::OK));
    };
    let serving = server.filter(|server| server.is_running());
    let Some(server) = serving else {
        if command.is_server_required() {
            warn!(target: LOG, "{ZK_NOT_SERVING} for command");
            return Err(refused(ZK_NOT_SERVING, Status::OK));
        }
        return Ok((command, None));
    };
    if let Some(auth_request) = command.auth_request {
        let Some(auth_info) = auth_info else {
            warn!(target: LOG, "Auth info is missing for command");
            return Err(refused("Auth info is missing for the command", Status::UNAUTHORIZED));
        };
        let authorized = authenticate(server, auth_info, request)
            .and_then(|ids| authorize(server, &ids, auth_request));
        match authorized {
            Ok(()) => {}
            Err(KeeperError::AuthFailed) => {
                return Err(refused("Not authenticated", Status::UNAUTHORIZED));
            }
            Err(KeeperError::NoAuth) => return Err(refused("Not authorized", Status::FORBIDDEN)),
            Err(error) => {
                warn!(target: LOG, "Error occurred during auth for command: {error:?}");
                let status = Status::INTERNAL_SERVER_ERROR;
                return Err(refused("Error occurred during auth", status));
            }
        }
    }
    Ok((command, serving))
}

/// The ids that the header value `scheme credentials` proves (Java: handleAuthentication).
fn authenticate(
    server: &dyn AdminContext,
    auth_info: &str,
    request: &HttpAuthRequest<'_>,
) -> Result<Vec<Id>, KeeperError> {
    // Like Java's split: empty parts count, except at the end.
    let parts: Vec<&str> = auth_info.trim_end_matches(' ').split(' ').collect();
    let (scheme, auth_data) = match parts[..] {
        [scheme] => (scheme, None),
        [scheme, data] => (scheme, Some(data.as_bytes())),
        _ => {
            warn!(target: LOG, "Invalid auth info length");
            return Err(KeeperError::AuthFailed);
        }
    };
    let Some(provider) = server.provider_registry().server_provider(scheme) else {
        warn!(target: LOG, "Auth provider not found for schema");
        return Err(KeeperError::AuthFailed);
    };
    let ids = provider.handle_http_authentication(request, auth_data)?;
    if ids.is_empty() {
        warn!(target: LOG, "Auth Id list is empty");
        return Err(KeeperError::AuthFailed);
    }
    Ok(ids)
}

/// Checks that the ids have each of the permissions (Java: handleAuthorization).
fn authorize(
    server: &dyn AdminContext,
    ids: &[Id],
    auth_request: AuthRequest,
) -> Result<(), KeeperError> {
    let AuthRequest { permission, path } = auth_request;
    let acl = server.node_acl(path).ok_or(KeeperError::NoNode)?;
    for perm in [perms::READ, perms::WRITE, perms::CREATE, perms::DELETE, perms::ADMIN] {
        if permission & perm != 0 {
            server.check_admin_acl(&acl, perm, ids, path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
