//! `QuorumPeerMain`: the server's main class (Java: server/quorum/QuorumPeerMain.java).
//!
//! Reads the configuration and falls back to a server without an ensemble, as Java does.

use std::io::Write;
use std::path::Path;

use crossbeam::channel::Sender;
use log::{error, info, warn};

use super::quorum_peer_config::QuorumPeerConfig;
use crate::common::config_exception::ConfigError;
use crate::common::zk_config::SystemProperties;
use crate::environment;
use crate::logging::LogContext;
use crate::server::datadir_cleanup_manager::{DatadirCleanupManager, PurgeTaskStatus};
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::FileTxnSnapLogConfig;
use crate::server::server_config::ServerConfig;
use crate::server::zookeeper_server_main;
use crate::zookeeper_banner;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

const USAGE: &str = "Usage: zookeeper server configfile | port datadir [ticktime] [maxcnxns]";

/// The logger of what a server says of itself at start.
const SERVER_LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// Runs a server with these arguments until somebody wants it to stop. `started` is told how to ask
/// for that; the lines of the log carry the id in `myid`, if there is one.
pub fn main(
    args: &[String],
    mut properties: SystemProperties,
    log_context: &LogContext,
    err: &mut dyn Write,
    started: impl FnOnce(Sender<ExitCode>),
) -> ExitCode {
    match read_config(args, &mut properties, log_context) {
        Ok((config, mut purge)) => {
            if let Err(error) = purge.start() {
                error!(target: LOG, "cannot start the purge task: {error}");
                return ExitCode::UnexpectedError;
            }
            warn!(
                target: LOG,
                "Either no config or no quorum defined in config, running in standalone mode"
            );
            zookeeper_banner::print_banner(SERVER_LOG);
            environment::log_env("Server environment:", SERVER_LOG);
            let exit_code = zookeeper_server_main::run_from_config(&config, &properties, started);
            if purge.purge_task_status() == PurgeTaskStatus::Started {
                purge.shutdown();
            }
            exit_code
        }
        Err(problem) => {
            error!(target: LOG, "Invalid config, exiting abnormally: {problem}");
            info!(target: LOG, "{USAGE}");
            // Nobody is left to be told when standard error is gone.
            let _gone = writeln!(err, "Invalid config, exiting abnormally: {problem}\n{USAGE}");
            ExitCode::InvalidInvocation
        }
    }
}

/// The settings of the server, and who purges its directories.
fn read_config(
    args: &[String],
    properties: &mut SystemProperties,
    log_context: &LogContext,
) -> Result<(ServerConfig, DatadirCleanupManager), ConfigError> {
    let parsed = match args {
        [file] => {
            let parsed = QuorumPeerConfig::parse(Path::new(file), properties)?;
            if let Some(myid) = parsed.server_id {
                log_context.set_myid(myid);
            }
            parsed.check_supported(properties)?;
            parsed.warn_of_what_has_no_effect();
            Some(parsed)
        }
        _ => None,
    };
    let config = match &parsed {
        Some(parsed) => parsed.server_config(),
        None => ServerConfig::parse_args(args)?,
    };
    // Without a file nothing is purged: the default is no interval.
    let parsed = parsed.unwrap_or_default();
    let purge = DatadirCleanupManager::new(
        &config.data_dir,
        &config.data_log_dir,
        usize::try_from(parsed.snap_retain_count).unwrap_or_default(),
        parsed.purge_interval_hours,
        FileTxnSnapLogConfig::from_properties(properties),
    );
    Ok((config, purge))
}
