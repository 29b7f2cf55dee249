//! A scrape and an export of the same moment say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{exporting, invoke};
use crate::harness::{
    Collector, Scrape, Signal,
    collector::{Kind, Metric, Point},
    eventually,
    scrape::{Family, Labels},
};

/// The name at `/metrics` of a metric that OTLP calls so.
fn scraped_name(metric: &Metric) -> String {
    let unit = match (&*metric.unit, metric.kind) {
        ("s", _) => "_seconds",
        ("By", _) => "_bytes",
        ("1", _) => "_ratio",
        _ => "",
    };
    let total = match metric.kind {
        Kind::Counter => "_total",
        Kind::Gauge | Kind::UpDownCounter | Kind::Histogram => "",
    };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::UpDownCounter => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// A series' labels at `/metrics`.
fn labels(point: &Point) -> Labels {
    let pairs = point.attributes.iter();
    pairs
        .map(|(key, value)| {
            let value = match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            };
            (key.replace('.', "_"), value)
        })
        .collect()
}

/// The series of a family, by labels: of a histogram its count.
fn series(name: &str, family: &Family) -> BTreeMap<Labels, f64> {
    let counted = format!("{name}_count");
    let wanted = match family.kind.as_str() {
        "histogram" => &*counted,
        _ => name,
    };
    let samples = family.samples.iter().filter(|it| it.name == wanted);
    samples.map(|it| (it.labels.clone(), it.value)).collect()
}

/// Whether the values do not move by our looking at them.
fn rests(metric: &Metric) -> bool {
    let still = ["taskpulse.task.", "taskpulse.ping.", "taskpulse.history."];
    still.iter().any(|prefix| metric.name.starts_with(prefix))
}

#[track_caller]
fn assert_equal(metric: &Metric, scrape: &Scrape) {
    let name = scraped_name(metric);
    let family = scrape.family(&name);
    assert_eq!(family.kind, kind(metric), "{name}");
    assert_eq!(family.help, metric.description, "{name}");
    let scraped = series(&name, family);
    let exported: BTreeMap<_, _> = metric
        .points
        .iter()
        .map(|it| (labels(it), it.value))
        .collect();
    assert_eq!(exported.len(), metric.points.len(), "{name}: twice");
    let (here, there): (BTreeSet<_>, BTreeSet<_>) =
        (scraped.keys().collect(), exported.keys().collect());
    assert_eq!(here, there, "{name}: scraped, exported");
    if rests(metric) {
        assert_eq!(scraped, exported, "{name}");
    }
    for point in &metric.points {
        let Some(histogram) = &point.histogram else {
            continue;
        };
        let mut sum = 0;
        let edges = histogram.edges.iter().copied().chain([f64::INFINITY]);
        for (edge, count) in edges.zip(&histogram.counts) {
            sum += count;
            let mut wanted = labels(point);
            let found = family.samples.iter().find(|sample| {
                let le = sample
                    .labels
                    .get("le")
                    .and_then(|le| le.parse::<f64>().ok());
                wanted.extend(
                    sample
                        .labels
                        .get("le")
                        .map(|le| ("le".to_owned(), le.clone())),
                );
                le == Some(edge) && sample.labels == wanted
            });
            let found = found.unwrap_or_else(|| panic!("{name}: no edge {edge}"));
            let equal = found.value.to_string() == sum.to_string();
            assert!(equal || !rests(metric), "{name} {edge}: {found:?}, {sum}");
        }
    }
}

#[test]
fn scraped_and_exported_are_equal() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    for outcome in ["succeeded", "failed", "panicked"] {
        for action in ["process", "cleanup"] {
            let event = json!({"action": action, "seconds": 0.02, "outcome": outcome});
            invoke(&agent, "", &event);
            eventually("it has ended", || {
                agent.get("/ping").json()["status"] == "Healthy"
            });
        }
    }
    // More metadata than a task may have.
    let refused = agent.invoke(&json!({"action": "process", "data_id": "x".repeat(300_000)}));
    assert_eq!(refused.status, 400);
    invoke(&agent, "", &json!({"action": "stream", "seconds": 0}));
    // From here on nothing is new but what looking itself moves: series of the
    // first scrape and of the first export are there in the second.
    agent.get("/metrics");
    collector.wait_for("every span", |it| it.spans_named("stream").len() == 1);
    collector.next_metrics();
    let scrape = Scrape::of(&agent.get("/metrics"));
    collector.next_metrics();

    let metrics = collector.metrics();
    for metric in &metrics {
        assert_equal(metric, &scrape);
    }
    let exported: BTreeSet<_> = metrics.iter().map(scraped_name).collect();
    let mut scraped: BTreeSet<_> = scrape.families.keys().cloned().collect();
    assert!(scraped.remove("target_info"));
    assert_eq!(scraped, exported);
    let resting = metrics.iter().filter(|metric| rests(metric)).count();
    assert!(resting >= 10, "{resting} compared by value");
    assert!(collector.count(Signal::Metrics) >= 4);

    let info = &scrape.family("target_info").samples[0];
    let resource = &metrics[0].resource;
    assert_eq!(info.labels.len(), resource.len(), "{info:?} {resource:?}");
    for (key, value) in resource {
        let label = info.labels.get(&key.replace('.', "_"));
        assert_eq!(label.map(String::as_str), value.as_str(), "{key}");
    }
}
