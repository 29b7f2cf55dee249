//! The SDK's calls, on the app itself.

use serde::Serialize;

use super::App;
use crate::{AsyncTaskInfo, Error, PingStatus, TaskId};

impl App {
    /// See [`Tasks::add_async_task`](crate::Tasks::add_async_task).
    ///
    /// ```
    /// use taskpulse::{App, PingStatus};
    ///
    /// let app = App::new();
    /// let id = app.add_async_task("report", serde_json::json!({ "pages": 12 }))?;
    /// assert_eq!(app.get_current_ping_status(), PingStatus::HealthyBusy);
    /// assert_eq!(app.get_async_task_info().active_count, 1);
    /// assert!(app.complete_async_task(id));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Tasks::add_async_task`](crate::Tasks::add_async_task).
    #[track_caller]
    pub fn add_async_task(
        &self,
        name: impl Into<String>,
        metadata: impl Serialize,
    ) -> Result<TaskId, Error> {
        self.tasks().add_async_task(name, metadata)
    }

    /// See [`Tasks::complete_async_task`](crate::Tasks::complete_async_task).
    pub fn complete_async_task(&self, id: TaskId) -> bool {
        self.tasks().complete_async_task(id)
    }

    /// See [`Tasks::get_async_task_info`](crate::Tasks::get_async_task_info).
    #[must_use]
    pub fn get_async_task_info(&self) -> AsyncTaskInfo {
        self.tasks().get_async_task_info()
    }

    /// See [`Tasks::get_current_ping_status`](crate::Tasks::get_current_ping_status).
    #[must_use]
    pub fn get_current_ping_status(&self) -> PingStatus {
        self.tasks().get_current_ping_status()
    }
}
