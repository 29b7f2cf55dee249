//! The table: what each event becomes.
//!
//! | event | span | log |
//! |---|---|---|
//! | `Begun` | opens `task` with its id, name, metadata and request | info `begun` |
//! | `Ended`, succeeded | `task.state`; closes | info |
//! | `Ended`, cancelled or interrupted | `task.state`; closes | warn |
//! | `Ended`, otherwise | `task.state`; closes | error, with its text |

use tracing::{Span, error, field::Empty, info, info_span, warn};

use super::{TaskSpan, log::TASK, quietly, span::inside};
use crate::task::{Change, Ending, Event, Task, TaskState, file};

/// Announces an event. Never fails and never panics: each call into a
/// subscriber is caught by itself, since a second panic while a first one
/// unwinds would end the process.
pub(crate) fn emit<P: AsRef<TaskSpan>>(event: &Event<P>) {
    match &event.change {
        Change::Begun => begun(&event.task),
        Change::Ended(ending) => ended(&event.task, ending),
    }
}

fn begun<P: AsRef<TaskSpan>>(task: &Task<P>) {
    let Some(span) = quietly(|| open(task)) else {
        return;
    };
    quietly(|| info!(target: TASK, parent: &span, "task {} {} begun", task.name, task.id));
    task.payload.as_ref().open(span);
}

fn open<P>(task: &Task<P>) -> Span {
    let origin = task.origin.as_deref();
    info_span!(
        target: TASK,
        parent: None,
        "task",
        otel.name = &*task.name,
        task.id = u64::from(task.id).cast_signed(),
        task.name = &*task.name,
        task.state = Empty,
        task.metadata = task.metadata(),
        session.id = origin.and_then(|origin| origin.session_id.as_deref()),
        taskpulse.request.id = origin.map(|origin| &*origin.request_id),
        code.file.path = &*file(task.begun_at),
        code.line.number = i64::from(task.begun_at.line()),
    )
}

fn ended<P: AsRef<TaskSpan>>(task: &Task<P>, ending: &Ending) {
    let span = task.payload.as_ref().take();
    let none = Span::none();
    let open = span.as_deref().unwrap_or(&none);
    quietly(|| open.record("task.state", ending.state.as_str()));
    inside(open, || quietly(|| log_end(task, ending)));
    quietly(|| drop(span));
}

fn log_end<P>(task: &Task<P>, ending: &Ending) {
    let (id, name, state) = (task.id, &task.name, ending.state);
    let duration_seconds = ending.duration.as_secs_f64();
    let error = ending.error.as_deref();
    match state {
        TaskState::Running => {}
        TaskState::Succeeded => {
            info!(target: TASK, duration_seconds, note = error, "task {name} {id} {state}");
        }
        TaskState::Cancelled | TaskState::Interrupted => {
            warn!(target: TASK, duration_seconds, "task {name} {id} {state}");
        }
        TaskState::Failed | TaskState::TimedOut | TaskState::Lost => {
            error!(target: TASK, duration_seconds, error, "task {name} {id} {state}");
        }
    }
}
