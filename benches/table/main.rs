//! How fast and how small taskpulse is: one Markdown table.
//!
//! `cargo bench` measures every row and takes about ten minutes; `cargo bench
//! -- ping` measures the rows whose names contain `ping`. What is compared is
//! measured alternately in one run, so a busy machine disturbs both sides; a
//! ratio is the median of those of neighbouring rounds. A missed bound is said
//! in the table and fails nothing, since another machine may be busier.
//!
//! The servers are processes of their own: this program, started again with the
//! name of a [`Role`](roles::Role). So each has the threads that it would have
//! anywhere, and none shares them with the generator of load.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

mod by_hand;
mod child;
mod full;
mod http;
mod load;
mod paced;
mod receiver;
mod report;
mod roles;
mod scrape;
mod start;
mod store;
mod telemetry;
mod tracking;

use std::{env, error::Error};

use report::{Bound, Row};
use roles::Role;

/// Whatever goes wrong ends the program.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROWS: [Row; 31] = [
    Row {
        name: "ping",
        what: "`GET /ping` requests/s, 32 connections",
        against: "bare axum",
        bound: Bound::AtLeast(1.0),
        measure: http::ping,
    },
    Row {
        name: "invocations",
        what: "`POST /invocations` that begins and ends a task, requests/s, 32 connections",
        against: "bare axum JSON echo",
        bound: Bound::AtLeast(0.55),
        measure: http::invocations,
    },
    Row {
        name: "begin-end",
        what: "begin + end in code, no subscriber",
        against: "",
        bound: Bound::Under(500.0, "ns"),
        measure: tracking::begin_end,
    },
    Row {
        name: "crowd-newest",
        what: "begin + end of the newest of 1,000,000 active",
        against: "of the only one",
        bound: Bound::AtMost(1.2),
        measure: tracking::newest_of_many,
    },
    Row {
        name: "crowd-oldest",
        what: "begin + end of the oldest of 1,000,000 active",
        against: "",
        bound: Bound::Under(500.0, "ns"),
        measure: tracking::oldest_of_many,
    },
    Row {
        name: "threads",
        what: "begin + end from 2 threads, time per operation",
        against: "1 thread",
        bound: Bound::AtMost(1.5),
        measure: tracking::two_threads,
    },
    Row {
        name: "heartbeat",
        what: "a heartbeat of a task that has a limit of silence",
        against: "",
        bound: Bound::Under(200.0, "ns"),
        measure: tracking::heartbeat,
    },
    Row {
        name: "progress",
        what: "a progress with a message of such a task",
        against: "",
        bound: Bound::Under(300.0, "ns"),
        measure: tracking::progress,
    },
    Row {
        name: "memory",
        what: "resident memory per active task with two metadata keys, of 1,000,000",
        against: "",
        bound: Bound::Under(600.0, "bytes"),
        measure: tracking::memory,
    },
    Row {
        name: "crowd-ping",
        what: "`GET /ping` with 1,000,000 active tasks, time per request, 32 connections",
        against: "idle",
        bound: Bound::AtMost(1.2),
        measure: http::ping_in_a_crowd,
    },
    Row {
        name: "start",
        what: "start of the binary to the first 200 on `/ping`",
        against: "",
        bound: Bound::Under(50.0, "ms"),
        measure: start::first_answer,
    },
    Row {
        name: "telemetry-begin-end",
        what: "begin + end with all telemetry: span, two lines, metrics for two readers",
        against: "the parts done by hand",
        bound: Bound::AtMost(1.5),
        measure: telemetry::begin_end,
    },
    Row {
        name: "telemetry-memory",
        what: "resident memory per active task with two metadata keys and all telemetry, of 100,000",
        against: "",
        bound: Bound::Under(2_400.0, "bytes"),
        measure: telemetry::memory,
    },
    Row {
        name: "telemetry-invocations",
        what: "`POST /invocations` that begins and ends a task, exported, requests/s, 32 connections",
        against: "telemetry off",
        bound: Bound::AtLeast(0.7),
        measure: http::exporting,
    },
    Row {
        name: "checkpoints",
        what: "processor time with 100,000 long tasks, between their checkpoints",
        against: "",
        bound: Bound::Under(2.0, "% of a core"),
        measure: telemetry::between_checkpoints,
    },
    Row {
        name: "checkpoints-1000",
        what: "p99 of begin + end, 1,000 tasks a second, all telemetry, 1,000 checkpoints a second of 10,000 other tasks",
        against: "no checkpoints",
        bound: Bound::AtMost(1.2),
        measure: paced::checkpoints_at_1_000,
    },
    Row {
        name: "checkpoints-10000",
        what: "the same at 10,000 tasks a second",
        against: "no checkpoints",
        bound: Bound::AtMost(1.2),
        measure: paced::checkpoints_at_10_000,
    },
    Row {
        name: "checkpoints-flat-out",
        what: "the same as fast as it goes, mean time",
        against: "no checkpoints",
        bound: Bound::AtMost(1.2),
        measure: paced::checkpoints_flat_out,
    },
    Row {
        name: "store-1000",
        what: "p99 of begin + end, 1,000 tasks a second, all telemetry, written to a store",
        against: "memory alone",
        bound: Bound::AtMost(1.2),
        measure: store::at_1_000,
    },
    Row {
        name: "store-10000",
        what: "the same at 10,000 tasks a second",
        against: "memory alone",
        bound: Bound::AtMost(1.2),
        measure: store::at_10_000,
    },
    Row {
        name: "store-flat-out",
        what: "the same as fast as it goes, mean time",
        against: "memory alone",
        bound: Bound::Shown("times"),
        measure: store::flat_out,
    },
    Row {
        name: "store-start",
        what: "start of the binary to the first 200 on `/ping`, with 100,000 tasks of a killed process in its store",
        against: "",
        bound: Bound::Under(2_000.0, "ms"),
        measure: store::start_with_many,
    },
    Row {
        name: "telemetry-busy",
        what: "spans and lines dropped at 20,000 tasks a second for 60 s",
        against: "",
        bound: Bound::No("drops"),
        measure: telemetry::busy,
    },
    Row {
        name: "telemetry-too-busy",
        what: "spans unaccounted for at 100,000 tasks a second, where 1,024 may wait",
        against: "",
        bound: Bound::No("spans"),
        measure: telemetry::too_busy,
    },
    Row {
        name: "telemetry-calm",
        what: "p99 of begin and p99 of end together, 1,000 tasks a second, all telemetry",
        against: "",
        bound: Bound::Shown("µs"),
        measure: telemetry::calm,
    },
    Row {
        name: "metrics",
        what: "`GET /metrics` with 1,000,000 active tasks of 50 names",
        against: "",
        bound: Bound::Under(50.0, "ms"),
        measure: scrape::crowd,
    },
    Row {
        name: "deadlines-metrics",
        what: "`GET /metrics` with 100,000 active tasks that have deadlines, 10,000 of them past",
        against: "as many names, no task",
        bound: Bound::AtMost(1.2),
        measure: scrape::deadlines,
    },
    Row {
        name: "deadlines-ping",
        what: "`GET /ping` beside those tasks, time per request, 32 connections",
        against: "idle",
        bound: Bound::AtMost(1.2),
        measure: http::ping_beside_deadlines,
    },
    Row {
        name: "collector-refused",
        what: "p99 of `POST /invocations` at 500/s while the collector is gone",
        against: "is up",
        bound: Bound::AtMost(1.2),
        measure: http::collector_refused,
    },
    Row {
        name: "collector-hanging",
        what: "p99 of `POST /invocations` at 500/s while the collector hangs",
        against: "is up",
        bound: Bound::AtMost(1.2),
        measure: http::collector_hanging,
    },
    Row {
        name: "collector-503",
        what: "p99 of `POST /invocations` at 500/s while the collector answers 503",
        against: "is up",
        bound: Bound::AtMost(1.2),
        measure: http::collector_unavailable,
    },
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(role) = arguments.first().and_then(|name| Role::named(name)) {
        return role.play();
    }
    // `cargo test --all-targets` starts this, too, and measures nothing.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    report::head();
    for row in &ROWS {
        if wanted.is_empty() || wanted.iter().any(|name| row.name.contains(*name)) {
            row.fill()?;
        }
    }
    Ok(())
}
