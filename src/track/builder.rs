//! A task that is to begin.

use std::{
    fmt::Display,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::Arc,
    thread,
};

use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use serde::Serialize;

use super::{
    Instrumented, Live, TaskHandle, TaskJoin, Tasks, Tracker, metadata::Draft, outcome::settle,
};
use crate::{Error, TraceRelation, task::Task};

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
        let task = Arc::clone(guard.task());
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
        let (tracker, new, opening) =
            self.tasks
                .checked(self.name, self.draft, self.begun_at, self.relation)?;
        let task = tracker.begin(new, live, opening)?;
        Ok((tracker, task))
    }
}
