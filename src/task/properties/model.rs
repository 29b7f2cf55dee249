//! The model: what a registry is, without being fast.

use std::{collections::VecDeque, time::Duration};

use super::{Ask, PingStatus, Slice, Step, StepError, TaskId, TaskState};

/// Every task there ever was, and what the ping status is made of.
pub(super) struct Model {
    pub(super) tasks: Vec<Known>,
    /// Places in `tasks`, oldest end first.
    remembered: VecDeque<usize>,
    history: usize,
    pub(super) max_active: usize,
    pub(super) mono: Duration,
    pub(super) wall: Duration,
    pub(super) forced: Option<PingStatus>,
    pub(super) custom: Option<PingStatus>,
    pub(super) invocations: usize,
    pub(super) since: u64,
}

/// A task.
pub(super) struct Known {
    pub(super) id: TaskId,
    name: String,
    begun_mono: Duration,
    pub(super) begun_wall: Duration,
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
        }
        result
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.mono += by;
        self.wall += by;
    }

    pub(super) fn begin(&mut self, id: TaskId, name: String) {
        let task = Known {
            id,
            name,
            begun_mono: self.mono,
            begun_wall: self.wall,
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
            Step::Fail(_) => TaskState::Failed,
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
