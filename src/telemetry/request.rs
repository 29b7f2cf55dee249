//! The span of a request, and that of the stream it may be answered with.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{HeaderMap, Method, Response, StatusCode, Uri, Version, header, header::HeaderName};
use opentelemetry::{
    Context as OtelContext, KeyValue,
    context::{FutureExt as _, WithContext},
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::{Span, error, field::Empty, info_span};

use super::{
    Reporter, StreamKind, attributes,
    http::{METHODS, method_index},
    layer::opening,
    metric,
    propagation::Propagator,
    quietly,
    scope::Scope,
    span::inside,
};
use crate::task::Origin;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The target of the `tracing` span of a request.
pub(crate) const REQUEST: &str = "taskpulse::request";

const CUT_OFF: &str = "the source of a response came to no good end; the response is cut off";

/// What a span says of a request, before anybody works on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// When it arrived, since the Unix epoch.
    pub(crate) arrived: Duration,
}

/// A request that is being worked on. Dropped before it is answered, it says
/// that it was cancelled.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    cx: OtelContext,
    tracing: Option<Span>,
    method: &'static str,
    /// Whether the context's span is the request's own.
    traced: bool,
    answered: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    Completed,
    Failed,
    ClientGone,
}

/// A response that is being sent. Dropped before its end, the client has gone.
#[derive(Debug)]
pub(crate) struct StreamSpan {
    cx: OtelContext,
    reporter: Option<Arc<Reporter>>,
    kind: Option<StreamKind>,
    items: u64,
    told: Option<Arc<StreamTale>>,
    /// Whether the context's span is the stream's own.
    traced: bool,
    ended: bool,
}

/// What the source of a stream knows better than who sends its bytes.
#[derive(Debug, Default)]
pub(crate) struct StreamTale {
    pub(crate) items: AtomicU64,
    pub(crate) failed: AtomicBool,
}

// === impl RequestSpan ===

impl RequestSpan {
    /// Starts the span, in the trace that the caller named.
    pub(crate) fn start(
        reporter: Option<&Reporter>,
        head: Head<'_>,
        parent: OtelContext,
        origin: &Arc<Origin>,
    ) -> Self {
        let method = METHODS[usize::from(method_index(head.method.as_str()))];
        let scope = Scope {
            origin: Some(Arc::clone(origin)),
            ..Scope::default()
        };
        let tracer = reporter.and_then(|reporter| reporter.telemetry.tracer());
        let started = tracer
            .and_then(|tracer| quietly(|| start(tracer, head, method, parent.clone(), origin)));
        let traced = started.is_some();
        let cx = started.unwrap_or(parent).with_value(scope);
        let span = quietly(|| opening(&cx, || tracing_span(head, method, origin)));
        Self {
            tracing: span.filter(|span| !span.is_none()),
            cx,
            method,
            traced,
            answered: false,
        }
    }

    /// The context that the request is worked on in.
    pub(crate) const fn cx(&self) -> &OtelContext {
        &self.cx
    }

    /// Runs the future, each of whose polls must not panic, inside the request.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| inside(self.tracing.as_ref(), &self.cx, || future.as_mut().poll(cx))).await
    }

    /// Runs `work`, which must not panic, inside the request.
    pub(crate) fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        inside(self.tracing.as_ref(), &self.cx, work)
    }

    /// Tells the caller which trace this is, and ends the span: the answer's
    /// headers are about to be sent.
    pub(crate) fn answer<B>(self, response: &mut Response<B>, route: &str) {
        let traceparent = self
            .traced
            .then(|| quietly(|| Propagator::answer(&self.cx)));
        if let Some(traceparent) = traceparent.flatten().flatten() {
            let headers = response.headers_mut();
            headers.entry(TRACEPARENT).or_insert(traceparent);
        }
        self.finish(response.status(), route);
    }

    /// Ends the span. `route` is the template that was found, and empty where
    /// none was.
    fn finish(mut self, status: StatusCode, route: &str) {
        self.answered = true;
        quietly(|| self.close(Some(status), route, SystemTime::now()));
    }

    /// Ends the span of a request that was answered then, since the Unix epoch.
    pub(crate) fn finish_at(mut self, status: StatusCode, route: &str, answered: Duration) {
        self.answered = true;
        quietly(|| self.close(Some(status), route, UNIX_EPOCH + answered));
    }

    fn close(&self, status: Option<StatusCode>, route: &str, at: SystemTime) {
        if let Some(span) = &self.tracing {
            span.record(metric::ROUTE, route);
            span.record(
                metric::STATUS,
                status.map_or(0, |status| i64::from(status.as_u16())),
            );
        }
        let span = self.cx.span();
        if !self.traced || !span.is_recording() {
            return;
        }
        if !route.is_empty() {
            let method = name_of(self.method);
            span.update_name(format!("{method} {route}"));
            span.set_attribute(KeyValue::new(metric::ROUTE, route.to_owned()));
        }
        let error = match status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                span.set_attribute(KeyValue::new(metric::STATUS, code));
                status.is_server_error().then(|| code.to_string())
            }
            None => Some("cancelled".to_owned()),
        };
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(metric::ERROR_TYPE, error));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(at);
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        if !self.answered {
            quietly(|| self.close(None, "", SystemTime::now()));
        }
    }
}

fn start(
    tracer: &SdkTracer,
    head: Head<'_>,
    method: &'static str,
    parent: OtelContext,
    origin: &Origin,
) -> OtelContext {
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new(metric::METHOD, method));
    if method != head.method.as_str() {
        let original = attributes::text(head.method.as_str());
        attributes.push(KeyValue::new("http.request.method_original", original));
    }
    attributes.push(KeyValue::new("url.path", attributes::text(head.uri.path())));
    attributes.push(KeyValue::new(metric::SCHEME, "http"));
    attributes.push(KeyValue::new(metric::PROTOCOL, protocol(head.version)));
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(host) = text(header::HOST) {
        put_server(&mut attributes, host);
    }
    if let Some(agent) = text(header::USER_AGENT) {
        attributes.push(KeyValue::new(
            "user_agent.original",
            attributes::text(agent),
        ));
    }
    attributes::put_origin(&mut attributes, Some(origin));
    let builder = tracer
        .span_builder(name_of(method))
        .with_kind(SpanKind::Server)
        .with_start_time(UNIX_EPOCH + head.arrived)
        .with_attributes(attributes);
    let span = tracer.build_with_context(builder, &parent);
    parent.with_span(span)
}

fn put_server(attributes: &mut Vec<KeyValue>, host: &str) {
    // An address of IPv6 has colons of its own, and brackets around them.
    let (address, port) = match host.rsplit_once(':') {
        Some((address, port)) if !port.ends_with(']') => (address, port.parse::<i64>().ok()),
        _ => (host, None),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    attributes.push(KeyValue::new("server.address", attributes::text(address)));
    if let Some(port) = port {
        attributes.push(KeyValue::new("server.port", port));
    }
}

/// What layers of the program see of a request.
fn tracing_span(head: Head<'_>, method: &'static str, origin: &Origin) -> Span {
    info_span!(
        target: REQUEST,
        parent: None,
        "request",
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = head.uri.path(),
        session.id = origin.session_id.as_deref(),
        taskpulse.request.id = &*origin.request_id,
    )
}

/// A method in a span's name.
///
/// Source: OpenTelemetry semantic conventions, HTTP spans, name.
fn name_of(method: &'static str) -> &'static str {
    match method {
        "_OTHER" => "HTTP",
        known => known,
    }
}

/// The version as `network.protocol.version` has it.
pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

// === impl StreamEnd ===

impl StreamEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
        }
    }
}

// === impl StreamSpan ===

impl StreamSpan {
    /// Starts the span as a child of its request's. `kind` is none for a body
    /// that merely takes its time; `told` is what its source tells.
    pub(crate) fn start(
        reporter: Option<&Arc<Reporter>>,
        request: &OtelContext,
        kind: Option<StreamKind>,
        told: Option<Arc<StreamTale>>,
    ) -> Self {
        let tracer = reporter.and_then(|reporter| reporter.telemetry.tracer());
        let started = tracer.and_then(|tracer| {
            quietly(|| {
                let builder = tracer
                    .span_builder("stream")
                    .with_kind(SpanKind::Internal)
                    .with_start_time(SystemTime::now());
                request.with_span(tracer.build_with_context(builder, request))
            })
        });
        let reporter = reporter.map(Arc::clone);
        if let (Some(reporter), Some(kind)) = (&reporter, kind) {
            reporter.counts.streams(kind).fetch_add(1, Relaxed);
        }
        Self {
            traced: started.is_some(),
            cx: started.unwrap_or_else(|| request.clone()),
            reporter,
            kind,
            items: 0,
            told,
            ended: false,
        }
    }

    /// Runs the future, each of whose polls must not panic, inside the stream.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| inside(None, &self.cx, || future.as_mut().poll(cx))).await
    }

    /// Runs `work`, which must not panic, inside the stream.
    pub(crate) fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        inside(None, &self.cx, work)
    }

    /// The future, inside the stream wherever it is polled.
    pub(crate) fn context_of<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.cx.clone())
    }

    /// Says why the source has come to no good end, and ends the span.
    pub(crate) fn cut_off(self, why: &str) {
        self.inside(|| quietly(|| error!(error = why, "{CUT_OFF}")));
        self.finish(StreamEnd::Failed);
    }

    /// A piece has been sent.
    pub(crate) const fn sent(&mut self) {
        self.items += 1;
    }

    /// Ends the span.
    pub(crate) fn finish(mut self, end: StreamEnd) {
        self.close(end);
    }

    fn close(&mut self, end: StreamEnd) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let (Some(reporter), Some(kind)) = (&self.reporter, self.kind) {
            reporter.counts.streams(kind).fetch_sub(1, Relaxed);
        }
        let told = self.told.as_deref();
        let items = told.map_or(self.items, |told| told.items.load(Relaxed));
        let failed = told.is_some_and(|told| told.failed.load(Relaxed));
        let end = match end {
            StreamEnd::Completed if failed => StreamEnd::Failed,
            StreamEnd::Completed | StreamEnd::Failed | StreamEnd::ClientGone => end,
        };
        quietly(|| {
            let span = self.cx.span();
            if !self.traced || !span.is_recording() {
                return;
            }
            span.set_attribute(KeyValue::new("stream.items", items.cast_signed()));
            span.set_attribute(KeyValue::new("stream.end", end.as_str()));
            if end == StreamEnd::Failed {
                span.set_status(Status::error("the stream's source failed"));
            }
            span.end();
        });
    }
}

impl Drop for StreamSpan {
    fn drop(&mut self) {
        self.close(StreamEnd::ClientGone);
    }
}
