//! Clients that leave: what goes on without them, and what ends with them.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    routing::get,
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use taskpulse::App;
use tokio::{runtime::Builder, sync::Semaphore, time::sleep};

use crate::harness::{Client, Process, Server, eventually};

/// The name of the threads that user code belongs on.
const WORK: &str = "work-of-the-test";

/// What a source must be dropped within, once the client has left.
const SOON: Duration = Duration::from_secs(1);

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    Close,
    /// It says that it sends no more, and keeps the socket.
    Fin,
}

const BOTH: [Leaving; 2] = [Leaving::Close, Leaving::Fin];

type Items = Pin<Box<dyn Stream<Item = Result<&'static str, Infallible>> + Send>>;

/// A source that tells on which thread it was dropped.
struct Source {
    items: Items,
    dropped: mpsc::Sender<String>,
}

impl Stream for Source {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        self.dropped.send(name).unwrap_or_default();
    }
}

/// One item, and then none for ever.
fn parked() -> Items {
    Box::pin(stream::once(async { Ok("item") }).chain(stream::pending()))
}

/// An item every 10 ms.
fn yielding() -> Items {
    Box::pin(stream::unfold((), |()| async {
        sleep(Duration::from_millis(10)).await;
        Some((Ok("item"), ()))
    }))
}

/// Serves `app` where the threads have a name.
fn serve(app: App) -> Server {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(WORK)
        .enable_all()
        .build();
    Server::spawn_on(app, runtime.unwrap())
}

/// Sources of each kind under a path of its own, and where they are dropped.
fn sources() -> (Server, mpsc::Receiver<String>) {
    let (dropped, told) = mpsc::channel();
    let mut app = App::new();
    let kinds = [("parked", parked as fn() -> Items), ("yielding", yielding)];
    for (kind, items) in kinds {
        let (sse, body) = (dropped.clone(), dropped.clone());
        let source = move |dropped| Source {
            items: items(),
            dropped,
        };
        app = app
            .route(
                &format!("/sse/{kind}"),
                get(async move || taskpulse::stream(source(sse))),
            )
            .route(
                &format!("/body/{kind}"),
                get(async move || Body::from_stream(source(body))),
            );
    }
    (serve(app), told)
}

impl Leaving {
    /// Leaves; what the client still holds is given back.
    fn leave(self, mut client: Client) -> Option<Client> {
        match self {
            Self::Close => None,
            Self::Fin => {
                client.finish();
                Some(client)
            }
        }
    }
}

/// A request for a stream whose first item has come.
fn listener(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_eq!(client.head().status, 200, "{path}");
    assert!(client.chunk().is_some(), "{path}");
    client
}

#[test]
fn a_plain_handler_goes_on_without_its_client() {
    for leaving in BOTH {
        for chunked in [false, true] {
            let started = Arc::new(AtomicUsize::new(0));
            let ended = Arc::new(AtomicUsize::new(0));
            let gate = Arc::new(Semaphore::new(0));
            let state = (Arc::clone(&started), Arc::clone(&ended), Arc::clone(&gate));
            let server = serve(App::new().entrypoint(move |body: Bytes| async move {
                let (started, ended, gate) = state;
                started.fetch_add(1, SeqCst);
                assert!(matches!(body.len(), 1 | 100_000), "{}", body.len());
                drop(gate.acquire().await);
                // Once more through the runtime: an aborted handler stays here.
                sleep(Duration::from_millis(1)).await;
                ended.fetch_add(1, SeqCst);
            }));
            // They still hold their sockets, some of them.
            let mut left = Vec::new();
            for turn in 0..200 {
                let mut client = server.client();
                let size = if turn % 4 == 0 { 100_000 } else { 1 };
                client.send(post(size, chunked));
                left.extend(leaving.leave(client));
            }
            eventually("every request has reached the handler", || {
                started.load(SeqCst) == 200
            });
            assert_eq!(ended.load(SeqCst), 0);
            gate.close();
            eventually("every handler has run to its end", || {
                ended.load(SeqCst) == 200
            });
            drop(left);
        }
    }
}

fn post(size: usize, chunked: bool) -> Vec<u8> {
    let mut bytes = b"POST /invocations HTTP/1.1\r\nHost: t\r\n".to_vec();
    let body = vec![b'x'; size];
    if chunked {
        bytes.extend(format!("Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n").bytes());
        bytes.extend(body);
        bytes.extend(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend(format!("Content-Length: {size}\r\n\r\n").bytes());
        bytes.extend(body);
    }
    bytes
}

#[test]
fn a_source_is_dropped_where_it_ran_once_its_client_has_left() {
    let (server, dropped) = sources();
    for path in [
        "/sse/parked",
        "/sse/yielding",
        "/body/parked",
        "/body/yielding",
    ] {
        for leaving in BOTH {
            let left = leaving.leave(listener(&server, path));
            let name = dropped
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("{path} {leaving:?}: the source is still there"));
            assert_eq!(name, WORK, "{path} {leaving:?}");
            drop(left);
        }
    }
}

#[test]
fn a_client_that_has_sent_more_is_seen_to_leave() {
    let (server, dropped) = sources();
    // Little enough for the server to read it, and more than it reads at once.
    for more in [2, 40_000] {
        for leaving in BOTH {
            let path = "/body/parked";
            let mut client = listener(&server, path);
            client.send("\r\n".repeat(more / 2));
            let left = leaving.leave(client);
            let name = dropped
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("{more} {leaving:?}: the source is still there"));
            assert_eq!(name, WORK, "{more} {leaving:?}");
            drop(left);
        }
    }
}

#[test]
fn streams_that_were_left_leave_nothing() {
    const STREAMS: usize = 10_000;
    const AT_A_TIME: usize = 250;
    let (server, dropped) = sources();
    for batch in 0..STREAMS / AT_A_TIME {
        let path = ["/sse/parked", "/body/parked"][batch % 2];
        let clients = (0..AT_A_TIME).map(|_| listener(&server, path));
        let clients: Vec<_> = clients.collect();
        let left = clients
            .into_iter()
            .zip(BOTH.into_iter().cycle())
            .filter_map(|(client, leaving)| leaving.leave(client));
        // Those that have sent a FIN: the server hangs up as well.
        for mut client in left.collect::<Vec<_>>() {
            assert!(client.is_closed());
        }
    }
    for number in 0..STREAMS {
        let name = dropped
            .recv_timeout(SOON)
            .unwrap_or_else(|_| panic!("{number} of {STREAMS} sources were dropped"));
        assert_eq!(name, WORK);
    }
    assert_eq!(server.ping().0, "Healthy");
}

#[test]
fn half_a_body_runs_no_handler() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut server = Server::spawn(App::new().entrypoint(move |_: Bytes| async move {
        counted.fetch_add(1, SeqCst);
    }));
    for half in [
        "Content-Length: 10\r\n\r\n12345",
        "Content-Length: 10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n123",
    ] {
        for leaving in BOTH {
            for _ in 0..20 {
                let mut client = server.client();
                client.send(format!("POST /invocations HTTP/1.1\r\nHost: t\r\n{half}"));
                if let Some(mut client) = leaving.leave(client) {
                    let answer = client.response();
                    assert_eq!(answer.status, 400, "{half:?}: {}", answer.text());
                    assert!(client.is_closed());
                }
            }
        }
    }
    // What was still on its way is through when the server has drained.
    assert_eq!(server.request("POST", "/invocations", "whole").status, 200);
    server.end().unwrap();
    assert_eq!(runs.load(SeqCst), 1);
}

#[test]
fn a_body_that_is_none_is_the_clients_fault() {
    let server = Server::spawn(App::new().entrypoint(async |_: Bytes| ()));
    for garbage in [
        "xyz\r\n",
        "5\r\n12345678\r\n",
        "ffffffffffffffffff\r\n",
        "-1\r\n",
    ] {
        let mut client = server.client();
        client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = client.send(garbage).response();
        assert_eq!(answer.status, 400, "{garbage:?}: {}", answer.text());
        assert_eq!(answer.error(), "Bad Request", "{garbage:?}");
        assert!(client.is_closed(), "{garbage:?}");
    }
}

/// What comes after the first chunk of a body that goes on with `next`.
fn after_the_first(next: fn() -> Result<&'static str, String>) -> Result<Option<Vec<u8>>, ()> {
    let items = move || {
        let first = stream::once(async { Ok("one") });
        // Not at once: the first item is on its way by then.
        let wait = Duration::from_millis(20);
        first.chain(stream::once(async move {
            sleep(wait).await;
            next()
        }))
    };
    let server =
        Server::spawn(App::new().route("/items", get(async move || Body::from_stream(items()))));
    let mut client = server.client();
    client.send("GET /items HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().as_deref(), Some(&b"one"[..]));
    let next = client.try_chunk();
    assert_eq!(server.get("/ping").status, 200);
    next
}

#[test]
fn a_source_that_fails_midway_cuts_the_response_off() {
    assert_eq!(after_the_first(|| Ok("two")), Ok(Some(b"two".to_vec())));
    assert_eq!(after_the_first(|| Err("no more".to_owned())), Err(()));
    assert_eq!(after_the_first(|| panic!("no more, in a test")), Err(()));
}

#[test]
fn a_source_that_fails_at_once_is_told_from_a_whole_answer() {
    let at_once = |item: fn() -> Option<Result<&'static str, String>>| {
        let items = move || stream::poll_fn(move |_| Poll::Ready(item()));
        get(async move || Body::from_stream(items()))
    };
    let app = App::new()
        .route("/fails", at_once(|| Some(Err("nothing".to_owned()))))
        .route("/panics", at_once(|| panic!("at once, in a test")));
    let server = Server::spawn(app);
    let mut client = server.client();
    client.send("GET /fails HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = String::from_utf8(client.rest()).unwrap();
    assert!(!answer.contains("0\r\n\r\n"), "{answer}");
    // Nothing has been sent yet, so that the status can still say it.
    let panicked = server.get("/panics");
    assert_eq!(panicked.status, 500);
    assert_eq!(panicked.error(), "the handler panicked");
}

/// A stream of the agent's whose reader has had its first item.
fn reading(agent: &Process) -> Client {
    let body = json!({"action": "stream", "seconds": 3600}).to_string();
    let length = body.len();
    let mut reader = agent.client();
    reader.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(reader.head().status, 200);
    assert!(reader.chunk().is_some());
    reader
}

/// The agent's tasks of streams, the newest first.
fn streaming(agent: &Process) -> [Value; 2] {
    let mut page = agent.get("/tasks?name=streaming").json();
    [0, 1].map(|at| page["tasks"][at].take())
}

/// Nobody hears of its progress any more: for the agent, as for who watches it, it hangs.
#[test]
fn the_task_of_a_stream_that_is_left_stalls() {
    let agent = Process::spawn(&[]);
    let left = reading(&agent);
    let mut read = reading(&agent);
    drop(left);
    eventually("it is stalled", || {
        // An item a second.
        assert!(read.chunk().is_some());
        streaming(&agent)[1]["stalled"] == true
    });
    let [read, left] = streaming(&agent);
    for (task, stalled) in [(read, false), (left, true)] {
        assert_eq!(task["stalled"], stalled, "{task}");
        assert_eq!(task["state"], "running", "{task}");
        assert!(task["progress"].is_number(), "{task}");
        assert!(task["deadline"].is_string(), "{task}");
    }
}
