//! What an earlier process has left, and what this one had before it had a store.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use tracing::{error, warn};

use super::{
    backend::{Backend, Fault},
    queue::mark_known,
};
use crate::{
    task::Note,
    telemetry::{Flushed, Reporter, quietly},
    track::{LostTask, Tracker},
};

/// Lost tasks that are told of before what is told is sent: less than a queue of spans
/// holds.
const CHUNK: usize = 4_096;

/// What there is to be told of the start of a store.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Tasks that were lost with their process. They are counted and listed.
    lost: Vec<LostTask>,
    /// What is the matter.
    pub(super) complaint: Option<String>,
}

/// Takes in what the store has: the tasks that ended within `kept`, and those that were
/// lost with their process.
pub(super) fn find(
    backend: &mut dyn Backend,
    tracker: &Tracker,
    kept: Duration,
) -> Result<Found, Fault> {
    let registry = tracker.registry();
    let since = registry.clock.wall().saturating_sub(kept);
    let ended = backend.history(registry.history_limit(), since)?;
    let lost = backend.lost()?;
    for record in ended.rows {
        if let Some((past, ending, live)) = record.into_ended() {
            registry.restore(past, ending, live);
        }
    }
    let unreadable = ended.unreadable + lost.unreadable;
    let lost = lost.rows.into_iter().filter_map(|lost| {
        let (past, age, why, live) = lost.into_past();
        tracker.lose(past, age, why, live)
    });
    Ok(Found {
        lost: lost.collect(),
        complaint: (unreadable > 0).then(|| {
            format!("damaged tasks in the store: {unreadable}; they are left out, and deleted")
        }),
    })
}

/// Tells of lost tasks, a queue's worth at a time.
fn tell(tracker: &Weak<Tracker>, mut lost: Vec<LostTask>) -> Option<()> {
    while !lost.is_empty() {
        let chunk = lost.drain(..lost.len().min(CHUNK));
        let told = tracker.upgrade()?;
        let tasks: Vec<_> = chunk.map(|lost| told.announce_lost(lost)).collect();
        let reporter = told.reporter().cloned();
        drop(told);
        await_sent(tracker, reporter.as_deref())?;
        let tracker = tracker.upgrade()?;
        for task in tasks {
            mark_known(&task);
            tracker.note(&task, Note::Ended { bytes: 0 });
        }
    }
    Some(())
}

/// Waits until what was told is sent, for as long as the collector is down. None where
/// the process ends before that: the next one tells of them.
fn await_sent(tracker: &Weak<Tracker>, reporter: Option<&Reporter>) -> Option<()> {
    let Some(reporter) = reporter else {
        return Some(());
    };
    while tracker.strong_count() > 0 {
        match reporter.telemetry.flush_spans() {
            Flushed::Done => return Some(()),
            Flushed::Waiting => {}
            Flushed::Ended => return None,
        }
    }
    None
}

// === impl Found ===

impl Found {
    /// Nothing but a complaint.
    pub(super) fn complaint(complaint: String) -> Self {
        Self {
            lost: Vec::new(),
            complaint: Some(complaint),
        }
    }

    /// Says what is the matter, and tells of the lost tasks, on a thread of its own.
    ///
    /// They stay what they are in the store until what was said of them is sent: should
    /// this process be killed as well, the next one says it again.
    pub(crate) fn announce(self, tracker: &Arc<Tracker>) {
        let Self { lost, complaint } = self;
        if let Some(complaint) = complaint {
            quietly(|| error!("{complaint}"));
        }
        if lost.is_empty() {
            return;
        }
        let lost_tasks = lost.len();
        quietly(|| {
            warn!(
                lost_tasks,
                "an earlier process ended with tasks running: they are lost"
            )
        });
        let tracker = Arc::downgrade(tracker);
        let thread = thread::Builder::new().name("taskpulse-lost".to_owned());
        let telling = thread.spawn(move || {
            tell(&tracker, lost);
        });
        if let Err(error) = telling {
            quietly(
                || error!(%error, "no thread to tell of lost tasks; the next start tells of them"),
            );
        }
    }
}
