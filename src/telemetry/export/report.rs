//! Counts what became of a signal's items, and says once when they can no
//! longer be delivered, and once when they can again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed};

use tracing::{info, warn};

use crate::telemetry::{
    quietly,
    tally::{Loss, Signal, SignalTally, Tally},
};

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken, but for this many of its items.
    Accepted { rejected: u64, why: String },
    /// It was not delivered, for this reason.
    Failed(String),
}

/// What a signal's lines say besides, in words for people.
#[derive(Debug)]
pub(super) struct Terms {
    /// Where it goes.
    pub(super) to: String,
    /// What happens to it while it cannot.
    pub(super) meanwhile: String,
}

/// Of one signal.
#[derive(Debug)]
pub(super) struct Report {
    tally: Arc<Tally>,
    signal: Signal,
    terms: Terms,
    state: Mutex<State>,
}

/// What there is to say.
enum Line {
    /// Nothing is delivered any more, and why.
    Lost(String),
    /// It is again, and how many items were lost meanwhile.
    Back(u64),
    /// Not all that is delivered is kept, and why.
    Rejects(String),
    /// Items found no room, though the collector takes them.
    Overflows,
}

#[derive(Debug, Default)]
struct State {
    /// Items lost before those that were lost while nothing is delivered.
    lost_before: Option<u64>,
    has_said_rejected: bool,
    has_said_full: bool,
    /// The batch on its way has been counted as a failure.
    struggles: bool,
    /// Items that had found no room when a batch last ended.
    full: u64,
}

// === impl Outcome ===

impl Outcome {
    /// All of it was taken.
    pub(super) fn taken() -> Self {
        Self::Accepted {
            rejected: 0,
            why: String::new(),
        }
    }

    /// Nobody knows how much of it was.
    pub(super) fn panicked() -> Self {
        Self::Failed("the exporter panicked".to_owned())
    }
}

// === impl Report ===

impl Report {
    pub(super) fn new(tally: &Arc<Tally>, signal: Signal, terms: Terms) -> Self {
        Self {
            tally: Arc::clone(tally),
            signal,
            terms,
            state: Mutex::default(),
        }
    }

    pub(super) fn signal(&self) -> Signal {
        self.signal
    }

    pub(super) fn tally(&self) -> &SignalTally {
        self.tally.of(self.signal)
    }

    /// Counts the items of a batch, and the batch if it is a failure only now.
    pub(super) fn count(&self, items: u64, outcome: &Outcome) {
        let tally = self.tally();
        let struggled = std::mem::take(&mut self.state().struggles);
        match outcome {
            Outcome::Accepted { rejected, .. } => {
                let rejected = items.min(*rejected);
                tally.lose(Loss::Rejected, rejected);
                tally.exported.fetch_add(items - rejected, Relaxed);
            }
            Outcome::Failed(_) => {
                tally.failures.fetch_add(u64::from(!struggled), Relaxed);
                tally.lose(Loss::Failed, items);
            }
        }
    }

    /// A batch could not be delivered in a round. It counts as one failure,
    /// however many rounds there are and however they end.
    pub(super) fn struggles(&self, why: &str) {
        let struggled = std::mem::replace(&mut self.state().struggles, true);
        self.tally()
            .failures
            .fetch_add(u64::from(!struggled), Relaxed);
        self.speak(0, &Outcome::Failed(why.to_owned()));
    }

    /// Says what has changed with a batch that has been counted.
    ///
    /// Whoever calls is inside a scope in which no telemetry is made, so the
    /// line is printed, but is not itself exported.
    pub(super) fn speak(&self, items: u64, outcome: &Outcome) {
        let lost = self.lost();
        let full = self.tally().lost(Loss::QueueFull);
        let mut state = self.state();
        let overflows = full > std::mem::replace(&mut state.full, full);
        let line = match outcome {
            Outcome::Failed(_) if state.lost_before.is_some() => return,
            Outcome::Failed(why) => {
                state.lost_before = Some(lost.saturating_sub(items));
                Line::Lost(short(why))
            }
            Outcome::Accepted { rejected, .. } if state.lost_before.is_some() => {
                let before = state.lost_before.take().unwrap_or_default();
                Line::Back(lost.saturating_sub(before + rejected))
            }
            Outcome::Accepted { rejected, why } if *rejected > 0 && !state.has_said_rejected => {
                state.has_said_rejected = true;
                Line::Rejects(short(why))
            }
            Outcome::Accepted { .. } if overflows && !state.has_said_full => {
                state.has_said_full = true;
                Line::Overflows
            }
            Outcome::Accepted { .. } => return,
        };
        drop(state);
        quietly(|| self.say(&line));
    }

    fn say(&self, line: &Line) {
        let (signal, Terms { to, meanwhile }) = (self.signal.label(), &self.terms);
        match line {
            Line::Lost(why) => {
                warn!("telemetry: {signal} cannot be exported to {to}: {why}; {meanwhile}");
            }
            Line::Back(lost) => {
                info!(
                    "telemetry: {signal} are exported to {to} again: {lost} items were lost meanwhile"
                );
            }
            Line::Rejects(why) => {
                warn!(
                    "telemetry: {to} rejects some {signal}: {why}; they are counted, and this is said once"
                );
            }
            Line::Overflows => {
                warn!(
                    "telemetry: more {signal} come than {to} takes; {meanwhile}, and this is said once"
                );
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> u64 {
        Loss::ALL.iter().map(|loss| self.tally().lost(*loss)).sum()
    }
}

/// What somebody else wrote, as part of a line.
fn short(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}
