//! The printed log: where it goes, in which form, and what it never does,
//! which is to block.
//!
//! Whom a line was logged for comes from the OpenTelemetry context alone, never
//! from spans: so `RUST_LOG` may remove any span, and the lines keep their ids.

mod filter;
mod json;
mod line;
mod pretty;
mod print;
mod quote;
mod rate;
#[cfg(test)]
mod tests;
mod text;
mod writer;

use std::{
    env,
    io::{self, IsTerminal as _},
    str::FromStr,
};

use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

pub(crate) use rate::RateLimit;
pub(crate) use writer::DroppedLines;

use self::print::{Form, Printer};
use super::{Telemetry, layer_of};

/// The target of the line that names the address, which whoever starts the
/// process reads.
pub(crate) const LISTENING: &str = "taskpulse::listening";

/// The target of spans and lines about a task.
pub(super) const TASK: &str = "taskpulse::task";

/// Lines that wait for a slow reader of standard output; more are dropped.
///
/// At 200 bytes a line that is 13 MB, and a minute at 1,000 lines a second.
const QUEUE: usize = 65_536;

/// The form of the printed log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One object a line.
    Json,
}

/// Prints what is still queued when it is dropped, for at most a second.
#[derive(Debug)]
pub(crate) struct LogGuard {
    #[expect(dead_code, reason = "its drop flushes")]
    worker: WorkerGuard,
    dropped: DroppedLines,
    warning: Option<String>,
}

// === impl LogFormat ===

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("`pretty` or `json`".to_owned()),
        }
    }
}

// === impl LogGuard ===

impl LogGuard {
    /// Lines that were not printed. The handle outlives the guard and keeps
    /// nothing from being flushed.
    pub(crate) const fn dropped(&self) -> &DroppedLines {
        &self.dropped
    }

    /// What is wrong with `RUST_LOG`, which then counts as `info`.
    ///
    /// To be logged after the line that names the address: that is the first
    /// one that is printed.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// A layer that prints to standard output what `RUST_LOG` lets through (`info`
/// and above where it is not set).
pub(crate) fn printed<S>(format: LogFormat) -> (Box<dyn Layer<S> + Send + Sync>, LogGuard)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (writer, worker, dropped) = writer::queue(QUEUE, io::stdout());
    let (asked, warning) = filter::asked(env::var_os(EnvFilter::DEFAULT_ENV).as_deref());
    let layer = Printer::new(form(format), writer)
        .with_filter(asked.or(filter_fn(is_address)))
        .boxed();
    let guard = LogGuard {
        worker,
        dropped,
        warning,
    };
    (layer, guard)
}

/// Starts printing, and exporting as `telemetry` does. A subscriber that the
/// program has set stays, and then there is no guard.
pub(crate) fn start(format: LogFormat, telemetry: &Telemetry) -> Option<LogGuard> {
    let (layer, guard) = printed(format);
    let started = tracing_subscriber::registry()
        .with(layer)
        .with(layer_of(telemetry))
        .try_init();
    started.ok()?;
    telemetry.watch_printed(guard.dropped().clone());
    Some(guard)
}

/// Starts printing, for a program that exports nothing. A subscriber that is set
/// stays, and then there is no guard.
#[cfg(feature = "cli")]
pub(crate) fn start_alone(format: LogFormat) -> Option<LogGuard> {
    let (layer, guard) = printed(format);
    let started = tracing_subscriber::registry().with(layer).try_init();
    started.ok().map(|()| guard)
}

/// What no `RUST_LOG` removes.
fn is_address(metadata: &Metadata<'_>) -> bool {
    metadata.target() == LISTENING
}

fn form(format: LogFormat) -> Form {
    // See no-color.org: an empty variable asks for nothing.
    let plain = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match format {
        LogFormat::Json => Form::Json,
        LogFormat::Pretty => Form::Pretty {
            colour: io::stdout().is_terminal() && !plain(),
        },
    }
}
