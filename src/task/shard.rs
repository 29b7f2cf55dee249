//! A part of the tasks, behind a lock of its own.
//!
//! What is counted of a kind changes here, together with the maps. What every
//! begin and end goes through is marked `#[inline]`, here and in `record`:
//! generic code is compiled in one place, and left to chance a call of it cost
//! a tenth of the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Slice, StepError, Task, TaskId, TaskState, ages::Ages, condition::Found, kinds::Kind,
    pulse::nanos,
};

/// The tasks of a shard.
pub(super) struct Shard<P> {
    /// Its number, which finds its counts.
    at: usize,
    active: BTreeMap<TaskId, Arc<Task<P>>>,
    ended: BTreeMap<TaskId, Arc<Task<P>>>,
    ages: Ages,
    /// Of the active tasks those that are bounded, by when they are to be looked
    /// at. A sign of life does not touch it: who comes too early sets a later time.
    due: BTreeSet<(Duration, TaskId)>,
    /// The greatest id that [`grown`](Self::grown) has handed out.
    grown: u64,
    /// Tasks that came in behind it.
    late: Vec<(TaskId, Duration)>,
}

// === impl Shard ===

impl<P> Shard<P> {
    pub(super) fn new(at: usize) -> Self {
        Self {
            at,
            active: BTreeMap::new(),
            ended: BTreeMap::new(),
            ages: Ages::new(),
            due: BTreeSet::new(),
            grown: 0,
            late: Vec::new(),
        }
    }

    /// Takes an active task in.
    #[inline]
    pub(super) fn begin(&mut self, task: &Arc<Task<P>>, kind: &Kind) {
        self.active.insert(task.id, Arc::clone(task));
        self.ages.enter(kind.id, nanos(task.begun.mono), &task.seat);
        self.arm(task);
        if u64::from(task.id) < self.grown {
            self.late.push((task.id, task.begun.mono));
        }
        kind.cell(self.at).begun(self.ages.oldest(kind.id));
    }

    /// Takes in a task that has ended elsewhere; counts its end, where that is still to
    /// be counted.
    pub(super) fn admit(&mut self, task: &Arc<Task<P>>, counted: Option<(TaskState, &Kind)>) {
        self.ended.insert(task.id, Arc::clone(task));
        if let Some((state, kind)) = counted {
            kind.cell(self.at).found(state);
        }
    }

    /// Moves a task, which has just ended so, to the ended ones.
    #[inline]
    pub(super) fn end(&mut self, id: TaskId, state: TaskState, kind: &Kind) {
        let Some(task) = self.active.remove(&id) else {
            return;
        };
        self.ages.leave(kind.id, &task.seat);
        if let Some(watched) = &task.watched {
            if let Some(due) = watched.due() {
                self.due.remove(&(due, id));
            }
            for condition in watched.noted() {
                kind.cell(self.at).cleared(condition);
            }
        }
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

    /// Notes what has become of an active task's conditions.
    pub(super) fn review(&mut self, task: &Task<P>, kind: &Kind, now: Duration) -> Found {
        let Some(watched) = &task.watched else {
            return Found::default();
        };
        let found = watched.review(&task.pulse, now);
        let cell = kind.cell(self.at);
        for crossing in [found.overdue, found.stalled].into_iter().flatten() {
            cell.crossed(crossing.condition);
        }
        if let Some(crossing) = found.over {
            cell.cleared(crossing.condition);
        }
        self.arm(task);
        found
    }

    /// Sets when an active task is to be looked at next.
    #[inline]
    fn arm(&mut self, task: &Task<P>) {
        let Some(watched) = &task.watched else { return };
        let before = watched.due();
        watched.set_due(watched.next(&task.pulse));
        let due = watched.due();
        if due == before {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, task.id));
        }
        self.due.extend(due.map(|due| (due, task.id)));
    }

    /// When the next one is to be looked at.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first ones that are to be looked at by now, `count` at most.
    pub(super) fn due(&self, now: Duration, count: usize) -> impl Iterator<Item = TaskId> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.take(count).map(|(_, id)| *id)
    }

    /// Appends active tasks that were begun by `until`, with their begins, each
    /// once and `count` at most; says how many of those there were.
    ///
    /// Ids ascend, so a place is enough to know whom it has handed out. A thread
    /// that is held up between taking its id and coming in is noted by `begin`.
    pub(super) fn grown(
        &mut self,
        until: Duration,
        count: usize,
        into: &mut Vec<(TaskId, Duration)>,
    ) -> usize {
        into.append(&mut self.late);
        let known = into.len();
        let begun = self
            .active_after(self.grown)
            .map(|task| (task.id, task.begun.mono));
        into.extend(begun.take_while(|(_, begun)| *begun <= until).take(count));
        let new = &into[known..];
        if let Some((last, _)) = new.last() {
            self.grown = u64::from(*last);
        }
        new.len()
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
#[cfg(all(test, not(taskpulse_loom)))]
mod tests {
    use std::panic::Location;

    use super::{
        super::{Bounds, Clock, ManualTime, NewTask, kinds::Kinds},
        *,
    };

    /// Ids and begins of what is handed out.
    fn grown(shard: &mut Shard<()>, until: u64, count: usize) -> Vec<u64> {
        let mut into = Vec::new();
        shard.grown(Duration::from_secs(until), count, &mut into);
        into.into_iter().map(|(id, _)| id.into()).collect()
    }

    #[test]
    fn each_grown_task_is_handed_out_once_whatever_order_they_come_in() {
        let time = Arc::new(ManualTime::default());
        let clock = Clock::manual(&time);
        let (kinds, mut shard) = (Kinds::new(1), Shard::new(0));
        let kind = kinds.of("import");
        let begin = |shard: &mut Shard<()>, id: u64, second: u64| {
            let new = NewTask {
                name: "import".into(),
                metadata: Box::default(),
                origin: None,
                begun_at: Location::caller(),
                bounds: Bounds::default(),
            };
            let mut begun = clock.now();
            begun.mono = Duration::from_secs(second);
            let id = TaskId::try_from(id).expect("above 0");
            let task = Arc::new(Task::begin(id, new, kind, begun, ()));
            shard.begin(&task, kind);
            id
        };
        for (id, second) in [(10, 1), (30, 2), (20, 2), (40, 3), (50, 9)] {
            begin(&mut shard, id, second);
        }
        let ended = begin(&mut shard, 35, 2);
        shard.end(ended, TaskState::Succeeded, kind);
        assert!(grown(&mut shard, 0, 9).is_empty());
        assert_eq!(grown(&mut shard, 3, 2), [10, 20]);
        assert_eq!(grown(&mut shard, 3, 2), [30, 40]);
        assert!(grown(&mut shard, 3, 2).is_empty());
        // Threads that took their ids long ago, and come in only now.
        begin(&mut shard, 25, 8);
        begin(&mut shard, 45, 4);
        assert_eq!(grown(&mut shard, 5, 9), [25, 45]);
        assert_eq!(grown(&mut shard, 9, 9), [50]);
        assert!(grown(&mut shard, 99, 9).is_empty());
    }
}
