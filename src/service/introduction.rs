//! What every request of the user's routes carries for our extractors.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts};
use hyper::{
    Request,
    http::{Extensions, request::Parts},
};

use super::{Service, context::origin, in_flight::Flight};
use crate::{Tasks, task::Origin};

/// One value, since each extension is an allocation, and each of axum's layers
/// several: a request crosses over thousands of times a second.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) service: Arc<Service>,
    pub(super) origin: Arc<Origin>,
    /// Goes when the last clone does: what became of the request may outlive it.
    _flight: Flight,
}

// === impl Introduction ===

impl Introduction {
    /// Introduces a request, before any user code sees it. `limit` is that of
    /// axum's own extractors; layers of the user's may set another one.
    pub(super) fn give<B>(
        request: &mut Request<B>,
        service: Arc<Service>,
        flight: Flight,
        limit: DefaultBodyLimit,
    ) {
        let origin = Arc::new(origin(request.headers()));
        request.extensions_mut().insert(Self {
            service,
            origin,
            _flight: flight,
        });
        limit.apply(request);
    }

    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The handle whose tasks carry the request's ids.
    pub(super) fn tasks(&self) -> Tasks {
        Tasks::new(
            Arc::clone(&self.service.tracker),
            Some(Arc::clone(&self.origin)),
        )
    }
}

impl<S: Sync> FromRequestParts<S> for Introduction {
    type Rejection = crate::Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, crate::Error> {
        Self::of(&parts.extensions)
            .cloned()
            .ok_or_else(|| crate::Error::failed("this route works in a taskpulse App only"))
    }
}
