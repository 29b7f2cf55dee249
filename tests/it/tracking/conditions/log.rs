//! What the log says of conditions.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{SECOND, app, shown};

/// Lines as JSON, as some program's subscriber writes them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn said(&self, level: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &Value| line["level"] == level)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_it_once_and_says_when_it_is_over() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = app();
    let task = app.tasks().begin("import").stall_after(30 * SECOND);
    let task = task.deadline(45 * SECOND).start().unwrap();
    let (begun, id) = (line!() - 1, task.id());
    sleep(10 * SECOND).await;
    task.heartbeat();
    sleep(120 * SECOND).await;
    let said = lines.said("WARN");
    let messages: Vec<_> = said.iter().map(|line| &line["message"]).collect();
    let [stalled, overdue] = ["stalled", "overdue"].map(|c| format!("task import {id} {c}"));
    // The heartbeat gave it until the 40th second.
    assert_eq!(messages, [&*stalled, &*overdue]);
    let shown = shown(&app, &task).await;
    let close = |line: &Value, field: &str, to: &Value| {
        let text = line[field].as_str().unwrap();
        let whole = to.as_str().unwrap();
        assert_eq!(text[..text.len() - 1], whole[..text.len() - 1], "{field}");
    };
    for line in &said {
        let at = line["at"].as_str().unwrap();
        assert_eq!(
            at,
            format!("{}:{}", file!(), begun - 1),
            "where it was begun"
        );
        close(line, "last_seen_at", &shown["last_seen_at"]);
    }
    close(&said[0], "since", &shown["last_seen_at"]);
    close(&said[1], "since", &shown["deadline"]);
    assert_eq!(
        (&said[0]["condition"], &said[1]["condition"]),
        (&json!("stalled"), &json!("overdue"))
    );
    assert!(
        (40.0..41.0).contains(&said[0]["duration_seconds"].as_f64().unwrap()),
        "{}",
        said[0]
    );

    task.heartbeat();
    let over = lines.said("INFO").pop().unwrap();
    assert_eq!(
        over["message"],
        format!("task import {id} no longer stalled")
    );
    assert_eq!(over["lasted_seconds"], 120.0);
    task.succeed();
    assert_eq!(lines.said("WARN").len(), 2);
}
