//! The story of one task whose process is killed.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::seen::{micros, now_micros};
use crate::{
    CALLER, TRACE, alone,
    harness::{Process, Scrape, eventually},
    invoke,
    jaeger::{found_by, parent, print, tag, times},
    peer::{JAEGER, Jaeger, are_here},
};

/// What somebody waits for at most, to see a task that they have begun.
const SEEN: Duration = Duration::from_secs(10);

/// How old a process's last sign of life is at most, in microseconds: it gives one every
/// second, which then has to be written.
const SIGN: u64 = 1_300_000;

/// The agent as a new user starts it.
fn agent(store: &str, jaeger: &Jaeger) -> Process {
    let url = format!("http://{}", jaeger.otlp);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ];
    Process::spawn_with(&["--store", store], &variables)
}

fn lost(agent: &Process) -> f64 {
    let labels = [("task_name", "data_processing"), ("task_state", "lost")];
    let lost = Scrape::of(&agent.get("/metrics"));
    let lost = lost.value("taskpulse_task_transitions_total", &labels);
    lost.expect("a counter that is born at 0")
}

#[test]
fn a_lost_task_is_found_in_its_trace() {
    let _alone = alone();
    if !are_here(&[JAEGER]) {
        return;
    }
    let jaeger = Jaeger::start();
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("tasks.db").display().to_string();

    // A long task begins, and is soon seen in Jaeger.
    let mut first = agent(&store, &jaeger);
    let event = json!({"action": "process", "data_id": "d-1", "seconds": 600});
    let id = invoke(&first, &event);
    await_seen(&jaeger, &id);
    let task = first.get(&format!("/tasks/{id}")).json();
    assert_eq!(task["state"], "running");

    // The process is killed. The next one says what was lost: in its log, in its
    // metrics, to who asks for tasks, and in the task's own trace.
    let why = format!(
        "lost: process {} ended without settling it",
        instance(&jaeger)
    );
    let killed = Instant::now();
    let killed_at = now_micros();
    first.kill();
    let mut second = agent(&store, &jaeger);
    assert_told(&second, &task, &why);
    assert!((lost(&second) - 1.0).abs() < 0.5);
    let known = second.get(&format!("/tasks/{id}")).json();
    assert_known(&known, &task, &why);
    assert_eq!(second.get("/ping").json()["status"], "Healthy");
    let is_task = |span: &Value| span["operationName"] == "data_processing";
    eventually("the task's span is in Jaeger", || {
        spans(&jaeger).iter().any(is_task)
    });
    println!(
        "{:?} after the kill, trace {TRACE}, caller's span {CALLER}:",
        killed.elapsed()
    );
    print(&spans(&jaeger), CALLER, 1);
    assert_whole(&spans(&jaeger), &known, &why);
    let ended = micros(&known["ended_at"]);
    assert!(ended <= killed_at + 100_000, "{known}");
    assert!(ended + SIGN >= killed_at, "killed at {killed_at}: {known}");

    // That was that: the one after it remembers, and counts nothing.
    second.terminate();
    assert_eq!(second.wait().code(), Some(0));
    let third = agent(&store, &jaeger);
    assert_known(&third.get(&format!("/tasks/{id}")).json(), &task, &why);
    assert!(lost(&third) < 0.5);
}

/// A process that finds lost tasks while the collector is down has not told of them, and
/// may be killed, too.
#[test]
fn a_lost_task_waits_for_the_collector() {
    let _alone = alone();
    if !are_here(&[JAEGER]) {
        return;
    }
    let mut jaeger = Jaeger::start();
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("tasks.db").display().to_string();
    let mut first = agent(&store, &jaeger);
    let event = json!({"action": "process", "data_id": "d-1", "seconds": 600});
    let id = invoke(&first, &event);
    let has_request = |span: &Value| span["operationName"] == "POST /invocations";
    // By then the task is written, too.
    eventually("its request is in Jaeger", || {
        spans(&jaeger).iter().any(has_request)
    });
    first.kill();
    jaeger.kill();
    let mut second = agent(&store, &jaeger);
    let is_told = |line: &Value| line["state"] == "lost";
    eventually("a line says it", || second.log().iter().any(is_told));
    // Longer than anything but this waits for a collector.
    thread::sleep(Duration::from_secs(6));
    second.kill();
    jaeger.restart();
    let third = agent(&store, &jaeger);
    let is_lost = |span: &Value| {
        let lost = Some(("string".to_owned(), json!("lost")));
        span["operationName"] == "data_processing" && tag(span, "task.state") == lost
    };
    eventually("the task's span is in Jaeger", || {
        spans(&jaeger).iter().any(is_lost)
    });
    let known = third.get(&format!("/tasks/{id}")).json();
    assert_eq!(known["state"], "lost");
}

/// Waits until searches find the running task.
#[track_caller]
fn await_seen(jaeger: &Jaeger, id: &Value) {
    let begun = Instant::now();
    let searches = [
        ("task.id", id.to_string()),
        ("session.id", "s-1".to_owned()),
    ];
    for (key, value) in searches {
        eventually("a search finds the task", || {
            found_by(jaeger, key, &value).contains(&"data_processing checkpoint".to_owned())
        });
    }
    let seen = begun.elapsed();
    println!("Jaeger has found the running task after {seen:?}.");
    assert!(seen <= SEEN, "{seen:?}");
}

/// That the log has a line for the lost task, in the task's span.
#[track_caller]
fn assert_told(agent: &Process, task: &Value, why: &str) {
    let line = || agent.log().into_iter().find(|line| line["state"] == "lost");
    eventually("a line says it", || line().is_some());
    let line = line().expect("it was there");
    println!("{line}");
    let message = format!("task data_processing {} lost", task["id"]);
    for (key, value) in [
        ("level", &json!("ERROR")),
        ("message", &json!(message)),
        ("error", &json!(why)),
        ("task_id", &task["id"]),
        ("trace_id", &json!(TRACE)),
        ("span_id", &task["span_id"]),
        ("sessionId", &json!("s-1")),
        ("requestId", &json!("r-1")),
    ] {
        assert_eq!(line[key], *value, "{key} of {line}");
    }
}

/// That a process knows a task of an earlier one, as that one knew it.
#[track_caller]
fn assert_known(known: &Value, task: &Value, why: &str) {
    assert_eq!(known["state"], "lost");
    assert_eq!(known["error"], why);
    for key in [
        "id",
        "name",
        "metadata",
        "session_id",
        "request_id",
        "started_at",
        "trace_id",
        "span_id",
        "begun_at",
    ] {
        assert_eq!(known[key], task[key], "{key}");
    }
}

/// The spans of the trace, oldest begin first.
fn spans(jaeger: &Jaeger) -> Vec<Value> {
    let trace = jaeger.sent_trace(TRACE).unwrap_or_default();
    let mut spans = trace["spans"].as_array().cloned().unwrap_or_default();
    spans.sort_by_key(|span| times(span).0);
    spans
}

/// What the process that sent the trace calls itself.
fn instance(jaeger: &Jaeger) -> String {
    let trace = jaeger.sent_trace(TRACE).expect("a trace");
    let processes = trace["processes"].as_object().expect("processes");
    let said = processes
        .values()
        .find_map(|process| tag(process, "service.instance.id"));
    let (_, instance) = said.expect("it says so");
    instance.as_str().expect("a text").to_owned()
}

/// That nothing is missing in the trace of the lost task: the request, the task below
/// it, and its checkpoints below the task.
#[track_caller]
fn assert_whole(spans: &[Value], known: &Value, why: &str) {
    let named = |name: &str| {
        let is = |span: &&Value| span["operationName"] == name;
        spans.iter().filter(is).collect::<Vec<_>>()
    };
    let [request] = named("POST /invocations")[..] else {
        panic!("one request: {spans:#?}");
    };
    let [task] = named("data_processing")[..] else {
        panic!("one task: {spans:#?}");
    };
    let checkpoints = named("data_processing checkpoint");
    assert_eq!(spans.len(), 2 + checkpoints.len());
    assert_eq!(parent(request), CALLER);
    assert_eq!(parent(task), request["spanID"]);
    assert_eq!(task["spanID"], known["span_id"]);
    let (begun, end) = times(task);
    assert!(begun.abs_diff(micros(&known["started_at"])) <= 1);
    let mut now = begun;
    for checkpoint in checkpoints {
        assert_eq!(parent(checkpoint), task["spanID"]);
        let (from, to) = times(checkpoint);
        assert!(from.abs_diff(now) <= 1 && to <= end, "{checkpoint:#}");
        now = to;
    }
    assert!(now > begun, "there are some");
    let text = |text: &str| Some(("string".to_owned(), json!(text)));
    assert_eq!(tag(task, "task.state"), text("lost"));
    assert_eq!(tag(task, "otel.status_code"), text("ERROR"));
    assert_eq!(tag(task, "otel.status_description"), text(why));
    assert_eq!(tag(task, "task.metadata.data_id"), text("d-1"));
    assert_eq!(tag(task, "session.id"), text("s-1"));
}
