//! Builds the exporters of `opentelemetry-otlp`, each with what it needs to
//! run on a thread without a runtime.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, LogExporter, MetricExporter, RetryPolicy, SpanExporter,
    WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{Resource, logs, trace};
use tokio::runtime::Runtime;

#[cfg(feature = "grpc")]
use super::grpc;
use super::{
    client::{Client, Patience},
    report::Report,
    talk::Talk,
};
use crate::{
    Error,
    telemetry::{
        config::{Config, Otlp, Protocol},
        tally::Signal,
    },
};

/// An exporter, and what drives it.
#[derive(Debug)]
pub(super) struct Sender<E> {
    pub(super) exporter: E,
    pub(super) driver: Driver,
}

/// Runs the futures of an exporter on a thread that may block.
#[derive(Debug, Default)]
pub(super) struct Driver(
    /// Of gRPC, which needs one, and this one outlives every other.
    Option<Runtime>,
);

/// The exporter of spans; nothing if none are sent.
pub(super) fn spans(
    config: &Config,
    resource: &Resource,
    talk: &Arc<Talk>,
    report: &Arc<Report>,
) -> Result<Option<Sender<SpanExporter>>, Error> {
    let Some(otlp) = config.otlp(Signal::Traces)? else {
        return Ok(None);
    };
    let timeout = otlp.timeout.min(config.spans.timeout);
    let mut sender = build(
        &otlp,
        || {
            let client = Client::new(
                &otlp,
                timeout,
                talk,
                Patience::UntilBack(Arc::clone(report)),
            )?;
            Ok(http(SpanExporter::builder().with_http(), &otlp, timeout, client).build())
        },
        #[cfg(feature = "grpc")]
        || Ok(grpc::configure(SpanExporter::builder().with_tonic(), &otlp, timeout)?.build()),
    )?;
    trace::SpanExporter::set_resource(&mut sender.exporter, resource);
    Ok(Some(sender))
}

/// The exporter of log records; nothing if none are sent.
pub(super) fn logs(
    config: &Config,
    resource: &Resource,
    talk: &Arc<Talk>,
    report: &Arc<Report>,
) -> Result<Option<Sender<LogExporter>>, Error> {
    let Some(otlp) = config.otlp(Signal::Logs)? else {
        return Ok(None);
    };
    let timeout = otlp.timeout.min(config.logs.timeout);
    let mut sender = build(
        &otlp,
        || {
            let client = Client::new(
                &otlp,
                timeout,
                talk,
                Patience::UntilBack(Arc::clone(report)),
            )?;
            Ok(http(LogExporter::builder().with_http(), &otlp, timeout, client).build())
        },
        #[cfg(feature = "grpc")]
        || Ok(grpc::configure(LogExporter::builder().with_tonic(), &otlp, timeout)?.build()),
    )?;
    logs::LogExporter::set_resource(&mut sender.exporter, resource);
    Ok(Some(sender))
}

/// The exporter of metrics; nothing if none are pushed.
pub(super) fn metrics(
    config: &Config,
    talk: &Arc<Talk>,
) -> Result<Option<Sender<MetricExporter>>, Error> {
    let Some(otlp) = config.otlp(Signal::Metrics)? else {
        return Ok(None);
    };
    let timeout = otlp.timeout.min(config.metrics_timeout);
    let builder = || MetricExporter::builder().with_temporality(config.temporality);
    let sender = build(
        &otlp,
        || {
            let client = Client::new(&otlp, timeout, talk, Patience::OneRound)?;
            Ok(http(builder().with_http(), &otlp, timeout, client).build())
        },
        #[cfg(feature = "grpc")]
        || Ok(grpc::configure(builder().with_tonic(), &otlp, timeout)?.build()),
    )?;
    Ok(Some(sender))
}

/// Builds over HTTP or, in a build that has it, over gRPC.
fn build<E>(
    otlp: &Otlp,
    over_http: impl FnOnce() -> Result<Result<E, ExporterBuildError>, Error>,
    #[cfg(feature = "grpc")] over_grpc: impl FnOnce() -> Result<Result<E, ExporterBuildError>, Error>,
) -> Result<Sender<E>, Error> {
    #[cfg(feature = "grpc")]
    let (built, driver) = match otlp.protocol {
        Protocol::HttpProtobuf | Protocol::HttpJson => (over_http()?, Driver(None)),
        Protocol::Grpc => {
            let runtime = grpc::runtime()?;
            let entered = runtime.enter();
            let built = over_grpc()?;
            drop(entered);
            (built, Driver(Some(runtime)))
        }
    };
    // Without its feature, gRPC is refused where the variable is read.
    #[cfg(not(feature = "grpc"))]
    let (built, driver) = (over_http()?, Driver(None));
    let exporter = built
        .map_err(|error| Error::usage(format!("cannot export to {}: {error}", otlp.endpoint)))?;
    Ok(Sender { exporter, driver })
}

/// Whatever can be said is said here, so that nothing is read from the
/// environment behind the configuration's back.
fn http<B: WithExportConfig + WithHttpConfig>(
    builder: B,
    otlp: &Otlp,
    timeout: Duration,
    client: Client,
) -> B {
    let protocol = match otlp.protocol {
        Protocol::HttpJson => opentelemetry_otlp::Protocol::HttpJson,
        Protocol::HttpProtobuf | Protocol::Grpc => opentelemetry_otlp::Protocol::HttpBinary,
    };
    let builder = builder
        .with_endpoint(&otlp.endpoint.0)
        .with_protocol(protocol)
        .with_timeout(timeout)
        // The client has one of its own, which a shutdown can cut short.
        .with_retry_policy(RetryPolicy::disabled())
        .with_http_client(client);
    match otlp.gzip {
        true => builder.with_compression(Compression::Gzip),
        false => builder,
    }
}

// === impl Driver ===

impl Driver {
    /// Over HTTP a future is ready at once, since the client blocks. `None`: it
    /// was not.
    pub(super) fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        match &self.0 {
            Some(runtime) => Some(runtime.block_on(future)),
            None => future.now_or_never(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Dropping a runtime waits, which panics inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What an exporter gives that has nothing to wait for.
pub(super) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    future.now_or_never()
}
