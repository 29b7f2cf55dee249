//! Everything that tells the world about tasks: spans, metrics and the log.
//!
//! [`App::run`](crate::App::run) starts telemetry by itself, as the standard
//! `OTEL_*` variables say: with `OTEL_EXPORTER_OTLP_ENDPOINT` set, spans and
//! metrics go there by OTLP. Metrics are at `/metrics` in any case.
//!
//! A program that has a subscriber of its own, and serves with
//! [`App::serve`](crate::App::serve) or [`App::into_router`](crate::App::into_router),
//! starts it with [`start()`], or with [`builder`] where it has providers of its
//! own, and adds [`layer`](layer()) to its subscriber.
//!
//! # Versions
//!
//! Only spans and metrics of the same OpenTelemetry crates find each other. They
//! are re-exported here, so that a program need not guess:
//!
//! | taskpulse | opentelemetry, -sdk, -otlp | tracing-opentelemetry |
//! |---|---|---|
//! | 0.1 | 0.33 | 0.34 |
// For whoever changes it: `emit` is the table from events to telemetry; nothing
// else names a span, a field or a log line about a task's state. Nothing here can
// fail or block a task: a subscriber that panics is caught, and a log that nobody
// reads loses lines instead of stopping the service.

mod attributes;
mod config;
mod emit;
mod end;
mod export;
mod hex;
pub(crate) mod http;
mod identity;
mod idle;
mod instruments;
mod layer;
pub(crate) mod log;
mod metric;
mod past;
mod process;
mod propagation;
mod quiet;
mod reporter;
pub(crate) mod request;
mod scope;
mod span;
mod start;
mod tally;
mod threads;

use std::time::Duration;

pub use self::{
    config::Config,
    emit::TraceRelation,
    end::Shutdown,
    layer::layer,
    start::{Builder, Telemetry, builder, start},
};
pub(crate) use self::{
    emit::{
        Occasion, Opening, emit, emit_checkpoint, emit_near_limit, emit_overflow, emit_refused,
        emit_skipped, is_heard,
    },
    end::Flushed,
    export::service_name,
    layer::layer_of,
    log::RateLimit,
    metric::PLATFORM_SECONDS,
    quiet::{drop_quietly, quietly},
    reporter::{Edges, Refused, Reporter, StreamKind},
    span::{SpanIds, TaskSpan},
};
pub use {opentelemetry, opentelemetry_otlp, opentelemetry_sdk, tracing_opentelemetry};

use crate::task::{Health, Kind, Ping};

/// What metrics read when somebody collects them. None of it may block.
pub(crate) trait Readings: Send + Sync {
    /// Hands over every known kind of task.
    fn each_kind(&self, each: &mut dyn FnMut(&Kind));

    /// The ping status.
    fn ping(&self) -> &Ping;

    /// Now, on the clock that tasks' begins are on.
    fn now(&self) -> Duration;

    /// Ended tasks that are remembered, and how many may be.
    fn history(&self) -> (usize, usize);

    /// How the store is, where there is one.
    fn store(&self) -> Option<Health>;
}
