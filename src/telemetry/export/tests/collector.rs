//! A collector on a port of its own, as good or as bad as a test wants it.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;

/// What a request is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    Accept,
    /// A status, and one more line of the head.
    Refuse(u16, &'static str),
    /// As [`Manner::Refuse`] for this many requests, then [`Manner::Accept`].
    RefuseFirst(usize, u16),
    /// Keeps this many items of each batch out.
    Reject(i64),
    /// Never.
    Hang,
    /// The request is read, and the connection closed.
    Close,
    /// An answer that says more is to come than does.
    BreakOff,
    /// An answer without an end.
    Endless,
}

/// A request that has come.
#[derive(Debug)]
pub(super) struct Received {
    /// The request line and the headers, in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    received: Vec<Received>,
    /// Connections that are kept open and not answered.
    hanging: Vec<TcpStream>,
    gone: bool,
}

// === impl Collector ===

impl Collector {
    pub(super) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            manner,
            received: Vec::new(),
            hanging: Vec::new(),
            gone: false,
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().gone {
                    return;
                }
                let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                thread::spawn(move || {
                    let twin = stream.try_clone().unwrap();
                    serve(&shared, twin, stream);
                });
            }
        });
        Self { address, state }
    }

    /// An address at which nobody listens.
    pub(super) fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    pub(super) fn received<R>(&self, look: impl FnOnce(&[Received]) -> R) -> R {
        look(&self.state.lock().unwrap().received)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        state.gone = true;
        state.hanging.clear();
        drop(state);
        // The thread that accepts finds out with the next connection.
        drop(TcpStream::connect(self.address));
    }
}

/// Spans in a request.
pub(super) fn spans(received: &Received) -> usize {
    let request = ExportTraceServiceRequest::decode(&*received.body).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

/// Reads requests from `input` and answers on `output` until either ends.
fn serve(state: &Mutex<State>, stream: TcpStream, input: impl Read) {
    let mut input = BufReader::new(input);
    while let Some(received) = read(&mut input) {
        let mut state = state.lock().unwrap();
        state.received.push(received);
        let answer = match state.manner {
            Manner::Accept => response(200, "", &[]),
            Manner::Refuse(status, line) => response(status, line, &[]),
            Manner::RefuseFirst(left, status) => {
                state.manner = match left {
                    1 => Manner::Accept,
                    _ => Manner::RefuseFirst(left - 1, status),
                };
                response(status, "", &[])
            }
            Manner::Reject(items) => response(200, "", &rejecting(items)),
            Manner::Close => return,
            Manner::BreakOff => {
                let whole = response(200, "", &[0; 9]);
                // The connection ends with this function.
                return (&stream).write_all(&whole[..whole.len() - 1]).unwrap();
            }
            Manner::Hang => {
                state.hanging.push(stream);
                return;
            }
            Manner::Endless => {
                drop(state);
                return endless(stream);
            }
        };
        drop(state);
        if (&stream).write_all(&answer).is_err() {
            return;
        }
    }
}

fn endless(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let mut sent = stream.write_all(head.as_bytes());
    while sent.is_ok() {
        sent = stream.write_all(&[0; 65_536]);
    }
}

fn read(input: &mut impl BufRead) -> Option<Received> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    input.read_exact(&mut body).ok()?;
    Some(Received { head, body })
}

fn response(status: u16, line: &str, body: &[u8]) -> Vec<u8> {
    let line = match line {
        "" => String::new(),
        line => format!("{line}\r\n"),
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\n{line}content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn rejecting(items: i64) -> Vec<u8> {
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: items,
            error_message: "too\nold".to_owned(),
        }),
    };
    answer.encode_to_vec()
}
