//! `/metrics`: every family of the design, with exact values after a known
//! load.

use std::{io::Read as _, thread};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{exporting, invoke};
use crate::harness::{Collector, Process, Scrape, eventually};

/// The families, what they are, and one label that each series has.
const FAMILIES: [(&str, &str, &str); 20] = [
    ("taskpulse_task_active", "gauge", "task_name"),
    ("taskpulse_task_transitions_total", "counter", "task_state"),
    ("taskpulse_task_duration_seconds", "histogram", "task_state"),
    ("taskpulse_task_oldest_age_seconds", "gauge", "task_name"),
    ("taskpulse_task_rejected_total", "counter", "reason"),
    ("taskpulse_ping_status", "gauge", "ping_status"),
    ("taskpulse_ping_transitions_total", "counter", "ping_status"),
    ("taskpulse_ping_last_update_timestamp_seconds", "gauge", ""),
    ("taskpulse_ping_forced", "gauge", ""),
    (
        "http_server_request_duration_seconds",
        "histogram",
        "http_request_method",
    ),
    (
        "http_server_active_requests",
        "gauge",
        "http_request_method",
    ),
    ("taskpulse_stream_open", "gauge", "kind"),
    ("taskpulse_telemetry_exported_total", "counter", "signal"),
    (
        "taskpulse_telemetry_export_failures_total",
        "counter",
        "signal",
    ),
    ("taskpulse_telemetry_dropped_total", "counter", "reason"),
    ("taskpulse_telemetry_queue", "gauge", "signal"),
    ("taskpulse_history_entries", "gauge", ""),
    ("taskpulse_history_limit", "gauge", ""),
    ("target_info", "gauge", "service_name"),
    ("process_uptime_seconds", "gauge", ""),
];

const STATES: [&str; 7] = [
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "interrupted",
    "lost",
];

/// Task duration edges, in seconds.
const EDGES: [f64; 20] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
    1800.0, 3600.0, 7200.0, 14400.0, 28800.0,
];

/// The same for requests: the semantic conventions'.
const HTTP_EDGES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

#[track_caller]
fn scrape(agent: &Process) -> Scrape {
    Scrape::of(&agent.get("/metrics"))
}

/// Begins a `process` and waits until its end has been counted.
fn run(agent: &Process, event: &Value) {
    invoke(agent, "", event);
    eventually("it has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
}

/// Three good ends, one error, one panic: the state of each and how often.
fn load(agent: &Process) {
    for outcome in ["succeeded", "succeeded", "succeeded", "failed", "panicked"] {
        let event = json!({"action": "process", "seconds": 0, "outcome": outcome});
        run(agent, &event);
    }
}

/// The edges of the histogram's first series.
fn edges(scrape: &Scrape, name: &str) -> Vec<f64> {
    let samples = &scrape.family(name).samples;
    let mut edges: Vec<f64> = Vec::new();
    for sample in samples {
        let Some(edge) = sample.labels.get("le") else {
            break; // The sum: what comes now is another series' or the count.
        };
        edges.push(edge.parse().unwrap_or(f64::INFINITY));
    }
    assert_eq!(edges.pop(), Some(f64::INFINITY));
    edges
}

#[test]
fn every_family_is_there() {
    let collector = Collector::start();
    let agent = exporting(&collector, &["--max-active", "1"], &[]);
    load(&agent);
    invoke(&agent, "", &json!({"action": "process", "seconds": 60}));
    agent.invoke(&json!({"action": "process"}));
    collector.wait_for("telemetry has been sent", |it| it.deliveries().len() >= 2);
    let scrape = scrape(&agent);
    let missing: Vec<_> = FAMILIES
        .iter()
        .map(|(name, _, _)| *name)
        .filter(|name| !scrape.families.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    for (name, kind, label) in FAMILIES {
        let family = scrape.family(name);
        assert_eq!(family.kind, kind, "{name}");
        assert!(!family.help.is_empty(), "{name} has no help");
        assert!(!family.samples.is_empty(), "{name} has no series");
        for sample in &family.samples {
            let has = label.is_empty() || sample.labels.contains_key(label);
            assert!(has, "{sample:?} has no {label}");
            let scoped = sample
                .labels
                .keys()
                .any(|key| key.starts_with("otel_scope"));
            assert!(!scoped, "{sample:?}");
        }
    }
    for prefix in ["process_", "tokio_runtime_"] {
        let names = scrape.families.keys();
        let some = names.filter(|name| name.starts_with(prefix)).count();
        assert!(some >= 3, "{some} {prefix}");
    }
    let info = &scrape.family("target_info").samples[0];
    assert_eq!(info.labels["service_name"], "taskpulse");
}

#[test]
fn counters_of_known_names_are_born_at_zero() {
    let agent = Process::spawn(&[]);
    let scrape = scrape(&agent);
    for name in ["data_processing", "cleanup"] {
        for state in STATES {
            let labels = [("task_name", name), ("task_state", state)];
            let value = scrape.value("taskpulse_task_transitions_total", &labels);
            assert_eq!(value, Some(0.0), "{name} {state}");
        }
        let labels = [("task_name", name)];
        for gauge in ["taskpulse_task_active", "taskpulse_task_oldest_age_seconds"] {
            assert_eq!(scrape.value(gauge, &labels), Some(0.0), "{gauge} {name}");
        }
    }
    for (status, value) in [("Healthy", 1.0), ("HealthyBusy", 0.0)] {
        let labels = [("ping_status", status)];
        let found = scrape.value("taskpulse_ping_status", &labels);
        assert_eq!(found, Some(value), "{status}");
        let found = scrape.value("taskpulse_ping_transitions_total", &labels);
        assert_eq!(found, Some(0.0), "the first status is no transition");
    }
    for reason in ["capacity", "draining", "invalid"] {
        let found = scrape.value("taskpulse_task_rejected_total", &[("reason", reason)]);
        assert_eq!(found, Some(0.0), "{reason}");
    }
    assert_eq!(scrape.value("taskpulse_history_limit", &[]), Some(1_000.0));
    assert_eq!(scrape.value("taskpulse_history_entries", &[]), Some(0.0));
    assert_eq!(scrape.value("taskpulse_ping_forced", &[]), Some(0.0));
}

#[test]
fn a_known_load_is_counted_exactly() {
    let agent = Process::spawn(&["--max-active", "2"]);
    load(&agent);
    invoke(&agent, "", &json!({"action": "process", "seconds": 60}));
    invoke(&agent, "", &json!({"action": "cleanup", "seconds": 60}));
    assert_eq!(agent.invoke(&json!({"action": "cleanup"})).status, 503);

    let scrape = scrape(&agent);
    let count = |name: &str, state: &str| {
        let labels = [("task_name", name), ("task_state", state)];
        scrape.value("taskpulse_task_transitions_total", &labels)
    };
    for (name, state, value) in [
        ("data_processing", "running", 6.0),
        ("data_processing", "succeeded", 3.0),
        ("data_processing", "failed", 2.0),
        ("cleanup", "running", 1.0),
        ("cleanup", "succeeded", 0.0),
    ] {
        assert_eq!(count(name, state), Some(value), "{name} {state}");
    }
    for (name, labels, value) in [
        (
            "taskpulse_task_active",
            ("task_name", "data_processing"),
            1.0,
        ),
        ("taskpulse_task_active", ("task_name", "cleanup"), 1.0),
        ("taskpulse_task_rejected_total", ("reason", "capacity"), 1.0),
        ("taskpulse_task_rejected_total", ("reason", "draining"), 0.0),
        ("taskpulse_ping_status", ("ping_status", "HealthyBusy"), 1.0),
        ("taskpulse_ping_status", ("ping_status", "Healthy"), 0.0),
    ] {
        assert_eq!(
            scrape.value(name, &[labels]),
            Some(value),
            "{name} {labels:?}"
        );
    }
    assert_eq!(scrape.value("taskpulse_history_entries", &[]), Some(5.0));
    let busy = [("ping_status", "HealthyBusy")];
    let transitions = scrape.value("taskpulse_ping_transitions_total", &busy);
    assert_eq!(transitions, Some(6.0));
    let updated = scrape.value("taskpulse_ping_last_update_timestamp_seconds", &[]);
    let ping = agent.get("/ping").json()["time_of_last_update"].as_f64();
    assert_eq!(updated, ping);
}

#[test]
fn durations_are_counted_between_their_edges() {
    let agent = Process::spawn(&["--max-active", "1"]);
    load(&agent);
    invoke(&agent, "", &json!({"action": "process", "seconds": 60}));
    assert_eq!(agent.invoke(&json!({"action": "cleanup"})).status, 503);
    let scrape = scrape(&agent);
    let ok = [
        ("task_name", "data_processing"),
        ("task_state", "succeeded"),
    ];
    let durations = scrape.value("taskpulse_task_duration_seconds_count", &ok);
    assert_eq!(durations, Some(3.0));
    assert_eq!(edges(&scrape, "taskpulse_task_duration_seconds"), EDGES);
    assert_eq!(
        edges(&scrape, "http_server_request_duration_seconds"),
        HTTP_EDGES
    );
    let requests = [
        ("http_request_method", "POST"),
        ("http_route", "/invocations"),
    ];
    let name = "http_server_request_duration_seconds_count";
    let answered = |status| {
        let status = ("http_response_status_code", status);
        scrape.sum(name, &[requests[0], requests[1], status])
    };
    let off = (answered("200") - 6.0).abs() + (answered("503") - 1.0).abs();
    assert!(
        off < f64::EPSILON,
        "{:#?}",
        scrape.family("http_server_request_duration_seconds")
    );
}

#[test]
fn what_ends_with_the_process_is_exported() {
    let collector = Collector::start();
    let more = [("OTEL_METRIC_EXPORT_INTERVAL", "60000")];
    let mut agent = exporting(&collector, &["--drain", "100ms"], &more);
    load(&agent);
    invoke(&agent, "", &json!({"action": "process", "seconds": 60}));
    agent.terminate();
    assert!(agent.wait().success());
    for (state, value) in [
        ("running", 6.0),
        ("succeeded", 3.0),
        ("failed", 2.0),
        ("interrupted", 1.0),
    ] {
        let attributes = [("task.name", "data_processing"), ("task.state", state)];
        let found = collector.value("taskpulse.task.transitions", &attributes);
        assert_eq!(found, Some(value), "{state}");
    }
    let active = [("task.name", "data_processing")];
    assert_eq!(collector.value("taskpulse.task.active", &active), Some(0.0));
    let spans = collector.spans_named("data_processing");
    let interrupted = spans
        .iter()
        .filter(|it| it.get("task.state") == "interrupted");
    assert_eq!(interrupted.count(), 1, "{:#?}", collector.summary());
}

#[test]
fn it_is_compressed_for_who_asks() {
    let agent = Process::spawn(&[]);
    let plain = agent.get("/metrics");
    assert_eq!(plain.header("content-encoding"), None);
    let mut client = agent.client();
    let packed = client.request("GET", "/metrics", "Accept-Encoding: gzip\r\n", "");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("content-type"), plain.header("content-type"));
    let mut text = String::new();
    GzDecoder::new(&*packed.body)
        .read_to_string(&mut text)
        .expect("gzip");
    let names = |scrape: &Scrape| scrape.families.keys().cloned().collect::<Vec<_>>();
    let plain = names(&Scrape::of(&plain));
    let unpacked = names(&Scrape::parse(&text));
    // The first scrape was counted in between.
    assert!(plain.iter().all(|name| unpacked.contains(name)));
    // OpenMetrics is not written, whoever asks for it.
    let wanted = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    Scrape::of(&agent.client().request("GET", "/metrics", wanted, ""));
}

#[test]
fn many_scrape_at_once() {
    let agent = Process::spawn(&[]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = agent.client();
                for _ in 0..25 {
                    let scrape = Scrape::of(&client.request("GET", "/metrics", "", ""));
                    scrape.family("taskpulse_task_active");
                }
            });
        }
        load(&agent);
    });
    let total = scrape(&agent).sum("taskpulse_task_transitions_total", &[]);
    assert!((total - 10.0).abs() < f64::EPSILON, "{total}");
}
