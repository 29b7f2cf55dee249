//! Which code answers which request: the part of [`App`] that takes handlers,
//! routes and layers.

use std::{convert::Infallible, future::Future, sync::Arc};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodRouter, Route},
};
use tower::{Layer, Service as TowerService};

use super::App;
use crate::service::{
    NoteRoute, RESERVED, Service, WebSocket, WebSocketOutcome, mounted_router, websocket_route,
};

impl App {
    /// Answers `POST /invocations` with an axum handler.
    ///
    /// [`Tasks`](crate::Tasks), [`Context`](crate::Context) and
    /// [`Payload`](crate::Payload) are extractors for it, next to axum's own;
    /// state of yours comes as an [`Extension`](axum::Extension), in a closure,
    /// or with a merged router that has its state. It may answer with whatever
    /// axum answers with; [`stream`](crate::stream()) makes server-sent events.
    /// An [`Error`](crate::Error) becomes the contract's JSON.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{Extension, body::Body, http::Request};
    /// use taskpulse::{App, Context, Error, Payload};
    ///
    /// async fn handler(
    ///     Extension(greeting): Extension<&'static str>,
    ///     context: Context,
    ///     Payload(name): Payload<String>,
    /// ) -> Result<String, Error> {
    ///     if name.is_empty() {
    ///         return Err(Error::invalid("the name is empty"));
    ///     }
    ///     let session = context.session_id().unwrap_or("no session");
    ///     Ok(format!("{greeting}, {name}, in {session}"))
    /// }
    ///
    /// let app = App::new().entrypoint(handler).layer(Extension("hello"));
    /// # let router = app.into_router();
    /// # let asked = Request::post("/invocations").body(Body::from("\"ann\""))?;
    /// # let answer = router.clone().oneshot(asked).await?;
    /// # let text = axum::body::to_bytes(answer.into_body(), 1_000).await?;
    /// # assert_eq!(text, "hello, ann, in no session");
    /// # let asked = Request::post("/invocations").body(Body::from("\"\""))?;
    /// # assert_eq!(router.oneshot(asked).await?.status(), 400);
    /// # Ok(())
    /// # }
    /// ```
    pub fn entrypoint<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        if self.routes.has_entrypoint {
            return self
                .faulty("App::entrypoint was called twice; one handler answers POST /invocations");
        }
        self.routes.entrypoint(handler);
        self
    }

    /// Answers `GET /ws` with a handler of WebSockets. Without one, upgrades are
    /// refused with 403.
    ///
    /// ```no_run
    /// use futures_util::{SinkExt, StreamExt};
    /// use taskpulse::{App, WebSocket};
    ///
    /// async fn echo(mut socket: WebSocket) -> Result<(), axum::Error> {
    ///     while let Some(message) = socket.next().await {
    ///         socket.send(message?).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> Result<(), taskpulse::Error> {
    /// App::new().websocket(echo).run()
    /// # }
    /// ```
    pub fn websocket<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(WebSocket) -> F + Clone + Send + Sync + 'static,
        F: Future<Output: WebSocketOutcome> + Send + 'static,
    {
        if self.routes.has_websocket {
            return self.faulty("App::websocket was called twice; one handler answers GET /ws");
        }
        self.routes.websocket(websocket_route(handler));
        self
    }

    /// Adds a route, as [`Router::route`] does.
    ///
    /// A path of the contract or of ours makes starting fail.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{body::Body, http::Request, routing::get};
    /// use taskpulse::App;
    ///
    /// let app = App::new().route("/hello", get(|| async { "hello" }));
    /// # let asked = Request::get("/hello").body(Body::empty())?;
    /// # assert_eq!(app.into_router().oneshot(asked).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Where axum does: a path that does not start with a slash, or that is
    /// there already.
    pub fn route(mut self, path: &str, methods: MethodRouter) -> Self {
        if RESERVED.contains(&path) || path.starts_with("/tasks/") {
            return self.faulty(format!(
                "the route {path} is taskpulse's own; choose another path"
            ));
        }
        let methods = methods.layer(NoteRoute);
        self.routes.change(|router| router.route(path, methods));
        self
    }

    /// Adds the routes of a router, as [`Router::merge`] does. Paths of ours
    /// among them are never reached.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{Router, body::Body, extract::State, http::Request, routing::get};
    /// use taskpulse::App;
    ///
    /// let greetings = Router::new()
    ///     .route("/hello", get(|State(text): State<&'static str>| async move { text }))
    ///     .with_state("hello");
    /// let app = App::new().merge(greetings);
    /// # let asked = Request::get("/hello").body(Body::empty())?;
    /// # assert_eq!(app.into_router().oneshot(asked).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Where axum does: if both have the same path, or a fallback.
    pub fn merge(mut self, other: Router) -> Self {
        let other = other.layer(NoteRoute);
        self.routes.change(|router| router.merge(other));
        self
    }

    /// Wraps the routes added so far, as [`Router::layer`] does.
    ///
    /// No layer ever wraps `/ping`, `/ready`, `/metrics` or the tasks API: those are
    /// answered where no user code runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{body::Body, http::Request, middleware::map_response, response::Response};
    /// use taskpulse::App;
    ///
    /// let served_by = map_response(async |answer: Response| ([("x-served-by", "me")], answer));
    /// let app = App::new().entrypoint(async || "done").layer(served_by);
    /// # let router = app.into_router();
    /// # let asked = Request::post("/invocations").body(Body::empty())?;
    /// # let answer = router.clone().oneshot(asked).await?;
    /// # assert_eq!(answer.headers()["x-served-by"], "me");
    /// # let asked = Request::get("/ping").body(Body::empty())?;
    /// # assert!(!router.oneshot(asked).await?.headers().contains_key("x-served-by"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: TowerService<Request, Response: IntoResponse, Error: Into<Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as TowerService<Request>>::Future: Send + 'static,
    {
        // Whatever the layer answers itself, its route is known.
        let layer = (NoteRoute, layer);
        self.routes.change(|router| router.layer(layer));
        self
    }

    /// Everything as one router, to be mounted into an app that exists already.
    ///
    /// `/ping` then shares that app's runtime: a handler that blocks every
    /// worker blocks `/ping`, too, which [`run`](Self::run) and
    /// [`serve`](Self::serve) rule out. Shutting down, time limits and the
    /// limit of open files are that app's matter as well. With a
    /// `App::store`, drop the router, its clones and every
    /// [`Tasks`](crate::Tasks) before the program ends: the last drop brings the last
    /// changes into the file.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use taskpulse::App;
    ///
    /// let existing = Router::new().route("/hello", get(|| async { "hello" }));
    /// let app = existing.merge(App::new().entrypoint(async || "done").into_router());
    /// # for path in ["/hello", "/ping", "/ready", "/tasks"] {
    /// #     let asked = Request::get(path).body(Body::empty())?;
    /// #     assert_eq!(app.clone().oneshot(asked).await?.status(), 200);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the app was put together wrongly: the cases in which `run` gives back
    /// [`Error::Usage`](crate::Error::Usage). If another process has the store. And if
    /// there can be no `/metrics`, which nothing that is known leads to.
    pub fn into_router(mut self) -> Router {
        if let Some(fault) = &self.fault {
            panic!("{fault}");
        }
        let telemetry = self.report().unwrap_or_else(|error| panic!("{error}"));
        let store = self.store.start_here(&self.tracker, telemetry.instance());
        let found = store.unwrap_or_else(|error| panic!("{error}"));
        found.announce(&self.tracker);
        let service = Arc::new(Service::new(self.tracker, self.config));
        mounted_router(self.routes, &service, self.probe)
    }
}
