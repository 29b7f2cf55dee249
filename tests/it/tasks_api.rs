//! The tasks API over HTTP.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod pages;

use serde_json::{Value, json};
use taskpulse::{App, TaskId, Tasks};

use crate::harness::Server;

const KEYS: [&str; 20] = [
    "id",
    "name",
    "state",
    "metadata",
    "session_id",
    "request_id",
    "started_at",
    "ended_at",
    "duration_seconds",
    "overdue",
    "stalled",
    "progress",
    "progress_message",
    "result",
    "error",
    "trace_id",
    "span_id",
    "begun_at",
    "deadline",
    "last_seen_at",
];

fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn seconds(timestamp: &Value) -> f64 {
    let text = timestamp.as_str().expect("a timestamp");
    let at = humantime::parse_rfc3339(text).expect("RFC 3339");
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

#[test]
fn a_task_has_the_keys_of_the_design_in_their_order() {
    async fn handler(tasks: Tasks) -> Result<String, taskpulse::Error> {
        let task = tasks.begin("keyed").metadata("data_id", "d1").start()?;
        let id = task.id().to_string();
        task.succeed_with(json!({"rows": [1, 2]}));
        Ok(id)
    }
    let server = Server::spawn(App::new().entrypoint(handler));
    let headers = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: session-7\r\n\
                   X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: request-8\r\n";
    let id = server
        .client()
        .request("POST", "/invocations", headers, "{}")
        .text();
    let task = server.task(&id);
    assert_eq!(keys(&task), [&KEYS[..], &["timeline"]].concat());
    let page = server.get("/tasks").json();
    assert_eq!(keys(&page), ["tasks", "next"]);
    let listed = &page["tasks"][0];
    assert_eq!(keys(listed), KEYS);
    for key in KEYS {
        assert_eq!(listed[key], task[key], "{key}");
    }
    assert_eq!(task["id"].as_u64().unwrap().to_string(), id);
    assert_eq!(task["name"], "keyed");
    assert_eq!(task["state"], "succeeded");
    assert_eq!(task["metadata"], json!({"data_id": "d1"}));
    assert_eq!(task["session_id"], "session-7");
    assert_eq!(task["request_id"], "request-8");
    assert_eq!(task["result"], json!({"rows": [1, 2]}));
    assert_eq!(task["error"], Value::Null);
    assert_eq!([&task["overdue"], &task["stalled"]], [false, false]);
    let begun_at = task["begun_at"].as_str().unwrap();
    assert!(begun_at.starts_with("tests/it/tasks_api.rs:"), "{begun_at}");
    let took = task["duration_seconds"].as_f64().unwrap();
    let apart = seconds(&task["ended_at"]) - seconds(&task["started_at"]);
    assert!((apart - took).abs() < 1e-4, "{apart} and {took}");
    let timeline = json!([
        {"state": "running", "at": task["started_at"]},
        {"state": "succeeded", "at": task["ended_at"]},
    ]);
    assert_eq!(task["timeline"], timeline);
}

#[test]
fn an_active_task_of_no_request_leaves_open_what_is_open() {
    let server = Server::spawn(App::new());
    let id = server.tasks.add_async_task("open", ()).unwrap();
    let task = server.task(id);
    let open = [
        "session_id",
        "request_id",
        "ended_at",
        "progress",
        "progress_message",
        "result",
        "error",
        "deadline",
        "last_seen_at",
    ];
    for key in open {
        assert_eq!(task[key], Value::Null, "{key}");
    }
    assert_eq!(task["metadata"], json!({}));
    let timeline = json!([{"state": "running", "at": task["started_at"]}]);
    assert_eq!(task["timeline"], timeline);
    let duration = || server.task(id)["duration_seconds"].as_f64().unwrap();
    let first = duration();
    assert!(duration() > first);
    assert!(server.tasks.complete_async_task(id));
    assert_eq!(duration(), duration(), "it stands still");
}

/// One task in each state that code can bring about, of two names.
fn mixed(tasks: &Tasks) -> Vec<TaskId> {
    let begin = |name: &str| tasks.begin(name).start().unwrap();
    let ended = [begin("a"), begin("b"), begin("a"), begin("b")];
    let ids = ended.each_ref().map(|task| task.id());
    let [first, second, third, fourth] = ended;
    first.succeed();
    second.fail("no");
    third.cancel();
    drop(fourth);
    let running = tasks.add_async_task("a", ()).unwrap();
    ids.into_iter().chain([running]).collect()
}

#[test]
fn a_list_is_filtered_by_state_and_name() {
    let server = Server::spawn(App::new());
    let ids = mixed(&server.tasks);
    let check = |query: &str, wanted: &[usize]| {
        let page = server.get(&format!("/tasks{query}")).json();
        let found: Vec<_> = page["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| &task["id"])
            .collect();
        let wanted: Vec<_> = wanted.iter().map(|at| json!(ids[*at])).collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "{query}");
        assert_eq!(page["next"], Value::Null);
    };
    check("", &[4, 3, 2, 1, 0]);
    check("?", &[4, 3, 2, 1, 0]);
    check("?state=running", &[4]);
    check("?state=succeeded", &[0]);
    check("?state=failed", &[1]);
    check("?state=cancelled", &[2]);
    check("?state=interrupted", &[3]);
    check("?state=timed_out", &[]);
    check("?state=lost", &[]);
    check("?name=a", &[4, 2, 0]);
    check("?name=b", &[3, 1]);
    check("?name=A", &[]);
    check("?name=", &[]);
    check("?name=a&state=running", &[4]);
    check("?name=b&state=running", &[]);
    check(&format!("?cursor={}", ids[2]), &[1, 0]);
    check("?cursor=9007199254740991&name=b", &[3, 1]);
    assert!(server.tasks.complete_async_task(ids[4]));
}

#[test]
fn what_is_asked_wrongly_is_told_what_is_allowed() {
    let server = Server::spawn(App::new());
    let check = |query: &str, says: &str| {
        let answer = server.get(&format!("/tasks?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.error(), "Invalid query", "{query}");
        let details = answer.json()["details"].as_str().unwrap().to_owned();
        assert!(details.contains(says), "{query}: {details}");
    };
    for limit in [
        "0",
        "1001",
        "-1",
        "x",
        "",
        "1.5",
        "99999999999999999999",
        "%00",
    ] {
        check(&format!("limit={limit}"), "1 to 1000");
    }
    check(
        "state=done",
        "`done` is no task state; there are running, succeeded,",
    );
    check("state=", "there are running");
    check("state=Running", "there are running");
    for cursor in ["0", "-1", "x", "", "9007199254740992"] {
        check(&format!("cursor={cursor}"), "`next` of the page before");
    }
    check(
        "sate=running",
        "unknown field `sate`, expected one of `state`, `name`, `limit`, `cursor`",
    );
    check("limit=1&limit=2", "duplicate field `limit`");
}

#[test]
fn one_task_is_found_by_its_id_or_not() {
    let server = Server::spawn(App::new());
    let check = |id: &str, status: u16, error: &str| {
        let answer = server.get(&format!("/tasks/{id}"));
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (status, error),
            "{id}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{id}"
        );
    };
    check("1", 404, "No such task");
    check("9007199254740991", 404, "No such task");
    for id in [
        "0",
        "-1",
        "x",
        "1.0",
        "9007199254740992",
        "%20",
        "1%2F2",
        "%FF",
        "events",
    ] {
        check(id, 400, "Invalid task id");
    }
    check("1/2", 404, "Not Found");
    let answer = server.get("/tasks/x").json();
    assert_eq!(
        answer["details"],
        "a task id is an integer from 1 to 9007199254740991"
    );
    let answer = server.request("POST", "/tasks", "{}");
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (405, "Method Not Allowed")
    );
}

#[test]
fn a_secret_is_shown_nowhere() {
    let server = Server::spawn(App::new());
    let secret = "hunter2";
    let metadata =
        json!({"password": secret, "nested": [{"apiKey": {"deep": secret}}], "user": "u"});
    let id = server.tasks.add_async_task("login", metadata).unwrap();
    let shown =
        json!({"password": "[redacted]", "nested": [{"apiKey": "[redacted]"}], "user": "u"});
    assert_eq!(server.task(id)["metadata"], shown);
    let info = json!(server.tasks.get_async_task_info()).to_string();
    let end = || server.get("/tasks").text() + &server.get(&format!("/tasks/{id}")).text();
    let running = end();
    assert!(server.tasks.complete_async_task(id));
    for text in [info, running, end()] {
        assert!(
            text.contains("[redacted]") && !text.contains(secret),
            "{text}"
        );
    }
}
