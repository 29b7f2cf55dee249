//! Checkpoints: a task that runs for long is seen before it ends.
//!
//! The watcher's thread makes those whose time has come, and begins do nothing
//! for it: once in a while it looks which tasks have grown old, each once, and
//! keeps these in order of their next checkpoint. Short tasks never get there.
//!
//! Where more are due than a second has room for, they wait in that order. One
//! that still waits when the next one of its task is due is left out, and
//! counted, so that none is later than its own interval is long.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use super::{Live, Tracker};
use crate::{
    TaskId, TaskState,
    task::{View, nanos},
    telemetry::{Occasion, Reporter, emit_checkpoint, emit_skipped},
};

/// How an app makes checkpoints.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// The age of a task at its first one, in nanoseconds; 0 where none is made.
    first: AtomicU64,
    /// Whether spans go anywhere.
    exported: AtomicBool,
    timed: Budget,
    /// Of those that the program asks for: a loop that does takes nothing away
    /// from the others.
    asked: Budget,
}

/// When the checkpoints of a task are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rhythm {
    first: Duration,
}

/// What each second has room for.
#[derive(Debug, Default)]
struct Budget(
    /// The second, and below it how many it has had.
    AtomicU64,
);

/// The watcher's own: which tasks have a checkpoint next.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// By the time that it is due, on the registry's clock.
    due: BinaryHeap<Reverse<(Duration, TaskId)>>,
    /// When it looks again which tasks have grown old.
    next_look: Duration,
    /// Whether the next begin is to wake it.
    dozing: bool,
}

/// What becomes of a task whose checkpoint is due.
enum Verdict {
    /// The next one is due then.
    Again(Duration),
    /// This second has no room.
    Wait,
    Ended,
}

// === impl Checkpoints ===

impl Checkpoints {
    /// The first one of a task, unless somebody says otherwise.
    const FIRST: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self {
            first: AtomicU64::new(nanos(Self::FIRST)),
            exported: AtomicBool::new(false),
            timed: Budget::default(),
            asked: Budget::default(),
        }
    }

    /// None where none are made.
    fn rhythm(&self) -> Option<Rhythm> {
        let first = self.first.load(Ordering::Acquire);
        let made = first > 0 && self.exported.load(Ordering::Acquire);
        made.then(|| Rhythm {
            first: Duration::from_nanos(first),
        })
    }
}

// === impl Rhythm ===

impl Rhythm {
    /// The longest interval: eight hours leave about 25 checkpoints.
    const LONGEST: Duration = Duration::from_secs(1_800);

    /// How often is looked which tasks have grown old, at most.
    const LOOK: Duration = Duration::from_secs(1);

    /// A task's age at the checkpoint after one at this age: twice as old.
    fn after(self, age: Duration) -> Duration {
        let longest = Self::LONGEST.max(self.first);
        age.saturating_add(age.clamp(self.first, longest))
    }

    /// Short enough for a task to be found in time for its first one.
    fn pause(self) -> Duration {
        Self::LOOK.min(self.first / 2)
    }
}

// === impl Budget ===

impl Budget {
    /// At 10 µs each a hundredth of a core, and a queue of spans lasts 16 s.
    const MOST: u64 = 1_000;

    const BITS: u32 = 16;

    /// Whether there is room for one more now.
    fn take(&self, now: Duration) -> bool {
        let second = now.as_secs();
        let take = |had: u64| {
            let spent = match had >> Self::BITS {
                // Somebody may have read the clock earlier and come later.
                in_this if in_this >= second => had,
                _ => second << Self::BITS,
            };
            let room = spent & ((1 << Self::BITS) - 1) < Self::MOST;
            room.then_some(spent + 1)
        };
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.is_ok()
    }

    /// When there is room again, if there is none now.
    const fn next(now: Duration) -> Duration {
        Duration::from_secs(now.as_secs() + 1)
    }
}

// === impl Schedule ===

impl Schedule {
    /// Checkpoints between two looks at what else the watcher has to do.
    const TURN: usize = 64;

    /// Makes what is due, a turn of it at most; says when to come again, or
    /// that the next begin will tell.
    pub(super) fn look(&mut self, tracker: &Tracker) -> Option<Duration> {
        let rhythm = tracker.checkpoints.rhythm()?;
        let reporter = tracker.reporter()?;
        let now = tracker.now();
        if self.dozing {
            self.dozing = false;
            tracker.watch.stay_awake();
            // Not at once: where short tasks follow each other, every begin
            // would find it asleep again, and would have to wake it.
            self.next_look = now + rhythm.pause();
        } else if now >= self.next_look {
            self.next_look = now + rhythm.pause();
            self.enrol(tracker, rhythm);
            if self.dozes(tracker) {
                return None;
            }
        }
        let next = self.make_due(tracker, reporter, rhythm, now);
        Some(next.map_or(self.next_look, |next| next.min(self.next_look)))
    }

    /// Takes in the tasks whose first one is due before the next look.
    fn enrol(&mut self, tracker: &Tracker, rhythm: Rhythm) {
        let registry = tracker.registry();
        if let Some(until) = self.next_look.checked_sub(rhythm.first) {
            let grown = registry.grown(until).into_iter();
            let first = |(id, begun): (TaskId, Duration)| Reverse((begun + rhythm.first, id));
            self.due.extend(grown.map(first));
        }
        // Tasks that have ended fall out when they are due, which may be in half
        // an hour. Half of it being those, this costs little for each.
        if self.due.len() > 2 * registry.active().max(1_024) {
            self.due
                .retain(|Reverse((_, id))| running(tracker, *id).is_some());
            self.due.shrink_to(2 * self.due.len());
        }
    }

    /// Whether nothing is there to look at, so that the next begin must say so.
    fn dozes(&mut self, tracker: &Tracker) -> bool {
        let registry = tracker.registry();
        if registry.active() > 0 {
            return false;
        }
        tracker.watch.doze();
        self.dozing = registry.is_idle();
        if self.dozing {
            self.due = BinaryHeap::new(); // All have ended.
        } else {
            tracker.watch.stay_awake();
        }
        self.dozing
    }

    /// Makes what is due; says when the next one is.
    fn make_due(
        &mut self,
        tracker: &Tracker,
        reporter: &Reporter,
        rhythm: Rhythm,
        now: Duration,
    ) -> Option<Duration> {
        for _ in 0..Self::TURN {
            let (due, id) = self.due.peek()?.0;
            if due > now {
                return Some(due);
            }
            self.due.pop();
            match settle(tracker, reporter, rhythm, now, (due, id)) {
                Verdict::Again(next) => self.due.push(Reverse((next, id))),
                Verdict::Wait => {
                    self.due.push(Reverse((due, id)));
                    return Some(Budget::next(now));
                }
                Verdict::Ended => {}
            }
        }
        Some(now)
    }
}

fn settle(
    tracker: &Tracker,
    reporter: &Reporter,
    rhythm: Rhythm,
    now: Duration,
    (due, id): (Duration, TaskId),
) -> Verdict {
    let Some(view) = running(tracker, id) else {
        return Verdict::Ended;
    };
    let task = &view.task;
    let begun = task.begun.mono;
    let again = |age| Verdict::Again(begun.saturating_add(age));
    let age = now.saturating_sub(begun);
    let next = rhythm.after(due.saturating_sub(begun));
    let Some(last) = task.payload.as_ref().last_checkpoint() else {
        return again(next); // It is not sampled.
    };
    // Whoever has named a stage meanwhile has begun a new interval.
    let anew = rhythm.after(last);
    if anew > age {
        return again(anew);
    }
    if next <= age {
        emit_skipped(1, reporter);
        return again(next);
    }
    if !tracker.checkpoints.timed.take(now) {
        return Verdict::Wait;
    }
    emit_checkpoint(&view, age, Occasion::Time, reporter);
    again(rhythm.after(age))
}

/// The task, if it runs. What has been read off the clock before is then no
/// later than its end will be.
fn running(tracker: &Tracker, id: TaskId) -> Option<View<Live>> {
    let view = tracker.registry().find(id);
    view.filter(|view| view.state() == TaskState::Running)
}

// === impl Tracker ===

impl Tracker {
    /// Makes the first checkpoint of a task at this age; none at all where it is
    /// zero.
    pub(crate) fn set_checkpoints(&self, first: Duration) {
        let first = nanos(first);
        self.checkpoints.first.store(first, Ordering::Release);
    }

    /// Makes checkpoints from now on, if they are not turned off.
    pub(super) fn begin_checkpoints(&self) {
        self.checkpoints.exported.store(true, Ordering::Release);
        if self.checkpoints.rhythm().is_some() {
            self.watch.doze();
        }
    }

    /// Makes one of a task at once, if it runs and is sampled. The time until
    /// the next one begins anew.
    pub(super) fn checkpoint(&self, id: TaskId, occasion: Occasion<'_>) {
        let (Some(_), Some(reporter)) = (self.checkpoints.rhythm(), self.reporter()) else {
            return;
        };
        let now = self.now();
        let Some(view) = running(self, id) else {
            return;
        };
        let task = &view.task;
        if task.payload.as_ref().last_checkpoint().is_none() {
            return;
        }
        if self.checkpoints.asked.take(now) {
            let age = now.saturating_sub(task.begun.mono);
            emit_checkpoint(&view, age, occasion, reporter);
        } else {
            emit_skipped(1, reporter);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
