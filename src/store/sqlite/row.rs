//! A task as a row, and back.
//!
//! A row is believed only where its two sums are right: one over what a task is begun
//! with, one over what may change later, so that a change need not know the rest.

use std::{borrow::Cow, time::Duration};

use flate2::Crc;
use rusqlite::{
    Row, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use serde_json::value::RawValue;

use crate::{
    TaskId, TaskState,
    store::backend::{End, Record, Trace},
};

/// What may change of a task.
macro_rules! now {
    () => {
        "state, ended_at, duration, panicked, last_seen, progress, progress_message, error, result, now_sum"
    };
}

/// What a task is begun with.
macro_rules! begun {
    () => {
        "run, begun, deadline, trace_id, span_id, parent_id, sampled, line, file, name, \
         session_id, request_id, baggage, metadata, begun_sum"
    };
}

/// Columns of the first kind, without the sum.
const NOW: usize = 9;
/// Columns of the second kind, without the sum.
const BEGUN: usize = 14;

pub(super) const INSERT: &str = concat!(
    "REPLACE INTO task (id, ",
    now!(),
    ", ",
    begun!(),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
);

pub(super) const UPDATE: &str = concat!(
    "UPDATE task SET (",
    now!(),
    ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) WHERE id = ?1"
);

/// Those that run, and those that say two things at once, which are damaged.
pub(super) const RUNNING: &str = concat!(
    "SELECT id, ",
    now!(),
    ", ",
    begun!(),
    " FROM task NOT INDEXED WHERE ended_at IS NULL OR state NOT IN
      ('succeeded', 'failed', 'cancelled', 'timed_out', 'interrupted', 'lost') ORDER BY id"
);

/// Those that ended last, last first.
pub(super) const ENDED: &str = concat!(
    "SELECT id, ",
    now!(),
    ", ",
    begun!(),
    " FROM task WHERE ended_at IS NOT NULL AND ended_at >= ?2
      ORDER BY ended_at DESC, id DESC LIMIT ?1"
);

/// A value that is bound.
pub(super) struct Bound<'a>(pub(super) ValueRef<'a>);

/// A row that was as it was written.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) run: i64,
    pub(super) task: Record<'static>,
}

/// Writes the whole row.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    task: &Record<'_>,
    run: i64,
) -> rusqlite::Result<()> {
    let id = id(task);
    let (now, begun) = (now(task), begun(task, run));
    let (now_sum, begun_sum) = (sum(id, &now), sum(id, &begun));
    let values = [ValueRef::Integer(id)].into_iter().chain(now);
    let values = values.chain([ValueRef::Blob(&now_sum)]).chain(begun);
    bind(statement, values.chain([ValueRef::Blob(&begun_sum)]))?;
    statement.raw_execute()?;
    Ok(())
}

/// Writes what may have changed; whether there was such a row.
pub(super) fn update(statement: &mut Statement<'_>, task: &Record<'_>) -> rusqlite::Result<bool> {
    let id = id(task);
    let now = now(task);
    let now_sum = sum(id, &now);
    let values = [ValueRef::Integer(id)].into_iter().chain(now);
    bind(statement, values.chain([ValueRef::Blob(&now_sum)]))?;
    Ok(statement.raw_execute()? > 0)
}

fn bind<'a>(
    statement: &mut Statement<'_>,
    values: impl Iterator<Item = ValueRef<'a>>,
) -> rusqlite::Result<()> {
    for (at, value) in (1..).zip(values) {
        statement.raw_bind_parameter(at, Bound(value))?;
    }
    Ok(())
}

/// Reads a row of [`RUNNING`] or [`ENDED`]; none where it is not as it was written.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Option<Read>> {
    let mut now = [ValueRef::Null; NOW];
    for (at, value) in (1..).zip(&mut now) {
        *value = row.get_ref(at)?;
    }
    let mut begun = [ValueRef::Null; BEGUN];
    for (at, value) in (NOW + 2..).zip(&mut begun) {
        *value = row.get_ref(at)?;
    }
    let ValueRef::Integer(id) = row.get_ref(0)? else {
        return Ok(None);
    };
    let is_sum = |at: usize, want: [u8; 4]| -> rusqlite::Result<bool> {
        Ok(row.get_ref(at)? == ValueRef::Blob(&want))
    };
    if !is_sum(NOW + 1, sum(id, &now))? || !is_sum(NOW + BEGUN + 2, sum(id, &begun))? {
        return Ok(None);
    }
    Ok(decode(id, now, begun))
}

/// A CRC-32 over values, their types and lengths.
pub(super) fn sum(id: i64, values: &[ValueRef<'_>]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(&id.to_le_bytes());
    for value in values {
        let (kind, number, bytes) = match value {
            ValueRef::Null => (0, [0; 8], &[][..]),
            ValueRef::Integer(number) => (1, number.to_le_bytes(), &[][..]),
            ValueRef::Real(number) => (2, number.to_le_bytes(), &[][..]),
            ValueRef::Text(bytes) => (3, bytes.len().to_le_bytes(), *bytes),
            ValueRef::Blob(bytes) => (4, bytes.len().to_le_bytes(), *bytes),
        };
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&number);
        crc.update(&head);
        crc.update(bytes);
    }
    crc.sum().to_le_bytes()
}

/// A time as it is stored; what is beyond the year 2262 becomes that.
pub(super) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A time as it was stored.
pub(super) fn time(value: ValueRef<'_>) -> Option<Duration> {
    u64::try_from(number(value)?).ok().map(Duration::from_nanos)
}

pub(super) fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

/// A task's id as it is stored.
pub(super) fn id(task: &Record<'_>) -> i64 {
    u64::from(task.id).cast_signed() // Below 2^53.
}

fn now<'r>(task: &'r Record<'_>) -> [ValueRef<'r>; NOW] {
    let end = task.end.as_ref();
    let state = end.map_or(TaskState::Running, |end| end.state);
    let ended_at = |end: &End<'_>| nanos(task.begun.saturating_add(end.duration));
    let progress = task.progress.filter(|progress| !progress.is_nan());
    [
        ValueRef::Text(state.as_str().as_bytes()),
        integer(end.map(ended_at)),
        integer(end.map(|end| nanos(end.duration))),
        integer(end.map(|end| i64::from(end.panicked))),
        integer(task.last_seen.map(nanos)),
        progress.map_or(ValueRef::Null, ValueRef::Real),
        optional(task.progress_message.as_deref()),
        optional(end.and_then(|end| end.error.as_deref())),
        optional(end.and_then(|end| end.result.as_deref())),
    ]
}

fn begun<'r>(task: &'r Record<'_>, run: i64) -> [ValueRef<'r>; BEGUN] {
    let trace = task.trace.as_ref();
    let blob = |bytes: Option<&'r [u8]>| bytes.map_or(ValueRef::Null, ValueRef::Blob);
    [
        ValueRef::Integer(run),
        ValueRef::Integer(nanos(task.begun)),
        integer(task.deadline.map(nanos)),
        blob(trace.map(|trace| &trace.trace_id[..])),
        blob(trace.map(|trace| &trace.span_id[..])),
        blob(
            trace
                .and_then(|trace| trace.parent_id.as_ref())
                .map(|id| &id[..]),
        ),
        integer(trace.map(|trace| i64::from(trace.sampled))),
        ValueRef::Integer(task.line.into()),
        ValueRef::Text(task.file.as_bytes()),
        ValueRef::Text(task.name.as_bytes()),
        optional(task.session_id.as_deref()),
        optional(task.request_id.as_deref()),
        optional(task.baggage.as_deref()),
        ValueRef::Text(task.metadata.as_bytes()),
    ]
}

fn decode(id: i64, now: [ValueRef<'_>; NOW], begun: [ValueRef<'_>; BEGUN]) -> Option<Read> {
    let [
        run,
        begun,
        deadline,
        trace_id,
        span_id,
        parent_id,
        sampled,
        rest @ ..,
    ] = begun;
    let [line, file, name, session_id, request_id, baggage, metadata] = rest;
    let [state, ended_at, duration, panicked, rest @ ..] = now;
    let [last_seen, progress, progress_message, error, result] = rest;
    let state: TaskState = text(state)?.parse().ok()?;
    let ended = maybe(ended_at, time)?;
    let end = match maybe(duration, time)? {
        Some(duration) if state.is_end() && ended.is_some() => Some(End {
            state,
            duration,
            result: maybe(result, json)?.map(own),
            error: maybe(error, text)?.map(own),
            panicked: flag(panicked)?,
        }),
        None if !state.is_end() && ended.is_none() => None,
        _ => return None,
    };
    let trace = match maybe(trace_id, bytes)? {
        Some(trace_id) => Some(Trace {
            trace_id,
            span_id: bytes(span_id)?,
            parent_id: maybe(parent_id, bytes)?,
            sampled: flag(sampled)?,
        }),
        None => None,
    };
    let task = Record {
        id: TaskId::try_from(u64::try_from(id).ok()?).ok()?,
        known: false,
        name: own(text(name)?),
        metadata: own(json(metadata).filter(|json| json.starts_with('{'))?),
        session_id: maybe(session_id, text)?.map(own),
        request_id: maybe(request_id, text)?.map(own),
        baggage: maybe(baggage, json)?.map(own),
        file: own(text(file)?),
        line: number(line)?.try_into().ok()?,
        begun: time(begun)?,
        deadline: maybe(deadline, time)?,
        trace,
        last_seen: maybe(last_seen, time)?,
        progress: maybe(progress, real)?,
        progress_message: maybe(progress_message, text)?.map(own),
        end,
    };
    let run = number(run)?;
    Some(Read { run, task })
}

fn integer(number: Option<i64>) -> ValueRef<'static> {
    number.map_or(ValueRef::Null, ValueRef::Integer)
}

fn optional(text: Option<&str>) -> ValueRef<'_> {
    text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
}

/// Reads what may be absent; none where it is there and is not what it should be.
fn maybe<'v, T>(
    value: ValueRef<'v>,
    read: impl FnOnce(ValueRef<'v>) -> Option<T>,
) -> Option<Option<T>> {
    if value == ValueRef::Null {
        return Some(None);
    }
    read(value).map(Some)
}

fn own(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn number(value: ValueRef<'_>) -> Option<i64> {
    value.as_i64().ok()
}

fn real(value: ValueRef<'_>) -> Option<f64> {
    value.as_f64().ok()
}

fn flag(value: ValueRef<'_>) -> Option<bool> {
    match number(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn bytes<const N: usize>(value: ValueRef<'_>) -> Option<[u8; N]> {
    value.as_blob().ok()?.try_into().ok()
}

/// Text that is JSON: others print it as it is.
fn json(value: ValueRef<'_>) -> Option<&str> {
    let json: &RawValue = serde_json::from_str(text(value)?).ok()?;
    Some(json.get())
}

// === impl Bound ===

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}
