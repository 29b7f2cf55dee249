//! For tests of code that tracks tasks: an app without a socket, whose spans and
//! metrics stay in memory.
//!
//! Add the feature for your tests alone:
//!
//! ```toml
//! [dev-dependencies]
//! taskpulse = { path = "../taskpulse", default-features = false, features = ["testing"] }
//! ```

mod tasks;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    response::Response,
};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, SimpleSpanProcessor, SpanData,
};
use serde::Serialize;
use serde_json::Value;
use tokio::{runtime::Handle, time::Instant};
use tower::ServiceExt as _;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

pub use self::tasks::TasksNamed;
use crate::{
    App, Tasks,
    telemetry::{self, Telemetry, layer_of},
};

/// An app without a socket.
///
/// Its tasks keep tokio's time: in a test with `start_paused = true`, sleeping
/// moves it on and nobody waits.
///
/// ```
/// use std::time::Duration;
///
/// use serde_json::json;
/// use taskpulse::{App, Error, Payload, Tasks, TaskState, testing::TestApp};
///
/// async fn handler(tasks: Tasks, Payload(rows): Payload<u64>) -> Result<&'static str, Error> {
///     tasks.begin("import").metadata("rows", rows).spawn(async move {
///         tokio::time::sleep(Duration::from_secs(rows)).await;
///         if rows > 1_000 { Err("too many") } else { Ok(rows) }
///     })?;
///     Ok("begun")
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let app = TestApp::new(App::new().entrypoint(handler));
/// let (status, body) = app.invoke(600).await;
/// assert_eq!((status.as_u16(), body), (200, json!("begun")));
/// app.tasks_named("import").active(1);
///
/// tokio::time::sleep(Duration::from_secs(601)).await; // Takes no time.
/// app.tasks_named("import").active(0).ended(TaskState::Succeeded, 1);
///
/// let span = app.span("import");
/// assert_eq!(span.end_time.duration_since(span.start_time).unwrap().as_secs(), 600);
/// let labels = [("task_name", "import"), ("task_state", "succeeded")];
/// assert_eq!(app.metric("taskpulse_task_transitions_total", &labels), Some(1.0));
/// # }
/// ```
pub struct TestApp {
    router: Router,
    tasks: Tasks,
    telemetry: Telemetry,
    spans: InMemorySpanExporter,
}

/// Bytes of an answer at most.
const MOST: usize = 100_000_000;

// === impl TestApp ===

impl TestApp {
    /// Prepares an app for a test.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and if the app was put together wrongly.
    #[must_use]
    pub fn new(app: App) -> Self {
        let runtime = Handle::try_current();
        assert!(
            runtime.is_ok(),
            "TestApp::new is called outside a tokio runtime; make the test a #[tokio::test]"
        );
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(SimpleSpanProcessor::new(spans.clone()))
            .build();
        let telemetry = telemetry::builder().tracer_provider(provider).build();
        let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
        let tasks = app.tasks();
        let started = Instant::now();
        let passed = move || started.elapsed();
        tasks.tracker().registry().clock.follow(Arc::new(passed));
        tasks.tracker().watch_here();
        Self {
            router: app.telemetry(telemetry.clone()).into_router(),
            tasks,
            telemetry,
            spans,
        }
    }

    /// Tracks tasks of the app.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Sends a request.
    ///
    /// # Panics
    ///
    /// If a handler does.
    pub async fn request(&self, request: Request<Body>) -> Response {
        let answered = self.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    /// Sends a payload to `POST /invocations`; the status and the body, as JSON
    /// if it is JSON, else as a string.
    ///
    /// # Panics
    ///
    /// If the handler does, or the payload cannot be written as JSON.
    pub async fn invoke(&self, payload: impl Serialize) -> (StatusCode, Value) {
        let payload = serde_json::to_vec(&payload).expect("the payload can be written as JSON");
        let request = Request::post("/invocations").body(Body::from(payload));
        self.answer(request.expect("a path is a URI")).await
    }

    /// Asks for a path; the status and the body, as [`invoke`](Self::invoke)
    /// gives it.
    ///
    /// # Panics
    ///
    /// If a handler does, or `path` is none.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty());
        self.answer(request.expect("a path is a URI")).await
    }

    async fn answer(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (parts, body) = self.request(request).await.into_parts();
        let body = to_bytes(body, MOST).await.expect("the body is complete");
        let value = serde_json::from_slice(&body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
        (parts.status, value)
    }

    /// Counts and asserts on the tasks of this name.
    #[must_use]
    pub fn tasks_named<'a>(&'a self, name: &'a str) -> TasksNamed<'a> {
        TasksNamed::new(self, name)
    }

    /// Every span that has ended: of requests, of tasks, and of your own where
    /// [`layer`](Self::layer) is in the subscriber.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanData> {
        // It fails after a shutdown only, of which there is none here.
        self.spans.get_finished_spans().unwrap_or_default()
    }

    /// The last span of this name that has ended.
    ///
    /// # Panics
    ///
    /// If there is none; it says which there are.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let names: Vec<_> = spans.iter().map(|span| span.name.to_string()).collect();
        let found = spans.into_iter().rfind(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span `{name}` has ended; there are {names:?}"))
    }

    /// The value of the series with exactly these labels, as `/metrics` has it;
    /// none if there is no such series.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut pairs: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        pairs.sort();
        let series = match pairs.is_empty() {
            true => format!("{name} "),
            false => format!("{name}{{{}}} ", pairs.join(",")),
        };
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(&series))?;
        value.parse().ok()
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        String::from_utf8_lossy(&self.telemetry.metrics_text()).into_owned()
    }

    /// The layer that makes `tracing` spans of your own take part; see
    /// [`telemetry::layer`](telemetry::layer()).
    #[must_use]
    pub fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        layer_of(&self.telemetry)
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp")
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Nothing is sent anywhere: this takes no time.
        self.telemetry.shutdown(Duration::from_secs(1));
    }
}
