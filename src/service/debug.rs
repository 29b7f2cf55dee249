//! The SDK's debug actions: `{"_agent_core_app_action": "..."}` to
//! `/invocations`, obeyed only where the operator has switched them on.

use std::{future::Future, pin::Pin};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest as _, Request},
    handler::Handler,
    response::{IntoResponse as _, Response},
};
use futures_util::future::Either;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{errors::Refusal, introduction::Introduction, payload, ping::PingBody};
use crate::{PingStatus, Tasks};

/// A handler that answers debug actions; everything else it hands on.
///
/// A handler and no middleware, which would cost every request a boxed service
/// and a boxed future.
#[derive(Clone, Debug)]
pub(super) struct Obedient<H>(pub(super) H);

impl<H, T> Handler<T, ()> for Obedient<H>
where
    H: Handler<T, ()>,
    T: 'static,
{
    type Future = Either<H::Future, Pin<Box<dyn Future<Output = Response> + Send>>>;

    fn call(self, request: Request, (): ()) -> Self::Future {
        match Introduction::of(request.extensions()) {
            Some(introduction) if introduction.service.config.debug_actions => {
                let tasks = introduction.tasks();
                Either::Right(Box::pin(obey_or_hand_on(tasks, request, self.0)))
            }
            Some(_) | None => Either::Left(self.0.call(request, ())),
        }
    }
}

async fn obey_or_hand_on<H, T>(tasks: Tasks, request: Request, handler: H) -> Response
where
    H: Handler<T, ()>,
{
    let (parts, body) = request.into_parts();
    let body = match Bytes::from_request(Request::new(body), &()).await {
        Ok(body) => body,
        Err(rejection) => return payload::unreadable(&rejection).into_response(),
    };
    match action(&body) {
        Some(action) => obey(&tasks, &action),
        None => {
            let request = Request::from_parts(parts, Body::from(body));
            handler.call(request, ()).await
        }
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
