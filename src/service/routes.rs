//! Whose request is it? Decided on the front, for every request.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{Router, body::Body};
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{ALLOW, HOST, HeaderValue},
    service,
};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::{
    Surface,
    body::FrontBody,
    connection::Activity,
    crossing::Crossing,
    errors::Refusal,
    fallback::elsewhere,
    ping::{LastAnswer, PingAnswer},
};

/// The routes of one listener.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    pub(super) surface: Surface,
    pub(super) crossing: Crossing,
    /// `/ready` and the tasks API.
    pub(super) admin: Router,
    pub(super) ping: PingAnswer,
}

/// The routes as one connection sees them.
#[derive(Debug)]
pub(super) struct ConnectionRoutes {
    routes: Routes,
    activity: Arc<Activity>,
    last: LastAnswer,
}

/// An answer, at once or later.
pub(super) enum Reply {
    Ready(Option<Response<FrontBody>>),
    Crossing(oneshot::Receiver<Response<FrontBody>>, Arc<Activity>),
    Ours(
        Pin<Box<dyn Future<Output = Response<FrontBody>> + Send>>,
        Arc<Activity>,
    ),
}

enum Target {
    Ping,
    Elsewhere(&'static str),
    Admin,
    User,
}

// === impl Routes ===

impl Routes {
    pub(super) fn of(&self, activity: &Arc<Activity>) -> ConnectionRoutes {
        ConnectionRoutes {
            routes: self.clone(),
            activity: Arc::clone(activity),
            last: LastAnswer::default(),
        }
    }

    fn target(&self, path: &str) -> Option<Target> {
        let admin = path == "/ready" || path == "/tasks" || path.starts_with("/tasks/");
        match path {
            _ if admin => self.surface.has_admin().then_some(Target::Admin),
            "/ping" => Some(Target::Ping),
            "/ping/" => Some(Target::Elsewhere("/ping")),
            _ => self.surface.has_contract().then_some(Target::User),
        }
    }

    fn ping(&self, method: &Method, last: &LastAnswer) -> Response<FrontBody> {
        if method == Method::GET || method == Method::HEAD {
            return self.ping.answer(last).map(FrontBody::whole);
        }
        let mut response = Refusal::method_not_allowed().on_front();
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    }
}

// === impl ConnectionRoutes ===

impl service::Service<Request<Incoming>> for ConnectionRoutes {
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = Reply;

    fn call(&self, request: Request<Incoming>) -> Reply {
        self.activity.arrived();
        let at_once = |response: Response<FrontBody>| {
            let activity = Arc::clone(&self.activity);
            Reply::Ready(Some(response.map(|body| body.telling(activity))))
        };
        if let Some(details) = wrong_host(&request) {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "Bad Request").details(details);
            return at_once(refusal.closing().on_front());
        }
        let routes = &self.routes;
        match routes.target(request.uri().path()) {
            Some(Target::Ping) => at_once(routes.ping(request.method(), &self.last)),
            Some(Target::Elsewhere(path)) => {
                at_once(elsewhere(path, request.uri()).map(FrontBody::ours))
            }
            Some(Target::Admin) => {
                let answer = routes.admin.clone().oneshot(request.map(Body::new));
                let ours = async {
                    answer
                        .await
                        .unwrap_or_else(|never| match never {})
                        .map(FrontBody::ours)
                };
                Reply::Ours(Box::pin(ours), Arc::clone(&self.activity))
            }
            Some(Target::User) if routes.crossing.service.tracker.is_draining() => {
                at_once(Refusal::draining().on_front())
            }
            Some(Target::User) => {
                Reply::Crossing(routes.crossing.send(request), Arc::clone(&self.activity))
            }
            None => at_once(Refusal::not_found().on_front()),
        }
    }
}

/// What is wrong with the request's `Host`, by RFC 9112, section 3.2.
fn wrong_host(request: &Request<Incoming>) -> Option<&'static str> {
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => Some("HTTP/1.1 asks for a Host header"),
        0 | 1 => None,
        _ => Some("there is more than one Host header"),
    }
}

// === impl Reply ===

impl Future for Reply {
    type Output = Result<Response<FrontBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, activity) = match &mut *self {
            Self::Ready(response) => {
                let response = response.take().expect("not polled after it was ready");
                return Poll::Ready(Ok(response));
            }
            Self::Crossing(answer, activity) => {
                let answer = ready!(Pin::new(answer).poll(cx));
                // Without an answer the other runtime has gone down.
                let response = answer.unwrap_or_else(|_gone| Refusal::draining().on_front());
                (response, activity)
            }
            Self::Ours(answer, activity) => (ready!(answer.as_mut().poll(cx)), activity),
        };
        let activity = Arc::clone(activity);
        Poll::Ready(Ok(response.map(|body| body.telling(activity))))
    }
}
