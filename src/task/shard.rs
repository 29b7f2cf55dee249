//! A part of the tasks, behind a lock of its own.
//!
//! What is counted of a kind changes here, together with the maps.

use std::{
    collections::{BTreeMap, btree_map::Range},
    sync::Arc,
    time::Duration,
};

use super::{
    Slice, StepError, Task, TaskId, TaskState,
    ages::{Ages, Place},
    kinds::Kind,
};

/// The tasks of a shard.
pub(super) struct Shard<P> {
    /// Its number, which finds its counts.
    at: usize,
    active: BTreeMap<TaskId, Active<P>>,
    ended: BTreeMap<TaskId, Arc<Task<P>>>,
    ages: Ages,
}

/// An active task, and where it stands among those of its kind.
struct Active<P> {
    task: Arc<Task<P>>,
    place: Place,
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
    pub(super) fn begin(&mut self, task: &Arc<Task<P>>, kind: &Kind) {
        let place = self.ages.enter(kind.id, nanos(task.begun.mono));
        let active = Active {
            task: Arc::clone(task),
            place,
        };
        self.active.insert(task.id, active);
        kind.cell(self.at).begun(self.ages.oldest(kind.id));
    }

    /// Moves a task, which has just ended so, to the ended ones.
    pub(super) fn end(&mut self, id: TaskId, state: TaskState, kind: &Kind) {
        let Some(Active { task, place }) = self.active.remove(&id) else {
            return;
        };
        self.ages.leave(kind.id, place);
        self.ended.insert(id, task);
        kind.cell(self.at).ended(state, self.ages.oldest(kind.id));
    }

    /// Forgets an ended task. The caller drops it, where it holds no lock.
    pub(super) fn forget(&mut self, id: TaskId) -> Option<Arc<Task<P>>> {
        self.ended.remove(&id)
    }

    pub(super) fn active(&self, id: TaskId) -> Option<&Arc<Task<P>>> {
        self.active.get(&id).map(|active| &active.task)
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
            .map(|(_, active)| &active.task)
    }

    /// The newest `count` ids below `before`, of each map that is asked for.
    pub(super) fn newest(&self, slice: Slice, before: u64, count: usize, into: &mut Vec<TaskId>) {
        if slice != Slice::Ended {
            into.extend(ids(below(&self.active, before), count));
        }
        if slice != Slice::Active {
            into.extend(ids(below(&self.ended, before), count));
        }
    }
}

fn below<T>(tasks: &BTreeMap<TaskId, T>, before: u64) -> Range<'_, TaskId, T> {
    match TaskId::try_from(before) {
        Ok(before) => tasks.range(..before),
        Err(_) => tasks.range(..),
    }
}

/// The last so many ids, backwards.
fn ids<T>(tasks: Range<'_, TaskId, T>, count: usize) -> impl Iterator<Item = TaskId> {
    tasks.rev().take(count).map(|(id, _)| *id)
}

/// Enough for 584 years of uptime.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}
