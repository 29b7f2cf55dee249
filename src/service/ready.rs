//! `/ready`: whether to send new work here.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use hyper::StatusCode;
use serde::Serialize;

use super::Service;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    draining: bool,
    store: &'static str,
}

/// 200 while new work is taken, 503 once draining has begun.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Response {
    let draining = service.tracker.is_draining();
    let status = if draining {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let ready = Ready {
        ready: !draining,
        draining,
        store: "memory",
    };
    (status, Json(ready)).into_response()
}
