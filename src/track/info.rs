//! The SDK's view of the active tasks.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Tracker;
use crate::TaskId;

/// What `get_async_task_info` gives back: the JSON of the Python SDK, and each
/// job's `id` and `metadata` besides.
#[derive(Clone, Debug, Serialize)]
pub struct AsyncTaskInfo {
    /// How many tasks are active.
    pub active_count: usize,
    /// The active tasks, oldest first.
    pub running_jobs: Vec<RunningJob>,
}

/// One active task.
#[derive(Clone, Debug, Serialize)]
pub struct RunningJob {
    /// The task's name.
    pub name: String,
    /// Seconds since its begin, on the monotonic clock.
    pub duration: f64,
    /// The task's id.
    pub id: TaskId,
    /// The task's metadata: a JSON object, redacted.
    pub metadata: Box<RawValue>,
}

// === impl AsyncTaskInfo ===

impl AsyncTaskInfo {
    pub(super) fn of(tracker: &Tracker) -> Self {
        let views = tracker.registry().all_active();
        let now = tracker.now();
        let running_jobs: Vec<_> = views
            .iter()
            .filter(|view| view.ending.is_none())
            .map(|view| RunningJob {
                name: view.task.name.to_string(),
                duration: view.duration(now).as_secs_f64(),
                id: view.task.id,
                metadata: raw(view.task.metadata()),
            })
            .collect();
        Self {
            active_count: running_jobs.len(),
            running_jobs,
        }
    }
}

/// Metadata as it was checked at the door, written as it is.
fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("the door keeps valid JSON only")
}
