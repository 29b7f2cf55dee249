//! Everything that tells the world about tasks. [`emit`](emit()) is the table from
//! events to telemetry; nothing else names a span, a field or a log line about
//! a task's state.
//!
//! Nothing here can fail or block a task: a subscriber that panics is caught,
//! and a log that nobody reads loses lines instead of stopping the service.

mod emit;
pub(crate) mod log;
mod quiet;
mod span;

pub(crate) use emit::emit;
pub(crate) use log::RateLimit;
pub(crate) use quiet::{drop_quietly, quietly};
pub(crate) use span::TaskSpan;
