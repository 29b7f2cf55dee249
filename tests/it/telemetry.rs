//! What backends receive: spans, metrics and logs of the real binary, and of
//! programs that use the library, read by a receiver that can misbehave.

mod environment;
mod equal;
mod failures;
mod idle;
mod library;
mod logs;
mod metrics;
mod programs;
mod receiver;
mod spans;
mod trace_context;

use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::harness::{Collector, Process, Response};

/// The trace and the span that a caller was in.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The variables of a program that exports to `collector` at once.
fn variables(collector: &Collector) -> Vec<(String, String)> {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Those, and `more`, which win.
fn with<'a>(
    variables: &'a [(String, String)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let variables = variables.iter();
    let mut all: Vec<_> = variables
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    all.extend_from_slice(more);
    all
}

/// The agent, which exports to `collector`.
fn exporting(collector: &Collector, arguments: &[&str], more: &[(&str, &str)]) -> Process {
    Process::spawn_with(arguments, &with(&variables(collector), more))
}

/// `POST /invocations` with headers, each of which ends in `\r\n`.
#[track_caller]
fn invoke(agent: &Process, headers: &str, payload: &Value) -> Response {
    let mut client = agent.client();
    let answer = client.request("POST", "/invocations", headers, payload.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The header of a caller that was in `CALLER`, sampled or not.
fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-{flags}\r\n")
}

/// Nanoseconds since the epoch of a time in JSON.
#[track_caller]
fn nanos(time: &Value) -> u64 {
    let time = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
    let time = humantime::parse_rfc3339(time).expect("RFC 3339");
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

/// That two times, in nanoseconds, are at most so many milliseconds apart.
#[track_caller]
fn within(millis: u64, one: u64, other: u64) {
    let apart = one.abs_diff(other);
    assert!(apart <= millis * 1_000_000, "{apart} ns apart");
}
