//! A task of an earlier process, as it was written down.

use std::{sync::Arc, time::Duration};

use super::{Bounds, Deadline, Origin, Place, Progress, TaskId};

/// What is known of it, but for its end. Everything in it has been checked.
#[derive(Clone, Debug)]
pub(crate) struct PastTask {
    pub(crate) id: TaskId,
    pub(crate) name: Box<str>,
    /// A JSON object as compact text; empty where there is none.
    pub(crate) metadata: Box<str>,
    pub(crate) origin: Option<Arc<Origin>>,
    /// Since the Unix epoch.
    pub(crate) begun: Duration,
    pub(crate) begun_at: Place,
    /// Since the Unix epoch.
    pub(crate) deadline: Option<Duration>,
    /// Its age when it last gave a sign of life.
    pub(crate) last_sign: Option<Duration>,
    pub(crate) progress: Option<Progress>,
}

// === impl PastTask ===

impl PastTask {
    /// Of what bounded it, what is shown of a task that has ended.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            deadline: self.deadline.map(Deadline::At),
            ..Bounds::default()
        }
    }
}
