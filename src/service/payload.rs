//! The JSON extractor of the contract.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    response::{IntoResponse as _, Response},
};
use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::errors::Refusal;

/// The request's body as JSON, whatever its Content-Type; an extractor.
///
/// A body that is no UTF-8 (with or without a byte order mark) or no JSON, or
/// that does not fit `T`, is answered with a 400 in the contract's shape, which
/// names the line, the column and the field.
///
/// ```
/// use serde::Deserialize;
/// use taskpulse::Payload;
///
/// #[derive(Deserialize)]
/// struct Order { pages: u32 }
///
/// async fn handler(Payload(order): Payload<Order>) -> String {
///     format!("{} pages", order.pages)
/// }
/// # let _ = axum::routing::post(handler) as axum::routing::MethodRouter;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<T>(pub T);

/// The UTF-8 encoding of U+FEFF, which some editors put first.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Payload<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| unreadable(&rejection).into_response())?;
        read(&body).map(Self).map_err(Refusal::into_response)
    }
}

/// Too large, or the client has left: only where the app is mounted into
/// another one, whose server hands bodies over while they arrive.
pub(super) fn unreadable(rejection: &BytesRejection) -> Refusal {
    let status = rejection.status();
    let error = status.canonical_reason().unwrap_or("Bad Request");
    Refusal::new(status, error)
        .details(rejection.body_text())
        .closing()
}

/// Reads JSON as the contract does.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // No JSON in UTF-8 has a NUL here; in UTF-16 and UTF-32 one of the two is.
    if text.iter().take(2).any(|byte| *byte == 0) {
        let details = "the body is UTF-16 or UTF-32, not UTF-8";
        return Err(refuse("Invalid encoding", details));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        refuse(
            "Invalid encoding",
            &format!("the body is not UTF-8 (byte {at})"),
        )
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refuse_json(&error.into_inner(), &path)
    })?;
    reader.end().map_err(|error| refuse_json(&error, "."))?;
    Ok(value)
}

fn refuse_json(error: &serde_json::Error, path: &str) -> Refusal {
    match error.classify() {
        Category::Data if path == "." => refuse("Invalid payload", &error.to_string()),
        Category::Data => refuse("Invalid payload", &format!("{path}: {error}")),
        Category::Io | Category::Syntax | Category::Eof => {
            refuse("Invalid JSON", &error.to_string())
        }
    }
}

fn refuse(error: &str, details: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error).details(details)
}
