//! Facts: what has happened to a task, decided and numbered by the registry.

use std::{fmt, sync::Arc};

use super::{Crossing, Ending, Task};

/// Something that happened to a task.
///
/// Whoever holds an event must announce it and then ask
/// [`Registry::announced`](super::Registry::announced) for the next one of the
/// same task: meanwhile other threads leave theirs there, so that one task's
/// events are announced in their order.
#[must_use = "an event that is not announced silences its task"]
pub(crate) struct Event<P> {
    /// Ascends with every event of the registry, and within a task in the order
    /// of what happened.
    pub(crate) seq: u64,
    /// The task it happened to.
    pub(crate) task: Arc<Task<P>>,
    /// What happened.
    pub(crate) change: Change,
}

/// What can happen to a task.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// It was registered and runs.
    Begun,
    /// A condition of it has begun.
    Crossed(Crossing),
    /// A condition of it is over, and it still runs.
    Cleared(Crossing),
    /// It reached its end state.
    Ended(Arc<Ending>),
}

// === impl Event ===

impl<P> fmt::Debug for Event<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("seq", &self.seq)
            .field("task", &self.task.id)
            .field("change", &self.change)
            .finish()
    }
}
