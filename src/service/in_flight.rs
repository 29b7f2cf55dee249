//! Requests that user code works on, until their bodies have ended.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::track::Tracker;

/// Counts requests in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// One request in flight. A clone counts as the same one.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    _landing: Arc<Landing>,
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
