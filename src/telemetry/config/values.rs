//! What the values of the variables look like. `None`: not like this.

use std::{borrow::Cow, str::FromStr, time::Duration};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use opentelemetry_sdk::metrics::Temporality;
use percent_encoding::percent_decode_str;

/// Where a signal goes. Neither: nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exporters {
    pub(crate) otlp: bool,
    pub(crate) console: bool,
}

/// How OTLP is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    HttpProtobuf,
    HttpJson,
    Grpc,
}

/// Which headers of a request are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Propagators {
    /// `traceparent` and `tracestate`.
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    pub(crate) root: RootSampling,
    /// Whether the caller's decision counts where there is one.
    pub(crate) by_parent: bool,
}

/// Which traces that begin here are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootSampling {
    All,
    None,
    /// The share that `OTEL_TRACES_SAMPLER_ARG` says.
    Ratio,
}

pub(super) fn switch(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// At least a millisecond.
pub(super) fn time(text: &str) -> Option<Duration> {
    delay(text).filter(|time| !time.is_zero())
}

pub(super) fn delay(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// At least one.
pub(super) fn size(text: &str) -> Option<usize> {
    number(text).filter(|size| *size > 0)
}

pub(super) fn ratio(text: &str) -> Option<f64> {
    number(text).filter(|ratio| (0.0..=1.0).contains(ratio))
}

pub(super) fn exporters(text: &str) -> Option<Exporters> {
    let mut exporters = Exporters::default();
    let mut none = false;
    for name in list(text) {
        match &*name {
            "otlp" => exporters.otlp = true,
            "console" => exporters.console = true,
            "none" => none = true,
            _ => return None,
        }
    }
    Some(if none {
        Exporters::default()
    } else {
        exporters
    })
}

/// As [`exporters`]; `/metrics` is there whether it is named or not.
pub(super) fn metrics_exporters(text: &str) -> Option<Exporters> {
    let pushed: Vec<_> = list(text).filter(|name| name != "prometheus").collect();
    exporters(&pushed.join(","))
}

pub(super) fn propagators(text: &str) -> Option<Propagators> {
    let mut propagators = Propagators {
        trace_context: false,
        baggage: false,
    };
    let mut none = false;
    for name in list(text) {
        match &*name {
            "tracecontext" => propagators.trace_context = true,
            "baggage" => propagators.baggage = true,
            "none" => none = true,
            _ => return None,
        }
    }
    if none {
        propagators.trace_context = false;
        propagators.baggage = false;
    }
    Some(propagators)
}

pub(super) fn sampling(text: &str) -> Option<Sampling> {
    let text = text.to_ascii_lowercase();
    let of_parent = text.strip_prefix("parentbased_");
    let root = match of_parent.unwrap_or(&text) {
        "always_on" => RootSampling::All,
        "always_off" => RootSampling::None,
        "traceidratio" => RootSampling::Ratio,
        _ => return None,
    };
    Some(Sampling {
        root,
        by_parent: of_parent.is_some(),
    })
}

pub(super) fn protocol(text: &str) -> Option<Protocol> {
    match &*text.to_ascii_lowercase() {
        "http/protobuf" => Some(Protocol::HttpProtobuf),
        "http/json" => Some(Protocol::HttpJson),
        "grpc" if cfg!(feature = "grpc") => Some(Protocol::Grpc),
        _ => None,
    }
}

/// Whether to compress.
pub(super) fn compression(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

pub(super) fn temporality(text: &str) -> Option<Temporality> {
    match &*text.to_ascii_lowercase() {
        "cumulative" => Some(Temporality::Cumulative),
        "delta" => Some(Temporality::Delta),
        "lowmemory" => Some(Temporality::LowMemory),
        _ => None,
    }
}

/// An absolute URL, as it is.
pub(super) fn url(text: &str) -> Option<String> {
    let uri = text.parse::<Uri>().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    (known && host).then(|| text.to_owned())
}

/// Headers whose values no `Debug` prints.
pub(super) fn headers(text: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let header = |(name, value): (String, String)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name.parse().ok()?, value))
    };
    pairs(text)?.into_iter().map(header).collect()
}

/// `key=value,key=value`, both percent-decoded.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let items = text.split(',').map(str::trim);
    let pair = |item: &str| {
        let (key, value) = item.split_once('=')?;
        let key = decoded(key.trim())?;
        (!key.is_empty()).then_some((key, decoded(value.trim())?))
    };
    items.filter(|item| !item.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let escapes = text.split('%').skip(1);
    for escape in escapes {
        let digits = escape.as_bytes().get(..2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
    }
    let text = percent_decode_str(text).decode_utf8().ok();
    text.map(Cow::into_owned)
}

fn list(text: &str) -> impl Iterator<Item = String> {
    let names = text.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_ascii_lowercase)
}
