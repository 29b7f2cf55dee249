//! The program of the rows that the agent cannot show, and what is open in it.

use std::{convert::Infallible, env, thread, time::Duration};

use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, Tasks, WebSocket};
use tokio::time::sleep;

/// Set where a test is to be this program.
pub(super) const PROGRAM: &str = "TASKPULSE_TEST_PROGRAM";

/// The test that is this program.
pub(super) const NAME: &str = "shutdown::program::run";

/// Not a test but a program.
#[test]
fn run() {
    if env::var_os(PROGRAM).is_none() {
        return;
    }
    let app = App::new().entrypoint(handler).websocket(socket);
    let code = app.run().map_or_else(|error| error.exit_code(), |()| 0);
    // The test runner would make something else of it.
    std::process::exit(code.into());
}

async fn handler(tasks: Tasks, Payload(event): Payload<Value>) -> Result<Response, Error> {
    let seconds = event["seconds"].as_f64().unwrap_or_default();
    let name = event["name"].as_str().unwrap_or_default();
    match event["do"].as_str().unwrap_or_default() {
        "answer" => {
            sleep(Duration::from_secs_f64(seconds)).await;
            return Ok("done".into_response());
        }
        "block" => block(),
        "hold up" => hold_up(&tasks, seconds).await,
        "endless" => {
            let items = stream::iter(0..).then(|item| async move {
                sleep(Duration::from_millis(10)).await;
                Ok::<u32, Infallible>(item)
            });
            return Ok(taskpulse::stream(items));
        }
        "stuck" => {
            let items = stream::iter(0..2).map(|item| {
                if item == 1 {
                    block();
                }
                Ok::<u32, Infallible>(item)
            });
            return Ok(taskpulse::stream(items));
        }
        "told" => {
            let told = tasks.clone();
            tasks.begin(name).spawn(async move {
                told.draining().await;
                // Whoever comes later is told at once.
                told.draining().await;
                told.is_draining().then_some(()).ok_or("a false alarm")
            })?;
        }
        "blocking" => {
            tasks.begin(name).spawn_blocking(|| {
                block();
                Ok::<_, Infallible>(())
            })?;
        }
        unknown => return Err(Error::failed(format!("no such thing: {unknown}"))),
    }
    Ok(axum::Json(json!({})).into_response())
}

/// User code that hears nothing.
fn block() {
    loop {
        thread::park();
    }
}

/// Blocks this worker from the drain on, for so long.
async fn hold_up(tasks: &Tasks, seconds: f64) {
    tasks.draining().await;
    thread::sleep(Duration::from_secs_f64(seconds));
}

/// Never ends by itself.
async fn socket(mut socket: WebSocket) -> Result<(), Error> {
    let _task = socket.tasks().begin("socket").start()?;
    while socket.next().await.is_some() {}
    std::future::pending().await
}
