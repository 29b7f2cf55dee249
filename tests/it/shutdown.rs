//! SIGTERM, Ctrl-C and what may not hold them up: `table.rs` has the cases, what
//! is here does not fit into a row.

mod callers;
mod open;
mod program;
mod row;
mod table;

use std::{
    convert::Infallible,
    future::pending,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use futures_util::stream;
use rustix::process::Signal;
use serde_json::json;
use taskpulse::App;
use tokio::{runtime::Builder, task::spawn_blocking, time::sleep};

use crate::harness::{Client, PATIENCE, Process, Server, eventually};

const EMPTY_POST: &str = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";

/// What the time to stop may be off by, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// Sends `signal` and waits until it has been heard.
fn signal(agent: &Process, signal: Signal) {
    agent.signal(signal);
    eventually("it drains", || agent.get("/ready").status == 503);
}

#[track_caller]
fn assert_took(since: Instant, at_least: Duration) {
    let took = since.elapsed();
    assert!(took >= at_least && took < at_least + SLACK, "{took:?}");
}

#[test]
fn a_second_signal_waits_neither_for_a_collector_nor_for_a_reader_of_the_log() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
        ("RUST_LOG", "trace"),
    ];
    let mut agent = Process::spawn_unread(&["--drain", "60s"], &variables);
    let mut client = agent.client();
    // More of a log than a pipe takes, and many tasks that do not end.
    for seconds in std::iter::repeat_n(0, 1_000).chain([60; 2_000]) {
        let payload = json!({"action": "process", "seconds": seconds}).to_string();
        client.request("POST", "/invocations", "", &payload);
    }
    signal(&agent, Signal::TERM);
    let began = Instant::now();
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(143));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

/// A server whose users stream without an end, and a client that listens.
fn streaming(app: App) -> (Server, Client) {
    let server = Server::spawn(app.entrypoint(async || {
        taskpulse::stream(stream::unfold((), |()| async {
            sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, Infallible>(1), ()))
        }))
    }));
    let mut client = server.client();
    client.send(EMPTY_POST);
    assert_eq!(client.head().status, 200);
    (server, client)
}

/// A server whose handlers block both its workers, and the only thread it has for
/// what blocks, until what is given back besides is dropped.
fn blocked() -> (Server, mpsc::Sender<()>) {
    let (say_blocked, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let app = App::new().entrypoint(async move || {
        let blocks = Arc::clone(&released);
        drop(spawn_blocking(move || blocks.lock().unwrap().recv()));
        say_blocked.send(()).unwrap();
        released.lock().unwrap().recv().unwrap_or_default();
    });
    let mut runtime = Builder::new_multi_thread();
    runtime
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all();
    let server = Server::spawn_on(app, runtime.build().unwrap());
    for _ in 0..2 {
        server.client().send(EMPTY_POST);
        told.recv_timeout(PATIENCE).unwrap();
    }
    (server, release)
}

#[test]
fn user_code_does_not_hold_the_end_up() {
    let (mut streaming, _listener) = streaming(App::new());
    let (mut blocked, _release) = blocked();
    let began = Instant::now();
    streaming.stop();
    blocked.stop();
    streaming.end().unwrap();
    blocked.end().unwrap();
    assert_took(began, Duration::from_secs(10));
}

#[tokio::test]
async fn whoever_stops_serving_listens_no_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(App::new().serve(listener, pending()));
    let ping = spawn_blocking(move || Client::connect(address).request("GET", "/ping", "", ""));
    assert_eq!(ping.await.unwrap().status, 200);
    serving.abort();
    serving.await.unwrap_err();
    let refused = move || eventually("nobody listens", || TcpStream::connect(address).is_err());
    spawn_blocking(refused).await.unwrap();
}

#[test]
fn a_full_pipe_stops_nothing() {
    let mut agent = Process::spawn_unread(&["--drain", "5s"], &[("RUST_LOG", "trace")]);
    let payload = json!({"action": "process", "seconds": 0}).to_string();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = agent.client();
                for _ in 0..1_000 {
                    let answer = client.request("POST", "/invocations", "", &payload);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    eventually("every task has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let began = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    // One second is for the log, to be read after all.
    assert_took(began, Duration::ZERO);
}
