//! Tests of the Prometheus text and of the metrics port.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;
use crate::server::server_metrics::ServerMetrics;

fn provider(pairs: &[(&str, &str)]) -> PrometheusMetricsProvider {
    let defaults = [("httpHost", "127.0.0.1"), ("httpPort", "0")];
    let pairs = defaults.iter().chain(pairs);
    let properties = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    PrometheusMetricsProvider::new(PrometheusConfig::from_properties(&properties).unwrap())
}

fn address(provider: &PrometheusMetricsProvider) -> SocketAddr {
    provider.running.lock().as_ref().unwrap().server.local_address()
}

fn ask(provider: &PrometheusMetricsProvider, request_line: &str) -> String {
    let mut stream = TcpStream::connect(address(provider)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request_line} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_metric_of_java_is_exported_under_its_name_and_kind() {
    // What a Java 3.9.5 server exports, except its gauges and the JVM's values.
    let java = include_str!("../../../../tests/compat_data/prometheus_standalone_3.9.5.txt");
    let types = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| line.starts_with("# TYPE ")).map(str::to_owned).collect()
    };
    let provider = Arc::new(provider(&[("exportJvmInfo", "false")]));
    let metrics = ServerMetrics::new(provider.clone());
    provider.start().unwrap();
    let answer = ask(&provider, "GET /metrics");
    let ours = types(&answer);
    let java: BTreeSet<String> = types(java)
        .into_iter()
        .filter(|line| !line.ends_with(" gauge") && !line.contains(" jvm_gc"))
        .filter(|line| !line.contains("_total ") && !line.contains(" process_"))
        .collect();
    assert_eq!(ours, java);
    drop(metrics);
    provider.stop();
}

#[test]
fn values_are_shown_as_java_shows_them() {
    let provider = provider(&[("exportJvmInfo", "false")]);
    let context = provider.root_context();
    context.counter("response_bytes").add(25_988);
    context.counter("response_bytes").add(-1);
    context.counter_set("quota").add("app", 2);
    context.summary("fsynctime", DetailLevel::Basic).add_n(3, 2);
    context.register_gauge("avg_latency", Arc::new(|| Some(1.8481.into())));
    context.register_gauge("gone", Arc::new(|| None));
    context.register_gauge_set("limit", Arc::new(|| vec![("app".to_owned(), 7.into())]));
    provider.start().unwrap();
    let answer = ask(&provider, "GET /metrics");
    assert!(answer.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    let lines: Vec<_> = answer.lines().filter(|line| !line.starts_with('#')).collect();
    let shown = [
        "avg_latency 1.8481",
        "gone 0.0",
        "limit{key=\"app\",} 7.0",
        "response_bytes 25988.0",
        "quota{key=\"app\",} 2.0",
        "fsynctime{quantile=\"0.5\",} 3.0",
        "fsynctime_count 2.0",
        "fsynctime_sum 6.0",
    ];
    assert!(lines.ends_with(&shown), "{lines:?}");
    let mut dumped = Vec::new();
    provider.reset_all_values();
    provider.dump(&mut |name, value| dumped.push(format!("{name} {value}")));
    assert_eq!(dumped.join("\n"), shown.join("\n").replace(",}", "}"));
    let some = ask(&provider, "GET /metrics?name[]=fsynctime_sum&name%5B%5D=response_bytes");
    let lines: Vec<_> = some.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.ends_with(&["response_bytes 25988.0", "fsynctime_sum 6.0"]), "{lines:?}");
    provider.stop();
    assert!(TcpListener::bind("127.0.0.1:0").is_ok());
}

#[test]
fn other_paths_and_methods_are_refused() {
    let provider = provider(&[]);
    provider.start().unwrap();
    for (request, status) in [
        ("POST /metrics", "200 OK"),
        ("GET /", "404 Not Found"),
        ("GET /metrics/", "404 Not Found"),
        ("TRACE /metrics", "403 Forbidden"),
        ("PUT /metrics", "405 Method Not Allowed"),
    ] {
        let answer = ask(&provider, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
    }
    assert!(ask(&provider, "GET /metrics").contains("\nprocess_resident_memory_bytes "));
    provider.stop();
    provider.stop();
}

#[test]
fn wrong_settings_and_a_taken_port_are_errors_that_name_them() {
    let properties = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    for (key, value) in [("httpPort", "65536"), ("httpPort", "x"), ("maxQueueSize", "many")] {
        let error = PrometheusConfig::from_properties(&properties(key, value)).unwrap_err();
        assert!(error.reason.starts_with(&format!("metricsProvider.{key}={value} is not")));
    }
    let unused = PrometheusConfig::from_properties(&properties("numWorkerThreads", "4")).unwrap();
    assert_eq!(unused, PrometheusConfig::default());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = provider(&[("httpPort", &port)]).start().unwrap_err();
    let expected = format!("cannot start /metrics server at 127.0.0.1:{port}: ");
    assert!(error.reason.starts_with(&expected), "{error}");
}
