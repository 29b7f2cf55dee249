//! Tokens as they come, over server-sent events, with a task for the whole.
//!
//! ```text
//! cargo run --example sse
//! curl -N -X POST http://127.0.0.1:8080/invocations -d '{"prompt": "to be or not to be"}'
//! ```
//!
//! `/ping` says `HealthyBusy` while tokens come. A client that leaves drops the
//! stream, and with it the handle: the task then ends as `interrupted`.

use std::time::Duration;

use axum::response::Response;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use taskpulse::{App, Error, Payload, Tasks, stream};

#[derive(Deserialize)]
struct Question {
    prompt: String,
}

async fn handler(tasks: Tasks, Payload(question): Payload<Question>) -> Result<Response, Error> {
    let words = question.prompt.split_whitespace().map(str::to_owned);
    let words: Vec<String> = words.collect();
    let task = tasks
        .begin("answer")
        .metadata("words", words.len())
        .start()?;
    let count = words.len();

    // Stands in for a model that thinks for a moment about each token.
    let tokens = futures_util::stream::iter(words).then(|word| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Error>(json!({ "token": word }))
    });
    // The last item settles the task.
    let end = futures_util::stream::once(async move {
        task.succeed_with(count);
        Ok(json!({ "done": true }))
    });
    Ok(stream(tokens.chain(end)))
}

fn main() -> Result<(), Error> {
    App::new().entrypoint(handler).run()
}
