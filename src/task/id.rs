//! Task ids: positive integers that every JSON parser keeps whole.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

use super::sync::{AtomicU64, Ordering};

/// The id of a task: a positive integer below 2^53.
///
/// Ids ascend in the order tasks are begun. They are unique across restarts as
/// far as the machine's clock does not go back, since a process counts on from
/// the microsecond at which it started. With a store they are unique in any case:
/// it knows what earlier processes may have handed out.
///
/// JavaScript and every other JSON parser that reads numbers as doubles keeps
/// such an id whole.
///
/// ```
/// use taskpulse::TaskId;
///
/// let id: TaskId = "1795357387000001".parse()?;
/// assert_eq!(u64::from(id), 1_795_357_387_000_001);
/// assert!("0".parse::<TaskId>().is_err());
/// # Ok::<(), taskpulse::InvalidTaskId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

/// What is said of a number or a text that is no task id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTaskId;

/// Hands out ids.
#[derive(Debug)]
pub(super) struct IdSource(AtomicU64);

// === impl TaskId ===

impl TaskId {
    /// The greatest id: 2^53 - 1, `Number.MAX_SAFE_INTEGER` in JavaScript.
    pub const MAX: u64 = (1 << 53) - 1;
}

impl TryFrom<u64> for TaskId {
    type Error = InvalidTaskId;

    fn try_from(value: u64) -> Result<Self, InvalidTaskId> {
        NonZeroU64::new(value)
            .filter(|id| id.get() <= Self::MAX)
            .map(Self)
            .ok_or(InvalidTaskId)
    }
}

impl From<TaskId> for u64 {
    fn from(id: TaskId) -> Self {
        id.0.get()
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        text.parse::<u64>()
            .map_err(|_| InvalidTaskId)
            .and_then(Self::try_from)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl InvalidTaskId ===

impl fmt::Display for InvalidTaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a task id is an integer from 1 to {}", TaskId::MAX)
    }
}

impl std::error::Error for InvalidTaskId {}

// === impl IdSource ===

impl IdSource {
    /// Room kept above the first id. A process that begins a million tasks a
    /// second needs twelve days to use it up.
    const ROOM: u64 = 1 << 40;

    /// Counts on from `started`, in microseconds since the Unix epoch.
    pub(super) fn starting_at(started: Duration) -> Self {
        let micros = u64::try_from(started.as_micros()).unwrap_or(u64::MAX);
        Self(AtomicU64::new(micros.clamp(1, TaskId::MAX - Self::ROOM)))
    }

    /// Hands out none below `next` from now on.
    pub(super) fn skip_to(&self, next: u64) {
        let next = next.min(TaskId::MAX - Self::ROOM);
        self.0.fetch_max(next, Ordering::Relaxed);
    }

    /// What is handed out next.
    pub(super) fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The next id.
    pub(super) fn next(&self) -> TaskId {
        let id = self.0.fetch_add(1, Ordering::Relaxed);
        TaskId::try_from(id).expect("the clock stands before the year 2255")
    }
}

#[cfg(all(test, not(taskpulse_loom)))]
mod tests {
    use super::*;

    #[track_caller]
    fn check(started: Duration, first: u64) {
        assert_eq!(u64::from(IdSource::starting_at(started).next()), first);
    }

    #[test]
    fn ids_count_on_from_the_start_in_microseconds() {
        check(
            Duration::from_micros(1_795_357_387_000_000),
            1_795_357_387_000_000,
        );
        check(Duration::ZERO, 1);
        check(Duration::MAX, TaskId::MAX - (1 << 40));
    }

    #[test]
    fn ids_skip_forward_alone() {
        let ids = IdSource::starting_at(Duration::from_micros(5));
        ids.skip_to(3);
        assert_eq!(u64::from(ids.next()), 5);
        ids.skip_to(9);
        assert_eq!((ids.peek(), u64::from(ids.next())), (9, 9));
    }

    #[test]
    fn ids_stay_below_two_to_the_53() {
        for bad in ["0", "-1", "9007199254740992", "1.0", "", "x"] {
            assert_eq!(bad.parse::<TaskId>(), Err(InvalidTaskId), "{bad}");
        }
        assert!("9007199254740991".parse::<TaskId>().is_ok());
    }
}
