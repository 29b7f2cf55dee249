//! `App::into_router` in an axum app that exists already.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use axum::{Router, extract::State, routing::get};
use serde_json::json;
use taskpulse::{App, PingStatus, Tasks, WebSocket, stream};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use super::{
    custom_ping, debug, requests, results,
    routing::{self, echo},
    table::{Ask, Body, Check, Row, answer, check_all, get as get_of, invoke},
};
use crate::harness::{Client, PATIENCE, eventually};

/// A plain axum app on a free port, until it is dropped.
#[derive(Debug)]
struct Plain {
    address: SocketAddr,
    tasks: Tasks,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Plain {
    /// Serves `app` next to a route of its own.
    fn serve(app: App) -> Self {
        let tasks = app.tasks();
        let (told, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            Runtime::new().unwrap().block_on(async move {
                let own = Router::new().route(
                    "/own",
                    get(|State(state): State<String>| async move { state }),
                );
                let router = own.with_state("theirs".to_owned()).merge(app.into_router());
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let served = axum::serve(listener, router);
                let served = served.with_graceful_shutdown(async { drop(stopped.await) });
                served.await.unwrap();
            });
        });
        Self {
            address: address.recv_timeout(PATIENCE).expect("it listens"),
            tasks,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn get(&self, path: &str) -> crate::harness::Response {
        Client::connect(self.address).request("GET", path, "", "")
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// The server is theirs, so malformed HTTP is their matter.
const THEIRS: [u8; 1] = [35];

#[test]
fn the_rows_of_the_table_are_answered_alike() {
    let rows = [
        routing::ROWS,
        custom_ping::ROWS,
        requests::ROWS,
        results::ROWS,
        debug::ROWS,
    ];
    let rows = rows.iter().copied().flatten();
    let asked = rows.filter_map(|row: &Row| match row.check {
        Check::Asks(app, asks) if !THEIRS.contains(&row.number) => Some((app, asks)),
        Check::Asks(..) | Check::Story(..) | Check::Elsewhere(..) => None,
    });
    let mut count = 0;
    for (app, asks) in asked {
        check_all(Plain::serve(app()).address, asks);
        count += asks.len();
    }
    assert!(count > 50, "{count} requests");
}

#[test]
fn both_apps_are_there() {
    let server = Plain::serve(echo());
    assert_eq!(server.get("/own").text(), "theirs");
    check_all(
        server.address,
        &[
            (
                get_of("/ready"),
                answer(
                    200,
                    Body::Json(r#"{"ready":true,"draining":false,"store":"memory"}"#),
                ),
            ),
            (
                get_of("/tasks"),
                answer(200, Body::Json(r#"{"tasks":[],"next":null}"#)),
            ),
            (
                get_of("/tasks/1"),
                answer(404, Body::Detailed("No such task")),
            ),
            (
                Ask::Sent("POST", "/ready", "", b""),
                answer(405, Body::Error("Method Not Allowed")).with(&[("allow", "GET, HEAD")]),
            ),
            (invoke(b"{}"), answer(200, Body::Json("{}"))),
        ],
    );
}

#[test]
fn the_status_follows_the_tasks() {
    let server = Plain::serve(echo());
    let status = || server.get("/ping").json()["status"].clone();
    let task = server.tasks.add_async_task("job", ()).unwrap();
    assert_eq!(status(), "HealthyBusy");
    assert_eq!(
        server.get(&format!("/tasks/{task}")).json()["state"],
        "running"
    );
    assert!(server.tasks.complete_async_task(task));
    assert_eq!(status(), "Healthy");
}

#[test]
fn a_request_in_flight_keeps_the_status_busy_if_asked_to() {
    let (step, steps) = tokio::sync::watch::channel(0);
    let app = App::new().busy_while_invoking(true).entrypoint(move || {
        let mut steps = steps.clone();
        async move {
            steps.wait_for(|step| *step == 1).await.unwrap();
            stream(futures_util::stream::once(async move {
                steps.wait_for(|step| *step == 2).await.unwrap();
                Ok::<_, String>("done")
            }))
        }
    });
    let server = Plain::serve(app);
    let is = |status: &str| server.get("/ping").json()["status"] == status;
    let mut client = Client::connect(server.address);
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    eventually("busy while the handler runs", || is("HealthyBusy"));
    step.send_replace(1);
    client.head();
    assert!(is("HealthyBusy"), "busy while its stream is written");
    step.send_replace(2);
    assert_eq!(client.chunk().unwrap(), b"data: \"done\"\n\n");
    assert_eq!(client.chunk(), None);
    eventually("healthy after it", || is("Healthy"));
}

#[test]
fn a_custom_status_counts() {
    let server = Plain::serve(echo().ping(|| async { PingStatus::HealthyBusy }));
    eventually("busy", || {
        server.get("/ping").json()["status"] == "HealthyBusy"
    });
}

#[test]
fn a_large_body_is_taken_and_a_larger_one_refused() {
    let server = Plain::serve(echo());
    // More than axum's own limit of 2 MB.
    let body = format!("\"{}\"", "x".repeat(8 * 1_024 * 1_024));
    let response = Client::connect(server.address).request("POST", "/invocations", "", &body);
    assert_eq!((response.status, response.body.len()), (200, body.len()));
    let mut client = Client::connect(server.address);
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 100000001\r\n\r\n{");
    let too_large = answer(413, Body::Detailed("Payload Too Large"));
    too_large.check(&client.response(), "an announced one");
    let mut client = Client::connect(server.address);
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"f4240\r\n".as_slice(), &[b' '; 1_000_000], b"\r\n"].concat();
    for _ in 0..100 {
        client.send(&chunk);
    }
    client.send("1\r\n \r\n");
    too_large.check(&client.response(), "one that turns out so");
}

#[test]
fn streams_and_sockets_work() {
    let app = App::new().entrypoint(|| async {
        let items = [Ok(json!({ "a": 1 })), Err("over")];
        stream(futures_util::stream::iter(items))
    });
    let server = Plain::serve(app.websocket(|_: WebSocket| async {}));
    let response = Client::connect(server.address).request("POST", "/invocations", "", "{}");
    let text = response.text();
    assert!(
        text.starts_with("data: {\"a\":1}\n\ndata: {\"error\":\"over\""),
        "{text}"
    );

    let mut client = Client::connect(server.address);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET /ws HTTP/1.1\r\nHost: t\r\n{upgrade}\r\n"));
    assert_eq!(client.head().status, 101);
    // A close frame of two bytes, 1000.
    assert_eq!(client.rest(), [0x88, 2, 0x03, 0xe8]);
}
