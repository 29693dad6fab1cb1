//! Serves admin commands over HTTP/1.1 (Java: server/admin/JettyAdminServer.java).
//!
//! Threads: the HTTP server's threads `AdminServer-...`. Locks: one around the reference to the server that the
//! commands operate on. It is never held while a command runs.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Weak};
use std::time::Duration;

use log::{info, warn};

use super::admin_context::AdminContext;
use super::admin_server::{AdminServer, AdminServerError};
use super::command_response::CommandResponse;
use super::commands::Commands;
use super::http_message::{Content, Request, Response, Status};
use super::http_server::{HttpHandler, HttpServer, HttpTimeouts};
use super::{json_outputter, stream_outputter};
use crate::common::time::{self, Clock};
use crate::common::zk_config::SystemProperties;
use crate::server::auth::authentication_provider::HttpAuthRequest;
use crate::server::memory_account::{MemoryAccounts, ReportRoom};
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java. Operators search for it.
const LOG: &str = "org.apache.zookeeper.server.admin.JettyAdminServer";

/// The default time limit for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The limit that stands for "no limit" in the timeout settings.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The `admin.*` settings of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminServerConfig {
    /// The host or address to listen on.
    pub server_address: String,
    /// The port to listen on; 0 for any free port.
    pub server_port: u16,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
    /// The time limit for a whole request and for its answer (`zookeeper.admin.requestTimeout`; not in Java).
    pub request_timeout: Duration,
    /// The URL path of the command list. Each command is one level below it.
    pub command_url: String,
}

impl Default for AdminServerConfig {
    fn default() -> Self {
        Self {
            server_address: "0.0.0.0".into(),
            server_port: 8080,
            idle_timeout: Duration::from_secs(30),
            request_timeout: REQUEST_TIMEOUT,
            command_url: "/commands".into(),
        }
    }
}

impl AdminServerConfig {
    /// Reads the settings, with Java's defaults.
    ///
    /// # Errors
    /// When a setting is wrong or asks for TLS.
    pub fn from_properties(properties: &SystemProperties) -> Result<Self, AdminServerError> {
        const PORT: &str = "zookeeper.admin.serverPort";
        const COMMAND_URL: &str = "zookeeper.admin.commandURL";
        let default = Self::default();
        let text = |key: &str| properties.get(key).map(str::to_owned);
        let wrong = |key, value: &str, problem| AdminServerError::Setting {
            key,
            value: value.to_owned(),
            problem,
        };
        for key in ["zookeeper.admin.portUnification", "zookeeper.admin.forceHttps"] {
            if properties.bool(key) {
                let problem = "this server's AdminServer has no TLS; protect the port by other \
                               means and take the setting out";
                return Err(wrong(key, properties.get(key).unwrap_or_default(), problem));
            }
        }
        for key in ["zookeeper.admin.needClientAuth", "zookeeper.admin.httpVersion"] {
            if properties.get(key).is_some() {
                info!(target: LOG, "{key} has no effect without TLS");
            }
        }
        let port: i64 = properties.number_or(PORT, default.server_port.into());
        let server_port = u16::try_from(port)
            .map_err(|_| wrong(PORT, &port.to_string(), "a port is a number from 0 to 65535"))?;
        let command_url = text(COMMAND_URL).unwrap_or(default.command_url);
        if !command_url.starts_with('/') {
            return Err(wrong(COMMAND_URL, &command_url, "a path begins with a slash"));
        }
        let timeout = |key: &str, default: Duration| {
            let ms: i64 = properties.number_or(key, time::millis(default));
            let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
            ms.map_or(FOR_EVER, Duration::from_millis)
        };
        Ok(Self {
            server_address: text("zookeeper.admin.serverAddress").unwrap_or(default.server_address),
            server_port,
            idle_timeout: timeout("zookeeper.admin.idleTimeout", default.idle_timeout),
            request_timeout: timeout("zookeeper.admin.requestTimeout", default.request_timeout),
            command_url: command_url.trim_end_matches('/').to_owned(),
        })
    }
}

/// Serves admin commands over HTTP.
pub(crate) struct HttpAdminServer {
    config: AdminServerConfig,
    clock: Clock,
    handler: Arc<CommandServlet>,
    http: RankedMutex<Option<HttpServer>>,
}

impl HttpAdminServer {
    /// Creates an AdminServer that is not started and has no ZooKeeper server yet.
    #[must_use]
    pub(crate) fn new(config: AdminServerConfig, commands: Commands, clock: Clock) -> Self {
        let handler = Arc::new(CommandServlet {
            command_url: config.command_url.clone(),
            commands,
            server: RankedMutex::new(Rank::Leaf, "server of the AdminServer", None),
        });
        let http = RankedMutex::new(Rank::Leaf, "AdminServer", None);
        Self { config, clock, handler, http }
    }

    /// The bound port, once the server is started.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn port(&self) -> Option<u16> {
        self.http.lock().as_ref().map(|http| http.local_address().port())
    }
}

impl AdminServer for HttpAdminServer {
    fn start(&self) -> Result<(), AdminServerError> {
        let AdminServerConfig { server_address, server_port, command_url, .. } = &self.config;
        let timeouts = HttpTimeouts::new(self.config.idle_timeout, self.config.request_timeout);
        let http = HttpServer::start(
            "AdminServer",
            server_address,
            *server_port,
            timeouts,
            Arc::clone(&self.clock),
            Arc::clone(&self.handler) as _,
        )
        .map_err(|source| AdminServerError::Start {
            address: server_address.clone(),
            port: *server_port,
            command_url: command_url.clone(),
            source,
        })?;
        info!(
            target: LOG,
            "Started AdminServer on address {server_address}, port {} and command URL \
             {command_url}",
            http.local_address().port()
        );
        *self.http.lock() = Some(http);
        Ok(())
    }

    fn shutdown(&self) {
        let http = self.http.lock().take();
        if let Some(http) = http {
            http.shutdown();
        }
    }

    fn set_zookeeper_server(&self, server: Option<Weak<dyn AdminContext>>) {
        *self.handler.server.lock() = server;
    }
}

/// Handles the HTTP requests (Java: JettyAdminServer.CommandServlet).
struct CommandServlet {
    command_url: String,
    commands: Commands,
    server: RankedMutex<Option<Weak<dyn AdminContext>>>,
}

impl HttpHandler for CommandServlet {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let head = request.head;
        if let Some(answer) = Response::to_other_method(&head.method) {
            return answer;
        }
        let below = head.path.strip_prefix(&self.command_url);
        let name = match below.map(|below| (below, below.strip_prefix('/'))) {
            Some(("" | "/", _)) => return self.command_links(),
            Some((_, Some(name))) => name,
            _ => return Response::error_page(Status::NOT_FOUND, &head.path),
        };
        let server = self.server.lock().clone().and_then(|server| server.upgrade());
        let server = server.as_deref();
        let run = |request: &mut Request<'_>| answer(self.run(name, server, request));
        let long = server.filter(|_| Commands::may_be_long(name));
        let Some((server, memory)) = long.and_then(|server| Some((server, server.memory()?)))
        else {
            return run(request);
        };
        if memory.are_answers_full() {
            server.close_clients_for_room();
        }
        memory.make_report(|| counted(run(request), memory)).unwrap_or_else(|| {
            let what = "the answers that clients have not read yet leave no memory for this one";
            Response::error_page(Status::SERVICE_UNAVAILABLE, what)
        })
    }
}

/// Reserves memory for the answer's text until the answer is sent.
fn counted(mut response: Response, memory: &Arc<MemoryAccounts>) -> Response {
    if let Content::Bytes(text) = response.content {
        let len = text.len();
        let report = Report { text: Cursor::new(text), _room: memory.report_room(len) };
        response.content = Content::Stream(Box::new(report), len as u64);
    }
    response
}

/// A text together with its memory reservation.
struct Report {
    text: Cursor<Vec<u8>>,
    _room: ReportRoom,
}

impl Read for Report {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.text.read(buf)
    }
}

impl CommandServlet {
    fn run(
        &self,
        name: &str,
        server: Option<&dyn AdminContext>,
        request: &mut Request<'_>,
    ) -> CommandResponse {
        let head = request.head;
        let auth_info = head.header("authorization");
        let auth_request = HttpAuthRequest {
            remote_ip: request.remote.ip().to_canonical(),
            x_forwarded_for: head.header("x-forwarded-for"),
        };
        if head.method == "POST" {
            let body = &mut *request.body;
            self.commands.run_post_command(name, server, body, auth_info, &auth_request)
        } else {
            let kwargs = &head.query;
            self.commands.run_get_command(name, server, kwargs, auth_info, &auth_request)
        }
    }

    /// A page with a link to each command.
    fn command_links(&self) -> Response {
        let link =
            |name: &str| format!("<a href=\"{}/{name}\">{name}</a>\n<br/>\n", self.command_url);
        let links: String = Commands::primary_names().into_iter().map(link).collect();
        Response {
            status: Status::OK,
            headers: Vec::new(),
            content: Content::Bytes(links.into_bytes()),
        }
    }
}

/// Converts a command's answer to an HTTP response.
fn answer(mut response: CommandResponse) -> Response {
    let (content_type, content) = match response.take_stream().map(stream_outputter::content) {
        Some(Ok(content)) => (stream_outputter::CONTENT_TYPE, content),
        Some(Err(problem)) => {
            warn!(target: LOG, "Exception streaming out data: {problem}");
            return Response::empty(Status::INTERNAL_SERVER_ERROR);
        }
        None => {
            let text = json_outputter::output(&response.json_entries());
            (json_outputter::CONTENT_TYPE, Content::Bytes(text.into_bytes()))
        }
    };
    let mut headers = response.headers().to_vec();
    headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    Response { status: response.status(), headers, content }
}

#[cfg(test)]
mod tests;
