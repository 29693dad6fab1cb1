//! `QuorumPeerMain`: the server's main class (Java: server/quorum/QuorumPeerMain.java).
//!
//! Reads the configuration and falls back to a standalone server, as Java does.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{error, info, warn};

use super::flexible::create_quorum_verifier::from_members;
use super::quorum_peer::run::PeerStartError;
use super::quorum_peer::{QuorumPeer, QuorumPeerParts};
use super::quorum_peer_config::QuorumPeerConfig;
use super::quorum_peer_settings::QuorumPeerSettings;
use crate::audit::zk_audit_provider::ZKAuditProvider;
use crate::common::config_exception::ConfigError;
use crate::common::time::SystemClock;
use crate::common::zk_config::SystemProperties;
use crate::environment;
use crate::logging::LogContext;
use crate::metrics::impls::metrics_provider_bootstrap;
use crate::server::admin::admin_server_factory::create_admin_server;
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::authentication_helper::AuthenticationHelper;
use crate::server::datadir_cleanup_manager::{DatadirCleanupManager, PurgeTaskStatus};
use crate::server::descriptor_reserve;
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::FileTxnSnapLogConfig;
use crate::server::server_config::ServerConfig;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_settings::ServerSettings;
use crate::server::server_stats::ServerStats;
use crate::server::zk_database::{DatabaseReports, ZKDatabase};
use crate::server::zookeeper_server_main::{self, StartError};
use crate::zookeeper_banner;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

const USAGE: &str = "Usage: zookeeper server configfile | port datadir [ticktime] [maxcnxns]";

/// The logger for the startup messages of a server.
const SERVER_LOG: &str = "org.apache.zookeeper.server.ZooKeeperServer";

/// Runs a server with these arguments until it is asked to stop. `started` receives the channel for that request. If
/// there is a server id, log lines carry it as `myid`.
pub fn main(
    args: &[String],
    mut properties: SystemProperties,
    log_context: &LogContext,
    err: &mut dyn Write,
    started: impl FnOnce(Sender<ExitCode>),
) -> ExitCode {
    match read_config(args, &mut properties, log_context) {
        Ok((member, config, mut purge)) => {
            if let Err(error) = purge.start() {
                error!(target: LOG, "cannot start the purge task: {error}");
                return ExitCode::UnexpectedError;
            }
            let exit_code = match member {
                Some(member) => {
                    print_start();
                    run_from_config(&member, &config, &properties, started)
                }
                None => {
                    warn!(
                        target: LOG,
                        "Either no config or no quorum defined in config, running in standalone mode"
                    );
                    print_start();
                    zookeeper_server_main::run_from_config(&config, &properties, started)
                }
            };
            if purge.purge_task_status() == PurgeTaskStatus::Started {
                purge.shutdown();
            }
            exit_code
        }
        Err(problem) => {
            error!(target: LOG, "Invalid config, exiting abnormally: {problem}");
            info!(target: LOG, "{USAGE}");
            // If standard error is gone, there is nobody left to tell.
            let _gone = writeln!(err, "Invalid config, exiting abnormally: {problem}\n{USAGE}");
            ExitCode::InvalidInvocation
        }
    }
}

fn print_start() {
    zookeeper_banner::print_banner(SERVER_LOG);
    environment::log_env("Server environment:", SERVER_LOG);
    descriptor_reserve::raise_file_limit();
}

/// The settings of a member if the server is one, the settings of the server, and the purge task for its directories.
fn read_config(
    args: &[String],
    properties: &mut SystemProperties,
    log_context: &LogContext,
) -> Result<(Option<QuorumPeerConfig>, ServerConfig, DatadirCleanupManager), ConfigError> {
    let parsed = match args {
        [file] => {
            let parsed = QuorumPeerConfig::parse(Path::new(file), properties)?;
            if let Some(myid) = parsed.server_id {
                log_context.set_myid(myid);
            }
            Some(parsed)
        }
        _ => None,
    };
    let from_file = parsed.as_ref();
    let settings = from_file.map_or_else(|| Cow::Owned(QuorumPeerConfig::default()), Cow::Borrowed);
    settings.check_supported(properties)?;
    settings.warn_of_what_has_no_effect(properties);
    settings.backup_old_config()?;
    let config = match &parsed {
        Some(parsed) => parsed.server_config(),
        None => ServerConfig::parse_args(args)?,
    };
    // Without a file nothing is purged, because the default interval is off.
    let parsed = parsed.unwrap_or_default();
    let purge = DatadirCleanupManager::new(
        &config.data_dir,
        &config.data_log_dir,
        usize::try_from(parsed.snap_retain_count).unwrap_or_default(),
        parsed.purge_interval_hours,
        FileTxnSnapLogConfig::from_properties(properties),
    );
    Ok((parsed.is_distributed().then_some(parsed), config, purge))
}

/// A running member of an ensemble.
struct Member {
    peer: Arc<QuorumPeer>,
    audit: Arc<ZKAuditProvider>,
    stop: Receiver<ExitCode>,
}

/// Runs a member until it is asked to stop (Java: runFromConfig).
fn run_from_config(
    config: &QuorumPeerConfig,
    server_config: &ServerConfig,
    properties: &SystemProperties,
    started: impl FnOnce(Sender<ExitCode>),
) -> ExitCode {
    let stop = bounded(1);
    let result = metrics_provider_bootstrap::start_metrics_provider(
        &config.metrics_provider_class_name,
        &config.metrics_provider_configuration,
    )
    .map_err(|problem| MemberError::Server(problem.into()))
    .and_then(|provider| {
        let metrics = Arc::new(ServerMetrics::new(Arc::clone(&provider)));
        let member = start_member(config, server_config, properties, &metrics, stop.clone());
        match member {
            Ok(member) => Ok((member, provider)),
            Err(problem) => {
                provider.stop();
                Err(problem)
            }
        }
    });
    match result {
        Ok((member, provider)) => {
            started(stop.0);
            // The peer keeps a sender, so the channel stays connected.
            let exit_code = member.stop.recv().unwrap_or(ExitCode::ExecutionFinished);
            member.audit.add_zk_stop_audit_log();
            member.peer.shutdown();
            provider.stop();
            match exit_code {
                ExitCode::ExecutionFinished => info!(target: LOG, "Exiting normally"),
                other => warn!(target: LOG, "Exiting with error code {}", other.value()),
            }
            exit_code
        }
        Err(problem) => {
            error!(target: LOG, "Unexpected exception, exiting abnormally: {problem}");
            if let Ok(audit) = ZKAuditProvider::from_properties(properties) {
                audit.add_server_start_failure_audit_log();
            }
            match problem {
                MemberError::Server(problem) => problem.exit_code(),
                MemberError::Peer(_) => ExitCode::UnexpectedError,
                MemberError::Config(_) => ExitCode::InvalidInvocation,
            }
        }
    }
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
enum MemberError {
    /// For a reason that any server may have.
    #[error(transparent)]
    Server(#[from] StartError),
    /// For a reason that only a member may have.
    #[error(transparent)]
    Peer(#[from] PeerStartError),
    /// The server id is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn start_member(
    config: &QuorumPeerConfig,
    server_config: &ServerConfig,
    properties: &SystemProperties,
    metrics: &Arc<ServerMetrics>,
    stop: (Sender<ExitCode>, Receiver<ExitCode>),
) -> Result<Member, MemberError> {
    let my_id = config.my_id(properties)?;
    info!(target: LOG, "Starting quorum peer, myid={my_id}");
    let clock = SystemClock::shared();
    let server_settings = ServerSettings::new(server_config, properties);
    let server = |problem: StartError| MemberError::Server(problem);
    let audit =
        Arc::new(ZKAuditProvider::from_properties(properties).map_err(|e| server(e.into()))?);
    let providers = ProviderRegistry::from_properties(properties, &clock);
    let providers = Arc::new(providers.map_err(|problem| server(problem.into()))?);
    let authentication = AuthenticationHelper::from_properties(properties, &providers);
    let authentication = authentication.map_err(|problem| server(problem.into()))?;
    let stats = Arc::new(ServerStats::new(Arc::clone(metrics), Arc::clone(&clock)));
    let cnxn_factory = zookeeper_server_main::bind(server_config, properties, &clock)?;
    let reports = DatabaseReports {
        clock: Arc::clone(&clock),
        metrics: Arc::clone(metrics),
        stats: Arc::clone(&stats),
        audit: Arc::clone(&audit),
    };
    let (log_dir, snap_dir) = (&config.data_log_dir, &config.data_dir);
    let database = ZKDatabase::open(log_dir, snap_dir, properties, &server_settings, &reports);
    let database = database.map_err(|problem| server(problem.into()))?;
    let admin_server = create_admin_server(properties, Arc::clone(metrics), Arc::clone(&clock));
    let oracle = config.oracle_path.as_deref();
    let peer = QuorumPeer::new(QuorumPeerParts {
        my_id,
        settings: QuorumPeerSettings::new(config, properties),
        server_settings,
        properties: properties.clone(),
        clock,
        database: Arc::new(database.with_committed_log(properties)),
        stats,
        metrics: Arc::clone(metrics),
        audit: Arc::clone(&audit),
        providers,
        authentication,
        cnxn_factory,
        admin_server: admin_server.map_err(|problem| server(problem.into()))?,
        learner_type: config.peer_type,
        verifier: from_members(config.quorum_members.clone(), oracle),
        last_seen_verifier: config
            .last_seen_quorum_members
            .clone()
            .map(|members| from_members(members, None)),
        stop: stop.0,
    });
    peer.start()?;
    audit.add_zk_start_audit_log();
    Ok(Member { peer, audit, stop: stop.1 })
}
