//! The routers: the user's routes, ours, and both in one.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
};
use http_body::Body as _;
use hyper::StatusCode;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    Payload, Probe, Service,
    debug::Obedient,
    errors::Refusal,
    fallback::{
        elsewhere, method_not_allowed, no_websocket, not_found, plain_websocket, wants_websocket,
    },
    in_flight::Flying,
    introduction::Introduction,
    keep_asking,
    ping::{LastAnswer, PingAnswer},
    ready::ready,
    tasks,
    upload::too_large,
};

/// Paths that are ours, now or announced: a user's route there is refused.
pub(crate) const RESERVED: [&str; 11] = [
    "/",
    "/ping",
    "/ping/",
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

/// The user's routes, and the contract's errors for what they do not answer.
/// Requests must be introduced before they come here ([`Introduction`]).
pub(crate) fn user_router(routes: UserRoutes) -> Router {
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
        std::future::ready(
            answer
                .answer(&LastAnswer::default())
                .map(axum::body::Body::from),
        )
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
    user_router(routes)
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
    post(Obedient(handler))
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
    let body_limit = DefaultBodyLimit::max(limit);
    Introduction::give(&mut request, service, flight.clone(), body_limit);
    // Extractors drop the request, and what it carries, before the handler runs.
    let response = next.run(request).await;
    response.map(|body| Body::new(Flying::new(body, flight)))
}
