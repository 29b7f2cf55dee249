//! Telemetry of an app in this process, kept in memory.

mod counters;
mod goodbye;
mod metrics;
mod requests;
mod spans;
mod threads;

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;
use taskpulse::{App, testing::TestApp};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

/// Ends a task at once.
type Done = Result<(), String>;

/// An app, and its layer in this thread's subscriber.
fn observed(app: App) -> (TestApp, DefaultGuard) {
    let app = TestApp::new(app);
    let subscriber = tracing_subscriber::registry().with(app.layer());
    let guard = tracing::subscriber::set_default(subscriber);
    (app, guard)
}

/// An attribute of a span, as JSON has it.
#[track_caller]
fn attribute(span: &SpanData, key: &str) -> Value {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {:?}", span.attributes));
    match &found.value {
        opentelemetry::Value::Bool(value) => (*value).into(),
        opentelemetry::Value::I64(value) => (*value).into(),
        opentelemetry::Value::F64(value) => (*value).into(),
        other => other.as_str().into_owned().into(),
    }
}

/// Lets everything that is ready run.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
