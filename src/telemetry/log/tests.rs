//! Lines as they come out, with a fixed clock and a fixed context.

mod golden;
mod hostile;
mod properties;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value as Json};
use tracing::{
    Event, Level, Metadata,
    callsite::{Callsite, Identifier},
    field::{FieldSet, Value},
    metadata::Kind,
    subscriber::{Interest, with_default},
};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Form, Printer, TASK, text::MAX_LINE};
use crate::{
    TaskId,
    task::Origin,
    telemetry::scope::{LastLine, Scope},
};

const PRETTY: Form = Form::Pretty { colour: false };

/// What one event is made of.
struct Logged<'a> {
    level: Level,
    target: &'a str,
    fields: Vec<(&'a str, &'a dyn Value)>,
}

/// Where the events of these tests come from.
struct Site;

/// What has been printed.
#[derive(Default)]
struct Lines(Mutex<Vec<u8>>);

/// A JSON object that has no key twice.
struct Unique(Map<String, Json>);

/// An `info` of a target of its own.
fn logged<'a>(fields: Vec<(&'a str, &'a dyn Value)>) -> Logged<'a> {
    Logged {
        level: Level::INFO,
        target: "agent",
        fields,
    }
}

/// A context as in a task that a request began.
fn context(task_name: &str, session_id: &str, baggage: &[(&str, &str)]) -> Context {
    let baggage = baggage.iter();
    let origin = Origin {
        session_id: Some(session_id.into()),
        request_id: "r-1".into(),
        baggage: baggage
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    };
    let id = TaskId::try_from(1_795_357_387_000_001).unwrap();
    let span = SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new()
        .with_remote_span_context(span)
        .with_value(Scope {
            origin: Some(Arc::new(origin)),
            task: Some((id, task_name.into())),
            ..Scope::default()
        })
}

/// 1970-01-02, 12:00:01.123.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis((86_400 + 43_201) * 1_000 + 123)
}

/// What is printed meanwhile.
fn printed(form: Form, work: impl FnOnce()) -> String {
    let lines = Arc::new(Lines::default());
    let printer = Printer::new(form, Arc::clone(&lines)).with_clock(noon);
    with_default(tracing_subscriber::registry().with(printer), work);
    String::from_utf8(lines.bytes().clone()).expect("UTF-8")
}

/// The one line of an event, without its end.
#[track_caller]
fn line(form: Form, event: &Logged<'_>) -> String {
    let printed = printed(form, || event.dispatch());
    assert!(printed.len() < MAX_LINE, "{} bytes", printed.len());
    let line = printed.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains(is_hostile), "{line:?}");
    line.to_owned()
}

/// The one object of an event.
#[track_caller]
fn object(event: &Logged<'_>) -> Map<String, Json> {
    let line = line(Form::Json, event);
    let object: Result<Unique, _> = serde_json::from_str(&line);
    object.unwrap_or_else(|error| panic!("{error}: {line}")).0
}

/// What must not reach a terminal.
fn is_hostile(c: char) -> bool {
    let turns = ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}'];
    let isolates = ['\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'];
    let separators = ['\u{2028}', '\u{2029}'];
    c.is_control() || turns.contains(&c) || isolates.contains(&c) || separators.contains(&c)
}

// === impl Logged ===

impl Logged<'_> {
    /// Logs it. What macros keep in statics is leaked.
    fn dispatch(&self) {
        let names = self.fields.iter().map(|(name, _)| leak(name));
        let names = Box::leak(names.collect::<Box<[&'static str]>>());
        let metadata = Box::leak(Box::new(Metadata::new(
            "event",
            leak(self.target),
            self.level,
            None,
            None,
            None,
            FieldSet::new(names, Identifier(&Site)),
            Kind::EVENT,
        )));
        let values = self.fields.iter().map(|(_, value)| Some(*value));
        let values = values.collect::<Vec<_>>();
        Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.into())
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        unreachable!("it is never registered")
    }
}

// === impl Lines ===

impl Lines {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Unique ===

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object without a key twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
                let mut map = Map::new();
                while let Some((key, value)) = entries.next_entry::<String, Json>()? {
                    assert!(map.insert(key.clone(), value).is_none(), "{key:?} twice");
                }
                Ok(Unique(map))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// The last line inside a task that may be found silent is kept, cut, and what we
/// say of the task ourselves is not taken for one.
#[test]
fn the_last_line_of_a_task_is_kept_where_it_may_be_asked_for() {
    let last = Arc::new(LastLine::default());
    let scope = Scope {
        last_line: Some(Arc::clone(&last)),
        ..Scope::default()
    };
    for form in [Form::Json, Form::Pretty { colour: false }] {
        printed(form, || {
            tracing::info!("outside");
            let _inside = Context::new().with_value(scope.clone()).attach();
            tracing::info!(page = 4, "page {}", 4);
            assert_eq!(last.get().as_deref(), Some("page 4"));
            tracing::warn!(target: TASK, "task import 1 stalled");
            assert_eq!(last.get().as_deref(), Some("page 4"));
            tracing::info!("{}", "ä".repeat(500));
            assert_eq!(last.get(), Some("ä".repeat(100)));
            let _outside = Context::new().attach();
            tracing::info!("outside");
        });
        assert_eq!(last.get(), Some("ä".repeat(100)));
    }
}
