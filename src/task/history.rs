//! Which ended tasks are still remembered: the last so many, in the order of
//! their ends.

use std::collections::VecDeque;

use super::{
    TaskId,
    sync::{AtomicUsize, Mutex, Ordering, lock},
};

/// The ids of the ended tasks that are kept.
#[derive(Debug)]
pub(super) struct History {
    /// Oldest end first.
    ids: Mutex<VecDeque<TaskId>>,
    /// How many these are, for who must not wait. Written under their lock, as
    /// the limit is.
    len: AtomicUsize,
    limit: AtomicUsize,
}

// === impl History ===

impl History {
    /// Remembers at most `limit` ended tasks.
    pub(super) fn with_limit(limit: usize) -> Self {
        Self {
            ids: Mutex::new(VecDeque::new()),
            len: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    /// How many are remembered. Takes no lock.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// How many are remembered at most. Takes no lock.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Remembers `id`; gives back the one to forget for it.
    #[must_use = "what is forgotten here must be forgotten by its shard"]
    pub(super) fn remember(&self, id: TaskId) -> Option<TaskId> {
        let mut ids = lock(&self.ids);
        ids.push_back(id);
        if ids.len() > self.limit() {
            return ids.pop_front();
        }
        self.len.store(ids.len(), Ordering::Relaxed);
        None
    }

    /// Remembers at most `limit` from now on; gives back those to forget.
    #[must_use = "what is forgotten here must be forgotten by its shard"]
    pub(super) fn set_limit(&self, limit: usize) -> Vec<TaskId> {
        let mut ids = lock(&self.ids);
        self.limit.store(limit, Ordering::Relaxed);
        let beyond = ids.len().saturating_sub(limit);
        let forgotten = ids.drain(..beyond).collect();
        self.len.store(ids.len(), Ordering::Relaxed);
        forgotten
    }
}
