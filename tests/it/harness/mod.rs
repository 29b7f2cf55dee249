//! What every test starts with: a server in this process or the real binary,
//! on a free port, a client that sends bytes and reads answers, and a backend
//! that takes telemetry.

mod client;
pub(crate) mod collector;
pub(crate) mod process;
pub(crate) mod scrape;
mod server;

pub(crate) use client::{Client, Response};
pub(crate) use collector::{Behaviour, Collector, Signal};
pub(crate) use process::{BINARY, Process};
pub(crate) use scrape::Scrape;
pub(crate) use server::Server;

use std::time::{Duration, Instant};

/// Longer than anything may take; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`; panics, saying `what`, if it does not in time.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
