//! The tasks API: pages, and one task with its timeline.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::{StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::{spawn_blocking, yield_now};

use super::{
    Service,
    errors::{JSON, Refusal},
};
use crate::{
    InvalidTaskId, TaskId, TaskState,
    task::{Condition, Slice, View, Window},
    telemetry::TaskSpan,
    track::Live,
};

/// Tasks of a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1_000;

/// Bytes of a page that are written between two looks at anything else.
const CHUNK: usize = 32 * 1_024;

/// What may be asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<String>,
    name: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// The same, understood.
#[derive(Debug)]
struct Wanted {
    state: Option<TaskState>,
    name: Option<String>,
    limit: usize,
    cursor: Option<TaskId>,
}

/// A task in JSON.
#[derive(Serialize)]
struct Wire<'a> {
    id: TaskId,
    name: &'a str,
    state: TaskState,
    metadata: &'a RawValue,
    session_id: Option<&'a str>,
    request_id: Option<&'a str>,
    started_at: String,
    ended_at: Option<String>,
    duration_seconds: f64,
    overdue: bool,
    stalled: bool,
    progress: Option<f64>,
    progress_message: Option<&'a str>,
    result: Option<&'a RawValue>,
    error: Option<&'a str>,
    trace_id: Option<String>,
    span_id: Option<String>,
    begun_at: String,
    deadline: Option<String>,
    last_seen_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Entry>>,
}

/// One entry of a timeline: when which state was entered.
#[derive(Serialize)]
struct Entry {
    state: TaskState,
    at: String,
}

/// `GET /tasks`.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query.map_err(|rejection| bad_query(rejection.body_text()))?;
    let wanted = Wanted::from_query(query)?;
    let at = Arc::clone(&service);
    // Looking for a rare name among a million tasks takes a while.
    let page = spawn_blocking(move || wanted.page(&at)).await;
    let page = page.map_err(|_| Refusal::draining())?;
    Ok(page.into_response(service.tracker.now()))
}

/// `GET /tasks/{id}`.
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    // What is no UTF-8 is no id either.
    let id = id.map_or(Err(InvalidTaskId), |Path(id)| id.parse::<TaskId>());
    let id = id
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "Invalid task id").details(error))?;
    let view = service.tracker.registry().find(id).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "No such task")
            .details("it was never begun here, or ended so long ago that it has been forgotten")
    })?;
    let mut wire = Wire::of(&view, service.tracker.now());
    wire.timeline = Some(timeline(&view));
    Ok(Json(wire).into_response())
}

fn bad_query(details: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "Invalid query").details(details)
}

// === impl Wanted ===

impl Wanted {
    fn from_query(query: ListQuery) -> Result<Self, Refusal> {
        let state = query.state.map(|state| state.parse::<TaskState>());
        let state = state
            .transpose()
            .map_err(|error| bad_query(error.to_string()))?;
        let limit = match query.limit {
            None => PAGE,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LONGEST_PAGE).contains(limit))
                .ok_or_else(|| {
                    bad_query(format!(
                        "limit is `{}`; it is 1 to {LONGEST_PAGE}",
                        text.escape_debug()
                    ))
                })?,
        };
        let cursor = query.cursor.map(|cursor| cursor.parse::<TaskId>());
        let cursor = cursor.transpose().map_err(|_| {
            bad_query("cursor is not what `next` of the page before it was".to_owned())
        })?;
        Ok(Self {
            state,
            name: query.name,
            limit,
            cursor,
        })
    }

    fn page(&self, service: &Service) -> Page {
        let slice = match self.state {
            None => Slice::All,
            Some(TaskState::Running) => Slice::Active,
            Some(_) => Slice::Ended,
        };
        let window = Window {
            slice,
            before: self.cursor,
            // One more, to know whether there is a next page.
            limit: self.limit + 1,
        };
        let mut views = service
            .tracker
            .registry()
            .page(window, |view| self.wants(view));
        let more = views.len() > self.limit;
        views.truncate(self.limit);
        let next = views.last().filter(|_| more).map(|view| view.task.id);
        Page { views, next }
    }

    fn wants(&self, view: &View<Live>) -> bool {
        self.state.is_none_or(|state| view.state() == state)
            && self
                .name
                .as_deref()
                .is_none_or(|name| *view.task.name == *name)
    }
}

/// A page of tasks.
struct Page {
    views: Vec<View<Live>>,
    next: Option<TaskId>,
}

// === impl Page ===

impl Page {
    /// Writes the page while it is read: a thousand tasks with all the metadata
    /// they may have are 320 MB.
    fn into_response(self, now: Duration) -> Response {
        let end = format!(
            "],\"next\":{}}}",
            self.next
                .map_or_else(|| "null".to_owned(), |id| id.to_string())
        );
        let mut views = self.views.into_iter();
        let mut end = Some(end);
        let mut started = false;
        let chunks = std::iter::from_fn(move || {
            end.as_ref()?;
            let mut chunk = Vec::new();
            if !started {
                chunk.extend_from_slice(b"{\"tasks\":[");
            }
            while chunk.len() < CHUNK {
                let Some(view) = views.next() else {
                    chunk.extend(end.take().unwrap_or_default().into_bytes());
                    break;
                };
                if std::mem::replace(&mut started, true) {
                    chunk.push(b',');
                }
                serde_json::to_writer(&mut chunk, &Wire::of(&view, now))
                    .expect("a task's text is JSON and a vector takes it");
            }
            started = true;
            Some(Ok::<_, Infallible>(Bytes::from(chunk)))
        });
        // Without the turn that it gives away, a client that reads fast enough
        // would keep the front to itself for many chunks in a row.
        let turns = stream::iter(chunks).then(|chunk| async {
            yield_now().await;
            chunk
        });
        let body = Body::from_stream(turns);
        ([(CONTENT_TYPE, JSON)], body).into_response()
    }
}

// === impl Wire ===

impl<'a> Wire<'a> {
    fn of(view: &'a View<Live>, now: Duration) -> Self {
        let task = &*view.task;
        let origin = task.origin.as_deref();
        let ending = view.ending.as_deref();
        let span: &TaskSpan = task.payload.as_ref();
        let ids = span.ids();
        let progress = view.progress.as_deref();
        Self {
            id: task.id,
            name: &task.name,
            state: view.state(),
            metadata: raw(task.metadata()),
            session_id: origin.and_then(|origin| origin.session_id.as_deref()),
            request_id: origin.map(|origin| &*origin.request_id),
            started_at: rfc3339(task.begun.wall),
            ended_at: ending.map(|ending| rfc3339(task.begun.wall + ending.duration)),
            duration_seconds: view.duration(now).as_secs_f64(),
            overdue: view.is(Condition::Overdue, now),
            stalled: view.is(Condition::Stalled, now),
            progress: progress.and_then(|progress| progress.share),
            progress_message: progress.map(|progress| &*progress.message),
            result: ending.and_then(|ending| ending.result.as_deref()).map(raw),
            error: ending.and_then(|ending| ending.error.as_deref()),
            trace_id: ids.map(|ids| ids.trace.to_string()),
            span_id: ids.map(|ids| ids.span.to_string()),
            begun_at: task.begun_at.to_string(),
            deadline: task.deadline().map(rfc3339),
            last_seen_at: view.last_seen_at().map(rfc3339),
            timeline: None,
        }
    }
}

fn timeline(view: &View<Live>) -> Vec<Entry> {
    let begun = view.task.begun.wall;
    let begin = Entry {
        state: TaskState::Running,
        at: rfc3339(begun),
    };
    let end = view.ending.as_ref().map(|ending| Entry {
        state: ending.state,
        at: rfc3339(begun + ending.duration),
    });
    std::iter::once(begin).chain(end).collect()
}

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).expect("the door keeps valid JSON only")
}

/// The moment a task's wall clock showed, moved on by its monotonic duration:
/// a clock that jumps meanwhile bends no timeline.
fn rfc3339(since_epoch: Duration) -> String {
    let at: SystemTime = UNIX_EPOCH + since_epoch;
    humantime::format_rfc3339_micros(at).to_string()
}
