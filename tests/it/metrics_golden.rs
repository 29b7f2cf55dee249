//! `/metrics` of the agent to the letter, but for what its series count.
//!
//! A name, a label or a help text that changes shows in `tests/golden/metrics.txt`:
//! dashboards and alerts of others are made of these. This writes it anew:
//!
//! ```text
//! SNAPSHOTS=overwrite cargo test --test it metrics_golden
//! ```

use std::path::Path;

use serde_json::json;
use snapbox::{Assert, Data};

use crate::harness::{Process, Scrape, eventually};

/// Labels whose values are others in each process or version.
const VOLATILE: [&str; 3] = [
    "service_instance_id",
    "service_version",
    "telemetry_sdk_version",
];

/// A line with `N` in the place of its value, and of values of labels that do
/// not stay.
fn lasting(line: &str) -> String {
    if line.starts_with('#') {
        return line.to_owned();
    }
    let (series, _value) = line.rsplit_once(' ').expect(line);
    let mut series = series.to_owned();
    for label in VOLATILE {
        let label = format!("{label}=\"");
        if let Some((before, after)) = series.split_once(&label) {
            let (_, after) = after.split_once('"').expect(line);
            series = format!("{before}{label}N\"{after}");
        }
    }
    format!("{series} N")
}

#[test]
fn values_alone_are_left_out() {
    for (line, kept) in [
        ("# HELP a_total Some 1 help.", "# HELP a_total Some 1 help."),
        ("a_total 12.5", "a_total N"),
        (r#"a{le="0.5",b="c 1"} 3"#, r#"a{le="0.5",b="c 1"} N"#),
        (
            r#"target_info{service_instance_id="5d-1",service_name="x"} 1"#,
            r#"target_info{service_instance_id="N",service_name="x"} N"#,
        ),
    ] {
        assert_eq!(lasting(line), kept);
    }
}

#[cfg(target_os = "linux")] // Elsewhere there is no `process_*`.
#[test]
fn metrics_are_as_they_were() {
    // What is there without a store is there with one.
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("tasks.db");
    let agent = Process::spawn(&["--store", store.to_str().unwrap()]);
    agent.invoke(&json!({"action": "cleanup", "seconds": 0}));
    let ended = [("task_name", "cleanup"), ("task_state", "succeeded")];
    eventually("the task's end is counted", || {
        let scrape = Scrape::of(&agent.get("/metrics"));
        let count = scrape.value("taskpulse_task_duration_seconds_count", &ended);
        count.is_some()
    });
    // By now the scrapes themselves are in it.
    let text = agent.get("/metrics").text();
    let text: String = text.lines().map(|line| lasting(line) + "\n").collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metrics.txt");
    Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .eq(text, Data::read_from(&golden, None).raw());
}
