//! Whom code works for. Travels in the OpenTelemetry context, next to the span,
//! so that whatever carries the one carries the other.

use std::sync::Arc;

use crate::{TaskId, task::Origin};

/// What log lines say of the request and the task they were logged for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// The request, where there is one.
    pub(crate) origin: Option<Arc<Origin>>,
    /// The task and its name, inside a task.
    pub(crate) task: Option<(TaskId, Arc<str>)>,
}
