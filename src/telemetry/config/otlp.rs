//! How the signals are sent: what is set for all, and for one of them.

use std::{fmt, path::PathBuf, time::Duration};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

use super::{Config, rows, values, values::Protocol, variables};
use crate::{Error, telemetry::tally::Signal};

/// What one set of variables says. What is `None` is left to the set for all
/// signals, then to the default.
#[derive(Clone, Debug, Default)]
pub(super) struct OtlpSettings {
    pub(super) endpoint: Option<Endpoint>,
    pub(super) headers: Option<Vec<(HeaderName, HeaderValue)>>,
    pub(super) timeout: Option<Duration>,
    /// Whether to compress.
    pub(super) gzip: Option<bool>,
    pub(super) protocol: Option<Protocol>,
    pub(super) certificate: Option<PathBuf>,
    /// Characters of a text among the attributes.
    pub(super) longest_value: Option<u32>,
}

/// How one signal is sent.
#[derive(Clone, Debug)]
pub(crate) struct Otlp {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// For a round of attempts to send one batch, all of them together.
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) protocol: Protocol,
    pub(crate) certificate: Option<PathBuf>,
}

/// A URL. People are shown it without user, password and query.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) String);

// === impl Config ===

impl Config {
    /// Whether a signal goes to a collector.
    ///
    /// Logs are printed already, so they are sent only when that is asked for
    /// by name: who collects standard output would get them twice.
    pub(crate) fn sends(&self, signal: Signal) -> bool {
        match self.exporters[signal as usize] {
            _ if self.disabled => false,
            Some(exporters) => exporters.otlp,
            None => signal != Signal::Logs && self.endpoint_of(signal).is_some(),
        }
    }

    /// Whether a signal goes to standard output, for whoever tries it out.
    pub(crate) fn prints(&self, signal: Signal) -> bool {
        let named = self.exporters[signal as usize];
        !self.disabled && named.is_some_and(|exporters| exporters.console)
    }

    /// Characters of a text among the attributes of a span, its events and its
    /// links; longer ones are cut.
    pub(crate) fn longest_value(&self) -> Option<usize> {
        let longest = self.own_or_all(Signal::Traces, |set| set.longest_value);
        longest.and_then(|longest| longest.try_into().ok())
    }

    /// How a signal is sent; nothing if it is not.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for an endpoint from [`Config::otlp_endpoint`] that is
    /// no URL.
    pub(crate) fn otlp(&self, signal: Signal) -> Result<Option<Otlp>, Error> {
        if !self.sends(signal) {
            return Ok(None);
        }
        let protocol = self.own_or_all(signal, |set| set.protocol);
        let protocol = protocol.unwrap_or_default();
        let endpoint = self.endpoint(signal, protocol);
        if values::url(&endpoint.0).is_none() {
            return Err(Error::usage(format!(
                "the OTLP endpoint is {}; it must be {}",
                variables::shown(&endpoint.0),
                rows::URL
            )));
        }
        let timeout = self.own_or_all(signal, |set| set.timeout);
        Ok(Some(Otlp {
            endpoint,
            headers: self
                .own_or_all(signal, |set| set.headers.clone())
                .unwrap_or_default(),
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            gzip: self.own_or_all(signal, |set| set.gzip).unwrap_or(false),
            protocol,
            certificate: self.own_or_all(signal, |set| set.certificate.clone()),
        }))
    }

    /// A signal's own endpoint is taken as it is. To the one for all, the
    /// signal's path is appended, but with gRPC, which has none.
    fn endpoint(&self, signal: Signal, protocol: Protocol) -> Endpoint {
        if let Some(own) = &self.own[signal as usize].endpoint {
            return own.clone();
        }
        let (default, path) = match protocol {
            Protocol::Grpc => ("http://localhost:4317", String::new()),
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                ("http://localhost:4318", format!("/v1/{}", signal.label()))
            }
        };
        let all = self.all.endpoint.as_ref();
        let all = all.map_or(default, |endpoint| &endpoint.0);
        Endpoint(match path.is_empty() {
            true => all.to_owned(),
            false => format!("{}{path}", all.trim_end_matches('/')),
        })
    }

    fn endpoint_of(&self, signal: Signal) -> Option<Endpoint> {
        self.own_or_all(signal, |set| set.endpoint.clone())
    }

    fn own_or_all<T>(
        &self,
        signal: Signal,
        field: impl Fn(&OtlpSettings) -> Option<T>,
    ) -> Option<T> {
        field(&self.own[signal as usize]).or_else(|| field(&self.all))
    }
}

// === impl Endpoint ===

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(uri) = self.0.parse::<Uri>() else {
            return f.write_str("an endpoint that is no URL");
        };
        let scheme = uri.scheme_str().unwrap_or("http");
        let host = uri.host().unwrap_or_default();
        write!(f, "{scheme}://{host}")?;
        if let Some(port) = uri.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(uri.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
