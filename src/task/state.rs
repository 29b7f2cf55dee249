//! The states of a task and the one function that decides what follows what.

use std::{fmt, str::FromStr};

/// The state of a task: `running`, then exactly one of the others.
///
/// ```
/// use taskpulse::TaskState;
///
/// let state: TaskState = "timed_out".parse()?;
/// assert_eq!(state, TaskState::TimedOut);
/// assert!(state.is_end());
/// # Ok::<(), taskpulse::UnknownState>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Begun and not ended.
    Running,
    /// Did what it was begun for.
    Succeeded,
    /// Ended by an error or a panic; the error text says which.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// Stopped because its time was up.
    TimedOut,
    /// This process shut down, or the handle was dropped before it was settled.
    Interrupted,
    /// Its owner vanished; the next process found it.
    Lost,
}

/// What is said of a text that names no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownState(Box<str>);

/// A request to change a task. The registry decides whether it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The work is done. `note` stands in for a result that could not be kept.
    Succeed {
        /// JSON text.
        result: Option<Box<str>>,
        note: Option<Box<str>>,
    },
    /// The work ended with this error.
    Fail(Box<str>),
    /// The work panicked; this says how, and where.
    Panic(Box<str>),
    /// Its time was up; this says which.
    TimeOut(Box<str>),
    /// Somebody asked for the work to stop.
    Cancel,
    /// The process goes down, or nobody is left who could settle the task.
    Interrupt,
}

// === impl TaskState ===

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Interrupted,
        Self::Lost,
    ];

    /// The state's name in JSON, labels and attributes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// Whether nothing follows this state.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Running)
    }

    /// The state that `step` leads to, or nothing where the task has ended.
    #[must_use = "a step that is not taken must not be announced"]
    pub(super) const fn after(self, step: &Step) -> Option<Self> {
        match self {
            Self::Running => Some(step.end()),
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::TimedOut
            | Self::Interrupted
            | Self::Lost => None,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.into()))
    }
}

// === impl UnknownState ===

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no task state; there are", self.0.escape_debug())?;
        for (n, state) in TaskState::ALL.iter().enumerate() {
            write!(f, "{}{state}", if n == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownState {}

// === impl Step ===

impl Step {
    /// Where it leads from a state in which it may be taken.
    pub(super) const fn end(&self) -> TaskState {
        match self {
            Self::Succeed { .. } => TaskState::Succeeded,
            Self::Fail(_) | Self::Panic(_) => TaskState::Failed,
            Self::TimeOut(_) => TaskState::TimedOut,
            Self::Cancel => TaskState::Cancelled,
            Self::Interrupt => TaskState::Interrupted,
        }
    }
}

#[cfg(all(test, not(taskpulse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_an_end() {
        let steps = [
            Step::Succeed {
                result: None,
                note: None,
            },
            Step::Fail("no".into()),
            Step::Panic("panicked".into()),
            Step::TimeOut("too old".into()),
            Step::Cancel,
            Step::Interrupt,
        ];
        for state in TaskState::ALL {
            for step in &steps {
                assert_eq!(state.after(step).is_none(), state.is_end());
            }
        }
    }

    #[test]
    fn an_unknown_state_is_told_the_known_ones() {
        assert_eq!(
            "done".parse::<TaskState>().unwrap_err().to_string(),
            "`done` is no task state; there are running, succeeded, failed, cancelled, timed_out, interrupted, lost",
        );
    }
}
