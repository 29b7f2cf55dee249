//! Signs of life of tasks, and what the watcher asks.

use std::{sync::Arc, time::Duration};

use super::{Change, Event, Progress, Registry, Task, TaskId, Verdict, lock};

/// What came of looking at a task's conditions.
pub(crate) struct Review<P> {
    /// The first of what must be announced, unless another thread announces this
    /// task already.
    pub(crate) event: Option<Event<P>>,
    /// Why the task must be ended, if so.
    pub(crate) verdict: Option<Verdict>,
    /// When it is to be looked at next, on the monotonic clock.
    pub(crate) due: Option<Duration>,
}

impl<P> Registry<P> {
    /// The active task with this id.
    pub(crate) fn task(&self, id: TaskId) -> Option<Arc<Task<P>>> {
        self.shard(id).active(id).cloned()
    }

    /// Takes a sign of life. Whether the task must be [reviewed](Self::review)
    /// then, since it is noted as stalled. Takes no lock.
    #[inline]
    pub(crate) fn beat(&self, task: &Task<P>) -> bool {
        task.pulse.beat(self.clock.mono())
    }

    /// Takes what a task says of its progress; false if it has ended.
    pub(crate) fn progress(&self, task: &Task<P>, progress: Progress) -> bool {
        task.progress(progress)
    }

    /// When the next task is to be [reviewed](Self::review), on the monotonic
    /// clock.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let shards = self.shards.iter();
        shards.filter_map(|shard| lock(shard).next_due()).min()
    }

    /// Tasks that are to be reviewed by now: some of them, if there are many, none
    /// if there are none.
    pub(crate) fn due(&self) -> Vec<TaskId> {
        let now = self.clock.mono();
        let mut ids = Vec::new();
        for shard in &self.shards {
            ids.extend(lock(shard).due(now, Self::STRIDE));
        }
        ids
    }

    /// Notes which conditions of an active task have begun and which are over, and
    /// when to look again. The caller announces the event.
    pub(crate) fn review(&self, id: TaskId) -> Option<Review<P>> {
        let mut shard = self.shard(id);
        let task = Arc::clone(shard.active(id)?);
        let now = self.clock.mono();
        let found = shard.review(&task, self.kinds.get(task.kind), now);
        let begun = [found.overdue, found.stalled].map(|begun| begun.map(Change::Crossed));
        let over = found.over.map(Change::Cleared);
        let mut event = None;
        for change in begun.into_iter().chain([over]).flatten() {
            let told = task.note(self.next_seq(), change);
            event = event.or(told);
        }
        drop(shard);
        Some(Review {
            event,
            verdict: found.verdict,
            due: task.due(),
        })
    }

    /// The oldest active task with an id above this one.
    pub(crate) fn oldest_after(&self, id: u64) -> Option<Arc<Task<P>>> {
        let firsts = self.shards.iter().filter_map(|shard| {
            let shard = lock(shard);
            shard.active_after(id).next().map(Arc::clone)
        });
        firsts.min_by_key(|task| task.id)
    }
}
