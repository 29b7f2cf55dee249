//! The bodies that the front writes: whole, or piece by piece from the other
//! runtime.

use std::{
    fmt,
    future::Future,
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

/// What a body says last, once it is time and its source has been heard, unless
/// that one has come to its end by itself.
pub(super) struct Farewell {
    time: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_due: bool,
    words: Bytes,
}

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Pieces {
        pieces: mpsc::Receiver<Piece>,
        hint: SizeHint,
        ended: bool,
        farewell: Option<Box<Farewell>>,
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

    pub(super) fn pieces(
        pieces: mpsc::Receiver<Piece>,
        hint: SizeHint,
        farewell: Option<Box<Farewell>>,
    ) -> Self {
        Self::of(Kind::Pieces {
            pieces,
            hint,
            ended: false,
            farewell,
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
            Kind::Pieces {
                pieces,
                ended,
                farewell,
                ..
            } => {
                let is_due = farewell.as_mut().is_some_and(|it| it.poll_due(cx));
                if is_due {
                    // What is on its way arrives; more is not taken.
                    pieces.close();
                }
                match ready!(pieces.poll_recv(cx)) {
                    Some(Piece::Frame(frame)) => Poll::Ready(Some(Ok(frame))),
                    Some(Piece::End) => {
                        *ended = true;
                        Poll::Ready(None)
                    }
                    None if *ended => Poll::Ready(None),
                    None => match farewell.take().filter(|_| is_due) {
                        Some(farewell) => {
                            *ended = true;
                            Poll::Ready(Some(Ok(Frame::data(farewell.words))))
                        }
                        None => Poll::Ready(Some(Err(CutOff))),
                    },
                }
            }
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

// === impl Farewell ===

impl Farewell {
    /// `words` at `time`.
    pub(super) fn new(time: impl Future<Output = ()> + Send + 'static, words: Bytes) -> Self {
        Self {
            time: Box::pin(time),
            is_due: false,
            words,
        }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_due = self.is_due || self.time.as_mut().poll(cx).is_ready();
        self.is_due
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Farewell").field(&self.words).finish()
    }
}

// === impl CutOff ===

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was cut off")
    }
}

impl std::error::Error for CutOff {}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use http_body_util::BodyExt as _;

    use super::*;

    fn frame(text: &'static str) -> Piece {
        Piece::Frame(Frame::data(Bytes::from(text)))
    }

    fn farewell(time: impl Future<Output = ()> + Send + 'static) -> Box<Farewell> {
        Box::new(Farewell::new(time, Bytes::from("goodbye")))
    }

    /// The text of a body up to its end, or that it was cut off.
    async fn read(mut body: FrontBody) -> String {
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return text + "cut off";
            };
            text += &String::from_utf8_lossy(&frame.into_data().expect("data"));
        }
        text
    }

    #[tokio::test]
    async fn a_farewell_comes_after_what_is_on_its_way() {
        let (sender, pieces) = mpsc::channel(4);
        sender.send(frame("a,")).await.unwrap();
        sender.send(frame("b,")).await.unwrap();
        let body = FrontBody::pieces(pieces, SizeHint::default(), Some(farewell(ready(()))));
        assert_eq!(read(body).await, "a,b,goodbye");
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn a_body_that_has_ended_says_no_farewell() {
        for time_is_up in [true, false] {
            let (sender, pieces) = mpsc::channel(4);
            sender.send(frame("a")).await.unwrap();
            sender.send(Piece::End).await.unwrap();
            let farewell = match time_is_up {
                true => farewell(ready(())),
                false => farewell(pending()),
            };
            let body = FrontBody::pieces(pieces, SizeHint::default(), Some(farewell));
            assert_eq!(read(body).await, "a");
        }
    }

    #[tokio::test]
    async fn a_body_whose_source_is_gone_is_cut_off() {
        let (sender, pieces) = mpsc::channel(4);
        sender.send(frame("a,")).await.unwrap();
        drop(sender);
        let body = FrontBody::pieces(pieces, SizeHint::default(), Some(farewell(pending())));
        assert_eq!(read(body).await, "a,cut off");
    }
}
