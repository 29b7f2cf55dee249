//! The way out: providers and readers that export what the configuration says,
//! with every item counted.
//!
//! Nothing here blocks whoever makes telemetry, and nothing waits longer than
//! it was told to: threads of their own send, with a client that needs no
//! runtime.

mod answer;
mod client;
#[cfg(feature = "grpc")]
mod grpc;
mod logs;
mod metrics;
mod otlp;
mod queue;
mod report;
mod sampler;
mod spans;
mod talk;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::SdkLoggerProvider,
    metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider},
    resource::TelemetryResourceDetector,
    trace::SdkTracerProvider,
};
use uuid::Uuid;

pub(super) use self::spans::SpanGate;
use self::{logs::LogGate, report::Terms};
use super::{
    config::Config,
    identity::{Identify, Inherit},
    tally::{Signal, Tally},
};
use crate::Error;

const SERVICE_NAME: &str = "service.name";
const DEFAULT_SERVICE_NAME: &str = "taskpulse";

/// What is said of this process with all that it exports.
pub(crate) fn resource(config: &Config) -> Resource {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| Uuid::new_v4().to_string());
    let mut builder = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.instance.id", instance.clone()));
    let name = given_name(config);
    if name.is_none() {
        // Of a program that has a name of its own, this is not the version.
        let version = env!("CARGO_PKG_VERSION");
        builder = builder.with_attribute(KeyValue::new("service.version", version));
    }
    if config.agent_core {
        let agent = KeyValue::new("aws.service.type", "gen_ai_agent");
        builder = builder.with_attribute(agent);
    }
    let given = config.attributes.iter();
    let given = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let name = service_name(config).to_owned();
    builder
        .with_attributes(given)
        .with_attribute(KeyValue::new(SERVICE_NAME, name))
        .build()
}

/// The `service.name` of all that is exported.
pub(crate) fn service_name(config: &Config) -> &str {
    given_name(config).unwrap_or(DEFAULT_SERVICE_NAME)
}

fn given_name(config: &Config) -> Option<&str> {
    let mut given = config.attributes.iter();
    let named = given.find(|(key, _)| key == SERVICE_NAME);
    let named = named.map(|(_, name)| name.as_str());
    config.service_name.as_deref().or(named)
}

/// Makes spans, samples them, and exports them if that is asked for: through the gate
/// that is given back with their provider.
///
/// # Errors
///
/// [`Error::Usage`] if the endpoint or the certificate cannot be used.
pub(crate) fn tracer_provider(
    config: &Config,
    resource: &Resource,
    tally: &Arc<Tally>,
) -> Result<(SdkTracerProvider, Option<SpanGate>), Error> {
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(sampler::sampler(config))
        .with_span_limits(config.limits);
    if !config.kept_baggage().is_empty() {
        builder = builder.with_span_processor(Inherit);
    }
    let gate = SpanGate::new(config, resource, tally)?;
    let provider = match &gate {
        Some(gate) => builder.with_span_processor(gate.clone()).build(),
        None => builder.build(),
    };
    Ok((provider, gate))
}

/// Adds the readers that push metrics, if that is asked for.
///
/// # Errors
///
/// As [`tracer_provider`].
pub(crate) fn add_readers(
    mut builder: MeterProviderBuilder,
    config: &Config,
    tally: &Arc<Tally>,
) -> Result<MeterProviderBuilder, Error> {
    if let Some(reader) = metrics::push(config, tally)? {
        builder = builder.with_reader(reader);
    }
    if config.prints(Signal::Metrics) {
        let console = opentelemetry_stdout::MetricExporter::builder();
        let console = console.with_temporality(config.temporality).build();
        let reader = PeriodicReader::builder(console).with_interval(config.metrics_interval);
        builder = builder.with_reader(reader.build());
    }
    Ok(builder)
}

/// Pushes metrics a last time, for at most `timeout`, which the SDK's own
/// shutdown of a meter provider does not keep to.
///
/// # Errors
///
/// As the SDK's: the last push failed, or the time is up.
pub(crate) fn shut_meters_down(provider: &SdkMeterProvider, timeout: Duration) -> OTelSdkResult {
    metrics::shut_down(provider, timeout)
}

/// Exports log records, if that is asked for.
///
/// # Errors
///
/// As [`tracer_provider`].
pub(crate) fn logger_provider(
    config: &Config,
    resource: &Resource,
    tally: &Arc<Tally>,
) -> Result<Option<SdkLoggerProvider>, Error> {
    let gate = LogGate::new(config, resource, tally)?;
    let provider = |gate| {
        let builder = SdkLoggerProvider::builder().with_resource(resource.clone());
        let identified = builder.with_log_processor(Identify);
        identified.with_log_processor(gate).build()
    };
    Ok(gate.map(provider))
}

/// Where a signal goes, and what happens to it while it cannot.
fn terms(config: &Config, signal: Signal) -> Result<Terms, Error> {
    let queued = |queue| format!("up to {queue} are queued, more are dropped and counted");
    let to = config.otlp(signal)?.map(|otlp| otlp.endpoint.to_string());
    Ok(Terms {
        to: to.unwrap_or_else(|| "standard output".to_owned()),
        meanwhile: match signal {
            Signal::Traces => queued(config.spans.queue),
            Signal::Logs => queued(config.logs.queue),
            Signal::Metrics => "the next push has the totals again".to_owned(),
        },
    })
}
