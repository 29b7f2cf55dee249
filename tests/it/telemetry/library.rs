//! Programs that start telemetry themselves and have a subscriber of their own.

use std::{env, time::Duration};

use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, Tasks, telemetry};
use tokio::{net::TcpListener, sync::mpsc};
use tracing::info_span;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::TRACE;
use crate::harness::{Collector, Process, Scrape};

/// Set to the collector's URL where a test is to be a program.
const PROGRAM: &str = "TASKPULSE_TEST_LIBRARY";

async fn handler(tasks: Tasks, Payload(event): Payload<Value>) -> Result<String, Error> {
    let task = tasks
        .begin("crunch")
        .metadata("data_id", &event["data_id"])
        .spawn(async {
            info_span!("inside").in_scope(|| {});
            Ok::<_, String>(())
        })?;
    Ok(task.id().to_string())
}

/// Not a test but the program of the one below: serves until `/end` is asked for.
#[test]
#[expect(clippy::print_stdout, reason = "whoever started it reads that")]
fn program() {
    let Ok(url) = env::var(PROGRAM) else { return };
    let config = telemetry::Config::default()
        .otlp_endpoint(url)
        .service_name("mine");
    let telemetry = telemetry::start(config).expect("it starts");
    // What it prints leaves nothing out of what is exported.
    let printed = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(printed.with_filter(EnvFilter::new("off")))
        .with(telemetry::layer())
        .init();
    let counter = telemetry::opentelemetry::global::meter("mine")
        .u64_counter("mine.calls")
        .with_description("Calls of mine.")
        .build();
    counter.add(7, &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!(
            "{}",
            json!({"message": "listening",
            "address": listener.local_addr().unwrap().to_string()})
        );
        let (stop, mut stopped) = mpsc::channel::<()>(1);
        let end = async move || {
            let _sent = stop.send(()).await;
            "ending"
        };
        App::new()
            .entrypoint(handler)
            .route("/end", axum::routing::get(end))
            .serve(
                listener,
                async move { stopped.recv().await.unwrap_or_default() },
            )
            .await
            .unwrap();
    });
    let end = telemetry.shutdown(Duration::from_secs(5));
    assert!(end.complete);
    println!(
        "{}",
        json!({"spans_exported": end.spans_exported, "spans_lost": end.spans_lost})
    );
}

#[test]
fn a_subscriber_of_ones_own() {
    let collector = Collector::start();
    let url = collector.url();
    let mut program = Process::spawn_test("telemetry::library::program", &[(PROGRAM, &url)]);
    let headers = super::traceparent("01");
    super::invoke(&program, &headers, &json!({"data_id": "d-1"}));
    let request = collector.span_named("POST /invocations");
    let task = collector.span_named("crunch");
    let inside = collector.span_named("inside");
    assert_eq!(
        (&*request.trace_id, &*request.parent),
        (TRACE, super::CALLER)
    );
    assert_eq!((&*task.trace_id, &*task.parent), (TRACE, &*request.span_id));
    assert_eq!(
        (&*inside.trace_id, &*inside.parent),
        (TRACE, &*task.span_id)
    );
    assert_eq!(task.get("task.metadata.data_id"), "d-1");
    assert_eq!(task.resource["service.name"], "mine");

    let scrape = Scrape::of(&program.get("/metrics"));
    assert_eq!(scrape.value("mine_calls_total", &[]), Some(7.0));
    assert_eq!(scrape.family("mine_calls_total").help, "Calls of mine.");
    let ended = [("task_name", "crunch"), ("task_state", "succeeded")];
    let count = scrape.value("taskpulse_task_transitions_total", &ended);
    assert_eq!(count, Some(1.0));

    assert_eq!(program.get("/end").text(), "ending");
    assert!(program.wait().success());
    assert_eq!(collector.value("mine.calls", &[]), Some(7.0));
    let spans = collector.spans().len() as u64;
    crate::harness::eventually("the end is told", || {
        let log = program.log();
        let end = log.iter().find(|line| line.get("spans_exported").is_some());
        end.is_some_and(|end| end["spans_exported"] == spans && end["spans_lost"] == 0)
    });
}
