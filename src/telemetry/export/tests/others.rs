//! Metrics, logs, and what is said of the process.

use std::io::Read as _;

use flate2::read::GzDecoder;
use opentelemetry::{
    Array, Value,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _},
    metrics::MeterProvider as _,
    trace::SpanContext,
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_sdk::error::OTelSdkError;
use prost::Message as _;

use super::*;

fn meters(config: &Config, tally: &Arc<Tally>) -> SdkMeterProvider {
    let builder = add_readers(SdkMeterProvider::builder(), config, tally).unwrap();
    builder.build()
}

#[test]
fn data_points_are_counted() {
    let collector = Collector::start(Manner::Accept);
    let tally = Arc::<Tally>::default();
    let provider = meters(&config(collector.address, &[]), &tally);
    let counter = provider.meter("test").u64_counter("pages").build();
    for kind in ["a", "b", "c"] {
        counter.add(1, &[KeyValue::new("kind", kind)]);
    }
    provider.force_flush().unwrap();
    let tally = tally.of(Signal::Metrics);
    assert_eq!(tally.exported.load(Relaxed), 3);
    collector.received(|all| {
        assert!(all[0].head.starts_with("post /v1/metrics "));
        ExportMetricsServiceRequest::decode(&*all[0].body).unwrap();
    });
    collector.behave(Manner::Refuse(400, ""));
    provider.force_flush().unwrap_err();
    assert_eq!(tally.lost(Loss::Failed), 3);
    assert_eq!(tally.failures.load(Relaxed), 1);
    collector.behave(Manner::Reject(1));
    provider.force_flush().unwrap();
    assert_eq!(tally.lost(Loss::Rejected), 1);
    assert_eq!(tally.exported.load(Relaxed), 5);
}

#[test]
fn a_hanging_collector_holds_no_shutdown_of_metrics_up() {
    let collector = Collector::start(Manner::Hang);
    let variables = [("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
    let tally = Arc::<Tally>::default();
    let provider = meters(&config(collector.address, &variables), &tally);
    provider
        .meter("test")
        .u64_counter("pages")
        .build()
        .add(1, &[]);
    let deadline = Duration::from_millis(100);
    let ended = shut_meters_down(&provider, deadline);
    // The SDK's own shutdown takes five seconds, and says something else.
    assert!(matches!(ended, Err(OTelSdkError::Timeout(time)) if time == deadline));
}

#[test]
fn a_shutdown_of_metrics_pushes_once_more() {
    let collector = Collector::start(Manner::Accept);
    let tally = Arc::<Tally>::default();
    let provider = meters(&config(collector.address, &[]), &tally);
    provider
        .meter("test")
        .u64_counter("pages")
        .build()
        .add(1, &[]);
    shut_meters_down(&provider, DEADLINE).unwrap();
    assert_eq!(tally.of(Signal::Metrics).exported.load(Relaxed), 1);
}

#[test]
fn log_records_are_counted() {
    let collector = Collector::start(Manner::Accept);
    let tally = Arc::<Tally>::default();
    let config = config(collector.address, &[("OTEL_LOGS_EXPORTER", "otlp")]);
    let provider = logger_provider(&config, &resource(&config), &tally);
    let provider = provider.unwrap().expect("logs are sent");
    let logger = provider.logger("test");
    let log = |text: &'static str| {
        let mut record = logger.create_log_record();
        record.set_body(AnyValue::from(text));
        logger.emit(record);
    };
    log("one");
    log("two");
    provider.force_flush().unwrap();
    assert_eq!(tally.of(Signal::Logs).exported.load(Relaxed), 2);
    collector.received(|all| {
        assert!(all[0].head.starts_with("post /v1/logs "));
        let request = ExportLogsServiceRequest::decode(&*all[0].body).unwrap();
        let resource = request.resource_logs[0].resource.as_ref().unwrap();
        let named = resource
            .attributes
            .iter()
            .any(|has| has.key == "service.name");
        assert!(named);
    });
    collector.behave(Manner::Refuse(400, ""));
    log("three");
    provider.shutdown_with_timeout(DEADLINE).unwrap();
    assert_eq!(tally.of(Signal::Logs).lost(Loss::Failed), 1);
}

#[test]
fn logs_go_nowhere_unless_that_is_asked_for() {
    let config = config(Collector::nobody(), &[]);
    let provider = logger_provider(&config, &resource(&config), &Arc::default());
    assert!(provider.unwrap().is_none());
}

#[test]
fn requests_are_as_they_are_configured() {
    let collector = Collector::start(Manner::Accept);
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-all=1,x-key=a%2520b"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ];
    let way = Way::to(collector.address, &variables);
    way.end(1);
    way.provider.force_flush().unwrap();
    collector.received(|all| {
        for line in [
            "x-all: 1",
            // Decoded once, not twice.
            "x-key: a%20b",
            "content-type: application/json",
            "content-encoding: gzip",
        ] {
            let lines = all[0].head.lines();
            assert_eq!(lines.filter(|has| *has == line).count(), 1, "{line}");
        }
        let mut json = String::new();
        GzDecoder::new(&*all[0].body)
            .read_to_string(&mut json)
            .unwrap();
        let request: serde_json::Value = serde_json::from_str(&json).unwrap();
        let spans = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
        assert_eq!(spans[0]["name"], "crunch");
    });
}

#[test]
fn the_resource_says_who_this_is() {
    let said = |variables: &[(&str, &str)], key: &'static str| {
        let resource = resource(&config(Collector::nobody(), variables));
        let value = resource.get(&key.into());
        value.map(|value| value.to_string())
    };
    let given = |value: &str| Some(value.to_owned());
    assert_eq!(said(&[], "service.name"), given("taskpulse"));
    assert_eq!(said(&[], "telemetry.sdk.language"), given("rust"));
    assert_eq!(
        said(&[], "service.version"),
        given(env!("CARGO_PKG_VERSION"))
    );
    let instance = said(&[], "service.instance.id").unwrap();
    assert!(Uuid::try_parse(&instance).is_ok());
    assert_eq!(said(&[], "service.instance.id"), Some(instance));
    let attributes = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=attributes,service.instance.id=one,team=a%20b",
    );
    assert_eq!(said(&[attributes], "service.name"), given("attributes"));
    assert_eq!(said(&[attributes], "service.version"), None);
    assert_eq!(said(&[attributes], "service.instance.id"), given("one"));
    assert_eq!(said(&[attributes], "team"), given("a b"));
    let named = ("OTEL_SERVICE_NAME", "named");
    assert_eq!(said(&[attributes, named], "service.name"), given("named"));
    assert_eq!(said(&[], "aws.service.type"), None);
    let agent = ("AGENT_OBSERVABILITY_ENABLED", "true");
    assert_eq!(said(&[agent], "aws.service.type"), given("gen_ai_agent"));
}

#[test]
fn the_limits_of_spans_are_those_that_are_set() {
    let collector = Collector::start(Manner::Accept);
    let way = Way::to(
        collector.address,
        &[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")],
    );
    let mut span = way.provider.tracer("test").start("crunch");
    span.set_attribute(KeyValue::new("first", 1));
    span.set_attribute(KeyValue::new("second", 2));
    span.end();
    way.provider.force_flush().unwrap();
    collector.received(|all| {
        let body = String::from_utf8_lossy(&all[0].body);
        assert!(body.contains("first") && !body.contains("second"));
    });
}

#[test]
fn texts_of_spans_are_as_long_as_is_set() {
    let collector = Collector::start(Manner::Accept);
    let limit = [("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")];
    let way = Way::to(collector.address, &limit);
    // A character is not a byte, and what is short enough stays.
    let texts = || {
        let array = Array::String(vec!["äöü1".into(), "b".into()]);
        vec![
            KeyValue::new("text", "äöü2"),
            KeyValue::new("array", Value::Array(array)),
            KeyValue::new("short", "äöü"),
            KeyValue::new("number", 12_345),
        ]
    };
    let tracer = way.provider.tracer("test");
    let mut span = tracer.start("crunch");
    span.set_attributes(texts());
    span.add_event("event", texts());
    span.add_link(SpanContext::NONE, texts());
    span.end();
    way.provider.force_flush().unwrap();
    collector.received(|all| {
        let request = ExportTraceServiceRequest::decode(&*all[0].body).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        let event = &span.events[0].attributes;
        for attributes in [&span.attributes, event, &span.links[0].attributes] {
            let text = format!("{attributes:?}");
            assert!(!text.contains("äöü1") && !text.contains("äöü2"), "{text}");
            assert_eq!(text.matches("\"äöü\"").count(), 3, "{text}");
            assert!(text.contains("\"b\"") && text.contains("12345"), "{text}");
        }
    });
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_waits_for_no_runtime_of_the_callers() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let way = Way::to(
            Collector::nobody(),
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        );
        way.end(10);
        way.provider.force_flush().unwrap_err();
        assert_eq!(way.fate(), failed(10));
        way.provider.shutdown_with_timeout(DEADLINE).unwrap();
    });
}
