//! The receiver itself: what it is sent by hand is what it shows, and it does
//! what it is told to.

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use prost::Message as _;
use serde_json::json;

use crate::harness::{Behaviour, Client, Collector, Response, Scrape, Signal, collector::Kind};

const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const PACKED: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n";

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.to_owned()))
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: vec![text("service.name", "by hand")],
        ..Resource::default()
    })
}

fn span(name: &str) -> Span {
    Span {
        trace_id: vec![0x4b; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        name: name.to_owned(),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        attributes: vec![
            pair("int", any_value::Value::IntValue(3)),
            pair("double", any_value::Value::DoubleValue(3.0)),
            pair("bool", any_value::Value::BoolValue(true)),
            text("string", "3"),
        ],
        events: vec![span::Event {
            name: "exception".to_owned(),
            attributes: vec![text("exception.message", "boom")],
            ..span::Event::default()
        }],
        links: vec![span::Link {
            trace_id: vec![5; 16],
            span_id: vec![6; 8],
            ..span::Link::default()
        }],
        status: Some(Status {
            message: "boom".to_owned(),
            code: 2,
        }),
        ..Span::default()
    }
}

fn traces(names: &[&str]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            scope_spans: vec![ScopeSpans {
                spans: names.iter().map(|name| span(name)).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: "s".to_owned(),
        description: "By hand.".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(value: i64) -> Vec<NumberDataPoint> {
    vec![NumberDataPoint {
        attributes: vec![text("task.name", "crunch")],
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    }]
}

fn metrics(value: i64) -> ExportMetricsServiceRequest {
    let gauge = Data::Gauge(Gauge {
        data_points: number(value),
    });
    let sum = Data::Sum(Sum {
        data_points: number(value),
        is_monotonic: true,
        ..Sum::default()
    });
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            count: 3,
            sum: Some(4.5),
            explicit_bounds: vec![1.0, 2.0],
            bucket_counts: vec![1, 0, 2],
            ..HistogramDataPoint::default()
        }],
        ..Histogram::default()
    });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![
                    metric("gauge", gauge),
                    metric("counter", sum),
                    metric("histogram", histogram),
                ],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn logs() -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord {
                    severity_text: "WARN".to_owned(),
                    body: Some(AnyValue {
                        value: Some(any_value::Value::StringValue("hello".to_owned())),
                    }),
                    attributes: vec![text("sessionId", "s-1")],
                    trace_id: vec![7; 16],
                    span_id: vec![8; 8],
                    ..LogRecord::default()
                }],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

fn post(collector: &Collector, path: &str, headers: &str, body: &[u8]) -> Response {
    Client::connect(collector.address).request("POST", path, headers, body)
}

fn post_spans(collector: &Collector, names: &[&str]) -> Response {
    let body = traces(names).encode_to_vec();
    post(collector, "/v1/traces", PROTOBUF, &body)
}

#[test]
fn spans_keep_their_types_in_every_encoding() {
    let collector = Collector::start();
    let json = serde_json::to_vec(&traces(&["json"])).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(&traces(&["packed"]).encode_to_vec())
        .unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(post_spans(&collector, &["plain"]).status, 200);
    for (headers, body) in [(JSON, json), (PACKED, packed)] {
        let answer = post(&collector, "/v1/traces", headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for name in ["plain", "json", "packed"] {
        let span = collector.span_named(name);
        assert_eq!(span.kind, "SERVER");
        assert_eq!(span.trace_id, "4b".repeat(16));
        assert_eq!(span.span_id, "01".repeat(8));
        assert_eq!(span.parent, "02".repeat(8));
        assert_eq!(span.get("int"), &json!(3));
        assert_eq!(span.get("double"), &json!(3.0));
        assert_ne!(span.get("double"), &json!(3), "types differ");
        assert_eq!(span.get("bool"), &json!(true));
        assert_eq!(span.get("string"), &json!("3"));
        assert_eq!(span.get("none"), &json!(null));
        assert_eq!(span.events[0].0, "exception");
        assert_eq!(span.events[0].1["exception.message"], "boom");
        assert_eq!(span.links, [("05".repeat(16), "06".repeat(8))]);
        assert_eq!((&*span.status, &*span.status_message), ("ERROR", "boom"));
        assert_eq!((span.start_nanos, span.end_nanos), (1_000, 2_000));
        assert_eq!(span.resource["service.name"], "by hand");
        assert!(span.repeated.is_empty());
    }
    let seen: Vec<_> = collector
        .deliveries()
        .iter()
        .map(|delivery| (delivery.json, delivery.gzip, delivery.items))
        .collect();
    assert_eq!(
        seen,
        [(false, false, 1), (true, false, 1), (false, true, 1)]
    );
}

#[test]
fn attributes_that_come_twice_are_told() {
    let collector = Collector::start();
    let mut request = traces(&["twice"]);
    let attributes = &mut request.resource_spans[0].scope_spans[0].spans[0].attributes;
    attributes.push(text("string", "again"));
    post(&collector, "/v1/traces", PROTOBUF, &request.encode_to_vec());
    assert_eq!(collector.span_named("twice").repeated, ["string"]);
}

#[test]
fn of_metrics_the_last_values_count() {
    let collector = Collector::start();
    for value in [1, 2] {
        let body = metrics(value).encode_to_vec();
        assert_eq!(post(&collector, "/v1/metrics", PROTOBUF, &body).status, 200);
    }
    let crunch = [("task.name", "crunch")];
    assert_eq!(collector.value("gauge", &crunch), Some(2.0));
    assert_eq!(collector.value("counter", &crunch), Some(2.0));
    assert_eq!(collector.value("counter", &[]), None);
    assert_eq!(collector.value("histogram", &[]), Some(3.0));
    let kinds: Vec<_> = collector.metrics().iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Gauge, Kind::Counter, Kind::Histogram]);
    let metric = collector.metric("histogram");
    assert_eq!((&*metric.unit, &*metric.description), ("s", "By hand."));
    let histogram = metric.points[0].histogram.clone().unwrap();
    assert_eq!(histogram.edges, [1.0, 2.0]);
    assert_eq!(histogram.counts, [1, 0, 2]);
    assert_eq!(collector.count(Signal::Metrics), 2);
}

#[test]
fn logs_keep_their_trace() {
    let collector = Collector::start();
    let body = logs().encode_to_vec();
    assert_eq!(post(&collector, "/v1/logs", PROTOBUF, &body).status, 200);
    let logs = collector.logs();
    assert_eq!(logs[0].body, "hello");
    assert_eq!(logs[0].severity, "WARN");
    assert_eq!(logs[0].trace_id, "07".repeat(16));
    assert_eq!(logs[0].span_id, "08".repeat(8));
    assert_eq!(logs[0].attributes["sessionId"], "s-1");
    assert_eq!(logs[0].resource["service.name"], "by hand");
}

#[test]
fn it_misbehaves_as_told() {
    let collector = Collector::start();
    collector.behave(Behaviour::Status(503));
    assert_eq!(post_spans(&collector, &["refused"]).status, 503);

    collector.behave(Behaviour::Partial(2));
    let answer = post_spans(&collector, &["a", "b", "c"]);
    let said = ExportTraceServiceResponse::decode(&*answer.body).unwrap();
    assert_eq!(said.partial_success.unwrap().rejected_spans, 2);

    for behaviour in [Behaviour::Close, Behaviour::HalfAnswer] {
        collector.behave(behaviour);
        let mut client = Client::connect(collector.address);
        let body = traces(&["lost"]).encode_to_vec();
        client.send(format!(
            "POST /v1/traces HTTP/1.1\r\n{PROTOBUF}Content-Length: {}\r\n\r\n",
            body.len()
        ));
        let rest = client.send(&body).rest();
        assert_eq!(rest.is_empty(), behaviour == Behaviour::Close);
        assert!(!rest.windows(4).any(|four| four == b"\r\n\r\n"));
    }

    collector.behave(Behaviour::Hang);
    thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            // It closes at last, without an answer.
            catch_unwind(AssertUnwindSafe(|| post_spans(&collector, &["hung"])))
        });
        collector.wait_for("the request is read", |it| it.deliveries().len() == 5);
        assert!(!hanging.is_finished());
        collector.behave(Behaviour::Accept);
        assert!(hanging.join().unwrap().is_err());
    });
    assert_eq!(post_spans(&collector, &["accepted"]).status, 200);
    let names: Vec<_> = collector.spans().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["c", "accepted"]);
}

#[test]
fn it_stops_and_returns() {
    let collector = Collector::start();
    let mut kept = Client::connect(collector.address);
    let body = traces(&["before"]).encode_to_vec();
    let answer = kept.request("POST", "/v1/traces", PROTOBUF, &body);
    assert_eq!(answer.status, 200);
    collector.stop();
    assert!(kept.is_closed());
    assert!(std::net::TcpStream::connect(collector.address).is_err());
    collector.restart();
    assert_eq!(post_spans(&collector, &["after"]).status, 200);
    let names: Vec<_> = collector.spans().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["before", "after"]);
    let soon = Duration::from_millis(10);
    assert!(!collector.holds_within(soon, |it| it.spans().len() > 2));
}

#[test]
fn what_is_not_otlp_is_refused() {
    let collector = Collector::start();
    for (path, headers, status) in [
        ("/v1/nothing", PROTOBUF, 404),
        ("/v1/traces", "", 415),
        ("/v1/traces", JSON, 400),
        ("/v1/traces", PACKED, 400),
    ] {
        let answer = post(&collector, path, headers, b"nonsense");
        assert_eq!(answer.status, status, "{path} {headers}");
    }
    assert!(collector.deliveries().is_empty());
}

#[test]
fn the_text_format_is_read_strictly() {
    let good = "# HELP a_total What \\\\ is\\nmeant.\n# TYPE a_total counter\n\
        a_total{x=\"1\\\"}\",y=\"\"} 3\na_total 4\n# HELP b Seconds.\n# TYPE b histogram\n\
        b_bucket{le=\"+Inf\"} 1\nb_sum 0.5\nb_count 1\n";
    let scrape = Scrape::parse(good);
    assert_eq!(scrape.family("a_total").help, "What \\ is\nmeant.");
    assert_eq!(
        scrape.value("a_total", &[("x", "1\"}"), ("y", "")]),
        Some(3.0)
    );
    assert_eq!(scrape.value("a_total", &[]), Some(4.0));
    assert!((scrape.sum("a_total", &[]) - 7.0).abs() < f64::EPSILON);
    assert_eq!(scrape.family("b").kind, "histogram");
    assert_eq!(scrape.value("b_bucket", &[("le", "+Inf")]), Some(1.0));
    for bad in [
        "a 1\n",
        "# TYPE a gauge\na 1\na 2\n",
        "# TYPE a gauge\na_sum 1\n",
        "# TYPE a gauge\na 1",
        "# TYPE a gauge\na 1\n# TYPE a gauge\n",
    ] {
        assert!(catch_unwind(|| Scrape::parse(bad)).is_err(), "{bad}");
    }
}
