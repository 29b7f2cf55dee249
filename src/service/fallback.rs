//! Answers for paths and methods that nobody serves.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use hyper::{
    HeaderMap, StatusCode, Uri,
    header::{HeaderValue, LOCATION, UPGRADE},
};

use super::errors::Refusal;

/// No such path.
pub(super) async fn not_found(request: Request) -> Response {
    if request.uri().path() == "/invocations/" {
        return elsewhere("/invocations", request.uri());
    }
    if wants_websocket(request.headers()) {
        return no_websocket();
    }
    Refusal::not_found().into_response()
}

/// A path, but not this method. The router adds `Allow`.
pub(super) async fn method_not_allowed(request: Request) -> Response {
    if wants_websocket(request.headers()) {
        return no_websocket();
    }
    Refusal::method_not_allowed().into_response()
}

/// `/ws` without an upgrade, which the SDK does not know either.
pub(super) async fn plain_websocket() -> Response {
    Refusal::not_found()
        .details("GET /ws answers WebSocket upgrades only")
        .into_response()
}

/// A 307 to the path without its slash, query kept. The location is relative,
/// so that it holds behind any proxy.
pub(super) fn elsewhere(path: &'static str, uri: &Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}"));
    let location = format!("{path}{}", query.unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static(path));
    response.headers_mut().insert(LOCATION, location);
    response
}

pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// An upgrade where there is no handler for it.
pub(super) fn no_websocket() -> Response {
    Refusal::new(StatusCode::FORBIDDEN, "No WebSocket handler defined").into_response()
}
