//! The printed log: where it goes, in which form, and what it never does,
//! which is to block.

mod json;
mod rate;

use std::{io, str::FromStr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::Directive, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub(crate) use rate::RateLimit;

/// The target of the line that names the address. Whoever starts the process
/// reads it, so no `RUST_LOG` removes it.
pub(crate) const LISTENING: &str = "taskpulse::listening";

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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let always = Directive::from_str(&format!("{LISTENING}=info"));
    let filter = filter.add_directive(always.expect("a target and a level are a directive"));
    let started = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    LogGuard(started.is_ok().then_some(guard))
}
