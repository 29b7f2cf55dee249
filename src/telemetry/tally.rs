//! What became of the telemetry itself: sent, lost, waiting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// Why an item never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It found no room to wait in.
    QueueFull,
    /// The batch it was in could not be delivered.
    Failed,
    /// The collector took its batch, but not this item.
    Rejected,
    /// It came, or still waited, when exporting had ended.
    Shutdown,
}

/// The counts of every signal.
#[derive(Debug, Default)]
pub(crate) struct Tally([SignalTally; Signal::ALL.len()]);

/// The counts of one signal.
#[derive(Debug, Default)]
pub(crate) struct SignalTally {
    /// Items that the collector has accepted.
    pub(crate) exported: AtomicU64,
    /// Batches that could not be delivered.
    pub(crate) failures: AtomicU64,
    /// Items that wait, or are on their way.
    pub(crate) queue: AtomicU64,
    dropped: [AtomicU64; Loss::ALL.len()],
}

// === impl Signal ===

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The value of the label `signal`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

// === impl Loss ===

impl Loss {
    pub(crate) const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::Failed,
        Self::Rejected,
        Self::Shutdown,
    ];

    /// The value of the label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Shutdown => "shutdown",
        }
    }
}

// === impl Tally ===

impl Tally {
    pub(crate) const fn of(&self, signal: Signal) -> &SignalTally {
        &self.0[signal as usize]
    }
}

// === impl SignalTally ===

impl SignalTally {
    /// Counts `items` as lost.
    pub(crate) fn lose(&self, loss: Loss, items: u64) {
        self.dropped[loss as usize].fetch_add(items, Relaxed);
    }

    /// Items lost for this reason.
    pub(crate) fn lost(&self, loss: Loss) -> u64 {
        self.dropped[loss as usize].load(Relaxed)
    }
}
