//! What lives with a task, for those who track it.

use std::sync::{Mutex, OnceLock, PoisonError, atomic::AtomicU8};

use futures_util::future::AbortHandle;
use tokio::sync::{Notify, oneshot};

use crate::{
    task::Task,
    telemetry::{SpanIds, TaskSpan},
};

/// What lives with a task until its end.
#[derive(Debug, Default)]
pub(crate) struct Live {
    span: TaskSpan,
    /// Stops the task's future.
    abort: Option<AbortHandle>,
    /// Dropped when the end has been announced, which wakes the
    /// [`TaskJoin`](super::TaskJoin), where there is one.
    ended: Option<Mutex<Option<oneshot::Sender<()>>>>,
    /// Wakes who waits for the end by [`over`](Self::over), once somebody does.
    over: OnceLock<Box<Notify>>,
    /// For whoever writes the task down.
    pub(crate) written: AtomicU8,
}

// === impl Live ===

impl Live {
    /// A task whose future can be stopped and whose end is waited for.
    pub(super) fn spawned(abort: Option<AbortHandle>) -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let live = Self {
            abort,
            ended: Some(Mutex::new(Some(sender))),
            ..Self::default()
        };
        (live, receiver)
    }

    /// One of an earlier process.
    pub(crate) fn past(ids: Option<SpanIds>) -> Self {
        Self {
            span: TaskSpan::past(ids),
            ..Self::default()
        }
    }

    /// Lets go of what only an active task needs.
    pub(super) fn release(&self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
        if let Some(over) = self.over.get() {
            over.notify_waiters();
        }
        let Some(ended) = &self.ended else { return };
        let sender = ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(sender);
    }

    /// Ready once the task, which this lives with, has ended.
    pub(super) async fn over(&self, task: &Task<Self>) {
        let over = self.over.get_or_init(Box::default);
        // Before the look: an end that is not seen now finds it, and wakes it.
        let told = over.notified();
        if task.ending().is_none() {
            told.await;
        }
    }
}

impl AsRef<TaskSpan> for Live {
    fn as_ref(&self) -> &TaskSpan {
        &self.span
    }
}
