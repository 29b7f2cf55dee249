//! A task as the code inside it sees it.

use std::{cell::RefCell, fmt, sync::Arc};

use super::{Live, Tracker};
use crate::{TaskId, task::Task, telemetry::Occasion};

thread_local! {
    /// The task whose code this thread runs now.
    static CURRENT: RefCell<Option<CurrentTask>> = const { RefCell::new(None) };
}

/// The task that the calling code runs in: what it can say of itself, and whether
/// it is to stop. Made by [`current`]; cloning it is cheap.
///
/// It does not settle the task, and outlives its end.
#[derive(Clone)]
pub struct CurrentTask {
    tracker: Arc<Tracker>,
    task: Arc<Task<Live>>,
}

/// Puts the task, and what was the thread's before it, back where they were.
struct Entered<'a> {
    home: &'a mut Option<CurrentTask>,
    /// What the task has changed places with.
    held: Option<CurrentTask>,
}

/// The task that the calling code runs in: in a future of
/// [`spawn`](crate::TaskBuilder::spawn), in a closure of
/// [`spawn_blocking`](crate::TaskBuilder::spawn_blocking), and inside `in_scope` and
/// `instrument`. None elsewhere.
///
/// What such code spawns itself runs outside of it: hand a clone over.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), taskpulse::Error> {
/// let tasks = taskpulse::App::new().tasks();
/// let import = tasks.begin("import").spawn(async {
///     let task = taskpulse::current().ok_or("no task")?;
///     for page in 1..=10 {
///         task.progress(f64::from(page) / 10.0, format!("page {page} of 10"));
///     }
///     Ok::<_, &str>(task.id())
/// })?;
/// let id = import.id();
/// assert_eq!(import.await.result, Some(u64::from(id).into()));
/// assert!(taskpulse::current().is_none());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn current() -> Option<CurrentTask> {
    // On a thread that is being torn down there is none any more.
    let current = CURRENT.try_with(|current| current.borrow().clone());
    current.ok().flatten()
}

// === impl CurrentTask ===

impl CurrentTask {
    pub(super) const fn new(tracker: Arc<Tracker>, task: Arc<Task<Live>>) -> Self {
        Self { tracker, task }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// See [`TaskHandle::heartbeat`](crate::TaskHandle::heartbeat).
    pub fn heartbeat(&self) {
        self.tracker.beat(&self.task);
    }

    /// See [`TaskHandle::progress`](crate::TaskHandle::progress).
    pub fn progress(&self, share: f64, message: impl Into<String>) {
        self.tracker.progress(&self.task, share, message.into());
    }

    /// See [`TaskHandle::checkpoint`](crate::TaskHandle::checkpoint).
    pub fn checkpoint(&self, stage: &str) {
        let occasion = Occasion::Stage(stage);
        self.tracker.checkpoint(self.task.id, occasion);
    }

    /// See [`TaskHandle::is_cancelled`](crate::TaskHandle::is_cancelled).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.task.ending().is_some()
    }

    /// See [`TaskHandle::cancelled`](crate::TaskHandle::cancelled). The future of
    /// [`spawn`](crate::TaskBuilder::spawn) itself is dropped at the end; this is
    /// for what it has spawned, and for closures.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = taskpulse::App::new().tasks();
    /// let (told, stopped) = std::sync::mpsc::channel();
    /// let import = tasks.begin("import").spawn_blocking(move || {
    ///     let task = taskpulse::current().ok_or("no task")?;
    ///     while !task.is_cancelled() {
    ///         std::thread::yield_now(); // A little work.
    ///     }
    ///     told.send("stopped").map_err(|_| "nobody listens")
    /// })?;
    /// import.abort();
    /// assert_eq!(stopped.recv()?, "stopped");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancelled(&self) {
        self.task.payload.over(&self.task).await;
    }

    /// Runs `work` inside the task's scope, as the thread's current task.
    pub(super) fn within<R>(task: &mut Option<Self>, work: impl FnOnce() -> R) -> R {
        let Some(current) = task.take() else {
            return work();
        };
        let scope = current.task.payload.as_ref().scope();
        let entered = Entered::enter(current, task);
        let result = scope.run(work);
        drop(entered);
        result
    }
}

impl fmt::Debug for CurrentTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentTask")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

// === impl Entered ===

impl<'a> Entered<'a> {
    /// The task is moved there and back: counting references at every poll would
    /// have all threads write to the tracker's count.
    fn enter(task: CurrentTask, home: &'a mut Option<CurrentTask>) -> Self {
        let mut held = Some(task);
        swap(&mut held);
        Self { home, held }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        swap(&mut self.held);
        *self.home = self.held.take();
    }
}

/// Changes places with the thread's task. On a thread that is being torn down
/// nothing does, so that a second swap leaves the same as a first and a second.
fn swap(task: &mut Option<CurrentTask>) {
    let swapped = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), task));
    swapped.unwrap_or_default();
}
