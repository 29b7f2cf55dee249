//! The one place where a failure becomes a status code and a body.

use std::fmt::Display;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde::Serialize;

use super::body::FrontBody;
use crate::Error;

/// `application/json`, as the contract has it: without a charset.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Seconds after which a client is told to try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error that we answer: `{"error": "...", "details": "..."?}`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    details: Option<String>,
    /// Whether the connection ends with this answer.
    closes: bool,
}

#[derive(Serialize)]
struct Wire<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a str>,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            details: None,
            closes: false,
        }
    }

    pub(super) fn details(mut self, details: impl Display) -> Self {
        self.details = Some(details.to_string());
        self
    }

    pub(super) const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// What was asked for is not there.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }

    /// The process shuts down.
    pub(super) fn draining() -> Self {
        Self::from(&Error::Draining).closing()
    }

    /// User code panicked; its message is in the log, not in the answer.
    pub(super) fn panicked() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked")
    }

    /// As a response of the front.
    pub(super) fn on_front(self) -> Response<FrontBody> {
        self.response().map(FrontBody::whole)
    }

    fn response(self) -> Response<Bytes> {
        let wire = Wire {
            error: &self.error,
            details: self.details.as_deref(),
        };
        let body = serde_json::to_vec(&wire).expect("two strings are JSON");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.response().map(Body::from)
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let status = match error {
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::Capacity { .. } | Error::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Error::Failed(_)
            | Error::NoRuntime { .. }
            | Error::Thread { .. }
            | Error::InsideRuntime
            | Error::Usage(_)
            | Error::AddressInUse { .. }
            | Error::Listen { .. }
            | Error::CutShort { .. }
            | Error::StoreInUse(_)
            | Error::Start(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

// === impl Error ===

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Refusal::from(&self).into_response()
    }
}
