//! The application: puts the parts together, serves, shuts down.

mod listen;
mod routing;
mod serve;
mod signals;

use std::{fmt, net::SocketAddr, sync::Arc};

use serde::Serialize;

use crate::{
    AsyncTaskInfo, Error, PingStatus, TaskId, Tasks,
    config::Settings,
    ping::PingHandler,
    service::{Probe, ServiceConfig, UserRoutes},
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
    ///
    /// ```
    /// use taskpulse::{App, Error};
    ///
    /// let tasks = App::new().max_active(1).tasks();
    /// let first = tasks.begin("first").start()?;
    /// let second = tasks.begin("second").start();
    /// assert!(matches!(second, Err(Error::Capacity { max_active: 1 })));
    /// first.succeed();
    /// assert!(tasks.begin("second").start().is_ok());
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn max_active(self, tasks: usize) -> Self {
        self.tracker.registry().set_max_active(tasks);
        self
    }

    /// Whether an invocation in flight makes `/ping` say `HealthyBusy`, too. Off
    /// by default, as in the SDK. `TASKPULSE_BUSY_WHILE_INVOKING` wins over this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower::ServiceExt as _;
    /// use axum::{body::Body, http::Request};
    /// use taskpulse::{App, PingStatus, Tasks};
    ///
    /// async fn handler(tasks: Tasks) {
    ///     assert_eq!(tasks.get_current_ping_status(), PingStatus::HealthyBusy);
    /// }
    ///
    /// let app = App::new().entrypoint(handler).busy_while_invoking(true);
    /// # let asked = Request::post("/invocations").body(Body::empty())?;
    /// # assert_eq!(app.into_router().oneshot(asked).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn busy_while_invoking(mut self, busy: bool) -> Self {
        self.config.busy_while_invoking = busy;
        self
    }

    /// Runs `hook` once the app listens, on the runtime of the handlers: the
    /// place to start what works in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (told, started) = tokio::sync::oneshot::channel();
    /// let app = taskpulse::App::new().on_start(move |tasks| {
    ///     let warm_up = tasks.begin("warm_up").spawn(async { Ok::<_, String>(()) });
    ///     told.send(warm_up.is_ok()).unwrap_or_default();
    /// });
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let shutdown = async { assert!(started.await.is_ok_and(|warm| warm)) };
    /// app.serve(listener, shutdown).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_start(mut self, hook: impl FnOnce(Tasks) + Send + 'static) -> Self {
        self.on_start.push(Box::new(hook));
        self
    }

    /// A handle for tracking tasks anywhere, before the app runs as well.
    ///
    /// ```
    /// let app = taskpulse::App::new();
    /// let task = app.tasks().begin("warm_up").start()?;
    /// assert_eq!(app.get_async_task_info().active_count, 1);
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.tracker), None)
    }

    /// See [`Tasks::add_async_task`].
    ///
    /// ```
    /// use taskpulse::{App, PingStatus};
    ///
    /// let app = App::new();
    /// let id = app.add_async_task("report", serde_json::json!({ "pages": 12 }))?;
    /// assert_eq!(app.get_current_ping_status(), PingStatus::HealthyBusy);
    /// assert_eq!(app.get_async_task_info().active_count, 1);
    /// assert!(app.complete_async_task(id));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
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
