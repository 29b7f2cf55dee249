//! The model: what a registry is, without being fast.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    Ask, Bounds, Deadline, Kinds, OTHER, PingStatus, Progress, Slice, Step, StepError, Tally,
    TaskId, TaskState,
};

/// Every task there ever was, and what the ping status is made of.
pub(super) struct Model {
    pub(super) tasks: Vec<Known>,
    /// Places in `tasks`, oldest end first.
    pub(super) remembered: VecDeque<usize>,
    pub(super) history: usize,
    pub(super) max_active: usize,
    pub(super) mono: Duration,
    pub(super) wall: Duration,
    pub(super) forced: Option<PingStatus>,
    pub(super) custom: Option<PingStatus>,
    pub(super) invocations: usize,
    pub(super) since: u64,
    /// Every status that was served, but for the first.
    pub(super) entered: Vec<PingStatus>,
    /// The names that metrics know, and `_OTHER` once it was needed.
    labels: Vec<String>,
    /// Whether this is to be told.
    pub(super) overflowed: Cell<bool>,
    has_overflowed: bool,
}

/// A task.
pub(super) struct Known {
    pub(super) id: TaskId,
    pub(super) name: String,
    pub(super) label: String,
    pub(super) begun_mono: Duration,
    pub(super) begun_wall: Duration,
    pub(super) bounds: Bounds,
    /// Since the epoch.
    pub(super) deadline: Option<Duration>,
    /// The begin, or a sign after it.
    pub(super) last_sign: Duration,
    /// The one before the silence that was noted last.
    pub(super) silent_since: Duration,
    pub(super) progress: Option<Progress>,
    /// What the watcher has noted: overdue, stalled.
    pub(super) noted: [bool; 2],
    /// How often it has.
    pub(super) crossed: [u64; 2],
    pub(super) ending: Option<(TaskState, Duration)>,
}

// === impl Model ===

impl Model {
    pub(super) fn new(wall: Duration, history: usize) -> Self {
        Self {
            tasks: Vec::new(),
            remembered: VecDeque::new(),
            history,
            max_active: usize::MAX,
            mono: Duration::ZERO,
            wall,
            forced: None,
            custom: None,
            invocations: 0,
            since: wall.as_secs(),
            entered: Vec::new(),
            labels: Vec::new(),
            overflowed: Cell::new(false),
            has_overflowed: false,
        }
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Known> {
        self.tasks.iter().filter(|task| task.ending.is_none())
    }

    /// Forced wins over custom, custom over automatic.
    pub(super) fn status(&self) -> PingStatus {
        let busy = self.active().next().is_some() || self.invocations > 0;
        let automatic = match busy {
            true => PingStatus::HealthyBusy,
            false => PingStatus::Healthy,
        };
        self.forced.or(self.custom).unwrap_or(automatic)
    }

    /// Stamps a change of the served status, and nothing else.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.status();
        let result = change(self);
        if self.status() != before {
            self.since = self.since.max(self.wall.as_secs());
            self.entered.push(self.status());
        }
        result
    }

    /// What metrics call a name from now on.
    pub(super) fn label(&mut self, name: &str) -> String {
        let known = self.labels.iter().filter(|label| *label != OTHER).count();
        let is_known = name == OTHER || self.labels.iter().any(|label| label == name);
        let label = if is_known || known < Kinds::MOST {
            name
        } else {
            if !self.has_overflowed {
                self.overflowed.set(true);
            }
            self.has_overflowed = true;
            OTHER
        };
        if !self.labels.iter().any(|one| one == label) {
            self.labels.push(label.to_owned());
        }
        label.to_owned()
    }

    /// Every label, and what is to be counted of its tasks.
    pub(super) fn kinds(&self) -> BTreeMap<String, Tally> {
        let labels = self.labels.iter().cloned();
        let mut kinds: BTreeMap<_, _> = labels.map(|label| (label, Tally::default())).collect();
        for task in &self.tasks {
            let tally = kinds.get_mut(&task.label).expect("it has one");
            tally.add(task);
        }
        kinds
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.mono += by;
        self.wall += by;
    }

    pub(super) fn begin(&mut self, id: TaskId, name: String, bounds: Bounds) {
        let deadline = bounds.deadline.and_then(|deadline| match deadline {
            Deadline::After(time) => self.wall.checked_add(time),
            Deadline::At(at) => Some(at),
        });
        let task = Known {
            id,
            label: self.label(&name),
            name,
            begun_mono: self.mono,
            begun_wall: self.wall,
            bounds,
            deadline,
            last_sign: self.mono,
            silent_since: self.mono,
            progress: None,
            noted: [false; 2],
            crossed: [0; 2],
            ending: None,
        };
        self.change(|model| model.tasks.push(task));
    }

    pub(super) fn end(
        &mut self,
        at: usize,
        step: &Step,
    ) -> Result<(TaskState, Duration), StepError> {
        if self.is_forgotten(at) {
            return Err(StepError::Unknown);
        }
        if let Some((state, _)) = self.tasks[at].ending {
            return Err(StepError::Ended(state));
        }
        let state = match step {
            Step::Succeed { .. } => TaskState::Succeeded,
            Step::Fail(_) | Step::Panic(_) => TaskState::Failed,
            Step::TimeOut(_) => TaskState::TimedOut,
            Step::Cancel => TaskState::Cancelled,
            Step::Interrupt => TaskState::Interrupted,
        };
        let ending = (state, self.duration(&self.tasks[at]));
        self.change(|model| model.tasks[at].ending = Some(ending));
        self.remembered.push_back(at);
        self.forget();
        Ok(ending)
    }

    pub(super) fn set_history(&mut self, limit: usize) {
        self.history = limit;
        self.forget();
    }

    fn forget(&mut self) {
        while self.remembered.len() > self.history {
            self.remembered.pop_front();
        }
    }

    pub(super) fn is_forgotten(&self, at: usize) -> bool {
        self.tasks[at].ending.is_some() && !self.remembered.contains(&at)
    }

    /// Measured on the monotonic clock, which nobody sets.
    pub(super) fn duration(&self, task: &Known) -> Duration {
        let running = || self.mono - task.begun_mono;
        task.ending.map_or_else(running, |(_, duration)| duration)
    }

    pub(super) fn page(&self, ask: &Ask, before: Option<TaskId>) -> Vec<TaskId> {
        let newest_first = self.tasks.iter().enumerate().rev();
        newest_first
            .filter(|(at, task)| match ask.slice {
                Slice::All => !self.is_forgotten(*at),
                Slice::Active => task.ending.is_none(),
                Slice::Ended => task.ending.is_some() && !self.is_forgotten(*at),
            })
            .map(|(_, task)| task)
            .filter(|task| before.is_none_or(|before| task.id < before))
            .filter(|task| {
                let state = task.ending.map_or(TaskState::Running, |(state, _)| state);
                ask.only.wants(&task.name, state)
            })
            .take(ask.limit)
            .map(|task| task.id)
            .collect()
    }
}
