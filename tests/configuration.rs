//! How a real server applies its configuration: addresses with zones, settings that are refused or have no effect,
//! the copy of zoo.cfg, and the release that it reports (no Java twin). Where a test asks what Java does, it runs
//! against Java's server, too.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[path = "../build.rs"]
#[allow(dead_code, clippy::print_stdout, reason = "the rest of it speaks to cargo")]
mod build;
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{
    Client, DEADLINE, Program, Server, ServerBuilder, client_config, free_port, wait_for,
    wait_until,
};
use zookeeper_server::internals::client::four_letter_word_main::send_4_letter_word;
use zookeeper_server::version;

const JAVA: Program = Program::Java("3.9.5");

/// The loopback address with its zone, as Java prints it.
const LOOPBACK: &str = "0:0:0:0:0:0:0:1%lo";

/// Waits until the server answers a four-letter word at this address.
#[track_caller]
fn wait_word(server: &mut Server, host: &str, port: u16, word: &str) -> String {
    let answer = wait_for(DEADLINE, || {
        assert!(!server.has_ended(), "it has ended: {}", server.log());
        let answer = send_4_letter_word(host, port, word).ok()?;
        (!answer.is_empty() && !answer.contains("not currently serving")).then_some(answer)
    });
    answer.unwrap_or_else(|| panic!("no answer to {word}: {}", server.log()))
}

fn listens_at_a_zone(program: Program) {
    for written in [LOOPBACK, "[::1%lo]", "::1%1"] {
        let builder = ServerBuilder::new().program(program);
        let mut server = builder.config(&format!("clientPortAddress={written}")).prepare();
        let port = server.client_port();
        server.spawn();
        let conf = wait_word(&mut server, "::1%lo", port, "conf");
        assert!(conf.contains(&format!("clientPort={port}\n")), "{conf}");
        assert_eq!(server.four_letter_word("conf"), None, "at 127.0.0.1, too");
        let zone = if written.ends_with("%1") { "1" } else { "lo" };
        let logged = format!("clientPortAddress is [0:0:0:0:0:0:0:1%{zone}]:{port}");
        assert!(
            server.log().replace("0:0:0:0:0:0:0:1%lo/", "").contains(&logged),
            "{}",
            server.log()
        );
        let client = Client::connect(&format!("[::1%lo]:{port}"), client_config());
        client.get_data("/", false).unwrap();
        client.close();
        server.kill9();
    }
}

#[test]
fn a_client_port_address_with_a_zone_is_listened_at() {
    listens_at_a_zone(Program::Ours);
}

#[test]
#[ignore = "needs Java"]
fn java_listens_at_a_client_port_address_with_a_zone() {
    listens_at_a_zone(JAVA);
}

/// Starts two members with zones in their addresses, and checks that they print the addresses as Java does.
fn members_with_zones(programs: [Program; 2], more: &[&str]) {
    let ports: Vec<_> = (0..2).map(|_| (free_port(), free_port(), free_port())).collect();
    let line = |at: usize, host: &str, role: &str| {
        let (quorum, election, client) = ports[at];
        format!("server.{}={host}:{quorum}:{election}{role};{host}:{client}", at + 1)
    };
    let prepare = |at: usize| {
        let mut builder = ServerBuilder::new()
            .program(programs[at])
            .config("clientPort=0")
            .config("initLimit=30")
            .config("syncLimit=40");
        for other in 0..2 {
            builder = builder.config(&line(other, "[::1%lo]", ""));
        }
        builder = more.iter().fold(builder, |builder, line| builder.config(line));
        let server = builder.prepare();
        // The `server` line sets the client port.
        let file = server.dir().join("zoo.cfg");
        let text = fs::read_to_string(&file).unwrap().replace("clientPort=0\n", "");
        fs::write(&file, text).unwrap();
        fs::write(server.dir().join("data/myid"), format!("{}\n", at + 1)).unwrap();
        server
    };
    let mut servers: Vec<_> = (0..2).map(prepare).collect();
    for server in &mut servers {
        server.spawn();
    }
    for (at, server) in servers.iter_mut().enumerate() {
        let port = ports[at].2;
        let served = wait_word(server, "::1", port, "srvr");
        assert!(served.contains("Mode: "), "member {}: {served}", at + 1);
        let client = Client::connect(&format!("[::1]:{port}"), client_config());
        let (config, _) = client.get_data("/zookeeper/config", false).unwrap();
        let config = String::from_utf8(config.unwrap()).unwrap();
        for other in 0..2 {
            let shown = line(other, &format!("[{LOOPBACK}]"), ":participant");
            assert!(config.lines().any(|line| line == shown), "{config}\nhas no line {shown}");
        }
        client.close();
        let conf = wait_word(server, "::1", port, "conf");
        for line in config.lines().filter(|line| line.starts_with("server.")) {
            assert!(conf.contains(line), "{conf}\nhas no line {line}");
        }
    }
    for server in &mut servers {
        server.kill9();
    }
}

#[test]
fn members_know_each_other_by_addresses_with_zones() {
    members_with_zones([Program::Ours; 2], &[]);
}

#[test]
fn members_with_zones_that_listen_at_all_addresses_serve() {
    members_with_zones([Program::Ours; 2], &["quorumListenOnAllIPs=true"]);
}

#[test]
#[ignore = "needs Java"]
fn members_of_java_know_each_other_and_ours_by_addresses_with_zones() {
    members_with_zones([JAVA; 2], &[]);
    members_with_zones([JAVA, Program::Ours], &[]);
    members_with_zones([Program::Ours, JAVA], &["quorumListenOnAllIPs=true"]);
}

#[test]
fn the_admin_server_and_the_metrics_listen_at_addresses_with_zones() {
    let port = free_port();
    let server = ServerBuilder::new()
        .admin_server()
        .config("admin.serverAddress=::1%lo")
        .config("metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider")
        .config("metricsProvider.httpHost=::1%lo")
        .config(&format!("metricsProvider.httpPort={port}"))
        .start();
    for port in [server.admin_port(), port] {
        std::net::TcpStream::connect(("::1", port)).unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    }
}

fn jaas_file(dir: &Path, section: &str) -> String {
    let file = dir.join(format!("{section}.conf"));
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
    fs::write(&file, format!("{section} {{\n  {module} required\n  user_x=\"hush\";\n}};\n"))
        .unwrap();
    file.display().to_string()
}

#[test]
fn a_server_that_is_to_be_secure_in_a_way_that_is_not_here_does_not_start() {
    for (lines, words) in [
        (
            "client.portUnification=true",
            "zoo.cfg:7: client.portUnification: not supported yet: TLS",
        ),
        ("requireKerberosConfig=true", "zoo.cfg:7: requireKerberosConfig: not supported yet: Kerb"),
        ("sessionRequireClientSASLAuth=true", "zoo.cfg:7: sessionRequireClientSASLAuth: "),
        ("SASLAuthenticationProvider.superPassword=hush", "superPassword: not supported yet: "),
        ("authProvider.1=com.example.X", "zoo.cfg:7: authProvider.1=com.example.X: not supported"),
    ] {
        let mut server = ServerBuilder::new().config(lines).prepare();
        server.spawn();
        assert_eq!(server.wait_ended().code(), Some(2), "{lines}");
        let log = server.log();
        assert!(log.contains(words) && !log.contains("hush"), "{log}");
    }
    let mut server = ServerBuilder::new().prepare();
    let file = jaas_file(server.dir(), "Server");
    server.set_property("java.security.auth.login.config", &file);
    server.spawn();
    assert_eq!(server.wait_ended().code(), Some(2));
    let log = server.log();
    let words = "command line (-D): java.security.auth.login.config: not supported yet: SASL";
    assert!(log.contains(words) && !log.contains("hush"), "{log}");
}

/// Java authenticates with such a file, so our server must not ignore the setting.
#[test]
#[ignore = "needs Java"]
fn java_starts_with_a_login_file_and_offers_sasl() {
    let mut server = ServerBuilder::java().prepare();
    let file = jaas_file(server.dir(), "Server");
    server.set_property("java.security.auth.login.config", &file);
    server.start_again();
    assert!(server.log().contains("successfully logged in"), "{}", server.log());
    // Without a `Server` section, Java offers no SASL. If the file is missing, Java does not start.
    server.kill9();
    fs::remove_file(server.dir().join("server.log")).unwrap();
    let file = jaas_file(server.dir(), "Client");
    server.set_property("java.security.auth.login.config", &file);
    server.start_again();
    assert!(!server.log().contains("successfully logged in"), "{}", server.log());
    server.kill9();
    server.set_property("java.security.auth.login.config", "/no/such/file");
    server.spawn();
    assert_ne!(server.wait_ended().code(), Some(0));
}

#[test]
fn settings_that_secure_nothing_are_spoken_of_once_and_the_server_starts() {
    let mut server = ServerBuilder::new()
        .config("ssl.keyStore.location=/no/such/file")
        .config("ssl.keyStore.password=hush")
        .config("sslQuorum=true")
        .config("reconfigEnabled=true")
        .prepare();
    let file = jaas_file(server.dir(), "Client");
    server.set_property("java.security.auth.login.config", &file);
    server.start_again();
    let log = server.log();
    let file = server.dir().join("zoo.cfg").display().to_string();
    for words in [
        format!(
            "ssl.keyStore.location ({file}:7), ssl.keyStore.password ({file}:8) have no effect: "
        ),
        format!("sslQuorum ({file}:9) has no effect: "),
        format!("reconfigEnabled ({file}:10): a standalone server answers reconfig with "),
        "java.security.auth.login.config (command line (-D)) has no effect: ".to_owned(),
    ] {
        assert_eq!(log.matches(&words).count(), 1, "{words}\n{log}");
    }
    assert!(!log.contains("hush"), "{log}");
    server.kill9();
}

/// Starts an ensemble of one member with `reconfigEnabled`. Returns the names of the files beside zoo.cfg, and the
/// keys in zoo.cfg.
fn files_of_an_ensemble(program: Program) -> (BTreeSet<String>, BTreeSet<String>) {
    let (quorum, election) = (free_port(), free_port());
    let mut server = ServerBuilder::new()
        .program(program)
        .config("standaloneEnabled=false")
        .config("reconfigEnabled=true")
        .config("initLimit=30")
        .config("syncLimit=40")
        .config(&format!("server.1=127.0.0.1:{quorum}:{election}"))
        .prepare();
    fs::write(server.dir().join("data/myid"), "1\n").unwrap();
    let file = server.dir().join("zoo.cfg");
    let before = fs::read_to_string(&file).unwrap();
    server.start_again();
    wait_until("zoo.cfg names a dynamic file", DEADLINE, || {
        fs::read_to_string(&file).unwrap().contains("dynamicConfigFile=")
    });
    assert_eq!(fs::read_to_string(server.dir().join("zoo.cfg.bak")).unwrap(), before);
    // zoo.cfg now names a dynamic file, so later starts make no copy.
    fs::write(server.dir().join("zoo.cfg.bak"), "old").unwrap();
    server.kill9();
    server.start_again();
    assert_eq!(fs::read_to_string(server.dir().join("zoo.cfg.bak")).unwrap(), "old");
    server.kill9();
    let entries = fs::read_dir(server.dir()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let names = names.filter(|name| name.starts_with("zoo.cfg")).collect();
    // Ports and directories differ each time, so only the keys are compared.
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| line.split('=').next().unwrap().to_owned());
    (names, lines.filter(|line| !line.starts_with('#')).collect())
}

#[test]
fn a_copy_of_zoo_cfg_is_kept_before_the_members_are_taken_out_of_it() {
    let (names, keys) = files_of_an_ensemble(Program::Ours);
    let wanted = ["zoo.cfg", "zoo.cfg.bak", "zoo.cfg.dynamic.100000000"];
    assert_eq!(names, wanted.map(str::to_owned).into());
    assert!(!keys.contains("server.1") && keys.contains("dynamicConfigFile"), "{keys:?}");
}

#[test]
#[ignore = "needs Java"]
fn java_keeps_the_same_files_beside_zoo_cfg() {
    assert_eq!(files_of_an_ensemble(Program::Ours), files_of_an_ensemble(JAVA));
}

#[test]
fn dates_are_written_as_javas_build_writes_them() {
    for (epoch, date) in [
        (0, "1970-01-01 00:00 UTC"),
        (951_782_399, "2000-02-28 23:59 UTC"),
        (951_782_400, "2000-02-29 00:00 UTC"),
        (951_868_800, "2000-03-01 00:00 UTC"),
        (1_709_251_199, "2024-02-29 23:59 UTC"),
        (1_767_225_599, "2025-12-31 23:59 UTC"),
        (1_767_225_600, "2026-01-01 00:00 UTC"),
        (4_107_542_400, "2100-03-01 00:00 UTC"),
    ] {
        assert_eq!(build::date(epoch), date, "{epoch}");
    }
}

#[test]
fn all_say_the_same_release_revision_and_date() {
    let full = version::full_version();
    assert!(full.starts_with("3.9.5-") && full.ends_with(" UTC"), "{full}");
    let server = Server::start();
    assert!(server.wait_four_letter_word("srvr").contains(&format!("Zookeeper version: {full}\n")));
    assert!(server.wait_four_letter_word("stat").contains(&format!("Zookeeper version: {full}\n")));
    assert!(server.wait_four_letter_word("envi").contains(&format!("zookeeper.version={full}\n")));
    assert!(server.wait_four_letter_word("mntr").contains(&format!("zk_version\t{full}\n")));
    assert!(server.log().contains(&format!("Server environment:zookeeper.version={full}")));
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_zookeeper")).arg("version").output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(said.contains(&format!("version 3.9.5 {} (", version::BUILD_DATE)), "{said}");
}
