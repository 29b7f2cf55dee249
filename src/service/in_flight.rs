//! Requests that user code works on, until their bodies have ended.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::track::Tracker;

/// Counts requests in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// One request in flight. A clone counts as the same one.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    _landing: Arc<Landing>,
}

/// A response's body that keeps its request in flight.
#[derive(Debug)]
pub(super) struct Flying {
    body: Body,
    _flight: Flight,
}

#[derive(Debug)]
struct Landing {
    all: InFlight,
    /// Set where this request keeps the status busy.
    busy: Option<Arc<Tracker>>,
}

// === impl InFlight ===

impl InFlight {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One more, until the last clone of what is given back is dropped.
    pub(super) fn take_off(&self, busy: Option<Arc<Tracker>>) -> Flight {
        self.0.fetch_add(1, Ordering::AcqRel);
        if let Some(tracker) = &busy {
            let registry = tracker.registry();
            registry.ping.enter(&registry.clock);
        }
        let landing = Landing {
            all: self.clone(),
            busy,
        };
        Flight {
            _landing: Arc::new(landing),
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(tracker) = &self.busy {
            let registry = tracker.registry();
            registry.ping.leave(&registry.clock);
        }
        self.all.0.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Flying ===

impl Flying {
    pub(super) const fn new(body: Body, flight: Flight) -> Self {
        Self {
            body,
            _flight: flight,
        }
    }
}

impl http_body::Body for Flying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
