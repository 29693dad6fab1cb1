//! Tests of the admin commands against captured answers of a Java server (no Java twin).

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::*;
use crate::common::time::ManualClock;
use crate::data::ACL;
use crate::ids::{SessionId, Zxid};
use crate::server::admin::admin_context::{
    EnsembleContext, LeaderView, MemberView, ObserversView, TakenSnapshot, ZabStateView,
};
use crate::server::admin::json_outputter::{self, Json};
use crate::server::command::test_context::TestContext;
use crate::server::persistence::snapshot_info::SnapshotInfo;
use crate::server::watch::watches_path_report::WatchesPathReport;
use crate::server::watch::watches_report::WatchesReport;
use crate::server::watch::watches_summary::WatchesSummary;
use crate::server::zoo_trace;
use crate::server::zookeeper_server_conf::ZooKeeperServerConf;
use crate::version;
use crate::zoo_defs::ids;

impl AdminContext for TestContext {
    fn conf(&self) -> ZooKeeperServerConf {
        ZooKeeperServerConf {
            client_port: 31811,
            data_dir: "/tmp/d1/version-2".into(),
            data_log_dir: "/tmp/d1/version-2".into(),
            tick_time_ms: 2000,
            max_client_cnxns_per_host: 60,
            min_session_timeout_ms: 4000,
            max_session_timeout_ms: 40000,
            server_id: 0,
            client_port_listen_backlog: -1,
        }
    }
    fn initial_config(&self) -> String {
        "tickTime=2000\nssl.keyStore.password=hush\nssl.keyStore.passwordPath=/p\n#password=x\n"
            .into()
    }
    fn session_expiry_map(&self) -> BTreeMap<i64, std::collections::BTreeSet<SessionId>> {
        BTreeMap::from([
            (1_642_000, [SessionId(72_057_696_972_963_841)].into()),
            (1_662_000, [SessionId(72_057_696_972_963_840)].into()),
        ])
    }
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        vec![
            (SessionId(72_057_696_972_963_841), vec!["/a/f".into()]),
            (SessionId(72_057_696_972_963_840), vec!["/a/g\"ä€".into(), "/a/e".into()]),
        ]
    }
    fn watches(&self) -> WatchesReport {
        let paths = [Arc::from("/a"), Arc::from("/nonex")].into();
        WatchesReport::new(BTreeMap::from([(SessionId(72_057_696_972_963_841), paths)]))
    }
    fn watches_by_path(&self) -> WatchesPathReport {
        let sessions = [SessionId(1), SessionId(2)].into();
        WatchesPathReport::new(BTreeMap::from([(Arc::from("/a"), sessions)]))
    }
    fn watches_summary(&self) -> WatchesSummary {
        WatchesSummary { num_connections: 2, num_paths: 2, total_watches: 3 }
    }
    fn last_snapshot_info(&self) -> Option<SnapshotInfo> {
        Some(SnapshotInfo { zxid: Zxid(0x1a), timestamp: 1_795_249_849 })
    }
    fn is_serialize_last_processed_zxid_enabled(&self) -> bool {
        true
    }
    fn take_snapshot(&self) -> Result<TakenSnapshot, String> {
        let path = self.snapshot.clone().ok_or("the disk is full")?;
        Ok(TakenSnapshot { path, last_zxid: Zxid(0x1a) })
    }
    fn provider_registry(&self) -> &crate::server::auth::provider_registry::ProviderRegistry {
        &self.providers
    }
    fn node_acl(&self, path: &str) -> Option<Arc<[ACL]>> {
        (path == "/").then(|| self.root_acl.clone().into())
    }
    fn check_admin_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        _path: &str,
    ) -> Result<(), KeeperError> {
        let allows = |entry: &ACL| {
            entry.perms & perm != 0
                && (entry.id == ids::anyone_id_unsafe() || ids.contains(&entry.id))
        };
        if acl.iter().any(allows) { Ok(()) } else { Err(KeeperError::NoAuth) }
    }
    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        self.is_member.then_some(self)
    }
}

impl EnsembleContext for TestContext {
    fn leader(&self) -> LeaderView {
        LeaderView { is_leader: true, leader_id: 3, leader_address: None }
    }
    fn observers(&self) -> Option<ObserversView> {
        let observers = vec![Json::object([("sid", 5_i64.into())])];
        Some(ObserversView { synced_observers: 1, observers })
    }
    fn learner_master(&self) -> Option<i64> {
        Some(2)
    }
    fn set_learner_master(&self, desired: &str) -> bool {
        desired == "3"
    }
    fn voting_view(&self) -> Vec<(i64, MemberView)> {
        let view = MemberView {
            server_addresses: vec!["h:2888".into()],
            election_addresses: vec!["h:3888".into()],
            client_address: String::new(),
            is_participant: true,
        };
        vec![(3, view)]
    }
    fn zab_state(&self) -> ZabStateView {
        ZabStateView {
            my_id: 3,
            is_leader: true,
            learner_address: "h:2888".into(),
            election_address: "h:3888".into(),
            client_address: Json::Null,
            voting: true,
            zab_state: "broadcast".into(),
        }
    }
}

const REQUEST: HttpAuthRequest<'static> =
    HttpAuthRequest { remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), x_forwarded_for: None };

pub(crate) fn commands(pairs: &[(&str, &str)]) -> (Arc<ManualClock>, Commands) {
    let properties = SystemProperties::from_pairs(pairs.iter().copied());
    let clock = Arc::new(ManualClock::new(1_000_000));
    let commands = Commands::new(CommandsParts {
        config: AdminCommandsConfig::from_properties(&properties),
        metrics: ServerMetrics::with_default_provider(),
        clock: clock.clone(),
        properties,
    });
    (clock, commands)
}

fn run_with(
    commands: &Commands,
    server: &TestContext,
    name: &str,
    kwargs: &[(&str, &str)],
    auth_info: Option<&str>,
) -> CommandResponse {
    let kwargs: Vec<_> =
        kwargs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    commands.run_get_command(name, Some(server), &kwargs, auth_info, &REQUEST)
}

/// The answer without layout white space.
fn compact(response: &CommandResponse) -> String {
    let text = json_outputter::output(&response.json_entries());
    text.lines().map(str::trim).collect::<String>().replace(" : ", ":").replace(", ", ",")
}

#[test]
fn every_command_of_java_is_there_under_all_its_names() {
    // Java has all but `learner_master`.
    let all = "configuration connection_stat_reset connections dirs dump environment \
                get_trace_mask \
                hash initial_configuration is_read_only last_snapshot leader learner_master monitor \
                observer_connection_stat_reset observers restore ruok server_stats set_trace_mask \
                snapshot stat_reset stats system_properties voting_view watch_summary watches \
                watches_by_path zabstate";
    assert_eq!(Commands::primary_names().join(" "), all);
    let aliases = "crst conf config cons env envi gtmk icfg isro lsnp lead mntr orst rest \
                   stmk snap \
                   srvr stat srst obsr sysp wchc wchp wchs";
    for alias in aliases.split_whitespace() {
        assert!(Commands::command(alias).is_some(), "{alias}");
    }
}

/// Answers in the layout of a Java 3.9.5 server, with the values of the test's server. Names, order and white
/// space are Java's.
const ANSWERS: &str = include_str!("../../../../tests/compat_data/admin_answers_3.9.5.txt");

#[test]
fn answers_are_those_of_a_java_server() {
    let mut names = Vec::new();
    for section in ANSWERS.split("## ").skip(1) {
        let (name, answer) = section.split_once('\n').unwrap();
        let response = run_with(&commands(&[]).1, &TestContext::default(), name, &[], None);
        let text =
            json_outputter::output(&response.json_entries()).replace(&version::full_version(), "V");
        assert_eq!(text, answer.trim_end(), "{name}");
        names.push(name);
    }
    assert_eq!(names.len(), 21, "{names:?}");
}

#[test]
fn metrics_are_shown_with_a_server_and_without_one() {
    let (_, commands) = commands(&[]);
    commands.parts.metrics.read_latency.add(3);
    let with = compact(&run_with(&commands, &TestContext::default(), "mntr", &[], None));
    assert!(
        with.starts_with(r#"{"version":"3.9.5-test","server_state":"standalone","watch_bytes":0,"#)
    );
    assert!(with.contains(r#""avg_readlatency":3.0,"min_readlatency":3,"#));
    let without = compact(&commands.run_get_command("monitor", None, &[], None, &REQUEST));
    assert!(without.starts_with(r#"{"watch_bytes":0,"#));
    assert!(without.ends_with(r#""command":"monitor","error":null}"#));
}

#[test]
fn commands_that_need_a_serving_server_say_so() {
    let (_, commands) = commands(&[]);
    let stopped = TestContext { running: false, ..TestContext::default() };
    for command in COMMANDS.iter().filter(|command| command.is_server_required()) {
        let name = command.primary_name();
        for server in [None, Some(&stopped as &dyn AdminContext)] {
            let response = commands.run_get_command(name, server, &[], None, &REQUEST);
            assert_eq!(response.status(), Status::OK);
            let error = "This ZooKeeper instance is not currently serving requests";
            assert_eq!(compact(&response), format!(r#"{{"command":"{name}","error":"{error}"}}"#));
        }
    }
}

#[test]
fn the_trace_mask_is_changed_by_a_number_only() {
    let (_, commands) = commands(&[]);
    let server = TestContext::default();
    let set = |kwargs| compact(&run_with(&commands, &server, "stmk", kwargs, None));
    assert_eq!(
        set(&[]),
        r#"{"error":"setTraceMask requires long traceMask argument","command":"set_trace_mask"}"#
    );
    assert_eq!(
        set(&[("traceMask", "x")]),
        "{\"error\":\"setTraceMask requires long traceMask argument,got x\",\
         \"command\":\"set_trace_mask\"}"
    );
    assert_eq!(
        set(&[("traceMask", "306")]),
        r#"{"tracemask":306,"command":"set_trace_mask","error":null}"#
    );
    assert_eq!(zoo_trace::text_trace_level(), 306);
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let shown = run_with(&commands(&[]).1, &TestContext::default(), "icfg", &[], None);
    assert_eq!(
        compact(&shown),
        "{\"initial_configuration\":\"tickTime=2000\\nssl.keyStore.password=***\\n\
         ssl.keyStore.passwordPath=/p\\n#password=x\\n\",\
         \"command\":\"initial_configuration\",\"error\":null}"
    );
    let (_, commands) = commands(&[
        ("zookeeper.DigestAuthenticationProvider.superDigest", "super:hash"),
        ("zookeeper.snapCount", "500"),
        ("user.name", "zk"),
    ]);
    let text = compact(&run_with(&commands, &TestContext::default(), "sysp", &[], None));
    for part in [
        r#""os.name":"Linux","#,
        r#""user.name":"zk","#,
        r#""zookeeper.DigestAuthenticationProvider.superDigest":"***","#,
        r#""zookeeper.snapCount":"500","#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("host.name") && !text.contains("hash"));
}

fn temporary_file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_snapshot_needs_somebody_who_may_do_everything_with_the_root() {
    let (clock, commands) = commands(&[]);
    let path = temporary_file("zk-admin-snapshot", b"ZKSN");
    let mut server = TestContext { snapshot: Some(path.clone()), ..TestContext::default() };
    let try_as = |auth_info: Option<&str>, server: &TestContext| {
        clock.advance(1_000_000);
        let mut response = run_with(&commands, server, "snap", &[], auth_info);
        let stream = response.take_stream().is_some();
        (response.status().0, stream, compact(&response))
    };
    let named = |error: &str| format!(r#"{{"command":"snap","error":"{error}"}}"#);
    let missing = named("Auth info is missing for the command");
    assert_eq!(try_as(None, &server), (401, false, missing));
    for wrong in ["digest", "digest ", "foo x", "digest a b", "", "x509"] {
        let expected = (401, false, named("Not authenticated"));
        assert_eq!(try_as(Some(wrong), &server), expected, "{wrong:?}");
    }
    let (status, stream, _) = try_as(Some("digest a:b"), &server);
    assert_eq!((status, stream), (200, true));
    let (status, stream, _) = try_as(Some("ip"), &server);
    assert_eq!((status, stream), (200, true));
    server.root_acl[0].perms = perms::ALL & !perms::ADMIN;
    let expected = (403, false, named("Not authorized"));
    assert_eq!(try_as(Some("digest a:b"), &server), expected);
    fs::remove_file(path).unwrap();
}

#[test]
fn an_observer_is_moved_by_somebody_who_may_do_everything_with_the_root() {
    let (_, commands) = commands(&[]);
    let member = TestContext { is_member: true, ..TestContext::default() };
    let answer = |server: &TestContext, kwargs: &[(&str, &str)], auth_info| {
        compact(&run_with(&commands, server, "learner_master", kwargs, auth_info))
    };
    let missing = "Auth info is missing for the command";
    assert!(answer(&member, &[("to", "3")], None).contains(missing));
    let told = |id: i64, more: &str| {
        format!(
            "{{{more}\"learner_master_id\":{id},\"command\":\"learner_master\",\"error\":null}}"
        )
    };
    assert_eq!(answer(&member, &[], Some("ip")), told(2, ""));
    assert_eq!(answer(&member, &[("to", "3")], Some("ip")), told(2, ""));
    let refused = "\"reason\":\"Not a valid learner master\",";
    assert_eq!(answer(&member, &[("to", "4")], Some("ip")), told(2, refused));
    assert_eq!(answer(&TestContext::default(), &[("to", "3")], Some("ip")), told(-1, ""));
}

#[test]
fn a_snapshot_is_told_by_headers_and_limited_in_number() {
    let (clock, commands) = commands(&[]);
    let path = temporary_file("zk-admin-limited", b"ZKSN");
    let empty = temporary_file("zk-admin-empty", b"");
    let server = TestContext { snapshot: Some(path.clone()), ..TestContext::default() };
    let snap = |server: &TestContext, kwargs| {
        let mut response = run_with(&commands, server, "snapshot", kwargs, Some("ip"));
        (response.status().0, response.take_stream().is_some(), response.headers().to_vec())
    };
    let headers = [("last_zxid", "0x1a"), ("snapshot_size", "4")];
    let headers: Vec<_> = headers.map(|(name, value)| (name.into(), value.into())).into();
    assert_eq!(snap(&server, &[("streaming", "false")]), (200, false, headers));
    assert_eq!(snap(&server, &[]), (429, false, Vec::new()));
    // The interval, set in milliseconds, is taken as microseconds.
    clock.advance(301);
    let broken = TestContext { snapshot: Some(empty.clone()), ..TestContext::default() };
    assert_eq!(snap(&broken, &[]).0, 500);
    clock.advance(301);
    assert_eq!(snap(&TestContext::default(), &[]).0, 500);
    let metrics = &commands.parts.metrics;
    assert_eq!(metrics.snapshot_rate_limited_count.value(), 1);
    assert_eq!(metrics.snapshot_error_count.value(), 2);
    let off = self::commands(&[("zookeeper.admin.snapshot.enabled", "false")]).1;
    assert_eq!(run_with(&off, &server, "snap", &[], Some("ip")).status().0, 503);
    fs::remove_file(path).unwrap();
    fs::remove_file(empty).unwrap();
}

#[test]
fn a_restore_says_what_to_do_instead_however_often_it_is_asked_for() {
    let (_, commands) = commands(&[]);
    let server = TestContext::default();
    let restore = |commands: &Commands| {
        let (mut body, auth_info) = (b"snapshot".as_slice(), Some("digest a:b"));
        commands.run_post_command("rest", Some(&server), &mut body, auth_info, &REQUEST)
    };
    for _ in 0..3 {
        let refused = restore(&commands);
        assert_eq!(refused.status().0, 500);
        let text = compact(&refused);
        assert!(text.contains("stop the server"), "{text}");
    }
    let off = self::commands(&[("zookeeper.admin.restore.enabled", "false")]).1;
    assert_eq!(restore(&off).status().0, 503);
    let metrics = &commands.parts.metrics;
    assert_eq!(metrics.restore_rate_limited_count.value(), 0);
    assert_eq!(metrics.restore_error_count.value(), 3);
}

#[test]
fn the_wrong_method_is_refused() {
    let (_, commands) = commands(&[]);
    let server = TestContext::default();
    let response = run_with(&commands, &server, "restore", &[], Some("ip"));
    assert_eq!(response.status(), Status::METHOD_NOT_ALLOWED);
    let mut body: &[u8] = b"";
    let response = commands.run_post_command("ruok", Some(&server), &mut body, None, &REQUEST);
    assert_eq!(response.status(), Status::METHOD_NOT_ALLOWED);
}

#[test]
fn a_member_of_an_ensemble_tells_of_the_others() {
    let (_, commands) = commands(&[]);
    let server = TestContext { is_member: true, ..TestContext::default() };
    let get = |name: &str| compact(&run_with(&commands, &server, name, &[], None));
    assert_eq!(
        get("lead"),
        r#"{"is_leader":true,"leader_id":3,"leader_ip":"","command":"leader","error":null}"#
    );
    assert_eq!(
        get("obsr"),
        r#"{"synced_observers":1,"observers":[ {"sid":5} ],"command":"observers","error":null}"#
    );
    let voters = r#"{"server_addresses":[ "h:2888" ],"election_addresses":[ "h:3888" ],"#;
    let rest = r#""client_address":"","learner_type":"participant"}},"#;
    let end = r#""command":"voting_view","error":null}"#;
    assert_eq!(get("voting_view"), format!(r#"{{"current_config":{{"3":{voters}{rest}{end}"#));
    let addresses = r#""quorum_address":"h:2888","election_address":"h:3888","#;
    let zxid = r#""voting":true,"last_zxid":"0x1a","zab_epoch":0,"zab_counter":26,"#;
    let end = r#""zabstate":"broadcast","command":"zabstate","error":null}"#;
    let start = r#"{"myid":3,"is_leader":true,"#;
    let client = r#""client_address":null,"#;
    assert_eq!(get("zabstate"), format!("{start}{addresses}{client}{zxid}{end}"));
}
