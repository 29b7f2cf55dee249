//! A task that is to begin.

use std::{
    fmt::Display,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use serde::Serialize;

use super::{
    Instrumented, Live, TaskHandle, TaskJoin, TaskLimits, Tasks, Tracker, metadata::Draft,
    outcome::settle,
};
use crate::{Error, Reaction, TraceRelation, task::Task};

/// A task that is to begin; made by [`Tasks::begin`].
///
/// Nothing is registered before one of the last three calls, and nothing if
/// that call gives back an error.
#[derive(Debug)]
#[must_use = "a task begins with `spawn`, `spawn_blocking` or `start`"]
pub struct TaskBuilder {
    tasks: Tasks,
    name: String,
    draft: Draft,
    begun_at: &'static Location<'static>,
    /// None where the app's own choice counts.
    relation: Option<TraceRelation>,
    limits: TaskLimits,
}

// === impl TaskBuilder ===

impl TaskBuilder {
    pub(super) fn new(tasks: Tasks, name: String, begun_at: &'static Location<'static>) -> Self {
        Self {
            tasks,
            name,
            draft: Draft::default(),
            begun_at,
            relation: None,
            limits: TaskLimits::new(),
        }
    }

    /// Adds one field of metadata; the last of a key counts.
    ///
    /// Secrets are redacted by their keys, at any depth.
    ///
    /// ```
    /// use serde_json::json;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks
    ///     .begin("import")
    ///     .metadata("file", "rows.csv")
    ///     .metadata("login", json!({ "user": "ann", "password": "hunter2" }))
    ///     .start()?;
    /// assert_eq!(
    ///     tasks.get_async_task_info().running_jobs[0].metadata.get(),
    ///     r#"{"file":"rows.csv","login":{"user":"ann","password":"[redacted]"}}"#
    /// );
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn metadata(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.draft.put(key.into(), value);
        self
    }

    /// Adds the fields of an object.
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Import {
    ///     file: &'static str,
    ///     rows: u32,
    /// }
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let import = Import { file: "rows.csv", rows: 12 };
    /// let task = tasks.begin("import").metadata_map(&import).start()?;
    /// let metadata = &tasks.get_async_task_info().running_jobs[0].metadata;
    /// assert_eq!(metadata.get(), r#"{"file":"rows.csv","rows":12}"#);
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn metadata_map(mut self, object: impl Serialize) -> Self {
        self.draft.put_all(object);
        self
    }

    /// Says how the task's trace stands to that of the request; wins over
    /// [`App::trace_relation`](crate::App::trace_relation).
    ///
    /// ```
    /// use taskpulse::TraceRelation;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks
    ///     .begin("nightly_report")
    ///     .trace_relation(TraceRelation::Link)
    ///     .start()?;
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn trace_relation(mut self, relation: TraceRelation) -> Self {
        self.relation = Some(relation);
        self
    }

    /// Ends the task as `timed_out` once it is this old, so that one that is
    /// forgotten does not keep the status at `HealthyBusy`; wins over
    /// [`App::max_age`](crate::App::max_age).
    ///
    /// A future of [`spawn`](Self::spawn) is dropped then. A closure of
    /// [`spawn_blocking`](Self::spawn_blocking) cannot be stopped and goes on, as
    /// does whatever a handle is for; settling comes too late. Zero is refused
    /// when the task is begun; [`Duration::MAX`] is no limit, whatever the app says.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use taskpulse::{PingStatus, TaskState};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let stuck = tasks
    ///     .begin("import")
    ///     .max_age(Duration::from_millis(50))
    ///     .spawn(std::future::pending::<Result<(), String>>())?;
    /// let end = stuck.await;
    /// assert_eq!(end.state, TaskState::TimedOut);
    /// assert_eq!(end.error.as_deref(), Some("older than its greatest age of 50ms"));
    /// assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.limits = self.limits.max_age(age);
        self
    }

    /// Says when the task is to have ended: so long after its begin. Past that it is
    /// overdue: a warning says so once, `/tasks` and the metrics show it, and it goes
    /// on, unless [`on_deadline`](Self::on_deadline) says otherwise.
    ///
    /// Wins over [`App::task_limits`](crate::App::task_limits).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").deadline(Duration::from_secs(600)).start()?;
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn deadline(mut self, after: Duration) -> Self {
        self.limits = self.limits.deadline(after);
        self
    }

    /// The same by the clock on the wall. What has passed already makes the task
    /// overdue at once.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_521_600);
    /// let task = tasks.begin("report").deadline_at(noon).start()?;
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn deadline_at(mut self, at: SystemTime) -> Self {
        self.limits = self.limits.deadline_at(at);
        self
    }

    /// What follows when the task is past its deadline; a warning by default.
    ///
    /// [`Reaction`] has an example.
    pub fn on_deadline(mut self, reaction: Reaction) -> Self {
        self.limits = self.limits.on_deadline(reaction);
        self
    }

    /// Says how long the task may give no sign of life, which is a
    /// [`heartbeat`](TaskHandle::heartbeat) or [`progress`](TaskHandle::progress);
    /// its begin counts as one. Beyond that it is stalled: a warning says so once,
    /// `/tasks` and the metrics show it, and the next sign ends it, unless
    /// [`on_stall`](Self::on_stall) says otherwise. Zero is refused when the task is
    /// begun.
    ///
    /// Wins over [`App::task_limits`](crate::App::task_limits).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").stall_after(Duration::from_secs(30)).start()?;
    /// for row in 0..1_000 {
    ///     task.progress(f64::from(row) / 1_000.0, format!("row {row}"));
    /// }
    /// # task.succeed();
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.limits = self.limits.stall_after(silence);
        self
    }

    /// What follows when the task is stalled; a warning by default.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use taskpulse::Reaction;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let stuck = tasks
    ///     .begin("import")
    ///     .stall_after(Duration::from_millis(50))
    ///     .on_stall(Reaction::Cancel)
    ///     .spawn(std::future::pending::<Result<(), String>>())?;
    /// assert_eq!(stuck.await.error.as_deref(), Some("no sign of life for 50ms"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_stall(mut self, reaction: Reaction) -> Self {
        self.limits = self.limits.on_stall(reaction);
        self
    }

    /// Begins the task and runs `future` on the app's runtime, inside the
    /// task's scope.
    ///
    /// The task ends as `succeeded` with the value of `Ok` as its result (JSON
    /// of at most 64 KiB), as `failed` with the text of `Err` or the message of
    /// a panic, as `cancelled` if it is aborted, as `interrupted` if the
    /// runtime goes down.
    ///
    /// ```
    /// use taskpulse::TaskState;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let sum = tasks.begin("sum").spawn(async { Ok::<_, String>(1 + 2) })?;
    /// let end = sum.await;
    /// assert_eq!(end.state, TaskState::Succeeded);
    /// assert_eq!(end.result, Some(3.into()));
    ///
    /// let broken = tasks.begin("sum").spawn(async { "x".parse::<u32>() })?;
    /// let end = broken.await;
    /// assert_eq!(end.state, TaskState::Failed);
    /// assert_eq!(end.error.as_deref(), Some("invalid digit found in string"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Tasks::add_async_task`], and [`Error::NoRuntime`] before the
    /// app runs, outside any tokio runtime.
    pub fn spawn<F, T, E>(self, future: F) -> Result<TaskJoin, Error>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize + Send + 'static,
        E: Display + Send + 'static,
    {
        let Some(runtime) = self.tasks.tracker().runtime() else {
            return Err(Error::NoRuntime { name: self.name });
        };
        let (abort, registration) = AbortHandle::new_pair();
        let (guard, join) = self.begin(Some(abort))?;
        let task = guard.current();
        let work = async move {
            // The future is gone, its destructors run, before the task ends.
            let outcome = AssertUnwindSafe(future).catch_unwind().await;
            guard.settle(settle(outcome));
        };
        let scoped = Instrumented::new(Some(task), work);
        runtime.spawn(Abortable::new(scoped, registration));
        Ok(join)
    }

    /// Begins the task and runs `work` on a thread made for it, inside the
    /// task's scope. The task ends as that of [`spawn`](Self::spawn) does, but
    /// that `work`, once it runs, cannot be stopped.
    ///
    /// ```
    /// use taskpulse::TaskState;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), taskpulse::Error> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("count").spawn_blocking(|| {
    ///     let bytes = std::fs::read("Cargo.toml")?; // Blocks its own thread.
    ///     Ok::<_, std::io::Error>(bytes.len())
    /// })?;
    /// assert_eq!(task.await.state, TaskState::Succeeded);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Tasks::add_async_task`], and [`Error::Thread`] if the
    /// operating system refuses a thread; the task is then `interrupted`.
    pub fn spawn_blocking<F, T, E>(self, work: F) -> Result<TaskJoin, Error>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Serialize + 'static,
        E: Display + 'static,
    {
        let name = self.name.clone();
        let runtime = self.tasks.tracker().runtime();
        let (guard, join) = self.begin(None)?;
        let run = move || {
            let _runtime = runtime.as_ref().map(|runtime| runtime.enter());
            let step = guard.in_scope(|| settle(catch_unwind(AssertUnwindSafe(work))));
            guard.settle(step);
        };
        // A thread's name may hold no NUL; std panics at one.
        let thread = thread::Builder::new().name(name.replace('\0', " "));
        match thread.spawn(run) {
            Ok(_detached) => Ok(join),
            Err(source) => Err(Error::Thread { name, source }),
        }
    }

    /// Begins the task and gives back the guard that must settle it.
    ///
    /// ```
    /// let tasks = taskpulse::App::new().tasks();
    /// let task = tasks.begin("import").start()?;
    /// assert_eq!(tasks.get_async_task_info().active_count, 1);
    /// task.succeed();
    /// assert_eq!(tasks.get_async_task_info().active_count, 0);
    /// # Ok::<(), taskpulse::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Tasks::add_async_task`].
    pub fn start(self) -> Result<TaskHandle, Error> {
        let (tracker, task) = self.register(Live::default())?;
        Ok(TaskHandle::new(tracker, task))
    }

    fn begin(self, abort: Option<AbortHandle>) -> Result<(TaskHandle, TaskJoin), Error> {
        let (live, ended) = Live::spawned(abort);
        let (tracker, task) = self.register(live)?;
        let guard = TaskHandle::new(Arc::clone(&tracker), Arc::clone(&task));
        Ok((guard, TaskJoin::new(tracker, task, ended)))
    }

    fn register(self, live: Live) -> Result<(Arc<Tracker>, Arc<Task<Live>>), Error> {
        let (tracker, new, opening) = self.tasks.checked(
            self.name,
            self.draft,
            self.begun_at,
            self.relation,
            self.limits,
        )?;
        let task = tracker.begin(new, live, opening)?;
        Ok((tracker, task))
    }
}
