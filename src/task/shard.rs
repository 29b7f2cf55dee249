//! A part of the tasks, behind a lock of its own.
//!
//! What is counted of a kind changes here, together with the maps. What every
//! begin and end goes through is marked `#[inline]`, here and in `record`:
//! generic code is compiled in one place, and left to chance a call of it cost
//! a tenth of the time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Slice, StepError, Task, TaskId, TaskState, ages::Ages, kinds::Kind};

/// The tasks of a shard.
pub(super) struct Shard<P> {
    /// Its number, which finds its counts.
    at: usize,
    active: BTreeMap<TaskId, Arc<Task<P>>>,
    ended: BTreeMap<TaskId, Arc<Task<P>>>,
    ages: Ages,
}

// === impl Shard ===

impl<P> Shard<P> {
    pub(super) fn new(at: usize) -> Self {
        Self {
            at,
            active: BTreeMap::new(),
            ended: BTreeMap::new(),
            ages: Ages::new(),
        }
    }

    /// Takes an active task in.
    #[inline]
    pub(super) fn begin(&mut self, task: &Arc<Task<P>>, kind: &Kind) {
        self.active.insert(task.id, Arc::clone(task));
        self.ages.enter(kind.id, nanos(task.begun.mono), &task.seat);
        kind.cell(self.at).begun(self.ages.oldest(kind.id));
    }

    /// Moves a task, which has just ended so, to the ended ones.
    #[inline]
    pub(super) fn end(&mut self, id: TaskId, state: TaskState, kind: &Kind) {
        let Some(task) = self.active.remove(&id) else {
            return;
        };
        self.ages.leave(kind.id, &task.seat);
        self.ended.insert(id, task);
        kind.cell(self.at).ended(state, self.ages.oldest(kind.id));
    }

    /// Forgets an ended task. The caller drops it, where it holds no lock.
    pub(super) fn forget(&mut self, id: TaskId) -> Option<Arc<Task<P>>> {
        self.ended.remove(&id)
    }

    #[inline]
    pub(super) fn active(&self, id: TaskId) -> Option<&Arc<Task<P>>> {
        self.active.get(&id)
    }

    pub(super) fn find(&self, id: TaskId) -> Option<&Arc<Task<P>>> {
        self.active(id).or_else(|| self.ended.get(&id))
    }

    /// Why a task that is not active takes no step.
    pub(super) fn refusal(&self, id: TaskId) -> StepError {
        match self.ended.get(&id).and_then(|task| task.ending()) {
            Some(ending) => StepError::Ended(ending.state),
            None => StepError::Unknown,
        }
    }

    pub(super) fn active_after(&self, id: u64) -> impl Iterator<Item = &Arc<Task<P>>> {
        let from = TaskId::try_from(id + 1).ok();
        from.into_iter()
            .flat_map(|from| self.active.range(from..))
            .map(|(_, task)| task)
    }

    /// The newest `count` ids below `before`, of each map that is asked for.
    pub(super) fn newest(&self, slice: Slice, before: u64, count: usize, into: &mut Vec<TaskId>) {
        let mut take = |tasks: &BTreeMap<TaskId, Arc<Task<P>>>| match TaskId::try_from(before) {
            Ok(before) => into.extend(tasks.range(..before).rev().take(count).map(|(id, _)| *id)),
            Err(_) => into.extend(tasks.keys().rev().take(count)),
        };
        if slice != Slice::Ended {
            take(&self.active);
        }
        if slice != Slice::Active {
            take(&self.ended);
        }
    }
}

/// Enough for 584 years of uptime.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}
