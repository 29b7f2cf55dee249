//! The spans by which a task is seen before it ends.
//!
//! A backend gets a span when it has ended, and that of a task ends with the
//! task. A checkpoint is a child of it that has ended already, and says of the
//! task what its own span will say.

use std::time::Duration;

use opentelemetry::{
    Context as OtelContext, KeyValue,
    trace::{Span as _, SpanKind, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::{TaskSpan, at, attributes, build, condition::event_name, quietly};
use crate::{
    task::{Condition, Progress, View},
    telemetry::{Reporter, attributes::text},
};

/// What a checkpoint is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion<'a> {
    /// Its time has come.
    Time,
    /// The program has reached a stage that it calls so.
    Stage(&'a str),
    /// The task is in this condition from now on.
    Condition(Condition),
}

/// Exports the time from the task's last checkpoint until it was this old, if
/// the task is sampled. Never fails and never panics.
pub(crate) fn emit_checkpoint<P: AsRef<TaskSpan>>(
    view: &View<P>,
    age: Duration,
    occasion: Occasion<'_>,
    reporter: &Reporter,
) {
    let Some(tracer) = reporter.telemetry.tracer() else {
        return;
    };
    let Some((cx, last)) = view.task.payload.as_ref().checkpoint(age) else {
        return;
    };
    let ages = (last, age.max(last));
    if quietly(|| export(tracer, view, &cx, ages, occasion)) == Some(true) {
        reporter.counts.checkpoints.export();
    }
    quietly(|| drop(cx));
}

/// Counts checkpoints that were due and are not made.
pub(crate) fn emit_skipped(count: u64, reporter: &Reporter) {
    reporter.counts.checkpoints.skip(count);
}

/// Appends how far the task says it is.
pub(super) fn put_progress(attributes: &mut Vec<KeyValue>, progress: Option<&Progress>) {
    let Some(progress) = progress else { return };
    let share = progress.share;
    attributes.extend(share.map(|share| KeyValue::new("task.progress", share)));
    if !progress.message.is_empty() {
        let message = text(&progress.message);
        attributes.push(KeyValue::new("task.progress.message", message));
    }
}

/// Whether the sampler has kept it.
fn export<P>(
    tracer: &SdkTracer,
    view: &View<P>,
    cx: &OtelContext,
    (from, to): (Duration, Duration),
    occasion: Occasion<'_>,
) -> bool {
    let task = &view.task;
    // It was checked when the task began, and is of no more use then.
    let metadata = serde_json::from_str(task.metadata()).unwrap_or_default();
    let mut attributes = attributes(task, metadata);
    // An event is found by its attributes alone, and not by its name.
    match occasion {
        Occasion::Time => {}
        Occasion::Stage(stage) => attributes.push(KeyValue::new("task.stage", text(stage))),
        Occasion::Condition(condition) => {
            attributes.push(KeyValue::new("task.condition", condition.as_str()));
        }
    }
    put_progress(&mut attributes, view.progress.as_deref());
    let builder = tracer
        .span_builder(format!("{} checkpoint", task.name))
        .with_kind(SpanKind::Internal)
        .with_start_time(at(task.begun.wall + from))
        .with_attributes(attributes);
    let mut span = build(tracer, builder, cx, task);
    let kept = span.is_recording();
    let end = at(task.begun.wall + to);
    if let Occasion::Condition(condition) = occasion {
        span.add_event_with_timestamp(event_name(condition), end, Vec::new());
    }
    span.end_with_timestamp(end);
    kept
}
