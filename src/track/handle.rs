//! The guard of a task that is not one future.

use std::{fmt::Display, future::Future, sync::Arc};

use serde::Serialize;

use super::{CurrentTask, Instrumented, Live, Tracker, outcome, panics};
use crate::{
    TaskId,
    task::{Step, Task},
    telemetry::Occasion,
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

    /// Shows at once how far the task has come: as a span that has ended, below
    /// the task's, from the last such checkpoint to now, with `stage` as its
    /// `task.stage`. A backend has it within seconds, and the task's own span
    /// only when the task has ended.
    ///
    /// Of a long task there are checkpoints without this call as well; see
    /// [`App::checkpoints`](crate::App::checkpoints). Nothing is made where no
    /// spans are exported, where this task's is not sampled, and beyond 1,000 a
    /// second.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.checkpoint("downloaded");
    /// task.checkpoint("unpacked");
    /// task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn checkpoint(&self, stage: &str) {
        self.tracker
            .checkpoint(self.task.id, Occasion::Stage(stage));
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
        CurrentTask::within(&mut Some(self.current()), work)
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
        Instrumented::new(Some(self.current()), future)
    }

    /// Says that the task is alive, which keeps it from counting as stalled; see
    /// [`stall_after`](crate::TaskBuilder::stall_after).
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// for _row in 0..1_000 {
    ///     task.heartbeat(); // Tens of nanoseconds.
    /// }
    /// task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn heartbeat(&self) {
        self.tracker.beat(&self.task);
    }

    /// Says how far the task is, which is a sign of life as well: a share from 0 to
    /// 1, and a message of which 256 bytes are kept.
    ///
    /// What is beyond counts as 0 or 1, and what is no number as not known. The last
    /// one counts, and is shown where the task is. Nothing is sent or logged, so it
    /// may be called as often as one likes.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// task.progress(0.4, "page 4 of 10");
    /// task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn progress(&self, share: f64, message: impl Into<String>) {
        self.tracker.progress(&self.task, share, message.into());
    }

    /// Whether somebody else has ended the task: it was cancelled by its id, is past
    /// a limit that ends it, or the process goes down. What the handle says of its
    /// end then comes too late.
    ///
    /// ```
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// assert!(!task.is_cancelled());
    /// tasks.cancel(task.id());
    /// assert!(task.is_cancelled());
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.task.ending().is_some()
    }

    /// Ready once [`is_cancelled`](Self::is_cancelled). Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// tasks.cancel(task.id());
    /// let rows = tokio::select! {
    ///     biased;
    ///     () = task.cancelled() => None,
    ///     rows = async { 12 } => Some(rows),
    /// };
    /// assert_eq!(rows, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancelled(&self) {
        self.task.payload.over(&self.task).await;
    }

    pub(super) fn current(&self) -> CurrentTask {
        CurrentTask::new(Arc::clone(&self.tracker), Arc::clone(&self.task))
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
