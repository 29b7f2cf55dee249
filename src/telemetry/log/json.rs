//! One JSON object a line: `timestamp`, `level`, `message`, `target`, the
//! event's own fields, and of the task and request it was logged in
//! `task_id`, `task_name`, `sessionId`, `requestId`.

use std::{fmt, io::Write as _, time::SystemTime};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::{Layer, fmt::MakeWriter as _, layer::Context, registry::LookupSpan};

/// Writes every event as a line.
#[derive(Debug)]
pub(super) struct JsonLayer(NonBlocking);

/// What a span adds to the lines logged inside it.
#[derive(Default)]
struct SpanFields(Map<String, Value>);

/// Collects fields as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

/// A span's field, and its name on a line.
const INHERITED: [(&str, &str); 4] = [
    ("task.id", "task_id"),
    ("task.name", "task_name"),
    ("session.id", "sessionId"),
    ("taskpulse.request.id", "requestId"),
];

// === impl JsonLayer ===

impl JsonLayer {
    pub(super) const fn new(writer: NonBlocking) -> Self {
        Self(writer)
    }
}

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(SpanFields::inherited(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let mut fields = Map::new();
        values.record(&mut Fields(&mut fields));
        if let Some(span) = ctx.span(id)
            && let Some(kept) = span.extensions_mut().get_mut::<SpanFields>()
        {
            kept.0.extend(SpanFields::inherited(fields).0);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut line = Map::new();
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        line.insert("timestamp".into(), now.into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("message".into(), Value::Null); // In this place; filled below.
        line.insert("target".into(), event.metadata().target().into());
        for span in ctx
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(kept) = span.extensions().get::<SpanFields>() {
                line.extend(kept.0.clone());
            }
        }
        event.record(&mut Fields(&mut line));
        write(&self.0, &line);
    }
}

/// Hands one line over. The writer drops it rather than wait.
fn write(writer: &NonBlocking, line: &Map<String, Value>) {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    // It cannot fail: a full queue is counted by the writer itself.
    drop(writer.make_writer().write_all(&text));
}

// === impl SpanFields ===

impl SpanFields {
    fn inherited(mut fields: Map<String, Value>) -> Self {
        let named = INHERITED.into_iter();
        Self(
            named
                .filter_map(|(field, name)| Some((name.to_owned(), fields.remove(field)?)))
                .collect(),
        )
    }
}

// === impl Fields ===

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
