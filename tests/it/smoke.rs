//! The four calls of the documentation's page, against the real binary.

use serde_json::json;

use crate::harness::{Process, eventually};

#[test]
fn the_documented_calls_answer_as_documented() {
    let agent = Process::spawn(&[]);
    let ping = agent.get("/ping").json();
    assert_eq!(ping["status"], "Healthy");

    let started =
        agent.invoke(&json!({"action": "process", "data_id": "sample_data", "seconds": 1}));
    assert_eq!(started.status, 200);
    let started = started.json();
    assert_eq!(started["message"], "Started processing sample_data");
    assert_eq!(started["status"], "processing");
    let id = started["task_id"].as_u64().expect("an integer");

    let status = agent.invoke(&json!({"action": "status"})).json();
    assert_eq!(status["ping_status"], "HealthyBusy");
    assert_eq!(status["active_tasks"], 1);
    assert_eq!(status["running_jobs"][0]["name"], "data_processing");
    assert_eq!(agent.get("/ping").json()["status"], "HealthyBusy");

    let cleanup = agent.invoke(&json!({"action": "cleanup", "seconds": 0}));
    assert_eq!(cleanup.json()["message"], "Started cleanup");

    eventually("healthy again", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let task = agent.get(&format!("/tasks/{id}")).json();
    assert_eq!(task["state"], "succeeded");
    assert_eq!(task["result"], "Processed sample_data");
    for line in [
        "Processing data: sample_data",
        "Completed processing: sample_data",
    ] {
        let found = agent
            .log()
            .into_iter()
            .find(|entry| entry["message"] == line);
        assert_eq!(found.expect(line)["task_id"], id, "{line}");
    }
}
