//! An invocation with a `traceparent` is one trace in Jaeger.

use serde_json::{Value, json};

use crate::{
    CALLER, TRACE, alone, exporting,
    harness::eventually,
    invoke,
    peer::{JAEGER, Jaeger, are_here},
};

/// A tag's type and value.
pub(crate) fn tag(span: &Value, key: &str) -> Option<(String, Value)> {
    let tags = span["tags"].as_array().expect("tags");
    let found = tags.iter().find(|tag| tag["key"] == key)?;
    let kind = found["type"].as_str().expect("a type");
    Some((kind.to_owned(), found["value"].clone()))
}

#[track_caller]
fn assert_tags(span: &Value, tags: &[(&str, &str, Value)]) {
    for (key, kind, value) in tags {
        let wanted = Some(((*kind).to_owned(), value.clone()));
        assert_eq!(tag(span, key), wanted, "{key} of {span:#}");
    }
}

/// The span that a span is in.
pub(crate) fn parent(span: &Value) -> &str {
    let references = span["references"].as_array().expect("references");
    let parent = references.iter().find(|it| it["refType"] == "CHILD_OF");
    parent.map_or("", |it| it["spanID"].as_str().expect("an id"))
}

/// Prints the spans below `parent`, each with its tags.
pub(crate) fn print(spans: &[Value], within: &str, depth: usize) {
    for span in spans.iter().filter(|span| parent(span) == within) {
        let indent = "    ".repeat(depth);
        let micros = &span["duration"];
        println!("{indent}{} ({micros} us)", span["operationName"]);
        for tag in span["tags"].as_array().expect("tags") {
            println!(
                "{indent}  {} {} = {}",
                tag["key"], tag["type"], tag["value"]
            );
        }
        print(spans, span["spanID"].as_str().expect("an id"), depth + 1);
    }
}

#[track_caller]
fn assert_request(request: &Value) {
    assert_tags(
        request,
        &[
            ("span.kind", "string", json!("server")),
            ("http.request.method", "string", json!("POST")),
            ("http.route", "string", json!("/invocations")),
            ("http.response.status_code", "int64", json!(200)),
            ("url.path", "string", json!("/invocations")),
            ("url.scheme", "string", json!("http")),
            ("server.address", "string", json!("t")),
            ("network.protocol.version", "string", json!("1.1")),
            ("user_agent.original", "string", json!("peers/1")),
            ("session.id", "string", json!("s-1")),
            ("taskpulse.request.id", "string", json!("r-1")),
        ],
    );
}

/// That the span says what the tasks API says.
#[track_caller]
fn assert_task(task: &Value, known: &Value) {
    let place = known["begun_at"].as_str().expect("a place");
    let (file, line) = place.rsplit_once(':').expect("a line");
    assert_tags(
        task,
        &[
            ("span.kind", "string", json!("internal")),
            ("task.id", "int64", known["id"].clone()),
            ("task.name", "string", json!("data_processing")),
            ("task.state", "string", json!("failed")),
            ("task.metadata.data_id", "string", json!("d-1")),
            ("session.id", "string", json!("s-1")),
            ("taskpulse.request.id", "string", json!("r-1")),
            ("code.file.path", "string", json!(file)),
            (
                "code.line.number",
                "int64",
                json!(line.parse::<i64>().unwrap()),
            ),
            ("error.message", "string", known["error"].clone()),
            ("otel.status_code", "string", json!("ERROR")),
            ("error", "bool", json!(true)),
        ],
    );
    let events = task["logs"].to_string();
    assert!(
        events.contains("panicked, as the request asked for"),
        "{events}"
    );
}

#[test]
fn an_invocation_is_one_trace() {
    let _alone = alone();
    if !are_here(&[JAEGER]) {
        return;
    }
    let jaeger = Jaeger::start();
    let agent = exporting(&format!("http://{}", jaeger.otlp), &[]);
    let event = json!({"action": "process", "data_id": "d-1", "seconds": 0.05,
        "outcome": "panicked"});
    let id = invoke(&agent, &event);
    let spans = || {
        let trace = jaeger.trace(TRACE).unwrap_or_default();
        trace["spans"].as_array().cloned().unwrap_or_default()
    };
    eventually("both spans are in Jaeger", || spans().len() == 2);
    let spans = spans();
    println!("In Jaeger, trace {TRACE}, caller's span {CALLER}:");
    print(&spans, CALLER, 1);

    let named = |name: &str| {
        let span = spans.iter().find(|span| span["operationName"] == name);
        span.unwrap_or_else(|| panic!("no {name}"))
    };
    let (request, task) = (named("POST /invocations"), named("data_processing"));
    assert_eq!(parent(request), CALLER);
    assert_eq!(parent(task), request["spanID"]);
    assert_request(request);
    assert_task(task, &agent.get(&format!("/tasks/{id}")).json());
}

/// The names of the spans that Jaeger finds by a tag.
pub(crate) fn found_by(jaeger: &Jaeger, key: &str, value: &str) -> Vec<String> {
    let tags = json!({ key: value }).to_string();
    let tags: String = tags.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let traces = jaeger.traces(&format!("/api/traces?service=taskpulse&tags={tags}"));
    let spans = traces
        .iter()
        .flat_map(|trace| trace["spans"].as_array().expect("spans"));
    let names = spans.map(|span| span["operationName"].as_str().expect("a name").to_owned());
    names.collect()
}

/// Start and end of a span in microseconds.
pub(crate) fn times(span: &Value) -> (u64, u64) {
    let start = span["startTime"].as_u64().expect("a time");
    (start, start + span["duration"].as_u64().expect("a time"))
}

#[test]
fn a_running_task_is_found() {
    let _alone = alone();
    if !are_here(&[JAEGER]) {
        return;
    }
    let jaeger = Jaeger::start();
    let url = format!("http://{}", jaeger.otlp);
    // Sooner than by itself, and all of it as it goes down.
    let sooner = [
        ("TASKPULSE_CHECKPOINTS", "500ms"),
        ("TASKPULSE_DRAIN", "0s"),
    ];
    let mut agent = exporting(&url, &sooner);
    let event = json!({"action": "process", "data_id": "d-1", "seconds": 600});
    let id = invoke(&agent, &event);
    let searches = [
        ("task.id", id.to_string()),
        ("session.id", "s-1".to_owned()),
        ("task.metadata.data_id", "d-1".to_owned()),
    ];
    for (key, value) in &searches {
        let found = || found_by(&jaeger, key, value);
        eventually("a search finds the task", || {
            found().contains(&"data_processing checkpoint".to_owned())
        });
        println!("Jaeger finds by {key} = {value}: {:?}", found());
    }
    assert!(found_by(&jaeger, "task.id", "1").is_empty());
    let spans = || {
        let trace = jaeger.trace(TRACE).unwrap_or_default();
        trace["spans"].as_array().cloned().unwrap_or_default()
    };
    eventually("a third one comes", || spans().len() >= 4);
    let state = agent.get(&format!("/tasks/{id}")).json()["state"].clone();
    println!("Meanwhile, /tasks says that the task is {state}.");
    assert_eq!(state, "running");

    agent.terminate();
    agent.wait();
    let is_whole = |spans: &[Value]| {
        let mut names = spans.iter().map(|span| &span["operationName"]);
        names.any(|name| name == "data_processing")
    };
    eventually("the task's span is in Jaeger", || is_whole(&spans()));
    let mut spans = spans();
    spans.sort_by_key(|span| times(span).0);
    println!("Afterwards, trace {TRACE}, caller's span {CALLER}:");
    print(&spans, CALLER, 1);
    assert_tiled(&spans, &id);
}

/// That the checkpoints are in a row below the task, from its begin on.
#[track_caller]
fn assert_tiled(spans: &[Value], id: &Value) {
    let is = |name: &'static str| move |span: &&Value| span["operationName"] == name;
    let task = spans.iter().find(is("data_processing")).expect("the task");
    let (mut now, end) = times(task);
    let tiles: Vec<_> = spans
        .iter()
        .filter(is("data_processing checkpoint"))
        .collect();
    assert!(tiles.len() >= 3, "at 0.5, 1 and 2 s: {tiles:#?}");
    for tile in tiles {
        assert_eq!(parent(tile), task["spanID"]);
        assert_tags(
            tile,
            &[
                ("span.kind", "string", json!("internal")),
                ("task.id", "int64", id.clone()),
                ("task.name", "string", json!("data_processing")),
                ("task.metadata.data_id", "string", json!("d-1")),
                ("session.id", "string", json!("s-1")),
                ("taskpulse.request.id", "string", json!("r-1")),
            ],
        );
        let (from, to) = times(tile);
        assert!(from.abs_diff(now) <= 1 && to <= end + 1, "{tile:#}");
        now = to;
    }
}
