//! Ten thousand threads that live at the same time, each with a task.

use std::{
    cell::RefCell,
    sync::{Arc, Barrier},
    thread,
};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SimpleSpanProcessor};
use serde_json::json;
use taskpulse::{App, TaskHandle, telemetry};
use tokio::net::TcpListener;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::harness::Process;

const THREADS: usize = 10_000;

/// They are another program's: what breaks beyond 4,096 of them breaks for good.
#[test]
fn ten_thousand_threads_track_a_task_each() {
    let process = Process::spawn_test("observed::threads::child", &[("TASKPULSE_CHILD", "1")]);
    let page = process.get("/tasks?state=succeeded&limit=1").json();
    assert_eq!(page["tasks"][0]["name"], "threaded");
    let text = process.get("/metrics").text();
    let line =
        r#"taskpulse_task_transitions_total{task_name="threaded",task_state="succeeded"} 10000"#;
    assert!(text.contains(line), "{text}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the parent reads where it listens")]
fn child() {
    if std::env::var_os("TASKPULSE_CHILD").is_none() {
        return;
    }
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(SimpleSpanProcessor::new(spans.clone()))
        .build();
    let telemetry = telemetry::builder()
        .tracer_provider(provider)
        .start()
        .unwrap();
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
        .with(telemetry::layer())
        .init();
    let (tell, started) = tokio::sync::oneshot::channel();
    let started_hook = move |_| tell.send(()).unwrap_or_default();
    let app = App::new().telemetry(telemetry).on_start(started_hook);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tasks = app.tasks();
    let serve = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(app.serve(listener, std::future::pending()));
        started.await.unwrap();
        tokio::task::spawn_blocking(move || crowd(&tasks))
            .await
            .unwrap();
        // On a busy machine some are old enough for a checkpoint.
        let spans = spans.get_finished_spans().unwrap();
        let tasks = spans.iter().filter(|span| span.name == "threaded");
        assert_eq!(tasks.count(), THREADS);
        println!(
            "{}",
            json!({"message": "listening", "address": address.to_string()})
        );
        server.await.unwrap().unwrap();
    };
    runtime.block_on(serve);
}

/// Each thread begins a task, waits until all have, works in it and ends it.
fn crowd(tasks: &taskpulse::Tasks) {
    let all = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (tasks, all) = (tasks.clone(), Arc::clone(&all));
            let thread = thread::Builder::new().stack_size(128 * 1_024);
            let work = move || {
                let task = tasks
                    .begin("threaded")
                    .metadata("number", number)
                    .start()
                    .unwrap();
                all.wait();
                task.in_scope(|| tracing::info!("at work"));
                task.succeed();
            };
            thread
                .spawn(work)
                .expect("the system has room for a thread")
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

/// What is thread-local of OpenTelemetry's has gone by then.
#[test]
fn a_handle_that_goes_with_its_thread_ends_its_task() {
    thread_local! {
        static HELD: RefCell<Option<TaskHandle>> = const { RefCell::new(None) };
    }
    let telemetry = telemetry::builder().build().unwrap();
    let app = App::new().telemetry(telemetry.clone());
    let tasks = app.tasks();
    let _router = app.into_router();
    let there = tasks.clone();
    let thread = thread::spawn(move || {
        // First of all, so that it is the last to go.
        HELD.with(|held| drop(held.borrow_mut().take()));
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        let _guard = tracing::subscriber::set_default(subscriber);
        let task = there.begin("held").start().unwrap();
        task.in_scope(|| tracing::info!("at work"));
        HELD.with(|held| held.replace(Some(task)));
    });
    thread.join().expect("the thread ends well");
    assert_eq!(tasks.get_async_task_info().active_count, 0);
}
