//! What is killed: this test binary, asked for the one test below.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Json;
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, TaskId, Tasks};
use tempfile::TempDir;

use crate::harness::Process;

/// The variable that asks for it.
const ASKED: &str = "TASKPULSE_CRASH_PROGRAM";

/// No test of its own: serves where [`Site`] asks for it.
#[test]
fn serves_when_asked() -> Result<(), Error> {
    match env::var_os(ASKED) {
        Some(_) => App::new().entrypoint(handler).run(),
        None => Ok(()),
    }
}

/// Begins a task with the metadata at `begin`, or ends the one whose id is at `end`.
async fn handler(tasks: Tasks, Payload(event): Payload<Value>) -> Result<Json<Value>, Error> {
    if let Some(id) = event["end"].as_u64() {
        let id = TaskId::try_from(id).expect("an id that was handed out");
        return Ok(Json(json!({ "ended": tasks.complete_async_task(id) })));
    }
    let id = tasks.add_async_task("import", &event["begin"])?;
    Ok(Json(json!({ "id": id })))
}

/// Where one process after the other finds the same store.
#[derive(Debug)]
pub(super) struct Site {
    folder: TempDir,
    /// Of a backend for spans, where there is one.
    url: Option<String>,
}

// === impl Site ===

impl Site {
    pub(super) fn new(url: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, url }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder().join("tasks.db")
    }

    /// Starts the program above, which calls itself `instance`.
    pub(super) fn start(&self, instance: &str) -> Process {
        self.with(instance, Process::spawn_test)
    }

    /// The same, and kills it `after` so long, however far it is by then. Its log.
    pub(super) fn start_doomed(&self, instance: &str, after: Duration) -> Vec<Value> {
        self.with(instance, |name, variables| {
            Process::spawn_doomed_test(name, variables, after)
        })
    }

    fn with<T>(&self, instance: &str, start: impl FnOnce(&str, &[(&str, &str)]) -> T) -> T {
        let (store, instance) = (
            self.store().display().to_string(),
            format!("service.instance.id={instance}"),
        );
        let mut variables = vec![
            (ASKED, "1"),
            ("TASKPULSE_STORE", &*store),
            ("TASKPULSE_HISTORY", "20000"),
            ("OTEL_RESOURCE_ATTRIBUTES", &*instance),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
            // A line for each begin and each end would keep the machine busy.
            ("RUST_LOG", "warn"),
        ];
        variables.extend(
            self.url
                .iter()
                .map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", &**url)),
        );
        let test = format!("{}::serves_when_asked", module_path!());
        let (_crate, test) = test.split_once("::").expect("a path has a crate");
        start(test, &variables)
    }
}
