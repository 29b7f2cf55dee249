//! What is shipped around the program to watch it holds together: dashboards,
//! rules, and the stack that runs them. Nothing here needs a network.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests say what is wrong by failing"
)]

mod alerts;
mod boards;
mod checks;
mod mutations;
mod names;
mod pages;
mod promql;
mod reading;
mod rules;
mod source;
mod stack;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
