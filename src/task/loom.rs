//! Every interleaving of the task core, on loom's primitives:
//!
//! ```text
//! RUSTFLAGS="--cfg taskpulse_loom" cargo test --release --lib --no-default-features \
//!     --target-dir target/loom loom
//! ```
//!
//! The code under test is the same; `sync` swaps the atomics and the mutex.
//! Loom lets one thread run at a time, so what the models note for themselves
//! is kept in std's types, which add no interleavings of their own. The models
//! are small enough to be tried whole: all of them take less than a second.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

use std::{
    panic::Location,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ::loom::{model, sync::atomic::AtomicBool, thread};

use super::{
    AtCapacity, Bounds, Change, Clock, Condition, Event, Limits, ManualTime, NewTask, Ping,
    PingStatus, Registry, Step, StepError, TaskId, TaskState,
};

/// A registry and what was announced of it.
struct Arena {
    registry: Registry<()>,
    announced: Mutex<Vec<(u64, Option<TaskState>)>>,
    announcing: AtomicBool,
}

#[test]
fn loom_two_ends_race_each_other_and_the_begin() {
    model(|| {
        let arena = Arc::new(Arena::new(Limits::NO_LIMIT));
        let begun = arena.registry.begin(new_task(), ()).unwrap();
        let id = begun.task.id;
        let ends = Arc::new(AtomicUsize::new(0));
        let enders: Vec<_> = [Step::Cancel, Step::Interrupt]
            .into_iter()
            .map(|step| {
                let (arena, ends) = (Arc::clone(&arena), Arc::clone(&ends));
                thread::spawn(move || {
                    if arena.end(id, step).is_ok() {
                        ends.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        arena.announce(begun);
        for ender in enders {
            ender.join().unwrap();
        }
        assert_eq!(ends.load(SeqCst), 1, "one of them ends it");
        let ending = arena.registry.find(id).unwrap().ending.unwrap();
        let announced = arena.announced.lock().unwrap();
        assert_eq!(announced.len(), 2, "begun and ended, none lost");
        assert_eq!(announced[0].1, None);
        assert_eq!(announced[1], (ending.seq, Some(ending.state)));
        assert!(announced[0].0 < announced[1].0, "{announced:?}");
        arena.is_quiet();
    });
}

#[test]
fn loom_a_task_is_ended_as_soon_as_it_can_be_found() {
    model(|| {
        let arena = Arc::new(Arena::new(Limits::NO_LIMIT));
        let other = Arc::clone(&arena);
        let ender = thread::spawn(move || {
            for view in other.registry.all_active() {
                other.end(view.task.id, Step::Interrupt).unwrap();
            }
        });
        let begun = arena.registry.begin(new_task(), ()).unwrap();
        let id = begun.task.id;
        arena.announce(begun);
        ender.join().unwrap();
        // The other one may have come too early to see it.
        arena.end(id, Step::Cancel).unwrap_or_default();
        let announced = arena.announced.lock().unwrap();
        assert_eq!(announced.len(), 2);
        assert_eq!(announced[0].1, None);
        assert!(announced[0].0 < announced[1].0, "{announced:?}");
        arena.is_quiet();
    });
}

/// While either of two is inside, a reader that knows it sees `HealthyBusy`;
/// the timestamp never goes back and belongs to the status: every change takes
/// place in a second of its own.
#[test]
fn loom_two_come_and_go_past_a_reader() {
    model(|| {
        let time = Arc::new(ManualTime::default());
        let clock = Clock::manual(&time);
        let ping = Arc::new(Ping::new(&clock));
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                let (ping, time, clock) = (Arc::clone(&ping), Arc::clone(&time), clock.clone());
                thread::spawn(move || {
                    ping.enter(&clock);
                    assert_eq!(ping.served().status, PingStatus::HealthyBusy);
                    time.advance(Duration::from_secs(1));
                    ping.leave(&clock);
                })
            })
            .collect();
        let first = ping.served();
        let second = ping.served();
        assert!(second.since >= first.since, "{first:?}, then {second:?}");
        for visitor in visitors {
            visitor.join().unwrap();
        }
        let last = ping.served();
        assert_eq!(last.status, PingStatus::Healthy);
        assert!((1..=2).contains(&last.since), "{last:?}");
        assert!(last.since >= second.since);
    });
}

/// Loom has the status change at seconds 1 (busy) and 2 (healthy); whatever a
/// reader sees is one of the three pairs that there were.
#[test]
fn loom_a_reader_sees_whole_pairs() {
    model(|| {
        let time = Arc::new(ManualTime::default());
        let clock = Clock::manual(&time);
        let ping = Arc::new(Ping::new(&clock));
        let reader = {
            let ping = Arc::clone(&ping);
            thread::spawn(move || {
                for served in [ping.served(), ping.served()] {
                    let busy = served.status == PingStatus::HealthyBusy;
                    assert_eq!(busy, served.since == 1, "{served:?}");
                }
            })
        };
        time.advance(Duration::from_secs(1));
        ping.enter(&clock);
        time.advance(Duration::from_secs(1));
        ping.leave(&clock);
        reader.join().unwrap();
    });
}

#[test]
fn loom_forcing_and_entering_at_once_lose_nothing() {
    model(|| {
        let time = Arc::new(ManualTime::default());
        let clock = Clock::manual(&time);
        let ping = Arc::new(Ping::new(&clock));
        let other = (Arc::clone(&ping), clock.clone());
        let forcing = thread::spawn(move || {
            let (ping, clock) = other;
            ping.force(&clock, Some(PingStatus::Healthy));
            ping.customise(&clock, Some(PingStatus::HealthyBusy));
        });
        ping.enter(&clock);
        ping.enter(&clock);
        ping.leave(&clock);
        forcing.join().unwrap();
        assert_eq!(ping.served().status, PingStatus::Healthy, "forced");
        ping.leave(&clock);
        ping.force(&clock, None);
        assert_eq!(ping.served().status, PingStatus::HealthyBusy, "custom");
        ping.customise(&clock, None);
        assert_eq!(ping.served().status, PingStatus::Healthy, "automatic");
    });
}

#[test]
fn loom_one_place_is_given_to_one_of_two() {
    model(|| {
        let arena = Arc::new(Arena::new(1));
        let other = Arc::clone(&arena);
        let contender = thread::spawn(move || other.registry.begin(new_task(), ()));
        let ours = arena.registry.begin(new_task(), ());
        let theirs = contender.join().unwrap();
        let (begun, refused) = match (ours, theirs) {
            (Ok(begun), Err(refused)) | (Err(refused), Ok(begun)) => (begun, refused),
            both => panic!("one place for {both:?}"),
        };
        assert_eq!(refused, AtCapacity { max_active: 1 });
        assert_eq!(arena.registry.active(), 1);
        let id = begun.task.id;
        arena.announce(begun);
        arena.end(id, Step::Cancel).unwrap();
        arena.is_quiet();
        assert!(arena.registry.begin(new_task(), ()).is_ok(), "it is free");
    });
}

#[test]
fn loom_a_place_is_free_once_the_end_is_told() {
    model(|| {
        let arena = Arc::new(Arena::new(1));
        let begun = arena.registry.begin(new_task(), ()).unwrap();
        let id = begun.task.id;
        arena.announce(begun);
        let other = Arc::clone(&arena);
        let ender = thread::spawn(move || other.end(id, Step::Cancel).unwrap());
        let meanwhile = arena.registry.begin(new_task(), ()).is_ok();
        ender.join().unwrap();
        if !meanwhile {
            assert!(arena.registry.begin(new_task(), ()).is_ok(), "it is free");
        }
        assert_eq!(arena.registry.active(), 1);
        assert_eq!(
            arena.registry.ping.served().status,
            PingStatus::HealthyBusy,
            "one of the two is active",
        );
    });
}

/// One place is left among the known names, and two bring new ones.
#[test]
fn loom_one_of_two_new_names_becomes_known() {
    model(|| {
        let arena = Arc::new(Arena::new(Limits::NO_LIMIT));
        let bring = |arena: &Arena, name: &str| {
            arena.registry.declare(name);
            usize::from(arena.registry.overflowed())
        };
        let other = Arc::clone(&arena);
        let contender = thread::spawn(move || bring(&other, "theirs"));
        let told = bring(&arena, "ours") + contender.join().unwrap();
        let mut labels: Vec<_> = arena.registry.kinds().map(|kind| &*kind.label).collect();
        labels.sort_unstable();
        assert!(
            labels == ["_OTHER", "ours"] || labels == ["_OTHER", "theirs"],
            "{labels:?}"
        );
        assert_eq!(told, 1, "it is told once");
    });
}

/// Whoever reads while a task begins and ends sees what there was at some
/// moment, and all of it once the threads have met.
#[test]
fn loom_a_reader_counts_what_there_was() {
    model(|| {
        let arena = Arc::new(Arena::new(Limits::NO_LIMIT));
        arena.registry.declare("raced for");
        let other = Arc::clone(&arena);
        let worker = thread::spawn(move || {
            let begun = other.registry.begin(new_task(), ()).unwrap();
            let id = begun.task.id;
            other.announce(begun);
            other.end(id, Step::Cancel).unwrap();
        });
        let kind = arena.registry.kinds().next().unwrap();
        assert!(kind.active() <= 1);
        assert!(kind.oldest().is_none_or(|begun| begun == Duration::ZERO));
        worker.join().unwrap();
        let counts = [TaskState::Running, TaskState::Cancelled].map(|state| kind.entered(state));
        assert_eq!(counts, [1, 1]);
        assert_eq!((kind.active(), kind.oldest()), (0, None));
        arena.is_quiet();
    });
}

/// A task that is silent too long, a watcher that notes it, a sign of life and an
/// end: whichever comes first, what is counted and announced fits, and a sign ends
/// the condition whenever it comes.
#[test]
fn loom_a_sign_of_life_meets_the_watcher_and_the_end() {
    model(|| {
        let (arena, begun) = Arena::silent();
        let task = Arc::clone(&begun.task);
        arena.announce(begun);
        let other = Arc::clone(&arena);
        let watcher = thread::spawn(move || other.review_due());
        if arena.registry.beat(&task) {
            arena.review(task.id);
        }
        watcher.join().unwrap();
        let kind = arena.registry.kinds().next().unwrap();
        assert_eq!(kind.noted(Condition::Stalled), 0, "a sign has come");
        let crossed = kind.crossed(Condition::Stalled);
        assert!(crossed <= 1);
        let announced = arena.announced.lock().unwrap().len() as u64;
        assert_eq!(announced, 1 + 2 * crossed, "each beginning has its end");
        assert_eq!(arena.registry.next_due(), Some(Duration::from_secs(2)));
        assert!(!arena.registry.beat(&task), "nothing is noted any more");
    });
}

#[test]
fn loom_an_end_meets_the_watcher() {
    model(|| {
        let (arena, begun) = Arena::silent();
        let id = begun.task.id;
        let other = Arc::clone(&arena);
        let watcher = thread::spawn(move || other.review_due());
        arena.announce(begun);
        arena.end(id, Step::Cancel).unwrap();
        watcher.join().unwrap();
        let kind = arena.registry.kinds().next().unwrap();
        assert_eq!(kind.noted(Condition::Stalled), 0, "it has ended");
        let announced = arena.announced.lock().unwrap();
        assert_eq!(announced.len() as u64, 2 + kind.crossed(Condition::Stalled));
        assert!(announced.is_sorted_by(|a, b| a.0 < b.0), "{announced:?}");
        assert_eq!(announced.last().unwrap().1, Some(TaskState::Cancelled));
        assert_eq!(arena.registry.next_due(), None);
        arena.is_quiet();
    });
}

fn new_task() -> NewTask {
    NewTask {
        name: "raced for".into(),
        metadata: Box::default(),
        origin: None,
        begun_at: Location::caller(),
        bounds: Bounds::default(),
    }
}

// === impl Arena ===

impl Arena {
    fn new(max_active: usize) -> Self {
        Self::with_time(max_active, &Arc::new(ManualTime::default()))
    }

    fn with_time(max_active: usize, time: &Arc<ManualTime>) -> Self {
        let limits = Limits {
            history: 4,
            max_active,
        };
        Self {
            registry: Registry::new(limits, Clock::manual(time)),
            announced: Mutex::default(),
            announcing: AtomicBool::new(false),
        }
    }

    /// With a task that has just been silent for too long.
    fn silent() -> (Arc<Self>, Event<()>) {
        let time = Arc::new(ManualTime::default());
        let arena = Arc::new(Self::with_time(Limits::NO_LIMIT, &time));
        let mut new = new_task();
        new.bounds.stall_after = Some(Duration::from_secs(1));
        let begun = arena.registry.begin(new, ()).unwrap();
        time.advance(Duration::from_secs(1));
        (arena, begun)
    }

    fn review_due(&self) {
        for id in self.registry.due() {
            self.review(id);
        }
    }

    fn end(&self, id: TaskId, step: Step) -> Result<(), StepError> {
        if let Some(event) = self.registry.step(id, step)? {
            self.announce(event);
        }
        Ok(())
    }

    fn review(&self, id: TaskId) {
        let review = self.registry.review(id);
        if let Some(event) = review.and_then(|review| review.event) {
            self.announce(event);
        }
    }

    /// As the tracker does it. Two at once would be out of order.
    fn announce(&self, event: Event<()>) {
        let mut next = Some(event);
        while let Some(event) = next {
            assert!(!self.announcing.swap(true, SeqCst), "two announce at once");
            let state = match &event.change {
                Change::Begun | Change::Crossed(_) | Change::Cleared(_) => None,
                Change::Ended(ending) => Some(ending.state),
            };
            self.announced.lock().unwrap().push((event.seq, state));
            assert!(self.announcing.swap(false, SeqCst));
            next = self.registry.announced(&event);
        }
    }

    fn is_quiet(&self) {
        assert_eq!(self.registry.active(), 0);
        assert_eq!(self.registry.ping.served().status, PingStatus::Healthy);
    }
}
