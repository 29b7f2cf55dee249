//! Start and end of telemetry.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock, atomic::AtomicBool},
};

use opentelemetry::{
    InstrumentationScope, global,
    metrics::{Meter, MeterProvider as _},
    trace::TracerProvider as _,
};
use opentelemetry_sdk::{
    logs::SdkLoggerProvider,
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};

use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::{
    Config,
    export::{self, SpanGate},
    idle::Flusher,
    instruments::{observe_process, observe_telemetry},
    layer::{is_layered, layer_of},
    log::DroppedLines,
    propagation::Propagator,
    tally::{Signal, Tally},
};
use crate::Error;

/// The process's telemetry: where spans, metrics and log records go.
///
/// [`App::run`](crate::App::run) starts and ends one by itself. A program with a
/// subscriber of its own starts it with [`start`] or [`builder`], adds
/// [`layer`](super::layer()) to its subscriber, and ends it with
/// [`shutdown`](Self::shutdown). Cloning it is cheap; clones share everything.
#[derive(Clone)]
pub struct Telemetry(pub(super) Arc<Inner>);

/// Starts telemetry out of parts that a program has already.
///
/// ```
/// use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
/// use taskpulse::telemetry::{self, opentelemetry_sdk};
///
/// # fn main() -> Result<(), taskpulse::Error> {
/// let spans = SdkTracerProvider::builder().build();
/// let metrics = SdkMeterProvider::builder().build();
/// let telemetry = telemetry::builder()
///     .tracer_provider(spans)
///     .meter_provider(metrics)
///     .start()?;
/// # telemetry.shutdown(std::time::Duration::from_secs(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "telemetry starts with `start`"]
pub struct Builder {
    config: Config,
    tracer_provider: Option<SdkTracerProvider>,
    meter_provider: Option<SdkMeterProvider>,
}

pub(super) struct Inner {
    config: Config,
    /// None where the SDK is disabled.
    tracer: Option<SdkTracer>,
    /// Whether the program has given its own provider of spans.
    own_tracers: bool,
    pub(super) tracers: Option<SdkTracerProvider>,
    /// Where finished spans go, if they are exported by us.
    gate: Option<SpanGate>,
    /// Ours first, which `/metrics` reads, then the program's.
    pub(super) meters: Vec<SdkMeterProvider>,
    pub(super) logs: Option<SdkLoggerProvider>,
    registry: prometheus::Registry,
    propagator: Propagator,
    pub(super) tally: Arc<Tally>,
    printed: Arc<OnceLock<DroppedLines>>,
    pub(super) flusher: OnceLock<Flusher>,
    pub(super) ended: AtomicBool,
}

/// The telemetry that an app takes which was given none.
static CURRENT: RwLock<Option<Telemetry>> = RwLock::new(None);

/// Starts telemetry as `config` says, for the whole process.
///
/// It becomes OpenTelemetry's global one, so instruments and spans of your own,
/// made with [`opentelemetry::global`], are exported too, and apps that start
/// from now on report through it. Add [`layer`](super::layer()) to your
/// subscriber, so that `tracing` spans and log lines take part.
///
/// ```
/// use std::time::Duration;
///
/// use taskpulse::telemetry::{self, Config};
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), taskpulse::Error> {
/// let telemetry = telemetry::start(Config::from_env()?)?;
/// tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer())
///     .with(telemetry::layer())
///     .init();
/// // ... App::new().entrypoint(handler).serve(listener, shutdown).await?;
/// telemetry.shutdown(Duration::from_secs(3));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Usage`] for an endpoint or a certificate that cannot be used.
pub fn start(config: Config) -> Result<Telemetry, Error> {
    builder().config(config).start()
}

/// Starts telemetry out of parts that a program has already; see [`Builder`].
pub fn builder() -> Builder {
    Builder::default()
}

/// The scope that our spans and metrics are of.
pub(super) fn scope() -> opentelemetry::InstrumentationScopeBuilder {
    InstrumentationScope::builder("taskpulse").with_version(env!("CARGO_PKG_VERSION"))
}

// === impl Builder ===

impl Builder {
    /// What to export and how. What a given provider does is its own matter.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Takes a provider of spans instead of making one. It is shut down with
    /// the telemetry.
    pub fn tracer_provider(self, provider: SdkTracerProvider) -> Self {
        Self {
            tracer_provider: Some(provider),
            ..self
        }
    }

    /// Takes a provider of metrics as well: every metric is reported to it, and
    /// at `/metrics`. It is shut down with the telemetry.
    pub fn meter_provider(self, provider: SdkMeterProvider) -> Self {
        Self {
            meter_provider: Some(provider),
            ..self
        }
    }

    /// Starts it for the whole process, as [`start`] does.
    ///
    /// # Errors
    ///
    /// Those of [`start`].
    pub fn start(self) -> Result<Telemetry, Error> {
        let telemetry = self.build()?;
        telemetry.become_global();
        Ok(telemetry)
    }

    /// Starts it for who is handed it alone, by [`App::telemetry`] and
    /// [`Telemetry::layer`]: for a program with several apps that must not mix.
    ///
    /// [`App::telemetry`]: crate::App::telemetry
    ///
    /// # Errors
    ///
    /// Those of [`start`].
    pub fn build(self) -> Result<Telemetry, Error> {
        let config = self.config;
        let resource = export::resource(&config);
        let tally = Arc::new(Tally::default());
        let own_tracers = self.tracer_provider.is_some();
        let (tracers, gate) = match self.tracer_provider {
            _ if config.disabled() => (None, None),
            Some(provider) => (Some(provider), None),
            None => {
                let (provider, gate) = export::tracer_provider(&config, &resource, &tally)?;
                (Some(provider), gate)
            }
        };
        let registry = prometheus::Registry::new();
        let text = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(Error::failed)?;
        let metrics = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(text);
        // Where the program has a provider, exporting is that one's matter.
        let metrics = match &self.meter_provider {
            Some(_) => metrics,
            None => export::add_readers(metrics, &config, &tally)?,
        };
        let meters = std::iter::once(metrics.build())
            .chain(self.meter_provider)
            .collect();
        let telemetry = Telemetry(Arc::new(Inner {
            tracer: tracers
                .as_ref()
                .map(|provider| provider.tracer_with_scope(scope().build())),
            tracers,
            gate,
            own_tracers,
            meters,
            logs: export::logger_provider(&config, &resource, &tally)?,
            registry,
            propagator: Propagator::new(&config),
            tally,
            printed: Arc::default(),
            flusher: OnceLock::new(),
            ended: AtomicBool::new(false),
            config,
        }));
        telemetry.observe();
        telemetry.flush_when_idle();
        Ok(telemetry)
    }
}

// === impl Telemetry ===

impl Telemetry {
    /// One that exports nothing: ids for spans, and `/metrics`.
    pub(crate) fn local() -> Result<Self, Error> {
        Builder::default().build()
    }

    /// The one that was started for the whole process.
    pub(crate) fn current() -> Option<Self> {
        let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    fn become_global(&self) {
        if let Some(provider) = &self.0.tracers {
            global::set_tracer_provider(provider.clone());
        }
        // The program's own provider is global already, or it is its choice.
        if let [ours] = &self.0.meters[..] {
            global::set_meter_provider(ours.clone());
        }
        let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
        let before = current.replace(self.clone());
        drop(current);
        drop(before); // Here, where no lock is held.
    }

    fn observe(&self) {
        for meter in self.meters() {
            let printed = Arc::clone(&self.0.printed);
            let printed = move || printed.get().map_or(0, DroppedLines::count);
            observe_telemetry(&meter, &self.0.tally, printed);
            observe_process(&meter);
        }
    }

    fn flush_when_idle(&self) {
        if !self.0.config.flush_on_idle || !self.exports() {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        let flush = move || inner.upgrade().is_some_and(|inner| inner.flush());
        if let Some(flusher) = Flusher::start(flush) {
            self.0.flusher.get_or_init(|| flusher);
        }
    }

    /// Whether anything is sent anywhere.
    pub(super) fn exports(&self) -> bool {
        let config = &self.0.config;
        let exported = |signal| config.sends(signal) || config.prints(signal);
        Signal::ALL.into_iter().any(exported) || self.0.meters.len() > 1
    }

    /// Whether spans go anywhere. Where a program's own provider sends them is
    /// not known, so it counts.
    pub(crate) fn exports_spans(&self) -> bool {
        let config = &self.0.config;
        let sent = config.sends(Signal::Traces) || config.prints(Signal::Traces);
        self.0.tracer.is_some() && (self.0.own_tracers || sent)
    }

    /// A layer as [`layer`](super::layer()) makes it, of this telemetry.
    #[must_use]
    pub fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        layer_of(self)
    }

    /// What an operator asked for and will not get.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = self.0.config.unsupported();
        if self.exports() && self.0.tracer.is_some() && !is_layered() {
            complaints.push("telemetry: spans of this program's own go nowhere, since its subscriber lacks taskpulse::telemetry::layer(), or has one of other versions of OpenTelemetry; spans of requests and tasks are exported all the same".to_owned());
        }
        complaints
    }

    pub(crate) fn tracer(&self) -> Option<&SdkTracer> {
        self.0.tracer.as_ref()
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn gate(&self) -> Option<&SpanGate> {
        self.0.gate.as_ref()
    }

    pub(crate) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.0.logs.as_ref()
    }

    pub(crate) fn propagator(&self) -> &Propagator {
        &self.0.propagator
    }

    /// A meter of ours at each provider.
    pub(super) fn meters(&self) -> Vec<Meter> {
        self.meters_of(&scope().build())
    }

    /// A meter of this scope at each provider.
    pub(super) fn meters_of(&self, scope: &InstrumentationScope) -> Vec<Meter> {
        let providers = self.0.meters.iter();
        providers
            .map(|provider| provider.meter_with_scope(scope.clone()))
            .collect()
    }

    /// Counts the printed lines that are lost, too.
    pub(crate) fn watch_printed(&self, dropped: DroppedLines) {
        self.0.printed.get_or_init(|| dropped);
    }

    /// Every metric as Prometheus reads it. Asks everybody who keeps one, so
    /// call it where that may take some milliseconds.
    pub(crate) fn metrics_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let families = self.0.registry.gather();
        let written =
            prometheus::Encoder::encode(&prometheus::TextEncoder::new(), &families, &mut text);
        // It writes to memory, and skips no family that we make.
        written.unwrap_or_default();
        text
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    use super::*;

    #[test]
    fn spans_that_go_nowhere_are_complained_of() {
        // Nobody listens there, and nothing is sent.
        let config = Config::default().otlp_endpoint("http://127.0.0.1:1");
        let telemetry = builder().config(config).build().unwrap();
        let nowhere = |complaints: Vec<String>| {
            let said = complaints.iter().filter(|said| said.contains("go nowhere"));
            said.count()
        };
        let without = with_default(registry(), || nowhere(telemetry.complaints()));
        assert_eq!(without, 1);
        let layered = registry().with(telemetry.layer());
        let with = with_default(layered, || nowhere(telemetry.complaints()));
        assert_eq!(with, 0);
        let local = Telemetry::local().unwrap();
        let exports_nothing = with_default(registry(), || nowhere(local.complaints()));
        assert_eq!(exports_nothing, 0);
        telemetry.shutdown(std::time::Duration::ZERO);
    }
}
