//! A client that can change the members of its ensemble (Java: admin/ZooKeeperAdmin.java).

use std::ops::Deref;

use crossbeam::channel::Receiver;

use crate::client::host_provider::HostProvider;
use crate::data::Stat;
use crate::proto::{GetDataResponse, ReconfigRequest};
use crate::zoo_defs::OpCode;
use crate::zookeeper::{ClientConfig, ClientError, ClientEvent, Pending, StartError, ZooKeeper};

/// A client that can change the members of its ensemble. It has all operations of [`ZooKeeper`], which reads the
/// configuration, too ([`get_config`](ZooKeeper::get_config)).
///
/// ```no_run
/// use zookeeper_server::admin::zookeeper_admin::ZooKeeperAdmin;
/// use zookeeper_server::zookeeper::ClientConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (admin, _events) = ZooKeeperAdmin::connect("A:2181,B:2181,C:2181", ClientConfig::default())?;
/// admin.add_auth_info("digest", b"super:secret")?;
/// let joining = "server.4=D:2888:3888:participant;2181";
/// let (config, _stat) = admin.reconfigure(Some(joining), Some("1"), None, -1)?;
/// println!("{}", String::from_utf8_lossy(&config.unwrap_or_default()));
/// admin.update_server_list("B:2181,C:2181,D:2181")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ZooKeeperAdmin {
    zk: ZooKeeper,
}

/// Java's class extends ZooKeeper.
impl Deref for ZooKeeperAdmin {
    type Target = ZooKeeper;

    fn deref(&self) -> &ZooKeeper {
        &self.zk
    }
}

impl ZooKeeperAdmin {
    /// As [`ZooKeeper::connect`].
    ///
    /// # Errors
    /// As [`ZooKeeper::connect`].
    pub fn connect(
        connect_string: &str,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        let (zk, events) = ZooKeeper::connect(connect_string, config)?;
        Ok((Self { zk }, events))
    }

    /// As [`ZooKeeper::connect_with`].
    ///
    /// # Errors
    /// As [`ZooKeeper::connect_with`].
    pub fn connect_with(
        host_provider: Box<dyn HostProvider>,
        chroot_path: Option<&str>,
        config: ClientConfig,
    ) -> Result<(Self, Receiver<ClientEvent>), StartError> {
        let (zk, events) = ZooKeeper::connect_with(host_provider, chroot_path, config)?;
        Ok((Self { zk }, events))
    }

    /// Changes the members of the ensemble. Returns the new configuration, and the stat of its node.
    ///
    /// The change is either incremental or names all members:
    /// * `joining_servers`: lines of the form `server.ID=ADDRESSES`, separated by commas. A member whose id is in such a
    ///   line changes its role or addresses.
    /// * `leaving_servers`: ids, separated by commas.
    /// * `new_members`: the lines of all members, separated by commas or line ends. The other two are then ignored.
    ///
    /// `from_config` is the version that the configuration must have now; -1 means any version.
    ///
    /// # Errors
    /// If the server refuses the request, for example with
    /// [`NewConfigNoQuorum`](crate::keeper_exception::KeeperError::NewConfigNoQuorum) if not enough of the new members
    /// are connected to the leader and up to date,
    /// [`ReconfigInProgress`](crate::keeper_exception::KeeperError::ReconfigInProgress) or
    /// [`BadVersion`](crate::keeper_exception::KeeperError::BadVersion).
    pub fn reconfigure(
        &self,
        joining_servers: Option<&str>,
        leaving_servers: Option<&str>,
        new_members: Option<&str>,
        from_config: i64,
    ) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        let pending =
            self.submit_reconfigure(joining_servers, leaving_servers, new_members, from_config);
        // Java's exception has an empty path.
        let response = pending.wait().map_err(|error| error.at(""))?;
        Ok((response.data, response.stat))
    }

    /// As [`reconfigure`](Self::reconfigure), without waiting.
    pub fn submit_reconfigure(
        &self,
        joining_servers: Option<&str>,
        leaving_servers: Option<&str>,
        new_members: Option<&str>,
        from_config: i64,
    ) -> Pending<GetDataResponse> {
        let request = ReconfigRequest {
            joining_servers: joining_servers.map(str::to_owned),
            leaving_servers: leaving_servers.map(str::to_owned),
            new_members: new_members.map(str::to_owned),
            cur_config_id: from_config,
        };
        self.zk.cnxn().submit_record(OpCode::Reconfig, &request, None)
    }

    /// As [`reconfigure`](Self::reconfigure), with one item for each server in the place of commas.
    ///
    /// # Errors
    /// As [`reconfigure`](Self::reconfigure).
    pub fn reconfigure_servers(
        &self,
        joining_servers: Option<&[&str]>,
        leaving_servers: Option<&[&str]>,
        new_members: Option<&[&str]>,
        from_config: i64,
    ) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        let [joining, leaving, members] = [joining_servers, leaving_servers, new_members]
            .map(|servers| servers.map(|servers| servers.join(",")));
        self.reconfigure(joining.as_deref(), leaving.as_deref(), members.as_deref(), from_config)
    }
}
