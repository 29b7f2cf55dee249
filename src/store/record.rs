//! What is written of a task, and what is made of what was read.

use std::{borrow::Cow, sync::Arc, time::Duration};

use opentelemetry::{SpanId, TraceId};
use serde_json::{Map, Value};

use super::{
    backend::{End, Lost, Record, Trace},
    queue::is_known,
};
use crate::{
    task::{Ending, Origin, PastTask, Place, Progress, View},
    telemetry::SpanIds,
    track::Live,
};

/// Of ended tasks that the store does not have, those that it would forget at once are
/// left out.
pub(super) fn leave_out_forgotten(views: &mut Vec<View<Live>>, history: usize) {
    let passes = |view: &View<_>| view.ending.is_none() || is_known(&view.task);
    let ended = views.iter().filter(|view| !passes(view)).count();
    let mut beyond = ended.saturating_sub(history);
    views.retain(|view| {
        let stays = passes(view) || beyond == 0;
        beyond -= usize::from(!stays);
        stays
    });
}

// === impl Record ===

impl<'a> Record<'a> {
    /// What is to be written of a task as it is.
    pub(super) fn of(view: &'a View<Live>) -> Self {
        let task = &*view.task;
        let origin = task.origin.as_deref();
        let progress = view.progress.as_deref();
        let message = progress.map(|progress| progress.message.as_str());
        Self {
            id: task.id,
            known: is_known(task),
            name: (*task.name).into(),
            metadata: task.metadata().into(),
            session_id: origin.and_then(|origin| origin.session_id.as_deref().map(Cow::from)),
            request_id: origin.map(|origin| (*origin.request_id).into()),
            baggage: origin.and_then(baggage).map(Cow::from),
            file: task.begun_at.file(),
            line: task.begun_at.line(),
            begun: task.begun.wall,
            deadline: task.deadline(),
            trace: task.payload.as_ref().ids().map(Trace::of),
            last_seen: view.last_seen_at(),
            progress: progress.and_then(|progress| progress.share),
            progress_message: message.map(Cow::from),
            end: view.ending.as_deref().map(End::of),
        }
    }

    /// The task that it was, and its span.
    fn into_past(self) -> (PastTask, Option<SpanIds>) {
        let origin = self.request_id.map(|request_id| {
            Arc::new(Origin {
                session_id: self.session_id.map(boxed),
                request_id: boxed(request_id),
                baggage: self.baggage.map(|text| entries(&text)).unwrap_or_default(),
            })
        });
        let progress = match (self.progress, self.progress_message) {
            (None, None) => None,
            (share, message) => Some(Progress {
                share,
                message: message.map(Cow::into_owned).unwrap_or_default(),
            }),
        };
        let past = PastTask {
            id: self.id,
            name: boxed(self.name),
            metadata: boxed(self.metadata),
            origin,
            begun: self.begun,
            begun_at: Place::Noted(Box::new((boxed(self.file), self.line))),
            deadline: self.deadline,
            last_sign: self.last_seen.map(|seen| seen.saturating_sub(self.begun)),
            progress,
        };
        (past, self.trace.map(Trace::into_ids))
    }

    /// A task that has ended, and how. Nothing where it has not.
    pub(super) fn into_ended(mut self) -> Option<(PastTask, Ending, Live)> {
        let end = self.end.take()?;
        let (past, ids) = self.into_past();
        let ending = Ending {
            state: end.state,
            duration: end.duration,
            result: end.result.map(boxed),
            error: end.error.map(boxed),
            panicked: end.panicked,
            seq: 0,
        };
        Some((past, ending, Live::past(ids)))
    }
}

// === impl Lost ===

impl Lost {
    /// The task, its age at the last sign of life of it or its process, and what is said
    /// of its end.
    pub(super) fn into_past(self) -> (PastTask, Duration, Box<str>, Live) {
        let seen = self.task.last_seen.unwrap_or_default().max(self.owner_seen);
        let age = seen.saturating_sub(self.task.begun);
        let why = format!("lost: process {} ended without settling it", self.instance);
        let (past, ids) = self.task.into_past();
        (past, age, why.into(), Live::past(ids))
    }
}

// === impl End ===

impl<'a> End<'a> {
    fn of(ending: &'a Ending) -> Self {
        Self {
            state: ending.state,
            duration: ending.duration,
            result: ending.result.as_deref().map(Cow::from),
            error: ending.error.as_deref().map(Cow::from),
            panicked: ending.panicked,
        }
    }
}

// === impl Trace ===

impl Trace {
    fn of(ids: SpanIds) -> Self {
        Self {
            trace_id: ids.trace.to_bytes(),
            span_id: ids.span.to_bytes(),
            parent_id: ids.parent.map(SpanId::to_bytes),
            sampled: ids.sampled,
        }
    }

    fn into_ids(self) -> SpanIds {
        SpanIds {
            trace: TraceId::from_bytes(self.trace_id),
            span: SpanId::from_bytes(self.span_id),
            parent: self.parent_id.map(SpanId::from_bytes),
            sampled: self.sampled,
        }
    }
}

fn baggage(origin: &Origin) -> Option<String> {
    if origin.baggage.is_empty() {
        return None;
    }
    let entries = origin.baggage.iter();
    let entries = entries.map(|(key, value)| (key.to_string(), Value::from(value.to_string())));
    Some(Value::Object(entries.collect()).to_string())
}

/// What is no such text has no entries.
fn entries(text: &str) -> Box<[(Box<str>, Box<str>)]> {
    let entries: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let entries = entries.into_iter().filter_map(|(key, value)| match value {
        Value::String(value) => Some((key.into_boxed_str(), value.into_boxed_str())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    });
    entries.collect()
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}
