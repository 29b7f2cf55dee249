//! Keeps the last line of tasks that may be found silent, for the warning about
//! that.

use std::fmt::{self, Write as _};

use opentelemetry::Context;
use tracing::{
    Event,
    field::{Field, Visit},
};

use super::{TASK, line::MESSAGE};
use crate::telemetry::{quietly, scope::Scope};

/// Bytes of a line that are kept.
const MOST: usize = 200;

/// Takes an event's message.
#[derive(Default)]
struct Quote(String);

/// Keeps the message of an event, where somebody may ask for it. What we say of the
/// task ourselves is no sign of its doing.
pub(super) fn keep(event: &Event<'_>) {
    if event.metadata().target() == TASK {
        return;
    }
    // On a thread that ends, the context may be gone already, which panics.
    let last =
        quietly(|| Context::map_current(|context| context.get::<Scope>()?.last_line.clone()));
    if let Some(last) = last.flatten() {
        let mut quote = Quote::default();
        event.record(&mut quote);
        last.put(quote.0);
    }
}

// === impl Quote ===

impl Visit for Quote {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE && self.0.is_empty() {
            // It fails once there is enough.
            write!(self, "{value:?}").unwrap_or_default();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl fmt::Write for Quote {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MOST - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}
