//! Bodies of responses on their way to the client, and the spans of those that
//! take their time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::{HeaderMap, header::CONTENT_TYPE};
use opentelemetry::Context as OtelContext;

use super::{Service, in_flight::Flight};
use crate::{
    telemetry::{
        StreamKind,
        request::{StreamEnd, StreamSpan, StreamTale},
    },
    track::panic_text,
};

/// A response's body, where its server is not ours. It keeps its request in
/// flight, and has a span if it is not there whole at once.
#[derive(Debug)]
pub(super) struct Flying {
    body: Body,
    /// Gone once the body has ended.
    stream: Option<StreamSpan>,
    _flight: Flight,
}

/// Starts the span of a body that is not there whole at once. `request` is the
/// context of its request, `told` what its source tells.
pub(super) fn stream_span(
    service: &Service,
    request: &OtelContext,
    headers: &HeaderMap,
    told: Option<Arc<StreamTale>>,
) -> StreamSpan {
    let kind = is_event_stream(headers).then_some(StreamKind::Sse);
    StreamSpan::start(service.tracker.reporter(), request, kind, told)
}

/// Whether a body is one of server-sent events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether a body is there whole: such a one knows its size.
pub(super) fn is_whole(body: &Body) -> bool {
    body.is_end_stream() || body.size_hint().exact().is_some()
}

// === impl Flying ===

impl Flying {
    pub(super) const fn new(body: Body, stream: Option<StreamSpan>, flight: Flight) -> Self {
        Self {
            body,
            stream,
            _flight: flight,
        }
    }

    fn poll_inside(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = Pin::new(&mut self.body);
        let Some(stream) = &self.stream else {
            return body.poll_frame(cx);
        };
        let polled = stream.inside(|| {
            let poll = AssertUnwindSafe(|| body.as_mut().poll_frame(cx));
            catch_unwind(poll)
        });
        polled.unwrap_or_else(|panic| {
            if let Some(stream) = self.stream.take() {
                stream.cut_off(&panic_text(&*panic));
            }
            // The server is the program's own, and so is what it makes of this.
            resume_unwind(panic)
        })
    }
}

impl http_body::Body for Flying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(self.poll_inside(cx));
        // Servers ask for no more after that.
        let ends = frame.is_none() || self.body.is_end_stream();
        let Some(mut stream) = self.stream.take() else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Err(error)) => stream.cut_off(&error.to_string()),
            Some(Ok(_)) | None => {
                if frame.is_some() {
                    stream.sent();
                }
                match ends {
                    true => stream.finish(StreamEnd::Completed),
                    false => self.stream = Some(stream),
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
