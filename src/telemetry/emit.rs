//! The table: what each event becomes.
//!
//! | event | spans | log | metrics |
//! |---|---|---|---|
//! | `Begun` | open, with id, name, metadata, request and place | info `begun` | |
//! | `Crossed` | event `task.overdue` or `task.stalled` | warn, with its place and its last sign of life | |
//! | `Cleared` | event `task.stalled.cleared` | info | |
//! | `Ended`, succeeded | `task.state`; close | info | duration |
//! | `Ended`, cancelled | `task.state`; close | warn | duration |
//! | `Ended`, interrupted | `task.state`, error; close | warn | duration |
//! | `Ended`, lost with its process | a finished one with its own ids, into its own trace | error, in that span | |
//! | `Ended`, otherwise | `task.state`, error, a panic as an exception; close | error, with its text | duration |
//! | checkpoint | a finished child, from the last one to now | | exported, skipped |
//! | near the end of a lifetime | event `task.near_lifetime_limit` | warn | |
//! | refused | | | rejected |
//!
//! Active tasks, their ages and conditions and the states entered are not in it:
//! those metrics are read from the registry, which has counted them when it decided.

mod checkpoint;
mod condition;
mod lost;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Context as OtelContext, KeyValue, SpanId,
    baggage::{BaggageExt as _, KeyValueMetadata},
    trace::{Link, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::{self as sdk, SdkTracer};
use serde_json::{Map, Value};
use tracing::{Level, Span, dispatcher, error, event_enabled, field::Empty, info, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub(crate) use self::checkpoint::{Occasion, emit_checkpoint, emit_skipped};
pub(crate) use self::condition::emit_near_limit;
use super::{
    Refused, Reporter, TaskSpan, attributes, layer::opening, log::TASK, quietly, scope::Scope,
    span::Open, threads,
};
use crate::task::{Change, Ending, Event, Origin, Task, TaskState};

/// Bytes of metadata in the line that says that a task has begun. The whole of
/// it, up to 256 KiB, is at `/tasks`; of that, lines that wait to be sent would
/// fill gigabytes.
const MOST_METADATA: usize = 4 * 1_024;

/// How a task's trace stands to that of the request that begins it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceRelation {
    /// The task is in the request's trace, as a child of its span. It has a
    /// life of its own all the same: neither waits for the other's end.
    #[default]
    Child,
    /// The task has a trace of its own, with a link to the request's span: for
    /// work that outlives its request by so much that one trace is no help.
    Link,
}

/// What a begin is announced with.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The context that the task is begun in.
    pub(crate) parent: OtelContext,
    pub(crate) relation: TraceRelation,
    /// The metadata, as it was checked.
    pub(crate) metadata: Map<String, Value>,
}

/// Announces an event. Never fails and never panics: each call into a
/// subscriber is caught by itself, since a second panic while a first one
/// unwinds would end the process.
///
/// `opening` is that of a begin.
pub(crate) fn emit<P>(event: &Event<P>, reporter: Option<&Reporter>, opening: Option<Opening>)
where
    P: AsRef<TaskSpan> + Send + Sync + 'static,
{
    match &event.change {
        Change::Begun => begun(event, reporter, opening.unwrap_or_default()),
        Change::Crossed(crossing) => condition::crossed(&event.task, crossing, reporter),
        Change::Cleared(crossing) => condition::cleared(&event.task, crossing, reporter),
        Change::Ended(ending) if ending.state == TaskState::Lost => {
            lost::found(&event.task, ending, reporter);
        }
        Change::Ended(ending) => ended(&event.task, ending, reporter),
    }
}

/// Whether there is anybody to tell of tasks.
pub(crate) fn is_heard(reporter: Option<&Reporter>) -> bool {
    reporter.is_some() || dispatcher::has_been_set()
}

/// Warns, once, that metrics tell no more names apart.
pub(crate) fn emit_overflow<P>(task: &Task<P>) {
    quietly(|| {
        warn!(
            target: TASK,
            "task {} {} has one name too many: metrics call it and all further names _OTHER; a name is a label, details belong into metadata",
            task.name, task.id
        );
    });
}

/// Counts a task that was refused, and has no event.
pub(crate) fn emit_refused(why: Refused, reporter: Option<&Reporter>) {
    if let Some(reporter) = reporter {
        reporter.counts.refuse(why);
    }
}

fn begun<P>(event: &Event<P>, reporter: Option<&Reporter>, how: Opening)
where
    P: AsRef<TaskSpan> + Send + Sync + 'static,
{
    let task = &event.task;
    if !is_heard(reporter) {
        return;
    }
    let open = quietly(|| open(event, reporter, how)).unwrap_or_default();
    // Entering costs as much as a line: not for one that nobody wants.
    if quietly(|| is_told(TaskState::Running)) == Some(true) {
        open.inside(|| quietly(|| log_begin(task)));
    }
    task.payload.as_ref().open(open);
}

/// Opens both spans.
fn open<P>(event: &Event<P>, reporter: Option<&Reporter>, how: Opening) -> Open
where
    P: AsRef<TaskSpan> + Send + Sync + 'static,
{
    let task = Arc::clone(&event.task);
    let scope = Scope {
        origin: task.origin.clone(),
        task: Some((task.id, Arc::clone(&task.name))),
        last_line: task.may_stall().then(Arc::default),
    };
    let tracer = reporter.and_then(|reporter| reporter.telemetry.tracer());
    let parent = how.parent.clone();
    let parent_id = match how.relation {
        TraceRelation::Child => span_id(&parent),
        TraceRelation::Link => None,
    };
    let cx = match tracer {
        Some(tracer) => start(tracer, &task, how),
        None => parent.clone(),
    };
    let mut cx = cx.with_value(scope.clone());
    let mut traced = tracer.is_some();
    let at_hand = cx.clone();
    let span = threads::open(move || opening(&at_hand, || tracing_span(&task)));
    let span = span.filter(|span| !span.is_none());
    if let (None, Some(span)) = (tracer, &span) {
        // A layer of the program's own may make an OpenTelemetry span of it.
        if span.set_parent(parent).is_ok() {
            cx = span.context().with_value(scope);
            traced = cx.has_active_span();
        }
    }
    Open {
        traced,
        parent: parent_id,
        cx,
        tracing: span.map(Arc::new),
        checkpoint: Duration::ZERO,
    }
}

/// The span that a context is in, if any.
fn span_id(cx: &OtelContext) -> Option<SpanId> {
    let span = cx.span();
    let ids = span.span_context();
    ids.is_valid().then(|| ids.span_id())
}

/// The span that OTLP carries, in its context.
fn start<P>(tracer: &SdkTracer, task: &Task<P>, how: Opening) -> OtelContext {
    let mut builder = tracer
        .span_builder(task.name.to_string())
        .with_kind(SpanKind::Internal)
        .with_start_time(at(task.begun.wall))
        .with_attributes(attributes(task, how.metadata));
    let mut parent = how.parent;
    if how.relation == TraceRelation::Link && parent.has_active_span() {
        let cause = parent.span().span_context().clone();
        builder = builder.with_links(vec![Link::with_context(cause)]);
        parent = without_span(&parent);
    }
    let span = build(tracer, builder, &parent, task);
    parent.with_span(span)
}

/// What is said of a task on each of its spans.
fn attributes<P>(task: &Task<P>, metadata: Map<String, Value>) -> Vec<KeyValue> {
    let origin = task.origin.as_deref();
    let of_origin = origin.map_or(0, |origin| 2 + origin.baggage.len());
    // Four here, and `task.state` at the end.
    let mut attributes = Vec::with_capacity(5 + of_origin + metadata.len());
    attributes.push(KeyValue::new("task.id", u64::from(task.id).cast_signed()));
    attributes.push(KeyValue::new("task.name", Arc::clone(&task.name)));
    attributes::put_origin(&mut attributes, origin);
    attributes.push(KeyValue::new("code.file.path", task.begun_at.file()));
    attributes.push(KeyValue::new(
        "code.line.number",
        i64::from(task.begun_at.line()),
    ));
    attributes::put_metadata(&mut attributes, metadata);
    attributes
}

/// Starts a span with those attributes.
fn build<P>(
    tracer: &SdkTracer,
    builder: SpanBuilder,
    parent: &OtelContext,
    task: &Task<P>,
) -> sdk::Span {
    let origin = task.origin.as_deref();
    match origin.map_or(0, |origin| origin.baggage.len()) {
        0 => tracer.build_with_context(builder, parent),
        // It has the baggage already and is not to inherit it once more.
        _ => tracer.build_with_context(builder, &parent.with_value(Scope::default())),
    }
}

/// A context with the same baggage. A context cannot be rid of its span, and a
/// sampler asks about that span even if it is no valid one.
fn without_span(cx: &OtelContext) -> OtelContext {
    let entries = cx.baggage().iter().map(|(key, (value, metadata))| {
        KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
    });
    OtelContext::new().with_baggage(entries)
}

/// The span that layers of the program see.
fn tracing_span<P>(task: &Task<P>) -> Span {
    let origin: Option<&Origin> = task.origin.as_deref();
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
        code.file.path = &*task.begun_at.file(),
        code.line.number = i64::from(task.begun_at.line()),
    )
}

fn ended<P: AsRef<TaskSpan>>(task: &Task<P>, ending: &Ending, reporter: Option<&Reporter>) {
    if !is_heard(reporter) {
        return;
    }
    let open = task.payload.as_ref().take().unwrap_or_default();
    if let Some(span) = &open.tracing {
        quietly(|| span.record("task.state", ending.state.as_str()));
    }
    if quietly(|| is_told(ending.state)) == Some(true) {
        open.inside(|| quietly(|| log_end(task, ending)));
    }
    if open.traced {
        quietly(|| close(&open.cx, task, ending));
    }
    if let Some(reporter) = reporter {
        quietly(|| reporter.ended(task, ending));
    }
    quietly(|| drop(open));
}

/// Ends the span that OTLP carries, at the registry's own instant.
fn close<P>(cx: &OtelContext, task: &Task<P>, ending: &Ending) {
    let span = cx.span();
    if span.is_recording() {
        let end = at(task.begun.wall + ending.duration);
        span.set_attribute(KeyValue::new("task.state", ending.state.as_str()));
        if let Some(error) = fault(ending) {
            if ending.panicked {
                let (place, message) = panic(error);
                let attributes = exception(place, message);
                span.add_event_with_timestamp("exception", end, attributes);
            }
            span.set_attribute(KeyValue::new("error.message", error.to_owned()));
            span.set_status(Status::error(error.to_owned()));
        }
        span.end_with_timestamp(end);
    }
}

/// What is said of an end that is neither a success nor asked for.
fn fault(ending: &Ending) -> Option<&str> {
    let otherwise = match ending.state {
        TaskState::Running | TaskState::Succeeded | TaskState::Cancelled => return None,
        TaskState::Failed => "failed",
        TaskState::TimedOut => "its time was up",
        TaskState::Interrupted => "the process went down, or the handle was dropped",
        TaskState::Lost => "its owner vanished",
    };
    Some(ending.error.as_deref().unwrap_or(otherwise))
}

/// The place, as far as it is known, and the message in a panic's text.
fn panic(text: &str) -> (Option<&str>, &str) {
    let said = text.strip_prefix("panicked").unwrap_or(text);
    let placed = said
        .strip_prefix(" at ")
        .and_then(|said| said.split_once(": "));
    match placed {
        Some((place, message)) => (Some(place), message),
        None => (None, said.strip_prefix(": ").unwrap_or(text)),
    }
}

fn exception(place: Option<&str>, message: &str) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("exception.type", "panic"),
        KeyValue::new("exception.message", message.to_owned()),
    ];
    if let Some((file, line)) = place.and_then(|place| place.rsplit_once(':')) {
        let line = line.parse::<i64>().unwrap_or_default();
        attributes.push(KeyValue::new("code.file.path", file.to_owned()));
        attributes.push(KeyValue::new("code.line.number", line));
    }
    attributes
}

/// Whether anybody wants the line about entering this state.
fn is_told(state: TaskState) -> bool {
    match state {
        TaskState::Running | TaskState::Succeeded => {
            event_enabled!(target: TASK, Level::INFO)
        }
        TaskState::Cancelled | TaskState::Interrupted => {
            event_enabled!(target: TASK, Level::WARN)
        }
        TaskState::Failed | TaskState::TimedOut | TaskState::Lost => {
            event_enabled!(target: TASK, Level::ERROR)
        }
    }
}

fn log_begin<P>(task: &Task<P>) {
    let metadata = Some(task.metadata()).filter(|metadata| *metadata != "{}");
    let metadata = metadata.map(|metadata| attributes::cut(metadata, MOST_METADATA));
    info!(
        name: "taskpulse.task.begun",
        target: TASK,
        metadata = metadata.as_deref(),
        at = %task.begun_at,
        "task {} {} begun", task.name, task.id
    );
}

fn log_end<P>(task: &Task<P>, ending: &Ending) {
    let (id, name, state) = (task.id, &task.name, ending.state);
    let end = state.as_str();
    // To the microsecond, which is what people can use.
    let duration_seconds = (ending.duration.as_secs_f64() * 1e6).round() / 1e6;
    let error = ending.error.as_deref();
    match state {
        TaskState::Running => {}
        TaskState::Succeeded => {
            info!(name: "taskpulse.task.ended", target: TASK, state = end, duration_seconds, note = error, "task {name} {id} {state}");
        }
        TaskState::Cancelled | TaskState::Interrupted => {
            warn!(name: "taskpulse.task.ended", target: TASK, state = end, duration_seconds, "task {name} {id} {state}");
        }
        TaskState::Failed | TaskState::TimedOut | TaskState::Lost => {
            error!(name: "taskpulse.task.ended", target: TASK, state = end, duration_seconds, error, "task {name} {id} {state}");
        }
    }
}

fn at(since_epoch: Duration) -> SystemTime {
    UNIX_EPOCH + since_epoch
}
