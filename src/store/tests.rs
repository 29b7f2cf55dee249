//! The writer and its queue, on a store whose faults the test decides.

mod failing;
mod shelf;
mod takeover;

use std::{sync::Arc, thread, time::Duration};

use proptest::{prelude::*, test_runner::Config};

use self::shelf::{Shelf, fault};
use super::{LAST, Room, Terms, backend::FaultKind, start_at};
use crate::{
    Error, TaskHandle, TaskState, Tasks,
    task::{Clock, Health, Limits},
    track::Tracker,
};

/// What a kill may cost at most.
const PROMISE: Duration = Duration::from_millis(100);

const TERMS: Terms = Terms {
    kept: Duration::from_secs(3_600),
    room: Room::ENOUGH,
    patience: Duration::from_secs(30),
    beat: Duration::from_millis(20),
};

/// Soon full.
const NARROW: Room = Room {
    tasks: 10,
    ..Room::ENOUGH
};

fn tracker() -> Arc<Tracker> {
    Arc::new(Tracker::new(Limits {
        history: 1_000,
        max_active: Limits::NO_LIMIT,
    }))
}

/// A tracker that writes to `shelf`.
fn open(shelf: &Shelf, room: Room) -> (Arc<Tracker>, Tasks) {
    let tracker = tracker();
    let terms = Terms { room, ..TERMS };
    let found = start_at(Box::new(shelf.clone()), "shelf".into(), terms, &tracker);
    found.unwrap().announce(&tracker);
    let tasks = Tasks::new(Arc::clone(&tracker));
    (tracker, tasks)
}

fn health(tracker: &Tracker) -> Health {
    tracker.journal().unwrap()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !holds() {
        assert!(clock.mono() < Duration::from_secs(20), "{what}");
        pause(2);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own thread")]
fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

fn id(handle: &TaskHandle) -> u64 {
    handle.id().into()
}

#[test]
fn what_happens_is_written_within_what_is_promised() {
    let shelf = Shelf::default();
    let (_tracker, tasks) = open(&shelf, Room::ENOUGH);
    let clock = Clock::system();
    let mut late = 0;
    for _ in 0..20 {
        let begun = clock.mono();
        let handle = tasks.begin("import").start().unwrap();
        eventually("begun", || shelf.state_of(id(&handle)).is_some());
        // Other tests have the processors, too: once is no proof.
        late += usize::from(clock.mono() - begun > PROMISE);
        let at = id(&handle);
        handle.fail("no");
        let failed = Some(TaskState::Failed);
        eventually("ended", || shelf.state_of(at) == failed);
    }
    assert!(
        late < 10,
        "{late} of 20 begins took longer than {PROMISE:?}"
    );
}

#[test]
fn signs_of_life_are_written_in_time() {
    let shelf = Shelf::default();
    let (_tracker, tasks) = open(&shelf, Room::ENOUGH);
    let handle = tasks.begin("import").start().unwrap();
    eventually("begun", || shelf.running() == [id(&handle)]);
    handle.progress(0.5, "half");
    let at = id(&handle);
    eventually("the progress", || {
        shelf.with(|state| {
            let task = &state.tasks[&at];
            (task.progress, task.last_seen.is_some()) == (Some(0.5), true)
        })
    });
    handle.heartbeat();
    let seen = |shelf: &Shelf| shelf.with(|state| state.tasks[&at].last_seen);
    let first = seen(&shelf);
    eventually("a later sign", || {
        handle.heartbeat();
        seen(&shelf) > first
    });
    handle.succeed();
}

#[test]
fn a_store_that_hangs_holds_nobody_up() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, NARROW);
    let written: Vec<_> = (0..5)
        .map(|_| tasks.begin("import").start().unwrap())
        .collect();
    eventually("they are written", || shelf.running().len() == 5);
    shelf.with(|state| state.hangs = true);
    let clock = Clock::system();
    let begun: Vec<_> = (0..1_000)
        .map(|_| tasks.begin("import").start().unwrap())
        .collect();
    let ids: Vec<_> = written.iter().map(id).collect();
    written.into_iter().for_each(TaskHandle::succeed);
    assert!(clock.mono() < Duration::from_secs(10), "nobody waits");
    let shed = health(&tracker).shed;
    // Those that the writer holds, those that wait, and one group between.
    assert!((900..1_000).contains(&shed), "{shed}");
    assert!(!tracker.close_journal(Duration::from_millis(1)), "it hangs");
    shelf.with(|state| state.hangs = false);
    assert!(tracker.close_journal(Duration::from_secs(10)));
    for at in ids {
        assert_eq!(shelf.state_of(at), Some(TaskState::Succeeded));
    }
    drop(begun);
}

#[test]
fn what_was_shed_is_written_when_there_is_time() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, NARROW);
    shelf.with(|state| state.hangs = true);
    let begun: Vec<_> = (0..500)
        .map(|_| tasks.begin("import").start().unwrap())
        .collect();
    assert!(health(&tracker).shed > 400);
    shelf.with(|state| state.hangs = false);
    eventually("all are written", || shelf.running().len() == begun.len());
}

#[test]
fn what_is_great_takes_the_room_of_many() {
    let shelf = Shelf::default();
    let room = Room {
        bytes: 100_000,
        ..Room::ENOUGH
    };
    let (tracker, tasks) = open(&shelf, room);
    shelf.with(|state| state.hangs = true);
    for _ in 0..20 {
        let begin = tasks.begin("import").metadata("text", "x".repeat(10_000));
        begin.start().unwrap().succeed();
    }
    // What the writer holds, and what waits.
    let shed = health(&tracker).shed;
    assert!((5..=11).contains(&shed), "{shed} without results");
    for _ in 0..20 {
        let begin = tasks.begin("import").start().unwrap();
        begin.succeed_with("x".repeat(60_000));
    }
    let more = health(&tracker).shed - shed;
    assert!(more >= 18, "{more} with results");
    shelf.with(|state| state.hangs = false);
}

#[test]
fn a_broken_store_ends_and_tasks_go_on() {
    for panics in [false, true] {
        let shelf = Shelf::default();
        let (tracker, tasks) = open(&shelf, Room::ENOUGH);
        shelf.with(|state| {
            state.fault = Some(fault(FaultKind::Broken));
            state.panics = panics;
        });
        eventually("it is found", || health(&tracker).fault.is_some());
        let handle = tasks.begin("import").start().unwrap();
        handle.succeed();
        shelf.with(|state| state.panics = false);
        assert!(tracker.close_journal(Duration::from_secs(10)), "it is over");
        let aside = shelf.with(|state| state.set_aside);
        assert_eq!(aside, usize::from(!panics));
        assert_eq!(health(&tracker).queue, 0);
        let said = health(&tracker).fault.unwrap();
        assert_eq!(
            said.contains("panicked: the shelf is on fire"),
            panics,
            "{said}"
        );
    }
}

#[test]
fn a_strangers_file_is_refused() {
    let shelf = Shelf::default();
    shelf.with(|state| state.fault = Some(fault(FaultKind::Foreign)));
    let tracker = tracker();
    let refused = start_at(Box::new(shelf.clone()), "shelf".into(), TERMS, &tracker);
    assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
    assert_eq!(shelf.with(|state| state.set_aside), 0);
}

#[test]
fn a_store_that_opens_slowly_is_not_waited_for() {
    let shelf = Shelf::default();
    shelf.with(|state| state.hangs = true);
    let tracker = tracker();
    let terms = Terms {
        patience: Duration::from_millis(10),
        ..TERMS
    };
    let site = Box::new(shelf.clone());
    let found = start_at(site, "shelf".into(), terms, &tracker).unwrap();
    assert!(found.complaint.is_some());
    assert!(health(&tracker).fault.is_some());
    let tasks = Tasks::new(Arc::clone(&tracker));
    let handle = tasks.begin("import").start().unwrap();
    shelf.with(|state| state.hangs = false);
    eventually("it is written", || shelf.running() == [id(&handle)]);
    assert_eq!(health(&tracker).fault, None);
}

#[test]
fn ended_tasks_that_would_be_forgotten_at_once_are_not_written() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    tracker.registry().set_history(10);
    shelf.with(|state| state.hangs = true);
    for _ in 0..100 {
        tasks.begin("import").start().unwrap().succeed();
    }
    shelf.with(|state| state.hangs = false);
    assert!(tracker.close_journal(Duration::from_secs(10)));
    let written = shelf.with(|state| state.tasks.len());
    // Of each group the last ten.
    assert!((10..60).contains(&written), "{written}");
    assert_eq!(shelf.with(|state| state.closed), 1);
}

#[test]
fn the_last_changes_are_written_when_the_tracker_goes() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    let handle = tasks.begin("import").start().unwrap();
    let at = id(&handle);
    handle.succeed();
    drop((tracker, tasks));
    eventually("it is closed", || shelf.with(|state| state.closed) == 1);
    assert_eq!(shelf.state_of(at), Some(TaskState::Succeeded));
}

#[test]
fn whoever_lets_go_waits_for_the_last_changes() {
    let mut waited = 0;
    for _ in 0..20 {
        let shelf = Shelf::default();
        let (tracker, tasks) = open(&shelf, Room::ENOUGH);
        let handle = tasks.begin("import").start().unwrap();
        eventually("it runs", || shelf.running().len() == 1);
        handle.succeed();
        drop((tracker, tasks));
        // The writer may be at work just then, and the last to let go.
        waited += shelf.with(|state| state.closed);
    }
    assert!(waited > 10, "{waited} of 20");
}

#[test]
fn whoever_lets_go_does_not_wait_for_ever_or_twice() {
    // More than once, since the writer may be the last to let go.
    for closed in [false, true, true, true, true, true] {
        let shelf = Shelf::default();
        let (tracker, tasks) = open(&shelf, Room::ENOUGH);
        let handle = tasks.begin("import").start().unwrap();
        eventually("it runs", || shelf.running().len() == 1);
        shelf.with(|state| state.hangs = true);
        handle.succeed();
        if closed {
            assert!(!tracker.close_journal(Duration::ZERO), "it hangs");
        }
        let clock = Clock::system();
        drop((tracker, tasks));
        let most = if closed { LAST / 2 } else { 10 * LAST };
        assert!(clock.mono() < most, "closed before: {closed}");
        shelf.with(|state| state.hangs = false);
        eventually("it is closed", || shelf.with(|state| state.closed) == 1);
    }
}

proptest! {
    #![proptest_config(Config::with_cases(40))]

    /// Whatever fails and however little room there is: once the store works and there
    /// is time, it has the active tasks as running, and no others.
    #[test]
    fn the_store_comes_to_have_what_is(
        room in 1_usize..20,
        steps in prop::collection::vec((0_u8..9, any::<prop::sample::Index>()), 1..200),
    ) {
        let shelf = Shelf::default();
        let room = Room { tasks: room, signs: room, ..Room::ENOUGH };
        let (tracker, tasks) = open(&shelf, room);
        let mut active = Vec::new();
        for (step, at) in steps {
            match step {
                0..=2 => active.push(tasks.begin("import").start().unwrap()),
                3 | 4 if !active.is_empty() => {
                    let handle: TaskHandle = active.swap_remove(at.index(active.len()));
                    handle.succeed();
                }
                5 if !active.is_empty() => active[at.index(active.len())].heartbeat(),
                6 => shelf.with(|state| {
                    let failing = state.fault.take().is_none();
                    state.fault = failing.then(|| fault(FaultKind::Passing));
                }),
                7 => pause(at.index(8) as u64),
                8 => shelf.with(|state| {
                    let failing = state.write_fault.take().is_none();
                    state.write_fault = failing.then(|| fault(FaultKind::Passing));
                }),
                _ => shelf.with(|state| state.hangs = !state.hangs),
            }
        }
        shelf.with(|state| {
            state.fault = None;
            state.write_fault = None;
            state.hangs = false;
        });
        let mut expected: Vec<_> = active.iter().map(id).collect();
        expected.sort_unstable();
        eventually("the store has what is", || shelf.running() == expected);
        drop(active);
        drop((tracker, tasks));
        eventually("nothing runs", || shelf.running().is_empty());
    }
}
