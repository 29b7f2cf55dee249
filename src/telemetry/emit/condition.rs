//! Rows of the table: a condition of a running task begins, or is over.

use std::time::Duration;

use humantime::format_rfc3339_millis;
use opentelemetry::{KeyValue, trace::TraceContextExt as _};
use tracing::{Level, event_enabled, info, warn};

use super::{OtelContext, Reporter, Scope, TASK, TaskSpan, at, is_heard, quietly};
use crate::task::{Condition, Crossing, Task};

/// A condition has begun.
pub(super) fn crossed<P: AsRef<TaskSpan>>(
    task: &Task<P>,
    crossing: &Crossing,
    reporter: Option<&Reporter>,
) {
    if !is_heard(reporter) {
        return;
    }
    let open = task.payload.as_ref().opened().unwrap_or_default();
    if quietly(|| event_enabled!(target: TASK, Level::WARN)) == Some(true) {
        let last_line = last_line(&open.cx).filter(|_| crossing.condition == Condition::Stalled);
        open.inside(|| quietly(|| log_begin(task, crossing, last_line.as_deref())));
    }
    if open.traced {
        let name = event_name(crossing.condition);
        quietly(|| note(&open.cx, name, task, crossing));
    }
    quietly(|| drop(open));
}

/// What its beginning is called in a span.
pub(super) const fn event_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Overdue => "task.overdue",
        Condition::Stalled => "task.stalled",
    }
}

/// A condition is over.
pub(super) fn cleared<P: AsRef<TaskSpan>>(
    task: &Task<P>,
    crossing: &Crossing,
    reporter: Option<&Reporter>,
) {
    if !is_heard(reporter) {
        return;
    }
    let open = task.payload.as_ref().opened().unwrap_or_default();
    if quietly(|| event_enabled!(target: TASK, Level::INFO)) == Some(true) {
        open.inside(|| quietly(|| log_end(task, crossing)));
    }
    if open.traced {
        quietly(|| note(&open.cx, "task.stalled.cleared", task, crossing));
    }
    quietly(|| drop(open));
}

/// Warns that a task has come near the age at which the platform ends its session.
pub(crate) fn emit_near_limit<P: AsRef<TaskSpan>>(
    task: &Task<P>,
    age: Duration,
    limit: Duration,
    reporter: Option<&Reporter>,
) {
    if !is_heard(reporter) {
        return;
    }
    // None once the task has ended, which then is no matter any more.
    let Some(open) = task.payload.as_ref().opened() else {
        return;
    };
    let (id, name) = (task.id, &task.name);
    let limit_seconds = limit.as_secs_f64();
    open.inside(|| {
        quietly(|| {
            warn!(
                name: "taskpulse.task.near_limit",
                target: TASK,
                duration_seconds = age.as_secs_f64(),
                limit_seconds,
                "task {name} {id} is near the age at which a session is ended"
            );
        })
    });
    if open.traced {
        let limit = KeyValue::new("limit_seconds", limit_seconds);
        let time = at(task.begun.wall + age);
        quietly(|| {
            let span = open.cx.span();
            span.add_event_with_timestamp("task.near_lifetime_limit", time, vec![limit]);
        });
    }
    quietly(|| drop(open));
}

/// What was last logged inside the task, where that was printed by us.
fn last_line(cx: &OtelContext) -> Option<String> {
    cx.get::<Scope>()?.last_line.as_ref()?.get()
}

fn log_begin<P>(task: &Task<P>, crossing: &Crossing, last_line: Option<&str>) {
    let (id, name, condition) = (task.id, &task.name, crossing.condition.as_str());
    let lasted = wall(task, crossing.at).saturating_sub(crossing.lasted);
    warn!(
        name: "taskpulse.task.crossed",
        target: TASK,
        condition,
        since = %format_rfc3339_millis(at(lasted)),
        last_seen_at = crossing.last_sign.map(|sign| seen_at(task, sign)),
        duration_seconds = crossing.at.saturating_sub(task.begun.mono).as_secs_f64(),
        at = %task.begun_at,
        last_line,
        "task {name} {id} {condition}"
    );
}

fn log_end<P>(task: &Task<P>, crossing: &Crossing) {
    let (id, name, condition) = (task.id, &task.name, crossing.condition.as_str());
    info!(
        name: "taskpulse.task.cleared",
        target: TASK,
        condition,
        lasted_seconds = crossing.lasted.as_secs_f64(),
        "task {name} {id} no longer {condition}"
    );
}

/// Leaves an event on the span that OTLP carries.
fn note<P>(cx: &OtelContext, name: &'static str, task: &Task<P>, crossing: &Crossing) {
    let lasted = KeyValue::new("lasted_seconds", crossing.lasted.as_secs_f64());
    let seen = crossing.last_sign.map(|sign| seen_at(task, sign));
    let seen = seen.map(|seen| KeyValue::new("last_seen_at", seen));
    let attributes = std::iter::once(lasted).chain(seen).collect();
    let time = at(wall(task, crossing.at));
    cx.span().add_event_with_timestamp(name, time, attributes);
}

fn seen_at<P>(task: &Task<P>, sign: Duration) -> String {
    format_rfc3339_millis(at(wall(task, sign))).to_string()
}

/// Since the Unix epoch: the wall clock at the begin, moved on by what has passed.
fn wall<P>(task: &Task<P>, mono: Duration) -> Duration {
    task.begun.wall + mono.saturating_sub(task.begun.mono)
}
