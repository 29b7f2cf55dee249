//! Work on threads of your own, tracked by its id alone.
//!
//! ```text
//! cargo run --example threads
//! curl -X POST http://127.0.0.1:8080/invocations -d '{"seconds": 5}'
//! curl http://127.0.0.1:8080/ping
//! ```
//!
//! Where the work is one closure, `tasks.begin(..).spawn_blocking(..)` does the
//! same in one call, and settles the task whatever happens.

use std::{thread, time::Duration};

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, TaskId, Tasks};
use tracing::info;

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    seconds: u16,
}

async fn handler(tasks: Tasks, Payload(job): Payload<Job>) -> Result<Json<Value>, Error> {
    let seconds = job.seconds;
    let id = tasks.add_async_task("crunching", json!({ "seconds": seconds }))?;
    let for_thread = tasks.clone();
    thread::spawn(move || crunch(&for_thread, id, seconds));
    Ok(Json(json!({ "task_id": id })))
}

fn crunch(tasks: &Tasks, id: TaskId, seconds: u16) {
    // Lines that are logged in here carry the task's id and name.
    tasks.in_scope(id, || info!("crunching for {seconds} s"));
    #[expect(clippy::disallowed_methods, reason = "a thread of its own may block")]
    thread::sleep(Duration::from_secs(seconds.into()));
    // False if somebody else has ended it meanwhile.
    if !tasks.complete_async_task(id) {
        info!("task {id} had ended before its thread");
    }
}

fn main() -> Result<(), Error> {
    App::new().entrypoint(handler).run()
}
