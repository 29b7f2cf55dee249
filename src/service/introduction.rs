//! What every request of the user's routes carries for our extractors.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts};
use hyper::{
    Request,
    http::{Extensions, request::Parts},
};
use opentelemetry::Context as OtelContext;

use super::{Service, context::origin, in_flight::Flight};
use crate::{
    Tasks,
    task::Origin,
    telemetry::request::{Head, RequestSpan},
};

/// One value, since each extension is an allocation, and each of axum's layers
/// several: a request crosses over thousands of times a second.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) service: Arc<Service>,
    pub(super) origin: Arc<Origin>,
    /// That of the request's span.
    pub(super) context: OtelContext,
    /// Goes when the last clone does: what became of the request may outlive it.
    flight: Flight,
}

// === impl Introduction ===

impl Introduction {
    /// Introduces a request, before any user code sees it, and starts its span.
    /// `limit` is that of axum's own extractors; layers of the user's may set
    /// another one.
    pub(super) fn give<B>(
        request: &mut Request<B>,
        service: Arc<Service>,
        flight: Flight,
        limit: DefaultBodyLimit,
    ) -> RequestSpan {
        let head = Head {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            arrived: flight.arrived(),
        };
        let (span, origin) = begin_span(&service, head);
        request.extensions_mut().insert(Self {
            service,
            origin,
            context: span.cx().clone(),
            flight,
        });
        limit.apply(request);
        span
    }

    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) const fn flight(&self) -> &Flight {
        &self.flight
    }

    /// The handle whose tasks carry the request's ids.
    pub(super) fn tasks(&self) -> Tasks {
        Tasks::of_request(
            Arc::clone(&self.service.tracker),
            Arc::clone(&self.origin),
            self.context.clone(),
        )
    }
}

/// Starts the span of a request, in the trace that its caller names.
pub(super) fn begin_span(service: &Service, head: Head<'_>) -> (RequestSpan, Arc<Origin>) {
    let reporter = service.tracker.reporter();
    let (parent, baggage) = reporter.map_or_else(Default::default, |reporter| {
        let propagator = reporter.telemetry.propagator();
        let parent = propagator.extract(head.headers);
        let baggage = propagator.baggage(&parent);
        (parent, baggage)
    });
    let origin = Arc::new(origin(head.headers, baggage));
    let span = RequestSpan::start(reporter.map(|reporter| &**reporter), head, parent, &origin);
    (span, origin)
}

impl<S: Sync> FromRequestParts<S> for Introduction {
    type Rejection = crate::Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, crate::Error> {
        Self::of(&parts.extensions)
            .cloned()
            .ok_or_else(|| crate::Error::failed("this route works in a taskpulse App only"))
    }
}
