//! Tells of requests that the front answers by itself.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hyper::{Request, StatusCode, http::request::Parts};
use tokio::runtime::Handle;

use super::{Service, crossing::Crossing, in_flight::Template, introduction::begin_span};
use crate::telemetry::request::Head;

/// Spans that wait to be made, at most.
///
/// They wait while the user's code blocks every worker. So many, with headers of
/// a few KB each, are some megabytes.
const WAITING: usize = 1_024;

/// The room that a span which waits to be made takes.
#[derive(Debug)]
struct Room(Arc<Service>);

/// What a request's span is made of, kept until it is answered.
///
/// The span itself is made on the other side: a provider of the program's own
/// may run code of its own for each.
#[derive(Debug)]
pub(super) struct Account {
    service: Arc<Service>,
    runtime: Handle,
    parts: Parts,
    arrived: Duration,
}

// === impl Account ===

impl Account {
    /// That of a request which has arrived now.
    pub(super) fn of<B>(crossing: &Crossing, request: &Request<B>) -> Self {
        let arrived = crossing.service.tracker.registry().clock.wall();
        let mut parts = Request::new(()).into_parts().0;
        parts.method = request.method().clone();
        parts.uri = request.uri().clone();
        parts.version = request.version();
        parts.headers = request.headers().clone();
        Self::of_parts(crossing, parts, arrived)
    }

    /// That of a request which arrived then, since the Unix epoch.
    pub(super) fn of_parts(crossing: &Crossing, parts: Parts, arrived: Duration) -> Self {
        Self {
            service: Arc::clone(&crossing.service),
            runtime: crossing.runtime.clone(),
            parts,
            arrived,
        }
    }

    /// Makes the span of a request that has been answered now; loses it where too
    /// many wait.
    pub(super) fn give(self, status: StatusCode, route: Template) {
        let Self {
            service,
            runtime,
            parts,
            arrived,
        } = self;
        let Some(room) = Room::take(&service) else {
            if let Some(reporter) = service.tracker.reporter() {
                reporter.telemetry.lose_span();
            }
            return;
        };
        let answered = service.tracker.registry().clock.wall();
        runtime.spawn(async move {
            let head = Head {
                method: &parts.method,
                uri: &parts.uri,
                version: parts.version,
                headers: &parts.headers,
                arrived,
            };
            let (span, _origin) = begin_span(&service, head);
            span.finish_at(status, route.as_str(), answered);
            drop(room);
        });
    }
}

// === impl Room ===

impl Room {
    fn take(service: &Arc<Service>) -> Option<Self> {
        let room = Self(Arc::clone(service));
        // Whoever finds none gives back what it took as it drops it.
        (service.accounts.fetch_add(1, Relaxed) < WAITING).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.accounts.fetch_sub(1, Relaxed);
    }
}
