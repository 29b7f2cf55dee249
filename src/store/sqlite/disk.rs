//! Brings the database to the disk, where only a loss of power asks for it.
//!
//! Nobody waits for that: a busy disk takes hundreds of milliseconds, and what is begun
//! meanwhile would not survive a kill of the process, which needs no disk at all.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

/// A thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Disk {
    ask: SyncSender<()>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

// === impl Disk ===

impl Disk {
    /// Starts the thread, for the database at `path`.
    ///
    /// # Errors
    ///
    /// Those of opening the file and of starting a thread.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        // With the thread it stays open for longer than the database: a process that
        // closes any descriptor of a file loses SQLite's locks on it.
        let file = File::open(path)?;
        // One more may wait: what is written while the disk is at work is not in it.
        let (ask, asked) = sync_channel(1);
        let failed = Arc::new(Mutex::new(None));
        let failing = Arc::clone(&failed);
        let thread = thread::Builder::new().name("taskpulse-disk".to_owned());
        thread.spawn(move || {
            while asked.recv().is_ok() {
                if let Err(error) = file.sync_data() {
                    *failing.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        })?;
        Ok(Self { ask, failed })
    }

    /// Lets what has been written be brought to the disk; says what went wrong before.
    ///
    /// # Errors
    ///
    /// Those of the file system, the time before.
    pub(super) fn ask(&self) -> io::Result<()> {
        // If it is full, one waits that is asked for later than this was written.
        self.ask.try_send(()).unwrap_or_default();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }
}
