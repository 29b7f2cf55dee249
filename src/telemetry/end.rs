//! Sending what is queued, and the end of telemetry.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use opentelemetry_sdk::{error::OTelSdkError, trace::SpanProcessor};
use tokio::{sync::oneshot, time::timeout};
use tracing::info;

use super::{
    Telemetry, export, quietly,
    start::Inner,
    tally::{Loss, Signal},
};
use crate::task::Clock;

/// How long a flush may take; what is left goes on being sent.
const FLUSH: Duration = Duration::from_secs(5);

/// What [`Telemetry::shutdown`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Spans that the collector has accepted, since the start.
    pub spans_exported: u64,
    /// Spans that have been lost, since the start.
    pub spans_lost: u64,
    /// Whether everything that was queued was dealt with in time.
    pub complete: bool,
}

/// What has become of spans that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// They are sent, or counted as lost.
    Done,
    /// They wait for the collector to be back.
    Waiting,
    /// Telemetry has ended.
    Ended,
}

// === impl Telemetry ===

impl Telemetry {
    /// Counts a span that found no room to wait in before it was made.
    pub(crate) fn lose_span(&self) {
        if self.tracer().is_some() {
            self.0.tally.of(Signal::Traces).lose(Loss::QueueFull, 1);
        }
    }

    /// There is nothing left to do: a good moment to send what is queued.
    pub(crate) fn idle(&self) {
        if let Some(flusher) = self.0.flusher.get() {
            flusher.ask();
        }
    }

    /// Sends what is queued, and waits until that is done.
    ///
    /// Blocks, for 5 s at most: in async code call it from `spawn_blocking`.
    pub fn flush(&self) {
        self.0.flush();
    }

    /// The same, and what has become of the spans.
    pub(crate) fn flush_spans(&self) -> Flushed {
        if !self.0.flush() {
            return Flushed::Ended;
        }
        match self.gate().map_or(Ok(()), SpanProcessor::force_flush) {
            Err(OTelSdkError::Timeout(_)) => Flushed::Waiting,
            Err(OTelSdkError::AlreadyShutdown) => Flushed::Ended,
            // What is refused once would be refused again.
            Ok(()) | Err(OTelSdkError::InternalFailure(_)) => Flushed::Done,
        }
    }

    /// Sends what is queued, and waits for that, but no longer than `deadline`.
    ///
    /// On a thread of its own: a runtime that is dropped waits for its own.
    pub(crate) async fn flush_soon(&self, deadline: Duration) {
        if !self.exports() {
            return;
        }
        let inner = Arc::clone(&self.0);
        let (tell, told) = oneshot::channel();
        let thread = thread::Builder::new().name("taskpulse-ending".to_owned());
        let flush = move || {
            inner.flush();
            tell.send(()).unwrap_or_default();
        };
        if thread.spawn(flush).is_ok() {
            // Past the time, what is left is for whoever shuts telemetry down.
            drop(timeout(deadline, told).await);
        }
    }

    /// Sends what is queued, and ends exporting.
    ///
    /// Blocks until that is done, and no longer than `deadline`, whatever the
    /// collector does: in async code call it from `spawn_blocking`. A second
    /// call does nothing more.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use taskpulse::telemetry::{self, Config};
    ///
    /// # fn main() -> Result<(), taskpulse::Error> {
    /// let telemetry = telemetry::start(Config::default())?;
    /// let shutdown = telemetry.shutdown(Duration::from_secs(3));
    /// assert_eq!((shutdown.spans_exported, shutdown.complete), (0, true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, deadline: Duration) -> Shutdown {
        let first = !self.0.ended.swap(true, Ordering::AcqRel);
        let complete = !first || self.0.end(deadline);
        let traces = self.0.tally.of(Signal::Traces);
        let lost = Loss::ALL.into_iter().map(|loss| traces.lost(loss));
        Shutdown {
            spans_exported: traces.exported.load(Ordering::Relaxed),
            spans_lost: lost.sum(),
            complete,
        }
    }

    /// Ends exporting, and says what came of it where anything was exported. If
    /// another does so already, that one says it.
    pub(crate) fn end(&self, deadline: Duration) {
        if self.0.ended.load(Ordering::Acquire) {
            return;
        }
        let exports = self.exports();
        let shutdown = self.shutdown(deadline);
        if exports {
            quietly(|| {
                info!(
                    spans_exported = shutdown.spans_exported,
                    spans_lost = shutdown.spans_lost,
                    complete = shutdown.complete,
                    "telemetry has ended: {} spans delivered, {} lost",
                    shutdown.spans_exported,
                    shutdown.spans_lost,
                );
            });
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Sends what is queued; false once everything has ended.
    ///
    /// Side by side: a collector of traces that does not answer must not keep
    /// the metrics back.
    pub(super) fn flush(self: &Arc<Self>) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        // What cannot be sent is counted by the exporters, and said there.
        let flushes: [fn(&Self, Duration); 3] = [
            |inner, _| {
                if let Some(provider) = &inner.tracers {
                    provider.force_flush().unwrap_or_default();
                }
            },
            |inner, _| {
                if let Some(provider) = &inner.logs {
                    provider.force_flush().unwrap_or_default();
                }
            },
            |inner, _| {
                for provider in &inner.meters {
                    provider.force_flush().unwrap_or_default();
                }
            },
        ];
        self.side_by_side(&flushes, FLUSH);
        true
    }

    /// Ends every provider, side by side; whether all did so in time.
    fn end(self: &Arc<Self>, deadline: Duration) -> bool {
        // The metrics that say how spans and logs fared come last.
        let first: [fn(&Self, Duration); 2] = [
            |inner, deadline| {
                if let Some(provider) = &inner.tracers {
                    provider.shutdown_with_timeout(deadline).unwrap_or_default();
                }
            },
            |inner, deadline| {
                if let Some(provider) = &inner.logs {
                    provider.shutdown_with_timeout(deadline).unwrap_or_default();
                }
            },
        ];
        let last: [fn(&Self, Duration); 1] = [|inner, deadline| {
            for provider in &inner.meters {
                // The SDK's own takes its time, whatever it is given.
                export::shut_meters_down(provider, deadline).unwrap_or_default();
            }
        }];
        let most = deadline.mul_f64(0.7);
        let (ended, rest) = self.side_by_side(&first, most);
        let left = deadline - most + rest;
        let (metrics_ended, _) = self.side_by_side(&last, left);
        ended && metrics_ended
    }

    /// Runs each on a thread of its own and waits for at most `deadline`;
    /// whether all have ended, and the time that is left. A provider that hangs
    /// is left behind.
    fn side_by_side(
        self: &Arc<Self>,
        ends: &[fn(&Self, Duration)],
        deadline: Duration,
    ) -> (bool, Duration) {
        let clock = Clock::system();
        let left = || deadline.saturating_sub(clock.mono());
        let (tell, told) = mpsc::channel();
        for end in ends.iter().copied() {
            let (inner, tell) = (Arc::clone(self), tell.clone());
            let thread = thread::Builder::new().name("taskpulse-ending".to_owned());
            let spawned = thread.spawn(move || {
                end(&inner, deadline);
                tell.send(()).unwrap_or_default();
            });
            drop(spawned);
        }
        drop(tell);
        let all = ends.iter().all(|_| told.recv_timeout(left()).is_ok());
        (all, left())
    }
}
