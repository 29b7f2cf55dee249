use std::sync::Arc;

use super::*;
use crate::{Tasks, telemetry::Telemetry};

const RHYTHM: Rhythm = Rhythm {
    first: Checkpoints::FIRST,
};

fn ages(rhythm: Rhythm, count: usize) -> Vec<u64> {
    let mut age = Duration::ZERO;
    let ages = (0..count).map(|_| {
        age = rhythm.after(age);
        age.as_secs()
    });
    ages.collect()
}

#[test]
fn intervals_double_up_to_half_an_hour() {
    let first = [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 4_360, 6_160];
    assert_eq!(ages(RHYTHM, 12), first);
    let hour = Rhythm {
        first: Duration::from_secs(3_600),
    };
    assert_eq!(ages(hour, 3), [3_600, 7_200, 10_800]);
    assert_eq!(RHYTHM.after(Duration::MAX), Duration::MAX);
}

#[test]
fn each_second_has_its_own_room() {
    let budget = Budget::default();
    let at = Duration::from_millis(7_900);
    let most = usize::try_from(Budget::MOST).expect("it is small");
    let taken = (0..most + 5).filter(|_| budget.take(at)).count();
    assert_eq!(taken, most);
    assert_eq!(Budget::next(at), Duration::from_secs(8));
    assert!(budget.take(Budget::next(at)));
    // Somebody who has read the clock before takes of the later second.
    assert!(budget.take(at));
    let rest = (0..most).filter(|_| budget.take(at)).count();
    assert_eq!(rest, most - 2);
}

#[test]
fn what_has_ended_takes_no_room_for_long() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let tracker = Arc::new(Tracker::new(crate::task::Limits {
        history: 10,
        max_active: 1_000_000,
    }));
    let millis = Arc::new(AtomicU64::new(0));
    let hands = Arc::clone(&millis);
    let passed = move || Duration::from_millis(hands.load(Ordering::SeqCst));
    tracker.registry().clock.follow(Arc::new(passed));
    let started = tracker.now();
    // A watcher that nobody runs: this test is the watcher.
    runtime.block_on(async { tracker.watch_here() });
    let telemetry = Telemetry::local().expect("it needs nothing");
    tracker.report_to(telemetry, &crate::telemetry::Edges::new());
    tracker.begin_checkpoints();
    let tasks = Tasks::new(Arc::clone(&tracker));
    let begin = || tasks.begin("import").start().expect("there is room");
    let mut schedule = Schedule::default();
    let mut look = |at: u64| {
        millis.store(at, Ordering::SeqCst);
        let next = schedule.look(&tracker);
        let next = next.map(|next| (next - started).as_millis());
        (next, schedule.due.len())
    };
    assert_eq!(look(0), (None, 0));
    let mut long: Vec<_> = (0..5_000).map(|_| begin()).collect();
    // Woken, it looks after a while, whatever there is by then.
    assert_eq!(look(100).0, Some(1_100));
    for _ in 0..5_000 {
        begin().succeed();
    }
    assert_eq!(look(1_100).1, 0);
    assert_eq!(look(4_100).1, 5_000);
    long.truncate(1_000);
    assert_eq!(look(4_500).1, 5_000);
    assert_eq!(look(5_200).1, 1_000);
    drop(long);
    assert_eq!(look(6_200), (None, 0));
    // The next begin, and only that one, wakes it.
    assert_eq!(look(6_300).0, Some(7_300));
    assert_eq!(look(7_300), (None, 0));
}
