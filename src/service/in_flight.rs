//! Requests that user code works on, until their bodies have ended.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::{MatchedPath, Request};
use tower::{Layer, Service};

use super::introduction::Introduction;
use crate::track::Tracker;

/// One request in flight. A clone counts as the same one.
#[derive(Clone, Debug)]
pub(super) struct Flight(Arc<Landing>);

/// The template of the route that answers a request.
#[derive(Clone, Debug, Default)]
pub(super) enum Template {
    /// There is no such route.
    #[default]
    None,
    /// A route of the contract.
    Ours(&'static str),
    /// A route of the user's.
    Theirs(MatchedPath),
}

/// Notes which of the user's routes a request has come to. Outermost, so that it
/// knows the route of a request that a layer of the user's answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoteRoute;

/// A service that notes its requests' route. No middleware of axum's, which
/// would cost every request a boxed future.
#[derive(Clone, Debug)]
pub(crate) struct Noting<S>(S);

#[derive(Debug)]
struct Landing {
    tracker: Arc<Tracker>,
    /// Whether this request keeps the status busy.
    busy: bool,
    /// Since the Unix epoch.
    arrived: Duration,
    /// The route of the user's that was found.
    matched: OnceLock<MatchedPath>,
}

// === impl Flight ===

impl Flight {
    /// A request that has arrived now; it lands when the last clone of this is
    /// dropped.
    pub(super) fn take_off(tracker: Arc<Tracker>, busy: bool) -> Self {
        tracker.arrive();
        let registry = tracker.registry();
        if busy {
            registry.ping.enter(&registry.clock);
        }
        Self(Arc::new(Landing {
            arrived: registry.clock.wall(),
            tracker,
            busy,
            matched: OnceLock::new(),
        }))
    }

    /// When the request arrived, since the Unix epoch.
    pub(super) fn arrived(&self) -> Duration {
        self.0.arrived
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.busy {
            let registry = self.tracker.registry();
            registry.ping.leave(&registry.clock);
        }
        self.tracker.leave();
    }
}

// === impl Noting ===

impl<S> Layer<S> for NoteRoute {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

impl<S: Service<Request>> Service<Request> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let extensions = request.extensions();
        if let (Some(introduction), Some(matched)) = (
            Introduction::of(extensions),
            extensions.get::<MatchedPath>(),
        ) {
            let noted = &introduction.flight().0.matched;
            noted.get_or_init(|| matched.clone());
        }
        self.0.call(request)
    }
}

// === impl Template ===

impl Template {
    /// The route of the contract that this path is.
    pub(super) fn of_contract(path: &str) -> Self {
        match path {
            "/invocations" => Self::Ours("/invocations"),
            "/ws" => Self::Ours("/ws"),
            _ => Self::None,
        }
    }

    /// This one, else the route of the user's that answered.
    pub(super) fn or_matched(self, flight: &Flight) -> Self {
        match (self, flight.0.matched.get()) {
            (Self::None, Some(matched)) => Self::Theirs(matched.clone()),
            (known, _) => known,
        }
    }

    /// The template, empty where there is none.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Ours(path) => path,
            Self::Theirs(matched) => matched.as_str(),
        }
    }
}
