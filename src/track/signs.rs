//! Signs of life: heartbeats and progress.

use std::sync::Arc;

use super::{Live, Tasks, Tracker, outcome::shorten};
use crate::{
    TaskId,
    task::{Note, Progress, Task},
};

/// Bytes of what a task says of its progress at most.
const MAX_MESSAGE: usize = 256;

impl Tasks {
    /// A sign of life of the task with this id, as
    /// [`TaskHandle::heartbeat`](crate::TaskHandle::heartbeat) is one. False where
    /// no such task is active.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// assert!(tasks.heartbeat(id));
    /// tasks.complete_async_task(id);
    /// assert!(!tasks.heartbeat(id));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn heartbeat(&self, id: TaskId) -> bool {
        let task = self.tracker().registry().task(id);
        task.is_some_and(|task| {
            self.tracker().beat(&task);
            true
        })
    }

    /// How far the task with this id is, as
    /// [`TaskHandle::progress`](crate::TaskHandle::progress) says it. False where no
    /// such task is active.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// assert!(tasks.progress(id, 0.4, "page 4 of 10"));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn progress(&self, id: TaskId, share: f64, message: impl Into<String>) -> bool {
        let task = self.tracker().registry().task(id);
        task.is_some_and(|task| self.tracker().progress(&task, share, message.into()))
    }
}

impl Tracker {
    /// Takes a sign of life of a task.
    #[inline]
    pub(super) fn beat(&self, task: &Arc<Task<Live>>) {
        if self.registry().beat(task)
            && let Some(due) = self.review(task.id)
        {
            self.watch.expect(due);
        }
        self.note(task, Note::Sign);
    }

    /// Takes what a task says of its progress, which is a sign of life; false if it
    /// has ended.
    pub(super) fn progress(&self, task: &Arc<Task<Live>>, share: f64, message: String) -> bool {
        let progress = Progress {
            share: (!share.is_nan()).then(|| share.clamp(0.0, 1.0)),
            message: shorten(message, MAX_MESSAGE),
        };
        let taken = self.registry().progress(task, progress);
        // Only now: whoever is told of the sign finds the progress.
        self.beat(task);
        taken
    }
}
