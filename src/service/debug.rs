//! The SDK's debug actions: `{"_agent_core_app_action": "..."}` to
//! `/invocations`, obeyed only where the operator has switched them on.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::{FromRequest as _, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Service, errors::Refusal, payload, ping::PingBody};
use crate::{PingStatus, Tasks};

/// Answers a debug action; hands everything else on.
pub(super) async fn debug_actions(
    Extension(service): Extension<Arc<Service>>,
    tasks: Tasks,
    request: Request,
    next: Next,
) -> Response {
    if !service.config.debug_actions {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match Bytes::from_request(Request::new(body), &()).await {
        Ok(body) => body,
        Err(rejection) => return payload::unreadable(&rejection).into_response(),
    };
    match action(&body) {
        Some(action) => obey(&tasks, &action),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    }
}

/// The action, if the body is an object that has one which is not falsy.
fn action(body: &[u8]) -> Option<Value> {
    let mut payload: Value = payload::read(body).ok()?;
    let action = payload.get_mut("_agent_core_app_action")?.take();
    let falsy = match &action {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    (!falsy).then_some(action)
}

fn obey(tasks: &Tasks, action: &Value) -> Response {
    let forced = |status: PingStatus| {
        tasks.force_ping_status(status);
        Json(json!({ "forced_status": status })).into_response()
    };
    match action.as_str() {
        Some("ping_status") => {
            Json(PingBody::from(tasks.tracker().registry().ping.served())).into_response()
        }
        Some("job_status") => Json(tasks.get_async_task_info()).into_response(),
        Some("force_busy") => forced(PingStatus::HealthyBusy),
        Some("force_healthy") => forced(PingStatus::Healthy),
        Some("clear_forced_status") => {
            tasks.clear_forced_ping_status();
            Json(json!({ "forced_status": "Cleared" })).into_response()
        }
        Some(name) => unknown(name),
        None => unknown(&action.to_string()),
    }
}

fn unknown(action: &str) -> Response {
    Refusal::new(StatusCode::BAD_REQUEST, format!("Unknown action: {action}")).into_response()
}
