//! Who writes down what happens, so that it survives this process.

use std::{fmt, sync::Arc, time::Duration};

use super::Task;

/// A journal of tasks.
///
/// It is told that a task has changed, and looks at it when it writes: what it keeps
/// is the task as the registry has it.
pub(crate) trait Journal<P>: fmt::Debug + Send + Sync {
    /// This has happened to a task. Never waits for what is written, and never fails.
    fn note(&self, task: &Arc<Task<P>>, what: Note);

    /// How it is. Takes no lock that is held for long.
    fn health(&self) -> Health;

    /// Takes nothing in any more, and waits until what it has is written, but for no
    /// longer than `patience`. False where that is not so, which is still to be said.
    fn close(&self, patience: Duration) -> bool;
}

/// What may happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Begun,
    /// A heartbeat, or progress.
    Sign,
    /// With so many bytes of result and error text.
    Ended {
        bytes: usize,
    },
}

/// How a journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// What is the matter, where it is not written.
    pub(crate) fault: Option<Arc<str>>,
    /// Changes that wait to be written.
    pub(crate) queue: u64,
    /// Begins that found no room to wait in, ever.
    pub(crate) shed: u64,
    /// Attempts that failed, ever.
    pub(crate) failures: u64,
}
