//! `/ws`: the user's WebSocket handler, and what it may leave to us.
//!
//! A task of ours owns the socket. The handler holds the other ends of two
//! small channels, so that pings go out and a close frame is always sent,
//! whatever the handler does.

use std::{
    fmt::{self, Display},
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use axum::{
    Error as AxumError,
    extract::{
        FromRequest as _, Request, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket as AxumSocket, close_code},
    },
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any},
};
use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{FutureExt as _, Sink, Stream, StreamExt as _};
use hyper::{Method, StatusCode};
use tokio::{
    sync::mpsc as tokio_mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tracing::error;

use super::{
    Context, Service,
    errors::Refusal,
    fallback::{plain_websocket, wants_websocket},
    introduction::Introduction,
};
use crate::{
    Tasks,
    telemetry::{
        StreamKind, drop_quietly, quietly,
        request::{StreamEnd, StreamSpan},
    },
    track::panic_text,
};

/// Bytes of a message at most.
///
/// Source: what the Python SDK's server takes.
const MOST: usize = 16 * 1_024 * 1_024;

/// Between two pings, so that nothing in between takes the connection for dead.
const PING: Duration = Duration::from_secs(20);

/// For the client to answer our close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// Messages that wait for the handler, or for a slow client.
const WAITING: usize = 4;

/// A WebSocket: a [`Stream`] and a [`Sink`] of axum's messages.
///
/// Dropping it hands the socket back, and the client gets a close frame: 1000
/// after a handler that returned, 1011 after one that failed or panicked. It is
/// pinged every 20 s, pings of the client are answered, and a message over
/// 16 MiB closes it with 1009.
///
/// ```
/// use axum::extract::ws::Message;
/// use futures_util::{SinkExt, StreamExt};
/// use taskpulse::{App, Error, WebSocket};
///
/// async fn greet(mut socket: WebSocket) -> Result<(), Error> {
///     let task = socket.tasks().begin("greeting").start()?;
///     let session = socket.context().session_id().unwrap_or("stranger");
///     let hello = Message::text(format!("hello, {session}"));
///     socket.send(hello).await.map_err(Error::failed)?;
///     while let Some(Ok(_heard)) = socket.next().await {}
///     task.succeed();
///     Ok(())
/// }
///
/// let app = App::new().websocket(greet);
/// # drop(app);
/// ```
pub struct WebSocket {
    incoming: tokio_mpsc::Receiver<Result<Message, AxumError>>,
    outgoing: mpsc::Sender<Message>,
    context: Context,
    tasks: Tasks,
}

/// What a WebSocket handler gives back: nothing, or whether it worked.
pub trait WebSocketOutcome: Send + 'static {
    /// The failure, if there was one.
    fn failure(self) -> Option<String>;
}

/// The ends of the channels that the socket's owner holds.
struct Ends {
    to_handler: ToHandler,
    from_handler: mpsc::Receiver<Message>,
}

type ToHandler = tokio_mpsc::Sender<Result<Message, AxumError>>;
type Room<'a> = Option<tokio_mpsc::Permit<'a, Result<Message, AxumError>>>;
type Received = Option<Result<Message, AxumError>>;
type Caught<T> = Result<T, Box<dyn std::any::Any + Send>>;

/// Why the socket closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// The handler is done.
    Done,
    /// The handler failed.
    Failed,
    /// The client sent too much.
    TooBig,
    /// The process goes down.
    Away,
    /// The client has closed, or has gone.
    Gone,
}

/// The route of a handler.
pub(crate) fn websocket_route<H, F>(handler: H) -> MethodRouter
where
    H: Fn(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output: WebSocketOutcome> + Send + 'static,
{
    any(
        |introduction: Introduction, context: Context, request: Request| async move {
            if request.method() != Method::GET || !wants_websocket(request.headers()) {
                return plain_websocket().await;
            }
            let upgrade = match WebSocketUpgrade::from_request(request, &()).await {
                Ok(upgrade) => upgrade.max_message_size(MOST).max_frame_size(MOST),
                Err(rejection) => return bad_upgrade(&rejection.body_text()),
            };
            upgrade.on_upgrade(move |socket| async move {
                let (socket_of_user, ends) = WebSocket::pair(context, introduction.tasks());
                let work = async move { handler(socket_of_user).await.failure() };
                // In there, so that the line of a failure has the request's ids.
                let work = AssertUnwindSafe(work).catch_unwind().map(Close::after);
                let context = introduction.context.clone();
                let reporter = introduction.service.tracker.reporter();
                let stream = StreamSpan::start(reporter, &context, Some(StreamKind::Ws), None);
                let work = stream.context_of(work);
                drive(socket, ends, work, &introduction.service, stream).await;
                drop(introduction);
            })
        },
    )
}

fn bad_upgrade(details: &str) -> Response {
    Refusal::new(StatusCode::BAD_REQUEST, "Bad WebSocket upgrade")
        .details(details)
        .into_response()
}

/// Owns the socket until it is closed.
async fn drive(
    mut socket: AxumSocket,
    mut ends: Ends,
    work: impl Future<Output = Close> + Send + 'static,
    service: &Arc<Service>,
    mut stream: StreamSpan,
) {
    let open = service.open_socket();
    #[expect(
        clippy::disallowed_methods,
        reason = "the user's handler, which `finish` waits for"
    )]
    let mut handler = tokio::spawn(work);
    let mut away = pin!(service.going_away());
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let close = loop {
        tokio::select! {
            biased;
            done = &mut handler => break done.unwrap_or(Close::Failed),
            _how = away.as_mut() => break Close::Away,
            _tick = pings.tick() => {
                if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    break Close::Gone;
                }
            }
            Some(message) = ends.from_handler.next() => {
                if socket.send(message).await.is_err() {
                    break Close::Gone;
                }
                stream.sent();
            }
            (room, message) = receive(&mut socket, &ends.to_handler) => {
                let close = Close::because_of(message.as_ref());
                if let (Some(room), Some(message)) = (room, message) {
                    room.send(message);
                }
                if let Some(close) = close {
                    break close;
                }
            }
        }
    };
    finish(socket, ends, close).await;
    stream.finish(close.of_stream());
    drop(open);
    if close == Close::Gone || close == Close::TooBig {
        // It sees the end of its stream, and may still have work to do.
        handler.await.unwrap_or(close);
    }
}

/// The next message, once the handler has room for it. A handler that reads no
/// more has dropped its end; its messages are read and let go.
async fn receive<'a>(socket: &mut AxumSocket, to_handler: &'a ToHandler) -> (Room<'a>, Received) {
    let room = to_handler.reserve().await.ok();
    (room, socket.recv().await)
}

/// Sends what the handler still had to say and the close frame, and waits a
/// moment for the client's.
async fn finish(mut socket: AxumSocket, mut ends: Ends, close: Close) {
    ends.from_handler.close();
    while let Some(message) = ends.from_handler.next().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    let Some(code) = close.code() else { return };
    let reason = "".into();
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    if socket.send(frame).await.is_err() {
        return; // Closed by either side already.
    }
    let answered = async {
        while let Some(Ok(_)) = socket.recv().await {}
        if close == Close::TooBig {
            // What is too big stays unread. Closing now would reset the
            // connection, and the client might never see why.
            std::future::pending::<()>().await;
        }
    };
    timeout(FAREWELL, answered).await.unwrap_or_default();
}

// === impl WebSocket ===

impl WebSocket {
    fn pair(context: Context, tasks: Tasks) -> (Self, Ends) {
        let (to_handler, incoming) = tokio_mpsc::channel(WAITING);
        let (outgoing, from_handler) = mpsc::channel(WAITING);
        let socket = Self {
            incoming,
            outgoing,
            context,
            tasks,
        };
        (
            socket,
            Ends {
                to_handler,
                from_handler,
            },
        )
    }

    /// What the request that opened this socket said about itself.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Tracks tasks under the ids of that request.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, AxumError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(cx)
    }
}

impl Sink<Message> for WebSocket {
    type Error = AxumError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), AxumError>> {
        self.outgoing.poll_ready(cx).map_err(AxumError::new)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), AxumError> {
        self.outgoing.start_send(message).map_err(AxumError::new)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), AxumError>> {
        Pin::new(&mut self.outgoing)
            .poll_flush(cx)
            .map_err(AxumError::new)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), AxumError>> {
        Pin::new(&mut self.outgoing)
            .poll_close(cx)
            .map_err(AxumError::new)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

// === impl WebSocketOutcome ===

impl WebSocketOutcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send + 'static> WebSocketOutcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

// === impl Close ===

impl Close {
    /// After the handler's end, which is logged if it was none of a handler's.
    fn after(done: Caught<Option<String>>) -> Self {
        let failure = done.unwrap_or_else(|panic| {
            let text = panic_text(&*panic);
            drop_quietly(panic);
            Some(text)
        });
        let Some(error) = failure else {
            return Self::Done;
        };
        quietly(|| error!(error, "the WebSocket handler failed"));
        Self::Failed
    }

    fn because_of(received: Option<&Result<Message, AxumError>>) -> Option<Self> {
        match received {
            Some(Ok(_)) => None,
            Some(Err(error)) if is_too_big(error) => Some(Self::TooBig),
            Some(Err(_)) | None => Some(Self::Gone),
        }
    }

    const fn of_stream(self) -> StreamEnd {
        match self {
            Self::Done => StreamEnd::Completed,
            Self::Failed | Self::TooBig | Self::Away => StreamEnd::Failed,
            Self::Gone => StreamEnd::ClientGone,
        }
    }

    const fn code(self) -> Option<u16> {
        match self {
            Self::Done => Some(close_code::NORMAL),
            Self::Failed => Some(close_code::ERROR),
            Self::TooBig => Some(close_code::SIZE),
            Self::Away => Some(close_code::AWAY),
            Self::Gone => None,
        }
    }
}

fn is_too_big(error: &AxumError) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(source, Some(tungstenite::Error::Capacity(_)))
}
