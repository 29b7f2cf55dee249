//! Sends what is queued when there is nothing left to do: a process that is
//! frozen or reaped while idle has then lost nothing.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Duration,
};

/// Between the end of a flush and the start of the next.
const BETWEEN: Duration = Duration::from_secs(1);

/// Asks a thread of its own to flush.
#[derive(Debug)]
pub(super) struct Flusher(SyncSender<()>);

// === impl Flusher ===

impl Flusher {
    /// Starts the thread, which ends when this is dropped, or once `flush`
    /// says that there is nothing left to flush for ever. None where the
    /// operating system refuses the thread.
    pub(super) fn start(flush: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        let (ask, asked) = sync_channel(1);
        let work = move || {
            while asked.recv().is_ok() {
                if !flush() {
                    return;
                }
                #[expect(clippy::disallowed_methods, reason = "a thread of its own may rest")]
                thread::sleep(BETWEEN);
            }
        };
        let thread = thread::Builder::new().name("taskpulse-flush".to_owned());
        thread.spawn(work).ok()?;
        Some(Self(ask))
    }

    /// Asks for a flush. Never waits: a flush that has been asked for and has not
    /// begun covers this one, too.
    pub(super) fn ask(&self) {
        // Nobody receives any more once everything has been shut down.
        self.0.try_send(()).unwrap_or_default();
    }
}
