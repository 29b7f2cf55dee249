//! The routers: the user's routes, ours, and both in one.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    handler::Handler,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
};
use futures_util::FutureExt as _;
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
    flying::{Flying, is_whole, stream_span},
    in_flight::Template,
    introduction::{Introduction, begin_span},
    keep_asking,
    metrics::metrics,
    ping::{LastAnswer, PingAnswer},
    ready::ready,
    routes::is_told_of,
    tasks,
    upload::too_large,
    visit::Visit,
};
use crate::telemetry::request::Head;

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

/// `/ready`, `/metrics` and the tasks API.
pub(crate) fn admin_router(service: &Arc<Service>) -> Router {
    admin_routes(service)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

fn admin_routes(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::one))
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
    let ours = admin_routes(service).route("/ping", ping).route(
        "/ping/",
        any(|request: Request| async move { elsewhere("/ping", request.uri()) }),
    );
    let ours = ours
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(service), count));
    user_router(routes)
        .layer(from_fn_with_state(Arc::clone(service), check_in))
        .merge(ours)
}

/// What the front does for a request that it answers by itself.
async fn count(
    axum::extract::State(service): axum::extract::State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let visit = Visit::begin(&service.tracker, request.method(), request.version());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("", MatchedPath::as_str);
    let span = is_told_of(route).then(|| begin_span(&service, head(&service, &request)).0);
    let response = next.run(request).await;
    visit.answered(response.status(), route);
    if let Some(span) = span {
        let answered = service.tracker.registry().clock.wall();
        span.finish_at(response.status(), route, answered);
    }
    response
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

/// What the front does for a request that comes through it: counts it, opens its
/// span and that of its stream, and refuses it while draining or where it
/// announces too large a body.
async fn check_in(
    axum::extract::State(service): axum::extract::State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let visit = Visit::begin(&service.tracker, request.method(), request.version());
    if let Some(refusal) = refusal(&service, &request) {
        return refused(&service, &request, visit, refusal);
    }
    service.tracker.runs_here();
    let flight = service.take_off(request.uri().path());
    let contract = Template::of_contract(request.uri().path());
    let body_limit = DefaultBodyLimit::max(service.config.body_limit);
    let span = Introduction::give(
        &mut request,
        Arc::clone(&service),
        flight.clone(),
        body_limit,
    );
    let context = span.cx().clone();
    // Extractors drop the request, and what it carries, before the handler runs.
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    // The server is the program's own, and so is what it makes of a panic.
    let handled = span.run(handled).await;
    let mut response = handled.unwrap_or_else(|panic| resume_unwind(panic));
    let template = contract.or_matched(&flight);
    let told = response.extensions_mut().remove();
    let stream = (!is_whole(response.body()))
        .then(|| stream_span(&service, &context, response.headers(), told));
    span.answer(&mut response, template.as_str());
    visit.answered(response.status(), template.as_str());
    response.map(|body| Body::new(Flying::new(body, stream, flight)))
}

/// Why a request is not let through, if it is not.
fn refusal(service: &Service, request: &Request) -> Option<Refusal> {
    let limit = service.config.body_limit;
    if service.tracker.is_draining() {
        return Some(Refusal::draining());
    }
    (request.body().size_hint().lower() > limit as u64).then(|| too_large(limit))
}

/// The answer to a request that is not let through.
fn refused(service: &Service, request: &Request, visit: Visit, refusal: Refusal) -> Response {
    let (span, _origin) = begin_span(service, head(service, request));
    let route = Template::of_contract(request.uri().path());
    let mut response = refusal.into_response();
    span.answer(&mut response, route.as_str());
    visit.answered(response.status(), route.as_str());
    response
}

/// What the span of a request that has arrived now says of it.
fn head<'a>(service: &Service, request: &'a Request) -> Head<'a> {
    Head {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
        arrived: service.tracker.registry().clock.wall(),
    }
}
