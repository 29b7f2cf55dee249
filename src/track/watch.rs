//! The watcher: looks at bounded tasks when it is time, whoever else is asleep.
//!
//! It runs on a thread of its own, since user code may hold up every worker of
//! the runtime, and what it announces may run user code, which has no place on
//! the front. The thread is there from the first task on that has a limit, or
//! whose span is exported.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use humantime::format_duration;
use tokio::{runtime::Builder, sync::Notify, task::yield_now, time::timeout};
use tracing::error;

use super::{
    Tracker,
    checkpoints::Schedule,
    platform::{Platform, told},
};
use crate::{
    task::{Verdict, nanos},
    telemetry::{RateLimit, quietly},
};

/// What tasks tell the watcher.
#[derive(Debug)]
pub(super) struct Watch {
    /// What it sleeps until, on the registry's clock; [`AWAKE`](Self::AWAKE)
    /// where whatever is begun must wake it.
    asleep_until: AtomicU64,
    /// Whether whatever is begun must wake it, with a limit or without.
    dozing: AtomicBool,
    wake: Arc<Notify>,
    started: AtomicBool,
    complaints: RateLimit,
}

// === impl Watch ===

impl Watch {
    const AWAKE: u64 = u64::MAX;

    pub(super) fn new() -> Self {
        Self {
            asleep_until: AtomicU64::new(Self::AWAKE),
            dozing: AtomicBool::new(false),
            wake: Arc::new(Notify::new()),
            started: AtomicBool::new(false),
            complaints: RateLimit::default(),
        }
    }

    /// Starts the watcher, if none runs yet. The caller's thread is not held up.
    pub(super) fn start(&self, tracker: &Arc<Tracker>) {
        if self.started.load(Ordering::Relaxed) || self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let runtime = Builder::new_current_thread().enable_time().build();
        let started = runtime.and_then(|runtime| {
            let watching = watch(Arc::downgrade(tracker), Arc::clone(&self.wake));
            let thread = thread::Builder::new().name("taskpulse-watch".to_owned());
            thread.spawn(move || runtime.block_on(watching))
        });
        if let Err(error) = started {
            // The next begin tries again.
            self.started.store(false, Ordering::Release);
            self.doze();
            if self.complaints.speak(tracker.now()).is_some() {
                complain(&error);
            }
        }
    }

    /// The same on the runtime that this is called in, whose time may be paused.
    #[cfg(feature = "testing")]
    pub(super) fn start_here(&self, tracker: &Arc<Tracker>) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let watching = watch(Arc::downgrade(tracker), Arc::clone(&self.wake));
        #[expect(clippy::disallowed_methods, reason = "ends with the tracker")]
        tokio::spawn(watching);
    }

    /// There is something else to look at.
    pub(super) fn nudge(&self) {
        self.wake.notify_one();
    }

    /// There is a task to be looked at when it is `due`.
    pub(super) fn expect(&self, due: Duration) {
        if nanos(due) < self.asleep_until.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// A task has been begun. Costs a look, but for the first one after a while.
    pub(super) fn rouse(&self, tracker: &Arc<Tracker>) {
        if self.dozing.load(Ordering::SeqCst) && self.dozing.swap(false, Ordering::SeqCst) {
            self.start(tracker);
            self.wake.notify_one();
        }
    }

    /// Asks to be woken by the next begin.
    pub(super) fn doze(&self) {
        self.dozing.store(true, Ordering::SeqCst);
    }

    /// Asks that no longer.
    pub(super) fn stay_awake(&self) {
        self.dozing.store(false, Ordering::SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nothing is left to watch.
        self.wake.notify_one();
    }
}

fn complain(error: &std::io::Error) {
    quietly(|| {
        error!(
            %error,
            "cannot start the watcher: limits of tasks are not heeded, and no checkpoints are made"
        );
    });
}

async fn watch(tracker: Weak<Tracker>, wake: Arc<Notify>) {
    let mut platform = Platform::default();
    let mut schedule = Schedule::default();
    loop {
        let Some(tracker) = tracker.upgrade() else {
            return;
        };
        let asleep_until = &tracker.watch.asleep_until;
        // Whatever is begun from here on leaves word, and is looked at next.
        asleep_until.store(Watch::AWAKE, Ordering::SeqCst);
        let rests = [
            look(&tracker),
            platform.look(&tracker),
            schedule.look(&tracker),
        ];
        let rest = rests.into_iter().flatten().min();
        let now = tracker.now();
        asleep_until.store(rest.map_or(Watch::AWAKE, nanos), Ordering::SeqCst);
        drop(tracker);
        match rest {
            // A timer would take a millisecond.
            Some(next) if next <= now => yield_now().await,
            Some(next) => {
                let woken = timeout(next.saturating_sub(now), wake.notified());
                woken.await.unwrap_or_default();
            }
            None => wake.notified().await,
        }
    }
}

/// Looks at the tasks that are due; says when the next one is.
fn look(tracker: &Tracker) -> Option<Duration> {
    for id in tracker.registry().due() {
        tracker.review(id);
    }
    tracker.registry().next_due()
}

/// The error text of a task that had to be ended.
pub(super) fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::TooOld(age) => {
            format!("older than its greatest age of {}", format_duration(age))
        }
        Verdict::Late(late) => {
            let late = late.max(Duration::from_millis(1));
            format!("past its deadline by {}", told(late))
        }
        Verdict::Silent(limit) => format!("no sign of life for {}", format_duration(limit)),
    }
}
