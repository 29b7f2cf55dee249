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
pub(crate) struct Clock {
    source: Source,
    #[cfg(feature = "testing")]
    followed: Followed,
}

/// Somebody else's clock that is followed instead, where there is one.
#[cfg(feature = "testing")]
#[derive(Clone, Default)]
struct Followed(std::sync::Arc<std::sync::OnceLock<Lead>>);

/// The times at which following began, and what has passed since.
#[cfg(feature = "testing")]
struct Lead {
    from: Stamp,
    passed: std::sync::Arc<dyn Fn() -> Duration + Send + Sync>,
}

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
        Self::of(Source::System {
            started: std::time::Instant::now(),
        })
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            #[cfg(feature = "testing")]
            followed: Followed::default(),
        }
    }

    /// Follows another clock from now on, which says what has passed since. The
    /// first call counts.
    #[cfg(feature = "testing")]
    pub(crate) fn follow(&self, passed: std::sync::Arc<dyn Fn() -> Duration + Send + Sync>) {
        let from = self.now();
        self.followed.0.get_or_init(|| Lead { from, passed });
    }

    /// A clock that only `time` moves.
    #[cfg(test)]
    pub(crate) fn manual(time: &Arc<ManualTime>) -> Self {
        Self::of(Source::Manual(Arc::clone(time)))
    }

    /// Time since this clock was made. Never goes back.
    pub(crate) fn mono(&self) -> Duration {
        #[cfg(feature = "testing")]
        if let Some(lead) = self.followed.0.get() {
            return lead.from.mono + (lead.passed)();
        }
        match &self.source {
            Source::System { started } => started.elapsed(),
            #[cfg(test)]
            Source::Manual(time) => Duration::from_nanos(time.mono_nanos.load(SeqCst)),
        }
    }

    /// Time since the Unix epoch, as the machine sees it now.
    pub(crate) fn wall(&self) -> Duration {
        #[cfg(feature = "testing")]
        if let Some(lead) = self.followed.0.get() {
            return lead.from.wall + (lead.passed)();
        }
        match &self.source {
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

// === impl Followed ===

#[cfg(feature = "testing")]
impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Followed")
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
