//! The layer: one line for every event that reaches it.

use std::{cell::Cell, io::Write as _, ops::Range, time::SystemTime};

use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context};

use super::{json, pretty, quote};

/// Writes every event as a line.
#[derive(Debug)]
pub(super) struct Printer<W> {
    form: Form,
    writer: W,
    clock: fn() -> SystemTime,
}

/// How a line looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Json,
    Pretty { colour: bool },
}

/// Where a line comes into being.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) line: String,
    /// What a value's `Debug` writes.
    pub(super) value: String,
    /// Where in the line its keys are.
    pub(super) keys: Vec<Range<usize>>,
}

/// Bytes of a line whose memory is kept for the thread's next one.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// The buffers of this thread's last line, for the next one. They are taken
    /// out meanwhile: a value's `Debug` may log, too.
    static BUFFERS: Cell<Buffers> = Cell::default();
}

// === impl Printer ===

impl<W> Printer<W> {
    pub(super) fn new(form: Form, writer: W) -> Self {
        Self {
            form,
            writer,
            clock: SystemTime::now,
        }
    }

    #[cfg(test)]
    pub(super) fn with_clock(self, clock: fn() -> SystemTime) -> Self {
        Self { clock, ..self }
    }
}

impl<S, W> Layer<S> for Printer<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // On a thread that ends there is nothing left to take.
        let mut buffers = BUFFERS.try_with(Cell::take).unwrap_or_default();
        // A clock before 1970 has no place in a line.
        let now = (self.clock)().max(SystemTime::UNIX_EPOCH);
        buffers.clear();
        match self.form {
            Form::Json => json::write(event, now, &mut buffers),
            Form::Pretty { colour } => pretty::write(event, now, colour, &mut buffers),
        }
        buffers.line.push('\n');
        quote::keep(event);
        let mut writer = self.writer.make_writer();
        // A full queue is counted by the writer itself.
        writer
            .write_all(buffers.line.as_bytes())
            .unwrap_or_default();
        if buffers.is_small() {
            BUFFERS
                .try_with(|kept| kept.set(buffers))
                .unwrap_or_default();
        }
    }
}

// === impl Buffers ===

impl Buffers {
    fn clear(&mut self) {
        self.line.clear();
        self.value.clear();
        self.keys.clear();
    }

    fn is_small(&self) -> bool {
        self.line.capacity().max(self.value.capacity()) <= KEPT
    }
}
