//! When tasks that run for long are shown.

use std::time::Duration;

use super::App;
use crate::config::values::SHORTEST_CHECKPOINT;

impl App {
    /// Exports a span of every task that has run for `first`, and again at twice
    /// that age, four times that age and so on, but at least every 30 minutes:
    /// a backend shows a span when it has ended, and that of a task ends hours
    /// later. After 5 s unless this is called.
    ///
    /// Zero turns these checkpoints off, those of
    /// [`TaskHandle::checkpoint`](crate::TaskHandle::checkpoint) as well. Below
    /// 100 ms starting fails. `TASKPULSE_CHECKPOINTS` wins over this.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let app = taskpulse::App::new().checkpoints(Duration::from_secs(2));
    /// # drop(app);
    /// ```
    pub fn checkpoints(self, first: Duration) -> Self {
        if !first.is_zero() && first < SHORTEST_CHECKPOINT {
            return self.faulty(format!(
                "checkpoints are to begin after {first:?}; it must be at least {SHORTEST_CHECKPOINT:?}, or zero for none"
            ));
        }
        self.tracker.set_checkpoints(first);
        self
    }
}
