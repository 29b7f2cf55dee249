//! SIGTERM and Ctrl-C: the first asks to end, the second insists.

use std::io;

use tokio::signal::unix::{self, Signal, SignalKind};

/// The signals that end the process.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    /// From now on these signals are ours.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next one.
    pub(crate) async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        // It becomes part of an exit code, which has no room for a greater one.
        u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}
