//! What every line is told, whatever its form: the event's message and fields,
//! and whom it was logged for.

use std::{error::Error, fmt};

use opentelemetry::{Context, SpanId, TraceId, trace::TraceContextExt as _};
use tracing::{
    Event,
    field::{Field, Visit},
};

use super::text::{Cut, Shown};
use crate::{
    TaskId,
    task::Origin,
    telemetry::{quietly, scope::Scope},
};

/// A line that is being written.
pub(super) trait Line {
    /// Bytes of a text at most, before they are spelled.
    const MAX_TEXT: usize;

    fn message(&mut self, text: Shown<'_>);

    /// A field of the event, other than its message.
    fn field(&mut self, name: &str, value: Value<'_>);

    /// The active span and its trace.
    fn span(&mut self, trace_id: TraceId, span_id: SpanId);

    fn task(&mut self, id: TaskId, name: &str);

    fn origin(&mut self, origin: &Origin);
}

/// The value of a field.
pub(super) enum Value<'a> {
    Text(Shown<'a>),
    /// A number that JSON has, or a boolean.
    Plain(fmt::Arguments<'a>),
}

/// Tells a line the message or the other fields.
struct Teller<'a, L> {
    line: &'a mut L,
    /// What a value's `Debug` writes.
    text: &'a mut String,
    part: Part,
    /// Whether the message was met. A second one is a field.
    has_met_message: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Message,
    Fields,
}

/// The field that is the message.
pub(super) const MESSAGE: &str = "message";

/// Tells a line the event's message, which is empty if there is none.
pub(super) fn message(event: &Event<'_>, line: &mut impl Line, text: &mut String) {
    if !tell(Part::Message, event, line, text) {
        line.message(Shown::start("", 0));
    }
}

/// Tells a line the event's fields besides the message.
pub(super) fn fields(event: &Event<'_>, line: &mut impl Line, text: &mut String) {
    tell(Part::Fields, event, line, text);
}

/// Whether there is a message.
fn tell(part: Part, event: &Event<'_>, line: &mut impl Line, text: &mut String) -> bool {
    let mut teller = Teller {
        line,
        text,
        part,
        has_met_message: false,
    };
    event.record(&mut teller);
    teller.has_met_message
}

/// Tells a line its ids. Nobody else's code runs in here: it could attach a
/// context, which must not happen while one is looked at.
pub(super) fn identify(line: &mut impl Line) {
    // On a thread that ends, the context may be gone already, which panics.
    quietly(|| {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            if span.is_valid() {
                line.span(span.trace_id(), span.span_id());
            }
            let scope = context.get::<Scope>();
            if let Some((id, name)) = scope.and_then(|scope| scope.task.as_ref()) {
                line.task(*id, name);
            }
            if let Some(origin) = scope.and_then(|scope| scope.origin.as_deref()) {
                line.origin(origin);
            }
        });
    });
}

// === impl Teller ===

impl<L: Line> Teller<'_, L> {
    /// Whether a field belongs to the part that is told.
    fn wants(&mut self, field: &Field) -> bool {
        let is_message = field.name() == MESSAGE && !self.has_met_message;
        self.has_met_message |= is_message;
        is_message == (self.part == Part::Message)
    }

    fn plain(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.part == Part::Message {
            self.text(field, |cut| cut.display(value));
        } else if self.wants(field) {
            self.line.field(field.name(), Value::Plain(value));
        }
    }

    fn text(&mut self, field: &Field, text: impl for<'t> FnOnce(Cut<'t>) -> Shown<'t>) {
        if self.wants(field) {
            let text = text(Cut::new(self.text, L::MAX_TEXT));
            give(self.part, self.line, field, text);
        }
    }
}

fn give(part: Part, line: &mut impl Line, field: &Field, text: Shown<'_>) {
    match part {
        Part::Message => line.message(text),
        Part::Fields => line.field(field.name(), Value::Text(text)),
    }
}

impl<L: Line> Visit for Teller<'_, L> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, format_args!("{value:?}"));
        } else {
            self.text(field, |cut| cut.debug(&value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, format_args!("{value}"));
    }

    /// What 64 bits do not hold is a text: readers of JSON would round it.
    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) if value > 0 => self.record_u128(field, value.unsigned_abs()),
            Err(_) => self.text(field, |cut| cut.debug(&value)),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.text(field, |cut| cut.debug(&value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.wants(field) {
            let text = Shown::start(value, L::MAX_TEXT);
            give(self.part, self.line, field, text);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, |cut| cut.error(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, |cut| cut.debug(value));
    }
}
