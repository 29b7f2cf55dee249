//! The end of `serve`, with a collector that is not there.

use std::time::{Duration, Instant};

use taskpulse::{
    App,
    telemetry::{self, Config},
};
use tokio::{net::TcpListener, runtime::Builder};

use crate::harness::PATIENCE;

/// A runtime that is dropped waits for what still blocks its own threads.
#[test]
fn a_dead_collector_holds_neither_serve_nor_its_runtime() {
    let config = Config::default().otlp_endpoint("http://127.0.0.1:1");
    let telemetry = telemetry::builder().config(config).build().unwrap();
    let app = App::new().telemetry(telemetry.clone());
    let hook = |tasks: taskpulse::Tasks| tasks.begin("ended").start().unwrap().succeed();
    let app = app.on_start(hook);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = tokio::time::sleep(Duration::from_millis(100));
        app.serve(listener, shutdown).await.unwrap();
    });
    drop(runtime);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    let shutdown = telemetry.shutdown(Duration::from_secs(1));
    assert_eq!((shutdown.spans_exported, shutdown.spans_lost), (0, 1));
}
