//! The result of one load, for people and for programs (no Java twin).

use super::figures::{Table, number};
use super::json::Json;
use super::latencies::{Latencies, PERCENTILES, micros};
use super::load::{LoadReport, Second};

/// The line of progress.
pub(crate) fn second_line(second: Second) -> String {
    let rate = second.replies as f64 / second.length.max(1e-9);
    let warm_up = if second.measuring { "" } else { "  warm-up" };
    format!("{:>4} s  {:>10} ops/s{warm_up}\n", second.at, number(rate))
}

/// The result as a table.
pub(crate) fn table(report: &LoadReport) -> String {
    let mut table = Table::new();
    let percentiles = PERCENTILES.map(|percent| format!("p{percent} us"));
    let head = ["", "ops/s", "mean us"].map(str::to_owned);
    table.line([head.to_vec(), percentiles.to_vec(), vec!["max us".into()]].concat());
    for (name, latencies) in kinds(report) {
        let rate = latencies.count() as f64 / report.elapsed.as_secs_f64().max(1e-9);
        let mut line = vec![name.to_owned(), number(rate), number(micros(latencies.mean()))];
        let percentile = |percent| number(micros(latencies.percentile(percent)));
        line.extend(PERCENTILES.map(percentile));
        line.push(number(micros(latencies.max())));
        table.line(line);
    }
    let cpu = |cpu| report.micros_per_operation(cpu).map_or("unknown".into(), number);
    let disturbance = report.disturbance().map_or("unknown".into(), number);
    format!(
        "{}CPU time per operation: client {} us, server {} us; others used {disturbance} % of the machine; \
         failed replies: {}\n",
        table.render(),
        cpu(report.client_cpu),
        cpu(report.server_cpu),
        report.tally.failures.count()
    )
}

/// The result as JSON.
pub(crate) fn to_json(report: &LoadReport) -> Json {
    let kind = |(name, latencies): (&str, &Latencies)| {
        let mut pairs = vec![
            ("operations".to_owned(), Json::Number(latencies.count() as f64)),
            ("mean_us".to_owned(), Json::Number(micros(latencies.mean()))),
            ("max_us".to_owned(), Json::Number(micros(latencies.max()))),
        ];
        pairs.extend(PERCENTILES.map(|percent| {
            let value = Json::Number(micros(latencies.percentile(percent)));
            (format!("p{percent}_us"), value)
        }));
        (name.to_owned(), Json::Object(pairs))
    };
    let mut pairs = vec![
        ("ops_per_s".to_owned(), Json::Number(report.rate())),
        ("elapsed_s".to_owned(), Json::Number(report.elapsed.as_secs_f64())),
        (
            "server_cpu_us_per_op".to_owned(),
            Json::optional(report.micros_per_operation(report.server_cpu)),
        ),
        ("others_cpu_percent".to_owned(), Json::optional(report.disturbance())),
        (
            "client_cpu_us_per_op".to_owned(),
            Json::optional(report.micros_per_operation(report.client_cpu)),
        ),
        ("failed".to_owned(), Json::Number(report.tally.failures.count() as f64)),
    ];
    pairs.extend(kinds(report).into_iter().map(kind));
    Json::Object(pairs)
}

fn kinds(report: &LoadReport) -> Vec<(&'static str, &Latencies)> {
    let kinds = [("reads", &report.tally.reads), ("writes", &report.tally.writes)];
    kinds.into_iter().filter(|(_, latencies)| latencies.count() > 0).collect()
}
