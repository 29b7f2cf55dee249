//! What real peers received: Jaeger, the OpenTelemetry Collector, Prometheus and
//! promtool, each a process of its own on free ports.
//!
//! A program that is not on `PATH`, nor named by its variable
//! (`TASKPULSE_JAEGER`, `TASKPULSE_OTELCOL`, `TASKPULSE_PROMETHEUS`,
//! `TASKPULSE_PROMTOOL`), is skipped, and the output says so;
//! `TASKPULSE_REQUIRE_PEERS=1` makes that a failure.
//!
//! A test target of its own, since its peers need the machine: the scenarios run
//! one after the other, and print what was received (`--nocapture` shows it).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests block on threads of their own, and say what they received"
)]

mod crash;
mod dashboards;
#[path = "../it/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "made for the other tests, which use all of it"
)]
mod harness;
mod jaeger;
mod logs;
mod metrics;
mod outage;
mod peer;
mod rules;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use self::harness::{Process, eventually};

/// The trace and the span that a caller was in.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Held by the scenario that runs.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The agent, exporting to this URL.
fn exporting(url: &str, more: &[(&str, &str)]) -> Process {
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ];
    variables.extend_from_slice(more);
    Process::spawn_with(&[], &variables)
}

/// `POST /invocations` with what a caller says of itself; the task's id.
#[track_caller]
fn invoke(agent: &Process, event: &Value) -> Value {
    let headers = format!(
        "traceparent: 00-{TRACE}-{CALLER}-01\r\nUser-Agent: peers/1\r\n\
         X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n\
         X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: r-1\r\n"
    );
    let body = event.to_string();
    let mut client = agent.client();
    let answer = client.request("POST", "/invocations", &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["task_id"].clone()
}

/// So many invocations, each the root of a trace, whose tasks end at once.
fn load(agent: &Process, invocations: usize) {
    let mut client = agent.client();
    let event = json!({"action": "process", "seconds": 0}).to_string();
    for _ in 0..invocations {
        let answer = client.request("POST", "/invocations", "", &event);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    idle(agent);
}

fn idle(agent: &Process) {
    eventually("every task has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
}
