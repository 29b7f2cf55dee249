//! What is printed at the start.

use serde_json::{Value, json};

use crate::harness::{Process, eventually};

#[test]
fn the_first_line_is_the_address_whatever_is_logged() {
    for filter in ["off", "error", "trace", "not a filter at all"] {
        let agent = Process::spawn_with(&[], &[("RUST_LOG", filter)]);
        let first = &agent.log()[0];
        assert_eq!(first["message"], "listening", "{filter}");
        assert_eq!(first["address"], agent.address.to_string(), "{filter}");
        assert_eq!(agent.get("/ping").status, 200);
    }
}

#[test]
fn the_log_says_where_to_look() {
    let urls = [
        ("TASKPULSE_JAEGER_URL", "http://localhost:16686/"),
        ("TASKPULSE_GRAFANA_URL", "https://ops.example/grafana"),
        ("OTEL_SERVICE_NAME", "night"),
    ];
    let agent = Process::spawn_with(&[], &urls);
    let said = || {
        let mut log = agent.log().into_iter();
        log.find(|line| line["message"] == "where to look")
    };
    eventually("the log says it", || said().is_some());
    let line = said().unwrap();
    assert_eq!(
        line["traces"],
        "http://localhost:16686/search?service=night"
    );
    assert_eq!(
        line["dashboards"],
        "https://ops.example/grafana/d/taskpulse-overview"
    );
    let agent = Process::spawn(&[]);
    agent.terminate();
    eventually("it goes", || {
        agent
            .messages()
            .iter()
            .any(|said| said.starts_with("shutting down"))
    });
    assert!(!agent.messages().contains(&"where to look".to_owned()));
}

#[test]
fn a_filter_that_cannot_be_read_is_named_once() {
    let agent = Process::spawn_with(&[], &[("RUST_LOG", "warn,hyper=loud")]);
    agent.invoke(&json!({"action": "cleanup", "seconds": 0}));
    let warned = |line: &Value| line["message"].as_str().unwrap().contains("`hyper=loud`");
    // `info` is used, which the end of a task is.
    eventually("the task has ended", || {
        let messages = agent.messages();
        messages.iter().any(|line| line.ends_with("succeeded"))
    });
    let log = agent.log();
    assert_eq!(log[0]["message"], "listening");
    let warnings: Vec<&Value> = log.iter().filter(|line| warned(line)).collect();
    assert_eq!(warnings.len(), 1, "{log:?}");
    assert_eq!(warnings[0]["level"], "WARN");
}
