//! A row of the table: a task was lost with its process, and this one has found it.
//!
//! Nothing of it is open here. Its line and its span carry the ids that they would have
//! had there, so that they are found where the task was: in its trace, next to what was
//! exported of it while it ran.

use std::sync::Arc;

use opentelemetry::{
    Context as OtelContext, KeyValue, TraceFlags,
    trace::{SpanContext, TraceContextExt as _, TraceState},
};

use super::{
    Reporter, Scope, TaskSpan, at, attributes, checkpoint::put_progress, is_heard, is_told,
    log_end, quietly,
};
use crate::{
    task::{Ending, Task, TaskState, View},
    telemetry::{
        past::PastSpan,
        span::{SpanIds, inside},
    },
};

/// How long it took is not known, so no duration is recorded.
pub(super) fn found<P: AsRef<TaskSpan>>(
    task: &Arc<Task<P>>,
    ending: &Ending,
    reporter: Option<&Reporter>,
) {
    if !is_heard(reporter) {
        return;
    }
    let ids = task.payload.as_ref().ids();
    if quietly(|| is_told(TaskState::Lost)) == Some(true) {
        let cx = context(task, ids);
        inside(None, &cx, || quietly(|| log_end(task, ending)));
    }
    let sampled = ids.filter(|ids| ids.sampled);
    if let (Some(ids), Some(reporter)) = (sampled, reporter) {
        quietly(|| reporter.telemetry.export_past(span(task, ending, ids)));
    }
}

/// The context that the task ran in.
fn context<P>(task: &Task<P>, ids: Option<SpanIds>) -> OtelContext {
    let scope = Scope {
        origin: task.origin.clone(),
        task: Some((task.id, Arc::clone(&task.name))),
        last_line: None,
    };
    let cx = OtelContext::new().with_value(scope);
    let Some(ids) = ids else { return cx };
    let flags = TraceFlags::default().with_sampled(ids.sampled);
    let state = TraceState::default();
    cx.with_remote_span_context(SpanContext::new(ids.trace, ids.span, flags, true, state))
}

fn span<P>(task: &Arc<Task<P>>, ending: &Ending, ids: SpanIds) -> PastSpan {
    // It was checked when the task began.
    let metadata = serde_json::from_str(task.metadata()).unwrap_or_default();
    let mut attributes = attributes(task, metadata);
    put_progress(&mut attributes, View::of(task).progress.as_deref());
    attributes.push(KeyValue::new("task.state", ending.state.as_str()));
    let error = ending.error.as_deref().unwrap_or_default().to_owned();
    attributes.push(KeyValue::new("error.message", error.clone()));
    PastSpan {
        ids,
        name: task.name.to_string(),
        start: at(task.begun.wall),
        end: at(task.begun.wall + ending.duration),
        attributes,
        error,
    }
}
