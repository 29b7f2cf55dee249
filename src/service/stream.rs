//! Answers that come item by item, in the contract's form of SSE.

use std::{
    any::type_name,
    convert::Infallible,
    fmt::Display,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::response::{
    IntoResponse as _, Response, Sse,
    sse::{Event, KeepAlive},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use serde_json::json;

use crate::telemetry::request::StreamTale;

/// Without an item, until a comment is sent: well below the idle limit of any
/// proxy that is likely to stand between.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Source: what the Python SDK sends.
const MESSAGE: &str = "An error occurred during streaming";

/// Answers with `items`, each as it comes: `data: <its JSON>` and an empty line.
///
/// The first error ends the stream with an event that says so:
/// `{"error": "...", "error_type": "...", "message": "..."}`. In silent gaps a
/// comment is sent every 15 s. A process that shuts down lets a stream go on for
/// the time of the drain; then its last event says so, as an error's does.
///
/// When the client leaves, `items` is dropped within a second.
///
/// ```
/// use futures_util::stream;
///
/// async fn handler() -> axum::response::Response {
///     taskpulse::stream(stream::iter([Ok::<_, String>("one"), Ok("two")]))
/// }
/// # let _ = axum::routing::post(handler) as axum::routing::MethodRouter;
/// ```
pub fn stream<S, T, E>(items: S) -> Response
where
    S: Stream<Item = Result<T, E>> + Send + 'static,
    T: Serialize + 'static,
    E: Display + 'static,
{
    let tale = Arc::new(StreamTale::default());
    let told = Arc::clone(&tale);
    let events = items
        .map(event)
        .scan((), move |(), (event, fails)| {
            // After the first failure, nothing comes.
            let goes_on = !told.failed.fetch_or(fails, Relaxed);
            told.items.fetch_add(u64::from(goes_on), Relaxed);
            std::future::ready(goes_on.then_some(event))
        })
        .map(Ok::<_, Infallible>);
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response.extensions_mut().insert(tale);
    response
}

/// The last event of a stream that the end of the process cuts off.
pub(super) fn going_away_event() -> Bytes {
    let error = crate::Error::Draining;
    let failure = json!({
        "error": error.to_string(),
        "error_type": "Draining",
        "message": MESSAGE,
    });
    // A stream that `stream` has not made may have been cut off within a line.
    Bytes::from(format!("\n\ndata: {failure}\n\n"))
}

/// The event of one item, and whether it is the last one.
fn event<T: Serialize, E: Display>(item: Result<T, E>) -> (Event, bool) {
    let (event, failed) = match item {
        Ok(item) => (Event::default().json_data(item), false),
        Err(error) => (
            Event::default().json_data(failure::<E>(&error.to_string())),
            true,
        ),
    };
    event.map_or_else(
        |error| {
            let failure = failure::<serde_json::Error>(&error.to_string());
            (Event::default().data(failure.to_string()), true)
        },
        |event| (event, failed),
    )
}

fn failure<E>(error: &str) -> serde_json::Value {
    json!({
        "error": error,
        "error_type": short_name(type_name::<E>()),
        "message": MESSAGE,
    })
}

/// A type's name without its path and parameters.
fn short_name(name: &str) -> &str {
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}
