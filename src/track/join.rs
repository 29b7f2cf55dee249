//! Waiting for the end of a spawned task.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use serde_json::Value;
use tokio::sync::oneshot;

use super::{Live, Tracker};
use crate::{
    TaskId, TaskState,
    task::{Step, Task},
};

/// A spawned task: its id, a way to stop it, and a future of its end.
///
/// Dropping it detaches: the task goes on. Waiting for it is cancel safe.
///
/// ```
/// use taskpulse::TaskState;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), taskpulse::Error> {
/// let tasks = taskpulse::App::new().tasks();
/// let task = tasks.begin("sum").spawn(async { Ok::<_, String>(1 + 2) })?;
/// println!("task {} begun", task.id());
/// let end = task.await;
/// assert_eq!((end.state, end.result), (TaskState::Succeeded, Some(3.into())));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TaskJoin {
    tracker: Arc<Tracker>,
    task: Arc<Task<Live>>,
    ended: oneshot::Receiver<()>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEnd {
    /// One of the end states.
    pub state: TaskState,
    /// What came of it, if it succeeded with something.
    pub result: Option<Value>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

// === impl TaskJoin ===

impl TaskJoin {
    pub(super) const fn new(
        tracker: Arc<Tracker>,
        task: Arc<Task<Live>>,
        ended: oneshot::Receiver<()>,
    ) -> Self {
        Self {
            tracker,
            task,
            ended,
        }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// Ends the task as `cancelled`, unless it has ended, and drops its future
    /// the next time it would be polled. A closure of `spawn_blocking` cannot
    /// be stopped: it runs on, and what comes of it is dropped.
    ///
    /// ```
    /// use taskpulse::TaskState;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks
    ///     .begin("endless")
    ///     .spawn(std::future::pending::<Result<(), String>>())?;
    /// task.abort();
    /// assert_eq!(task.await.state, TaskState::Cancelled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(&self) {
        self.tracker
            .apply(self.task.id, Step::Cancel)
            .unwrap_or_default();
    }
}

impl Future for TaskJoin {
    type Output = TaskEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TaskEnd> {
        // The sender goes when the end has been announced; it never sends.
        drop(ready!(Pin::new(&mut self.ended).poll(cx)));
        let ending = self
            .task
            .ending()
            .expect("the end was written before it was announced");
        Poll::Ready(TaskEnd {
            state: ending.state,
            result: ending.result.as_deref().map(|json| {
                serde_json::from_str(json).expect("a result is kept only if it can be read")
            }),
            error: ending.error.as_deref().map(str::to_owned),
        })
    }
}
