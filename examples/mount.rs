//! Inside an axum app that exists already.
//!
//! ```text
//! cargo run --example mount
//! curl http://127.0.0.1:8080/hello
//! curl -X POST http://127.0.0.1:8080/invocations -d '{}'
//! curl http://127.0.0.1:8080/ping
//! ```
//!
//! `/ping` then shares that app's runtime: a handler that blocks every worker
//! blocks `/ping`, too. `App::run` and `App::serve` rule that out, by answering
//! it on a thread of their own. Draining at the end, time limits for slow
//! clients and the limit of open files are that app's matter as well.

use std::{env, time::Duration};

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use taskpulse::{App, Error, Tasks};

async fn handler(tasks: Tasks) -> Result<Json<Value>, Error> {
    let task = tasks.begin("nap").spawn(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, String>("rested")
    })?;
    Ok(Json(json!({ "task_id": task.id() })))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "for the person at the terminal")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let existing = Router::new().route("/hello", get(|| async { "hello" }));
    let app = existing.merge(App::new().entrypoint(handler).into_router());

    let port = env::var("TASKPULSE_PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
