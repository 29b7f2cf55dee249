//! A request as the metrics see it, from its arrival to its answer's headers.

use std::sync::Arc;

use hyper::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::{
    telemetry::{
        Reporter,
        http::{Answered, method_index},
        request::protocol,
    },
    track::Tracker,
};

/// Counts as active until it is dropped.
///
/// A request whose client leaves before the answer is in no histogram, although
/// its handler runs on: there was no answer whose status it could be under.
#[derive(Debug)]
pub(super) struct Visit {
    reporter: Option<Arc<Reporter>>,
    method: u8,
    protocol: &'static str,
    arrived: Instant,
}

// === impl Visit ===

impl Visit {
    /// A request has arrived.
    pub(super) fn begin(tracker: &Tracker, method: &Method, version: Version) -> Self {
        let reporter = tracker.reporter().map(Arc::clone);
        let method = method_index(method.as_str());
        if let Some(reporter) = &reporter {
            reporter.counts.requests.arrive(method);
        }
        Self {
            reporter,
            method,
            protocol: protocol(version),
            arrived: Instant::now(),
        }
    }

    /// Its answer's headers are sent. `route` is the template, and empty where
    /// none was found.
    pub(super) fn answered(self, status: StatusCode, route: &str) {
        let Some(reporter) = &self.reporter else {
            return;
        };
        let answered = Answered {
            method: self.method,
            status: status.as_u16(),
            protocol: self.protocol,
        };
        reporter
            .requests
            .record(answered, route, self.arrived.elapsed());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.counts.requests.leave(self.method);
        }
    }
}
