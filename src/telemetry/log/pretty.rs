//! One line for people: time, level, message, the event's fields, and whom it
//! was logged for.

use std::time::{Duration, SystemTime};

use opentelemetry::{SpanId, TraceId};
use tracing::{Event, Level};

use super::{
    TASK,
    line::{self, Line, Value},
    print::Buffers,
    text::{MAX_FIELDS, MAX_LINE, MAX_NAME, Shown, Spelling, put, spell},
};
use crate::{TaskId, task::Origin};

/// A line that is being written.
struct Words<'a> {
    line: &'a mut String,
    colour: bool,
    /// Whether a field has been written.
    has_fields: bool,
    /// Whether the message says which task it is about.
    names_task: bool,
    /// The trace, which comes last.
    trace: Option<TraceId>,
    left_out: usize,
}

/// The names that no baggage takes: what it would be taken for.
const FIXED: [&str; 5] = ["task", "session", "request", "trace", LEFT_OUT];

/// How many fields there was no room for.
const LEFT_OUT: &str = "fields_left_out";

/// What our own targets begin with. Those are not shown: the messages tell.
const OURS: &str = "taskpulse";

/// Bytes of a line at most that the event's own fields take it to. There is
/// room for the ids after them.
const MAX_EVENT: usize = 64 * 1024;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Writes an event without the newline.
pub(super) fn write(event: &Event<'_>, now: SystemTime, colour: bool, buffers: &mut Buffers) {
    let Buffers { line, value, .. } = buffers;
    let metadata = event.metadata();
    let target = metadata.target();
    time(now, colour, line);
    level(*metadata.level(), colour, line);
    if !target.starts_with(OURS) {
        Shown::start(target, MAX_NAME).write(Spelling::Plain, line);
        line.push_str(": ");
    }
    let mut words = Words {
        line,
        colour,
        has_fields: false,
        names_task: target == TASK,
        trace: None,
        left_out: 0,
    };
    line::message(event, &mut words, value);
    line::fields(event, &mut words, value);
    line::identify(&mut words);
    words.end();
}

/// The time of day, UTC: the local time is not to be had without a dependency.
fn time(now: SystemTime, colour: bool, line: &mut String) {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let (second, millis) = (now.as_secs() % 86_400, now.subsec_millis());
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let (dim, reset) = if colour { (DIM, RESET) } else { ("", "") };
    put(
        line,
        format_args!("{dim}{hour:02}:{minute:02}:{second:02}.{millis:03}{reset} "),
    );
}

fn level(level: Level, colour: bool, line: &mut String) {
    let text = level.as_str();
    if !colour {
        return put(line, format_args!("{text:<5} "));
    }
    let code = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    put(line, format_args!("\x1b[{code}m{text:<5}{RESET} "));
}

/// A value: in quotes where one could not tell where it begins and ends.
fn value(shown: Shown<'_>, line: &mut String) {
    let text = shown.text;
    let is_json = text.starts_with(['{', '[']);
    let is_open =
        text.is_empty() || text.contains(char::is_whitespace) || !is_json && text.contains('"');
    if is_open && !is_quoted(text) {
        line.push('"');
        spell(text, Spelling::Quoted, line);
        line.push('"');
    } else {
        spell(text, Spelling::Plain, line);
    }
    shown.mark(line);
}

/// Whether a text is in quotes already, as `Debug` writes strings.
fn is_quoted(text: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let mut escaped = false;
    inner.is_some_and(|inner| {
        let is_closed = inner.chars().all(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            !ends
        });
        is_closed && !escaped
    })
}

// === impl Words ===

impl Words<'_> {
    /// Writes `name=value`, unless the line then has more than `limit` bytes.
    fn word(&mut self, limit: usize, name: &str, write: impl FnOnce(&mut String)) {
        let start = self.line.len();
        self.line.push_str(match (self.has_fields, self.colour) {
            (true, _) => " ",
            (false, false) => "  ",
            (false, true) => concat!("  ", "\x1b[2m"),
        });
        spell(name, Spelling::Plain, self.line);
        self.line.push('=');
        write(self.line);
        if self.line.len() > limit {
            self.line.truncate(start);
            self.left_out += 1;
        } else {
            self.has_fields = true;
        }
    }

    /// A name or an id.
    fn name(&mut self, name: &str, text: &str) {
        self.word(MAX_FIELDS, name, |line| {
            value(Shown::start(text, MAX_NAME), line);
        });
    }

    fn end(mut self) {
        let left_out = self.left_out;
        if left_out > 0 {
            self.word(MAX_LINE, LEFT_OUT, |line| {
                put(line, format_args!("{left_out}"))
            });
        }
        if let Some(trace_id) = self.trace {
            self.word(MAX_LINE, "trace", |line| {
                put(line, format_args!("{trace_id}"))
            });
        }
        if self.has_fields && self.colour {
            self.line.push_str(RESET);
        }
    }
}

impl Line for Words<'_> {
    /// A terminal of 80 by 25.
    const MAX_TEXT: usize = 2 * 1024;

    fn message(&mut self, text: Shown<'_>) {
        text.write(Spelling::Plain, self.line);
    }

    fn field(&mut self, name: &str, field: Value<'_>) {
        // The message of such a line names the state as well.
        if self.names_task && name == "state" {
            return;
        }
        self.word(MAX_EVENT, name, |line| match field {
            Value::Text(text) => value(text, line),
            Value::Plain(text) => put(line, text),
        });
    }

    fn span(&mut self, trace_id: TraceId, _span_id: SpanId) {
        self.trace = Some(trace_id);
    }

    fn task(&mut self, id: TaskId, name: &str) {
        if !self.names_task {
            self.word(MAX_FIELDS, "task", |line| {
                value(Shown::start(name, MAX_NAME), line);
                put(line, format_args!(" {id}"));
            });
        }
    }

    fn origin(&mut self, origin: &Origin) {
        if let Some(session_id) = &origin.session_id {
            self.name("session", session_id);
        }
        self.name("request", &origin.request_id);
        for (at, (key, text)) in origin.baggage.iter().enumerate() {
            let is_second = origin.baggage[..at].iter().any(|(other, _)| other == key);
            if !FIXED.contains(&&**key) && !is_second {
                self.word(MAX_FIELDS, key, |line| {
                    value(Shown::start(text, Self::MAX_TEXT), line)
                });
            }
        }
    }
}
