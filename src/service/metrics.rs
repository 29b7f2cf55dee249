//! `/metrics`: every metric, as Prometheus reads it.

use std::{
    io::{self, Write as _},
    sync::{Arc, Once},
};

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use flate2::{Compression, write::GzEncoder};
use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY},
};
use tokio::task::{JoinError, spawn_blocking};
use tracing::error;

use super::{Service, errors::Refusal};
use crate::{
    telemetry::{drop_quietly, quietly},
    track::panic_text,
};

/// What the `prometheus` crate writes. It has no other format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const PANICKED: &str = "collecting the metrics panicked";

/// `GET /metrics`. Whoever keeps something is asked on a thread that may take
/// its time; the front goes on answering pings.
pub(super) async fn metrics(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let compressed = takes_gzip(&headers);
    let written = spawn_blocking(move || {
        let reporter = service.tracker.reporter();
        let text = reporter.map_or_else(Vec::new, |reporter| reporter.telemetry.metrics_text());
        match compressed && !text.is_empty() {
            true => zip(&text).unwrap_or_default(),
            false => text,
        }
    });
    let text = written.await.map_err(not_written)?;
    if text.is_empty() {
        // The SDK gives nothing any more once a callback has panicked.
        return Err(panicked());
    }
    let mut response = Bytes::from(text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Why there is no page: somebody's callback has panicked, or the runtime goes
/// down.
fn not_written(error: JoinError) -> Refusal {
    static TOLD: Once = Once::new();
    let Ok(panic) = error.try_into_panic() else {
        return Refusal::draining();
    };
    let text = panic_text(&*panic);
    drop_quietly(panic);
    // Once: no scrape after it comes to more.
    TOLD.call_once(|| {
        quietly(|| error!(error = text, "{PANICKED}")).unwrap_or_default();
    });
    panicked()
}

fn panicked() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, PANICKED)
}

/// Writing to memory does not fail.
fn zip(text: &[u8]) -> io::Result<Vec<u8>> {
    // The fastest: it still makes a tenth of this text.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

/// Whether the client takes gzip, by RFC 9110, section 12.5.3.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
            named && !refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accepted: &'static str, gzip: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        assert_eq!(takes_gzip(&headers), gzip, "{accepted}");
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        check("gzip", true);
        check("deflate, GZIP;q=0.5", true);
        check("br, gzip;q=0", false);
        check("gzip; q=0.000", false);
        check("identity", false);
        check("", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
