//! The way from the front to the runtime of the user's code, and back.
//!
//! What goes over is a request that has arrived whole. What comes back holds
//! nothing of the user's: bytes are copied, extensions stay, and a body that is
//! not whole yet is pumped from there, so that even its destructor runs there.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::DefaultBodyLimit};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_ENCODING, EXPECT},
    http::{Extensions, response::Parts},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::sleep,
};
use tower::ServiceExt as _;
use tracing::error;

use super::{
    Service,
    account::Account,
    body::{Farewell, FrontBody, Piece},
    budget::Share,
    errors::Refusal,
    flying::{is_event_stream, stream_span},
    in_flight::{Flight, Template},
    introduction::Introduction,
    state::Away,
    stream::going_away_event,
    upload,
};
use crate::{
    telemetry::{
        drop_quietly, quietly,
        request::{RequestSpan, StreamEnd, StreamSpan, StreamTale},
    },
    track::panic_text,
};

/// Pieces of a body on their way; the source waits for a slow client.
const PIECES: usize = 4;

/// For a stream to end by itself once its tasks are interrupted.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The same where the whole process has a fifth of a second left.
const HURRIED_WORDS: Duration = Duration::from_millis(20);

/// The other side: the user's routes and the runtime they run on.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    pub(super) service: Arc<Service>,
    pub(super) runtime: Handle,
    pub(super) router: Router,
}

type Answer = oneshot::Sender<Response<FrontBody>>;

/// What an answer takes along.
struct WayBack {
    answer: Answer,
    span: RequestSpan,
    template: Template,
}

/// A body that is not whole yet, where the user's code makes it.
struct Source {
    service: Arc<Service>,
    body: Body,
    /// What its first poll gave, if anything.
    first: Option<Result<Frame<Bytes>, axum::Error>>,
    stream: StreamSpan,
}

/// A request on its way over.
struct Passage {
    request: Request<Body>,
    answer: Answer,
    flight: Flight,
    share: Share,
}

// === impl Crossing ===

impl Crossing {
    /// Sends a request over. The answer comes even if nobody waits for it any
    /// more: a client that leaves does not stop a plain handler.
    pub(super) fn send(
        &self,
        request: Request<Incoming>,
    ) -> oneshot::Receiver<Response<FrontBody>> {
        let (answer, answered) = oneshot::channel();
        let flight = self.service.take_off(request.uri().path());
        let share = self.service.bodies.share();
        let (parts, incoming) = request.into_parts();
        if incoming.is_end_stream() {
            let request = Request::from_parts(parts, Body::empty());
            self.cross(Passage {
                request,
                answer,
                flight,
                share,
            });
            return answered;
        }
        let crossing = self.clone();
        let limit = crossing.service.config.body_limit;
        let announced = incoming.size_hint().lower();
        // Reading from such a client would tell it to go on.
        let asks_first = parts.headers.contains_key(EXPECT) && announced > limit as u64;
        let receive = async move {
            let mut share = share;
            let mut incoming = incoming;
            match upload::receive(&mut incoming, limit, &mut share).await {
                Ok(upload) => {
                    let request = Request::from_parts(parts, upload.into_body());
                    crossing.cross(Passage {
                        request,
                        answer,
                        flight,
                        share,
                    });
                }
                Err(refusal) => {
                    let route = Template::of_contract(parts.uri.path());
                    let refusal = refusal.on_front().map(|body| body.routed(route.clone()));
                    Account::of_parts(&crossing, parts, flight.arrived())
                        .give(refusal.status(), route);
                    // Nobody listens any more where the client has left.
                    answer.send(refusal).unwrap_or_default();
                    if !asks_first {
                        upload::see_off(incoming).await;
                    }
                }
            }
        };
        // A task of its own: the connection of a client that hangs up right
        // after the last byte ends before it would poll us again.
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the body, or 30 s of silence"
        )]
        tokio::spawn(receive);
        answered
    }

    fn cross(&self, passage: Passage) {
        let service = Arc::clone(&self.service);
        self.runtime
            .spawn(over_there(service, self.router.clone(), passage));
    }
}

/// What happens on the other side.
async fn over_there(service: Arc<Service>, router: Router, passage: Passage) {
    let Passage {
        mut request,
        answer,
        flight,
        share,
    } = passage;
    // The upload has held the body to our limit.
    let limit = DefaultBodyLimit::disable();
    let contract = Template::of_contract(request.uri().path());
    let span = Introduction::give(&mut request, Arc::clone(&service), flight.clone(), limit);
    let context = span.cx().clone();
    // `async` so that whatever the user's layers do at once is caught as well.
    let handled = AssertUnwindSafe(async move { router.oneshot(request).await }).catch_unwind();
    let handled = span.run(handled).await;
    drop(share);
    let way_back = WayBack {
        answer,
        span,
        template: contract.or_matched(&flight),
    };
    let response = match handled {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(panic) => return way_back.panicked(panic),
    };
    let (mut parts, mut body) = response.into_parts();
    let tale = release(&mut parts);
    let first = AssertUnwindSafe(async { body.frame().now_or_never() }).catch_unwind();
    let first = match way_back.span.run(first).await {
        Ok(first) => first,
        Err(panic) => return way_back.panicked(panic),
    };
    let first = match first {
        Some(None) => return way_back.deliver(parts, FrontBody::whole(Bytes::new())),
        Some(Some(Ok(frame))) if body.is_end_stream() && frame.is_data() => {
            let bytes = frame
                .into_data()
                .map_or_else(|_| Bytes::new(), |data| own(&data));
            return way_back.deliver(parts, FrontBody::whole(bytes));
        }
        None => None,
        Some(Some(first)) => Some(first),
    };
    let stream = stream_span(&service, &context, &parts.headers, tale);
    let source = Source {
        service,
        body,
        first,
        stream,
    };
    source.pump(parts, way_back).await;
    drop(flight);
}

/// Bytes that run no destructor of the user's where they are dropped.
fn own(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}

/// Drops what a response carries of the user's besides its body; gives back what
/// is ours.
fn release(parts: &mut Parts) -> Option<Arc<StreamTale>> {
    let mut extensions: Extensions = std::mem::take(&mut parts.extensions);
    let tale = extensions.remove();
    catch_unwind(AssertUnwindSafe(|| drop(extensions))).unwrap_or_else(drop_quietly);
    tale
}

// === impl Source ===

impl Source {
    /// Sends the head, then the body piece by piece, until its end or until
    /// nobody takes the pieces any more; then drops the source, here.
    async fn pump(self, parts: Parts, way_back: WayBack) {
        // Plain words are noise in a body that is compressed.
        let readable = !parts.headers.contains_key(CONTENT_ENCODING);
        let farewell =
            (readable && is_event_stream(&parts.headers)).then(|| farewell(&self.service));
        let Self {
            service,
            mut body,
            first,
            mut stream,
        } = self;
        let (pieces, receiver) = mpsc::channel(PIECES);
        let hint = body.size_hint();
        way_back.deliver(parts, FrontBody::pieces(receiver, hint, farewell));
        let mut next = first.map(Some);
        loop {
            let frame = match next.take() {
                Some(frame) => frame,
                None => tokio::select! {
                    frame = stream.run(AssertUnwindSafe(body.frame()).catch_unwind()) => match frame {
                        Ok(frame) => frame,
                        Err(panic) => {
                            let text = panic_text(&*panic);
                            drop_quietly(panic);
                            return stream.cut_off(&text);
                        }
                    },
                    () = pieces.closed() => return leave(&service, stream),
                },
            };
            let piece = match frame {
                None => Piece::End,
                Some(Ok(frame)) => Piece::Frame(frame.map_data(|data| own(&data))),
                Some(Err(error)) => return stream.cut_off(&error.to_string()),
            };
            let ends = matches!(piece, Piece::End);
            if pieces.send(piece).await.is_err() {
                return leave(&service, stream);
            }
            if ends {
                return stream.finish(StreamEnd::Completed);
            }
            stream.sent();
        }
    }
}

/// A stream of events ends with one that says why, even if the user's code is
/// stuck: its reader could not tell the end from a failure of the network.
fn farewell(service: &Arc<Service>) -> Box<Farewell> {
    let service = Arc::clone(service);
    let time = async move {
        sleep(match service.going_away().await {
            Away::Hurrying => HURRIED_WORDS,
            Away::No | Away::Leaving => LAST_WORDS,
        })
        .await;
    };
    Box::new(Farewell::new(time, going_away_event()))
}

/// Nobody takes the pieces any more: the client has left, or we are about to.
fn leave(service: &Service, stream: StreamSpan) {
    if service.is_going_away() {
        stream.cut_off("the service shuts down");
    }
}

// === impl WayBack ===

impl WayBack {
    /// Sends the answer, whose headers end the request's span.
    fn deliver(self, parts: Parts, body: FrontBody) {
        let body = body.routed(self.template.clone());
        let mut response = Response::from_parts(parts, body);
        self.span.answer(&mut response, self.template.as_str());
        // Nobody waits where the client has left.
        self.answer.send(response).unwrap_or_default();
    }

    /// Answers for user code that panicked before anything was answered.
    fn panicked(self, panic: Box<dyn std::any::Any + Send>) {
        let text = panic_text(&*panic);
        drop_quietly(panic);
        self.span
            .inside(|| quietly(|| error!(error = text, "a handler panicked")));
        let (parts, body) = Refusal::panicked().on_front().into_parts();
        self.deliver(parts, body);
    }
}
