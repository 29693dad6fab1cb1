//! Clients that follow their ensemble to other servers, and the client that changes it (Java: ReconfigTest,
//! ReconfigExceptionTest and StaticHostProviderTest, with servers).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod common;
#[path = "common/ensemble.rs"]
mod ensemble;
#[path = "quorum_reconfig/site.rs"]
mod site;

use common::{Client, DEADLINE, client_config, wait_until};
use ensemble::{Mode, create};
use site::{Site, lines_of, version_of};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::ids::SessionId;
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::watcher::{EventType, KeeperState};
use zookeeper_server::zoo_defs::ids;

const CONFIG: &str = "/zookeeper/config";

/// super:test
const SUPER: &str = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

const CLIENTS: usize = 24;

fn text((data, _): (Option<Vec<u8>>, zookeeper_server::data::Stat)) -> String {
    String::from_utf8(data.unwrap()).unwrap()
}

/// The servers with these indexes, as a client names them.
fn connect_string(site: &Site, servers: &[usize]) -> String {
    let addresses: Vec<String> =
        servers.iter().map(|at| format!("127.0.0.1:{}", site.peers[*at].client)).collect();
    addresses.join(",")
}

/// A client with an ephemeral node and a watch on the configuration.
struct Guest {
    client: Client,
    session: SessionId,
    node: String,
}

impl Guest {
    fn come(servers: &str, number: usize) -> Self {
        let client = Client::connect(servers, client_config());
        let node = format!("/guest-{number}");
        create(&client, &node, CreateMode::Ephemeral).unwrap();
        client.get_config(true).unwrap();
        let session = client.session_id();
        Self { client, session, node }
    }

    fn port(&self) -> Option<u16> {
        self.client.cnxn().server().map(|server| server.port)
    }

    /// Waits until the watch has fired, and reads the configuration that is new.
    #[track_caller]
    fn new_config(&self) -> String {
        let event = self.client.next_watch_event();
        let (event_type, path) = (event.event_type, event.path.as_deref());
        assert_eq!((event_type, path), (EventType::NodeDataChanged, Some(CONFIG)));
        text(self.client.get_config(true).unwrap())
    }
}

/// Two of three members are replaced. Only their clients move, all of them to the new members, with their sessions.
#[test]
fn clients_follow_the_ensemble_to_other_servers_and_keep_their_sessions() {
    let mut site = Site::start(3, &[SUPER]);
    let before = connect_string(&site, &[0, 1, 2]);
    let guests: Vec<Guest> = (0..CLIENTS).map(|number| Guest::come(&before, number)).collect();
    let new = [site.come(&[0, 1, 2], "participant"), site.come(&[0, 1, 2], "participant")];
    let stays = site.leader();
    let leave: Vec<usize> = (0..3).filter(|at| *at != stays).collect();
    let stays_at = site.peers[stays].client;
    let admin = Client::connect(&connect_string(&site, &[stays]), client_config());
    admin.add_auth_info("digest", b"super:test").unwrap();

    let joining = new.map(|at| site.peers[at].line("participant"));
    let leaving: Vec<String> = leave.iter().map(|at| site.peers[*at].sid.to_string()).collect();
    let config = text(admin.reconfigure(Some(&joining.join(",")), None, None, -1).unwrap());
    site.all_have(&config);
    guests.iter().for_each(|guest| assert_eq!(lines_of(&guest.new_config()), lines_of(&config)));
    let config = text(admin.reconfigure(None, Some(&leaving.join(",")), None, -1).unwrap());
    site.all_have(&config);

    let after = connect_string(&site, &[stays, new[0], new[1]]);
    for guest in &guests {
        assert_eq!(lines_of(&guest.new_config()), lines_of(&config));
        let stayed = guest.port() == Some(stays_at);
        let moves = guest.client.update_server_list(&after).unwrap();
        assert_eq!(moves, !stayed, "{}", guest.node);
    }
    for guest in &guests {
        wait_until("the client is at another server", DEADLINE, || {
            let servers = [stays, new[0], new[1]];
            servers.iter().any(|at| guest.port() == Some(site.peers[*at].client))
                && guest.client.state().is_connected()
        });
    }
    // Nobody needs the two that have left.
    leave.iter().for_each(|at| site.peers[*at].kill9());
    for guest in &guests {
        guest.client.sync("/").unwrap();
        let stat = guest.client.exists(&guest.node, false).unwrap().expect("its ephemeral node");
        assert_eq!(
            (stat.ephemeral_owner, guest.client.session_id()),
            (guest.session.0, guest.session)
        );
    }
    let on = |port: u16| guests.iter().filter(|guest| guest.port() == Some(port)).count();
    let counts = [stays, new[0], new[1]].map(|at| on(site.peers[at].client));
    assert_eq!(counts.iter().sum::<usize>(), CLIENTS, "{counts:?}");
    // The watches have moved, too.
    let role = site.peers[new[0]].line("observer");
    let config = text(admin.reconfigure(Some(&role), None, None, -1).unwrap());
    site.peers[new[0]].wait_mode(Mode::Observer);
    for guest in &guests {
        assert_eq!(lines_of(&guest.new_config()), lines_of(&config));
    }
    guests.iter().for_each(|guest| guest.client.close());
    admin.close();
}

#[test]
fn an_admin_changes_the_ensemble_step_by_step_or_as_a_whole_and_from_a_version() {
    let mut site = Site::start(3, &[SUPER]);
    let all = connect_string(&site, &[0, 1, 2]);
    let admin = Client::connect(&all, client_config());
    let before = text(admin.get_config(false).unwrap());
    let version = |config: &str| i64::from_str_radix(version_of(config), 16).unwrap();
    let refused = admin.reconfigure(None, Some("3"), None, -1).unwrap_err();
    assert_eq!(refused.keeper_error(), Some(KeeperError::NoAuth));
    assert_eq!(refused.to_string(), "KeeperErrorCode = NoAuth");
    admin.add_auth_info("digest", b"super:test").unwrap();

    let at = site.come(&[0, 1, 2], "participant");
    let line = site.peers[at].line("participant");
    let wrong = admin.reconfigure_servers(Some(&[&line]), None, None, version(&before) + 1);
    assert_eq!(wrong.unwrap_err().keeper_error(), Some(KeeperError::BadVersion));
    let follower = site.follower();
    let leaving = site.peers[follower].sid.to_string();
    let (data, stat) = admin
        .reconfigure_servers(Some(&[&line]), Some(&[&leaving]), None, version(&before))
        .unwrap();
    let after = String::from_utf8(data.unwrap()).unwrap();
    assert_eq!(stat.mzxid.0, version(&after));
    assert!(after.contains(&line) && !after.contains(&format!("server.{leaving}=")), "{after}");
    assert_eq!(text(admin.get_config(false).unwrap()), after);
    site.all_have(&after);

    // As a whole: the member that has left comes back as an observer.
    let mut members: Vec<String> = lines_of(&after)
        .into_iter()
        .filter(|line| line.starts_with("server."))
        .map(str::to_owned)
        .collect();
    members.push(site.peers[follower].line("observer"));
    let pending = admin.submit_reconfigure(None, None, Some(&members.join("\n")), version(&after));
    let whole = String::from_utf8(pending.wait().unwrap().data.unwrap()).unwrap();
    site.peers[follower].wait_mode(Mode::Observer);
    site.all_have(&whole);
    let nonsense = admin.reconfigure(None, None, Some("server.1=nonsense"), -1).unwrap_err();
    assert_eq!(nonsense.keeper_error(), Some(KeeperError::BadArguments));
    admin.close();
}

/// A client with a chroot reads the ensemble's configuration, not a node below its chroot, and its watch outlives a
/// connection (in Java, the watch is lost then).
#[test]
fn a_chroot_does_not_hide_the_configuration() {
    let site = Site::start(3, &[SUPER]);
    let at = site.follower();
    let admin = site.peers[at].server.client();
    admin.create("/app", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let below = format!("{}/app", site.peers[at].server.address());
    let client = Client::connect(&below, client_config());
    client.get_config(true).unwrap();
    client.cnxn().break_connection();
    wait_until("the client has lost its connection", DEADLINE, || {
        client.events.try_iter().any(|event| event.keeper_state == KeeperState::Disconnected)
    });
    assert!(client.wait_connected(DEADLINE));
    client.exists("/", false).unwrap();
    admin.add_auth_info("digest", b"super:test").unwrap();
    let config = text(admin.reconfigure(None, None, None, -1).unwrap());
    let event = client.next_watch_event();
    assert_eq!(event.path.as_deref(), Some(CONFIG));
    assert_eq!(lines_of(&text(client.get_config(false).unwrap())), lines_of(&config));
    client.close();
    admin.close();
}
