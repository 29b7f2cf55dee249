//! The tasks: active ones, and the last ended ones.
//!
//! 1. A task is in exactly one of `active` and `ended`, and moves under its
//!    shard's lock together with its end.
//! 2. Locks are taken shard, then task; the history's alone.
//! 3. The ping status counts exactly the active tasks (and what
//!    [`Registry::ping`] is told besides), and so do the [`Kind`]s, each those
//!    of its name.
//!
//! Ids ascend, so a task enters its ordered map at the right edge, which stays
//! in the cache however many tasks there are. Shards keep two threads that
//! begin and end tasks out of each other's way, and what every one of them
//! writes lies on cache lines apart from what they only read.

mod past;
mod review;

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Change, Clock, Ending, Event, Kind, NewTask, PastTask, Ping, Progress, Step, Task, TaskId,
    TaskState, Verdict, View,
    history::History,
    id::IdSource,
    kinds::Kinds,
    shard::Shard,
    sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, Padded, lock},
};

/// Bounds of a registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Ended tasks that are remembered.
    pub(crate) history: usize,
    /// Active tasks at a time.
    pub(crate) max_active: usize,
}

/// Every task, and the ping status that follows from them.
pub(crate) struct Registry<P> {
    shards: Box<[Padded<Mutex<Shard<P>>>]>,
    history: Padded<History>,
    kinds: Kinds,
    max_active: AtomicUsize,
    counts: Padded<Counts>,
    pub(crate) ping: Padded<Ping>,
    pub(crate) clock: Clock,
}

/// What every begin and end changes.
#[derive(Debug)]
struct Counts {
    active: AtomicUsize,
    ids: IdSource,
    seq: AtomicU64,
}

/// The refusal of a task beyond the greatest number of active ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtCapacity {
    pub(crate) max_active: usize,
}

/// Why a step was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepError {
    /// The task has this end state already.
    Ended(TaskState),
    /// There is no such task, or it has been forgotten.
    Unknown,
}

/// Which tasks a page is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    All,
    Active,
    Ended,
}

/// Where a page starts and how long it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) slice: Slice,
    /// Only ids below this one.
    pub(crate) before: Option<TaskId>,
    /// Tasks at most.
    pub(crate) limit: usize,
}

// === impl Limits ===

impl Limits {
    /// What "no limit" of active tasks means: 32 million, so that invocations
    /// in flight find room beside them in the ping's counter.
    pub(crate) const NO_LIMIT: usize = Ping::MOST_HOLDERS / 2;
}

// === impl Registry ===

impl<P> Registry<P> {
    /// Enough that threads rarely meet; few enough that a page, which looks
    /// into each, stays cheap.
    #[cfg(not(taskpulse_loom))]
    const SHARDS: u64 = 16;
    #[cfg(taskpulse_loom)]
    const SHARDS: u64 = 1;

    /// Tasks that are looked at under one hold of a shard's lock.
    const STRIDE: usize = 1_024;

    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            shards: (0..Self::SHARDS as usize)
                .map(|at| Padded::new(Mutex::new(Shard::new(at))))
                .collect(),
            history: Padded::new(History::with_limit(limits.history)),
            kinds: Kinds::new(Self::SHARDS as usize),
            max_active: AtomicUsize::new(limits.max_active.min(Limits::NO_LIMIT)),
            counts: Padded::new(Counts {
                active: AtomicUsize::new(0),
                ids: IdSource::starting_at(clock.wall()),
                seq: AtomicU64::new(1),
            }),
            ping: Padded::new(Ping::new(&clock)),
            clock,
        }
    }

    /// Sets how many tasks may be active at a time.
    pub(crate) fn set_max_active(&self, max_active: usize) {
        let max_active = max_active.min(Limits::NO_LIMIT);
        self.max_active.store(max_active, Ordering::Release);
    }

    /// Sets how many ended tasks are remembered, and forgets those beyond.
    pub(crate) fn set_history(&self, limit: usize) {
        let forgotten = self.history.set_limit(limit);
        for id in forgotten {
            self.forget(id);
        }
    }

    /// How many tasks are active.
    pub(crate) fn active(&self) -> usize {
        self.counts.active.load(Ordering::Acquire)
    }

    /// Whether none is active. Whoever leaves word before it asks, and is told
    /// so, is seen by every later begin: that counts its task, then looks.
    pub(crate) fn is_idle(&self) -> bool {
        // Written to, so that this and the begins come in one order.
        self.counts.active.fetch_add(0, Ordering::AcqRel) == 0
    }

    /// How many ended tasks are remembered. Takes no lock.
    pub(crate) fn history_len(&self) -> usize {
        self.history.len()
    }

    /// How many ended tasks are remembered at most. Takes no lock.
    pub(crate) fn history_limit(&self) -> usize {
        self.history.limit()
    }

    /// Makes a name known before a task has it, so that its counts are there,
    /// and zero.
    pub(crate) fn declare(&self, name: &str) {
        self.kinds.of(name);
    }

    /// Every kind of task that is known, and the one of all other names once
    /// there was any. Takes no lock, allocates nothing, never panics.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// Whether there are more names than can be known. True once, for whoever
    /// asks first after it happened in [`begin`](Self::begin) or
    /// [`declare`](Self::declare); cheap enough to be asked after each.
    pub(crate) fn overflowed(&self) -> bool {
        self.kinds.overflowed()
    }

    /// Registers a running task. The caller announces the event.
    pub(crate) fn begin(&self, new: NewTask, payload: P) -> Result<Event<P>, AtCapacity> {
        self.take_place()?;
        self.ping.enter(&self.clock);
        let kind = self.kinds.of(&new.name);
        let id = self.counts.ids.next();
        let task = Arc::new(Task::begin(id, new, kind, self.clock.now(), payload));
        let mut shard = self.shard(id);
        shard.begin(&task, kind);
        let seq = self.next_seq();
        drop(shard);
        Ok(Event {
            seq,
            task,
            change: Change::Begun,
        })
    }

    /// Takes a step, if it may be taken. The caller announces the event; where
    /// there is none, the thread that announces this task already does.
    pub(crate) fn step(&self, id: TaskId, step: Step) -> Result<Option<Event<P>>, StepError> {
        let mut shard = self.shard(id);
        let Some(task) = shard.active(id) else {
            return Err(shard.refusal(id));
        };
        let kind = self.kinds.get(task.kind);
        let duration = self.clock.mono().saturating_sub(task.begun.mono);
        let state = step.end();
        let event = task.settle(step, duration, self.next_seq())?;
        shard.end(id, state, kind);
        drop(shard);
        self.remember(id);
        self.counts.active.fetch_sub(1, Ordering::AcqRel);
        self.ping.leave(&self.clock);
        Ok(event)
    }

    /// What the thread that has announced `event` must announce next.
    pub(crate) fn announced(&self, event: &Event<P>) -> Option<Event<P>> {
        event.task.announced()
    }

    /// The task with this id, if it is active or remembered.
    pub(crate) fn find(&self, id: TaskId) -> Option<View<P>> {
        let shard = self.shard(id);
        shard.find(id).map(View::of)
    }

    /// Every active task, oldest first. No lock is held for longer than a
    /// stride, so tasks that begin or end meanwhile may or may not be in it.
    pub(crate) fn all_active(&self) -> Vec<View<P>> {
        let mut all = Vec::with_capacity(self.active());
        for shard in &self.shards {
            let mut after = 0;
            loop {
                let shard = lock(shard);
                let found = all.len();
                all.extend(shard.active_after(after).take(Self::STRIDE).map(View::of));
                drop(shard);
                match all[found..].last() {
                    Some(last) => after = last.task.id.into(),
                    None => break,
                }
            }
        }
        all.sort_unstable_by_key(|view| view.task.id);
        all
    }

    /// The active tasks that were begun by `until` and are not handed out yet,
    /// with their begins. For one caller.
    pub(crate) fn grown(&self, until: Duration) -> Vec<(TaskId, Duration)> {
        let mut grown = Vec::new();
        for shard in &self.shards {
            while lock(shard).grown(until, Self::STRIDE, &mut grown) == Self::STRIDE {}
        }
        grown
    }

    /// A page, newest first, of the tasks that `keep` wants.
    ///
    /// Full unless there are no more. Tasks begun meanwhile are not in it.
    pub(crate) fn page(&self, window: Window, keep: impl Fn(&View<P>) -> bool) -> Vec<View<P>> {
        let mut page = Vec::new();
        let mut before = window.before.map_or(u64::MAX, u64::from);
        let mut stride = window.limit.clamp(1, Self::STRIDE);
        while page.len() < window.limit {
            let ids = self.newest(window.slice, before, stride);
            let Some(last) = ids.last() else { break };
            before = (*last).into();
            let views = ids.into_iter().filter_map(|id| self.find(id));
            let room = window.limit - page.len();
            page.extend(views.filter(&keep).take(room));
            stride = Self::STRIDE;
        }
        page
    }

    /// The newest `count` ids below `before`.
    fn newest(&self, slice: Slice, before: u64, count: usize) -> Vec<TaskId> {
        let mut ids = Vec::new();
        for shard in &self.shards {
            lock(shard).newest(slice, before, count, &mut ids);
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(count);
        ids
    }

    fn take_place(&self) -> Result<(), AtCapacity> {
        let max_active = self.max_active.load(Ordering::Acquire);
        self.counts
            .active
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
                (active < max_active).then_some(active + 1)
            })
            .map(|_| ())
            .map_err(|_| AtCapacity { max_active })
    }

    fn remember(&self, id: TaskId) {
        let forgotten = self.history.remember(id);
        if let Some(id) = forgotten {
            self.forget(id);
        }
    }

    fn forget(&self, id: TaskId) {
        let task = self.shard(id).forget(id);
        drop(task); // Here, where no lock is held.
    }

    fn next_seq(&self) -> u64 {
        self.counts.seq.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, id: TaskId) -> MutexGuard<'_, Shard<P>> {
        lock(&self.shards[(u64::from(id) % Self::SHARDS) as usize])
    }
}

impl<P> fmt::Debug for Registry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("active", &self.active())
            .field("max_active", &self.max_active)
            .field("ping", &self.ping.served())
            .finish_non_exhaustive()
    }
}
