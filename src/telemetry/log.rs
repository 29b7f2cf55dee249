//! The printed log: where it goes, in which form, and what it never does,
//! which is to block.

mod json;
mod rate;

use std::{io, str::FromStr};

use tracing::Metadata;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub(crate) use rate::RateLimit;

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
pub(crate) struct LogGuard(#[expect(dead_code, reason = "its drop flushes")] Option<WorkerGuard>);

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

/// What no `RUST_LOG` removes: the address, and the spans of tasks, from which
/// the lines that are printed take their ids.
fn always(metadata: &Metadata<'_>) -> bool {
    metadata.target() == LISTENING || metadata.is_span() && metadata.target() == TASK
}

/// Starts printing to standard output what `RUST_LOG` lets through (`info` and
/// above where it is not set). A subscriber that the program has set stays.
pub(crate) fn start(format: LogFormat) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .lossy(true)
        .thread_name("taskpulse-log")
        .finish(io::stdout());
    let layer = match format {
        LogFormat::Pretty => tracing_subscriber::fmt::layer().with_writer(writer).boxed(),
        LogFormat::Json => json::JsonLayer::new(writer).boxed(),
    };
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::registry()
        .with(layer.with_filter(asked.or(filter_fn(always))))
        .try_init();
    LogGuard(started.is_ok().then_some(guard))
}
