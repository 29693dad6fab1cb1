//! Compares how this server and Java 3.9.5 read configuration files (no Java twin). `tests/java/ReadConfig.java`
//! prints Java's side.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zookeeper_server::internals::common::net_utils::InetSocketAddress;
use zookeeper_server::internals::common::properties::Properties;
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::server::quorum::quorum_peer_config::QuorumPeerConfig;

/// The number of files that are compared.
const FILES: u64 = 4_000;

/// A generator of random numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const KEYS: &[&str] = &[
    "clientPort",
    "clientPortAddress",
    "secureClientPort",
    "secureClientPortAddress",
    "observerMasterPort",
    "clientPortListenBacklog",
    "tickTime",
    "maxClientCnxns",
    "minSessionTimeout",
    "maxSessionTimeout",
    "initLimit",
    "syncLimit",
    "connectToLearnerMasterLimit",
    "electionAlg",
    "quorumListenOnAllIPs",
    "peerType",
    "syncEnabled",
    "autopurge.snapRetainCount",
    "autopurge.purgeInterval",
    "standaloneEnabled",
    "reconfigEnabled",
    "sslQuorum",
    "portUnification",
    "localSessionsEnabled",
    "localSessionsUpgradingEnabled",
    "quorum.auth.enableSasl",
    "quorum.auth.serverRequireSasl",
    "quorum.auth.learnerRequireSasl",
    "quorum.cnxn.threads.size",
    "jvm.pause.monitor",
    "jvm.pause.sleep.time.ms",
    "metricsProvider.className",
    "metricsProvider.httpPort",
    "dataLogDir",
    "snapCount",
    "4lw.commands.whitelist",
    "authProvider.1",
    "version",
];

const VALUES: &[&str] = &[
    "1",
    "2",
    "3",
    "5",
    "10",
    "2000",
    "2181",
    "-1",
    "0",
    "+7",
    "70000",
    "2147483648",
    "x",
    "",
    "true",
    "TRUE",
    "false",
    "yes",
    "observer",
    "Participant",
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "[::1]",
    "::1%lo",
    "[::1%lo]",
    "fe80::1%99",
    "::1%no.such",
    "1.2.3.4%lo",
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
    "a.B",
    "/no/log",
    "1f",
    "  8 ",
    "9\t",
];

const MEMBERS: &[&str] = &[
    "127.0.0.1:2888:3888",
    "127.0.0.2:2888:3888:observer",
    "127.0.0.3:2888:3888:Participant;2181",
    "127.0.0.4:2888:3888;127.0.0.4:2182",
    "[::1]:2888:3888;[::1]:2183",
    "[::1%lo]:2888:3888;[fe80::1%007]:2183",
    "::1%lo:2888:3888",
    "[::1%no.such]:2888:3888",
    "127.0.0.5:2888:2888",
    "127.0.0.5:2888",
    "127.0.0.5:2888:3888:voter",
    "127.0.0.6:2888:3888|127.0.0.7:2888:3888",
    "127.0.0.6:2888:3888 ",
    "127.0.0.6:2888:3888;",
    "127.0.0.6::3888",
    "[::1:2888:3888",
    "127.0.0.8:2888:70000",
];

/// Lines that matter only to the reader of the properties format.
const ODDITIES: &[&str] = &[
    "# comment \\",
    "! comment",
    "",
    "  \t",
    "a\\ b=c",
    "a\\:b:c",
    "k = v \\",
    "\\u0061=\\u00e4",
    "\\u12",
    "caf\u{e9}=\u{20ac}",
    "key",
    "=value",
    ":=x",
    "a b c",
    "a\\\\=b\\\\",
    "t=\\t\\n\\q\\=",
    "\\",
    "x=1\\\r",
];

/// The text of a random configuration file.
fn strange_file(seed: u64, data_dir: &Path) -> String {
    let mut random = Random(seed);
    let mut lines = vec!["tickTime=2000".to_owned()];
    if random.below(30) > 0 {
        lines.push(format!("dataDir={}", data_dir.display()));
    }
    for _ in 0..random.below(7) {
        let separator = random.of(&["=", " = ", ":", " "]);
        lines.push(format!("{}{separator}{}", random.of(KEYS), random.of(VALUES)));
    }
    if random.below(2) == 0 {
        lines.extend(["initLimit=10".to_owned(), "syncLimit=5".to_owned()]);
        for id in 1..=random.below(5) {
            // The first members are valid. They are chosen more often, so that valid ensembles occur.
            let choices = if random.below(3) == 0 { MEMBERS } else { &MEMBERS[..5] };
            lines.push(format!("server.{id}={}", random.of(choices)));
        }
        if random.below(3) == 0 {
            lines.push(
                random.of(&["group.1=1:2:3:4", "group.1=1", "group.2=1:1", "groups=1"]).to_owned(),
            );
            lines.push(
                random.of(&["weight.1=2", "weight.4=x", "weight.9=1", "group.2=2"]).to_owned(),
            );
        }
    }
    if random.below(4) == 0 {
        let at = random.below(lines.len() + 1);
        lines.insert(at, random.of(ODDITIES).to_owned());
    }
    lines.join(random.of(&["\n", "\r\n", "\r"]))
}

fn hex(text: &dyn Display) -> String {
    let mut hex = "x".to_owned();
    for byte in text.to_string().bytes() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

/// This server's result, in the format of `ReadConfig.java`.
fn ours(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    match Properties::load(&fs::read(path).unwrap()) {
        Ok(properties) => {
            let pairs: BTreeMap<_, _> =
                properties.iter().map(|p| (hex(&p.key), hex(&p.value))).collect();
            lines.extend(pairs.iter().map(|(key, value)| format!("pair {key} {value}")));
        }
        Err(_) => lines.push("refused pairs".into()),
    }
    let mut properties = SystemProperties::new();
    match QuorumPeerConfig::parse_with(path, &mut properties, &|_| None) {
        Ok(config) => settings(&config, &properties, &mut lines),
        Err(_) => lines.push("refused config".into()),
    }
    lines
}

fn settings(config: &QuorumPeerConfig, properties: &SystemProperties, lines: &mut Vec<String>) {
    let mut set =
        |name: &str, value: &dyn Display| lines.push(format!("set {} {}", hex(&name), hex(value)));
    let server = config.server_config();
    let address = |address: &Option<InetSocketAddress>| {
        address.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    set("client", &address(&server.client_port_address));
    set("secureClient", &address(&server.secure_client_port_address));
    set("dataDir", &server.data_dir.display());
    set("dataLogDir", &server.data_log_dir.display());
    set("tickTime", &server.tick_time_ms);
    set("maxClientCnxns", &server.max_client_cnxns);
    set("minSessionTimeout", &server.min_session_timeout_ms);
    set("maxSessionTimeout", &server.max_session_timeout_ms);
    set("listenBacklog", &server.listen_backlog);
    set("metricsProvider", &server.metrics_provider_class_name);
    for (key, value) in &server.metrics_provider_configuration {
        set(&format!("metricsProvider.{key}"), value);
    }
    let pause = &server.jvm_pause_monitor;
    let (info, warn) = (pause.info_threshold_ms, pause.warn_threshold_ms);
    set("jvmPause", &format!("{} {info} {warn} {}", pause.enabled, pause.sleep_time_ms));
    set("observerMasterPort", &config.observer_master_port);
    set("initLimit", &config.init_limit_ticks);
    set("syncLimit", &config.sync_limit_ticks);
    set("connectToLearnerMasterLimit", &config.connect_to_learner_master_limit_ticks);
    set("snapRetainCount", &config.snap_retain_count);
    set("purgeInterval", &config.purge_interval_hours);
    set("syncEnabled", &config.sync_enabled);
    set("peerType", &config.peer_type);
    let (local, upgrading) =
        (config.local_sessions_enabled, config.local_sessions_upgrading_enabled);
    set("localSessions", &format!("{local} {upgrading}"));
    set("sslQuorum", &format!("{} {}", config.ssl_quorum, config.port_unification));
    set("allIPs", &config.quorum_listen_on_all_ips);
    set("standalone", &config.standalone_enabled);
    set("reconfig", &config.reconfig_enabled);
    set("distributed", &config.is_distributed());
    set("serverId", &config.server_id.map_or(-1, |id| id.0));
    set("version", &config.quorum_members.version);
    for (id, server) in &config.quorum_members.servers {
        set(&format!("server.{id}"), server);
    }
    for (key, value) in properties.iter().filter(|(key, _)| key.starts_with("zookeeper.")) {
        set("property", &format!("{key}={value}"));
    }
}

/// Java's results: the lines for each file.
fn javas(paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java/read_config.sh");
    let mut java =
        Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let list: String = paths.iter().map(|path| format!("{}\n", path.display())).collect();
    java.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let output = java.wait_with_output().unwrap();
    assert!(output.status.success(), "the script has failed");
    let mut answers: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some(path) = line.strip_prefix("file ") {
            current = Some(answers.entry(path.into()).or_default());
        } else if let Some(lines) = &mut current {
            lines.push(line.to_owned());
        }
    }
    answers
}

/// Intended differences. This server refuses a tick below 1, which Java accepts if the timeouts are set, and a number
/// that is no port for observers, with which Java's followers cannot follow. This server accepts a path of one character,
/// on which Java fails (StringIndexOutOfBoundsException).
fn differs_on_purpose(text: &str) -> bool {
    text.split(['\n', '\r']).any(|line| {
        let value = line.trim().rsplit(['=', ':', ' ', '\t']).next().unwrap_or_default();
        (line.starts_with("tickTime") && value == "-1")
            || (line.trim_start().starts_with("observerMasterPort") && value == "70000")
            || (line.starts_with("dataLogDir") && value.len() < 2)
    })
}

#[test]
#[ignore = "needs Java's ZooKeeper 3.9.5"]
fn a_configuration_means_what_java_takes_it_for() {
    let directory = std::env::temp_dir().join(format!("zk-interop-config-{}", std::process::id()));
    let data_dir = directory.join("data");
    fs::create_dir_all(&data_dir).unwrap();
    fs::write(data_dir.join("myid"), "2\n").unwrap();
    let mut paths = Vec::new();
    for seed in 0..FILES {
        let path = directory.join(format!("{seed}.cfg"));
        fs::write(&path, strange_file(seed, &data_dir)).unwrap();
        paths.push(path);
    }
    let answers = javas(&paths);
    let mut differences = Vec::new();
    let mut taken = 0;
    for path in &paths {
        let (java, ours) = (&answers[path], ours(path));
        taken += usize::from(!java.contains(&"refused config".to_owned()));
        let text = fs::read_to_string(path).unwrap();
        if *java != ours && !differs_on_purpose(&text) {
            let only = |one: &[String], other: &[String]| {
                let lines = one.iter().filter(|line| !other.contains(line));
                lines.map(|line| decode(line)).collect::<Vec<_>>()
            };
            differences.push(format!(
                "--- {}\n{text}\njava: {:?}\nours: {:?}",
                path.display(),
                only(java, &ours),
                only(&ours, java)
            ));
        }
    }
    fs::remove_dir_all(&directory).unwrap();
    assert!(taken > paths.len() / 10, "only {taken} files were no errors: the test tests little");
    let shown = differences.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} files differ:\n{shown}", differences.len());
}

/// A line with its hexadecimal texts decoded.
fn decode(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let bytes = word.strip_prefix('x')?.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = bytes.chunks(2).map(byte).collect();
        String::from_utf8(bytes?).ok()
    });
    let plain = line.split(' ').zip(words);
    plain.map(|(word, text)| text.unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>().join(" ")
}
