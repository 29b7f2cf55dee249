//! One connection: its bytes, its time limits, its end.

use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{front::Phase, routes::Routes};

/// From a request's first byte, or the connection's start, to the end of its
/// headers. What takes longer is a slowloris.
const HEADERS: Duration = Duration::from_secs(10);

/// Between an answer and the next request: longer than the 60 s after which
/// common load balancers close an idle connection themselves, so that they
/// never send a request into one that we close.
const IDLE: Duration = Duration::from_secs(75);

/// Bytes of a request line and its headers at most; more is a 431 (or 414).
const MOST_HEADERS: usize = 64 * 1_024;

/// Between two looks at whether the client of a stream is still there, where
/// nothing tells us: its bytes that nobody reads hide its FIN.
const LOOK: Duration = Duration::from_millis(500);

/// What the connection waits for, and since when.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    /// Milliseconds since the start, and in the lowest two bits the phase.
    word: AtomicU64,
    /// Whether to look soon if the client is still there.
    looks_soon: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// For the rest of the headers.
    Headers,
    /// For our answer.
    Answer,
    /// For the next request's first byte.
    Request,
    /// For the end of a stream, which is our answer.
    Stream,
}

/// A socket that notes when a request begins to arrive.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

/// Serves a connection until it ends, runs out of time, or has to go.
///
/// What is being answered when the front closes may be answered to the end, which
/// is waited for as long as `open` is held. Whoever just asks may stay.
pub(super) async fn serve(
    stream: TcpStream,
    routes: Routes,
    phase: watch::Receiver<Phase>,
    mut open: Option<mpsc::Sender<Infallible>>,
) {
    // Small answers leave at once; where that cannot be set, they leave later.
    stream.set_nodelay(true).unwrap_or_default();
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched {
        stream,
        activity: Arc::clone(&activity),
    });
    let connection = http1::Builder::new()
        .max_buf_size(MOST_HEADERS)
        .serve_connection(io, routes.of(&activity))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut deadline = pin!(sleep_until(Instant::now() + HEADERS));
    let mut told = pin!(Phase::Closing.reached(phase.clone()));
    let (mut leaves, mut stays) = (false, false);
    poll_fn(|cx| {
        while !stays && told.as_mut().poll(cx).is_ready() {
            if leaves {
                return Poll::Ready(()); // Its time is up.
            }
            stays = activity.waiting().0 == Waiting::Headers;
            if stays {
                drop(open.take());
            } else {
                leaves = true;
                connection.as_mut().graceful_shutdown();
                told.set(Phase::Quiet.reached(phase.clone()));
            }
        }
        // An error is the client's doing: it left, or wrote nonsense that
        // hyper has answered.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // What it waits for may have changed just now, to something shorter.
        if let Some(due) = activity.deadline().filter(|due| *due < deadline.deadline()) {
            deadline.as_mut().reset(due);
        }
        while deadline.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = activity.deadline().unwrap_or(now + HEADERS);
            if due <= now {
                return Poll::Ready(());
            }
            deadline.as_mut().reset(due);
        }
        Poll::Pending
    })
    .await;
}

// === impl Activity ===

impl Activity {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            word: AtomicU64::new(Waiting::Headers as u64),
            looks_soon: AtomicBool::new(false),
        }
    }

    /// A request has arrived whole but for its body.
    pub(super) fn arrived(&self) {
        self.set(Waiting::Answer);
    }

    /// Its answer is a stream, which may be silent for as long as it likes.
    pub(super) fn streams(&self) {
        self.set(Waiting::Stream);
    }

    /// Its answer has been written, or has gone with the connection.
    pub(super) fn answered(&self) {
        self.set(Waiting::Request);
    }

    /// Bytes have come.
    fn heard(&self) {
        if self.waiting().0 == Waiting::Request {
            self.set(Waiting::Headers);
        }
    }

    /// When the connection must be looked at again; past where its time is up.
    /// None where nothing has a limit.
    fn deadline(&self) -> Option<Instant> {
        let (waiting, since) = self.waiting();
        match waiting {
            Waiting::Headers => Some(since + HEADERS),
            Waiting::Request => Some(since + IDLE),
            // An answer takes as long as it takes.
            Waiting::Answer => None,
            Waiting::Stream => self
                .looks_soon
                .swap(false, Relaxed)
                .then(|| Instant::now() + LOOK),
        }
    }

    fn waiting(&self) -> (Waiting, Instant) {
        let word = self.word.load(Relaxed);
        let waiting = match word & 0b11 {
            0 => Waiting::Headers,
            1 => Waiting::Answer,
            2 => Waiting::Request,
            _ => Waiting::Stream,
        };
        (waiting, self.started + Duration::from_millis(word >> 2))
    }

    fn set(&self, waiting: Waiting) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.word.store(millis << 2 | waiting as u64, Relaxed);
    }
}

// === impl Watched ===

impl Watched {
    /// Whether the client has left. hyper reads nothing while it has bytes of a
    /// next request, and would not learn of it before the stream's next item.
    fn is_left(&self, cx: &mut Context<'_>) -> bool {
        match self.stream.poll_read_ready(cx) {
            // We are woken when something comes, a FIN as well.
            Poll::Pending => false,
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(())) => {
                let ready = self.stream.ready(Interest::READABLE).now_or_never();
                let left =
                    ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()));
                self.activity.looks_soon.store(!left, Relaxed);
                left
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called whenever hyper is polled.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.waiting().0 == Waiting::Stream && self.is_left(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the server's side of a test")]
mod tests;
