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
use crate::task::Health;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    draining: bool,
    /// Where tasks are kept.
    store: &'static str,
    /// What is the matter with the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_error: Option<String>,
}

/// 200 while new work is taken, 503 once draining has begun. A store that fails is no
/// reason to send work elsewhere: tasks are kept in memory.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Response {
    let draining = service.tracker.is_draining();
    let status = if draining {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let store = service.tracker.journal();
    let ready = Ready {
        ready: !draining,
        draining,
        store: match &store {
            None => "memory",
            Some(Health { fault: None, .. }) => "sqlite",
            Some(_) => "failed",
        },
        store_error: store.and_then(|store| Some(store.fault?.to_string())),
    };
    (status, Json(ready)).into_response()
}
