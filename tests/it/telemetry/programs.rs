//! Programs that use the library, each a process of its own, since telemetry is
//! one for a process: what their code does inside tasks, and what it gives
//! them, arrives as the design says.

use std::{env, time::Duration};

use axum::{
    extract::ws::Message,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, TaskHandle, Tasks, WebSocket};
use tokio::time::sleep;
use tracing::{Instrument as _, info, info_span};

use super::{variables, with};
use crate::harness::{Collector, Process, Scrape, collector::Span, eventually};

/// Set where a test is to be a program.
const PROGRAM: &str = "TASKPULSE_TEST_PROGRAM";

/// Not a test but the program of the ones below.
#[test]
fn program() {
    if env::var_os(PROGRAM).is_some() {
        let app = App::new().entrypoint(handler).websocket(greet);
        app.run().expect("it runs");
    }
}

/// Fails once it has heard something.
async fn greet(mut socket: WebSocket) -> Result<(), &'static str> {
    let hello = Message::text("hi");
    socket.send(hello).await.map_err(|_| "nobody is there")?;
    socket.next().await;
    Err("no further")
}

async fn handler(tasks: Tasks, Payload(event): Payload<Value>) -> Result<Response, Error> {
    let id = match event["action"].as_str().expect("an action") {
        "named" => {
            let name = event["name"].as_str().expect("a name");
            tasks.begin(name).spawn(async { Ok::<_, String>(()) })?.id()
        }
        "metadata" => tasks
            .begin("metadata")
            .metadata_map(&event["metadata"])
            .spawn(async { Ok::<_, String>(()) })?
            .id(),
        "children" => children(&tasks)?,
        "detached" => detached(&tasks)?,
        "broken stream" => {
            let items = [Ok(1), Err("the source is gone")];
            return Ok(taskpulse::stream(stream::iter(items)));
        }
        "instrument that panics" => {
            let _instrument = opentelemetry::global::meter("theirs")
                .u64_observable_gauge("theirs.depth")
                .with_callback(|_| panic!("no depth"))
                .build();
            return Ok(axum::Json(json!({})).into_response());
        }
        _ => return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    };
    Ok(axum::Json(json!({ "task_id": id })).into_response())
}

/// A task with a span of its code's in each way that code can be inside it.
fn children(tasks: &Tasks) -> Result<taskpulse::TaskId, Error> {
    let spawned = tasks.begin("outer").spawn(async {
        info_span!("in spawned").in_scope(|| info!("hello from the task"));
        async { sleep(Duration::from_millis(1)).await }
            .instrument(info_span!("across an await"))
            .await;
        Ok::<_, String>(())
    })?;
    let held = tasks.begin("held").start()?;
    held.in_scope(|| info_span!("in scope").in_scope(|| {}));
    // `tracing::Instrument` would otherwise be found first.
    let instrumented = TaskHandle::instrument(&held, async {
        info_span!("in instrument").in_scope(|| {});
    });
    let id = spawned.id();
    tokio::spawn(async move {
        instrumented.await;
        held.succeed();
    });
    Ok(id)
}

/// A task that leaves a span behind which stays open until the process ends.
fn detached(tasks: &Tasks) -> Result<taskpulse::TaskId, Error> {
    let task = tasks.begin("parent").spawn(async {
        let left = info_span!("left open");
        tokio::spawn(async move { sleep(Duration::from_secs(3_600)).await }.instrument(left));
        Ok::<_, String>(())
    })?;
    Ok(task.id())
}

fn spawn(collector: &Collector, more: &[(&str, &str)]) -> Process {
    let variables = variables(collector);
    let mut all = with(&variables, more);
    all.push((PROGRAM, "1"));
    Process::spawn_test("telemetry::programs::program", &all)
}

#[track_caller]
fn invoke(program: &Process, event: &Value) -> Value {
    let answer = program.invoke(event);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["task_id"].clone()
}

#[track_caller]
fn assert_child(collector: &Collector, name: &str, parent: &Span) {
    let child = collector.span_named(name);
    assert_eq!(child.trace_id, parent.trace_id, "{name}");
    assert_eq!(child.parent, parent.span_id, "{name}");
    assert_eq!(child.kind, "INTERNAL", "{name}");
}

#[test]
fn code_inside_a_task_has_it_as_parent() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    let id = invoke(&program, &json!({"action": "children"}));
    let outer = collector.span_named("outer");
    assert_child(&collector, "in spawned", &outer);
    assert_child(&collector, "across an await", &outer);
    let held = collector.span_named("held");
    assert_child(&collector, "in scope", &held);
    assert_child(&collector, "in instrument", &held);

    let says = |line: &Value| line["message"] == "hello from the task";
    eventually("its line is printed", || program.log().iter().any(says));
    let line = program.log().into_iter().find(says).expect("just seen");
    assert_eq!(line["task_id"], id);
    assert_eq!(line["task_name"], "outer");
    assert_eq!(line["trace_id"], *outer.trace_id);
    let inner = collector.span_named("in spawned");
    let spans = [outer.span_id, inner.span_id].map(Value::from);
    assert!(spans.contains(&line["span_id"]), "{line}");
}

#[test]
fn a_child_that_stays_open_does_not_hold_the_task() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    invoke(&program, &json!({"action": "detached"}));
    let task = collector.span_named("parent");
    assert_eq!(task.get("task.state"), "succeeded");
    assert!(collector.spans_named("left open").is_empty());
}

#[test]
fn metadata_keeps_its_types() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    let metadata = json!({
        "int": 3, "negative": -3, "float": 2.5, "whole": 3.0, "bool": true, "string": "3",
        "nested": {"a": [1, null, "x"]}, "list": [1, 2], "null": null,
        "large": u64::MAX, "access_token": "hunter2",
    });
    invoke(
        &program,
        &json!({"action": "metadata", "metadata": metadata}),
    );
    let span = collector.span_named("metadata");
    for (key, value) in [
        ("int", json!(3)),
        ("negative", json!(-3)),
        ("float", json!(2.5)),
        ("whole", json!(3.0)),
        ("bool", json!(true)),
        ("string", json!("3")),
        ("nested", json!(r#"{"a":[1,null,"x"]}"#)),
        ("list", json!("[1,2]")),
        ("access_token", json!("[redacted]")),
    ] {
        assert_eq!(span.get(&format!("task.metadata.{key}")), &value, "{key}");
    }
    // It fits no i64, and a double would change it.
    let large = span.get("task.metadata.large").to_string();
    assert!(large.contains(&u64::MAX.to_string()), "{large}");
}

#[test]
fn metadata_of_a_span_has_a_limit() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    let mut metadata = serde_json::Map::new();
    metadata.insert("exact".to_owned(), "e".repeat(1_024).into());
    metadata.insert("long".to_owned(), "é".repeat(5_000).into());
    metadata.insert("nested".to_owned(), json!({"x": "y".repeat(5_000)}));
    for key in 3..40 {
        metadata.insert(format!("k{key}"), key.into());
    }
    let id = invoke(
        &program,
        &json!({"action": "metadata", "metadata": metadata}),
    );
    let span = collector.span_named("metadata");
    let keys = span.attributes.keys();
    let keys = keys.filter(|key| key.starts_with("task.metadata."));
    assert_eq!(keys.count(), 32);
    let text = |key: &str| {
        let value = span.get(&format!("task.metadata.{key}"));
        value.as_str().expect("a text").to_owned()
    };
    assert_eq!(text("exact"), "e".repeat(1_024));
    for (key, start) in [("long", "éééé"), ("nested", r#"{"x":"yyyy"#)] {
        let value = text(key);
        assert!(value.starts_with(start), "{value}");
        assert!((1_000..1_100).contains(&value.len()), "{}", value.len());
        let last = value.chars().last();
        assert!(!matches!(last, Some('é' | 'y')), "no mark: {value}");
    }
    // The registry has it whole.
    let known = program.get(&format!("/tasks/{id}")).json();
    assert_eq!(known["metadata"], Value::Object(metadata));
}

#[test]
fn names_beyond_the_cap_share_a_series() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    for name in 0..60 {
        invoke(
            &program,
            &json!({"action": "named", "name": format!("name-{name}")}),
        );
    }
    eventually("they have ended", || {
        program.get("/ping").json()["status"] == "Healthy"
    });
    let scrape = Scrape::of(&program.get("/metrics"));
    let name = "taskpulse_task_transitions_total";
    let family = scrape.family(name);
    let mut names: Vec<_> = family
        .samples
        .iter()
        .map(|sample| sample.labels["task_name"].clone())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 51, "{names:?}");
    let count = |labels: &[(&str, &str)]| scrape.sum(name, labels).to_string();
    let succeeded = ("task_state", "succeeded");
    assert_eq!(count(&[succeeded]), "60");
    assert_eq!(count(&[succeeded, ("task_name", "_OTHER")]), "10");
    let warned = |line: &Value| line["level"] == "WARN" && line.to_string().contains("_OTHER");
    let warnings = program.log().into_iter().filter(warned).count();
    assert_eq!(warnings, 1, "{:#?}", program.log());
    // Spans have names of their own all the same.
    collector.span_named("name-59");
}

#[test]
fn a_stream_that_fails_says_so() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    let answer = program.invoke(&json!({"action": "broken stream"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let sent = text.lines().filter(|line| line.starts_with("data: "));
    let span = collector.span_named("stream");
    assert_eq!(span.get("stream.end"), "failed");
    assert_eq!(span.get("stream.items"), &json!(sent.count()), "{text}");
    assert_eq!(span.status, "ERROR");
}

#[test]
fn an_error_of_the_servers_is_one_of_the_spans() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    assert_eq!(program.invoke(&json!({"action": "none"})).status, 500);
    let span = collector.span_named("POST /invocations");
    assert_eq!(span.status, "ERROR");
    assert_eq!(span.get("error.type"), "500");
    assert_eq!(span.get("http.response.status_code"), &json!(500));
}

#[test]
fn a_socket_has_a_span_and_its_failure_a_line_with_ids() {
    let collector = Collector::start();
    let program = spawn(&collector, &[]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let ids = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n\
        X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: r-1\r\n";
    let mut client = program.client();
    client.send(format!(
        "GET /ws HTTP/1.1\r\nHost: t\r\n{upgrade}{ids}{}\r\n",
        super::traceparent("01")
    ));
    assert_eq!(client.head().status, 101);
    let open = || {
        let scrape = Scrape::of(&program.get("/metrics"));
        scrape.value("taskpulse_stream_open", &[("kind", "ws")])
    };
    eventually("it is counted", || open() == Some(1.0));
    // A text of one byte, under a mask of zeros.
    client.send([0x81, 0x81, 0, 0, 0, 0, b'x']);
    // What it said, and a close frame of two bytes, 1011.
    assert_eq!(client.rest(), [0x81, 2, b'h', b'i', 0x88, 2, 0x03, 0xf3]);
    let span = collector.span_named("stream");
    assert_eq!(span.parent, collector.span_named("GET /ws").span_id);
    assert_eq!(span.get("stream.items"), 1);
    assert_eq!(span.get("stream.end"), "failed");
    assert_eq!(open(), Some(0.0));
    let failed = |line: &Value| line["message"] == "the WebSocket handler failed";
    eventually("its line is printed", || program.log().iter().any(failed));
    let line = program.log().into_iter().find(failed).expect("just seen");
    for (key, value) in [
        ("error", "no further"),
        ("trace_id", super::TRACE),
        ("span_id", &*span.span_id),
        ("sessionId", "s-1"),
        ("requestId", "r-1"),
    ] {
        assert_eq!(line[key], value, "{key} of {line:#}");
    }
}

#[test]
fn an_instrument_that_panics_costs_the_metrics_alone() {
    let collector = Collector::start();
    let program = spawn(&collector, &[("OTEL_METRICS_EXPORTER", "none")]);
    invoke(&program, &json!({"action": "instrument that panics"}));
    for _ in 0..3 {
        let answer = program.get("/metrics");
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert_eq!(answer.json()["error"], "collecting the metrics panicked");
        assert_eq!(program.get("/ping").status, 200);
    }
    // What is asked for in it has its line after those of the scrapes.
    invoke(&program, &json!({"action": "named", "name": "later"}));
    eventually("a later line is printed", || {
        program
            .log()
            .iter()
            .any(|line| line["task_name"] == "later")
    });
    let mut log = program.log();
    log.retain(|line| line["message"] == "collecting the metrics panicked");
    assert_eq!(log.len(), 1, "{log:#?}");
    assert_eq!(log[0]["error"], "panicked: no depth");
    assert_eq!(log[0]["level"], "ERROR");
}
