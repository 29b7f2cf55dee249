//! The handle that user code tracks tasks with.

use std::{future::Future, panic::Location, sync::Arc};

use opentelemetry::{Context as OtelContext, trace::TraceContextExt as _};
use serde::Serialize;

use super::{
    AsyncTaskInfo, CurrentTask, Instrumented, Live, TaskBuilder, TaskLimits, Tracker,
    asking::is_asked,
    metadata::{Draft, check_name},
    outcome::done,
};
use crate::{
    Error, PingStatus, TaskId, TraceRelation,
    task::{NewTask, Origin, Step},
    telemetry::{Occasion, Opening, Refused, is_heard, quietly},
};

/// Begins tasks and looks at them, from any thread.
///
/// In a handler it is an extractor, and its tasks carry the request's ids.
/// Elsewhere it comes from [`App::tasks`](crate::App::tasks). Cloning it is
/// cheap; clones share everything.
///
/// ```
/// use taskpulse::{App, PingStatus};
///
/// let tasks = App::new().tasks();
/// let id = tasks.add_async_task("nightly_report", serde_json::json!({"pages": 12}))?;
/// assert_eq!(tasks.get_current_ping_status(), PingStatus::HealthyBusy);
/// assert!(tasks.complete_async_task(id));
/// assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
/// # Ok::<(), taskpulse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: Arc<Tracker>,
    origin: Option<Arc<Origin>>,
    /// The request's, for tasks that are begun where no context is current.
    context: OtelContext,
}

// === impl Tasks ===

impl Tasks {
    /// Tasks of no request.
    pub(crate) fn new(tracker: Arc<Tracker>) -> Self {
        Self {
            tracker,
            origin: None,
            context: OtelContext::new(),
        }
    }

    /// Tasks of the request that is worked on in `context`.
    pub(crate) const fn of_request(
        tracker: Arc<Tracker>,
        origin: Arc<Origin>,
        context: OtelContext,
    ) -> Self {
        Self {
            tracker,
            origin: Some(origin),
            context,
        }
    }

    pub(crate) const fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// Describes a task that is to begin. It begins with
    /// [`spawn`](TaskBuilder::spawn), [`spawn_blocking`](TaskBuilder::spawn_blocking)
    /// or [`start`](TaskBuilder::start).
    ///
    /// `name` is a label: use few distinct values, and metadata for the rest.
    ///
    /// ```
    /// # async fn crunch() -> Result<u32, String> { Ok(1) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// # let tasks = taskpulse::App::new().tasks();
    /// let task = tasks
    ///     .begin("data_processing")
    ///     .metadata("data_id", "sample_data")
    ///     .spawn(crunch())?;
    /// println!("task {} begun", task.id());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin(&self, name: impl Into<String>) -> TaskBuilder {
        TaskBuilder::new(self.clone(), name.into(), Location::caller())
    }

    /// Begins a task that is settled by its id alone: the SDK's call of this
    /// name.
    ///
    /// Nothing settles such a task if its code forgets to, so
    /// [`begin`](Self::begin) is the better way where there is a choice.
    /// `metadata` is an object, or `()` for none.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", serde_json::json!({ "pages": 12 }))?;
    /// let plain = tasks.add_async_task("report", ())?;
    /// assert!(plain > id);
    /// assert!(tasks.add_async_task("", ()).is_err());
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the name is empty or over 128 bytes, or the
    /// metadata is no object or over 256 KiB of JSON; [`Error::Capacity`] if as
    /// many tasks are active as may be; [`Error::Draining`] while the process
    /// shuts down.
    #[track_caller]
    pub fn add_async_task(
        &self,
        name: impl Into<String>,
        metadata: impl Serialize,
    ) -> Result<TaskId, Error> {
        let begun_at = Location::caller();
        let mut draft = Draft::default();
        draft.put_all(metadata);
        let limits = TaskLimits::new();
        let (tracker, new, opening) =
            self.clone()
                .checked(name.into(), draft, begun_at, None, limits)?;
        Ok(tracker.begin(new, Live::default(), opening)?.id)
    }

    /// Ends a task as `succeeded`: the SDK's call of this name.
    ///
    /// False, and a warning in the log, where there is no such task or it has
    /// ended already. If a future was spawned for it, that future is dropped.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// assert!(tasks.complete_async_task(id));
    /// assert!(!tasks.complete_async_task(id), "it has ended already");
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn complete_async_task(&self, id: TaskId) -> bool {
        match self.tracker.apply(id, done()) {
            Ok(()) => true,
            Err(error) => {
                self.tracker.warn_unsettled(id, error);
                false
            }
        }
    }

    /// The active tasks: the SDK's call of this name, with its JSON.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", serde_json::json!({ "pages": 12 }))?;
    /// let info = tasks.get_async_task_info();
    /// assert_eq!(info.active_count, 1);
    /// assert_eq!(info.running_jobs[0].name, "report");
    /// assert_eq!(info.running_jobs[0].id, id);
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    #[must_use]
    pub fn get_async_task_info(&self) -> AsyncTaskInfo {
        AsyncTaskInfo::of(&self.tracker)
    }

    /// What `/ping` answers now: the SDK's call of this name.
    ///
    /// In a handler of [`App::ping`](crate::App::ping) it says what `/ping`
    /// would answer without that handler, so that the handler may hand that on
    /// where it has nothing to add.
    ///
    /// ```
    /// use taskpulse::PingStatus;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
    /// let task = tasks.begin("report").start()?;
    /// assert_eq!(tasks.get_current_ping_status(), PingStatus::HealthyBusy);
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    #[must_use]
    pub fn get_current_ping_status(&self) -> PingStatus {
        let ping = &self.tracker.registry().ping;
        if is_asked() {
            return ping.without_custom();
        }
        ping.served().status
    }

    /// Makes `/ping` answer `status`, whatever the tasks and a custom handler
    /// say, until [`clear_forced_ping_status`](Self::clear_forced_ping_status).
    ///
    /// ```
    /// use taskpulse::PingStatus;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// tasks.force_ping_status(PingStatus::HealthyBusy);
    /// assert_eq!(tasks.get_current_ping_status(), PingStatus::HealthyBusy);
    /// tasks.clear_forced_ping_status();
    /// assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
    /// ```
    pub fn force_ping_status(&self, status: PingStatus) {
        let registry = self.tracker.registry();
        registry.ping.force(&registry.clock, Some(status));
    }

    /// Ends what [`force_ping_status`](Self::force_ping_status) began.
    pub fn clear_forced_ping_status(&self) {
        let registry = self.tracker.registry();
        registry.ping.force(&registry.clock, None);
    }

    /// Ready once the app shuts down: nothing new is begun, and what runs has the
    /// time of the drain (`--drain`, 10 s by default) to end. What is active after
    /// it becomes `interrupted`.
    ///
    /// For a task that can stop at a good moment, and say how far it came.
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{future::pending, sync::mpsc};
    ///
    /// let app = taskpulse::App::new();
    /// let tasks = app.tasks();
    /// let (told, end) = mpsc::channel();
    /// tasks.begin("import").spawn({
    ///     let tasks = tasks.clone();
    ///     async move {
    ///         tokio::select! {
    ///             () = tasks.draining() => {
    ///                 told.send("page 12 is done").map_err(|gone| gone.to_string())?;
    ///                 Ok::<_, String>("stopped early")
    ///             }
    ///             all = pending() => Ok(all),
    ///         }
    ///     }
    /// })?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// app.serve(listener, async {}).await?;
    /// assert_eq!(end.recv()?, "page 12 is done");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn draining(&self) {
        self.tracker.draining().await;
    }

    /// Whether [`draining`](Self::draining) is ready: for loops that do not wait.
    ///
    /// ```
    /// assert!(!taskpulse::App::new().tasks().is_draining());
    /// ```
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.tracker.is_draining()
    }

    /// Shows at once how far the task has come, as
    /// [`TaskHandle::checkpoint`](crate::TaskHandle::checkpoint) does. Nothing
    /// where the task is unknown or has ended.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// tasks.checkpoint(id, "page 1");
    /// assert!(tasks.complete_async_task(id));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn checkpoint(&self, id: TaskId, stage: &str) {
        self.tracker.checkpoint(id, Occasion::Stage(stage));
    }

    /// Ends a task as `cancelled`; false where no such task is active.
    ///
    /// A future of [`spawn`](TaskBuilder::spawn) is dropped. Other code sees by
    /// [`is_cancelled`](crate::TaskHandle::is_cancelled) or
    /// [`cancelled`](crate::TaskHandle::cancelled) that it may stop.
    ///
    /// ```
    /// use taskpulse::TaskState;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let endless = tasks
    ///     .begin("endless")
    ///     .spawn(std::future::pending::<Result<(), String>>())?;
    /// assert!(tasks.cancel(endless.id()));
    /// assert!(!tasks.cancel(endless.id()));
    /// assert_eq!(endless.await.state, TaskState::Cancelled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self, id: TaskId) -> bool {
        self.tracker.apply(id, Step::Cancel).is_ok()
    }

    /// Runs `work` inside the task's scope: what it logs carries the task's
    /// ids. Without one, if the task is unknown or has ended.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// let there = tasks.clone();
    /// let thread = std::thread::spawn(move || {
    ///     // This line carries the task's id, on a thread that knows the id alone.
    ///     there.in_scope(id, || tracing::info!("page 1"));
    ///     there.complete_async_task(id)
    /// });
    /// assert!(thread.join().is_ok_and(|completed| completed));
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn in_scope<R>(&self, id: TaskId, work: impl FnOnce() -> R) -> R {
        CurrentTask::within(&mut self.of(id), work)
    }

    /// Runs `future` inside the task's scope, as [`in_scope`](Self::in_scope)
    /// does for a closure. It does not settle the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let id = tasks.add_async_task("report", ())?;
    /// let pages = tasks.instrument(id, async { 12 }).await;
    /// assert_eq!(pages, 12);
    /// assert!(tasks.complete_async_task(id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn instrument<F: Future>(&self, id: TaskId, future: F) -> Instrumented<F> {
        Instrumented::new(self.of(id), future)
    }

    fn of(&self, id: TaskId) -> Option<CurrentTask> {
        let view = self.tracker.registry().find(id)?;
        Some(CurrentTask::new(Arc::clone(&self.tracker), view.task))
    }

    /// What begins a task, checked, and the door it begins at.
    pub(super) fn checked(
        self,
        name: String,
        draft: Draft,
        begun_at: &'static Location<'static>,
        relation: Option<TraceRelation>,
        limits: TaskLimits,
    ) -> Result<(Arc<Tracker>, NewTask, Opening), Error> {
        let checked = check_name(name)
            .and_then(|name| limits.check().map(|()| name))
            .and_then(|name| Ok((name, draft.finish(self.tracker.redaction())?)))
            .inspect_err(|_| self.tracker.refuse(Refused::Invalid));
        let (name, (fields, metadata)) = checked?;
        let new = NewTask {
            bounds: self.tracker.bounds(limits, &name),
            name,
            metadata,
            origin: self.origin,
            begun_at,
        };
        let reporter = self.tracker.reporter().map(|reporter| &**reporter);
        if !is_heard(reporter) {
            return Ok((self.tracker, new, Opening::default()));
        }
        // On a thread that is being torn down there is none any more.
        let current = quietly(OtelContext::current).unwrap_or_default();
        let opening = Opening {
            parent: match current.has_active_span() {
                true => current,
                false => self.context,
            },
            relation: relation.unwrap_or_else(|| self.tracker.relation()),
            metadata: fields,
        };
        Ok((self.tracker, new, opening))
    }
}
