//! The HTTP contract: the conformance table, row by row, and what else can be
//! relied on.

mod child;
mod context;
mod custom_ping;
mod debug;
mod mounted;
mod page;
mod payload;
mod requests;
mod results;
mod routing;
mod startup;
mod stream;
mod table;
mod websocket;
