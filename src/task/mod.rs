//! What a task is, which steps it may take, and the registry that keeps them.
//!
//! Plain `std`: no runtime, no HTTP, no serialisation, no exporter. Nothing
//! here calls foreign code, so no lock of this module is ever held while
//! anybody else's code runs. Instants are [`std::time::Duration`]s on one
//! [`Clock`], which tests turn by hand.
//!
//! Read in the order a task lives: [`id`], [`state`], [`event`], [`registry`],
//! [`condition`], [`kinds`], [`history`], [`ping`].

mod ages;
mod clock;
mod condition;
mod event;
mod history;
mod id;
mod journal;
mod kinds;
#[cfg(all(test, taskpulse_loom))]
mod loom;
mod past;
mod ping;
mod place;
#[cfg(all(test, not(taskpulse_loom)))]
mod properties;
mod pulse;
mod record;
mod registry;
mod shard;
mod state;
mod sync;

#[cfg(test)]
pub(crate) use clock::ManualTime;
pub(crate) use clock::{Clock, Stamp};
pub use condition::Reaction;
pub(crate) use condition::{Bounds, Condition, Crossing, Deadline, Verdict};
pub(crate) use event::{Change, Event};
pub use id::{InvalidTaskId, TaskId};
pub(crate) use journal::{Health, Journal, Note};
pub(crate) use kinds::{Kind, KindId};
pub(crate) use past::PastTask;
pub use ping::PingStatus;
pub(crate) use ping::{Ping, Served};
pub(crate) use place::{Place, file};
pub(crate) use pulse::nanos;
pub(crate) use record::{Ending, NewTask, Origin, Progress, Task, View};
pub(crate) use registry::{AtCapacity, Limits, Registry, Slice, StepError, Window};
pub(crate) use state::Step;
pub use state::{TaskState, UnknownState};
