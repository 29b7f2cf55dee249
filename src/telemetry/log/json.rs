//! One JSON object a line: `timestamp`, `level`, `message`, `target`, of the
//! span, task and request it was logged in `trace_id`, `span_id`, `task_id`,
//! `task_name`, `sessionId`, `requestId`, then baggage, and the event's own
//! fields. No key comes twice.

use std::{ops::Range, time::SystemTime};

use opentelemetry::{SpanId, TraceId};
use tracing::Event;

use super::{
    line::{self, Line, MESSAGE, Value},
    print::Buffers,
    text::{MAX_FIELDS, MAX_NAME, Shown, Spelling, put, spell},
};
use crate::{TaskId, task::Origin, telemetry::hex};

/// An object that is being written.
struct Object<'a> {
    line: &'a mut String,
    /// Where in the line the keys of its fields are.
    keys: &'a mut Vec<Range<usize>>,
    left_out: usize,
}

/// The keys that no field and no baggage takes.
const FIXED: [&str; 11] = [
    "timestamp",
    "level",
    MESSAGE,
    "target",
    "trace_id",
    "span_id",
    "task_id",
    "task_name",
    "sessionId",
    "requestId",
    LEFT_OUT,
];

/// How many fields there was no room for.
const LEFT_OUT: &str = "fields_left_out";

/// What stands before a field's name that is a key already.
const PREFIX: &str = "fields.";

/// Writes an event without the newline.
pub(super) fn write(event: &Event<'_>, now: SystemTime, buffers: &mut Buffers) {
    let Buffers { line, value, keys } = buffers;
    let metadata = event.metadata();
    line.push('{');
    let mut object = Object {
        line,
        keys,
        left_out: 0,
    };
    let now = humantime::format_rfc3339_millis(now);
    object.fixed("timestamp", |line| put(line, format_args!("\"{now}\"")));
    object.fixed("level", |line| name(metadata.level().as_str(), line));
    line::message(event, &mut object, value);
    object.fixed("target", |line| name(metadata.target(), line));
    line::identify(&mut object);
    line::fields(event, &mut object, value);
    object.end();
}

/// Writes an id as a string.
fn id(bytes: &[u8], line: &mut String) {
    line.push('"');
    hex::push(line, bytes);
    line.push('"');
}

/// A name or an id.
fn name(text: &str, line: &mut String) {
    string(Shown::start(text, MAX_NAME), line);
}

fn string(text: Shown<'_>, line: &mut String) {
    line.push('"');
    text.write(Spelling::Json, line);
    line.push('"');
}

// === impl Object ===

impl Object<'_> {
    /// Writes one of the fixed keys. There is always room for those.
    fn fixed(&mut self, key: &str, value: impl FnOnce(&mut String)) {
        self.key("", key);
        value(self.line);
    }

    /// Writes a key; where in the line it is.
    fn key(&mut self, prefix: &str, name: &str) -> Range<usize> {
        let is_first = self.line.len() == "{".len();
        self.line.push_str(if is_first { "\"" } else { ",\"" });
        let start = self.line.len();
        self.line.push_str(prefix);
        spell(name, Spelling::Json, self.line);
        let key = start..self.line.len();
        self.line.push_str("\":");
        key
    }

    /// Whether the line has this key already, or keeps it for itself.
    fn is_taken(&self, key: &Range<usize>) -> bool {
        let text = |range: &Range<usize>| &self.line[range.clone()];
        let key = text(key);
        FIXED.contains(&key) || self.keys.iter().any(|other| text(other) == key)
    }

    /// Writes the value of a key that begins at `start`, unless that is too
    /// much for the line.
    fn value(&mut self, start: usize, key: Range<usize>, value: Value<'_>) {
        match value {
            Value::Text(text) => string(text, self.line),
            Value::Plain(text) => put(self.line, text),
        }
        if self.line.len() > MAX_FIELDS {
            self.line.truncate(start);
            self.left_out += 1;
        } else {
            self.keys.push(key);
        }
    }

    /// Writes an entry of the baggage, unless its key is taken.
    fn baggage(&mut self, key: &str, value: &str) {
        let start = self.line.len();
        let key = self.key("", key);
        if self.is_taken(&key) {
            self.line.truncate(start);
        } else {
            let text = Shown::start(value, Self::MAX_TEXT);
            self.value(start, key, Value::Text(text));
        }
    }

    fn end(mut self) {
        let left_out = self.left_out;
        if left_out > 0 {
            self.fixed(LEFT_OUT, |line| put(line, format_args!("{left_out}")));
        }
        self.line.push('}');
    }
}

impl Line for Object<'_> {
    /// Container runtimes split lines at 16 KiB: a text that long has no need
    /// of the rest.
    const MAX_TEXT: usize = 16 * 1024;

    fn message(&mut self, text: Shown<'_>) {
        self.fixed(MESSAGE, |line| string(text, line));
    }

    fn field(&mut self, name: &str, value: Value<'_>) {
        let start = self.line.len();
        let mut prefix = String::new();
        let mut key = self.key(&prefix, name);
        while self.is_taken(&key) {
            prefix.push_str(PREFIX);
            self.line.truncate(start);
            key = self.key(&prefix, name);
        }
        self.value(start, key, value);
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.fixed("trace_id", |line| id(&trace_id.to_bytes(), line));
        self.fixed("span_id", |line| id(&span_id.to_bytes(), line));
    }

    fn task(&mut self, id: TaskId, task_name: &str) {
        self.fixed("task_id", |line| put(line, format_args!("{id}")));
        self.fixed("task_name", |line| name(task_name, line));
    }

    fn origin(&mut self, origin: &Origin) {
        if let Some(session_id) = &origin.session_id {
            self.fixed("sessionId", |line| name(session_id, line));
        }
        self.fixed("requestId", |line| name(&origin.request_id, line));
        for (key, value) in &origin.baggage {
            self.baggage(key, value);
        }
    }
}
