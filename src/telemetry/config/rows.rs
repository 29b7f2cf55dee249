//! The standard variables: one row each, from which the reader, its errors and
//! the table in `docs/telemetry.md` come.

use super::{
    Batches, Config,
    otlp::{Endpoint, OtlpSettings},
    values,
    variables::{Read, Variable},
};
use crate::telemetry::tally::Signal;

/// The end of the name of a variable about OTLP, its default, what is allowed,
/// what it does, and how it is taken over.
type OtlpRow = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    fn(&mut OtlpSettings, &str) -> Option<()>,
);

pub(super) const URL: &str = "a URL that begins with `http://` or `https://`";
const SWITCH: &str = "`true` or `false`";
const MILLISECONDS: &str = "milliseconds, an integer from 1";
const COUNT: &str = "an integer from 0 to 4294967295";
const ITEMS: &str = "an integer from 1";
const EXPORTERS: &str = "a list of `otlp`, `console`, or `none`";
pub(super) const HEADERS: &str =
    "a list such as `key=value,key=value` of header names and percent-encoded values";

/// Every variable, in the order of the page.
pub(super) fn variables() -> Vec<Variable> {
    let mut rows = Vec::new();
    rows.extend(destinations());
    for (end, default, allowed, help, read) in otlp() {
        let signals = Signal::ALL.map(Some);
        for signal in [None].into_iter().chain(signals) {
            rows.push(otlp_variable(signal, end, default, allowed, help, read));
        }
    }
    rows.extend(identity());
    rows.extend(sampling());
    rows.extend(limits());
    rows.extend(batches("OTEL_BSP", |config| &mut config.spans));
    rows.extend(batches("OTEL_BLRP", |config| &mut config.logs));
    rows.extend(metrics());
    rows
}

fn variable(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: fn(&mut Config, &str) -> Option<()>,
) -> Variable {
    Variable {
        name: name.into(),
        default,
        allowed,
        help,
        read: Read::Config(read),
    }
}

fn otlp_variable(
    signal: Option<Signal>,
    end: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: fn(&mut OtlpSettings, &str) -> Option<()>,
) -> Variable {
    let of = signal.map(|signal| format!("{}_", signal.label().to_uppercase()));
    let one = signal.is_some();
    Variable {
        name: format!("OTEL_EXPORTER_OTLP_{}{end}", of.unwrap_or_default()).into(),
        default: if one { "as for all signals" } else { default },
        allowed,
        help: match end {
            "ENDPOINT" if one => "Where this signal goes, as it is",
            _ if one => "The same for this signal, in place of what is set for all",
            _ => help,
        },
        read: Read::Otlp(signal, read),
    }
}

fn destinations() -> [Variable; 4] {
    [
        variable(
            "OTEL_SDK_DISABLED",
            "false",
            SWITCH,
            "Nothing is exported, and no span is made",
            |config, text| set(&mut config.disabled, values::switch(text)),
        ),
        variable(
            "OTEL_TRACES_EXPORTER",
            "`otlp` if there is an endpoint, else `none`",
            EXPORTERS,
            "Where spans go; with `otlp` and no endpoint, to the default one",
            |config, text| {
                set(
                    &mut config.exporters[Signal::Traces as usize],
                    values::exporters(text).map(Some),
                )
            },
        ),
        variable(
            "OTEL_METRICS_EXPORTER",
            "`otlp` if there is an endpoint, else `none`",
            "a list of `otlp`, `console`, `prometheus`, or `none`",
            "Where metrics are pushed to; /metrics is served whatever this says",
            |config, text| {
                set(
                    &mut config.exporters[Signal::Metrics as usize],
                    values::metrics_exporters(text).map(Some),
                )
            },
        ),
        variable(
            "OTEL_LOGS_EXPORTER",
            "none",
            EXPORTERS,
            "Where log records go besides standard output; an endpoint alone does not turn this on, since the log is printed already and whoever collects that would get it twice",
            |config, text| {
                set(
                    &mut config.exporters[Signal::Logs as usize],
                    values::exporters(text).map(Some),
                )
            },
        ),
    ]
}

fn otlp() -> [OtlpRow; 6] {
    [
        (
            "ENDPOINT",
            "http://localhost:4318, with gRPC http://localhost:4317",
            URL,
            "The collector; `/v1/traces`, `/v1/metrics`, `/v1/logs` are appended, but not with gRPC. Setting it turns traces and metrics on",
            |otlp, text| {
                set(
                    &mut otlp.endpoint,
                    values::url(text).map(|url| Some(Endpoint(url))),
                )
            },
        ),
        (
            "HEADERS",
            "none",
            HEADERS,
            "Sent with each request, for a key of the backend's",
            |otlp, text| set(&mut otlp.headers, values::headers(text).map(Some)),
        ),
        (
            "TIMEOUT",
            "10000",
            MILLISECONDS,
            "What sending a batch may take, further attempts included, until that counts as a failure; a batch of spans or logs is then tried again, and given up after three times as long only if the collector may have it",
            |otlp, text| set(&mut otlp.timeout, values::time(text).map(Some)),
        ),
        (
            "COMPRESSION",
            "none",
            "`gzip` or `none`",
            "How requests are compressed",
            |otlp, text| set(&mut otlp.gzip, values::compression(text).map(Some)),
        ),
        (
            "PROTOCOL",
            "http/protobuf",
            "`http/protobuf` or `http/json`, or `grpc` in a build with the cargo feature `grpc`",
            "How OTLP is written",
            |otlp, text| set(&mut otlp.protocol, values::protocol(text).map(Some)),
        ),
        (
            "CERTIFICATE",
            "the roots of the platform",
            "the path of a PEM file",
            "The certificates that an `https` collector's must lead to",
            |otlp, text| set(&mut otlp.certificate, Some(Some(text.into()))),
        ),
    ]
}

fn identity() -> [Variable; 4] {
    [
        variable(
            "OTEL_SERVICE_NAME",
            "taskpulse",
            "a name",
            "`service.name`; wins over the one in OTEL_RESOURCE_ATTRIBUTES",
            |config, text| set(&mut config.service_name, Some(Some(text.to_owned()))),
        ),
        variable(
            "OTEL_RESOURCE_ATTRIBUTES",
            "none",
            "a list such as `key=value,key=value`, percent-encoded",
            "What is said of this process with all it exports",
            |config, text| set(&mut config.attributes, values::pairs(text)),
        ),
        variable(
            "AGENT_OBSERVABILITY_ENABLED",
            "false",
            SWITCH,
            "Set by AgentCore: the resource says `aws.service.type=gen_ai_agent`, and `session.id` is taken from baggage, too",
            |config, text| set(&mut config.agent_core, values::switch(text)),
        ),
        variable(
            "OTEL_PROPAGATORS",
            "tracecontext,baggage",
            "a list of `tracecontext`, `baggage`, or `none`",
            "Which headers of a request are read",
            |config, text| set(&mut config.propagators, values::propagators(text)),
        ),
    ]
}

fn sampling() -> [Variable; 2] {
    [
        variable(
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_on",
            "`always_on`, `always_off` or `traceidratio`, or one of these with `parentbased_` before it",
            "Which traces are kept",
            |config, text| set(&mut config.sampling, values::sampling(text)),
        ),
        variable(
            "OTEL_TRACES_SAMPLER_ARG",
            "1",
            "a number from 0 to 1",
            "The share of traces that a `traceidratio` sampler keeps",
            |config, text| set(&mut config.ratio, values::ratio(text)),
        ),
    ]
}

fn limits() -> [Variable; 5] {
    [
        variable(
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "128",
            COUNT,
            "Attributes of a span; the first ones are kept",
            |config, text| {
                set(
                    &mut config.limits.max_attributes_per_span,
                    values::number(text),
                )
            },
        ),
        variable(
            "OTEL_SPAN_EVENT_COUNT_LIMIT",
            "128",
            COUNT,
            "Events of a span; the first ones are kept",
            |config, text| set(&mut config.limits.max_events_per_span, values::number(text)),
        ),
        variable(
            "OTEL_SPAN_LINK_COUNT_LIMIT",
            "128",
            COUNT,
            "Links of a span; the first ones are kept",
            |config, text| set(&mut config.limits.max_links_per_span, values::number(text)),
        ),
        variable(
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "no limit",
            COUNT,
            "The same as OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT, where that is not set; log records have no such limit",
            |config, text| {
                set(
                    &mut config.all.longest_value,
                    values::number(text).map(Some),
                )
            },
        ),
        variable(
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "as OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            COUNT,
            "Characters of a text among the attributes of a span, its events and its links; the first ones are kept",
            |config, text| {
                set(
                    &mut config.own[Signal::Traces as usize].longest_value,
                    values::number(text).map(Some),
                )
            },
        ),
    ]
}

/// The queue of a signal: `family` is how its variables begin.
fn batches(family: &'static str, of: fn(&mut Config) -> &mut Batches) -> [Variable; 4] {
    let row = |end, default, allowed, help, read| Variable {
        name: format!("{family}_{end}").into(),
        default,
        allowed,
        help,
        read: Read::Batches(of, read),
    };
    [
        row(
            "SCHEDULE_DELAY",
            "1000",
            "milliseconds, an integer from 0",
            "How long an item waits for its batch to fill; with more, a process that is frozen or killed has more to lose",
            |batches, text| set(&mut batches.delay, values::delay(text)),
        ),
        row(
            "EXPORT_TIMEOUT",
            "30000",
            MILLISECONDS,
            "The same as OTEL_EXPORTER_OTLP_TIMEOUT, where this is less; and what a flush may take",
            |batches, text| set(&mut batches.timeout, values::time(text)),
        ),
        row(
            "MAX_QUEUE_SIZE",
            "16384",
            ITEMS,
            "Items that wait or are on their way, more are dropped and counted; the standard's 2048 is a tenth of a second at 20,000 a second",
            |batches, text| set(&mut batches.queue, values::size(text)),
        ),
        row(
            "MAX_EXPORT_BATCH_SIZE",
            "2048",
            ITEMS,
            "Items in a request, at most the size of the queue; the standard's 512 is 10,000 a second where a request takes 50 ms",
            |batches, text| set(&mut batches.batch, values::size(text).map(Some)),
        ),
    ]
}

fn metrics() -> [Variable; 3] {
    [
        variable(
            "OTEL_METRIC_EXPORT_INTERVAL",
            "60000",
            MILLISECONDS,
            "How often metrics are pushed",
            |config, text| set(&mut config.metrics_interval, values::time(text)),
        ),
        variable(
            "OTEL_METRIC_EXPORT_TIMEOUT",
            "30000",
            MILLISECONDS,
            "What a push may take, where this is less than OTEL_EXPORTER_OTLP_TIMEOUT",
            |config, text| set(&mut config.metrics_timeout, values::time(text)),
        ),
        variable(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "cumulative",
            "`cumulative`, `delta` or `lowmemory`",
            "Whether pushed counts are totals or what came since the last push; /metrics has totals",
            |config, text| set(&mut config.temporality, values::temporality(text)),
        ),
    ]
}

fn set<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}
