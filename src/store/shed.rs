//! Says that the store falls behind, and that it has caught up.

use tracing::{info, warn};

use super::Shared;
use crate::telemetry::quietly;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Shed {
    /// Begins that had been shed at the last look.
    seen: u64,
    /// The same before the store fell behind, if it is.
    before: Option<u64>,
}

/// Behind no longer: less waits than this.
const LITTLE: u64 = 4_096;

// === impl Shed ===

impl Shed {
    /// Looks, and says what is new.
    pub(super) fn look(&mut self, shared: &Shared) {
        let (path, queue) = (&shared.path, &shared.queue);
        let shed = queue.shed();
        if self.before.is_none() && shed > self.seen {
            self.before = Some(self.seen);
            quietly(
                || warn!(%path, "the store falls behind: begins are left out, which taskpulse_store_shed_total counts; they are written when there is time, if their tasks still run"),
            );
        } else if let Some(before) = self.before
            && shed == self.seen
            && queue.unwritten() < LITTLE
            && !queue.owes_begins()
        {
            self.before = None;
            let shed_begins = shed - before;
            quietly(|| info!(%path, shed_begins, "the store has caught up"));
        }
        self.seen = shed;
    }
}
