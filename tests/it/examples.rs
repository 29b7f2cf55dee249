//! Every example runs and does what its comment says.

use std::{fs, path::PathBuf};

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::harness::{Collector, PATIENCE, Process, Scrape, eventually};

/// The examples, by name. A test below begins with `start` of each.
const EXAMPLES: [&str; 7] = [
    "async_processing",
    "mount",
    "rayon",
    "sse",
    "telemetry",
    "threads",
    "websocket",
];

/// Starts an example, which cargo has built next to this test.
fn start(name: &str) -> Process {
    Process::start(&binary(name), &[], &[])
}

/// The path of an example's program.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/it");
    let binary = profile.join("examples").join(name);
    assert!(
        binary.exists(),
        "{} is not there; `cargo build --examples` makes it (plain `cargo test` does, too)",
        binary.display()
    );
    binary
}

/// The task of this id, once it has ended.
fn ended(agent: &Process, id: &Value) -> Value {
    let path = format!("/tasks/{id}");
    eventually("the task has ended", || {
        agent.get(&path).json()["ended_at"].is_string()
    });
    agent.get(&path).json()
}

#[test]
fn every_example_is_here() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).expect("a folder").map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("UTF-8")
    });
    let mut names: Vec<_> = files
        .filter_map(|file| file.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort_unstable();
    assert_eq!(names, EXAMPLES);
    for name in EXAMPLES {
        let started = format!("start(\"{name}\")");
        assert!(
            include_str!("examples.rs").contains(&started),
            "no test runs {name}"
        );
    }
}

#[test]
fn async_processing_is_the_documented_agent() {
    let agent = start("async_processing");
    let usage = agent.invoke(&json!({})).json();
    assert_eq!(
        usage.to_string(),
        r#"{"message":"Simple BedrockAgentCore Agent","available_actions":["process","cleanup","status"],"usage":"Send {'action': 'process', 'data_id': 'my_data'}"}"#
    );
    let started = agent.invoke(&json!({"action": "process", "seconds": 0}));
    let task = ended(&agent, &started.json()["task_id"]);
    assert_eq!(task["name"], "data_processing");
    assert_eq!(task["metadata"], json!({"data_id": "default_data"}));
    assert_eq!(task["result"], "Processed default_data");
    let started = agent.invoke(&json!({"action": "cleanup", "seconds": 0}));
    let task = ended(&agent, &started.json()["task_id"]);
    assert_eq!(task["result"], "Cleanup done");
    let wrong = agent.invoke(&json!({"action": "process", "data_id": 5}));
    assert_eq!(wrong.status, 400);
    let details = wrong.json()["details"].to_string();
    assert!(details.contains("data_id"), "{details}");
    eventually("the log says that it starts", || {
        let starting = "Starting simple BedrockAgentCore agent...".to_owned();
        agent.messages().contains(&starting)
    });
}

#[test]
fn sse_sends_tokens_and_settles_its_task() {
    let agent = start("sse");
    let answer = agent.invoke(&json!({"prompt": "to be"}));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        answer.text(),
        "data: {\"token\":\"to\"}\n\ndata: {\"token\":\"be\"}\n\ndata: {\"done\":true}\n\n"
    );
    let tasks = agent.get("/tasks?name=answer").json();
    assert_eq!(tasks["tasks"][0]["state"], "succeeded");
    assert_eq!(tasks["tasks"][0]["result"], 2);
    // A client that leaves midway takes the task with it.
    let mut client = agent.client();
    let body = json!({"prompt": "word ".repeat(1_000)}).to_string();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.head();
    client.chunk();
    drop(client);
    eventually("the task of a client that left is interrupted", || {
        let left = agent.get("/tasks?name=answer&state=interrupted").json();
        left["tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });
}

#[tokio::test]
async fn websocket_echoes() {
    let agent = start("websocket");
    let (mut socket, _) = connect_async(format!("ws://{}/ws", agent.address))
        .await
        .expect("it upgrades");
    for said in [Message::text("höre"), Message::binary(vec![0, 1, 255])] {
        socket.send(said.clone()).await.expect("sent");
        let echo = tokio::time::timeout(PATIENCE, socket.next()).await;
        assert_eq!(echo.expect("in time").expect("open").expect("sound"), said);
    }
    socket.close(None).await.expect("closed");
    eventually("the task knows how many", || {
        let tasks = agent.get("/tasks?name=echo&state=succeeded").json();
        tasks["tasks"][0]["result"] == 2
    });
}

#[test]
fn threads_carry_the_task() {
    let agent = start("threads");
    let id = agent.invoke(&json!({"seconds": 0})).json()["task_id"].clone();
    let task = ended(&agent, &id);
    assert_eq!(task["state"], "succeeded");
    assert_eq!(task["metadata"], json!({"seconds": 0}));
    eventually("the line of the thread carries the task", || {
        let line = agent
            .log()
            .into_iter()
            .find(|line| line["message"] == "crunching for 0 s");
        line.is_some_and(|line| line["task_id"] == id && line["task_name"] == "crunching")
    });
}

#[test]
fn rayon_counts_primes() {
    let agent = start("rayon");
    let id = agent.invoke(&json!({"below": 100})).json()["task_id"].clone();
    let task = ended(&agent, &id);
    assert_eq!(task["state"], "succeeded");
    assert_eq!(task["result"], 25);
}

#[test]
fn mount_shares_an_app() {
    let agent = start("mount");
    assert_eq!(agent.get("/hello").text(), "hello");
    let id = agent.invoke(&json!({})).json()["task_id"].clone();
    assert_eq!(ended(&agent, &id)["result"], "rested");
    let ping = agent.get("/ping").json();
    assert_eq!(ping["status"], "Healthy");
    assert!(ping["time_of_last_update"].is_u64());
    let nothing = agent.get("/nothing");
    assert_eq!(
        (nothing.status, nothing.error().as_str()),
        (404, "Not Found")
    );
}

#[test]
fn telemetry_has_a_subscriber_and_a_counter_of_its_own() {
    let agent = start("telemetry");
    let id = agent.invoke(&json!("to be or not to be")).json()["task_id"].clone();
    let task = ended(&agent, &id);
    assert_eq!(
        (&task["state"], &task["result"]),
        (&json!("succeeded"), &json!(6))
    );
    let scrape = Scrape::of(&agent.get("/metrics"));
    assert_eq!(scrape.value("counting_words_total", &[]), Some(6.0));
    drop(agent);

    let collector = Collector::start();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url())];
    let mut agent = Process::start(&binary("telemetry"), &[], &variables);
    let id = agent.invoke(&json!("to be")).json()["task_id"].clone();
    ended(&agent, &id);
    agent.signal(Signal::INT);
    assert!(agent.wait().success());
    let request = collector.span_named("POST /invocations");
    let task = collector.span_named("counting");
    let splitting = collector.span_named("splitting");
    assert_eq!(task.parent, request.span_id);
    assert_eq!(splitting.parent, task.span_id);
    assert_eq!(splitting.trace_id, request.trace_id);
    assert_eq!(collector.value("counting.words", &[]), Some(2.0));
}
