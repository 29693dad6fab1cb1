//! Text from files, requests, nodes and keyboards (no Java twin).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;

use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::Id;
use zookeeper_server::ids::Sid;
use zookeeper_server::internals::cli::acl_parser;
use zookeeper_server::internals::cli::cli_command::Console;
use zookeeper_server::internals::cli::command_factory::COMMANDS;
use zookeeper_server::internals::client::connect_string_parser::ConnectStringParser;
use zookeeper_server::internals::common::path_trie::PathTrie;
use zookeeper_server::internals::common::path_utils;
use zookeeper_server::internals::common::properties::Properties;
use zookeeper_server::internals::common::time::SystemClock;
use zookeeper_server::internals::common::zk_config::{SystemProperties, decode_number};
use zookeeper_server::internals::jute::Limits;
use zookeeper_server::internals::quotas;
use zookeeper_server::internals::server::admin::commands::AdminCommandsConfig;
use zookeeper_server::internals::server::admin::http_admin_server::AdminServerConfig;
use zookeeper_server::internals::server::admin::http_message::{
    Body, Framing, Head, Response, Status,
};
use zookeeper_server::internals::server::auth::authentication_provider::HttpAuthRequest;
use zookeeper_server::internals::server::auth::provider_registry::ProviderRegistry;
use zookeeper_server::internals::server::auth::server_authentication_provider::MatchValues;
use zookeeper_server::internals::server::command::four_letter_commands::FourLetterCommands;
use zookeeper_server::internals::server::container_manager::ContainerManagerConfig;
use zookeeper_server::internals::server::data_tree::DataTreeConfig;
use zookeeper_server::internals::server::ephemeral_type::EphemeralTypes;
use zookeeper_server::internals::server::persistence::file_txn_snap_log::FileTxnSnapLogConfig;
use zookeeper_server::internals::server::persistence::snap_stream::StreamMode;
use zookeeper_server::internals::server::persistence::util::{
    is_log_file_name, is_snapshot_file_name, zxid_from_name,
};
use zookeeper_server::internals::server::quorum::quorum_peer_config::QuorumPeerConfig;
use zookeeper_server::internals::server::quorum::quorum_peer_config::dynamic_file::version_from_filename;
use zookeeper_server::internals::server::quorum::quorum_server::QuorumServer;
use zookeeper_server::internals::server::server_config::ServerConfig;
use zookeeper_server::internals::server::server_settings::ServerSettings;
use zookeeper_server::internals::server::watch::watch_manager_factory::WatchManagerConfig;
use zookeeper_server::internals::server::zookeeper_server::access::AccessConfig;
use zookeeper_server::internals::stats_track::StatsTrack;
use zookeeper_server::internals::zk_util::perm_string;
use zookeeper_server::internals::zookeeper_main::words;

use super::temporary::TempDir;

thread_local! {
    static DIR: TempDir = TempDir::new();
}

/// Uses a result whose value does not matter here.
fn only_read<T>(_value: T) {}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Resolves addresses but no names, so no name server is asked.
fn resolve(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// The names of the files in a data directory.
pub fn data_directory_names(bytes: &[u8]) {
    for name in text(bytes).lines() {
        for prefix in ["log", "snapshot", ""] {
            only_read(zxid_from_name(name, prefix));
        }
        let is_both = is_log_file_name(name) && is_snapshot_file_name(name);
        assert!(!is_both, "{name}");
        only_read(StreamMode::from_file_name(name));
        only_read(version_from_filename(name));
    }
}

/// A properties file.
pub fn properties(bytes: &[u8]) {
    match Properties::load(bytes) {
        Ok(properties) => {
            for property in properties.iter() {
                assert_eq!(properties.get(&property.key), Some(property.value.as_str()));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Settings from system properties.
pub fn settings(bytes: &[u8]) {
    let Ok(file) = Properties::load(bytes) else { return };
    let pairs = file.iter().map(|property| (property.key.as_str(), property.value.as_str()));
    let properties = SystemProperties::from_pairs(pairs);
    for (key, value) in properties.iter() {
        only_read(decode_number(value));
        only_read(properties.fraction(key));
    }
    let settings = ServerSettings::new(&ServerConfig::new(None, "/nowhere"), &properties);
    take_settings(&settings, &properties);
}

/// Creates every configuration that a server creates from its settings before it starts.
fn take_settings(settings: &ServerSettings, properties: &SystemProperties) {
    assert!(settings.limits.max_length() <= i32::MAX as usize);
    only_read(DataTreeConfig::from_properties(properties, Limits::default()));
    only_read(FileTxnSnapLogConfig::from_properties(properties));
    only_read(FourLetterCommands::from_properties(properties));
    only_read(ContainerManagerConfig::from_properties(properties));
    only_read(WatchManagerConfig::from_properties(properties));
    only_read(AccessConfig::from_properties(properties));
    only_read(EphemeralTypes::from_properties(properties));
    only_read(AdminCommandsConfig::from_properties(properties));
    let _refused = AdminServerConfig::from_properties(properties);
    let _refused = ProviderRegistry::from_properties(properties, &SystemClock::shared());
}

/// The file zoo.cfg.
pub fn zoo_cfg(bytes: &[u8]) {
    DIR.with(|dir| {
        dir.clear();
        let path = dir.path().join("zoo.cfg");
        fs::write(&path, bytes).unwrap();
        let mut properties = SystemProperties::new();
        match QuorumPeerConfig::parse_with(&path, &mut properties, &resolve) {
            Ok(config) => {
                let _refused = config.check_supported(&properties);
                config.warn_of_what_has_no_effect(&properties);
                let settings = ServerSettings::new(&config.server_config(), &properties);
                take_settings(&settings, &properties);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

/// The dynamic configuration file that zoo.cfg names, and the `.next` file beside it.
pub fn dynamic_config(bytes: &[u8]) {
    DIR.with(|dir| {
        dir.clear();
        let path = dir.path().join("zoo.cfg");
        let dynamic = dir.path().join("zoo.cfg.dynamic");
        let config =
            format!("dataDir={}\ndynamicConfigFile={}\n", dir.path().display(), dynamic.display());
        fs::write(&path, config).unwrap();
        fs::write(&dynamic, bytes).unwrap();
        fs::write(dir.path().join("zoo.cfg.dynamic.next"), bytes).unwrap();
        fs::write(dir.path().join("myid"), "1").unwrap();
        for multi_address in ["true", "false"] {
            let pairs = [("zookeeper.multiAddress.enabled", multi_address)];
            let mut properties = SystemProperties::from_pairs(pairs);
            match QuorumPeerConfig::parse_with(&path, &mut properties, &resolve) {
                Ok(config) => assert!(config.last_seen_quorum_members.is_some()),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
    for line in text(bytes).lines() {
        let server = line.split_once('=').map_or(line, |(_, server)| server);
        let _refused = QuorumServer::parse(Sid(1), server, true, &resolve);
    }
}

/// The file myid.
pub fn my_id(bytes: &[u8]) {
    DIR.with(|dir| {
        dir.clear();
        let path = dir.path().join("zoo.cfg");
        fs::write(dir.path().join("myid"), bytes).unwrap();
        fs::write(&path, format!("dataDir={}\nclientPort=1\n", dir.path().display())).unwrap();
        let mut properties = SystemProperties::new();
        let config = QuorumPeerConfig::parse_with(&path, &mut properties, &resolve);
        assert!(
            config.is_ok_and(|config| config.server_id.is_some()) || !bytes.is_ascii() || {
                let first = text(bytes);
                let first = first.split(['\n', '\r']).next().unwrap_or_default();
                // Java uses -1 for "no id".
                first.parse::<i64>().map_or(true, |id| id == -1)
            }
        );
    });
}

/// The paths of nodes.
pub fn paths(bytes: &[u8]) {
    let text = text(bytes);
    let mut trie = PathTrie::new();
    for path in text.lines() {
        let is_valid = path_utils::validate_path(path).is_ok();
        let _refused = path_utils::validate_sequential_path(path);
        only_read(path_utils::java_length(path));
        let top = path_utils::top_namespace(path);
        assert!(top.is_none_or(|top| path.contains(top)), "{path}");
        if let Some((parent, name)) = path_utils::split_last(path) {
            assert!(!is_valid || path == "/" || !name.is_empty(), "{parent} {name}");
        }
        only_read(quotas::trim_quota_path(path));
        trie.add_path(path);
        only_read(trie.find_max_prefix(path));
    }
    for path in text.lines() {
        trie.delete_path(path);
    }
    assert!(trie.is_empty());
    if let Some(flag) = bytes.first_chunk::<4>() {
        let flag = i32::from_be_bytes(*flag);
        let is_as_written = CreateMode::from_flag(flag).is_ok_and(|mode| mode.flag() == flag);
        assert!(is_as_written || !(0..=6).contains(&flag), "{flag}");
    }
}

/// The texts of limits and usages in nodes.
pub fn quota_texts(bytes: &[u8]) {
    match StatsTrack::from_data(Some(bytes)) {
        Ok(stats) => {
            let written = stats.stats_bytes();
            let again = StatsTrack::from_data(Some(&written)).expect("what was written is read");
            assert_eq!(again.stats_bytes(), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The ids of ACLs, and credentials.
pub fn auth_ids(bytes: &[u8]) {
    let text = text(bytes);
    let (id, entry) = text.split_once('\n').unwrap_or((&text, &text));
    let properties = SystemProperties::from_pairs([
        ("zookeeper.authProvider.1", "org.apache.zookeeper.server.auth.KeyAuthenticationProvider"),
        (
            "zookeeper.authProvider.2",
            "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
        ),
        ("zookeeper.IPAuthenticationProvider.usexforwardedfor", "true"),
    ]);
    let registry = ProviderRegistry::from_properties(&properties, &SystemClock::shared()).unwrap();
    let request =
        HttpAuthRequest { remote_ip: IpAddr::from([127, 0, 0, 1]), x_forwarded_for: Some(id) };
    for scheme in ["ip", "digest", "auth", "key", "ensemble", id] {
        let Some(provider) = registry.server_provider(scheme) else { continue };
        only_read(provider.is_valid(entry));
        only_read(provider.user_name(id));
        let ids = Id { scheme: scheme.to_owned(), id: id.to_owned() };
        only_read(provider.matches(&MatchValues {
            path: Some("/a"),
            id: &ids.id,
            acl_expr: entry,
            perm: 1,
            set_acls: None,
        }));
        let _refused = provider.handle_http_authentication(&request, Some(bytes));
    }
    let mut console =
        Console { out: &mut io::sink(), err: &mut io::sink(), events: None, print_watches: false };
    for acl in acl_parser::parse(&mut console, &text) {
        assert!((0..32).contains(&acl.perms), "{acl:?}");
        only_read(perm_string(acl.perms));
    }
}

/// Requests to the admin server, one after the other as on a persistent connection.
pub fn http_request(bytes: &[u8]) {
    let mut input = bytes;
    while !input.is_empty() {
        let head = match Head::read(&mut input) {
            Ok(head) => head,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        only_read(head.wants_close());
        only_read(head.parameter("a"));
        only_read(Response::to_other_method(&head.method));
        let response = Response::error_page(Status::BAD_REQUEST, &head.path);
        assert!(
            response
                .with_header("X-Path", &head.path)
                .write(&mut io::sink(), 0, false, false)
                .is_ok()
        );
        let Ok(framing) = head.body_framing() else { return };
        if let Framing::Length(length) = framing {
            assert!(head.header("content-length").is_some() || length == 0);
        }
        let mut body = Body::new(&mut input, framing, Some(io::sink()));
        let read = io::copy(&mut body, &mut io::sink());
        if read.is_err() || !body.is_done() {
            assert!(!body.drain(1 << 20) || body.is_done());
            return;
        }
        assert!(body.read(&mut [0; 8]).is_ok_and(|len| len == 0));
    }
}

/// The connect string of a client.
pub fn connect_strings(bytes: &[u8]) {
    match ConnectStringParser::new(&text(bytes)) {
        Ok(parsed) => assert!(!parsed.server_addresses.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let text = text(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    let _refused = ServerConfig::parse_args(&words);
}

/// Lines that a user types into the shell, as far as they need no server.
pub fn cli_lines(bytes: &[u8]) {
    for line in text(bytes).lines() {
        let words = words::split(line);
        for command in COMMANDS {
            match command.parse(&words, 1) {
                Ok(line) => assert!(line.args.len() <= words.len()),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}
