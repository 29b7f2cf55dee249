//! What the HTTP client hears and the exporter between it and the queue does
//! not pass on; and the word to stop, which goes the other way.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::error::OTelSdkResult;

use super::report::Outcome;

/// Shared by the client of one signal and whoever sends through it.
#[derive(Debug, Default)]
pub(super) struct Talk {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct State {
    heard: Heard,
    stopping: bool,
}

/// What the last batch met with.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Items that the collector did not keep.
    pub(super) rejected: u64,
    /// Why it did not, or why there was no delivery, in words for people.
    pub(super) why: String,
}

// === impl Talk ===

impl Talk {
    pub(super) fn hear(&self, heard: Heard) {
        self.state().heard = heard;
    }

    /// No more attempts than the one that runs and, at once, a last one.
    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.stopped.notify_all();
    }

    /// Waits before another attempt, for less if a stop is called meanwhile.
    /// Whether there may be another attempt at all.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let state = self.state();
        if state.stopping {
            return false;
        }
        let waited = self
            .stopped
            .wait_timeout_while(state, time, |state| !state.stopping);
        drop(waited);
        true
    }

    /// What became of a batch, by what the exporter returned and by what was
    /// heard. `None`: the exporter had not ended.
    pub(super) fn outcome(&self, result: Option<OTelSdkResult>) -> Outcome {
        let heard = std::mem::take(&mut self.state().heard);
        match result {
            Some(Ok(())) => Outcome::Accepted {
                rejected: heard.rejected,
                why: heard.why,
            },
            Some(Err(_)) if !heard.why.is_empty() => Outcome::Failed(heard.why),
            Some(Err(error)) => Outcome::Failed(error.to_string()),
            None => Outcome::Failed("the exporter waits for a runtime".to_owned()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
