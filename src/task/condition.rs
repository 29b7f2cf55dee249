//! What may be the matter with a task that runs.
//!
//! A condition is no state: it follows from the task's bounds and the time, and
//! is derived from them whenever a task is looked at. So that conditions can be
//! counted and announced as well, each [review](Watched::review) notes what has
//! begun and ended since the last one. Notes are read and written under the lock
//! of the task's shard alone.

use std::time::Duration;

use super::{
    Stamp,
    pulse::{Pulse, nanos},
    sync::{AtomicU64, Ordering},
};

/// Something that may be the matter with a running task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Its deadline has passed.
    Overdue,
    /// It has given no sign of life for too long.
    Stalled,
}

/// What follows when a task is past its deadline, or gives no sign of life.
///
/// ```
/// use std::time::Duration;
///
/// use taskpulse::{Reaction, TaskState};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), taskpulse::Error> {
/// let tasks = taskpulse::App::new().tasks();
/// let late = tasks
///     .begin("import")
///     .deadline(Duration::from_millis(50))
///     .on_deadline(Reaction::Cancel)
///     .spawn(std::future::pending::<Result<(), String>>())?;
/// assert_eq!(late.await.state, TaskState::TimedOut);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// It is said, once: in the log, on the task's span, in the metrics. The task
    /// goes on.
    #[default]
    Warn,
    /// It is said, and the task ends as `timed_out`. A spawned future is dropped.
    Cancel,
}

/// What a task that is to begin is bounded by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The age at which it is ended.
    pub(crate) max_age: Option<Duration>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) on_deadline: Reaction,
    /// How long it may give no sign of life.
    pub(crate) stall_after: Option<Duration>,
    pub(crate) on_stall: Reaction,
}

/// When a task is to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// So long after its begin.
    After(Duration),
    /// At this time since the Unix epoch.
    At(Duration),
}

/// The bounds of a task that has begun, and what has been noted.
#[derive(Debug)]
pub(super) struct Watched {
    begun: Stamp,
    bounds: Bounds,
    /// Since the Unix epoch.
    deadline: Option<Duration>,
    /// When the next review is due, as the shard has it; else [`NONE`].
    due: AtomicU64,
    /// Whether it has been noted as overdue: 0 or 1.
    overdue: AtomicU64,
    /// The last sign before the silence that has been noted; else [`NONE`].
    silent_since: AtomicU64,
}

/// The begin or the end of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) condition: Condition,
    /// When it was noted, on the monotonic clock.
    pub(crate) at: Duration,
    /// How long the condition has lasted, or did: the time since the deadline or
    /// since the last sign of life.
    pub(crate) lasted: Duration,
    /// When the last heartbeat or progress came, on the monotonic clock.
    pub(crate) last_sign: Option<Duration>,
}

/// What a review has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Conditions that have begun.
    pub(super) overdue: Option<Crossing>,
    pub(super) stalled: Option<Crossing>,
    /// The silence that is over.
    pub(super) over: Option<Crossing>,
    pub(super) verdict: Option<Verdict>,
}

/// Why a task must be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has reached this greatest age.
    TooOld(Duration),
    /// It is past its deadline by so much.
    Late(Duration),
    /// It may not be silent for so long.
    Silent(Duration),
}

/// The last second of the year 9999: texts of times know no later one.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// No time.
const NONE: u64 = u64::MAX;

// === impl Condition ===

impl Condition {
    pub(crate) const ALL: [Self; 2] = [Self::Overdue, Self::Stalled];

    /// Its name in labels, lines and attributes.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Stalled => "stalled",
        }
    }
}

// === impl Bounds ===

impl Bounds {
    const fn is_none(&self) -> bool {
        self.max_age.is_none() && self.deadline.is_none() && self.stall_after.is_none()
    }
}

// === impl Watched ===

impl Watched {
    /// Nothing, where nothing bounds the task.
    pub(super) fn new(bounds: Bounds, begun: Stamp) -> Option<Box<Self>> {
        if bounds.is_none() {
            return None;
        }
        let deadline = bounds.deadline.and_then(|deadline| match deadline {
            Deadline::After(time) => begun.wall.checked_add(time),
            Deadline::At(at) => Some(at),
        });
        // Beyond the end of time there is none.
        let deadline = deadline.filter(|deadline| *deadline <= LAST_SECOND);
        Some(Box::new(Self {
            begun,
            bounds,
            deadline,
            due: AtomicU64::new(NONE),
            overdue: AtomicU64::new(0),
            silent_since: AtomicU64::new(NONE),
        }))
    }

    /// Since the Unix epoch.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub(super) const fn may_stall(&self) -> bool {
        self.bounds.stall_after.is_some()
    }

    /// How long the task has been past its deadline, if it is.
    pub(super) fn late(&self, now: Duration) -> Option<Duration> {
        let at = self.begun.wall + now.saturating_sub(self.begun.mono);
        at.checked_sub(self.deadline?)
    }

    /// How long the task has been silent, if that is too long.
    pub(super) fn silent(&self, pulse: &Pulse, now: Duration) -> Option<Duration> {
        self.too_long(pulse.last(), now)
    }

    fn too_long(&self, last: Duration, now: Duration) -> Option<Duration> {
        let silence = now.saturating_sub(last);
        (silence >= self.bounds.stall_after?).then_some(silence)
    }

    /// Compares what is with what has been noted, and notes it.
    pub(super) fn review(&self, pulse: &Pulse, now: Duration) -> Found {
        let late = self.late(now);
        let (last, silent) = self.listen(pulse, now);
        let crossing = |condition, lasted| Crossing {
            condition,
            at: now,
            lasted,
            last_sign: Some(last).filter(|last| *last > self.begun.mono),
        };
        let mut found = Found {
            verdict: self.verdict(late, silent, now),
            ..Found::default()
        };
        if let Some(late) = late
            && self.overdue.swap(1, Ordering::Relaxed) == 0
        {
            found.overdue = Some(crossing(Condition::Overdue, late));
        }
        match (silent, self.silent_since()) {
            (Some(silence), None) => {
                self.silent_since.store(nanos(last), Ordering::Relaxed);
                found.stalled = Some(crossing(Condition::Stalled, silence));
            }
            (None, Some(since)) => {
                self.silent_since.store(NONE, Ordering::Relaxed);
                let silence = last.saturating_sub(since);
                found.over = Some(crossing(Condition::Stalled, silence));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        found
    }

    /// When the last sign came, and how long ago that was, if it is too long: the
    /// next sign then knows that it has been noted.
    fn listen(&self, pulse: &Pulse, now: Duration) -> (Duration, Option<Duration>) {
        loop {
            let last = pulse.last();
            let silent = self.too_long(last, now);
            // Where a sign has come meanwhile it is looked at anew.
            if silent.is_none() || pulse.note_silence(last) {
                return (last, silent);
            }
        }
    }

    fn verdict(
        &self,
        late: Option<Duration>,
        silent: Option<Duration>,
        now: Duration,
    ) -> Option<Verdict> {
        let bounds = &self.bounds;
        if self.expiry().is_some_and(|expiry| expiry <= now) {
            return bounds.max_age.map(Verdict::TooOld);
        }
        if let (Reaction::Cancel, Some(late)) = (bounds.on_deadline, late) {
            return Some(Verdict::Late(late));
        }
        if let (Reaction::Cancel, Some(_)) = (bounds.on_stall, silent) {
            return bounds.stall_after.map(Verdict::Silent);
        }
        None
    }

    /// When the next review is due, on the monotonic clock: what may come before
    /// is nothing to act on.
    pub(super) fn next(&self, pulse: &Pulse) -> Option<Duration> {
        let deadline = self.deadline.map(|deadline| {
            let after = deadline.saturating_sub(self.begun.wall);
            self.begun.mono.saturating_add(after)
        });
        let told = self.overdue.load(Ordering::Relaxed) != 0;
        let deadline = deadline.filter(|_| !told || self.bounds.on_deadline == Reaction::Cancel);
        let told = self.silent_since().is_some();
        let stall = self
            .bounds
            .stall_after
            .and_then(|after| pulse.last().checked_add(after))
            .filter(|_| !told || self.bounds.on_stall == Reaction::Cancel);
        [self.expiry(), deadline, stall].into_iter().flatten().min()
    }

    /// When the task is too old.
    fn expiry(&self) -> Option<Duration> {
        // Beyond the end of time there is no limit.
        self.begun.mono.checked_add(self.bounds.max_age?)
    }

    /// What has been noted and not cleared.
    pub(super) fn noted(&self) -> impl Iterator<Item = Condition> {
        let overdue = self.overdue.load(Ordering::Relaxed) != 0;
        let stalled = self.silent_since().is_some();
        let noted = [
            overdue.then_some(Condition::Overdue),
            stalled.then_some(Condition::Stalled),
        ];
        noted.into_iter().flatten()
    }

    fn silent_since(&self) -> Option<Duration> {
        let since = self.silent_since.load(Ordering::Relaxed);
        (since != NONE).then(|| Duration::from_nanos(since))
    }

    /// When the shard has the next review.
    pub(super) fn due(&self) -> Option<Duration> {
        let due = self.due.load(Ordering::Relaxed);
        (due != NONE).then(|| Duration::from_nanos(due))
    }

    pub(super) fn set_due(&self, due: Option<Duration>) {
        self.due.store(due.map_or(NONE, nanos), Ordering::Relaxed);
    }
}
