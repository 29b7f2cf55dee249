//! A store that fails, and works again.

use std::time::Duration;

use super::{
    NARROW, Room, eventually, health, id, open,
    shelf::{Shelf, fault},
};
use crate::store::backend::FaultKind;

#[test]
fn what_fails_is_tried_again() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    assert_eq!(health(&tracker).fault, None);
    shelf.with(|state| state.write_fault = Some(fault(FaultKind::Passing)));
    let handle = tasks.begin("import").start().unwrap();
    eventually("the fault shows", || health(&tracker).fault.is_some());
    let said = health(&tracker);
    assert_eq!(said.fault.as_deref(), Some("the shelf has fallen down"));
    assert!(said.failures > 0);
    assert_eq!(said.queue, 1, "wherever it waits");
    assert_eq!(shelf.running(), Vec::<u64>::new());
    shelf.with(|state| state.write_fault = None);
    eventually("it works again", || health(&tracker).fault.is_none());
    assert_eq!(shelf.running(), [id(&handle)]);
    assert_eq!(shelf.with(|state| (state.opened, state.set_aside)), (1, 0));
    handle.succeed();
}

#[test]
fn what_waits_for_a_store_that_fails_is_bounded() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, NARROW);
    let handle = tasks.begin("import").start().unwrap();
    eventually("it is written", || shelf.running() == [id(&handle)]);
    shelf.with(|state| state.write_fault = Some(fault(FaultKind::Passing)));
    let mut begun = Vec::new();
    for round in 1..=20 {
        begun.extend((0..10).map(|_| tasks.begin("import").start().unwrap()));
        handle.heartbeat();
        let failed = health(&tracker).failures;
        eventually("it is tried again", || health(&tracker).failures > failed);
        let queue = health(&tracker).queue;
        assert!((1..=21).contains(&queue), "{queue} in round {round}");
    }
    assert!(health(&tracker).shed >= 170, "{:?}", health(&tracker));
    assert!(
        !tracker.close_journal(Duration::from_secs(10)),
        "not written"
    );
}

#[test]
fn what_could_not_be_written_is_at_the_end() {
    let shelf = Shelf::default();
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    shelf.with(|state| state.write_fault = Some(fault(FaultKind::Passing)));
    let handle = tasks.begin("import").start().unwrap();
    eventually("it fails", || health(&tracker).fault.is_some());
    // The writer has it, and this one waits.
    let other = tasks.begin("import").start().unwrap();
    shelf.with(|state| state.write_fault = None);
    assert!(tracker.close_journal(Duration::from_secs(10)));
    assert_eq!(shelf.running(), [id(&handle), id(&other)]);
}
