//! Requests, as their metrics count them.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram},
};

use super::metric;

/// The methods that are told apart; the last one stands for all others.
///
/// Source: OpenTelemetry semantic conventions, `http.request.method`.
pub(crate) const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER",
];

/// Requests whose answers are still to come, by method.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    active: [AtomicU64; METHODS.len()],
    arrived: [AtomicU64; METHODS.len()],
}

/// A request that has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answered {
    /// An index into [`METHODS`].
    pub(crate) method: u8,
    pub(crate) status: u16,
    /// `1.0` or `1.1`.
    pub(crate) protocol: &'static str,
}

/// The histogram of requests. What its labels come to is kept, since looking
/// them up each time costs ten times as much.
#[derive(Debug)]
pub(crate) struct RequestDurations {
    histograms: Vec<Histogram<f64>>,
    known: Mutex<HashMap<Box<str>, HashMap<Answered, Bound>>>,
}

type Bound = Vec<BoundHistogram<f64>>;

/// The index of a method in [`METHODS`].
pub(crate) fn method_index(method: &str) -> u8 {
    let known = METHODS.iter().position(|known| *known == method);
    known.unwrap_or(METHODS.len() - 1) as u8
}

// === impl Requests ===

impl Requests {
    pub(crate) fn arrive(&self, method: u8) {
        self.arrived[usize::from(method)].fetch_add(1, Relaxed);
        self.active[usize::from(method)].fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self, method: u8) {
        self.active[usize::from(method)].fetch_sub(1, Relaxed);
    }

    /// How many requests of this method are active; nothing before the first.
    pub(super) fn active(&self, method: usize) -> Option<u64> {
        let arrived = self.arrived[method].load(Relaxed) > 0;
        arrived.then(|| self.active[method].load(Relaxed))
    }
}

// === impl RequestDurations ===

impl RequestDurations {
    pub(super) fn new(histograms: Vec<Histogram<f64>>) -> Self {
        Self {
            histograms,
            known: Mutex::default(),
        }
    }

    /// Records how long an answer took. `route` is a template, and empty where
    /// no route was found.
    pub(crate) fn record(&self, answered: Answered, route: &str, took: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(route) {
            known.insert(route.into(), HashMap::new());
        }
        let Some(of_route) = known.get_mut(route) else {
            return;
        };
        let bound = of_route
            .entry(answered)
            .or_insert_with(|| self.bind(answered, route));
        for histogram in bound {
            histogram.record(took.as_secs_f64());
        }
    }

    fn bind(&self, answered: Answered, route: &str) -> Bound {
        let status = answered.status;
        let mut labels = vec![
            KeyValue::new(metric::METHOD, METHODS[usize::from(answered.method)]),
            KeyValue::new(metric::STATUS, i64::from(status)),
            KeyValue::new(metric::SCHEME, "http"),
            KeyValue::new(metric::PROTOCOL, answered.protocol),
        ];
        if !route.is_empty() {
            labels.push(KeyValue::new(metric::ROUTE, route.to_owned()));
        }
        if status >= 500 {
            labels.push(KeyValue::new(metric::ERROR_TYPE, status.to_string()));
        }
        self.histograms
            .iter()
            .map(|histogram| histogram.bind(&labels))
            .collect()
    }
}
