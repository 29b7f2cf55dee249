//! `/ping` cannot starve: user code blocks every thread that it runs on, clients
//! hold on to all that they can hold on to, and every ping is answered in time.
//!
//! A test target of its own, since it measures: cargo runs these one by one,
//! and a lock does the same to the cases here. What was measured is printed.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests block and measure on threads of their own, and say what they measured"
)]

mod blocking;
#[path = "../it/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "made for the other tests, which use all of it"
)]
mod harness;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::runtime::Builder;

use self::{
    blocking::{Gate, app},
    harness::{Client, Server, eventually},
};

/// Threads of the runtime that user code runs on.
const WORKERS: usize = 2;

/// Requests that block, to be sure that each worker gets one.
const MOST_BLOCKING: usize = 16;

const PINGS: usize = 500;
const HALF_SENT: usize = 200;
const STREAMS: usize = 200;
const IDLE: usize = 1_000;

/// What the slowest hundredth of the pings may take, where an idle server is
/// not so slow itself that twenty times its own is more.
const BOUND: Duration = Duration::from_millis(50);

/// Held by the case that runs.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn blocked_by_a_handler() {
    besiege("handler", "POST /invocations", "", WORKERS);
}

#[test]
fn blocked_by_a_layer() {
    besiege("layer", "GET /plain", "X-Block: yes\r\n", WORKERS);
}

#[test]
fn blocked_by_a_merged_route() {
    besiege("merged route", "GET /merged", "", WORKERS);
}

#[test]
fn blocked_by_a_source_of_events() {
    besiege("source of events", "GET /events", "", WORKERS);
}

#[test]
fn blocked_by_the_source_of_a_body() {
    besiege("source of a body", "GET /body", "", WORKERS);
}

#[test]
fn blocked_by_the_destructor_of_a_body() {
    besiege("destructor of a body", "GET /destructor", "", WORKERS);
}

#[test]
fn blocked_by_a_websocket_handler() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    besiege("WebSocket handler", "GET /ws", upgrade, WORKERS);
}

#[test]
fn blocked_by_a_task() {
    besiege("task", "GET /task", "", WORKERS);
}

#[test]
fn blocked_by_a_handler_on_the_only_thread() {
    besiege("handler, one thread", "POST /invocations", "", 1);
}

/// Blocks every thread of the work runtime with requests of this kind, holds
/// connections of all kinds open, and pings.
#[track_caller]
fn besiege(what: &str, line: &str, headers: &str, workers: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gate = Gate::default();
    let server = serve(&gate, workers);
    let idle = Pings::measure(&server);

    let mut load = Load::on(&server);
    let mut blocking = Vec::new();
    eventually("every worker is blocked", || {
        if gate.held() < workers && blocking.len() < MOST_BLOCKING {
            let mut client = server.client();
            let length = if line.starts_with("POST") {
                "Content-Length: 0\r\n"
            } else {
                ""
            };
            client.send(format!(
                "{line} HTTP/1.1\r\nHost: t\r\n{headers}{length}\r\n"
            ));
            blocking.push(client);
        }
        gate.held() == workers
    });
    let besieged = Pings::measure(&server);
    println!("{what}: idle {idle}; besieged {besieged}");
    assert_eq!(gate.held(), workers, "they were blocked all the time");
    load.assert_still_there();
    gate.open();
    drop((load, blocking));
    eventually("everything has ended", || {
        gate.held() == 0 && server.ping().0 == "Healthy"
    });

    let bound = BOUND.max(idle.slow() * 20);
    assert!(
        besieged.slow() < bound,
        "{what}: idle {idle}; besieged {besieged}"
    );
}

fn serve(gate: &Gate, workers: usize) -> Server {
    if workers == 1 {
        let runtime = Builder::new_current_thread().enable_all().build();
        return Server::spawn_on(app(gate), runtime.unwrap());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    Server::spawn_on(app(gate), runtime.unwrap())
}

/// How long each ping took, the slowest last.
struct Pings(Vec<Duration>);

/// Connections that stay open and ask for nothing, or not yet.
struct Load {
    half_heads: Vec<Client>,
    half_bodies: Vec<Client>,
    streams: Vec<Client>,
    idle: Vec<Client>,
}

impl Pings {
    /// Over three connections in turn, and a new one for every tenth.
    fn measure(server: &Server) -> Self {
        let mut kept = [server.client(), server.client(), server.client()];
        let mut took: Vec<_> = (0..PINGS)
            .map(|turn| {
                let began = Instant::now();
                if turn % 10 == 0 {
                    ping(&mut server.client());
                } else {
                    ping(&mut kept[turn % 3]);
                }
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        Self(took)
    }

    /// Of a hundred pings, 99 are no slower.
    fn slow(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }
}

#[track_caller]
fn ping(client: &mut Client) {
    let answer = client.request("GET", "/ping", "", "");
    assert_eq!(answer.status, 200);
    let json: Value = answer.json();
    assert!(
        json["status"].is_string() && json["time_of_last_update"].is_u64(),
        "{json}"
    );
}

impl std::fmt::Display for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (middle, last) = (self.0[self.0.len() / 2], self.0[self.0.len() - 1]);
        write!(
            f,
            "p50 {middle:.1?}, p99 {:.1?}, max {last:.1?}",
            self.slow()
        )
    }
}

impl Load {
    fn on(server: &Server) -> Self {
        let sending = |bytes: &str| {
            let mut client = server.client();
            client.send(bytes);
            client
        };
        let half_head = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Le";
        let half_body = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf";
        let streams = (0..STREAMS).map(|_| {
            let mut client = sending("GET /idle HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(client.head().status, 200);
            assert!(client.chunk().is_some());
            client
        });
        // One that has asked before may stay for more than the 10 s of a new one.
        let idle = (0..IDLE).map(|_| {
            let mut client = server.client();
            ping(&mut client);
            client
        });
        Self {
            streams: streams.collect(),
            idle: idle.collect(),
            half_bodies: (0..HALF_SENT / 2).map(|_| sending(half_body)).collect(),
            half_heads: (0..HALF_SENT / 2).map(|_| sending(half_head)).collect(),
        }
    }

    /// Asserts that the server has not rid itself of what besieges it.
    fn assert_still_there(&mut self) {
        for client in self.idle.iter_mut().step_by(100) {
            ping(client);
        }
        let quiet = [&self.half_heads, &self.half_bodies, &self.streams];
        for client in quiet.into_iter().flatten() {
            let stream = client.stream();
            stream.set_nonblocking(true).unwrap();
            let error = stream.peek(&mut [0]).expect_err("no answer and no end yet");
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            stream.set_nonblocking(false).unwrap();
        }
    }
}
