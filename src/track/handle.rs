//! The guard of a task that is not one future.

use std::{fmt::Display, future::Future, sync::Arc};

use serde::Serialize;

use super::{Instrumented, Live, Tracker, outcome, panics};
use crate::{
    TaskId,
    task::{Step, Task},
};

/// A running task that must be settled.
///
/// It settles the task exactly once: by [`succeed`](Self::succeed),
/// [`succeed_with`](Self::succeed_with), [`fail`](Self::fail) or
/// [`cancel`](Self::cancel). Dropped without either it ends the task as
/// `interrupted`; dropped while its thread panics, as `failed` with the panic's
/// message.
///
/// ```
/// let tasks = taskpulse::App::new().tasks();
/// let task = tasks.begin("import").start()?;
/// let rows: Result<u32, std::num::ParseIntError> = task.in_scope(|| "12".parse());
/// match rows {
///     Ok(rows) => task.succeed_with(rows),
///     Err(error) => task.fail(error),
/// }
/// # Ok::<(), taskpulse::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the handle ends the task as `interrupted`"]
pub struct TaskHandle {
    tracker: Arc<Tracker>,
    task: Arc<Task<Live>>,
    settled: bool,
}

// === impl TaskHandle ===

impl TaskHandle {
    pub(super) const fn new(tracker: Arc<Tracker>, task: Arc<Task<Live>>) -> Self {
        Self {
            tracker,
            task,
            settled: false,
        }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// The work is done.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn succeed(self) {
        self.settle(outcome::done());
    }

    /// The work is done and this came of it: it becomes the task's `result`, as
    /// JSON of at most 64 KiB. A longer one, or one that cannot be written, is
    /// left out, and the task's error text says so.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.succeed_with(serde_json::json!({ "rows": 12 }));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn succeed_with(self, result: impl Serialize) {
        self.settle(outcome::succeed(result));
    }

    /// The work failed. Of the error's text 4 KiB are kept.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.fail("row 7 has no id");
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn fail(self, error: impl Display) {
        self.settle(outcome::fail(error));
    }

    /// The work was stopped on request.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.cancel();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn cancel(self) {
        self.settle(Step::Cancel);
    }

    /// Runs `work` inside the task's scope: what it logs carries the task's ids.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// let rows = task.in_scope(|| {
    ///     tracing::info!("reading"); // This line carries the task's id.
    ///     12
    /// });
    /// task.succeed_with(rows);
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        self.task.payload.as_ref().within(work)
    }

    /// Runs `future` inside the task's scope. It does not settle the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// let rows = task.instrument(async { 12 }).await;
    /// task.succeed_with(rows);
    /// # Ok(())
    /// # }
    /// ```
    pub fn instrument<F: Future>(&self, future: F) -> Instrumented<F> {
        Instrumented::new(Some(Arc::clone(&self.task)), future)
    }

    pub(super) const fn task(&self) -> &Arc<Task<Live>> {
        &self.task
    }

    /// Settles the task. Where somebody else has ended it, that end stands.
    pub(super) fn settle(mut self, step: Step) {
        self.settled = true;
        self.apply(step);
    }

    fn apply(&self, step: Step) {
        self.tracker.apply(self.task.id, step).unwrap_or_default();
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        self.apply(if std::thread::panicking() {
            outcome::panicked(panics::current())
        } else {
            Step::Interrupt
        });
    }
}
