//! One task, as the registry keeps it.

use std::{collections::VecDeque, fmt, panic::Location, sync::Arc, time::Duration};

use super::{
    Bounds, Change, Condition, Event, Kind, KindId, PastTask, Place, Stamp, Step, StepError,
    TaskId, TaskState,
    ages::Seat,
    condition::Watched,
    kinds::OTHER,
    pulse::Pulse,
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
    pub(crate) bounds: Bounds,
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
    pub(crate) begun_at: Place,
    /// None where nothing bounds it.
    pub(super) watched: Option<Box<Watched>>,
    pub(super) pulse: Pulse,
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

/// How far a task says it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    /// From 0 to 1, where that is known.
    pub(crate) share: Option<f64>,
    pub(crate) message: String,
}

/// A task and how it stood when it was looked at.
pub(crate) struct View<P> {
    pub(crate) task: Arc<Task<P>>,
    pub(crate) ending: Option<Arc<Ending>>,
    pub(crate) progress: Option<Box<Progress>>,
}

/// What changes in a task's life.
#[derive(Debug)]
struct Life {
    ending: Option<Arc<Ending>>,
    progress: Option<Box<Progress>>,
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
            begun_at: Place::Here(new.begun_at),
            watched: Watched::new(new.bounds, begun),
            pulse: Pulse::new(begun.mono),
            payload,
            life: Mutex::new(Life {
                ending: None,
                progress: None,
                announcing: true,
                queued: VecDeque::new(),
            }),
        }
    }

    /// A task of an earlier process, which has ended so. Its event is still to be
    /// announced, if `untold`. Without a kind it is of those whose names are not known.
    pub(super) fn past(
        past: PastTask,
        kind: Option<&Kind>,
        ending: &Arc<Ending>,
        untold: bool,
        payload: P,
    ) -> Self {
        // Its begin lies before this clock's: ages are what can be told.
        let begun = Stamp {
            mono: Duration::ZERO,
            wall: past.begun,
        };
        let bounds = past.bounds();
        let pulse = Pulse::new(begun.mono);
        if let Some(age) = past.last_sign {
            pulse.beat(age);
        }
        Self {
            id: past.id,
            name: match kind {
                Some(kind) => kind.name(past.name),
                None => past.name.into(),
            },
            kind: kind.map_or(KindId::OTHER, |kind| kind.id),
            seat: Seat::new(),
            metadata: past.metadata,
            origin: past.origin,
            begun,
            begun_at: past.begun_at,
            watched: Watched::new(bounds, begun),
            pulse,
            payload,
            life: Mutex::new(Life {
                ending: Some(Arc::clone(ending)),
                progress: past.progress.map(Box::new),
                announcing: untold,
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

    /// When it is to have ended, since the Unix epoch.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.watched.as_ref()?.deadline()
    }

    /// Whether it may be found silent.
    pub(crate) fn may_stall(&self) -> bool {
        let watched = self.watched.as_ref();
        watched.is_some_and(|watched| watched.may_stall())
    }

    /// When the next look at it is due, on the monotonic clock.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.watched.as_ref()?.due()
    }

    /// Whether the task, if it is active, is in this condition.
    fn is_in(&self, condition: Condition, now: Duration) -> bool {
        self.watched
            .as_ref()
            .is_some_and(|watched| match condition {
                Condition::Overdue => watched.late(now).is_some(),
                Condition::Stalled => watched.silent(&self.pulse, now).is_some(),
            })
    }

    /// Takes what the task says of its progress; false if it has ended.
    pub(super) fn progress(&self, progress: Progress) -> bool {
        let mut life = lock(&self.life);
        if life.ending.is_some() {
            return false;
        }
        let before = match &mut life.progress {
            Some(kept) => std::mem::replace(&mut **kept, progress),
            none => {
                *none = Some(Box::new(progress));
                return true;
            }
        };
        drop(life);
        drop(before);
        true
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
        Ok(self.tell(&mut life, seq, Change::Ended(ending)))
    }

    /// Leaves word of a change that is no step. The event is given back as by
    /// [`settle`](Self::settle).
    pub(super) fn note(self: &Arc<Self>, seq: u64, change: Change) -> Option<Event<P>> {
        self.tell(&mut lock(&self.life), seq, change)
    }

    #[inline]
    fn tell(self: &Arc<Self>, life: &mut Life, seq: u64, change: Change) -> Option<Event<P>> {
        if life.announcing {
            life.queued.push_back((seq, change));
            return None;
        }
        life.announcing = true;
        Some(self.event(seq, change))
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
    /// Of what was said at the end.
    pub(crate) fn bytes(&self) -> usize {
        let of = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        of(&self.result) + of(&self.error)
    }

    fn of(step: Step, state: TaskState, duration: Duration, seq: u64) -> Self {
        let panicked = matches!(step, Step::Panic(_));
        let (result, error) = match step {
            Step::Succeed { result, note } => (result, note),
            Step::Fail(error) | Step::Panic(error) | Step::TimeOut(error) => (None, Some(error)),
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
    pub(crate) fn of(task: &Arc<Task<P>>) -> Self {
        let life = lock(&task.life);
        Self {
            task: Arc::clone(task),
            ending: life.ending.clone(),
            progress: life.progress.clone(),
        }
    }

    /// The state it was seen in.
    pub(crate) fn state(&self) -> TaskState {
        self.ending
            .as_ref()
            .map_or(TaskState::Running, |ending| ending.state)
    }

    /// Whether it is in this condition at `now`: only an active task is.
    pub(crate) fn is(&self, condition: Condition, now: Duration) -> bool {
        self.ending.is_none() && self.task.is_in(condition, now)
    }

    /// When it last gave a sign of life, since the Unix epoch. Its begin is none, and
    /// none comes after its end.
    pub(crate) fn last_seen_at(&self) -> Option<Duration> {
        let age = self.task.pulse.last().checked_sub(self.task.begun.mono)?;
        let age = match &self.ending {
            Some(ending) => age.min(ending.duration),
            None => age,
        };
        (!age.is_zero()).then(|| self.task.begun.wall + age)
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
