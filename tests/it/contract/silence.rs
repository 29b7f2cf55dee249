//! What the log says of a task that has become silent.

use super::child::Child;
use crate::harness::eventually;

#[test]
fn the_last_line_of_a_stalled_task_is_quoted() {
    let child = Child::spawn("silent");
    eventually("it is at work", || child.log_of("page 4 of 10").len() == 1);
    let id = &child.log_of("page 4 of 10")[0]["task_id"];
    let stalled = format!("task import {id} stalled");
    eventually("it is warned of", || child.log_of(&stalled).len() == 1);
    let line = &child.log_of(&stalled)[0];
    assert_eq!(line["level"], "WARN", "{line}");
    assert_eq!(line["task_id"], *id, "{line}");
    assert_eq!(line["last_line"], "page 4 of 10", "{line}");
    let at = line["at"].as_str().unwrap();
    assert!(at.starts_with("tests/it/contract/child.rs:"), "{line}");
}
