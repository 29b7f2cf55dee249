//! A program with a subscriber of its own, whose spans, counter and log lines
//! find the tasks they are of.
//!
//! ```text
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --example telemetry
//! curl -X POST http://127.0.0.1:8080/invocations -d '"to be or not to be"'
//! curl http://127.0.0.1:8080/metrics | grep counting
//! ```
//!
//! Without the variable nothing is exported, and `/metrics` is there.

use std::{env, io::stderr, time::Duration};

use axum::{Extension, Json};
use serde_json::{Value, json};
use taskpulse::{
    App, Error, Payload, Tasks,
    telemetry::{
        self,
        opentelemetry::{global, metrics::Counter},
    },
};
use tokio::{net::TcpListener, signal::ctrl_c, task::spawn_blocking};
use tracing::{Instrument as _, info, info_span};
use tracing_subscriber::{EnvFilter, prelude::*};

async fn handler(
    tasks: Tasks,
    Extension(words): Extension<Counter<u64>>,
    Payload(text): Payload<String>,
) -> Result<Json<Value>, Error> {
    let metadata = text.len();
    let work = async move {
        // A child of the task's span, whose parent is the request's.
        let span = info_span!("splitting", text.bytes = text.len());
        let count = async { text.split_whitespace().count() as u64 };
        let count = count.instrument(span).await;
        words.add(count, &[]);
        info!(count, "counted the words");
        Ok::<_, String>(count)
    };
    let task = tasks.begin("counting").metadata("bytes", metadata);
    Ok(Json(json!({ "task_id": task.spawn(work)?.id() })))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "for the person at the terminal")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the layer, which belongs to what was started last.
    let telemetry = telemetry::start(telemetry::Config::from_env()?)?;
    let printed = tracing_subscriber::fmt::layer().with_writer(stderr);
    tracing_subscriber::registry()
        .with(printed.with_filter(EnvFilter::from_default_env()))
        .with(telemetry::layer())
        .init();
    let words = global::meter("counting")
        .u64_counter("counting.words")
        .with_description("Words that were counted.")
        .build();

    let port = env::var("TASKPULSE_PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = App::new().entrypoint(handler).layer(Extension(words));
    let app = app.task_names(["counting"]);
    let shutdown = async { ctrl_c().await.unwrap_or_default() };
    app.serve(listener, shutdown).await?;

    // It blocks, for 3 s at most.
    let end = spawn_blocking(move || telemetry.shutdown(Duration::from_secs(3))).await?;
    info!(?end, "everything has been sent");
    Ok(())
}
