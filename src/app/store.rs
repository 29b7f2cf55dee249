//! Where tasks are written down.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::task::spawn_blocking;

use super::App;
#[cfg(feature = "store")]
use crate::store::{self, Found};
use crate::{Error, config::StoreSettings, telemetry::Telemetry, track::Tracker};

/// What was found where there can be no store.
#[cfg(not(feature = "store"))]
#[derive(Debug, Default)]
pub(super) struct Found(());

/// How long ended tasks are kept unless the operator says otherwise.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Where tasks are to be written to.
#[derive(Debug)]
pub(super) struct StorePlan {
    path: Option<PathBuf>,
    kept: Duration,
}

impl App {
    /// Writes tasks to the file at `path` while they run, so that they survive a crash
    /// of this process.
    ///
    /// The next process that starts with that file reports what was lost: counted as
    /// `lost`, logged as an error with the trace and span that the task had, and its span
    /// exported into that trace. It lists the ended tasks as well, and hands out no id a
    /// second time. One process at a time can use the file.
    ///
    /// A task is safe from a kill of the process within 100 ms of its begin, but not from
    /// a loss of power. Beginning and ending a task never waits for the disk. While that
    /// is full or the file cannot be used, tasks are kept in memory alone; `/ready` and
    /// `/metrics` say so, and what can be tried again is.
    ///
    /// [`run`](Self::run) and [`serve`](Self::serve) write the last changes when they end,
    /// for a second at most. With [`into_router`](Self::into_router), or where the future
    /// of `serve` is dropped, that is done when the last of the router, its clones and the
    /// [`Tasks`](crate::Tasks) is dropped, which waits as long; a program that exits with
    /// any of them alive may lose the last 100 ms. Tasks that are active then count as
    /// lost at the next start.
    ///
    /// Kept in memory alone unless this is called. `TASKPULSE_STORE` wins over this.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&folder)?;
    /// let app = taskpulse::App::new().store("tasks.db");
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// app.serve(listener, async {}).await?;
    /// assert!(std::fs::exists("tasks.db")?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "store")]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store.path = Some(path.into());
        self
    }

    pub(super) fn keep(&mut self, settings: &StoreSettings) {
        if let Some(path) = &settings.path {
            self.store.path.clone_from(path);
        }
        if let Some(kept) = settings.kept {
            self.store.kept = kept;
        }
    }
}

// === impl StorePlan ===

impl StorePlan {
    /// Writes from now on, if anything is to be written.
    ///
    /// # Errors
    ///
    /// Those of the store's start.
    pub(super) async fn start(
        self,
        tracker: &Arc<Tracker>,
        telemetry: &Telemetry,
    ) -> Result<Found, Error> {
        if self.path.is_none() {
            return Ok(Found::default());
        }
        let (tracker, instance) = (Arc::clone(tracker), telemetry.instance());
        // The caller's runtime may have better things to do than to wait for a disk.
        let found = spawn_blocking(move || self.start_here(&tracker, instance)).await;
        found.unwrap_or_else(|error| Err(Error::Start(io::Error::other(error))))
    }

    /// The same, on this thread.
    #[cfg(feature = "store")]
    pub(super) fn start_here(
        self,
        tracker: &Arc<Tracker>,
        instance: String,
    ) -> Result<Found, Error> {
        match self.path {
            Some(path) => store::start(&path, self.kept, instance, tracker),
            None => Ok(Found::default()),
        }
    }

    #[cfg(not(feature = "store"))]
    pub(super) fn start_here(self, _: &Arc<Tracker>, _: String) -> Result<Found, Error> {
        Ok(Found::default())
    }
}

impl Default for StorePlan {
    fn default() -> Self {
        Self {
            path: None,
            kept: KEPT,
        }
    }
}

// === impl Found ===

#[cfg(not(feature = "store"))]
impl Found {
    pub(super) fn announce(self, _: &Arc<Tracker>) {}
}
