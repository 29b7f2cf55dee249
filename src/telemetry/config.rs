//! What telemetry is asked to do: by a program, or by OpenTelemetry's standard
//! variables.

mod otlp;
mod rows;
#[cfg(test)]
mod tests;
mod values;
mod variables;

use std::{env, time::Duration};

use opentelemetry_sdk::{metrics::Temporality, trace::SpanLimits};

use self::otlp::{Endpoint, OtlpSettings};
pub(crate) use self::{
    otlp::Otlp,
    values::{Exporters, Propagators, Protocol, RootSampling, Sampling},
};
use crate::{Error, telemetry::tally::Signal};

/// The baggage key that AgentCore knows a session by.
const SESSION: &str = "session.id";

/// Where telemetry goes, and how much of it.
///
/// [`Config::default()`] exports nothing; [`Config::from_env()`] does what the
/// standard `OTEL_*` variables say.
///
/// ```
/// use taskpulse::telemetry::Config;
///
/// let config = Config::default()
///     .service_name("invoices")
///     .otlp_endpoint("http://collector:4318");
/// # drop(config);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    disabled: bool,
    /// By signal; `None`: the variable is not set.
    exporters: [Option<Exporters>; Signal::ALL.len()],
    /// For all signals.
    all: OtlpSettings,
    /// By signal.
    own: [OtlpSettings; Signal::ALL.len()],
    pub(crate) service_name: Option<String>,
    /// Of the resource.
    pub(crate) attributes: Vec<(String, String)>,
    /// The process runs on AgentCore and is observed there.
    pub(crate) agent_core: bool,
    pub(crate) propagators: Propagators,
    pub(crate) sampling: Sampling,
    /// The share of traces, where sampling goes by one.
    pub(crate) ratio: f64,
    pub(crate) limits: SpanLimits,
    pub(crate) spans: Batches,
    pub(crate) logs: Batches,
    pub(crate) metrics_interval: Duration,
    pub(crate) metrics_timeout: Duration,
    pub(crate) temporality: Temporality,
    baggage_keys: Vec<String>,
    pub(crate) sample_tasks_always: bool,
    pub(crate) flush_on_idle: bool,
    unsupported: Vec<&'static str>,
}

/// How items wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batches {
    /// How long an item waits for its batch to fill.
    pub(crate) delay: Duration,
    /// What a batch may take.
    pub(crate) timeout: Duration,
    /// Items that wait or are being sent.
    pub(crate) queue: usize,
    batch: Option<usize>,
}

// === impl Batches ===

impl Batches {
    /// Enough for 20,000 items a second on two cores that have other work: the
    /// queue outlasts a collector that does not answer for most of a second.
    const DEFAULT: Self = Self {
        delay: Duration::from_secs(1),
        timeout: Duration::from_secs(30),
        queue: 16_384,
        batch: None,
    };

    /// Items in a request: what is set, else 2,048 or a smaller queue's size.
    pub(crate) fn batch(&self) -> usize {
        self.batch.unwrap_or_else(|| self.queue.min(2_048))
    }

    /// A batch that is larger than its queue would never fill.
    fn check(&self, family: &str) -> Result<(), Error> {
        if self.batch() <= self.queue {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{family}_MAX_EXPORT_BATCH_SIZE is `{}`; it must be at most {family}_MAX_QUEUE_SIZE, which is {}",
            self.batch(),
            self.queue
        )))
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            disabled: false,
            exporters: [None; Signal::ALL.len()],
            all: OtlpSettings::default(),
            own: Default::default(),
            service_name: None,
            attributes: Vec::new(),
            agent_core: false,
            propagators: Propagators {
                trace_context: true,
                baggage: true,
            },
            sampling: Sampling {
                root: RootSampling::All,
                by_parent: true,
            },
            ratio: 1.0,
            limits: SpanLimits::default(),
            spans: Batches::DEFAULT,
            logs: Batches::DEFAULT,
            metrics_interval: Duration::from_secs(60),
            metrics_timeout: Duration::from_secs(30),
            temporality: Temporality::Cumulative,
            baggage_keys: Vec::new(),
            sample_tasks_always: false,
            flush_on_idle: true,
            unsupported: Vec::new(),
        }
    }
}

impl Config {
    /// What the standard variables say, all of which are checked.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the variable, its value
    /// and what is allowed.
    ///
    /// ```
    /// use taskpulse::telemetry::Config;
    ///
    /// let config = Config::from_env()?.service_name("invoices");
    /// # drop(config);
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from(|name| env::var(name))
    }

    /// As [`Config::from_env`], with any environment.
    pub(super) fn from(
        lookup: impl Fn(&str) -> Result<String, env::VarError>,
    ) -> Result<Self, Error> {
        let mut config = Self::default();
        variables::read(&mut config, lookup)?;
        config.spans.check("OTEL_BSP")?;
        config.logs.check("OTEL_BLRP")?;
        Ok(config)
    }

    /// The `service.name` of all that is exported: `taskpulse` unless it is set.
    ///
    /// ```
    /// let config = taskpulse::telemetry::Config::default().service_name("invoices");
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Sends spans and metrics to the collector at this URL, by OTLP over HTTP;
    /// `/v1/traces` and `/v1/metrics` are appended. That it is a URL is checked
    /// when telemetry starts.
    ///
    /// ```
    /// let config = taskpulse::telemetry::Config::default().otlp_endpoint("http://localhost:4318");
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn otlp_endpoint(mut self, url: impl Into<String>) -> Self {
        self.all.endpoint = Some(Endpoint(url.into()));
        self
    }

    /// Entries of a request's `baggage` header that become attributes of spans
    /// and fields of log lines. The caller decides what is in them, so none is
    /// taken that is not named here.
    ///
    /// ```
    /// let config = taskpulse::telemetry::Config::default().baggage_keys(["tenant.id", "user.id"]);
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn baggage_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.baggage_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the spans of tasks whose request is not sampled; off unless set.
    ///
    /// ```
    /// let config = taskpulse::telemetry::Config::default().sample_tasks_always(true);
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn sample_tasks_always(mut self, on: bool) -> Self {
        self.sample_tasks_always = on;
        self
    }

    /// Sends what waits as soon as the last task has ended and no request is in
    /// flight, so that a process that is frozen while it is idle has lost
    /// nothing; on unless set.
    ///
    /// ```
    /// let config = taskpulse::telemetry::Config::default().flush_on_idle(false);
    /// # drop(config);
    /// ```
    #[must_use]
    pub fn flush_on_idle(mut self, on: bool) -> Self {
        self.flush_on_idle = on;
        self
    }

    /// `OTEL_SDK_DISABLED`: no telemetry but the printed log and `/metrics`.
    pub(crate) const fn disabled(&self) -> bool {
        self.disabled
    }

    /// The baggage entries to keep. On AgentCore the session is one of them.
    pub(crate) fn kept_baggage(&self) -> Vec<String> {
        let mut keys = self.baggage_keys.clone();
        if self.agent_core && !keys.iter().any(|key| key == SESSION) {
            keys.push(SESSION.to_owned());
        }
        keys
    }

    /// Standard variables that are set and change nothing here.
    pub(crate) fn unsupported(&self) -> Vec<String> {
        self.unsupported.iter().map(ToString::to_string).collect()
    }
}
