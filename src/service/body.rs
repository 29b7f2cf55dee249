//! The bodies that the front writes: whole, or piece by piece from the other
//! runtime.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::{connection::Activity, in_flight::Template};

/// A response's body on the front.
#[derive(Debug)]
pub(crate) struct FrontBody {
    kind: Kind,
    /// Told when the body has gone.
    activity: Option<Arc<Activity>>,
    /// The route that answered.
    route: Template,
}

/// A piece of a body that is made elsewhere.
#[derive(Debug)]
pub(super) enum Piece {
    Frame(Frame<Bytes>),
    /// The body is complete. Without this last piece it was cut off.
    End,
}

/// A body that ended before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutOff;

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Pieces {
        pieces: mpsc::Receiver<Piece>,
        hint: SizeHint,
        ended: bool,
    },
    /// Of a handler of ours that runs on the front.
    Ours(Body),
}

// === impl FrontBody ===

impl FrontBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::of(Kind::Whole(
            Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()),
        ))
    }

    pub(super) fn pieces(pieces: mpsc::Receiver<Piece>, hint: SizeHint) -> Self {
        Self::of(Kind::Pieces {
            pieces,
            hint,
            ended: false,
        })
    }

    pub(super) fn ours(body: Body) -> Self {
        Self::of(Kind::Ours(body))
    }

    /// Lets the connection know what it writes, and when that has been written
    /// or dropped.
    pub(super) fn telling(mut self, activity: Arc<Activity>) -> Self {
        if matches!(self.kind, Kind::Pieces { .. }) {
            activity.streams();
        }
        self.activity = Some(activity);
        self
    }

    /// Notes the route that answered.
    pub(super) fn routed(mut self, route: Template) -> Self {
        self.route = route;
        self
    }

    /// Hands over the route that answered.
    pub(super) fn take_route(&mut self) -> Template {
        std::mem::take(&mut self.route)
    }

    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            activity: None,
            route: Template::None,
        }
    }
}

impl http_body::Body for FrontBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Pieces { pieces, ended, .. } => match ready!(pieces.poll_recv(cx)) {
                Some(Piece::Frame(frame)) => Poll::Ready(Some(Ok(frame))),
                Some(Piece::End) => {
                    *ended = true;
                    Poll::Ready(None)
                }
                None if *ended => Poll::Ready(None),
                None => Poll::Ready(Some(Err(CutOff))),
            },
            Kind::Ours(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|_| CutOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Pieces { ended, .. } => *ended,
            Kind::Ours(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Pieces { hint, .. } => *hint,
            Kind::Ours(body) => body.size_hint(),
        }
    }
}

impl Drop for FrontBody {
    fn drop(&mut self) {
        if let Some(activity) = &self.activity {
            activity.answered();
        }
    }
}

// === impl CutOff ===

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was cut off")
    }
}

impl std::error::Error for CutOff {}
