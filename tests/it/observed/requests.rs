//! Requests of an app inside another one's router, and what they are answered
//! with.

use std::sync::{Arc, Mutex, mpsc as blocking};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    middleware::from_fn,
    response::Response,
    routing::get,
};
use futures_util::{StreamExt as _, stream::iter};
use opentelemetry::{
    Context,
    trace::{SpanKind, TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use taskpulse::{App, stream, telemetry, testing::TestApp};
use tokio::sync::mpsc;

use super::attribute;
use crate::harness::{PATIENCE, Scrape, Server, eventually};

/// How many streams of server-sent events are open.
fn open(app: &TestApp) -> Option<f64> {
    app.metric("taskpulse_stream_open", &[("kind", "sse")])
}

/// How many `GET`s or `POST`s were answered like this.
fn answered(app: &TestApp, method: &str, route: &str, status: &str) -> Option<f64> {
    let labels = [
        ("http_request_method", method),
        ("http_response_status_code", status),
        ("http_route", route),
        ("network_protocol_version", "1.1"),
        ("url_scheme", "http"),
    ];
    app.metric("http_server_request_duration_seconds_count", &labels)
}

async fn post(app: &TestApp, body: Body) -> Response {
    let request = Request::post("/invocations").body(body);
    app.request(request.unwrap()).await
}

/// An app that streams what it is sent, and the traces its stream is polled in.
fn streaming() -> (TestApp, mpsc::Sender<u64>, Arc<Mutex<Vec<TraceId>>>) {
    let (numbers, source) = mpsc::channel(4);
    let source = Arc::new(Mutex::new(Some(source)));
    let traces = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&traces);
    let handler = move || {
        let source = source.lock().unwrap().take().expect("asked once");
        let seen = Arc::clone(&seen);
        let numbers = futures_util::stream::unfold(source, |mut source| async move {
            source.recv().await.map(|number: u64| (number, source))
        });
        let numbers = numbers.map(move |number| {
            let trace = Context::current().span().span_context().trace_id();
            seen.lock().unwrap().push(trace);
            Ok::<_, String>(number)
        });
        std::future::ready(stream(numbers))
    };
    (
        TestApp::new(App::new().entrypoint(handler)),
        numbers,
        traces,
    )
}

#[tokio::test]
async fn a_stream_has_a_span_and_is_counted_while_it_is_open() {
    let (app, numbers, traces) = streaming();
    assert_eq!(open(&app), Some(0.0));
    let answer = post(&app, Body::empty()).await;
    assert_eq!(open(&app), Some(1.0));
    let request = app.span("POST /invocations");
    for number in 0..3 {
        numbers.send(number).await.unwrap();
    }
    drop(numbers);
    let body = to_bytes(answer.into_body(), 1_000).await.unwrap();
    assert_eq!(body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_eq!(open(&app), Some(0.0));
    let span = app.span("stream");
    assert_eq!(span.parent_span_id, request.span_context.span_id());
    assert_eq!(attribute(&span, "stream.items"), 3);
    assert_eq!(attribute(&span, "stream.end"), "completed");
    let trace = request.span_context.trace_id();
    assert_eq!(*traces.lock().unwrap(), [trace; 3]);
}

#[tokio::test]
async fn a_stream_whose_client_leaves_says_so() {
    let (app, numbers, _traces) = streaming();
    let answer = post(&app, Body::empty()).await;
    numbers.send(0).await.unwrap();
    let mut body = answer.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    drop(body);
    assert_eq!(open(&app), Some(0.0));
    let span = app.span("stream");
    assert_eq!(attribute(&span, "stream.items"), 1);
    assert_eq!(attribute(&span, "stream.end"), "client_gone");
}

#[tokio::test]
async fn a_body_that_breaks_off_has_failed() {
    let pieces = async || Body::from_stream(iter([Ok("a"), Err("over")]));
    let app = TestApp::new(App::new().entrypoint(pieces));
    let answer = post(&app, Body::empty()).await;
    to_bytes(answer.into_body(), 1_000).await.unwrap_err();
    let span = app.span("stream");
    assert_eq!(attribute(&span, "stream.items"), 1);
    assert_eq!(attribute(&span, "stream.end"), "failed");
}

#[tokio::test]
async fn a_body_that_is_whole_is_no_stream() {
    let app = TestApp::new(App::new().entrypoint(async || "done"));
    assert_eq!(app.invoke(()).await.1, "done");
    let spans = app.spans();
    assert!(spans.iter().all(|span| span.name != "stream"), "{spans:?}");
}

#[tokio::test]
async fn a_request_that_is_refused_is_counted_and_traced() {
    let app = TestApp::new(App::new().entrypoint(async || "done"));
    let answer = post(&app, Body::from(vec![b' '; 100_000_001])).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let span = app.span("POST /invocations");
    assert_eq!(attribute(&span, "http.response.status_code"), 413);
    let count = answered(&app, "POST", "/invocations", "413");
    assert_eq!(count, Some(1.0), "{}", app.metrics());
}

#[tokio::test]
async fn the_tasks_api_is_traced_and_probes_are_not() {
    let app = TestApp::new(App::new());
    for path in ["/ping", "/ready", "/metrics", "/tasks", "/tasks/7"] {
        app.get(path).await;
    }
    let spans = app.spans();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["GET /tasks", "GET /tasks/{id}"]);
    assert_eq!(spans[0].span_kind, SpanKind::Server);
    assert_eq!(attribute(&spans[1], "http.response.status_code"), 404);
}

#[tokio::test]
async fn the_route_is_known_where_a_layer_answers() {
    let refuse = from_fn(
        async |_: axum::extract::Request, _: axum::middleware::Next| StatusCode::UNAUTHORIZED,
    );
    let merged = axum::Router::new().route("/merged/{id}", get(async || "no"));
    let app = App::new()
        .route("/items/{id}", get(async || "no"))
        .merge(merged);
    let app = TestApp::new(app.layer(refuse));
    for route in ["/items/{id}", "/merged/{id}"] {
        app.get(&route.replace("{id}", "7")).await;
        let span = app.span(&format!("GET {route}"));
        assert_eq!(attribute(&span, "http.response.status_code"), 401);
        assert_eq!(
            answered(&app, "GET", route, "401"),
            Some(1.0),
            "{}",
            app.metrics()
        );
    }
}

/// An app whose handlers block until the sender is dropped, and say so before.
fn blocking(provider: SdkTracerProvider) -> (Server, blocking::Sender<()>) {
    let (say_blocked, told) = blocking::channel();
    let (release, released) = blocking::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let handler = async move || {
        say_blocked.send(()).unwrap();
        released.lock().unwrap().recv().unwrap_or_default();
    };
    let telemetry = telemetry::builder().tracer_provider(provider);
    let app = App::new().telemetry(telemetry.build().unwrap());
    let server = Server::spawn(app.entrypoint(handler));
    for _ in 0..2 {
        let post = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
        server.client().send(post);
        told.recv_timeout(PATIENCE).unwrap();
    }
    (server, release)
}

#[test]
fn spans_that_wait_for_a_blocked_worker_have_a_bound() {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone());
    let (server, release) = blocking(provider.build());
    let mut client = server.client();
    for _ in 0..1_030 {
        assert_eq!(client.request("GET", "/tasks", "", "").status, 200);
    }
    let lost = || {
        let scrape = Scrape::of(&server.get("/metrics"));
        let labels = [("signal", "traces"), ("reason", "queue_full")];
        scrape.value("taskpulse_telemetry_dropped_total", &labels)
    };
    assert_eq!(lost(), Some(6.0));
    let told = || {
        let spans = spans.get_finished_spans().unwrap();
        spans
            .iter()
            .filter(|span| span.name == "GET /tasks")
            .count()
    };
    assert_eq!(told(), 0);
    drop(release);
    eventually("those that waited are there", || told() == 1_024);
    client.request("GET", "/tasks", "", "");
    eventually("there is room again", || told() == 1_025);
    assert_eq!(lost(), Some(6.0));
}
