//! Code that runs inside a task's scope.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::CurrentTask;

/// A future that runs inside a task's scope; made by
/// [`Tasks::instrument`](crate::Tasks::instrument).
///
/// Dropping it drops the future and does not settle the task.
#[must_use = "futures do nothing unless they are polled"]
pub struct Instrumented<F> {
    /// Taken out while its code runs.
    task: Option<CurrentTask>,
    /// Boxed, since pinning it in place would need `unsafe` or a macro.
    future: Option<Pin<Box<F>>>,
}

// === impl Instrumented ===

impl<F: Future> Instrumented<F> {
    pub(super) fn new(task: Option<CurrentTask>, future: F) -> Self {
        Self {
            task,
            future: Some(Box::pin(future)),
        }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let future = this.future.as_mut().expect("not polled after it was ready");
        let output = CurrentTask::within(&mut this.task, || future.as_mut().poll(cx));
        if output.is_ready() {
            CurrentTask::within(&mut this.task, || this.future = None);
        }
        output
    }
}

impl<F> Drop for Instrumented<F> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            CurrentTask::within(&mut self.task, || drop(future));
        }
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}
