//! The HTTP contract: the conformance table, row by row, and what else can be
//! relied on.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on panics, and says where"
)]

mod child;
mod context;
mod custom_ping;
mod debug;
mod malformed;
mod mounted;
mod nasty;
mod page;
mod payload;
mod requests;
mod results;
mod routing;
mod silence;
mod startup;
mod stream;
mod table;
mod websocket;
