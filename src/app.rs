//! The application: puts the parts together, serves, shuts down.

mod listen;
mod serve;
mod signals;

use std::{convert::Infallible, fmt, future::Future, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodRouter, Route},
};
use serde::Serialize;
use tower::{Layer, Service as TowerService};

use crate::{
    AsyncTaskInfo, Error, PingStatus, TaskId, Tasks,
    config::Settings,
    ping::PingHandler,
    service::{
        Probe, RESERVED, Service, ServiceConfig, UserRoutes, WebSocket, WebSocketOutcome,
        mounted_router, websocket_route,
    },
    task::Limits,
    track::Tracker,
};

/// Ended tasks that are remembered unless the operator says otherwise.
const HISTORY: usize = 1_000;

/// A service that answers the AgentCore contract and tracks its tasks.
///
/// ```no_run
/// use taskpulse::{App, Payload};
///
/// async fn handler(Payload(event): Payload<serde_json::Value>) -> String {
///     format!("got {event}")
/// }
///
/// fn main() -> Result<(), taskpulse::Error> {
///     App::new().entrypoint(handler).run()
/// }
/// ```
#[must_use = "an app does nothing before `run`, `serve` or `into_router`"]
pub struct App {
    routes: UserRoutes,
    probe: Option<Probe>,
    tracker: Arc<Tracker>,
    config: ServiceConfig,
    on_start: Vec<Box<dyn FnOnce(Tasks) + Send>>,
    /// What to print on a terminal after the address.
    greeting: Option<fn(SocketAddr) -> String>,
    /// The first mistake in how the app was put together.
    fault: Option<Error>,
}

// === impl App ===

impl App {
    /// An app with no handler yet.
    pub fn new() -> Self {
        let limits = Limits {
            history: HISTORY,
            max_active: Limits::NO_LIMIT,
        };
        Self {
            routes: UserRoutes::default(),
            probe: None,
            tracker: Arc::new(Tracker::new(limits)),
            config: ServiceConfig::default(),
            on_start: Vec::new(),
            greeting: None,
            fault: None,
        }
    }

    /// Answers `POST /invocations` with an axum handler.
    ///
    /// [`Tasks`], [`Context`](crate::Context) and
    /// [`Payload`](crate::Payload) are extractors for it, next to axum's own;
    /// state of yours comes as an [`Extension`](axum::Extension), in a closure,
    /// or with a merged router that has its state. It may answer with whatever
    /// axum answers with; [`stream`](crate::stream()) makes server-sent events.
    /// An [`Error`] becomes the contract's JSON.
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

    /// Lets a function decide the ping status: `async` or not, giving back a
    /// [`PingStatus`], its name, an `Option` or a `Result` of these.
    ///
    /// It is asked every second, off the path of `/ping`, and has a second to
    /// answer. Its last good answer counts for 10 s. Before the first one, after
    /// `None`, and beyond those 10 s, the active tasks decide; a forced status
    /// wins over all.
    ///
    /// ```
    /// use taskpulse::{App, PingStatus};
    ///
    /// # async fn queue_is_empty() -> bool { true }
    /// let app = App::new().ping(|| async {
    ///     (!queue_is_empty().await).then_some(PingStatus::HealthyBusy)
    /// });
    /// # drop(app);
    /// ```
    pub fn ping<Kind>(mut self, handler: impl PingHandler<Kind>) -> Self {
        self.probe = Some(Probe::new(handler));
        self
    }

    /// Refuses to begin a task while `tasks` are active: [`Error::Capacity`],
    /// and for a request whose handler hands that on, a 503 with `Retry-After`.
    ///
    /// No limit by default. `TASKPULSE_MAX_ACTIVE` wins over this.
    pub fn max_active(self, tasks: usize) -> Self {
        self.tracker.registry().set_max_active(tasks);
        self
    }

    /// Whether an invocation in flight makes `/ping` say `HealthyBusy`, too. Off
    /// by default, as in the SDK. `TASKPULSE_BUSY_WHILE_INVOKING` wins over this.
    pub fn busy_while_invoking(mut self, busy: bool) -> Self {
        self.config.busy_while_invoking = busy;
        self
    }

    /// Adds a route, as [`Router::route`] does.
    ///
    /// A path of the contract or of ours makes starting fail.
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
        self.routes.change(|router| router.route(path, methods));
        self
    }

    /// Adds the routes of a router, as [`Router::merge`] does. Paths of ours
    /// among them are never reached.
    ///
    /// # Panics
    ///
    /// Where axum does: if both have the same path, or a fallback.
    pub fn merge(mut self, other: Router) -> Self {
        self.routes.change(|router| router.merge(other));
        self
    }

    /// Wraps the routes added so far, as [`Router::layer`] does.
    ///
    /// No layer ever wraps `/ping`, `/ready` or the tasks API: those are
    /// answered where no user code runs.
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
        self.routes.change(|router| router.layer(layer));
        self
    }

    /// Runs `hook` once the app listens, on the runtime of the handlers: the
    /// place to start what works in the background.
    pub fn on_start(mut self, hook: impl FnOnce(Tasks) + Send + 'static) -> Self {
        self.on_start.push(Box::new(hook));
        self
    }

    /// A handle for tracking tasks anywhere, before the app runs as well.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.tracker), None)
    }

    /// See [`Tasks::add_async_task`].
    ///
    /// # Errors
    ///
    /// Those of [`Tasks::add_async_task`].
    #[track_caller]
    pub fn add_async_task(
        &self,
        name: impl Into<String>,
        metadata: impl Serialize,
    ) -> Result<TaskId, Error> {
        self.tasks().add_async_task(name, metadata)
    }

    /// See [`Tasks::complete_async_task`].
    pub fn complete_async_task(&self, id: TaskId) -> bool {
        self.tasks().complete_async_task(id)
    }

    /// See [`Tasks::get_async_task_info`].
    #[must_use]
    pub fn get_async_task_info(&self) -> AsyncTaskInfo {
        self.tasks().get_async_task_info()
    }

    /// See [`Tasks::get_current_ping_status`].
    #[must_use]
    pub fn get_current_ping_status(&self) -> PingStatus {
        self.tasks().get_current_ping_status()
    }

    /// Everything as one router, to be mounted into an app that exists already.
    ///
    /// `/ping` then shares that app's runtime: a handler that blocks every
    /// worker blocks `/ping`, too, which [`run`](Self::run) and
    /// [`serve`](Self::serve) rule out. Shutting down, time limits and the
    /// limit of open files are that app's matter as well.
    ///
    /// # Panics
    ///
    /// If the app was put together wrongly: the cases in which `run` gives back
    /// [`Error::Usage`].
    pub fn into_router(self) -> Router {
        if let Some(fault) = &self.fault {
            panic!("{fault}");
        }
        let service = Arc::new(Service::new(self.tracker, self.config));
        mounted_router(self.routes, &service, self.probe)
    }

    /// Prints on a terminal, below the address, what can be done there.
    #[cfg(feature = "cli")]
    pub(crate) fn greeting(mut self, greeting: fn(SocketAddr) -> String) -> Self {
        self.greeting = Some(greeting);
        self
    }

    fn faulty(mut self, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        self.fault.get_or_insert(Error::usage(message));
        self
    }

    /// Takes over what the operator has set.
    fn configure(&mut self, settings: &Settings) {
        settings.apply(&mut self.config);
        if let Some(tasks) = settings.max_active {
            self.tracker.registry().set_max_active(tasks);
        }
        if let Some(tasks) = settings.history {
            self.tracker.registry().set_history(tasks);
        }
        if let Some(redaction) = &settings.redaction {
            self.tracker.redact(redaction.clone());
        }
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
