//! Items wait here until a thread of their own has sent them.
//!
//! Bounded, and exact: at every moment, exported + dropped + queue is the
//! number of items that were pushed. The SDK's own batch processors drop
//! without saying so, wait up to five seconds whatever deadline they are given,
//! and take the memory of a full queue at the start.
//!
//! A batch that is still on its way when the deadline of a shutdown passes
//! counts as lost by the shutdown. It may arrive all the same, but is then not
//! counted again: a count of losses that is too high by one batch is the lesser
//! evil.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::{
    report::{Outcome, Report},
    talk::Talk,
};
use crate::{
    Error,
    telemetry::{config::Batches, quietly, tally::Loss},
};

/// The queue of one signal, and the thread that empties it.
pub(super) struct Queue<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    /// There is something to do for the thread.
    wake: Condvar,
    /// A batch has ended.
    settled: Condvar,
    batches: Batches,
    report: Arc<Report>,
    talk: Arc<Talk>,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Items of the batch on its way.
    sending: usize,
    stage: Stage,
    /// Items that were ever pushed, and those whose batch has ended.
    pushed: u64,
    ended: u64,
    /// All before this one are to be sent without delay.
    flush_to: u64,
    /// Batches that failed.
    failed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What waits is sent; nothing new is taken.
    Closing,
    Closed,
}

// === impl Queue ===

impl<T: Send + 'static> Queue<T> {
    /// Starts the thread, which hands each batch to `send`.
    ///
    /// # Errors
    ///
    /// [`Error::Thread`] if there is no thread to be had.
    pub(super) fn start(
        batches: Batches,
        report: Arc<Report>,
        talk: Arc<Talk>,
        mut send: impl FnMut(Vec<T>) -> Outcome + Send + 'static,
    ) -> Result<Self, Error> {
        let name = format!("export-{}", report.signal().label());
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new()),
            wake: Condvar::new(),
            settled: Condvar::new(),
            batches,
            report,
            talk,
        });
        let worker = Arc::clone(&shared);
        let started = thread::Builder::new().name(name.clone()).spawn(move || {
            // Sending spans must not make spans.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            while let Some(batch) = worker.next_batch() {
                let items = batch.len() as u64;
                let outcome = quietly(|| send(batch));
                worker.settle(items, &outcome.unwrap_or_else(Outcome::panicked));
            }
        });
        match started {
            Ok(_) => Ok(Self(shared)),
            Err(source) => Err(Error::Thread { name, source }),
        }
    }
}

impl<T> Queue<T> {
    /// Takes an item in, or counts it as lost. Never waits for a collector.
    pub(super) fn push(&self, item: T) {
        let shared = &self.0;
        let mut state = shared.state();
        let tally = shared.report.tally();
        let held = state.held();
        if state.stage != Stage::Open {
            tally.lose(Loss::Shutdown, 1);
        } else if held >= shared.batches.queue {
            tally.lose(Loss::QueueFull, 1);
        } else {
            state.waiting.push_back(item);
            state.pushed += 1;
            tally.queue.store(held as u64 + 1, Relaxed);
            let waiting = state.waiting.len();
            drop(state);
            if waiting == 1 || waiting == shared.batches.batch() {
                shared.wake.notify_one();
            }
        }
    }

    /// Sends what has been pushed so far, and waits for it.
    pub(super) fn flush(&self) -> OTelSdkResult {
        let shared = &self.0;
        let mut state = shared.state();
        let (target, failed) = (state.pushed, state.failed);
        state.flush_to = target;
        shared.wake.notify_one();
        let timeout = shared.batches.timeout;
        let waited = shared.settled.wait_timeout_while(state, timeout, |state| {
            state.ended < target && state.stage != Stage::Closed
        });
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(OTelSdkError::Timeout(timeout));
        }
        if state.stage == Stage::Closed {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        if state.failed > failed {
            return Err(OTelSdkError::InternalFailure("not delivered".to_owned()));
        }
        Ok(())
    }

    /// Sends what waits, for at most `timeout`; the rest is lost.
    pub(super) fn close(&self, timeout: Duration) -> OTelSdkResult {
        let shared = &self.0;
        let mut state = shared.state();
        if state.stage != Stage::Open {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        state.stage = Stage::Closing;
        shared.wake.notify_one();
        shared.talk.stop();
        let waited = shared
            .settled
            .wait_timeout_while(state, timeout, |state| state.held() > 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let lost = state.held();
        let left = std::mem::take(&mut state.waiting);
        state.stage = Stage::Closed;
        shared.report.tally().lose(Loss::Shutdown, lost as u64);
        shared.report.tally().queue.store(0, Relaxed);
        drop(state);
        shared.wake.notify_one();
        shared.settled.notify_all();
        drop(left);
        match lost {
            0 => Ok(()),
            _ => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // An error says that it has been closed before.
        drop(self.close(Duration::ZERO));
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.0.report).finish()
    }
}

// === impl Shared ===

impl<T> Shared<T> {
    /// Waits for a batch to be full, or for its time; nothing after the end.
    fn next_batch(&self) -> Option<Vec<T>> {
        let state = self.state();
        let idle = |state: &mut State<T>| state.waiting.is_empty() && state.stage == Stage::Open;
        let waited = self.wake.wait_while(state, idle);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let filling = |state: &mut State<T>| {
            state.waiting.len() < self.batches.batch()
                && state.stage == Stage::Open
                && state.flush_to <= state.ended
        };
        let waited = self
            .wake
            .wait_timeout_while(state, self.batches.delay, filling);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let items = state.waiting.len().min(self.batches.batch());
        if items == 0 {
            return None;
        }
        state.sending = items;
        let batch = state.waiting.drain(..items).collect();
        if state.waiting.is_empty() {
            // A burst is over: its memory is given back.
            state.waiting.shrink_to(self.batches.batch());
        }
        Some(batch)
    }

    /// Counts a batch that has ended, then says so to whoever waits for it.
    fn settle(&self, items: u64, outcome: &Outcome) {
        let mut state = self.state();
        // What was on its way when the queue was closed has been counted.
        if state.stage == Stage::Closed {
            return;
        }
        state.sending = 0;
        self.report.count(items, outcome);
        let waiting = state.waiting.len() as u64;
        self.report.tally().queue.store(waiting, Relaxed);
        drop(state);
        self.report.speak(items, outcome);
        let mut state = self.state();
        state.ended += items;
        state.failed += u64::from(matches!(outcome, Outcome::Failed(_)));
        drop(state);
        self.settled.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl<T> State<T> {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            sending: 0,
            stage: Stage::Open,
            pushed: 0,
            ended: 0,
            flush_to: 0,
            failed: 0,
        }
    }

    /// Items that wait or are on their way.
    fn held(&self) -> usize {
        self.waiting.len() + self.sending
    }
}
