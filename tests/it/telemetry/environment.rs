//! The standard variables: what they do, and what a bad value of one does.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{TRACE, exporting, invoke, traceparent};
use crate::harness::{BINARY, Behaviour, Collector, PATIENCE, Process, Signal, eventually};

/// Variables, and values that they cannot have.
const BAD: [(&str, &str); 29] = [
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_METRICS_EXPORTER", "statsd"),
    ("OTEL_LOGS_EXPORTER", "prometheus"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://localhost"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "localhost:4318"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "no equals sign"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "-1"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/roots.pem"),
    ("OTEL_RESOURCE_ATTRIBUTES", "no equals sign"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
    ("OTEL_PROPAGATORS", "jaeger"),
    ("OTEL_TRACES_SAMPLER", "sometimes"),
    ("OTEL_BSP_SCHEDULE_DELAY", "1s"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "1.5"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "x"),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "x"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "x"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "x"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "x"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "x"),
    #[cfg(not(feature = "grpc"))]
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    #[cfg(feature = "grpc")]
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC!"),
];

/// Starts the program, which is expected not to: its exit code and what it said.
#[track_caller]
fn complains(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut child = Command::new(BINARY)
        .args(["--host", "127.0.0.1", "--port", "0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let deadline = std::time::Instant::now() + PATIENCE;
    while child.try_wait().expect("our child").is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().expect("our child");
            panic!("it starts with {variables:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("our child");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), said)
}

#[test]
fn a_bad_value_is_named() {
    for (name, value) in BAD {
        let (code, said) = complains(&[(name, value)]);
        assert_eq!(code, Some(2), "{name}={value}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}={value}: {said}");
        assert!(said.contains(name), "{name}={value}: {said}");
        assert!(
            // What may hold a key is not repeated.
            said.contains(value) || name.ends_with("HEADERS"),
            "{name}={value}: {said}"
        );
    }
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "7"),
    ];
    let (code, said) = complains(&ratio);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("OTEL_TRACES_SAMPLER_ARG"), "{said}");
}

#[cfg(not(feature = "grpc"))]
#[test]
fn grpc_needs_its_feature() {
    let (code, said) = complains(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("feature"), "{said}");
}

#[test]
fn a_disabled_sdk_tells_nobody() {
    let collector = Collector::start();
    for value in ["true", "TRUE"] {
        let mut agent = exporting(&collector, &[], &[("OTEL_SDK_DISABLED", value)]);
        let answer = invoke(
            &agent,
            &traceparent("01"),
            &json!({"action": "process", "seconds": 0}),
        );
        assert_eq!(answer.header("traceparent"), None);
        let known = agent.get(&format!("/tasks/{}", answer.json()["task_id"]));
        let known = known.json();
        assert_eq!(known["trace_id"], Value::Null);
        assert_eq!(known["span_id"], Value::Null);
        let metrics = agent.get("/metrics");
        assert_eq!(metrics.status, 200);
        assert!(metrics.text().contains("taskpulse_task_transitions_total"));
        agent.terminate();
        assert_eq!(agent.wait().code(), Some(0));
    }
    assert!(
        collector.deliveries().is_empty(),
        "{:#?}",
        collector.summary()
    );
}

#[test]
fn nothing_is_sent_without_an_endpoint() {
    let agent = Process::spawn(&[]);
    let answer = invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
    let known = agent.get(&format!("/tasks/{}", answer.json()["task_id"]));
    assert!(known.json()["trace_id"].is_string());
    assert!(answer.header("traceparent").is_some());
    let lines = agent.messages();
    assert!(
        !lines.iter().any(|line| line.starts_with("telemetry")),
        "{lines:#?}"
    );
}

#[test]
fn encodings_and_headers() {
    for (protocol, compression, json, gzip) in [
        ("http/protobuf", "none", false, false),
        ("http/protobuf", "gzip", false, true),
        ("http/json", "", true, false),
        ("http/json", "gzip", true, true),
    ] {
        let collector = Collector::start();
        let more = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b,x-other=1"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ];
        let agent = exporting(&collector, &[], &more);
        let event = json!({"action": "process", "seconds": 0});
        invoke(&agent, &traceparent("01"), &event);
        assert_eq!(collector.span_named("data_processing").trace_id, TRACE);
        collector.next_metrics();
        collector.wait_for("logs", |it| !it.logs().is_empty());
        for delivery in collector.deliveries() {
            assert_eq!(delivery.json, json, "{protocol}: {delivery:?}");
            assert_eq!(delivery.gzip, gzip, "{compression}: {delivery:?}");
            for (name, value) in [("x-key", "a b"), ("x-other", "1")] {
                let found = delivery.headers.iter().find(|(known, _)| known == name);
                assert_eq!(
                    found.map(|(_, value)| &**value),
                    Some(value),
                    "{delivery:?}"
                );
            }
        }
    }
}

#[test]
fn each_signal_may_go_elsewhere() {
    let (all, traces) = (Collector::start(), Collector::start());
    let url = format!("{}/v1/traces", traces.url());
    let more = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*url),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=traces"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=all"),
    ];
    let agent = exporting(&all, &[], &more);
    invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
    traces.span_named("data_processing");
    all.next_metrics();
    assert!(all.spans().is_empty() && traces.metrics().is_empty());
    for (collector, value) in [(&all, "all"), (&traces, "traces")] {
        for delivery in collector.deliveries() {
            let key = ("x-key".to_owned(), value.to_owned());
            assert!(delivery.headers.contains(&key), "{delivery:?}");
        }
    }
}

#[test]
fn exporters_can_be_left_out() {
    for (name, signal) in [
        ("OTEL_TRACES_EXPORTER", Signal::Traces),
        ("OTEL_METRICS_EXPORTER", Signal::Metrics),
    ] {
        let collector = Collector::start();
        let mut agent = exporting(&collector, &[], &[(name, "none")]);
        let answer = invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
        let known = agent.get(&format!("/tasks/{}", answer.json()["task_id"]));
        assert!(known.json()["trace_id"].is_string(), "{name}");
        let metrics = agent.get("/metrics").text();
        assert!(metrics.contains("taskpulse_task_active"), "{name}");
        agent.terminate();
        assert!(agent.wait().success());
        assert_eq!(collector.count(signal), 0, "{name}");
        assert!(!collector.deliveries().is_empty(), "{name}");
    }
}

#[test]
fn who_the_service_is() {
    for (name, attributes, service) in [
        ("", "", "taskpulse"),
        ("mine", "service.name=theirs", "mine"),
        ("", "service.name=theirs", "theirs"),
    ] {
        let collector = Collector::start();
        let more = format!("{attributes},team=a%20b%2C");
        let more = [
            ("OTEL_SERVICE_NAME", name),
            ("OTEL_RESOURCE_ATTRIBUTES", more.trim_start_matches(',')),
        ];
        let agent = exporting(&collector, &[], &more);
        agent.get("/tasks");
        let span = collector.span_named("GET /tasks");
        assert_eq!(span.resource["service.name"], service);
        assert_eq!(span.resource["team"], "a b,");
        collector.next_metrics();
        for metric in collector.metrics() {
            assert_eq!(metric.resource, span.resource);
        }
    }
}

#[test]
fn propagators_can_be_left_out() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[("OTEL_PROPAGATORS", "none")]);
    let event = json!({"action": "process", "seconds": 0});
    invoke(&agent, &traceparent("01"), &event);
    let request = collector.span_named("POST /invocations");
    assert_eq!(request.parent, "");
    assert_ne!(request.trace_id, TRACE);
}

#[test]
fn a_timeout_ends_an_attempt() {
    let collector = Collector::start();
    collector.behave(Behaviour::Hang);
    let agent = exporting(&collector, &[], &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    agent.get("/tasks");
    let failed = "taskpulse_telemetry_export_failures_total{signal=\"traces\"} 1";
    eventually("an attempt is given up", || {
        agent.get("/metrics").text().contains(failed)
    });
    // The span is not.
    collector.behave(Behaviour::Accept);
    collector.span_named("GET /tasks");
}

#[test]
fn spans_have_the_limits_that_are_set() {
    let collector = Collector::start();
    let more = [("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")];
    let agent = exporting(&collector, &[], &more);
    agent.get("/tasks");
    let span = collector.span_named("GET /tasks");
    assert_eq!(span.attributes.len(), 3, "{span:#?}");
}
