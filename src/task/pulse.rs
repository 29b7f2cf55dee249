//! The last sign of life of a task.
//!
//! One atomic word, so that a sign costs one instruction that waits for nobody,
//! and so that no sign slips past whoever notes that there was none: the word
//! has the time of the last sign, and whether a silence after it has been noted.

use std::time::Duration;

use super::sync::{AtomicU64, Ordering};

/// When a task gave its last sign of life; its begin counts as one.
#[derive(Debug)]
pub(super) struct Pulse(AtomicU64);

/// The bit that says that a silence has been noted. The others are nanoseconds:
/// enough for 292 years of uptime.
const NOTED: u64 = 1;

// === impl Pulse ===

impl Pulse {
    pub(super) fn new(begun: Duration) -> Self {
        Self(AtomicU64::new(word(begun)))
    }

    /// A sign. Whether a silence had been noted, which is over now.
    #[inline]
    pub(super) fn beat(&self, now: Duration) -> bool {
        self.0.swap(word(now), Ordering::AcqRel) & NOTED != 0
    }

    /// When the last sign came.
    pub(super) fn last(&self) -> Duration {
        time(self.0.load(Ordering::Acquire))
    }

    /// Notes the silence, unless there was a sign since `last`. The next
    /// [`beat`](Self::beat) then says so.
    pub(super) fn note_silence(&self, last: Duration) -> bool {
        let silent = word(last);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match self
            .0
            .compare_exchange(silent, silent | NOTED, success, failure)
        {
            Ok(_) => true,
            Err(word) => word == silent | NOTED,
        }
    }
}

/// A time in nanoseconds, as atomics keep it.
pub(crate) fn nanos(time: Duration) -> u64 {
    // Enough for 584 years of uptime; the greatest number means something else.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}

fn word(time: Duration) -> u64 {
    nanos(time) << 1
}

const fn time(word: u64) -> Duration {
    Duration::from_nanos(word >> 1)
}
