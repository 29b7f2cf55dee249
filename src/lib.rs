//! Background tasks that are tracked, for services and agents whose requests
//! start work that outlives them.
//!
//! taskpulse answers the Amazon Bedrock AgentCore Runtime contract (`GET /ping`,
//! `POST /invocations`, `GET /ws`) on axum. While a task is active, `/ping` says
//! `HealthyBusy`, so that the platform keeps the session alive; when the last
//! one has ended, `Healthy`. However a task's code ends, by a value, an error, a
//! panic, an abort or a shutdown, the task ends exactly once and says how.
//!
//! ```no_run
//! use axum::Json;
//! use serde_json::{Value, json};
//! use taskpulse::{App, Payload, Tasks};
//!
//! async fn handler(
//!     tasks: Tasks,
//!     Payload(event): Payload<Value>,
//! ) -> Result<Json<Value>, taskpulse::Error> {
//!     let task = tasks
//!         .begin("data_processing")
//!         .metadata("data_id", &event["data_id"])
//!         .spawn(async move { crunch(event).await })?;
//!     Ok(Json(json!({ "task_id": task.id(), "status": "processing" })))
//! }
//! # async fn crunch(_: Value) -> Result<u32, String> { Ok(1) }
//!
//! fn main() -> Result<(), taskpulse::Error> {
//!     App::new().entrypoint(handler).run()
//! }
//! ```
//!
//! # Reading the source
//!
//! The modules follow a request and its task: `task` (what a task is; plain
//! `std`), `telemetry` (what the world is told), `track` (the one door through
//! which a task's state changes), `store` (what survives a crash), `service` (HTTP), `config`, `app`, `agent`
//! (the documented example), `cli`. Each imports only from those before it.

// Of the library alone: nobody calls what a program or an example declares.
#![warn(missing_docs)]
// What a store alone uses is spread over many files. With one, all of it is looked at.
#![cfg_attr(not(feature = "store"), allow(dead_code, unused_imports))]

// The example agent is compiled as part of this crate, and says `taskpulse::`
// as any user's code does.
#[cfg(feature = "cli")]
extern crate self as taskpulse;

#[cfg(feature = "cli")]
mod agent;
mod app;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod config;
mod error;
mod service;
#[cfg(feature = "store")]
mod store;
mod task;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod track;

pub use app::App;
pub use error::Error;
pub use service::{Context, Payload, Secret, WebSocket, WebSocketOutcome, stream};
/// The pieces of [`App::ping`]'s signature.
pub mod ping {
    pub use crate::service::{Answer, Asked, AtOnce, Awaited, IntoPing, PingHandler};
}
pub use task::{InvalidTaskId, PingStatus, Reaction, TaskId, TaskState, UnknownState};
pub use telemetry::TraceRelation;
pub use track::{
    AsyncTaskInfo, CurrentTask, Instrumented, RunningJob, TaskBuilder, TaskEnd, TaskHandle,
    TaskJoin, TaskLimits, Tasks, current,
};

/// The programs on these pages compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/python.md")]
#[doc = include_str!("../docs/telemetry.md")]
struct Pages;
