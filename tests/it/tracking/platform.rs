//! Warnings of the limits at which the platform ends a session.

use serde_json::{Value, json};

use crate::harness::{Process, eventually};

/// Warnings with these words.
fn warnings(agent: &Process, words: &str) -> Vec<Value> {
    let mut log = agent.log();
    log.retain(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains(words)
    });
    log
}

#[test]
fn a_long_life_is_warned_of_once_for_the_process_and_for_each_task() {
    let agent = Process::spawn(&["--lifetime-limit", "400ms", "--idle-limit", "100ms"]);
    let body = json!({"action": "process", "seconds": 600});
    let ids = [(), ()].map(|()| agent.invoke(&body).json()["task_id"].clone());
    let near = "is near the age at which a session is ended";
    eventually("both tasks are warned of", || {
        warnings(&agent, near).len() == 2
    });
    for (line, id) in warnings(&agent, near).iter().zip(&ids) {
        assert_eq!(&line["task_id"], id);
        assert_eq!(line["limit_seconds"], 0.4);
        assert!(line["duration_seconds"].as_f64() >= Some(0.36), "{line}");
    }
    let process = "and a session is ended at 400ms";
    // A later task is warned of in its turn, the others and the process no more.
    agent.invoke(&body);
    eventually("so is a third one", || warnings(&agent, near).len() == 3);
    assert_eq!(warnings(&agent, process).len(), 1);
    // The status was HealthyBusy all the while.
    assert_eq!(warnings(&agent, "Healthy").len(), 0);
}

#[test]
fn a_status_that_hides_tasks_is_warned_of_once() {
    let agent = Process::spawn(&[
        "--idle-limit",
        "200ms",
        "--lifetime-limit",
        "2s",
        "--debug-actions",
    ]);
    agent.invoke(&json!({"_agent_core_app_action": "force_healthy"}));
    agent.invoke(&json!({"action": "process", "seconds": 600}));
    let hidden = "although tasks are active (it is forced), and an idle session is ended at 200ms";
    eventually("it is warned of", || warnings(&agent, hidden).len() == 1);
    // Many looks later.
    eventually("the life is long", || {
        warnings(&agent, "the process is").len() == 1
    });
    assert_eq!(warnings(&agent, "Healthy").len(), 1);
}
