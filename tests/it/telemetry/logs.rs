//! The lines that tell a task's story, printed and sent.

use serde_json::{Value, json};

use super::{TRACE, exporting, invoke, traceparent};
use crate::harness::{Collector, Process, eventually};

const SESSION: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n";
const REQUEST: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: r-1\r\n";

/// The lines about a task's state.
fn story(agent: &Process, id: &Value) -> Vec<Value> {
    let mut log = agent.log();
    log.retain(|line| line["task_id"] == *id && line["target"] == "taskpulse::task");
    log
}

/// Runs a task to its end; its id and its two lines.
#[track_caller]
fn told(agent: &Process, event: &Value) -> (Value, Vec<Value>) {
    let headers = traceparent("01") + SESSION + REQUEST;
    let id = super::invoke(agent, &headers, event).json()["task_id"].clone();
    eventually("its end is printed", || story(agent, &id).len() >= 2);
    eventually("it is idle", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let lines = story(agent, &id);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    (id, lines)
}

#[test]
fn a_task_is_two_lines() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    for (outcome, state, error) in [
        ("succeeded", "succeeded", None),
        ("failed", "failed", Some("failed, as the request asked for")),
        (
            "panicked",
            "failed",
            Some("panicked, as the request asked for"),
        ),
    ] {
        let event = json!({"action": "process", "data_id": "d-1", "seconds": 0.02,
            "outcome": outcome});
        let (id, lines) = told(&agent, &event);
        collector.wait_for("its span", |collector| {
            let spans = collector.spans_named("data_processing");
            spans.iter().any(|span| *span.get("task.id") == id)
        });
        let spans = collector.spans_named("data_processing");
        let span = spans
            .iter()
            .find(|span| *span.get("task.id") == id)
            .unwrap();
        for line in &lines {
            for (key, value) in [
                ("trace_id", json!(TRACE)),
                ("span_id", json!(span.span_id)),
                ("task_id", id.clone()),
                ("task_name", json!("data_processing")),
                ("sessionId", json!("s-1")),
                ("requestId", json!("r-1")),
            ] {
                assert_eq!(line[key], value, "{key} of {line:#}");
            }
            for key in ["timestamp", "level", "message", "target"] {
                assert!(line[key].is_string(), "{key} of {line:#}");
            }
        }
        let [begun, ended] = &lines[..] else {
            unreachable!()
        };
        assert!(begun["message"].as_str().unwrap().contains("begun"));
        assert!(begun.to_string().contains("d-1"), "no metadata: {begun}");
        assert!(
            begun.to_string().contains("async_processing.rs"),
            "no place: {begun}"
        );
        assert!(ended["message"].as_str().unwrap().contains(state));
        assert_eq!(ended["state"], state, "{ended:#}");
        let took = ended["duration_seconds"].as_f64().expect("a duration");
        assert!(took >= 0.02, "{took}");
        let told = ended["error"].as_str();
        assert_eq!(told.is_some(), error.is_some(), "{ended:#}");
        assert!(told.unwrap_or_default().contains(error.unwrap_or_default()));
        let level = if error.is_some() { "ERROR" } else { "INFO" };
        assert_eq!(ended["level"], level);
    }
}

#[test]
fn a_probe_is_no_line() {
    let agent = Process::spawn_with(&[], &[("RUST_LOG", "info")]);
    told(&agent, &json!({"action": "process", "seconds": 0}));
    let before = agent.log();
    for path in ["/ping", "/ready", "/metrics"].repeat(20) {
        agent.get(path);
    }
    let (_, lines) = told(&agent, &json!({"action": "cleanup", "seconds": 0}));
    let log = agent.log();
    let begun = log.iter().position(|line| *line == lines[0]).unwrap();
    assert_eq!(before.len(), begun, "{:#?}", &log[before.len()..]);
}

#[test]
fn hostile_text_breaks_no_line() {
    let agent = Process::spawn(&[]);
    let hostile = "x\n{\"message\":\"forged\"}\r\n\u{1b}[31m\u{2028}\0\"\\";
    let headers = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: \"}{\\n\r\n";
    for data in [hostile.to_owned(), "é".repeat(100_000)] {
        let event = json!({"action": "process", "data_id": data, "seconds": 0});
        let answer = super::invoke(&agent, headers, &event);
        let id = answer.json()["task_id"].clone();
        eventually("its end is printed", || story(&agent, &id).len() == 2);
        assert_eq!(story(&agent, &id)[0]["sessionId"], "\"}{\\n");
    }
    // Every line was an object, else the harness had failed; none is theirs.
    let forged = agent.messages().iter().any(|text| text == "forged");
    assert!(!forged);
}

#[test]
fn without_tracing_abroad_lines_have_ids_all_the_same() {
    let agent = Process::spawn(&[]);
    let (id, lines) = told(&agent, &json!({"action": "process", "seconds": 0}));
    let known = agent.get(&format!("/tasks/{id}")).json();
    for line in lines {
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(line["span_id"], known["span_id"]);
    }
    assert_eq!(known["trace_id"], TRACE);
}

#[test]
fn the_same_records_are_sent() {
    let collector = Collector::start();
    let more = [("OTEL_LOGS_EXPORTER", "otlp")];
    let agent = exporting(&collector, &[], &more);
    let event = json!({"action": "process", "data_id": "d-1", "seconds": 0,
        "outcome": "failed"});
    let (_, lines) = told(&agent, &event);
    let span = collector.span_named("data_processing");
    for line in &lines {
        let same = |collector: &Collector| {
            let logs = collector.logs();
            logs.into_iter().find(|log| log.body == line["message"])
        };
        collector.wait_for(&line.to_string(), |collector| same(collector).is_some());
        let record = same(&collector).expect("just seen");
        assert_eq!(record.severity, line["level"].as_str().unwrap());
        assert_eq!(record.trace_id, TRACE);
        assert_eq!(record.span_id, span.span_id);
        assert_eq!(record.resource["service.name"], "taskpulse");
    }
    let ended = collector.logs();
    let ended = ended.iter().find(|log| log.body == lines[1]["message"]);
    let ended = ended.expect("just seen");
    assert_eq!(ended.attributes["state"], "failed");
    assert!(ended.attributes["duration_seconds"].is_f64());
    let error = ended.attributes["error"].as_str();
    assert_eq!(error, Some("failed, as the request asked for"));
}

#[test]
fn logs_stay_here_unless_sent_for() {
    let collector = Collector::start();
    let more = [("OTEL_LOGS_EXPORTER", "none")];
    let agent = exporting(&collector, &[], &more);
    told(&agent, &json!({"action": "process", "seconds": 0}));
    collector.span_named("data_processing");
    collector.next_metrics();
    assert!(collector.logs().is_empty(), "{:#?}", collector.summary());
}

/// The caller's span is current then, and not the task's.
#[test]
fn with_a_disabled_sdk_lines_name_their_task_all_the_same() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[("OTEL_SDK_DISABLED", "true")]);
    let event = json!({"action": "process", "seconds": 0});
    let answer = invoke(&agent, &traceparent("01"), &event);
    let id = answer.json()["task_id"].clone();
    let lines = || {
        let mut log = agent.log();
        log.retain(|line| line["target"] == "taskpulse::task");
        log
    };
    eventually("both lines", || lines().len() == 2);
    for line in lines() {
        assert_eq!(line["task_id"], id, "{line}");
        assert_eq!(line["task_name"], "data_processing", "{line}");
    }
}

#[test]
fn a_session_is_named_once() {
    let collector = Collector::start();
    let more = [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("AGENT_OBSERVABILITY_ENABLED", "true"),
    ];
    let agent = exporting(&collector, &[], &more);
    let headers = format!("{SESSION}baggage: session.id=s-2\r\n");
    invoke(
        &agent,
        &headers,
        &json!({"action": "process", "seconds": 0}),
    );
    let task = collector.span_named("data_processing");
    assert_eq!(task.get("session.id"), "s-1");
    assert!(task.repeated.is_empty(), "{task:#?}");
    collector.wait_for("the lines", |collector| collector.logs().len() > 3);
    for record in collector.logs() {
        let sessions = record
            .attributes
            .iter()
            .filter(|(key, _)| *key == "session.id");
        assert!(sessions.count() <= 1, "{record:#?}");
    }
    for line in agent.log() {
        assert_eq!(line.get("session.id"), None, "{line}");
    }
}
