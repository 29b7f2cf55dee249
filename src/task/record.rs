//! One task, as the registry keeps it.

use std::{collections::VecDeque, fmt, panic::Location, sync::Arc, time::Duration};

use super::{
    Change, Event, Kind, KindId, Stamp, Step, StepError, TaskId, TaskState,
    ages::Seat,
    kinds::OTHER,
    sync::{Mutex, lock},
};

/// A task that is to begin. Everything in it has been checked at the door.
#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    /// A label: few distinct values.
    pub(crate) name: Box<str>,
    /// A JSON object as compact text; empty where there is none.
    pub(crate) metadata: Box<str>,
    /// The request it is begun under.
    pub(crate) origin: Option<Arc<Origin>>,
    /// The line that begins it.
    pub(crate) begun_at: &'static Location<'static>,
}

/// The request that tasks are begun under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The AgentCore session, where the caller named one.
    pub(crate) session_id: Option<Box<str>>,
    /// The caller's request id, else ours.
    pub(crate) request_id: Box<str>,
    /// Entries of the caller's baggage that the operator allows.
    pub(crate) baggage: Box<[(Box<str>, Box<str>)]>,
}

/// A task of the registry, active or ended.
///
/// `P` travels with the task and is never looked at here.
pub(crate) struct Task<P> {
    pub(crate) id: TaskId,
    /// Its own name, whether metrics know it or not.
    pub(crate) name: Arc<str>,
    pub(crate) kind: KindId,
    /// Among the active tasks of its kind.
    pub(super) seat: Seat,
    metadata: Box<str>,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) begun: Stamp,
    pub(crate) begun_at: &'static Location<'static>,
    pub(crate) payload: P,
    life: Mutex<Life>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// One of the end states.
    pub(crate) state: TaskState,
    /// From the begin to the end, on the monotonic clock.
    pub(crate) duration: Duration,
    /// JSON text.
    pub(crate) result: Option<Box<str>>,
    pub(crate) error: Option<Box<str>>,
    /// Whether the error is a panic.
    pub(crate) panicked: bool,
    /// The number of the event.
    pub(crate) seq: u64,
}

/// A task and how it stood when it was looked at.
pub(crate) struct View<P> {
    pub(crate) task: Arc<Task<P>>,
    pub(crate) ending: Option<Arc<Ending>>,
}

/// What changes in a task's life.
#[derive(Debug)]
struct Life {
    ending: Option<Arc<Ending>>,
    /// Whether some thread is announcing an event of this task.
    announcing: bool,
    /// What that thread has still to announce.
    queued: VecDeque<(u64, Change)>,
}

// === impl Task ===

impl<P> Task<P> {
    /// A running task whose begin is about to be announced.
    pub(super) fn begin(id: TaskId, new: NewTask, kind: &Kind, begun: Stamp, payload: P) -> Self {
        Self {
            id,
            name: kind.name(new.name),
            kind: kind.id,
            seat: Seat::new(),
            metadata: new.metadata,
            origin: new.origin,
            begun,
            begun_at: new.begun_at,
            payload,
            life: Mutex::new(Life {
                ending: None,
                announcing: true,
                queued: VecDeque::new(),
            }),
        }
    }

    /// The metadata: a JSON object as compact text.
    pub(crate) fn metadata(&self) -> &str {
        if self.metadata.is_empty() {
            "{}"
        } else {
            &self.metadata
        }
    }

    /// What metrics call it: its name, if that is known, else `_OTHER`.
    pub(crate) fn label(&self) -> &str {
        if self.kind == KindId::OTHER {
            OTHER
        } else {
            &self.name
        }
    }

    /// How the task ended, if it has.
    pub(crate) fn ending(&self) -> Option<Arc<Ending>> {
        lock(&self.life).ending.clone()
    }

    /// Takes a step, if the task's state allows it. The event is given back
    /// unless another thread is announcing this task, which then announces
    /// this one too.
    #[inline]
    pub(super) fn settle(
        self: &Arc<Self>,
        step: Step,
        duration: Duration,
        seq: u64,
    ) -> Result<Option<Event<P>>, StepError> {
        let mut life = lock(&self.life);
        let from = life.state();
        let to = from.after(&step).ok_or(StepError::Ended(from))?;
        let ending = Arc::new(Ending::of(step, to, duration, seq));
        life.ending = Some(Arc::clone(&ending));
        let change = Change::Ended(ending);
        if life.announcing {
            life.queued.push_back((seq, change));
            return Ok(None);
        }
        life.announcing = true;
        Ok(Some(self.event(seq, change)))
    }

    /// What the announcing thread has to announce next; nothing ends its turn.
    #[inline]
    pub(super) fn announced(self: &Arc<Self>) -> Option<Event<P>> {
        let mut life = lock(&self.life);
        let next = life.queued.pop_front();
        life.announcing = next.is_some();
        next.map(|(seq, change)| self.event(seq, change))
    }

    fn event(self: &Arc<Self>, seq: u64, change: Change) -> Event<P> {
        Event {
            seq,
            task: Arc::clone(self),
            change,
        }
    }
}

impl<P> fmt::Debug for Task<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Ending ===

impl Ending {
    fn of(step: Step, state: TaskState, duration: Duration, seq: u64) -> Self {
        let panicked = matches!(step, Step::Panic(_));
        let (result, error) = match step {
            Step::Succeed { result, note } => (result, note),
            Step::Fail(error) | Step::Panic(error) => (None, Some(error)),
            Step::Cancel | Step::Interrupt => (None, None),
        };
        Self {
            state,
            duration,
            result,
            error,
            panicked,
            seq,
        }
    }
}

// === impl Life ===

impl Life {
    fn state(&self) -> TaskState {
        self.ending
            .as_ref()
            .map_or(TaskState::Running, |ending| ending.state)
    }
}

// === impl View ===

impl<P> View<P> {
    /// The task as it stands now.
    pub(super) fn of(task: &Arc<Task<P>>) -> Self {
        Self {
            task: Arc::clone(task),
            ending: task.ending(),
        }
    }

    /// The state it was seen in.
    pub(crate) fn state(&self) -> TaskState {
        self.ending
            .as_ref()
            .map_or(TaskState::Running, |ending| ending.state)
    }

    /// How long it took, or has taken until `now` on the registry's clock.
    pub(crate) fn duration(&self, now: Duration) -> Duration {
        self.ending.as_ref().map_or_else(
            || now.saturating_sub(self.task.begun.mono),
            |ending| ending.duration,
        )
    }
}

impl<P> fmt::Debug for View<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("task", &self.task)
            .field("ending", &self.ending)
            .finish()
    }
}
