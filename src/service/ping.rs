//! The answer of `/ping`: two fields, read from one atomic word.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use hyper::{Response, header::CONTENT_TYPE};
use serde::Serialize;

use super::errors::JSON;
use crate::{PingStatus, task::Served, track::Tracker};

/// Answers pings. The text is written anew only when the status has changed.
#[derive(Clone)]
pub(super) struct PingAnswer {
    tracker: Arc<Tracker>,
    /// Locked by the one thread of the front, for the time of a clone.
    last: Arc<Mutex<Option<(Served, Bytes)>>>,
}

/// The contract's answer.
///
/// `time_of_last_update` is an integer, always there, and moves only when the
/// status does: without it the platform kills busy sessions, and re-stamped it
/// never lets idle ones go.
///
/// Source: the SDK's and third parties' measurements of the platform.
#[derive(Serialize)]
pub(super) struct PingBody {
    status: PingStatus,
    time_of_last_update: u64,
}

// === impl PingAnswer ===

impl PingAnswer {
    pub(super) fn new(tracker: Arc<Tracker>) -> Self {
        Self {
            tracker,
            last: Arc::default(),
        }
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        let mut response = Response::new(self.text(self.tracker.registry().ping.served()));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }

    fn text(&self, served: Served) -> Bytes {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, text)) if *of == served => text.clone(),
            Some(_) | None => {
                let text = serde_json::to_vec(&PingBody::from(served));
                let text = Bytes::from(text.expect("a status and a number are JSON"));
                *last = Some((served, text.clone()));
                text
            }
        }
    }
}

impl fmt::Debug for PingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PingAnswer").finish_non_exhaustive()
    }
}

// === impl PingBody ===

impl From<Served> for PingBody {
    fn from(served: Served) -> Self {
        Self {
            status: served.status,
            time_of_last_update: served.since,
        }
    }
}
