//! Tracking from code: whatever becomes of the work, its task ends once, and
//! says how.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod blocking;
mod calls;
mod capacity;
mod checkpoints;
mod conditions;
mod current;
mod handle;
mod hook;
mod max_age;
mod platform;
mod scope;
mod spawn;
mod subscriber;

use std::sync::mpsc::Sender;

use serde::{Serialize, Serializer};
use taskpulse::{PingStatus, TaskEnd, TaskJoin, Tasks};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::harness::PATIENCE;

/// Waits for a task's end on a runtime of its own.
#[track_caller]
fn wait(join: TaskJoin) -> TaskEnd {
    let wait = async { timeout(PATIENCE, join).await };
    current_thread().block_on(wait).expect("the task ends")
}

/// A runtime that works only while it is blocked on.
fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime with a worker of its own.
fn worker() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[track_caller]
fn is_idle(tasks: &Tasks) {
    assert_eq!(tasks.get_async_task_info().active_count, 0);
    assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
}

/// Sends, when it is dropped, how many tasks are active then.
#[derive(Debug)]
struct Tomb(Tasks, Sender<usize>);

impl Drop for Tomb {
    fn drop(&mut self) {
        let active = self.0.get_async_task_info().active_count;
        self.1.send(active).unwrap_or_default();
    }
}

/// Panics when it is written.
struct Trap;

impl Serialize for Trap {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("sprung")
    }
}

/// Asserts what a panicked task's end says: the message, and the place as well
/// where another test of this process has installed the hook.
#[track_caller]
fn says(end: &TaskEnd, message: &str) {
    let error = end.error.as_deref().expect("an error text");
    assert!(
        error.starts_with("panicked") && error.ends_with(&format!(": {message}")),
        "{error}"
    );
}
