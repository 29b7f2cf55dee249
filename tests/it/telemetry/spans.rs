//! The spans of a request and of the task that it began, as a backend gets
//! them.

use serde_json::{Value, json};

use super::{CALLER, TRACE, exporting, invoke, nanos, traceparent, within};
use crate::harness::{Collector, Process, collector::Span, eventually};

const SESSION: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n";
const REQUEST: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: r-1\r\n";

/// What a task's end is found to be, once it has one.
#[track_caller]
fn ended(agent: &Process, id: &Value) -> Value {
    let path = format!("/tasks/{id}");
    eventually("the task ends", || {
        agent.get(&path).json()["state"] != "running"
    });
    agent.get(&path).json()
}

/// One attribute after the other, so that the first that is wrong is named.
#[track_caller]
fn assert_has(span: &Span, attributes: &Value) {
    for (key, value) in attributes.as_object().expect("an object") {
        assert_eq!(span.get(key), value, "{key} of {span:#?}");
    }
    assert!(span.repeated.is_empty(), "{:?} twice", span.repeated);
}

#[test]
fn a_request_and_its_task_are_one_trace() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let port = agent.address.port();
    let payload = json!({"action": "process", "data_id": "d-1", "seconds": 0.05}).to_string();
    let mut client = agent.client();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: t/1\r\n\
         {SESSION}{REQUEST}{}Content-Length: {}\r\n\r\n{payload}",
        traceparent("01"),
        payload.len()
    ));
    let id = client.response().json()["task_id"].clone();

    let request = collector.span_named("POST /invocations");
    assert_eq!(request.kind, "SERVER");
    assert_eq!((&*request.trace_id, &*request.parent), (TRACE, CALLER));
    assert_eq!((&*request.status, &*request.status_message), ("UNSET", ""));
    assert_has(
        &request,
        &json!({
            "http.request.method": "POST",
            "http.route": "/invocations",
            "http.response.status_code": 200,
            "url.path": "/invocations",
            "url.scheme": "http",
            "server.address": "localhost",
            "server.port": port,
            "network.protocol.version": "1.1",
            "user_agent.original": "t/1",
            "session.id": "s-1",
            "taskpulse.request.id": "r-1",
            "error.type": null,
        }),
    );

    let task = collector.span_named("data_processing");
    assert_eq!(task.kind, "INTERNAL");
    assert_eq!(task.trace_id, TRACE);
    assert_eq!(task.parent, request.span_id);
    assert_eq!(task.status, "UNSET");
    assert!(task.links.is_empty(), "{:?}", task.links);
    assert_tells(&task, &ended(&agent, &id));
}

/// That a task's span says what the tasks API says.
#[track_caller]
fn assert_tells(task: &Span, known: &Value) {
    let place = known["begun_at"].as_str().expect("a place");
    let (file, line) = place.rsplit_once(':').expect("a line");
    assert_has(
        task,
        &json!({
            "task.id": known["id"],
            "task.name": "data_processing",
            "task.state": "succeeded",
            "session.id": "s-1",
            "taskpulse.request.id": "r-1",
            "task.metadata.data_id": "d-1",
            "code.file.path": file,
            "code.line.number": line.parse::<i64>().unwrap(),
            "error.message": null,
        }),
    );
    // Nothing that only a `tracing` layer is meant to see.
    for key in [
        "task.metadata",
        "otel.name",
        "thread.id",
        "busy_ns",
        "target",
    ] {
        assert_eq!(task.get(key), &Value::Null, "{key}");
    }
}

#[test]
fn a_span_lasts_as_long_as_its_task() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let answer = invoke(&agent, "", &json!({"action": "process", "seconds": 0.3}));
    let running = agent.get(&format!("/tasks/{}", answer.json()["task_id"]));
    let running = running.json();
    let known = ended(&agent, &answer.json()["task_id"]);
    let task = collector.span_named("data_processing");
    let request = collector.span_named("POST /invocations");
    assert_eq!(known["trace_id"], *task.trace_id);
    assert_eq!(known["span_id"], *task.span_id);
    for id in ["trace_id", "span_id"] {
        assert_eq!(running[id], known[id], "known from the begin");
    }
    within(5, task.start_nanos, nanos(&known["started_at"]));
    within(5, task.end_nanos, nanos(&known["ended_at"]));
    assert!(
        request.end_nanos < task.start_nanos + 200_000_000,
        "the request's span does not wait for the task's"
    );
}

#[test]
fn without_a_caller_the_request_is_the_root() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let answer = invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
    let request = collector.span_named("POST /invocations");
    let task = collector.span_named("data_processing");
    assert_eq!(request.parent, "");
    assert_eq!(task.parent, request.span_id);
    assert_eq!(task.trace_id, request.trace_id);
    assert_eq!(request.get("session.id"), &Value::Null);
    assert!(request.get("taskpulse.request.id").is_string());
    let came_back = answer.header("traceparent").expect("a traceparent");
    let expected = format!("00-{}-{}-01", request.trace_id, request.span_id);
    assert_eq!(came_back, expected);
}

#[test]
fn probes_have_no_span() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    for path in ["/ping", "/ready", "/metrics"] {
        agent.get(path);
        agent.client().request("HEAD", path, "", "");
    }
    agent.get("/tasks");
    // Spans are delivered in the order in which they ended.
    let listed = collector.span_named("GET /tasks");
    assert_eq!(listed.get("http.route"), &json!("/tasks"));
    assert_eq!(collector.spans().len(), 1, "{:#?}", collector.summary());
}

#[test]
fn a_route_is_a_template() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let answer = invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
    let path = format!("/tasks/{}", answer.json()["task_id"]);
    agent.get(&path);
    let span = collector.span_named("GET /tasks/{id}");
    assert_has(
        &span,
        &json!({"http.route": "/tasks/{id}", "url.path": path}),
    );
}

#[test]
fn failures_say_what_went_wrong() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let event = json!({"action": "process", "seconds": 0, "outcome": "failed"});
    let failed = ended(&agent, &invoke(&agent, "", &event).json()["task_id"]);
    let span = collector.span_named("data_processing");
    let message = "failed, as the request asked for";
    assert_eq!(span.status, "ERROR");
    assert_eq!(span.status_message, message);
    assert_has(
        &span,
        &json!({"task.state": "failed", "error.message": message}),
    );
    assert_eq!(failed["error"], message);
    let panics = |span: &Span| {
        let names = span.events.iter();
        names.filter(|(name, _)| name == "exception").count()
    };
    assert_eq!(panics(&span), 0, "an error is no exception: {span:#?}");

    let event = json!({"action": "cleanup", "seconds": 0, "outcome": "panicked"});
    let failed = ended(&agent, &invoke(&agent, "", &event).json()["task_id"]);
    let span = collector.span_named("cleanup");
    let message = failed["error"].as_str().expect("a text");
    assert_eq!(span.status, "ERROR");
    assert_eq!(span.status_message, message);
    assert_has(
        &span,
        &json!({"task.state": "failed", "error.message": message}),
    );
    assert_eq!(panics(&span), 1, "{span:#?}");
    let exception = span.events.iter().find(|(name, _)| name == "exception");
    let exception = &exception.unwrap().1;
    let told = |key: &str| exception.get(key).map(ToString::to_string);
    assert!(told("exception.type").is_some_and(|text| text.contains("panic")));
    let said = told("exception.message").expect("a message");
    assert!(
        said.contains("panicked, as the request asked for"),
        "{said}"
    );
    let place = format!("{exception:?}");
    assert!(place.contains("work/mod.rs"), "no place: {place}");
}

#[test]
fn statuses_of_requests() {
    let collector = Collector::start();
    let agent = exporting(&collector, &["--max-active", "1"], &[]);
    assert_eq!(agent.get("/nothing?secret=1").status, 404);
    let missing = collector.span_named("GET");
    assert_eq!(
        missing.status, "UNSET",
        "a client's mistake is no error of ours"
    );
    assert_has(
        &missing,
        &json!({"http.response.status_code": 404, "http.route": null,
            "url.path": "/nothing", "error.type": null}),
    );

    invoke(&agent, "", &json!({"action": "process", "seconds": 60}));
    let refused = agent.invoke(&json!({"action": "process"}));
    assert_eq!(refused.status, 503);
    collector.wait_for("both requests", |collector| {
        collector.spans_named("POST /invocations").len() == 2
    });
    let requests = collector.spans_named("POST /invocations");
    let refused = requests.iter().find(|span| span.status == "ERROR");
    assert_has(
        refused.expect("the refused one"),
        &json!({"http.response.status_code": 503, "error.type": "503"}),
    );
}

#[test]
fn a_stream_has_a_span_that_outlives_its_request() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let event = json!({"action": "stream", "seconds": 1});
    let answer = invoke(&agent, &traceparent("01"), &event);
    let text = answer.text();
    let items = text.lines().filter(|line| line.starts_with("data: "));
    let items = items.count();

    let request = collector.span_named("POST /invocations");
    let stream = collector.span_named("stream");
    assert_eq!(stream.kind, "INTERNAL");
    assert_eq!(stream.trace_id, TRACE);
    assert_eq!(stream.parent, request.span_id);
    assert_has(
        &stream,
        &json!({"stream.items": items, "stream.end": "completed"}),
    );
    let after = stream.end_nanos.saturating_sub(request.end_nanos);
    assert!(after > 500_000_000, "the request ended with its headers");
    assert_eq!(collector.span_named("streaming").trace_id, TRACE);
}

#[test]
fn a_stream_whose_client_leaves_says_so() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let body = json!({"action": "stream", "seconds": 3600}).to_string();
    let mut client = agent.client();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.head().status, 200);
    assert!(client.chunk().is_some());
    collector.span_named("POST /invocations");
    assert!(collector.spans_named("stream").is_empty());
    drop(client);
    let stream = collector.span_named("stream");
    assert_eq!(stream.get("stream.end"), "client_gone");
    assert!(stream.get("stream.items").as_i64() >= Some(1));
}

/// Whoever calls decides how long they are, and spans wait in a queue.
#[test]
fn what_callers_write_is_cut() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let path = format!("/{}", "p".repeat(20_000));
    let headers = format!("User-Agent: {}\r\n", "u".repeat(20_000));
    agent.client().request("GET", &path, &headers, "");
    let span = collector.span_named("GET");
    for key in ["url.path", "user_agent.original"] {
        let said = span.get(key).as_str().unwrap();
        assert!(
            said.len() <= 1_024 && said.ends_with('…'),
            "{key}: {}",
            said.len()
        );
    }
}
