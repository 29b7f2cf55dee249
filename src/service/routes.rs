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
    account::Account,
    body::FrontBody,
    connection::Activity,
    crossing::Crossing,
    errors::Refusal,
    fallback::elsewhere,
    in_flight::Template,
    ping::{LastAnswer, PingAnswer},
    visit::Visit,
};

/// The routes of one listener.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    pub(super) surface: Surface,
    pub(super) crossing: Crossing,
    /// `/ready`, `/metrics` and the tasks API.
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
pub(super) struct Reply {
    coming: Coming,
    activity: Arc<Activity>,
    /// Gone once the answer is there.
    visit: Option<Visit>,
    /// What the span of a request that never crosses over is made of.
    account: Option<Account>,
}

enum Coming {
    Ready(Option<Response<FrontBody>>),
    Crossing(oneshot::Receiver<Response<FrontBody>>),
    Ours(Pin<Box<dyn Future<Output = Response<FrontBody>> + Send>>),
}

enum Target {
    Ping,
    Elsewhere(&'static str),
    /// By its template.
    Admin(&'static str),
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
        let admin = match path {
            "/ready" => Some("/ready"),
            "/metrics" => Some("/metrics"),
            "/tasks" => Some("/tasks"),
            _ => path.starts_with("/tasks/").then_some("/tasks/{id}"),
        };
        match path {
            _ if admin.is_some() && !self.surface.has_admin() => None,
            "/ping" => Some(Target::Ping),
            "/ping/" => Some(Target::Elsewhere("/ping")),
            _ => admin
                .map(Target::Admin)
                .or_else(|| self.surface.has_contract().then_some(Target::User)),
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
        let tracker = &self.routes.crossing.service.tracker;
        let visit = Visit::begin(tracker, request.method(), request.version());
        let (coming, account) = self.answer(request);
        Reply {
            coming,
            activity: Arc::clone(&self.activity),
            visit: Some(visit),
            account,
        }
    }
}

impl ConnectionRoutes {
    fn answer(&self, request: Request<Incoming>) -> (Coming, Option<Account>) {
        let at_once = |response| Coming::Ready(Some(response));
        if let Some(details) = wrong_host(&request) {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "Bad Request").details(details);
            return (at_once(refusal.closing().on_front()), None);
        }
        let routes = &self.routes;
        let crossing = &routes.crossing;
        match routes.target(request.uri().path()) {
            Some(Target::Ping) => {
                let answer = routes.ping(request.method(), &self.last);
                let route = Template::Ours("/ping");
                (at_once(answer.map(|body| body.routed(route))), None)
            }
            Some(Target::Elsewhere(path)) => {
                let there = elsewhere(path, request.uri()).map(FrontBody::ours);
                (at_once(there), None)
            }
            Some(Target::Admin(route)) => {
                let account = is_told_of(route).then(|| Account::of(crossing, &request));
                let answer = routes.admin.clone().oneshot(request.map(Body::new));
                let ours = async move {
                    answer
                        .await
                        .unwrap_or_else(|never| match never {})
                        .map(|body| FrontBody::ours(body).routed(Template::Ours(route)))
                };
                (Coming::Ours(Box::pin(ours)), account)
            }
            Some(Target::User) if crossing.service.tracker.is_draining() => {
                let account = Account::of(crossing, &request);
                let route = Template::of_contract(request.uri().path());
                let refusal = Refusal::draining().on_front();
                (
                    at_once(refusal.map(|body| body.routed(route))),
                    Some(account),
                )
            }
            Some(Target::User) => (Coming::Crossing(crossing.send(request)), None),
            None => (at_once(Refusal::not_found().on_front()), None),
        }
    }
}

/// Whether requests for this route of ours have spans. Those that are asked for
/// every few seconds would hide all others.
pub(super) fn is_told_of(route: &str) -> bool {
    route.starts_with("/tasks")
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
        let mut response = match &mut self.coming {
            Coming::Ready(response) => response.take().expect("not polled after it was ready"),
            Coming::Crossing(answer) => {
                let answer = ready!(Pin::new(answer).poll(cx));
                // Without an answer the other runtime has gone down.
                answer.unwrap_or_else(|_gone| Refusal::draining().on_front())
            }
            Coming::Ours(answer) => ready!(answer.as_mut().poll(cx)),
        };
        let status = response.status();
        let route = response.body_mut().take_route();
        if let Some(visit) = self.visit.take() {
            visit.answered(status, route.as_str());
        }
        if let Some(account) = self.account.take() {
            account.give(status, route);
        }
        let activity = Arc::clone(&self.activity);
        Poll::Ready(Ok(response.map(|body| body.telling(activity))))
    }
}
