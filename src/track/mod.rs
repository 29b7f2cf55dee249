//! The one door: every change of a task's state goes through [`Tracker`], which
//! lets the registry decide and then announces what it decided.
//!
//! Nothing else calls [`Registry::begin`] or [`Registry::step`], and nothing
//! else calls [`emit`](crate::telemetry::emit()).
//!
//! [`Registry::begin`]: crate::task::Registry::begin
//! [`Registry::step`]: crate::task::Registry::step

mod asking;
mod builder;
mod handle;
mod info;
mod join;
mod metadata;
mod outcome;
mod panics;
mod scope;
mod tasks;
mod tracker;
mod wire;

pub(crate) use asking::asking;
pub use builder::TaskBuilder;
pub use handle::TaskHandle;
pub use info::{AsyncTaskInfo, RunningJob};
pub use join::{TaskEnd, TaskJoin};
pub(crate) use metadata::{DEFAULT_REDACTED, Redaction};
pub(crate) use panics::{chain_hook, panic_text};
pub use scope::Instrumented;
pub use tasks::Tasks;
pub(crate) use tracker::{Live, Tracker};
