//! The tests of the whole, in one binary: what users see, through the doors
//! that users have. `harness` has one method per user action.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests block and measure on threads of their own, and fail where they cannot go on"
)]

mod architecture;
mod cli;
mod clients;
mod contract;
mod disconnect;
mod examples;
mod harness;
mod limits;
mod metrics_golden;
mod mixed;
mod observed;
mod promises;
mod readme;
mod shutdown;
mod smoke;
mod store;
mod tasks_api;
mod telemetry;
mod tracking;
mod traffic;
