//! What a request says about itself.

use std::{fmt, sync::Arc};

use axum::extract::FromRequestParts;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};
use uuid::Uuid;

use super::{headers::forwardable, introduction::Introduction};
use crate::{Tasks, task::Origin};

/// The AgentCore context of a request; an extractor.
///
/// ```
/// use taskpulse::Context;
///
/// async fn handler(context: Context) -> String {
///     format!("{} in session {:?}", context.request_id(), context.session_id())
/// }
/// # let _ = axum::routing::post(handler) as axum::routing::MethodRouter;
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) origin: Arc<Origin>,
    headers: Arc<HeaderMap>,
    workload_token: Option<Secret>,
    callback_url: Option<Box<str>>,
}

/// A text that is not printed by `Debug` or `Display`.
///
/// ```
/// use taskpulse::Context;
///
/// async fn handler(context: Context) -> String {
///     // Prints `[redacted]`, if there is one.
///     tracing::info!("token: {:?}", context.workload_token());
///     match context.workload_token() {
///         Some(token) => format!("{} bytes", token.expose().len()),
///         None => "none".to_owned(),
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower::ServiceExt as _;
/// # use axum::{body::Body, http::Request};
/// # let app = taskpulse::App::new().entrypoint(handler).into_router();
/// # let asked = Request::post("/invocations").header("WorkloadAccessToken", "hunter2");
/// # let answer = app.oneshot(asked.body(Body::empty())?).await?;
/// # assert_eq!(axum::body::to_bytes(answer.into_body(), 99).await?, "7 bytes");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

pub(crate) const SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
const REQUEST_ID: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-request-id");
const IDENTITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-bedrock-agentcore-identity-wat");
const WORKLOAD_TOKEN: HeaderName = HeaderName::from_static("workloadaccesstoken");
const CALLBACK_URL: HeaderName = HeaderName::from_static("oauth2callbackurl");

/// Bytes of a session or request id at most.
///
/// Source: the AgentCore data plane's API model, 33 to 256 characters.
const MAX_ID: usize = 256;

// === impl Context ===

impl Context {
    /// Reads the headers of a request that was begun as `origin`.
    fn of(origin: &Arc<Origin>, headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(Box::<str>::from);
        let token = text(&IDENTITY_TOKEN).or_else(|| text(&WORKLOAD_TOKEN));
        Self {
            origin: Arc::clone(origin),
            headers: Arc::new(forwardable(headers)),
            workload_token: token.map(Secret),
            callback_url: text(&CALLBACK_URL),
        }
    }

    /// The session, where the caller named one.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.origin.session_id.as_deref()
    }

    /// The caller's request id, else a UUIDv4 of ours.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.origin.request_id
    }

    /// The headers that user code may pass on: all but those that belong to
    /// this hop or to the platform. `Authorization` and the platform's
    /// `...-Runtime-Custom-*` are among them.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The workload access token.
    #[must_use]
    pub const fn workload_token(&self) -> Option<&Secret> {
        self.workload_token.as_ref()
    }

    /// Where an OAuth provider sends the user back to.
    #[must_use]
    pub fn oauth2_callback_url(&self) -> Option<&str> {
        self.callback_url.as_deref()
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = crate::Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, crate::Error> {
        let introduction = Introduction::of(&parts.extensions);
        introduction
            .map(|introduction| Self::of(&introduction.origin, &parts.headers))
            .ok_or_else(|| outside("Context"))
    }
}

// === impl Tasks ===

impl<S: Sync> FromRequestParts<S> for Tasks {
    type Rejection = crate::Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, crate::Error> {
        Introduction::of(&parts.extensions)
            .map(Introduction::tasks)
            .ok_or_else(|| outside("Tasks"))
    }
}

/// The ids that a request's headers name. Those that are no visible ASCII text
/// of at most 256 bytes are taken as absent.
pub(super) fn origin(headers: &HeaderMap, baggage: Box<[(Box<str>, Box<str>)]>) -> Origin {
    let session_id = id(headers.get(&SESSION_ID));
    // A session in the baggage counts where there is no header.
    let baggage = baggage
        .into_iter()
        .filter(|(key, _)| session_id.is_none() || **key != *"session.id")
        .collect();
    Origin {
        baggage,
        session_id,
        request_id: id(headers.get(&REQUEST_ID))
            .unwrap_or_else(|| Uuid::new_v4().to_string().into()),
    }
}

/// An id that can be shown anywhere: visible ASCII, not too long.
fn id(value: Option<&HeaderValue>) -> Option<Box<str>> {
    let text = value?.to_str().ok()?;
    let fits =
        (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.into())
}

fn outside(extractor: &str) -> crate::Error {
    crate::Error::failed(format_args!(
        "{extractor} can be extracted in routes of a taskpulse App only"
    ))
}

// === impl Secret ===

impl Secret {
    /// The text. Whoever reads it keeps it out of logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
