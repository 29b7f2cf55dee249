//! Sends a request, reads its answer, and counts both.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::{
    behaviours::{Behaviour, Call, PING, Reading},
    counts::{Tally, What},
    dice::Dice,
    plan::Planned,
};
use crate::service::SESSION_ID;

/// Callers of one service.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    /// What comes before the path.
    base: String,
    tally: Arc<Tally>,
    /// Whether a request has come back without an answer.
    doubt: AtomicBool,
}

/// Counts what has begun, whatever becomes of it, once it is dropped.
struct Open<'a> {
    tally: &'a Tally,
    becomes: Option<What>,
}

/// Why there is no answer.
struct Missing {
    what: What,
    why: String,
}

/// For the connection. A container on the same machine has it in a millisecond.
const CONNECT: Duration = Duration::from_secs(3);

/// For the answer. All that is asked for is answered at once.
const ANSWER: Duration = Duration::from_secs(10);

/// For an item of a stream: after 15 s a service sends a comment.
const SILENCE: Duration = Duration::from_secs(30);

/// Unused connections are given up before the service does, which is after 75 s:
/// a request to a connection that closes has no answer.
const UNUSED: Duration = Duration::from_secs(20);

/// Unused connections that are kept.
const KEPT: usize = 16;

/// Bytes of an answer that are read.
const MOST: usize = 4 * 1_024 * 1_024;

const AGENT: &str = concat!("taskpulse-traffic/", env!("CARGO_PKG_VERSION"));

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

// === impl Caller ===

impl Caller {
    pub(super) fn new(base: String, tally: Arc<Tally>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(UNUSED)
            .pool_max_idle_per_host(KEPT)
            .build(connector);
        Self {
            client,
            base,
            tally,
            doubt: AtomicBool::new(false),
        }
    }

    /// Whether a request has come back without an answer since this was asked.
    pub(super) fn doubts(&self) -> bool {
        self.doubt.swap(false, Relaxed)
    }

    /// Asks for `/ping`; if nobody answers with 200, why.
    pub(super) async fn ping(&self) -> Result<(), String> {
        let sent = self.send(PING);
        let request = self.request(&(PING.make)(&mut Dice::new(0)));
        let response = match self.answer(request).await {
            Ok(response) => response,
            Err(missing) => {
                sent.becomes(Some(missing.what));
                return Err(missing.why);
            }
        };
        let status = response.status();
        sent.becomes(Some(What::of(status, response.headers())));
        read_out(response).await;
        match status {
            StatusCode::OK => Ok(()),
            status => Err(format!("/ping answers {status}")),
        }
    }

    /// Sends what is planned and reads what comes.
    pub(super) async fn call(&self, planned: &Planned) {
        let sent = self.send(planned.row);
        let mut request = self.request(&planned.call);
        let headers = request.headers_mut();
        let also = [
            (SESSION_ID, &planned.session),
            (TRACEPARENT, &planned.traceparent),
        ];
        for (name, value) in also {
            let value = value.as_deref().map(HeaderValue::from_str);
            if let Some(Ok(value)) = value {
                headers.insert(name, value);
            }
        }
        match self.answer(request).await {
            Ok(response) => self.read(sent, response, &planned.call).await,
            Err(missing) => {
                self.doubt.store(true, Relaxed);
                sent.becomes(Some(missing.what));
            }
        }
    }

    fn send(&self, row: &Behaviour) -> Open<'_> {
        self.tally.sends(row);
        Open {
            tally: &self.tally,
            becomes: Some(What::Unanswered),
        }
    }

    fn request(&self, call: &Call) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .header(USER_AGENT, AGENT);
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::from(call.body.clone()))
            .expect("the base was checked, and the rest is constant")
    }

    /// The head of the answer.
    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Missing> {
        match timeout(ANSWER, self.client.request(request)).await {
            Ok(answer) => answer.map_err(Missing::from),
            Err(_late) => Err(Missing {
                what: What::Unanswered,
                why: format!("no answer in {ANSWER:?}"),
            }),
        }
    }

    async fn read(&self, sent: Open<'_>, response: Response<Incoming>, call: &Call) {
        let status = response.status();
        // The head alone says that the task has begun, or why not.
        sent.becomes(Some(What::of(status, response.headers())));
        if !status.is_success() {
            return read_out(response).await;
        }
        if let Some(end) = call.begins {
            self.tally.add(end.into());
        }
        match call.reading {
            Reading::Whole => read_out(response).await,
            Reading::Stream => self.follow(response.into_body(), usize::MAX).await,
            Reading::Leave(items) => self.follow(response.into_body(), items).await,
        }
    }

    /// Reads a stream, of which each item comes as a frame, and leaves after
    /// some: the connection is closed in the middle of the answer.
    async fn follow(&self, mut body: Incoming, items: usize) {
        self.tally.add(What::Streams);
        let open = Open {
            tally: &self.tally,
            becomes: Some(What::StreamsCut),
        };
        for _ in 0..items {
            match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(_item))) => {}
                Ok(None) => return open.becomes(None),
                Ok(Some(Err(_))) | Err(_) => {
                    self.doubt.store(true, Relaxed);
                    return open.becomes(Some(What::StreamsBroken));
                }
            }
        }
        open.becomes(Some(What::StreamsLeft));
    }
}

/// Reads a body, so that the connection can be used again.
async fn read_out(response: Response<Incoming>) {
    let body = Limited::new(response.into_body(), MOST).collect();
    // One that cannot be read ends its connection, and has been counted.
    drop(timeout(ANSWER, body).await);
}

// === impl Open ===

impl Open<'_> {
    fn becomes(mut self, what: Option<What>) {
        self.becomes = what;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(what) = self.becomes {
            self.tally.add(what);
        }
    }
}

// === impl Missing ===

impl From<ClientError> for Missing {
    fn from(error: ClientError) -> Self {
        let what = match error.is_connect() {
            true => What::Unreached,
            false => What::Unanswered,
        };
        // The outer ones say no more than that it failed.
        let mut innermost: &dyn StdError = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let why = innermost.to_string();
        Self { what, why }
    }
}
