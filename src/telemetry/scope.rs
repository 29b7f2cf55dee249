//! Whom code works for. Travels in the OpenTelemetry context, next to the span,
//! so that whatever carries the one carries the other.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{TaskId, task::Origin};

/// What log lines say of the request and the task they were logged for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// The request, where there is one.
    pub(crate) origin: Option<Arc<Origin>>,
    /// The task and its name, inside a task.
    pub(crate) task: Option<(TaskId, Arc<str>)>,
    /// Where the last line that was logged for the task is kept, if somebody may ask
    /// for it.
    pub(crate) last_line: Option<Arc<LastLine>>,
}

/// The last line that was printed for a task.
#[derive(Debug, Default)]
pub(crate) struct LastLine(Mutex<Option<String>>);

// === impl LastLine ===

impl LastLine {
    pub(super) fn put(&self, line: String) {
        let before = self.slot().replace(line);
        drop(before);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
