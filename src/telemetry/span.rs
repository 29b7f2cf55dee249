//! The span of a task, from its begin to its end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Span;

use super::quietly;

/// Where a task keeps its span. Empty before the begin is announced, after the
/// end is, and where no subscriber wants the span.
#[derive(Debug, Default)]
pub(crate) struct TaskSpan(Mutex<Option<Arc<Span>>>);

// === impl TaskSpan ===

impl TaskSpan {
    /// Keeps the span that was opened for the task.
    pub(super) fn open(&self, span: Span) {
        if !span.is_none() {
            *self.slot() = Some(Arc::new(span));
        }
    }

    /// Hands the span over to whoever closes it.
    pub(super) fn take(&self) -> Option<Arc<Span>> {
        self.slot().take()
    }

    /// Runs `work` inside the span; without it once the task has ended.
    ///
    /// A panic of a subscriber is caught, one of `work` goes through.
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let Some(span) = self.current() else {
            return work();
        };
        let result = inside(&span, || catch_unwind(AssertUnwindSafe(work)));
        quietly(|| drop(span));
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The span, cloned without running its subscriber's code under the lock.
    fn current(&self) -> Option<Arc<Span>> {
        self.slot().as_ref().map(Arc::clone)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Span>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enters `span` for as long as `work`, which must not panic, takes.
pub(super) fn inside<R>(span: &Span, work: impl FnOnce() -> R) -> R {
    let entered = quietly(|| span.enter());
    let result = work();
    quietly(|| drop(entered));
    result
}
