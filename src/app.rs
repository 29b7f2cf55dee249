//! The application: puts the parts together, serves, shuts down.

mod calls;
mod checkpoints;
mod end;
mod limits;
mod links;
mod listen;
mod routing;
mod serve;
pub(crate) mod signals;
mod store;

use std::{fmt, net::SocketAddr, sync::Arc};

use self::store::StorePlan;
use crate::{
    Error, Tasks, TraceRelation,
    config::Settings,
    ping::PingHandler,
    service::{Probe, ServiceConfig, UserRoutes},
    task::Limits,
    telemetry::{Edges, PLATFORM_SECONDS, Telemetry},
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
    /// What to report through; none where the process's own, if it has one, or
    /// one for `/metrics` alone is good enough.
    telemetry: Option<Telemetry>,
    edges: Edges,
    store: StorePlan,
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
            telemetry: None,
            edges: Edges::new(),
            store: StorePlan::default(),
            on_start: Vec::new(),
            greeting: None,
            fault: None,
        }
    }

    /// Lets a function decide the ping status: `async` or not, giving back a
    /// [`PingStatus`](crate::PingStatus), its name, an `Option` or a `Result` of these.
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

    /// Makes the names of tasks known before the first one begins: their metrics
    /// then start at 0, and an alert on the first failure ever sees it.
    ///
    /// The first 50 names are told apart in metrics, whether they are named
    /// here or not; all others share the label `_OTHER`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use axum::{body::{Body, to_bytes}, http::Request};
    /// # use tower::ServiceExt as _;
    /// let app = taskpulse::App::new().task_names(["import", "report"]);
    /// # let asked = Request::get("/metrics").body(Body::empty())?;
    /// # let answer = app.into_router().oneshot(asked).await?;
    /// # let text = String::from_utf8(to_bytes(answer.into_body(), 1_000_000).await?.to_vec())?;
    /// # for line in [
    /// #     r#"taskpulse_task_active{task_name="import"} 0"#,
    /// #     r#"taskpulse_task_transitions_total{task_name="report",task_state="failed"} 0"#,
    /// # ] {
    /// #     assert!(text.contains(line), "{line} in {text}");
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_names<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self.tracker.registry().declare(name.as_ref());
        }
        self
    }

    /// Sets the edges, in seconds, of the histogram of durations of tasks with
    /// this name. 900 and 28,800, the platform's limits, are always among them.
    ///
    /// Edges that do not ascend from above 0 make starting fail.
    ///
    /// ```
    /// let app = taskpulse::App::new().duration_buckets("lookup", [0.001, 0.01, 0.1]);
    /// # drop(app);
    /// ```
    pub fn duration_buckets(
        mut self,
        name: impl Into<String>,
        edges: impl IntoIterator<Item = f64>,
    ) -> Self {
        let name = name.into();
        let mut edges: Vec<f64> = edges.into_iter().collect();
        let ascend = edges.windows(2).all(|pair| pair[0] < pair[1]);
        let sound = edges.iter().all(|edge| edge.is_finite() && *edge > 0.0);
        if !ascend || !sound {
            return self.faulty(format!(
                "the duration buckets of `{name}` are {edges:?}; they must be seconds above 0, each greater than the one before"
            ));
        }
        edges.extend(PLATFORM_SECONDS);
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        self.edges.insert(name.into(), edges);
        self
    }

    /// Says how traces of tasks stand to those of the requests that begin them:
    /// children by default.
    ///
    /// ```
    /// use taskpulse::{App, TraceRelation};
    ///
    /// let app = App::new().trace_relation(TraceRelation::Link);
    /// # drop(app);
    /// ```
    pub fn trace_relation(self, relation: TraceRelation) -> Self {
        self.tracker.relate(relation);
        self
    }

    /// Reports through this telemetry, whatever the process has besides.
    ///
    /// ```
    /// use taskpulse::{App, telemetry};
    ///
    /// # fn main() -> Result<(), taskpulse::Error> {
    /// let telemetry = telemetry::start(telemetry::Config::default())?;
    /// let app = App::new().telemetry(telemetry.clone());
    /// # drop(app);
    /// # telemetry.shutdown(std::time::Duration::from_secs(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
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
        Tasks::new(Arc::clone(&self.tracker))
    }

    /// Prints on a terminal, below the address, what can be done there.
    #[cfg(feature = "cli")]
    pub(crate) fn greeting(mut self, greeting: fn(SocketAddr) -> String) -> Self {
        self.greeting = Some(greeting);
        self
    }

    /// Reports from now on: through the telemetry it was given, else through the
    /// process's, else to `/metrics` alone.
    fn report(&mut self) -> Result<Telemetry, Error> {
        let telemetry = match self.telemetry.take().or_else(Telemetry::current) {
            Some(telemetry) => telemetry,
            None => Telemetry::local()?,
        };
        self.tracker.report_to(telemetry.clone(), &self.edges);
        Ok(telemetry)
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
        if let Some(age) = settings.max_age {
            self.tracker.set_max_age(age);
        }
        if let Some(first) = settings.checkpoints {
            self.tracker.set_checkpoints(first);
        }
        self.tracker.heed(settings.platform.heeded());
        self.keep(&settings.store);
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
