//! Reads the standard variables.

use std::{borrow::Cow, env::VarError};

use super::{
    Batches, Config,
    otlp::OtlpSettings,
    rows::{HEADERS, variables},
};
use crate::{Error, telemetry::tally::Signal};

/// A variable.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "a test holds the page equal to the rest")
)]
pub(super) struct Variable {
    pub(super) name: Cow<'static, str>,
    pub(super) default: &'static str,
    pub(super) allowed: &'static str,
    pub(super) help: &'static str,
    pub(super) read: Read,
}

/// Takes a value over; `None` if it is not what is allowed.
pub(super) enum Read {
    Config(fn(&mut Config, &str) -> Option<()>),
    /// For all signals, or for one.
    Otlp(Option<Signal>, fn(&mut OtlpSettings, &str) -> Option<()>),
    /// For one queue.
    Batches(
        fn(&mut Config) -> &mut Batches,
        fn(&mut Batches, &str) -> Option<()>,
    ),
}

/// Standard variables that change nothing here.
pub(super) const UNSUPPORTED: [&str; 24] = [
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_CONFIG_FILE",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_EXPERIMENTAL_CONFIG_FILE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_LOG_LEVEL",
    "OTEL_METRICS_EXEMPLAR_FILTER",
];

/// Reads every variable from `lookup`, which is [`std::env::var`] but in tests.
pub(super) fn read(
    config: &mut Config,
    lookup: impl Fn(&str) -> Result<String, VarError>,
) -> Result<(), Error> {
    let value = |name: &str| match lookup(name) {
        // Compose files hand over variables that are not set as empty.
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::usage(format!("{name} is not UTF-8"))),
    };
    for variable in variables() {
        if let Some(text) = value(&variable.name)? {
            variable.take(config, text.trim())?;
        }
    }
    for name in UNSUPPORTED {
        if value(name)?.is_some() {
            config.unsupported.push(name);
        }
    }
    Ok(())
}

/// A value in an error, but not one that may hold a password.
pub(super) fn shown(value: &str) -> String {
    if value.contains('@') {
        return "not shown, since it may hold a password".to_owned();
    }
    format!("`{}`", value.escape_debug())
}

// === impl Variable ===

impl Variable {
    fn take(&self, config: &mut Config, value: &str) -> Result<(), Error> {
        let taken = match self.read {
            Read::Config(read) => read(config, value),
            Read::Batches(of, read) => read(of(config), value),
            Read::Otlp(None, read) => read(&mut config.all, value),
            Read::Otlp(Some(signal), read) => read(&mut config.own[signal as usize], value),
        };
        taken.ok_or_else(|| {
            let value = match self.allowed {
                HEADERS => "not shown, since it may hold a key".to_owned(),
                _ => shown(value),
            };
            Error::usage(format!(
                "{} is {value}; it must be {}",
                self.name, self.allowed
            ))
        })
    }
}
