//! Exports the metrics to Prometheus at `/metrics` of a separate port
//! (Java: metrics/prometheus/PrometheusMetricsProvider.java).
//!
//! Names, labels and text are those of Java's provider. The order of the metrics differs, because Java takes it
//! from a hash table.
//! Threads: the HTTP server's threads `PrometheusMetricsProvider-...`, and `PrometheusMetricsProviderWorker-1`,
//! which starts a new quantile window every two minutes. Java records summaries through a queue and worker
//! threads. Recording does not block here, so `numWorkerThreads`, `maxQueueSize` and `workerShutdownTimeoutMs`
//! are read but have no effect.

mod family;
mod process;
mod prometheus_summary;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use log::{error, info};

use self::family::{Family, Kind, Sample};
use self::prometheus_summary::{PrometheusLabelledSummary, PrometheusSummary, WINDOW_S, as_double};
use crate::common::time::SystemClock;
use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::metrics_context::{DetailLevel, MetricsContext};
use crate::metrics::metrics_provider::{
    DumpSink, MetricsProvider, MetricsProviderLifeCycleError, PROMETHEUS_CLASS_NAME,
};
use crate::metrics::registry::{Gauges, Registry, assert_free};
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;
use crate::server::admin::http_message::{Request, Response, Status};
use crate::server::admin::http_server::{HttpHandler, HttpServer, HttpTimeouts};
use crate::server::metric::key_table::KeyTable;
use crate::server::metric::stripe::StripedLong;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The name of the Java class and of its logger.
pub(crate) const CLASS_NAME: &str = PROMETHEUS_CLASS_NAME;

/// The content type of the answer.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a connection may be silent. This is Jetty's default.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The default time limit for a whole request and for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The `metricsProvider.*` settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrometheusConfig {
    /// The host or address to listen on.
    pub http_host: String,
    /// The port to listen on; 0 for any free port.
    pub http_port: u16,
    /// Whether metrics of the process are exported.
    pub export_jvm_info: bool,
    /// The time limit for a whole request and for its answer (`requestTimeout`, ms; not in Java).
    pub request_timeout: Duration,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            http_host: "0.0.0.0".into(),
            http_port: 7000,
            export_jvm_info: true,
            request_timeout: REQUEST_TIMEOUT,
        }
    }
}

impl PrometheusConfig {
    /// Reads the settings, given without their prefix.
    ///
    /// # Errors
    /// When a setting is invalid.
    pub(crate) fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, MetricsProviderLifeCycleError> {
        info!(target: CLASS_NAME, "Initializing metrics, configuration: {properties:?}");
        let default = Self::default();
        for unused in ["numWorkerThreads", "maxQueueSize", "workerShutdownTimeoutMs"] {
            if number::<i64>(properties, unused)?.is_some() {
                info!(target: CLASS_NAME, "{unused} has no effect: there is no queue");
            }
        }
        let flag = |key: &str| properties.get(key).map(|text| text.eq_ignore_ascii_case("true"));
        Ok(Self {
            http_host: properties.get("httpHost").cloned().unwrap_or(default.http_host),
            http_port: number(properties, "httpPort")?.unwrap_or(default.http_port),
            export_jvm_info: flag("exportJvmInfo").unwrap_or(default.export_jvm_info),
            request_timeout: number::<NonZeroU32>(properties, "requestTimeout")?
                .map_or(default.request_timeout, |ms| Duration::from_millis(ms.get().into())),
        })
    }
}

/// A whole number in the range of `T`, if the setting is present.
fn number<T: FromStr>(
    properties: &BTreeMap<String, String>,
    key: &str,
) -> Result<Option<T>, MetricsProviderLifeCycleError> {
    let Some(text) = properties.get(key) else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(not_booted(format!("metricsProvider.{key}={text} is not a number in range"))),
    }
}

fn not_booted(reason: String) -> MetricsProviderLifeCycleError {
    MetricsProviderLifeCycleError { class_name: CLASS_NAME.to_owned(), reason }
}

/// Exports the metrics to Prometheus.
pub(crate) struct PrometheusMetricsProvider {
    config: PrometheusConfig,
    root: Arc<Context>,
    running: RankedMutex<Option<Running>>,
}

struct Running {
    server: HttpServer,
    stop: Sender<Infallible>,
    worker: JoinHandle<()>,
}

impl PrometheusMetricsProvider {
    /// A provider without metrics that is not started yet.
    #[must_use]
    pub(crate) fn new(config: PrometheusConfig) -> Self {
        let root = Arc::new(Context {
            export_process: config.export_jvm_info,
            gauges: Gauges::new(),
            counters: Registry::new(),
            counter_sets: Registry::new(),
            basic_summaries: Registry::new(),
            summaries: Registry::new(),
            basic_summary_sets: Registry::new(),
            summary_sets: Registry::new(),
        });
        Self { config, root, running: RankedMutex::new(Rank::Leaf, "metrics server", None) }
    }

    fn run(&self) -> std::io::Result<Running> {
        let server = HttpServer::start(
            "PrometheusMetricsProvider",
            &self.config.http_host,
            self.config.http_port,
            HttpTimeouts::new(IDLE_TIMEOUT, self.config.request_timeout),
            SystemClock::shared(),
            Arc::new(MetricsHandler(Arc::clone(&self.root))),
        )?;
        let (stop, stopped) = bounded::<Infallible>(0);
        let root = Arc::clone(&self.root);
        let span = Duration::from_secs(WINDOW_S);
        let worker =
            zookeeper_thread::spawn("PrometheusMetricsProviderWorker-1", None, move || {
                while stopped.recv_timeout(span) == Err(RecvTimeoutError::Timeout) {
                    root.rotate();
                }
                Ok::<_, Infallible>(())
            });
        match worker {
            Ok(worker) => Ok(Running { server, stop, worker }),
            Err(error) => {
                server.shutdown();
                Err(error)
            }
        }
    }
}

impl MetricsProvider for PrometheusMetricsProvider {
    fn start(&self) -> Result<(), MetricsProviderLifeCycleError> {
        let PrometheusConfig { http_host, http_port, export_jvm_info, .. } = &self.config;
        info!(
            target: CLASS_NAME,
            "Starting /metrics HTTP endpoint at host: {http_host}, port: {http_port}, \
             exportJvmInfo: {export_jvm_info}"
        );
        let running = self.run().map_err(|error| {
            not_booted(format!("cannot start /metrics server at {http_host}:{http_port}: {error}"))
        })?;
        *self.running.lock() = Some(running);
        Ok(())
    }

    fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(Running { server, stop, worker }) = running {
            server.shutdown();
            drop(stop);
            zookeeper_thread::join(worker);
        }
        self.root.gauges.clear();
    }

    fn root_context(&self) -> &dyn MetricsContext {
        &*self.root
    }

    fn dump(&self, sink: &mut DumpSink<'_>) {
        self.root.families().iter().for_each(|family| family.dump(sink));
    }

    /// Does nothing: Prometheus requires counters that only grow.
    fn reset_all_values(&self) {}

    fn class_name(&self) -> &'static str {
        CLASS_NAME
    }
}

/// Answers scrape requests.
struct MetricsHandler(Arc<Context>);

impl HttpHandler for MetricsHandler {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        if let Some(answer) = Response::to_other_method(&request.head.method) {
            return answer;
        }
        if request.head.path != "/metrics" {
            return Response::error_page(Status::NOT_FOUND, "see /metrics");
        }
        let query = request.head.query.iter();
        let names: Vec<&str> =
            query.filter(|(key, _)| key == "name[]").map(|(_, name)| name.as_str()).collect();
        let mut text = String::new();
        for family in self.0.families() {
            family.write(&mut text, &names);
        }
        Response::text(Status::OK, CONTENT_TYPE, text)
    }
}

struct Context {
    export_process: bool,
    gauges: Gauges,
    counters: Registry<PrometheusCounter>,
    counter_sets: Registry<PrometheusLabelledCounter>,
    basic_summaries: Registry<PrometheusSummary>,
    summaries: Registry<PrometheusSummary>,
    basic_summary_sets: Registry<PrometheusLabelledSummary>,
    summary_sets: Registry<PrometheusLabelledSummary>,
}

impl Context {
    /// All metrics with their current values.
    fn families(&self) -> Vec<Family> {
        use DetailLevel::{Advanced, Basic};
        let mut families = if self.export_process { process::families() } else { Vec::new() };
        for (name, gauge) in self.gauges.single.all() {
            // A gauge without a value is exported as 0, as in Java.
            let value = gauge.value().map_or(0.0, |value| value.as_double());
            families.push(Family::of_one(&name, Kind::Gauge, value));
        }
        for (name, gauges) in self.gauges.sets.all() {
            let sample = |(key, value): (String, crate::metrics::metric_value::MetricValue)| {
                Sample::new(name.clone(), vec![("key", key)], value.as_double())
            };
            let samples = gauges.values().into_iter().map(sample).collect();
            families.push(Family::new(name.clone(), Kind::Gauge, samples));
        }
        for (name, counter) in self.counters.all() {
            families.push(Family::of_one(&name, Kind::Counter, as_double(counter.value())));
        }
        families.extend(self.counter_sets.all().iter().map(|(name, set)| set.family(name)));
        let basic = self.basic_summaries.all();
        families.extend(basic.iter().map(|(name, summary)| summary.family(name, Basic)));
        let advanced = self.summaries.all();
        families.extend(advanced.iter().map(|(name, summary)| summary.family(name, Advanced)));
        let basic = self.basic_summary_sets.all();
        families.extend(basic.iter().map(|(name, set)| set.family(name, Basic)));
        let advanced = self.summary_sets.all();
        families.extend(advanced.iter().map(|(name, set)| set.family(name, Advanced)));
        families
    }

    /// Starts the next quantile window.
    fn rotate(&self) {
        self.basic_summaries.all().iter().for_each(|(_, summary)| summary.rotate());
        self.summaries.all().iter().for_each(|(_, summary)| summary.rotate());
        self.basic_summary_sets.all().iter().for_each(|(_, set)| set.rotate());
        self.summary_sets.all().iter().for_each(|(_, set)| set.rotate());
    }
}

impl MetricsContext for Context {
    fn counter(&self, name: &str) -> Arc<dyn Counter> {
        let make = || PrometheusCounter { name: name.to_owned(), value: StripedLong::new() };
        self.counters.get_or_insert_with(name, || Arc::new(make()))
    }

    fn counter_set(&self, name: &str) -> Arc<dyn CounterSet> {
        let make = || PrometheusLabelledCounter { name: name.to_owned(), values: KeyTable::new() };
        self.counter_sets.get_or_insert_with(name, || Arc::new(make()))
    }

    fn gauges(&self) -> Option<&Gauges> {
        Some(&self.gauges)
    }

    fn summary(&self, name: &str, detail: DetailLevel) -> Arc<dyn Summary> {
        let (own, other) = match detail {
            DetailLevel::Basic => (&self.basic_summaries, &self.summaries),
            DetailLevel::Advanced => (&self.summaries, &self.basic_summaries),
        };
        assert_free(other, name);
        own.get_or_insert_with(name, || Arc::new(PrometheusSummary::new()))
    }

    fn summary_set(&self, name: &str, detail: DetailLevel) -> Arc<dyn SummarySet> {
        let (own, other) = match detail {
            DetailLevel::Basic => (&self.basic_summary_sets, &self.summary_sets),
            DetailLevel::Advanced => (&self.summary_sets, &self.basic_summary_sets),
        };
        assert_free(other, name);
        own.get_or_insert_with(name, || Arc::new(PrometheusLabelledSummary::new()))
    }
}

struct PrometheusCounter {
    name: String,
    value: StripedLong,
}

impl Counter for PrometheusCounter {
    fn add(&self, delta: i64) {
        if delta < 0 {
            error!(target: CLASS_NAME, "invalid delta {delta} for metric {}", self.name);
        } else {
            self.value.add(delta);
        }
    }

    fn value(&self) -> i64 {
        self.value.value()
    }
}

struct PrometheusLabelledCounter {
    name: String,
    values: KeyTable<StripedLong>,
}

impl PrometheusLabelledCounter {
    fn family(&self, name: &str) -> Family {
        let sample = |(key, value): (&str, &StripedLong)| {
            Sample::new(name.to_owned(), vec![("key", key.to_owned())], as_double(value.value()))
        };
        let samples = self.values.entries().into_iter().map(sample).collect();
        Family::new(name.to_owned(), Kind::Counter, samples)
    }
}

impl CounterSet for PrometheusLabelledCounter {
    fn add(&self, key: &str, delta: i64) {
        if delta < 0 {
            let name = &self.name;
            error!(target: CLASS_NAME, "invalid delta {delta} for metric {name} with key {key}");
        } else {
            self.values.get_or_insert_with(key, StripedLong::new).add(delta);
        }
    }
}

#[cfg(test)]
mod tests;
