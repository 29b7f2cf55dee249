//! The answer of `/ping`: two fields, read from one atomic word.

use std::{cell::Cell, fmt, sync::Arc};

use bytes::Bytes;
use hyper::{Response, header::CONTENT_TYPE};
use serde::Serialize;

use super::errors::JSON;
use crate::{PingStatus, task::Served, track::Tracker};

/// Answers pings, from any thread and without a lock.
#[derive(Clone, Debug)]
pub(super) struct PingAnswer(Arc<Tracker>);

/// What a connection was last answered: the text is written anew only when the
/// status has changed.
#[derive(Default)]
pub(super) struct LastAnswer(Cell<Option<(Served, Bytes)>>);

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
    pub(super) const fn new(tracker: Arc<Tracker>) -> Self {
        Self(tracker)
    }

    pub(super) fn answer(&self, last: &LastAnswer) -> Response<Bytes> {
        let mut response = Response::new(last.text(self.0.registry().ping.served()));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }
}

// === impl LastAnswer ===

impl LastAnswer {
    fn text(&self, served: Served) -> Bytes {
        let last = self.0.take().filter(|(of, _)| *of == served);
        let text = last.map_or_else(|| PingBody::from(served).text(), |(_, text)| text);
        self.0.set(Some((served, text.clone())));
        text
    }
}

impl fmt::Debug for LastAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastAnswer")
    }
}

// === impl PingBody ===

impl PingBody {
    fn text(&self) -> Bytes {
        let text = serde_json::to_vec(self);
        text.expect("a status and a number are JSON").into()
    }
}

impl From<Served> for PingBody {
    fn from(served: Served) -> Self {
        Self {
            status: served.status,
            time_of_last_update: served.since,
        }
    }
}
