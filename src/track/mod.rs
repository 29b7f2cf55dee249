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
mod checkpoints;
mod current;
mod handle;
mod info;
mod join;
mod limits;
mod live;
mod metadata;
mod outcome;
mod panics;
mod platform;
mod scope;
mod signs;
mod tasks;
mod tracker;
mod watch;
mod wire;

pub(crate) use asking::asking;
pub use builder::TaskBuilder;
pub use current::{CurrentTask, current};
pub use handle::TaskHandle;
pub use info::{AsyncTaskInfo, RunningJob};
pub use join::{TaskEnd, TaskJoin};
pub use limits::TaskLimits;
pub(crate) use limits::check_limits;
pub(crate) use live::Live;
pub(crate) use metadata::{DEFAULT_REDACTED, Redaction};
pub(crate) use panics::{chain_hook, panic_text};
pub(crate) use platform::PlatformLimits;
pub use scope::Instrumented;
pub use tasks::Tasks;
pub(crate) use tracker::{LostTask, Tracker};
