//! Tests of the AdminServer over real connections (no Java twin).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::common::time::SystemClock;
use crate::server::admin::commands::tests::commands;
use crate::server::command::test_context::TestContext;

/// Starts an AdminServer on a free local port, with a ZooKeeper server for its commands.
fn started(pairs: &[(&str, &str)]) -> (HttpAdminServer, Arc<TestContext>) {
    let defaults =
        [("zookeeper.admin.serverPort", "0"), ("zookeeper.admin.serverAddress", "127.0.0.1")];
    let properties = SystemProperties::from_pairs(defaults.iter().chain(pairs).copied());
    let config = AdminServerConfig::from_properties(&properties).unwrap();
    let admin = HttpAdminServer::new(config, commands(&[]).1, SystemClock::shared());
    let server = Arc::new(TestContext::default());
    let weak: Weak<dyn AdminContext> =
        Arc::downgrade(&(Arc::clone(&server) as Arc<dyn AdminContext>));
    admin.set_zookeeper_server(Some(weak));
    admin.start().unwrap();
    (admin, server)
}

fn ask(admin: &HttpAdminServer, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", admin.port().unwrap())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    write!(stream, "{line} HTTP/1.1\r\nConnection: close\r\n{rest}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn commands_are_answered_as_json_and_listed_as_links() {
    let (admin, _server) = started(&[]);
    let answer = ask(&admin, "GET /commands/ruok");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Type: application/json\r\n"), "{answer}");
    let body = "\r\n\r\n{\n  \"command\" : \"ruok\",\n  \"error\" : null\n}";
    assert!(answer.ends_with(body), "{answer}");
    for request in ["GET /commands", "GET /commands/", "POST /commands"] {
        let links = ask(&admin, request);
        let first = "<a href=\"/commands/configuration\">configuration</a>\n<br/>\n";
        assert_eq!(links.split("\r\n\r\n").nth(1).map(|body| body.starts_with(first)), Some(true));
        assert_eq!(links.matches("<br/>").count(), 29);
    }
    let answer = ask(&admin, "GET /commands/stmk?traceMask=306");
    assert!(answer.contains("\"tracemask\" : 306,"), "{answer}");
    admin.shutdown();
}

#[test]
fn statuses_are_those_of_java() {
    let (admin, _server) = started(&[]);
    for (request, status) in [
        ("GET /", 404),
        ("GET /x", 404),
        ("GET /commandsx", 404),
        ("GET /commands/nosuch", 200),
        ("GET /commands/snapshot", 401),
        ("GET /commands/snapshot\nAuthorization: digest a:b\r\n", 500),
        ("POST /commands/restore", 401),
        ("HEAD /commands/ruok", 200),
        ("PUT /commands/ruok", 405),
        ("TRACE /commands/ruok", 403),
        ("OPTIONS /commands/ruok", 200),
        ("FOO /commands/ruok", 501),
    ] {
        let answer = ask(&admin, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    let restore =
        "POST /commands/restore\nAuthorization: digest a:b\r\nContent-Length: 8\r\n\r\nsnapshot";
    let refused = ask(&admin, restore);
    assert!(
        refused.starts_with("HTTP/1.1 500 ") && refused.contains("stop the server"),
        "{refused}"
    );
    assert!(ask(&admin, "GET /commands/ruok").starts_with("HTTP/1.1 200 "));
    admin.shutdown();
}

#[test]
fn a_server_that_is_gone_is_not_kept_alive() {
    let (admin, server) = started(&[]);
    assert_eq!(Arc::strong_count(&server), 1);
    drop(server);
    assert!(ask(&admin, "GET /commands/ruok").contains("not currently serving requests"));
    admin.set_zookeeper_server(None);
    assert!(ask(&admin, "GET /commands/conf").contains("not currently serving requests"));
    admin.shutdown();
    admin.shutdown();
    assert_eq!(admin.port(), None);
}

#[test]
fn the_url_can_be_changed_and_a_taken_port_is_told_with_javas_words() {
    let (admin, _server) = started(&[("zookeeper.admin.commandURL", "/zk/cmd/")]);
    assert!(ask(&admin, "GET /zk/cmd/ruok").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(&admin, "GET /commands/ruok").starts_with("HTTP/1.1 404 "));
    admin.shutdown();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = AdminServerConfig {
        server_address: "127.0.0.1".into(),
        server_port: taken.local_addr().unwrap().port(),
        ..AdminServerConfig::default()
    };
    let admin = HttpAdminServer::new(config.clone(), commands(&[]).1, SystemClock::shared());
    let expected = format!(
        "Problem starting AdminServer on address 127.0.0.1, port {} and command URL /commands: ",
        config.server_port
    );
    assert!(admin.start().unwrap_err().to_string().starts_with(&expected));
}
