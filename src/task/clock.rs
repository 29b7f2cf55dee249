//! The one source of time.

#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads the monotonic and the wall clock.
///
/// Durations and order come from [`mono`](Self::mono) alone. The wall clock is
/// read where a moment is shown to people or to the platform; it may jump.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Source);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Time since the clock was made.
    pub(crate) mono: Duration,
    /// Time since the Unix epoch; zero if the machine's clock is set before it.
    pub(crate) wall: Duration,
}

#[derive(Clone, Debug)]
enum Source {
    System {
        #[expect(clippy::disallowed_types, reason = "this is the clock")]
        started: std::time::Instant,
    },
    #[cfg(test)]
    Manual(Arc<ManualTime>),
}

/// A clock's hands, turned by a test.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct ManualTime {
    mono_nanos: AtomicU64,
    wall_nanos: AtomicU64,
}

// === impl Clock ===

impl Clock {
    /// The machine's clocks.
    #[expect(clippy::disallowed_types, reason = "this is the clock")]
    pub(crate) fn system() -> Self {
        Self(Source::System {
            started: std::time::Instant::now(),
        })
    }

    /// A clock that only `time` moves.
    #[cfg(test)]
    pub(crate) fn manual(time: &Arc<ManualTime>) -> Self {
        Self(Source::Manual(Arc::clone(time)))
    }

    /// Time since this clock was made. Never goes back.
    pub(crate) fn mono(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            #[cfg(test)]
            Source::Manual(time) => Duration::from_nanos(time.mono_nanos.load(SeqCst)),
        }
    }

    /// Time since the Unix epoch, as the machine sees it now.
    pub(crate) fn wall(&self) -> Duration {
        match &self.0 {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO),
            #[cfg(test)]
            Source::Manual(time) => Duration::from_nanos(time.wall_nanos.load(SeqCst)),
        }
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Stamp {
        Stamp {
            mono: self.mono(),
            wall: self.wall(),
        }
    }
}

// === impl ManualTime ===

#[cfg(test)]
impl ManualTime {
    /// Lets `by` pass on both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).expect("tests stay within 584 years");
        self.mono_nanos.fetch_add(nanos, SeqCst);
        self.wall_nanos.fetch_add(nanos, SeqCst);
    }

    /// Sets the wall clock, as an operator or NTP would.
    pub(crate) fn set_wall(&self, since_epoch: Duration) {
        let nanos = u64::try_from(since_epoch.as_nanos()).expect("tests stay within 584 years");
        self.wall_nanos.store(nanos, SeqCst);
    }
}
