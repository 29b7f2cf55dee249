//! The routers: the user's routes, ours, and both in one.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
};
use http_body::Body as _;
use hyper::StatusCode;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    Payload, Probe, Service,
    context::Context,
    debug::debug_actions,
    errors::Refusal,
    fallback::{
        elsewhere, method_not_allowed, no_websocket, not_found, plain_websocket, wants_websocket,
    },
    in_flight::Flying,
    keep_asking,
    ping::PingAnswer,
    ready::ready,
    tasks,
    upload::too_large,
};
use crate::Tasks;

/// Paths that are ours, now or announced: a user's route there is refused.
pub(crate) const RESERVED: [&str; 10] = [
    "/",
    "/ping",
    "/invocations",
    "/ws",
    "/metrics",
    "/ready",
    "/tasks",
    "/console",
    "/openapi.json",
    "/tasks/events",
];

/// What user code serves.
#[derive(Debug, Default)]
pub(crate) struct UserRoutes {
    pub(crate) router: Router,
    pub(crate) has_entrypoint: bool,
    pub(crate) has_websocket: bool,
}

// === impl UserRoutes ===

impl UserRoutes {
    /// `POST /invocations`.
    pub(crate) fn entrypoint<H, T>(&mut self, handler: H)
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.has_entrypoint = true;
        self.change(|router| router.route("/invocations", invocations(handler)));
    }

    /// `GET /ws`.
    pub(crate) fn websocket(&mut self, route: MethodRouter) {
        self.has_websocket = true;
        self.change(|router| router.route("/ws", route));
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(Router) -> Router) {
        self.router = change(std::mem::take(&mut self.router));
    }
}

/// The user's routes with all they may count on: their extractors, the
/// contract's errors. The front holds the body limit, and axum's own is off.
pub(crate) fn user_router(routes: UserRoutes, service: &Arc<Service>) -> Router {
    // The front has taken the body in, and counted it.
    introduced(routes, service, DefaultBodyLimit::disable())
}

fn introduced(routes: UserRoutes, service: &Arc<Service>, body_limit: DefaultBodyLimit) -> Router {
    let mut router = routes.router;
    if !routes.has_entrypoint {
        router = router.route("/invocations", invocations(no_entrypoint));
    }
    if !routes.has_websocket {
        router = router.route("/ws", any(no_websocket_route));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(body_limit)
        .layer(from_fn_with_state(Arc::clone(service), introduce))
        .layer(Extension(Arc::clone(service)))
}

/// `/ready` and the tasks API.
pub(crate) fn admin_router(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/ready", get(ready))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::one))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(service))
}

/// Everything in one router, for an app that exists already. `/ping` shares
/// that app's runtime.
pub(crate) fn mounted_router(
    routes: UserRoutes,
    service: &Arc<Service>,
    probe: Option<Probe>,
) -> Router {
    let answer = PingAnswer::new(Arc::clone(&service.tracker));
    let asking = Arc::new(std::sync::Once::new());
    let tracker = Arc::clone(&service.tracker);
    let ping = get(move || {
        asking.call_once(|| start_asking(probe.as_ref(), &tracker));
        std::future::ready(answer.answer().map(axum::body::Body::from))
    });
    let ours = Router::new()
        .route("/ready", get(ready))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::one))
        .with_state(Arc::clone(service))
        .route("/ping", ping)
        .route(
            "/ping/",
            any(|request: Request| async move { elsewhere("/ping", request.uri()) }),
        );
    let body_limit = DefaultBodyLimit::max(service.config.body_limit);
    introduced(routes, service, body_limit)
        .layer(from_fn_with_state(Arc::clone(service), check_in))
        .merge(ours.method_not_allowed_fallback(method_not_allowed))
}

fn start_asking(probe: Option<&Probe>, tracker: &Arc<crate::track::Tracker>) {
    if let Some(probe) = probe.cloned() {
        let work = Handle::current();
        #[expect(
            clippy::disallowed_methods,
            reason = "asks as long as the app's runtime lives"
        )]
        tokio::spawn(keep_asking(probe, Arc::clone(tracker), work));
    }
}

fn invocations<H, T>(handler: H) -> MethodRouter
where
    H: Handler<T, ()>,
    T: 'static,
{
    post(handler).layer(from_fn(debug_actions))
}

async fn no_entrypoint(Payload(_): Payload<Value>) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "No entrypoint defined")
}

async fn no_websocket_route(request: Request) -> Response {
    if wants_websocket(request.headers()) {
        return no_websocket();
    }
    plain_websocket().await
}

/// Gives the request the context and the handle that extractors hand out.
async fn introduce(
    axum::extract::State(service): axum::extract::State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = Context::of(request.headers());
    let tasks = Tasks::new(
        Arc::clone(&service.tracker),
        Some(Arc::clone(&context.origin)),
    );
    request.extensions_mut().insert(context);
    request.extensions_mut().insert(tasks);
    next.run(request).await
}

/// What the front does for a request that comes through it: counts it, and
/// refuses it while draining or where it announces too large a body.
async fn check_in(
    axum::extract::State(service): axum::extract::State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    if service.tracker.is_draining() {
        return Refusal::draining().into_response();
    }
    let limit = service.config.body_limit;
    if request.body().size_hint().lower() > limit as u64 {
        return too_large(limit).into_response();
    }
    service.tracker.runs_here();
    let flight = service.take_off(request.uri().path());
    // Extractors drop the request, and what it carries, before the handler runs.
    request.extensions_mut().insert(flight.clone());
    let response = next.run(request).await;
    response.map(|body| Body::new(Flying::new(body, flight)))
}
