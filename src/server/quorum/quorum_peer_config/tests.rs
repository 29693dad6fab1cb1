//! Tests of [`QuorumPeerConfig`] (no Java twin: QuorumPeerConfigTest is near).

use super::*;

fn parse(text: &str) -> Result<QuorumPeerConfig, ConfigError> {
    parse_with_properties(text, &mut SystemProperties::new())
}

fn parse_with_properties(
    text: &str,
    properties: &mut SystemProperties,
) -> Result<QuorumPeerConfig, ConfigError> {
    let settings = Properties::load(text.as_bytes()).unwrap();
    QuorumPeerConfig::parse_properties(&settings, Path::new("zoo.cfg"), properties, &|_| None)
}

const DATA: &str = "dataDir=/no/such/dir\n";

/// A temporary directory, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("zookeeper-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file
    }

    fn parse(&self, name: &str) -> Result<QuorumPeerConfig, ConfigError> {
        let mut properties = SystemProperties::new();
        QuorumPeerConfig::parse_with(&self.0.join(name), &mut properties, &|_| None)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_sample_gives_javas_values() {
    let text =
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zookeeper\nclientPort=2181\n";
    let config = parse(text).unwrap();
    let server = config.server_config();
    assert_eq!(server.client_port_address, Some(InetSocketAddress::any(2181)));
    assert_eq!((server.min_session_timeout_ms, server.max_session_timeout_ms), (4_000, 40_000));
    assert_eq!((server.max_client_cnxns, server.listen_backlog), (60, -1));
    assert_eq!(server.data_log_dir, Path::new("/tmp/zookeeper"));
    assert_eq!((config.snap_retain_count, config.purge_interval_hours), (3, 0));
    assert!(!config.is_distributed());
    config.check_supported(&SystemProperties::new()).unwrap();
}

#[test]
fn a_key_without_a_field_becomes_a_property_and_wins_over_the_command_line() {
    let mut properties =
        SystemProperties::from_pairs([("zookeeper.snapCount", "7"), ("zookeeper.other", "1")]);
    let text =
        format!("{DATA}snapCount = 500 \n4lw.commands.whitelist=*\nmetricsProvider.httpPort=7000");
    let config = parse_with_properties(&text, &mut properties).unwrap();
    assert_eq!(properties.get("zookeeper.snapCount"), Some("500"));
    assert_eq!(properties.get("zookeeper.4lw.commands.whitelist"), Some("*"));
    assert_eq!(properties.get("zookeeper.other"), Some("1"));
    assert_eq!(properties.get("zookeeper.dataDir"), None);
    assert_eq!(config.metrics_provider_configuration["httpPort"], "7000");
}

#[test]
fn what_java_refuses_is_refused_with_file_line_and_key() {
    for (text, message) in [
        ("", "zoo.cfg: dataDir is not set"),
        ("dataDir=", "zoo.cfg:1: dataDir=: dataDir is not set"),
        ("dataDir=/d\ntickTime=0", "zoo.cfg:2: tickTime=0: tickTime is not set"),
        ("dataDir=/d\ntickTime=-5", "above 0"),
        ("dataDir=/d\ntickTime=2s", "zoo.cfg:2: tickTime=2s: a whole number from"),
        ("dataDir=/d\nclientPort=70000", "a number from 0 to 65535"),
        (
            "dataDir=/d\nclientPortAddress=a",
            "zoo.cfg:2: clientPortAddress is set but clientPort is not set",
        ),
        (
            "dataDir=/d\nsecureClientPortAddress=a",
            "secureClientPortAddress is set but secureClientPort is not set",
        ),
        (
            "dataDir=/d\nclientPort=1\nclientPortAddress=no.host",
            "zoo.cfg:3: clientPortAddress=no.host",
        ),
        ("dataDir=/d\nlocalSessionsEnabled=yes", "Choose 'true' or 'false.'"),
        ("dataDir=/d\nelectionAlg=0", "Only 3 is supported"),
        ("dataDir=/d\nobserverMasterPort=65536", "a port is a number from 1 to 65535"),
        ("dataDir=/d\npeerType=voter", "Unrecognised peertype: voter"),
        ("dataDir=/d\nminSessionTimeout=5\nmaxSessionTimeout=4", "must not be larger"),
        ("dataDir=/d\ntickTime=2000000000", "20 ticks are longer"),
        (
            "dataDir=/d\nquorum.auth.serverRequireSasl=true",
            "enableSasl is disabled, so cannot enable",
        ),
        (
            "dataDir=/d\nquorum.auth.learnerRequireSasl=true",
            "enableSasl is disabled, so cannot enable",
        ),
        (
            "dataDir=/d\nquorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true",
            "zoo.cfg:3: quorum.auth.learnerRequireSasl is disabled",
        ),
        ("dataDir=/d\nmetricsProvider.className=x.Y", "metrics provider class was not found"),
        ("dataDir=/d\nserver.1=localhost:2888:2888", "must be different"),
        ("dataDir=/d\nserver.1=a:1:2\nserver.2=b:1:2", "initLimit is not set"),
        ("dataDir=/d\ninitLimit=1\nserver.1=a:1:2\nserver.2=b:1:2", "syncLimit is not set"),
        (
            "dataDir=/d\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2",
            "myid file is missing",
        ),
        (
            "dataDir=/d\nserver.1=a:1:2\ndynamicConfigFile=x",
            "must be in a separate dynamic config file",
        ),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn booleans_are_true_and_false_in_any_case() {
    for (text, value) in [("true", true), ("True", true), ("FALSE", false), (" false ", false)] {
        let config = parse(&format!("{DATA}localSessionsEnabled={text}")).unwrap();
        assert_eq!(config.local_sessions_enabled, value, "{text}");
    }
}

#[test]
fn too_few_retained_snapshots_become_three() {
    let config = parse(&format!("{DATA}autopurge.snapRetainCount=1")).unwrap();
    assert_eq!(config.snap_retain_count, 3);
}

#[test]
fn one_server_line_is_a_server_alone_unless_standalone_is_off() {
    let text =
        format!("{DATA}initLimit=5\nsyncLimit=2\nclientPort=12345\nserver.1=127.0.0.1:2889:3889\n");
    assert!(!parse(&text).unwrap().is_distributed());
    let error = parse(&(text + "standaloneEnabled=false")).unwrap_err().to_string();
    assert!(error.contains("myid file is missing; write"), "{error}");
}

#[test]
fn the_own_line_takes_the_client_port_of_the_static_file_and_must_not_differ_from_it() {
    let directory = Directory::new("own-line");
    let data = format!("dataDir={}\n", directory.0.display());
    directory.file("myid", "1\n");
    directory.file("zoo.cfg", &format!("{data}clientPort=12345\nserver.1=127.0.0.1:2889:3889"));
    let config = directory.parse("zoo.cfg").unwrap();
    let server = &config.quorum_members.servers[&Sid(1)];
    assert_eq!(config.server_id, Some(Sid(1)));
    assert_eq!(server.client_address, Some(InetSocketAddress::any(12345)));
    assert_eq!(server.to_string(), "127.0.0.1:2889:3889:participant");

    directory.file("zoo.cfg", &format!("{data}clientPort=5\nserver.1=127.0.0.1:2:3;127.0.0.1:5"));
    let config = directory.parse("zoo.cfg").unwrap();
    assert_eq!(config.client_port_address.unwrap().to_string(), "127.0.0.1:5");

    directory.file("zoo.cfg", &format!("{data}clientPort=6\nserver.1=127.0.0.1:2:3;127.0.0.1:5"));
    let error = directory.parse("zoo.cfg").unwrap_err().to_string();
    assert!(error.contains("is different from client address found in dynamic file"), "{error}");
}

#[test]
fn a_myid_that_is_no_number_is_refused_even_without_an_ensemble() {
    let directory = Directory::new("myid");
    directory.file("zoo.cfg", &format!("dataDir={}\n", directory.0.display()));
    for text in ["one", "", "1 ", "\n1"] {
        let myid = directory.file("myid", text);
        let error = directory.parse("zoo.cfg").expect_err(text).to_string();
        assert!(error.contains(&format!("{}:1: serverid ", myid.display())), "{error}");
    }
}

#[test]
fn the_dynamic_file_names_the_members_and_its_name_the_version() {
    let directory = Directory::new("dynamic");
    let members = "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2:observer;3\n";
    let dynamic = directory.file("zoo.cfg.dynamic.1f", members);
    directory.file("myid", "3");
    let text = format!(
        "dataDir={}\ninitLimit=1\nsyncLimit=1\npeerType=participant\ndynamicConfigFile={}\n",
        directory.0.display(),
        dynamic.display()
    );
    directory.file("zoo.cfg", &text);
    let config = directory.parse("zoo.cfg").unwrap();
    assert!(config.is_distributed());
    assert_eq!(config.quorum_members.version, 0x1f);
    assert_eq!(config.peer_type, LearnerType::Observer);
    assert_eq!(config.initial_config.as_deref(), Some(text.as_str()));
    assert_eq!(config.last_seen_quorum_members, None);

    directory.file("zoo.cfg.dynamic.next", "server.1=a:1:2;3\nversion=20");
    let config = directory.parse("zoo.cfg").unwrap();
    assert_eq!(config.last_seen_quorum_members.unwrap().version, 0x20);

    directory.file("zoo.cfg.dynamic.1f", "server.1=a:1:2\nversion=1");
    let error = directory.parse("zoo.cfg").unwrap_err().to_string();
    assert!(error.contains("dynamic file shouldn't have version inside"), "{error}");
    directory.file("zoo.cfg.dynamic.1f", "server.1=a:1:2\nclientPort=1");
    let error = directory.parse("zoo.cfg").unwrap_err().to_string();
    assert!(error.contains("zoo.cfg.dynamic.1f:2: Unrecognised parameter: clientPort"), "{error}");
}

/// Java makes a copy only if zoo.cfg lists more than one member and `reconfigEnabled` is on.
#[test]
fn a_copy_of_zoo_cfg_is_kept_where_java_keeps_one() {
    let directory = Directory::new("backup");
    directory.file("myid", "1");
    let data = format!("dataDir={}\ninitLimit=1\nsyncLimit=1\n", directory.0.display());
    let two = "server.1=a:1:2\nserver.2=b:1:2\n";
    let dynamic = directory.file("members", two);
    let dynamic = format!("dynamicConfigFile={}\n", dynamic.display());
    let bak = directory.0.join("zoo.cfg.bak");
    for (lines, is_kept) in [
        (format!("{two}reconfigEnabled=true\n"), true),
        (format!("{two}reconfigEnabled=false\n"), false),
        (two.to_owned(), false),
        ("server.1=a:1:2\nreconfigEnabled=true\n".to_owned(), false),
        ("server.1=a:1:2\nstandaloneEnabled=false\nreconfigEnabled=true\n".to_owned(), true),
        (format!("{dynamic}reconfigEnabled=true\n"), false),
    ] {
        let text = format!("{data}{lines}");
        directory.file("zoo.cfg", &text);
        let _none_left = fs::remove_file(&bak);
        directory.parse("zoo.cfg").unwrap().backup_old_config().unwrap();
        assert_eq!(fs::read_to_string(&bak).ok(), is_kept.then_some(text), "{lines}");
    }
    let config = QuorumPeerConfig {
        config_file: Some("/no/such/directory/zoo.cfg".into()),
        standalone_enabled: false,
        reconfig_enabled: true,
        ..QuorumPeerConfig::default()
    };
    let error = config.backup_old_config().unwrap_err().to_string();
    assert!(error.contains("/no/such/directory/zoo.cfg: with reconfigEnabled a copy"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let file = Path::new("/no/such/zoo.cfg");
    let error = QuorumPeerConfig::parse(file, &mut SystemProperties::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Error processing /no/such/zoo.cfg: file is missing; name an existing file"
    );
}

#[test]
fn a_secure_port_brings_the_x509_provider_and_is_refused_by_name() {
    let mut properties = SystemProperties::new();
    let text = format!("{DATA}secureClientPort=12345");
    let config = parse_with_properties(&text, &mut properties).unwrap();
    assert_eq!(
        properties.get("zookeeper.authProvider.x509"),
        Some("org.apache.zookeeper.server.auth.X509AuthenticationProvider")
    );
    let error = config.check_supported(&properties).unwrap_err().to_string();
    assert!(
        error
            .contains("zoo.cfg:2: secureClientPort: not supported yet: TLS for clients; remove it"),
        "{error}"
    );

    let mut properties = SystemProperties::from_pairs([("zookeeper.ssl.authProvider", "y509")]);
    let error = parse_with_properties(&text, &mut properties).unwrap_err().to_string();
    assert!(error.contains("No auth provider configured for the SSL authentication scheme 'y509'"));
}

#[test]
fn several_addresses_are_allowed_from_either_place_and_the_file_wins() {
    let text = format!("{DATA}server.1=a:1:2|b:3:4\n");
    parse(&text).unwrap_err();
    parse(&format!("{text}multiAddress.enabled=true")).unwrap();
    let on = || SystemProperties::from_pairs([("zookeeper.multiAddress.enabled", "true")]);
    parse_with_properties(&text, &mut on()).unwrap();
    parse_with_properties(&format!("{text}multiAddress.enabled=false"), &mut on()).unwrap_err();
}

#[test]
fn a_setting_that_does_nothing_is_spoken_of() {
    let mut properties = SystemProperties::new();
    let without_effect = |text: &str, properties: &mut SystemProperties| {
        parse_with_properties(text, properties).unwrap().without_effect(properties)
    };
    assert!(without_effect(DATA, &mut properties).is_empty());
    let said = without_effect(&format!("{DATA}jvm.pause.monitor=true"), &mut properties);
    assert_eq!(said, ["jvm.pause.monitor has no effect: there is no JVM that pauses"]);
    let said = without_effect(&format!("{DATA}nio.shutdownTimeout=1"), &mut properties);
    assert_eq!(
        said,
        ["zookeeper.nio.shutdownTimeout has no effect: the end waits until every worker has ended"]
    );
    let mut properties = SystemProperties::new();
    let key = "commitProcessor.numWorkerThreads=4";
    assert!(without_effect(&format!("{DATA}{key}"), &mut properties).is_empty(), "alone");
    let directory = Directory::new("without-effect");
    directory.file("myid", "1");
    let text = format!(
        "dataDir={}\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\n{key}",
        directory.0.display()
    );
    let said = without_effect(&text, &mut properties);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("zookeeper.commitProcessor.numWorkerThreads has no effect: "));
}

/// A random generator with a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }
}

/// The fragments of random files.
const PIECES: &[&str] = &[
    "dataDir",
    "/no/such/dir",
    "clientPort",
    "2181",
    "server.1",
    "server.",
    "group.1",
    "weight.2",
    "version",
    "=",
    ":",
    ";",
    "|",
    "\n",
    "\r\n",
    "\\",
    "\\u00e4",
    "\\ud83d",
    "[",
    "]",
    "::1",
    " ",
    "\t",
    "#",
    "!",
    "a:1:2",
    "observer",
    "-1",
    "99999999999999999999",
    "\u{0}",
    "\u{e4}",
    "tickTime",
    "minSessionTimeout",
    "maxSessionTimeout",
    "true",
    "multiAddress.enabled",
    "standaloneEnabled",
    "false",
    "initLimit",
    "5",
    "metricsProvider.",
    "dynamicConfigFile",
];

fn parse_something_strange(seed: u64) {
    let mut random = Random(seed);
    let mut bytes = format!("{DATA}server.1=a:1:2:participant;3\n").into_bytes();
    for _ in 0..random.next(40) {
        bytes.extend_from_slice(PIECES[random.next(PIECES.len())].as_bytes());
    }
    for _ in 0..random.next(4) {
        let at = random.next(bytes.len());
        bytes[at] = u8::try_from(random.next(256)).unwrap();
    }
    let Ok(settings) = Properties::load(&bytes) else { return };
    let mut properties = SystemProperties::new();
    let file = Path::new("zoo.cfg");
    let parsed = QuorumPeerConfig::parse_properties(&settings, file, &mut properties, &|_| None);
    // Any result is fine, but an accepted configuration must be consistent.
    if let Ok(config) = parsed {
        assert!(config.min_session_timeout_ms <= config.max_session_timeout_ms, "seed {seed}");
        assert!(!config.data_dir.as_os_str().is_empty(), "seed {seed}");
    }
}

#[test]
fn no_file_makes_the_reader_panic() {
    for seed in 0..20_000 {
        if std::panic::catch_unwind(|| parse_something_strange(seed)).is_err() {
            panic!("seed {seed}");
        }
    }
}
