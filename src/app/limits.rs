//! What bounds tasks in time.

use std::time::Duration;

use super::App;
use crate::{TaskLimits, track::check_limits};

impl App {
    /// Ends every task as `timed_out` once it is this old, one of
    /// [`add_async_task`](Self::add_async_task) as well: a call of
    /// `complete_async_task` that is forgotten would otherwise keep the session
    /// for hours.
    ///
    /// No limit by default; zero is a start-up error. A task's own
    /// [`max_age`](crate::TaskBuilder::max_age) wins over this, and so does
    /// `TASKPULSE_MAX_AGE`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use taskpulse::{App, PingStatus};
    ///
    /// let app = App::new().max_age(Duration::from_millis(50));
    /// let id = app.add_async_task("report", ())?;
    /// while app.get_current_ping_status() == PingStatus::HealthyBusy {
    ///     std::thread::yield_now(); // Nobody completes it.
    /// }
    /// assert!(!app.complete_async_task(id));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn max_age(self, age: Duration) -> Self {
        if age.is_zero() {
            return self.faulty("App::max_age is 0s; give it a longer one, or leave it out");
        }
        self.tracker.set_max_age(age);
        self
    }

    /// Gives every task of this name these limits, one of
    /// [`add_async_task`](Self::add_async_task) as well. What a task says itself wins.
    ///
    /// Makes the name known as [`task_names`](Self::task_names) does. A limit of zero
    /// makes starting fail.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use taskpulse::{App, PingStatus, Reaction, TaskLimits};
    ///
    /// let limits = TaskLimits::new()
    ///     .stall_after(Duration::from_millis(50))
    ///     .on_stall(Reaction::Cancel);
    /// let app = App::new().task_limits("report", limits);
    /// app.add_async_task("report", ())?;
    /// while app.get_current_ping_status() == PingStatus::HealthyBusy {
    ///     std::thread::yield_now(); // It gives no sign of life.
    /// }
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn task_limits(self, name: impl Into<String>, limits: TaskLimits) -> Self {
        let name = name.into();
        match check_limits(name.clone(), &limits) {
            Ok(checked) => self.tracker.limit(checked, limits),
            Err(error) => return self.faulty(format!("limits of tasks `{name}`: {error}")),
        }
        self
    }
}
