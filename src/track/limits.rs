//! What bounds a task in time, and what the tasks of a name have by default.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::metadata::check_name;
use crate::{
    Error, Reaction,
    task::{Bounds, Deadline},
};

/// What bounds the tasks of a name, for [`App::task_limits`](crate::App::task_limits).
/// What a task says itself wins over it.
///
/// ```
/// use std::time::Duration;
///
/// use taskpulse::{Reaction, TaskLimits};
///
/// let limits = TaskLimits::new()
///     .deadline(Duration::from_secs(600))
///     .stall_after(Duration::from_secs(30))
///     .on_stall(Reaction::Cancel)
///     .max_age(Duration::from_secs(3_600));
/// # let app = taskpulse::App::new().task_limits("import", limits);
/// # drop(app);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TaskLimits {
    max_age: Option<Duration>,
    deadline: Option<Deadline>,
    on_deadline: Option<Reaction>,
    stall_after: Option<Duration>,
    on_stall: Option<Reaction>,
}

/// The limits of names that have some.
#[derive(Debug, Default)]
pub(super) struct NamedLimits {
    /// Looked at first, since there rarely are any.
    any: AtomicBool,
    of: RwLock<HashMap<Box<str>, TaskLimits>>,
}

/// Checks the limits of a name, and the name.
pub(crate) fn check_limits(name: String, limits: &TaskLimits) -> Result<Box<str>, Error> {
    limits.check()?;
    check_name(name)
}

// === impl TaskLimits ===

impl TaskLimits {
    /// No limits.
    pub const fn new() -> Self {
        Self {
            max_age: None,
            deadline: None,
            on_deadline: None,
            stall_after: None,
            on_stall: None,
        }
    }

    /// See [`TaskBuilder::deadline`](crate::TaskBuilder::deadline).
    pub const fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(Deadline::After(after));
        self
    }

    /// See [`TaskBuilder::on_deadline`](crate::TaskBuilder::on_deadline).
    pub const fn on_deadline(mut self, reaction: Reaction) -> Self {
        self.on_deadline = Some(reaction);
        self
    }

    /// See [`TaskBuilder::stall_after`](crate::TaskBuilder::stall_after).
    pub const fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// See [`TaskBuilder::on_stall`](crate::TaskBuilder::on_stall).
    pub const fn on_stall(mut self, reaction: Reaction) -> Self {
        self.on_stall = Some(reaction);
        self
    }

    /// See [`TaskBuilder::max_age`](crate::TaskBuilder::max_age).
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// A deadline at a time of day, which makes sense for one task alone.
    pub(super) fn deadline_at(mut self, at: SystemTime) -> Self {
        // Before 1970 is as long gone as 1970.
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.deadline = Some(Deadline::At(at));
        self
    }

    /// These, and others where these say nothing.
    fn or(self, others: Self) -> Self {
        Self {
            max_age: self.max_age.or(others.max_age),
            deadline: self.deadline.or(others.deadline),
            on_deadline: self.on_deadline.or(others.on_deadline),
            stall_after: self.stall_after.or(others.stall_after),
            on_stall: self.on_stall.or(others.on_stall),
        }
    }

    /// Refuses a limit that every task is beyond.
    pub(super) fn check(&self) -> Result<(), Error> {
        let limits = [("max_age", self.max_age), ("stall_after", self.stall_after)];
        for (limit, time) in limits {
            if time == Some(Duration::ZERO) {
                return Err(Error::invalid(format!(
                    "a task's {limit} is 0s; give it a longer one, or none"
                )));
            }
        }
        Ok(())
    }

    /// What bounds a task; `max_age` where nothing else says how old it may be.
    pub(super) fn bounds(self, max_age: Option<Duration>) -> Bounds {
        Bounds {
            max_age: self.max_age.or(max_age),
            deadline: self.deadline,
            on_deadline: self.on_deadline.unwrap_or_default(),
            stall_after: self.stall_after,
            on_stall: self.on_stall.unwrap_or_default(),
        }
    }
}

// === impl NamedLimits ===

impl NamedLimits {
    /// Gives tasks of this name these limits from now on.
    pub(super) fn set(&self, name: Box<str>, limits: TaskLimits) {
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        of.insert(name, limits);
        self.any.store(true, Ordering::Release);
    }

    /// A task's limits, and those of its name where it says nothing.
    pub(super) fn complete(&self, limits: TaskLimits, name: &str) -> TaskLimits {
        if !self.any.load(Ordering::Acquire) {
            return limits;
        }
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        of.get(name).map_or(limits, |others| limits.or(*others))
    }
}
