//! What a row's clients have open, and what they see of its end.

use std::{
    net::TcpStream,
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use super::row::{Open, Sees};
use crate::harness::{Client, PATIENCE, Process, eventually};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// As many as there are workers, and then some.
const WORKERS: usize = 2;

/// Past a drain of half a second.
const HELD_UP: f64 = 0.8;

/// A client that reads to the end.
#[derive(Debug)]
pub(super) struct Reader(JoinHandle<End>);

/// What it has read.
#[derive(Debug)]
enum End {
    /// What came before the connection's end.
    Bytes(Vec<u8>),
    /// The code of a close frame.
    Close(u16),
}

/// Opens it, and waits until it is.
pub(super) fn open(agent: &Process, what: Open) -> Reader {
    match what {
        Open::Kept => {
            let mut client = agent.client();
            assert_eq!(client.request("GET", "/ping", "", "").status, 200);
            Reader::of(client)
        }
        Open::Silent => Reader::of(agent.client()),
        Open::Answer(seconds) => {
            let client = invoke(agent, &json!({"do": "answer", "seconds": seconds}));
            taken_up(agent, 1);
            Reader::of(client)
        }
        Open::Blocked => several(agent, 2 * WORKERS, &json!({"do": "block"})),
        Open::HeldUp => several(
            agent,
            WORKERS,
            &json!({"do": "hold up", "seconds": HELD_UP}),
        ),
        Open::Task(name, seconds) => {
            let action = if name == "cleanup" { name } else { "process" };
            begun(agent, &json!({"action": action, "seconds": seconds}))
        }
        Open::Told(name) => begun(agent, &json!({"do": "told", "name": name})),
        Open::Blocking(name) => begun(agent, &json!({"do": "blocking", "name": name})),
        Open::Progress(_, seconds) => {
            streaming(agent, &json!({"action": "stream", "seconds": seconds}))
        }
        Open::Endless => streaming(agent, &json!({"do": "endless"})),
        Open::Stuck => streaming(agent, &json!({"do": "stuck"})),
        Open::Socket(name) => {
            let stream = TcpStream::connect(agent.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let url = format!("ws://{}/ws", agent.address);
            let (mut socket, _) = tungstenite::client(url, stream).unwrap();
            has_begun(agent, name);
            Reader(thread::spawn(move || {
                loop {
                    match socket.read() {
                        // Reading on is what answers it.
                        Ok(Message::Close(Some(frame))) => {
                            drop(socket.read());
                            break End::Close(frame.code.into());
                        }
                        Ok(_) => {}
                        Err(error) => break End::Bytes(error.to_string().into()),
                    }
                }
            }))
        }
        Open::MuteSocket(name) => {
            let mut client = agent.client();
            client.send(UPGRADE);
            assert_eq!(client.head().status, 101);
            has_begun(agent, name);
            Reader::of(client)
        }
    }
}

fn invoke(agent: &Process, payload: &Value) -> Client {
    let mut client = agent.client();
    let body = payload.to_string();
    let length = body.len();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    client
}

/// Waits until so many invocations are being answered.
fn taken_up(agent: &Process, invocations: usize) {
    let line = "http_server_active_requests{http_request_method=\"POST\",url_scheme=\"http\"} ";
    eventually("they are taken up", || {
        let metrics = agent.get("/metrics").text();
        let active = metrics.lines().find_map(|it| it.strip_prefix(line));
        active == Some(&*invocations.to_string())
    });
}

/// Of several invocations the first one counts, the others see the same.
fn several(agent: &Process, number: usize, payload: &Value) -> Reader {
    let clients: Vec<_> = (0..number).map(|_| invoke(agent, payload)).collect();
    taken_up(agent, number);
    let readers: Vec<_> = clients.into_iter().map(Reader::of).collect();
    Reader(thread::spawn(move || {
        let ends = readers.into_iter().map(|it| it.0.join().unwrap());
        ends.last().expect("at least one")
    }))
}

/// An invocation that begins a task, and is answered.
fn begun(agent: &Process, payload: &Value) -> Reader {
    let mut client = invoke(agent, payload);
    assert_eq!(client.response().status, 200);
    Reader::of(client)
}

fn streaming(agent: &Process, payload: &Value) -> Reader {
    let mut client = invoke(agent, payload);
    assert_eq!(client.head().status, 200);
    assert!(client.chunk().is_some());
    Reader::of(client)
}

fn has_begun(agent: &Process, name: &str) {
    let path = format!("/tasks?name={name}&state=running");
    eventually("its task runs", || {
        agent.get(&path).json()["tasks"][0]["name"] == name
    });
}

// === impl Reader ===

impl Reader {
    fn of(mut client: Client) -> Self {
        Self(thread::spawn(move || End::Bytes(client.rest())))
    }

    /// Checks what it has read by the end.
    #[track_caller]
    pub(super) fn saw(self, sees: Sees) {
        let end = self.0.join().unwrap();
        let bytes = match &end {
            End::Bytes(bytes) => &**bytes,
            End::Close(_) => b"",
        };
        let text = String::from_utf8_lossy(bytes);
        let as_told = match sees {
            Sees::Nothing => true,
            Sees::Closed => matches!(end, End::Bytes(_)) && bytes.is_empty(),
            Sees::Body(body) => {
                text.starts_with("HTTP/1.1 200 ") && text.ends_with(&format!("\r\n\r\n{body}"))
            }
            Sees::Event(says) => {
                let whole = text.strip_suffix("\n\n\r\n0\r\n\r\n");
                let last = whole.and_then(|text| text.rsplit("\n\n").next());
                last.is_some_and(|last| last.contains(says))
            }
            Sees::Close(code) => {
                let code_then = code.to_be_bytes();
                let frame = [0x88, 2, code_then[0], code_then[1]];
                matches!(end, End::Close(seen) if seen == code) || bytes.ends_with(&frame)
            }
        };
        assert!(as_told, "{sees:?}, but it saw {text:?} ({end:?})");
    }
}

// === impl Open ===

impl Open {
    /// The name of its task.
    pub(super) const fn task(self) -> Option<&'static str> {
        match self {
            Self::Kept
            | Self::Silent
            | Self::Answer(_)
            | Self::Blocked
            | Self::HeldUp
            | Self::Endless
            | Self::Stuck => None,
            Self::Task(name, _)
            | Self::Told(name)
            | Self::Blocking(name)
            | Self::Progress(name, _)
            | Self::Socket(name)
            | Self::MuteSocket(name) => Some(name),
        }
    }
}
