//! Assertions on tasks by their name.

use super::TestApp;
use crate::TaskState;

/// The tasks of one name; made by [`TestApp::tasks_named`]. Each assertion
/// panics with what there is instead.
#[derive(Clone, Copy, Debug)]
pub struct TasksNamed<'a> {
    app: &'a TestApp,
    name: &'a str,
}

// === impl TasksNamed ===

impl<'a> TasksNamed<'a> {
    pub(super) const fn new(app: &'a TestApp, name: &'a str) -> Self {
        Self { app, name }
    }

    /// Asserts that so many are active.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "an assertion, to be chained or not"
    )]
    pub fn active(self, count: u64) -> Self {
        let there = self.entered(TaskState::Running) - self.ends();
        assert_eq!(
            there,
            count,
            "active tasks `{}`: {}",
            self.name,
            self.told()
        );
        self
    }

    /// Asserts that so many have been begun.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "an assertion, to be chained or not"
    )]
    pub fn begun(self, count: u64) -> Self {
        let there = self.entered(TaskState::Running);
        assert_eq!(there, count, "begun tasks `{}`: {}", self.name, self.told());
        self
    }

    /// Asserts that so many have ended in this state.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "an assertion, to be chained or not"
    )]
    pub fn ended(self, state: TaskState, count: u64) -> Self {
        let there = self.entered(state);
        assert_eq!(
            there,
            count,
            "{state} tasks `{}`: {}",
            self.name,
            self.told()
        );
        self
    }

    fn ends(&self) -> u64 {
        let ends = TaskState::ALL.into_iter().filter(|state| state.is_end());
        ends.map(|state| self.entered(state)).sum()
    }

    fn entered(&self, state: TaskState) -> u64 {
        let registry = self.app.tasks().tracker().registry();
        let of_name = registry.kinds().find(|kind| *kind.label == *self.name);
        of_name.map_or(0, |kind| kind.entered(state))
    }

    /// Every state that was entered, and how often.
    fn told(&self) -> String {
        let counts = TaskState::ALL.map(|state| (state, self.entered(state)));
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(state, count)| format!("{state} was entered {count} times"))
            .collect();
        match counts.is_empty() {
            true => "none was ever begun".to_owned(),
            false => counts.join(", "),
        }
    }
}
