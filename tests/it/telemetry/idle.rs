//! What is queued leaves when there is nothing left to do, and at the end.

use std::time::Duration;

use serde_json::json;

use super::{exporting, invoke};
use crate::harness::{Collector, eventually};

/// Batches that do not leave by themselves while a test runs.
const LATE: [(&str, &str); 1] = [("OTEL_BSP_SCHEDULE_DELAY", "60000")];

#[test]
fn an_idle_process_has_sent_everything() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &LATE);
    for _ in 0..3 {
        let event = json!({"action": "process", "seconds": 0.05});
        let before = collector.spans().len();
        invoke(&agent, "", &event);
        collector.wait_for("the request and its task", |collector| {
            collector.spans().len() == before + 2
        });
    }
}

#[test]
fn a_busy_process_waits() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &LATE);
    invoke(&agent, "", &json!({"action": "process", "seconds": 3600}));
    invoke(&agent, "", &json!({"action": "cleanup", "seconds": 0}));
    eventually("one has ended", || {
        agent.get("/metrics").text().contains(
            "taskpulse_task_transitions_total{task_name=\"cleanup\",task_state=\"succeeded\"} 1",
        )
    });
    let some = |collector: &Collector| !collector.spans().is_empty();
    assert!(!collector.holds_within(Duration::from_secs(3), some));
}

#[test]
fn it_can_be_turned_off() {
    let collector = Collector::start();
    let mut agent = exporting(&collector, &["--flush-on-idle", "off"], &LATE);
    invoke(&agent, "", &json!({"action": "process", "seconds": 0}));
    eventually("it has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let some = |collector: &Collector| !collector.spans().is_empty();
    assert!(!collector.holds_within(Duration::from_secs(3), some));
    // The end sends it all the same, and says so.
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    assert_eq!(collector.spans().len(), 2, "{:#?}", collector.summary());
    eventually("it is told", || {
        let log = agent.log();
        log.iter()
            .any(|line| line["spans_exported"] == 2 && line["spans_lost"] == 0)
    });
}

#[test]
fn tasks_that_the_end_interrupts_arrive() {
    let collector = Collector::start();
    let mut agent = exporting(&collector, &["--drain", "100ms"], &LATE);
    for _ in 0..10 {
        invoke(&agent, "", &json!({"action": "process", "seconds": 3600}));
    }
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    let tasks = collector.spans_named("data_processing");
    assert_eq!(tasks.len(), 10, "{:#?}", collector.summary());
    for task in tasks {
        assert_eq!(task.get("task.state"), "interrupted");
        assert_eq!(task.status, "ERROR");
    }
}
