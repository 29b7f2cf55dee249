//! Spans, metrics and logs as a test wants to read them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1 as logs,
    metrics::v1::{self as metrics, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::{self as trace, span},
};
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Signal;

/// Keys and values, each of the JSON type that it has in OTLP: `3` is an
/// integer, `3.0` a double, `"3"` a string.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// A finished span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    /// `SERVER`, `INTERNAL`, ...
    pub(crate) kind: String,
    /// 32 hex digits, as the other ids have 16.
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty without a parent.
    pub(crate) parent: String,
    pub(crate) attributes: Attributes,
    /// Keys that came more than once.
    pub(crate) repeated: Vec<String>,
    pub(crate) events: Vec<(String, Attributes)>,
    /// Trace and span ids.
    pub(crate) links: Vec<(String, String)>,
    /// `UNSET`, `OK` or `ERROR`.
    pub(crate) status: String,
    pub(crate) status_message: String,
    pub(crate) start_nanos: u64,
    pub(crate) end_nanos: u64,
    pub(crate) resource: Attributes,
}

/// A log record.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    pub(crate) body: Value,
    pub(crate) severity: String,
    pub(crate) attributes: Attributes,
    /// Empty outside of a span, as the span's.
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) resource: Attributes,
}

/// A metric with its series.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) description: String,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
    pub(crate) resource: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    UpDownCounter,
    Histogram,
}

/// A series' state.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) attributes: Attributes,
    /// A histogram's count.
    pub(crate) value: f64,
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) sum: f64,
    pub(crate) edges: Vec<f64>,
    /// One more than there are edges; not cumulative.
    pub(crate) counts: Vec<u64>,
}

/// What a request carries.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) spans: Vec<Span>,
    pub(super) metrics: Vec<Metric>,
    pub(super) logs: Vec<LogRecord>,
}

/// Attributes that are all strings.
pub(crate) fn of(attributes: &[(&str, &str)]) -> Attributes {
    let pairs = attributes.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect()
}

/// Reads a request's body; none if it is not what it claims to be.
pub(super) fn decode(signal: Signal, json: bool, body: &[u8]) -> Option<Records> {
    let mut records = Records::default();
    match signal {
        Signal::Traces => records.add_spans(message(json, body)?),
        Signal::Metrics => records.add_metrics(message(json, body)?)?,
        Signal::Logs => records.add_logs(message(json, body)?),
    }
    Some(records)
}

fn message<M: Message + Default + DeserializeOwned>(json: bool, body: &[u8]) -> Option<M> {
    match json {
        true => serde_json::from_slice(body).ok(),
        false => M::decode(body).ok(),
    }
}

// === impl Records ===

impl Records {
    /// Spans, data points or log records.
    pub(super) fn count(&self) -> usize {
        let points = self.metrics.iter().map(|metric| metric.points.len());
        self.spans.len() + self.logs.len() + points.sum::<usize>()
    }

    fn add_spans(&mut self, request: ExportTraceServiceRequest) {
        for batch in request.resource_spans {
            let resource = of_resource(batch.resource);
            let spans = batch.scope_spans.into_iter().flat_map(|it| it.spans);
            self.spans
                .extend(spans.map(|span| Span::read(span, &resource)));
        }
    }

    fn add_logs(&mut self, request: ExportLogsServiceRequest) {
        for batch in request.resource_logs {
            let resource = of_resource(batch.resource);
            let logs = batch.scope_logs.into_iter();
            let logs = logs.flat_map(|scope| scope.log_records);
            self.logs
                .extend(logs.map(|record| LogRecord::read(record, &resource)));
        }
    }

    fn add_metrics(&mut self, request: ExportMetricsServiceRequest) -> Option<()> {
        for batch in request.resource_metrics {
            let resource = of_resource(batch.resource);
            let metrics = batch.scope_metrics.into_iter();
            for metric in metrics.flat_map(|scope| scope.metrics) {
                self.metrics.push(Metric::read(metric, &resource)?);
            }
        }
        Some(())
    }
}

// === impl Span ===

impl Span {
    /// An attribute; null where there is none.
    pub(crate) fn get(&self, key: &str) -> &Value {
        self.attributes.get(key).unwrap_or(&Value::Null)
    }

    fn read(span: trace::Span, resource: &Attributes) -> Self {
        let mut keys: Vec<_> = span.attributes.iter().map(|pair| &pair.key).collect();
        keys.sort();
        let twice = keys.windows(2).filter(|pair| pair[0] == pair[1]);
        let status = span.status.clone().unwrap_or_default();
        Self {
            repeated: twice.map(|pair| pair[0].clone()).collect(),
            kind: prefixless(span.kind().as_str_name(), "SPAN_KIND_"),
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            attributes: attributes(span.attributes),
            events: span.events.into_iter().map(event).collect(),
            links: span.links.iter().map(link).collect(),
            status: prefixless(status.code().as_str_name(), "STATUS_CODE_"),
            status_message: status.message,
            start_nanos: span.start_time_unix_nano,
            end_nanos: span.end_time_unix_nano,
            resource: resource.clone(),
        }
    }
}

fn event(event: span::Event) -> (String, Attributes) {
    (event.name, attributes(event.attributes))
}

fn link(link: &span::Link) -> (String, String) {
    (hex(&link.trace_id), hex(&link.span_id))
}

fn prefixless(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_owned()
}

// === impl LogRecord ===

impl LogRecord {
    fn read(record: logs::LogRecord, resource: &Attributes) -> Self {
        Self {
            body: value(record.body),
            severity: record.severity_text,
            attributes: attributes(record.attributes),
            trace_id: hex(&record.trace_id),
            span_id: hex(&record.span_id),
            resource: resource.clone(),
        }
    }
}

// === impl Metric ===

impl Metric {
    /// Nothing for the kinds that we never make.
    fn read(metric: metrics::Metric, resource: &Attributes) -> Option<Self> {
        let (kind, points) = match metric.data? {
            Data::Gauge(gauge) => (Kind::Gauge, gauge.data_points.into_iter().map(number)),
            Data::Sum(sum) => {
                let kind = match sum.is_monotonic {
                    true => Kind::Counter,
                    false => Kind::UpDownCounter,
                };
                (kind, sum.data_points.into_iter().map(number))
            }
            Data::Histogram(histogram) => {
                let points = histogram.data_points.into_iter().map(bucketed).collect();
                return Some(Self::of(
                    (metric.name, metric.unit, metric.description),
                    (Kind::Histogram, points),
                    resource,
                ));
            }
            Data::ExponentialHistogram(_) | Data::Summary(_) => return None,
        };
        Some(Self::of(
            (metric.name, metric.unit, metric.description),
            (kind, points.collect()),
            resource,
        ))
    }

    fn of(
        (name, unit, description): (String, String, String),
        (kind, points): (Kind, Vec<Point>),
        resource: &Attributes,
    ) -> Self {
        Self {
            name,
            unit,
            description,
            kind,
            points,
            resource: resource.clone(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn number(point: metrics::NumberDataPoint) -> Point {
    Point {
        attributes: attributes(point.attributes),
        value: match point.value {
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            Some(number_data_point::Value::AsDouble(value)) => value,
            None => f64::NAN,
        },
        histogram: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn bucketed(point: metrics::HistogramDataPoint) -> Point {
    Point {
        attributes: attributes(point.attributes),
        value: point.count as f64,
        histogram: Some(Histogram {
            sum: point.sum.unwrap_or(f64::NAN),
            edges: point.explicit_bounds,
            counts: point.bucket_counts,
        }),
    }
}

fn of_resource(resource: Option<Resource>) -> Attributes {
    attributes(resource.unwrap_or_default().attributes)
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    pairs
        .into_iter()
        .map(|pair| (pair.key, value(pair.value)))
        .collect()
}

fn value(any: Option<AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        None => Value::Null,
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(truth)) => json!(truth),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::ArrayValue(array)) => array
            .values
            .into_iter()
            .map(|item| value(Some(item)))
            .collect(),
        Some(any_value::Value::KvlistValue(list)) => {
            Value::Object(attributes(list.values).into_iter().collect())
        }
        Some(any_value::Value::BytesValue(bytes)) => json!({ "bytes": hex(&bytes) }),
        Some(any_value::Value::StringValueStrindex(index)) => json!({ "strindex": index }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
