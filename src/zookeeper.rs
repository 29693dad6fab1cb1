//! A client, with one method for each operation (Java: ZooKeeper.java).
//!
//! Methods wait for the answer. Methods named `submit_*` return it later, so that many requests can be in flight.
//! Events of all watches go to the one channel that [`ZooKeeper::connect`] returns, in place of Java's watcher
//! objects.

use std::time::Duration;

use crossbeam::channel::Receiver;

use crate::add_watch_mode::AddWatchMode;
use crate::client::connect_string_parser::ConnectStringParser;
pub use crate::client::connect_string_parser::{HostPort, InvalidConnectString};
pub use crate::client::host_provider::{HostProvider, NextHost};
pub use crate::client::static_host_provider::{Resolver, StaticHostProvider};
pub use crate::client_cnxn::{
    ClientCnxn, ClientConfig, ClientError, ClientEvent, Pending, StartError, States,
};
use crate::client_cnxn::{
    WatchKind, WatchRegistration, decode_nothing, prepend_chroot, strip_chroot,
};
use crate::common::path_utils::{validate_path, validate_sequential_path};
use crate::create_mode::CreateMode;
use crate::data::{ACL, ClientInfo, Stat};
use crate::ids::{SessionId, Zxid};
use crate::jute::Record;
use crate::keeper_exception::KeeperError;
use crate::multi_operation_record::{MixedKinds, MultiOperationRecord};
use crate::multi_response::MultiResponse;
use crate::op::Op;
use crate::op_result::OpResult;
use crate::proto::{
    AddWatchRequest, CheckWatchesRequest, Create2Response, CreateRequest, CreateResponse,
    CreateTTLRequest, DeleteRequest, ExistsRequest, ExistsResponse, GetACLRequest, GetACLResponse,
    GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse,
    GetEphemeralsRequest, GetEphemeralsResponse, RemoveWatchesRequest, SetACLRequest,
    SetACLResponse, SetDataRequest, SetDataResponse, SyncRequest, SyncResponse, WhoAmIResponse,
};
use crate::watcher::WatcherType;
use crate::zoo_defs::{CONFIG_NODE, OpCode};

/// A client with its session.
#[derive(Debug)]
pub struct ZooKeeper {
    cnxn: ClientCnxn,
}

/// Why a `multi` has no results.
#[derive(Debug, thiserror::Error)]
pub enum MultiError {
    /// Reads and writes were mixed in one request.
    #[error(transparent)]
    MixedKinds(#[from] MixedKinds),
    /// The request as a whole failed.
    #[error(transparent)]
    Request(#[from] ClientError),
    /// One part failed, so no part was applied.
    #[error("{error}")]
    Part {
        /// The error of the first part that failed.
        error: ClientError,
        /// The result of each part: 0 before the failed part, then its error, then
        /// [`KeeperError::RuntimeInconsistency`].
        results: Vec<OpResult>,
    },
}

impl MultiError {
    /// The error code, if it is a known one.
    #[must_use]
    pub const fn keeper_error(&self) -> Option<KeeperError> {
        match self {
            Self::MixedKinds(_) => None,
            Self::Request(error) | Self::Part { error, .. } => error.keeper_error(),
        }
    }
}

impl ZooKeeper {
    /// Starts to connect to one of the servers in `host:port,host:port/chroot`. The channel delivers changes of the
    /// client's state and the events of its watches.
    ///
    /// # Errors
    /// If the text names no servers, or the system has no room for another thread.
    pub fn connect(
        connect_string: &str,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        let (cnxn, events) = ClientCnxn::start(connect_string, config)?;
        Ok((Self { cnxn }, events))
    }

    /// As [`connect`](Self::connect), with servers from a provider of one's own. `chroot_path` is the prefix of all
    /// paths; `None` is the root.
    ///
    /// # Errors
    /// If the chroot is no valid path, or the system has no room for another thread.
    pub fn connect_with(
        host_provider: Box<dyn HostProvider>,
        chroot_path: Option<&str>,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        let chroot_path = chroot_path.filter(|path| *path != "/");
        if let Some(path) = chroot_path {
            validate_path(path).map_err(InvalidConnectString::Chroot)?;
        }
        let chroot_path = chroot_path.map(str::to_owned);
        let (cnxn, events) = ClientCnxn::start_with(host_provider, chroot_path, config)?;
        Ok((Self { cnxn }, events))
    }

    /// Replaces the servers of the client by those in `host:port,host:port`, for example after a change of the
    /// ensemble. A chroot in the text is ignored. Returns whether the client leaves its server for another one.
    ///
    /// It leaves its server if that is not in the new list, and, if there are more servers than before, with the
    /// probability that gives all servers the same number of clients: if three servers become five, two of five clients
    /// go to one of the new servers. The session stays; requests that wait end with
    /// [`KeeperError::ConnectionLoss`].
    ///
    /// # Errors
    /// If the text names no servers. The old list then stays.
    pub fn update_server_list(&self, connect_string: &str) -> Result<bool, InvalidConnectString> {
        let servers = ConnectStringParser::new(connect_string)?.server_addresses;
        self.cnxn.update_server_list(&servers)
    }

    /// The session and its connection.
    #[must_use]
    pub const fn cnxn(&self) -> &ClientCnxn {
        &self.cnxn
    }

    /// The current state (Java: getState).
    #[must_use]
    pub fn state(&self) -> States {
        self.cnxn.states()
    }

    /// Waits until a server serves the client. Returns false if none does within that time.
    #[must_use]
    pub fn wait_connected(&self, timeout: Duration) -> bool {
        self.cnxn.wait_connected(timeout).is_connected()
    }

    /// The session id; 0 before there is a session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.cnxn.session_id()
    }

    /// The session's password.
    #[must_use]
    pub fn session_passwd(&self) -> Vec<u8> {
        self.cnxn.session_passwd()
    }

    /// The session timeout that the server granted, in ms.
    #[must_use]
    pub fn session_timeout_ms(&self) -> i32 {
        self.cnxn.session_timeout_ms()
    }

    /// Closes the session. A second call does nothing.
    pub fn close(&self) {
        self.cnxn.close();
    }

    /// The path on the server.
    fn server_path(&self, path: &str) -> String {
        prepend_chroot(self.cnxn.chroot_path(), path)
    }

    fn client_path(&self, path: &str) -> String {
        strip_chroot(self.cnxn.chroot_path(), path)
    }

    fn registration(watch: bool, kind: WatchKind, path: &str) -> Option<WatchRegistration> {
        watch.then(|| WatchRegistration { kind, path: path.to_owned() })
    }

    /// Sends credentials to the server, now and after each reconnect (Java: addAuthInfo, which does not wait).
    ///
    /// # Errors
    /// [`KeeperError::AuthFailed`] if the server refuses them; the client then ends.
    pub fn add_auth_info(&self, scheme: &str, auth: &[u8]) -> Result<(), ClientError> {
        self.submit_auth_info(scheme, Some(auth.to_vec())).wait()
    }

    /// As [`add_auth_info`](Self::add_auth_info), without waiting.
    pub fn submit_auth_info(&self, scheme: &str, auth: Option<Vec<u8>>) -> Pending<()> {
        self.cnxn.add_auth_info(scheme, auth)
    }

    /// Creates a node. Returns its path, with the number of a sequential node.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Vec<ACL>,
        mode: CreateMode,
    ) -> Result<String, ClientError> {
        validate_create(path, mode, &acl)?;
        let created = self.submit_create(path, data, acl, mode).wait();
        created.map(|created| self.client_path(&created.path)).map_err(|error| error.at(path))
    }

    /// As [`create`](Self::create), without waiting and without checking the path. The path in the answer is the
    /// server's.
    pub fn submit_create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Vec<ACL>,
        mode: CreateMode,
    ) -> Pending<CreateResponse> {
        let op = if mode.is_container() { OpCode::CreateContainer } else { OpCode::Create };
        let request = self.create_request(path, data, acl, mode);
        self.cnxn.submit_record(op, &request, None)
    }

    /// Creates a node. Returns its path and stat.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create2(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Vec<ACL>,
        mode: CreateMode,
    ) -> Result<(String, Stat), ClientError> {
        validate_create(path, mode, &acl)?;
        let op = if mode.is_container() { OpCode::CreateContainer } else { OpCode::Create2 };
        let request = self.create_request(path, data, acl, mode);
        let created = self.cnxn.submit_record(op, &request, None).wait();
        self.created(created, path)
    }

    /// Creates a node that is deleted if it has no children and is not changed for `ttl_ms`. Returns its path and
    /// stat.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_ttl(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Vec<ACL>,
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<(String, Stat), ClientError> {
        validate_create(path, mode, &acl)?;
        let CreateRequest { path: server_path, data, acl, flags } =
            self.create_request(path, data, acl, mode);
        let request = CreateTTLRequest { path: server_path, data, acl, flags, ttl: ttl_ms };
        let created = self.cnxn.submit_record(OpCode::CreateTtl, &request, None).wait();
        self.created(created, path)
    }

    fn create_request(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Vec<ACL>,
        mode: CreateMode,
    ) -> CreateRequest {
        CreateRequest {
            path: self.server_path(path),
            data: data.map(<[u8]>::to_vec),
            acl: Some(acl),
            flags: mode.flag(),
        }
    }

    fn created(
        &self,
        created: Result<Create2Response, ClientError>,
        path: &str,
    ) -> Result<(String, Stat), ClientError> {
        let created = created.map_err(|error| error.at(path))?;
        Ok((self.client_path(&created.path), created.stat))
    }

    /// Deletes a node if it has that version; -1 means any version.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn delete(&self, path: &str, version: i32) -> Result<(), ClientError> {
        validate_path(path)?;
        self.submit_delete(path, version).wait().map_err(|error| error.at(path))
    }

    /// As [`delete`](Self::delete), without waiting and without checking the path.
    pub fn submit_delete(&self, path: &str, version: i32) -> Pending<()> {
        // The server's root cannot be deleted, but the root of the client's chroot can.
        let path = if path == "/" { path.to_owned() } else { self.server_path(path) };
        let request = DeleteRequest { path, version };
        self.cnxn.submit(OpCode::Delete, request.to_bytes(), None, decode_nothing)
    }

    /// The node's stat; `None` if it does not exist. The watch is set in both cases.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn exists(&self, path: &str, watch: bool) -> Result<Option<Stat>, ClientError> {
        validate_path(path)?;
        match self.submit_exists(path, watch).wait() {
            Ok(response) => Ok(Some(response.stat)),
            Err(error) if error.keeper_error() == Some(KeeperError::NoNode) => Ok(None),
            Err(error) => Err(error.at(path)),
        }
    }

    /// As [`exists`](Self::exists), without waiting and without checking the path. A missing node is an error.
    pub fn submit_exists(&self, path: &str, watch: bool) -> Pending<ExistsResponse> {
        let request = ExistsRequest { path: self.server_path(path), watch };
        let watch = Self::registration(watch, WatchKind::Exist, path);
        self.cnxn.submit_record(OpCode::Exists, &request, watch)
    }

    /// A node's data and stat.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_data(
        &self,
        path: &str,
        watch: bool,
    ) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        validate_path(path)?;
        let response = self.submit_get_data(path, watch).wait().map_err(|error| error.at(path))?;
        Ok((response.data, response.stat))
    }

    /// As [`get_data`](Self::get_data), without waiting and without checking the path.
    pub fn submit_get_data(&self, path: &str, watch: bool) -> Pending<GetDataResponse> {
        let request = GetDataRequest { path: self.server_path(path), watch };
        let watch = Self::registration(watch, WatchKind::Data, path);
        self.cnxn.submit_record(OpCode::GetData, &request, watch)
    }

    /// The ensemble's configuration, and the stat of its node. The watch fires when the configuration changes.
    ///
    /// # Errors
    /// If the server refuses the request.
    pub fn get_config(&self, watch: bool) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        // The chroot does not apply to this path.
        let request = GetDataRequest { path: CONFIG_NODE.into(), watch };
        let watch = Self::registration(watch, WatchKind::Data, CONFIG_NODE);
        let pending = self.cnxn.submit_record::<GetDataResponse>(OpCode::GetData, &request, watch);
        let response = pending.wait().map_err(|error| error.at(CONFIG_NODE))?;
        Ok((response.data, response.stat))
    }

    /// Writes the data of a node if it has that version; -1 means any version.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn set_data(
        &self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
    ) -> Result<Stat, ClientError> {
        validate_path(path)?;
        let response = self.submit_set_data(path, data, version).wait();
        response.map(|response| response.stat).map_err(|error| error.at(path))
    }

    /// As [`set_data`](Self::set_data), without waiting and without checking the path.
    pub fn submit_set_data(
        &self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
    ) -> Pending<SetDataResponse> {
        let path = self.server_path(path);
        let request = SetDataRequest { path, data: data.map(<[u8]>::to_vec), version };
        self.cnxn.submit_record(OpCode::SetData, &request, None)
    }

    /// A node's ACL and stat.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_acl(&self, path: &str) -> Result<(Vec<ACL>, Stat), ClientError> {
        validate_path(path)?;
        let request = GetACLRequest { path: self.server_path(path) };
        let pending = self.cnxn.submit_record::<GetACLResponse>(OpCode::GetAcl, &request, None);
        let response = pending.wait().map_err(|error| error.at(path))?;
        Ok((response.acl, response.stat))
    }

    /// Sets the ACL of a node if its ACL has that version; -1 means any version.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn set_acl(&self, path: &str, acl: Vec<ACL>, version: i32) -> Result<Stat, ClientError> {
        validate_path(path)?;
        validate_acl(&acl)?;
        let request = SetACLRequest { path: self.server_path(path), acl: Some(acl), version };
        let pending = self.cnxn.submit_record::<SetACLResponse>(OpCode::SetAcl, &request, None);
        pending.wait().map(|response| response.stat).map_err(|error| error.at(path))
    }

    /// The names of a node's children, in no particular order.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_children(&self, path: &str, watch: bool) -> Result<Vec<String>, ClientError> {
        validate_path(path)?;
        let response = self.submit_get_children(path, watch).wait();
        response.map(|response| response.children).map_err(|error| error.at(path))
    }

    /// As [`get_children`](Self::get_children), without waiting and without checking the path.
    pub fn submit_get_children(&self, path: &str, watch: bool) -> Pending<GetChildrenResponse> {
        let request = GetChildrenRequest { path: self.server_path(path), watch };
        let watch = Self::registration(watch, WatchKind::Child, path);
        self.cnxn.submit_record(OpCode::GetChildren, &request, watch)
    }

    /// The names of a node's children, in no particular order, and its stat.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_children2(
        &self,
        path: &str,
        watch: bool,
    ) -> Result<(Vec<String>, Stat), ClientError> {
        validate_path(path)?;
        let request = GetChildren2Request { path: self.server_path(path), watch };
        let watch = Self::registration(watch, WatchKind::Child, path);
        let pending =
            self.cnxn.submit_record::<GetChildren2Response>(OpCode::GetChildren2, &request, watch);
        let response = pending.wait().map_err(|error| error.at(path))?;
        Ok((response.children, response.stat))
    }

    /// The number of the node's descendants.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_all_children_number(&self, path: &str) -> Result<i32, ClientError> {
        validate_path(path)?;
        let request = GetAllChildrenNumberRequest { path: self.server_path(path) };
        let pending = self.cnxn.submit_record::<GetAllChildrenNumberResponse>(
            OpCode::GetAllChildrenNumber,
            &request,
            None,
        );
        pending.wait().map(|response| response.total_number).map_err(|error| error.at(path))
    }

    /// The paths of the session's ephemeral nodes that start with this prefix.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn get_ephemerals(&self, prefix_path: &str) -> Result<Vec<String>, ClientError> {
        validate_path(prefix_path)?;
        let request = GetEphemeralsRequest { prefix_path: Some(self.server_path(prefix_path)) };
        let pending =
            self.cnxn.submit_record::<GetEphemeralsResponse>(OpCode::GetEphemerals, &request, None);
        let response = pending.wait().map_err(|error| error.at(prefix_path))?;
        Ok(response.ephemerals.iter().map(|path| self.client_path(path)).collect())
    }

    /// Waits until the server has applied everything that the leader had committed
    /// (Java: sync, which is asynchronous).
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn sync(&self, path: &str) -> Result<(), ClientError> {
        validate_path(path)?;
        self.submit_sync(path).wait().map(|_| ()).map_err(|error| error.at(path))
    }

    /// As [`sync`](Self::sync), without waiting and without checking the path.
    pub fn submit_sync(&self, path: &str) -> Pending<SyncResponse> {
        let request = SyncRequest { path: self.server_path(path) };
        self.cnxn.submit_record(OpCode::Sync, &request, None)
    }

    /// Several writes, of which all or none are applied, or several reads, each with its own result. Without operations,
    /// nothing is sent.
    ///
    /// # Errors
    /// If a path is invalid, reads and writes are mixed, the server refuses the request, or a write fails.
    pub fn multi(&self, ops: Vec<Op>) -> Result<Vec<OpResult>, MultiError> {
        for op in &ops {
            validate(op)?;
        }
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let results = self.submit_multi(ops)?.wait()?.results;
        let is_read = results.iter().any(|result| {
            matches!(result, OpResult::GetData { .. } | OpResult::GetChildren { .. })
        });
        let failed = results.iter().map(OpResult::err).find(|err| *err != 0);
        match failed {
            // If a read succeeded, this was a `multiRead`: other reads may fail on their own.
            Some(code) if !is_read => {
                Err(MultiError::Part { error: ClientError::of_code(code, None), results })
            }
            _ => Ok(results
                .into_iter()
                .map(|result| match result {
                    OpResult::Create { path } => OpResult::Create { path: self.client_path(&path) },
                    OpResult::Create2 { path, stat } => {
                        OpResult::Create2 { path: self.client_path(&path), stat }
                    }
                    other => other,
                })
                .collect()),
        }
    }

    /// As [`multi`](Self::multi), without waiting and without checking the paths. Paths in the answer are the server's.
    ///
    /// # Errors
    /// If reads and writes are mixed.
    pub fn submit_multi(&self, ops: Vec<Op>) -> Result<Pending<MultiResponse>, MixedKinds> {
        let ops = ops.into_iter().map(|op| self.with_chroot(op)).collect();
        let request = MultiOperationRecord::new(ops)?;
        Ok(self.cnxn.submit_record(request.op_code(), &request, None))
    }

    fn with_chroot(&self, mut op: Op) -> Op {
        let path = match &mut op {
            Op::Create(request) | Op::Create2(request) | Op::CreateContainer(request) => {
                &mut request.path
            }
            Op::CreateTtl(request) => &mut request.path,
            Op::Delete(request) => &mut request.path,
            Op::SetData(request) => &mut request.path,
            Op::Check(request) => &mut request.path,
            Op::GetChildren(request) => &mut request.path,
            Op::GetData(request) => &mut request.path,
        };
        *path = self.server_path(path);
        op
    }

    /// Adds a persistent watch.
    ///
    /// # Errors
    /// If the path is invalid or the server refuses the request.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Result<(), ClientError> {
        validate_path(path)?;
        let request = AddWatchRequest { path: self.server_path(path), mode: mode.mode() };
        let kind = match mode {
            AddWatchMode::Persistent => WatchKind::Persistent,
            AddWatchMode::PersistentRecursive => WatchKind::PersistentRecursive,
        };
        let watch = Self::registration(true, kind, path);
        let pending = self.cnxn.submit(OpCode::AddWatch, request.to_bytes(), watch, decode_nothing);
        pending.wait().map_err(|error| error.at(path))
    }

    /// Removes the watches of that type (Java: removeAllWatches). With `local`, also if the server cannot be asked.
    ///
    /// # Errors
    /// [`KeeperError::NoWatcher`] if there is no such watch; otherwise as for the other operations.
    pub fn remove_all_watches(
        &self,
        path: &str,
        watcher_type: WatcherType,
        local: bool,
    ) -> Result<(), ClientError> {
        validate_path(path)?;
        let r#type = watcher_type as i32;
        let request = RemoveWatchesRequest { path: self.server_path(path), r#type };
        let result = self
            .cnxn
            .submit(OpCode::RemoveWatches, request.to_bytes(), None, decode_nothing)
            .wait();
        if !self.cnxn.watches().lock().contains(watcher_type, path) {
            let error = KeeperError::NoWatcher;
            return Err(ClientError::Keeper { error, path: Some(path.to_owned()) });
        }
        if !local {
            result.map_err(|error| error.at(path))?;
        }
        let removed = self.cnxn.watches().lock().remove(watcher_type, path);
        for event_type in removed {
            self.cnxn.tell(event_type, path);
        }
        Ok(())
    }

    /// Asks the server whether this client has a watch of that type on the node.
    ///
    /// # Errors
    /// [`KeeperError::NoWatcher`] if there is no such watch; otherwise as for the other operations.
    pub fn check_watches(&self, path: &str, watcher_type: WatcherType) -> Result<(), ClientError> {
        validate_path(path)?;
        let r#type = watcher_type as i32;
        let request = CheckWatchesRequest { path: self.server_path(path), r#type };
        let pending =
            self.cnxn.submit(OpCode::CheckWatches, request.to_bytes(), None, decode_nothing);
        pending.wait().map_err(|error| error.at(path))
    }

    /// The client's ids, as the server knows them.
    ///
    /// # Errors
    /// If the server refuses the request.
    pub fn who_am_i(&self) -> Result<Vec<ClientInfo>, ClientError> {
        let decode = |body: &[u8], limits| {
            let mut archive = crate::jute::BinaryInputArchive::new(body, limits);
            WhoAmIResponse::deserialize(&mut archive)
        };
        let response = self.cnxn.submit(OpCode::WhoAmI, Vec::new(), None, decode).wait()?;
        Ok(response.client_info)
    }

    /// The zxid of the last answer that had one.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.cnxn.last_zxid()
    }
}

fn validate_acl(acl: &[ACL]) -> Result<(), ClientError> {
    if acl.is_empty() {
        return Err(ClientError::Keeper { error: KeeperError::InvalidAcl, path: None });
    }
    Ok(())
}

fn validate_create(path: &str, mode: CreateMode, acl: &[ACL]) -> Result<(), ClientError> {
    validate_created_path(path, mode)?;
    validate_acl(acl)
}

fn validate_created_path(path: &str, mode: CreateMode) -> Result<(), ClientError> {
    let is_valid =
        if mode.is_sequential() { validate_sequential_path(path) } else { validate_path(path) };
    Ok(is_valid?)
}

/// Java: Op.validate. The server checks times to live.
fn validate(op: &Op) -> Result<(), ClientError> {
    let flags = match op {
        Op::Create(request) | Op::Create2(request) | Op::CreateContainer(request) => request.flags,
        Op::CreateTtl(request) => request.flags,
        _ => return Ok(validate_path(op.path())?),
    };
    let mode = CreateMode::from_flag(flags).map_err(|error| {
        let path = Some(op.path().to_owned());
        ClientError::Keeper { error, path }
    })?;
    validate_created_path(op.path(), mode)
}
