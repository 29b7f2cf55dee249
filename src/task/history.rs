//! Which ended tasks are still remembered: the last so many, in the order of
//! their ends.

use std::collections::VecDeque;

use super::TaskId;

/// The ids of the ended tasks that are kept, oldest end first.
#[derive(Debug)]
pub(super) struct History {
    ids: VecDeque<TaskId>,
    limit: usize,
}

impl History {
    /// Remembers at most `limit` ended tasks.
    pub(super) const fn with_limit(limit: usize) -> Self {
        Self {
            ids: VecDeque::new(),
            limit,
        }
    }

    /// Remembers `id`; gives back the one to forget for it.
    #[must_use = "what is forgotten here must be forgotten by its shard"]
    pub(super) fn remember(&mut self, id: TaskId) -> Option<TaskId> {
        self.ids.push_back(id);
        if self.ids.len() <= self.limit {
            return None;
        }
        self.ids.pop_front()
    }

    /// Remembers at most `limit` from now on; gives back those to forget.
    #[must_use = "what is forgotten here must be forgotten by its shard"]
    pub(super) fn set_limit(&mut self, limit: usize) -> Vec<TaskId> {
        self.limit = limit;
        let beyond = self.ids.len().saturating_sub(limit);
        self.ids.drain(..beyond).collect()
    }
}
