//! The row about starting.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Outcome, child::Child, http::PING, load::once, report::Measured};

const STARTS: usize = 21;

/// Milliseconds from starting the binary to its first answer.
pub(crate) fn first_answer() -> Outcome<Measured> {
    let starts = (0..STARTS).map(|_| Outcome::Ok(start("memory")?.1));
    Ok(Measured {
        rounds: starts
            .map(|took| Ok(took?.as_secs_f64() * 1e3))
            .collect::<Outcome<_>>()?,
        figures: String::new(),
    })
}

/// The binary with this store, and how long it took to answer.
pub(crate) fn start(store: &str) -> Outcome<(Child, Duration)> {
    let started = Instant::now();
    let child = Child::start(
        Command::new(env!("CARGO_BIN_EXE_taskpulse"))
            .args(["--host", "127.0.0.1", "--port", "0", "--store", store])
            .env_remove("RUST_LOG"),
    )?;
    let line: Value = serde_json::from_str(&child.said)?;
    let address = line["address"].as_str().ok_or("it says where it listens")?;
    once(address.parse::<SocketAddr>()?, PING)?;
    let took = started.elapsed();
    Ok((child, took))
}
