//! The example agent: what the binary runs.
//!
//! It is `examples/async_processing.rs`, compiled as it stands, and one action
//! more: `stream`, which answers with a task's progress as it goes.

#[path = "../examples/async_processing.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a program of its own, written as a user of the crate would"
)]
mod example;

use std::{net::SocketAddr, time::Duration};

use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream::unfold};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use self::example::{Event, handler as documented, starting};
use crate::{App, Error, Payload, TaskEnd, TaskJoin, Tasks, stream};

/// How long a streamed task takes unless the request says otherwise.
const STREAM_SECONDS: f64 = 10.0;

/// After so long it is overdue: somebody may be reading, and waits.
const DEADLINE: Duration = Duration::from_secs(15);

/// It says how far it is each second, as long as its stream is read. Once the reader has
/// left nobody hears of it, and after so long it is stalled.
const SILENCE: Duration = Duration::from_secs(5);

/// The agent, ready to run.
pub(crate) fn app() -> App {
    App::new()
        .entrypoint(handler)
        .task_names(["data_processing", "cleanup", "streaming"])
        .on_start(starting)
        .greeting(greeting)
}

async fn handler(tasks: Tasks, Payload(event): Payload<Event>) -> Result<Response, Error> {
    match event.action.as_str() {
        "stream" => streamed(&tasks, event),
        _ => documented(tasks, Payload(event))
            .await
            .map(|json| json.into_response()),
    }
}

/// A task and its progress.
struct Progress {
    tasks: Tasks,
    task: TaskJoin,
    started: Instant,
    seconds: f64,
    ticks: Interval,
    ended: bool,
}

fn streamed(tasks: &Tasks, event: Event) -> Result<Response, Error> {
    let work = event.work;
    let task = tasks.begin("streaming").deadline(DEADLINE);
    let task = task.stall_after(SILENCE).spawn(work.run(STREAM_SECONDS))?;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let progress = Progress {
        tasks: tasks.clone(),
        task,
        started: Instant::now(),
        seconds: work.seconds.unwrap_or(STREAM_SECONDS),
        ticks,
        ended: false,
    };
    Ok(stream(progress.items()))
}

// === impl Progress ===

impl Progress {
    /// One item a second, and one for the end.
    fn items(self) -> impl Stream<Item = Result<Value, Error>> + Send {
        unfold(self, |mut progress| async move {
            if progress.ended {
                return None;
            }
            let item = tokio::select! {
                biased;
                end = &mut progress.task => {
                    progress.ended = true;
                    progress.last(end)
                }
                _tick = progress.ticks.tick() => progress.now(),
            };
            Some((Ok(item), progress))
        })
    }

    fn now(&self) -> Value {
        let share = self.started.elapsed().as_secs_f64() / self.seconds.max(f64::EPSILON);
        let progress = (share.min(1.0) * 1_000.0).round() / 1_000.0;
        self.tasks.progress(self.task.id(), progress, "");
        json!({ "task_id": self.task.id(), "state": "running", "progress": progress })
    }

    fn last(&self, end: TaskEnd) -> Value {
        json!({ "task_id": self.task.id(), "state": end.state, "error": end.error })
    }
}

/// What to try next, for a person at a terminal.
fn greeting(address: SocketAddr) -> String {
    // Where it listens on all addresses, this machine's own is the one to ask.
    let asked = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        _ => address,
    };
    let url = format!("http://{asked}");
    format!(
        r#"

  Try, in another terminal:

    curl {url}/ping
    curl -X POST {url}/invocations -d '{{"action": "process", "data_id": "sample_data"}}'
    curl -X POST {url}/invocations -d '{{"action": "status"}}'
    curl -X POST {url}/invocations -d '{{"action": "cleanup"}}'

  Tasks: {url}/tasks    Metrics: {url}/metrics
  Ready: {url}/ready    Stop: Ctrl-C
"#
    )
}
