//! `ZooKeeperServerMain`: starts, runs and stops a server without an ensemble (Java:
//! server/ZooKeeperServerMain.java).
//!
//! Threads: none of its own; [`StandaloneServer::shutdown`] ends those of all its parts.

use std::io;
use std::sync::{Arc, Weak};

use crossbeam::channel::{Receiver, Sender, bounded};
use log::{error, info, warn};

use super::admin::admin_context::AdminContext;
use super::admin::admin_server::{AdminServer, AdminServerError};
use super::admin::admin_server_factory::create_admin_server;
use super::auth::provider_registry::{AuthConfigError, ProviderRegistry};
use super::authentication_helper::AuthenticationHelper;
use super::command::command_executor::CommandExecutor;
use super::command::four_letter_commands::FourLetterCommands;
use super::container_manager::{ContainerManager, ContainerManagerConfig};
use super::exit_code::ExitCode;
use super::final_request_processor::FinalRequestProcessor;
use super::nio_server_cnxn_factory::{CnxnFactoryConfig, NIOServerCnxnFactory};
use super::prep_request_processor::PrepRequestProcessor;
use super::request_processor::RequestProcessor;
use super::server_cnxn_factory::ServerCnxnFactory;
use super::server_config::ServerConfig;
use super::server_metrics::ServerMetrics;
use super::server_role::Standalone;
use super::server_settings::ServerSettings;
use super::server_stats::ServerStats;
use super::session_tracker::SessionExpirer;
use super::session_tracker_impl::SessionTrackerImpl;
use super::sync_request_processor::SyncRequestProcessor;
use super::util::request_path_metrics_collector::{PathStatsConfig, RequestPathMetricsCollector};
use super::zk_database::{DatabaseError, DatabaseReports, ZKDatabase};
use super::zookeeper_server::access::{AccessConfig, AccessControl};
use super::zookeeper_server::snapshots::LoadError;
use super::zookeeper_server::{ServerParts, State, ZooKeeperServer};
use super::zookeeper_server_listener::ZooKeeperServerListener;
use crate::audit::zk_audit_provider::{UnknownAuditLogger, ZKAuditProvider};
use crate::common::config_exception::ConfigError;
use crate::common::time::{Clock, SystemClock};
use crate::common::zk_config::SystemProperties;
use crate::ids::Sid;
use crate::metrics::impls::metrics_provider_bootstrap;
use crate::metrics::metrics_provider::{MetricsProvider, MetricsProviderLifeCycleError};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ZooKeeperServerMain";

/// The server id in session ids of a server without an ensemble (Java: createSessionTrackerServerId).
const SESSION_TRACKER_SERVER_ID: Sid = Sid(1);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting of authentication is wrong.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// The metrics cannot be collected.
    #[error("Cannot boot MetricsProvider: {0}")]
    Metrics(#[from] MetricsProviderLifeCycleError),
    /// The data cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The configured audit logger is unknown.
    #[error(transparent)]
    Audit(#[from] UnknownAuditLogger),
    /// The AdminServer cannot start. It is a part of the server: as in Java, the server does not start
    /// without it unless it is switched off.
    #[error(transparent)]
    AdminServer(#[from] AdminServerError),
    /// The client port cannot be used.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address to listen on.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The system lacks a resource for the server, such as a thread.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

impl StartError {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Database(DatabaseError::Datadir(_)) => ExitCode::UnableToAccessDatadir,
            Self::AdminServer(_) => ExitCode::ErrorStartingAdminServer,
            Self::Config(_) | Self::Auth(_) | Self::Database(_) | Self::Audit(_) => {
                ExitCode::InvalidInvocation
            }
            Self::Metrics(_) | Self::Load(_) | Self::Bind { .. } | Self::Io(_) => {
                ExitCode::UnexpectedError
            }
        }
    }
}

/// Ends the process when a critical thread fails (Java: ZooKeeperServerListenerImpl,
/// ZooKeeperServerShutdownHandler).
struct StopOnFailure {
    server: std::sync::OnceLock<Weak<ZooKeeperServer>>,
    stop: Sender<ExitCode>,
}

impl ZooKeeperServerListener for StopOnFailure {
    fn notify_stopping(&self, thread_name: &str, exit_code: ExitCode) {
        info!(target: LOG, "Thread {thread_name} exits, error code {}", exit_code.value());
        if let Some(server) = self.server.get().and_then(Weak::upgrade) {
            server.server_metrics().unrecoverable_error_count.add(1);
            server.set_state(State::Error);
        }
        // If the channel is full, somebody has asked for the end before.
        let _asked_before = self.stop.try_send(exit_code);
    }
}

/// A running server without an ensemble.
pub struct StandaloneServer {
    server: Arc<ZooKeeperServer>,
    cnxn_factory: Option<Arc<NIOServerCnxnFactory>>,
    container_manager: ContainerManager,
    admin_server: Arc<dyn AdminServer>,
    metrics_provider: Arc<dyn MetricsProvider>,
    stop: (Sender<ExitCode>, Receiver<ExitCode>),
}

impl StandaloneServer {
    /// Starts a server (Java: runFromConfig). When this returns, the server serves clients.
    ///
    /// # Errors
    /// The reason why the server cannot serve; nothing is left running then.
    pub fn start(config: &ServerConfig, properties: &SystemProperties) -> Result<Self, StartError> {
        info!(target: LOG, "Starting server");
        let metrics_provider = metrics_provider_bootstrap::start_metrics_provider(
            &config.metrics_provider_class_name,
            &config.metrics_provider_configuration,
        )?;
        Self::start_with(config, properties, Arc::clone(&metrics_provider))
            .inspect_err(|_| metrics_provider.stop())
    }

    fn start_with(
        config: &ServerConfig,
        properties: &SystemProperties,
        metrics_provider: Arc<dyn MetricsProvider>,
    ) -> Result<Self, StartError> {
        let clock = SystemClock::shared();
        let stop = bounded(1);
        let metrics = Arc::new(ServerMetrics::new(Arc::clone(&metrics_provider)));
        let audit = Arc::new(ZKAuditProvider::from_properties(properties)?);
        let listener =
            Arc::new(StopOnFailure { server: std::sync::OnceLock::new(), stop: stop.0.clone() });
        let server = new_server(config, properties, &clock, &metrics, &audit, listener.clone())?;
        // This is the first and only call.
        let _is_first = listener.server.set(Arc::downgrade(&server));
        let admin_server = start_admin_server(&server, properties, &metrics, &clock)?;
        let cnxn_factory = start_cnxn_factory(config, properties, &clock, &server)
            .inspect_err(|_| admin_server.shutdown())?;
        let container_manager = ContainerManager::new(
            ContainerManagerConfig::from_properties(properties),
            Arc::clone(&server) as _,
            clock,
        );
        if let Err(problem) = container_manager.start() {
            // As in Java, the server serves without it.
            error!(target: LOG, "containers and TTL nodes will not be deleted: {problem}");
        }
        audit.add_zk_start_audit_log();
        Ok(Self { server, cnxn_factory, container_manager, admin_server, metrics_provider, stop })
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Arc<ZooKeeperServer> {
        &self.server
    }

    /// The port for clients; 0 if there is none.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.cnxn_factory.as_ref().map_or(0, |factory| factory.local_port())
    }

    /// Sending to this channel asks the server to stop.
    #[must_use]
    pub fn stop_sender(&self) -> Sender<ExitCode> {
        self.stop.0.clone()
    }

    /// Waits until somebody asks the server to stop, or until it has failed.
    #[must_use]
    pub fn wait(&self) -> ExitCode {
        // The server keeps a sender, so the channel never disconnects.
        self.stop.1.recv().unwrap_or(ExitCode::ExecutionFinished)
    }

    /// Stops everything, including all threads.
    pub fn shutdown(self) {
        self.server.audit().add_zk_stop_audit_log();
        self.container_manager.stop();
        if let Some(factory) = &self.cnxn_factory {
            factory.shutdown();
        }
        self.admin_server.shutdown();
        self.server.shutdown();
        self.metrics_provider.stop();
    }
}

/// Creates the server and its parts.
fn new_server(
    config: &ServerConfig,
    properties: &SystemProperties,
    clock: &Clock,
    metrics: &Arc<ServerMetrics>,
    audit: &Arc<ZKAuditProvider>,
    listener: Arc<StopOnFailure>,
) -> Result<Arc<ZooKeeperServer>, StartError> {
    let settings = ServerSettings::new(config, properties);
    let providers = Arc::new(ProviderRegistry::from_properties(properties, clock)?);
    let authentication = AuthenticationHelper::from_properties(properties, &providers)?;
    let stats = Arc::new(ServerStats::new(Arc::clone(metrics), Arc::clone(clock)));
    let reports = DatabaseReports {
        clock: Arc::clone(clock),
        metrics: Arc::clone(metrics),
        stats: Arc::clone(&stats),
        audit: Arc::clone(audit),
    };
    let database =
        ZKDatabase::open(&config.data_log_dir, &config.data_dir, properties, &settings, &reports)?;
    Ok(ZooKeeperServer::new(ServerParts {
        settings,
        role: Arc::new(Standalone),
        clock: Arc::clone(clock),
        listener,
        database: Arc::new(database),
        stats,
        metrics: Arc::clone(metrics),
        access: AccessControl::new(AccessConfig::from_properties(properties), providers),
        authentication,
        audit: Arc::clone(audit),
        path_stats: RequestPathMetricsCollector::new(PathStatsConfig::from_properties(properties)),
    }))
}

/// Starts the AdminServer. As in Java, it answers before there are clients.
fn start_admin_server(
    server: &Arc<ZooKeeperServer>,
    properties: &SystemProperties,
    metrics: &Arc<ServerMetrics>,
    clock: &Clock,
) -> Result<Arc<dyn AdminServer>, AdminServerError> {
    let admin_server = create_admin_server(properties, Arc::clone(metrics), Arc::clone(clock))?;
    let context: Arc<dyn AdminContext> = Arc::clone(server) as _;
    admin_server.set_zookeeper_server(Some(Arc::downgrade(&context)));
    admin_server.start()?;
    Ok(admin_server)
}

/// Opens the client port and starts the server behind it. If the server does not start, the port is closed again.
fn start_cnxn_factory(
    config: &ServerConfig,
    properties: &SystemProperties,
    clock: &Clock,
    server: &Arc<ZooKeeperServer>,
) -> Result<Option<Arc<NIOServerCnxnFactory>>, StartError> {
    let cnxn_factory = bind(config, properties, clock)?;
    if let Some(factory) = &cnxn_factory {
        factory.start(&server.listener())?;
        factory.set_zookeeper_server(Some(Arc::clone(server)));
    }
    let started = start_serving(server, properties);
    if let (Err(_), Some(factory)) = (&started, &cnxn_factory) {
        factory.shutdown();
    }
    started.map(|()| cnxn_factory)
}

/// Binds the client port; clients are accepted later. None if no port is configured.
pub(super) fn bind(
    config: &ServerConfig,
    properties: &SystemProperties,
    clock: &Clock,
) -> Result<Option<Arc<NIOServerCnxnFactory>>, StartError> {
    let Some(address) = &config.client_port_address else { return Ok(None) };
    let failed = |source| StartError::Bind { address: address.to_string(), source };
    let resolved = address.bind_address(properties.bool("java.net.preferIPv4Stack"));
    let resolved = resolved.ok_or_else(|| {
        failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    })?;
    let config = CnxnFactoryConfig::new(
        resolved,
        config.max_client_cnxns,
        config.listen_backlog,
        properties,
    );
    config.check().map_err(StartError::Io)?;
    let words = FourLetterCommands::from_properties(properties);
    let words = CommandExecutor::new(words);
    NIOServerCnxnFactory::new(config, words, Arc::clone(clock)).map(Some).map_err(failed)
}

/// Loads the data and starts the processors: Prep > Sync > Final (Java: startdata, startup).
fn start_serving(
    server: &Arc<ZooKeeperServer>,
    properties: &SystemProperties,
) -> Result<(), StartError> {
    server.load_data()?;
    let expirer: Weak<dyn SessionExpirer> = Arc::downgrade(server) as _;
    let session_tracker = Arc::new(SessionTrackerImpl::new(
        expirer,
        server.zk_database().sessions_with_timeouts(),
        server.settings().tick_time_ms,
        SESSION_TRACKER_SERVER_ID,
        Arc::clone(server.clock()),
        Arc::clone(server.shared_metrics()),
    ));
    let final_processor = Arc::new(FinalRequestProcessor::new(server));
    let log = server.zk_database().appender(server.settings().snap);
    let sync = SyncRequestProcessor::start(server, log, Some(final_processor))?;
    let prep: Arc<dyn RequestProcessor> =
        PrepRequestProcessor::start(server, Arc::clone(&sync) as _)
            .inspect_err(|_| sync.shutdown())?;
    server.start_request_throttler(properties).inspect_err(|_| prep.shutdown())?;
    server.startup(session_tracker.clone(), prep);
    session_tracker.start(server.listener()).inspect_err(|_| server.shutdown())?;
    if server.is_snapshot_due_after_start() {
        sync.start_snapshot(server);
    }
    Ok(())
}

/// Runs a server until somebody asks it to stop. `started` gets the channel for that.
pub(crate) fn run_from_config(
    config: &ServerConfig,
    properties: &SystemProperties,
    started: impl FnOnce(Sender<ExitCode>),
) -> ExitCode {
    match StandaloneServer::start(config, properties) {
        Ok(server) => {
            started(server.stop_sender());
            let exit_code = server.wait();
            server.shutdown();
            match exit_code {
                ExitCode::ExecutionFinished => info!(target: LOG, "Exiting normally"),
                other => warn!(target: LOG, "Exiting with error code {}", other.value()),
            }
            exit_code
        }
        Err(problem) => {
            error!(target: LOG, "{}, exiting abnormally: {problem}", abnormally(&problem));
            // The problem may be the audit log itself.
            if let Ok(audit) = ZKAuditProvider::from_properties(properties) {
                audit.add_server_start_failure_audit_log();
            }
            problem.exit_code()
        }
    }
}

/// Java's words for the problem, which operators search for.
const fn abnormally(problem: &StartError) -> &'static str {
    match problem {
        StartError::Config(_) | StartError::Auth(_) => "Invalid config",
        StartError::Database(DatabaseError::Datadir(_)) => "Unable to access datadir",
        StartError::AdminServer(_) => "Unable to start AdminServer",
        _ => "Unexpected exception",
    }
}
