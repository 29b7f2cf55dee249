//! What an earlier process has left.

use std::time::{Duration, SystemTime};

use super::{
    Room, eventually, health, id, open,
    shelf::{Shelf, fault},
};
use crate::{
    TaskId, TaskState,
    store::backend::{End, FaultKind, Lost, Record, Trace},
};

/// A task as an earlier process may have left it.
fn left(id: u64, end: Option<TaskState>) -> Record<'static> {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Record {
        id: TaskId::try_from(id).unwrap(),
        known: false,
        name: "import".into(),
        metadata: r#"{"rows":3}"#.into(),
        session_id: Some("s-1".into()),
        request_id: Some("r-1".into()),
        baggage: Some(r#"{"tenant":"a"}"#.into()),
        file: "src/import.rs".into(),
        line: 7,
        begun: begun.unwrap() - Duration::from_secs(60),
        deadline: None,
        trace: Some(Trace {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent_id: Some([3; 8]),
            sampled: true,
        }),
        last_seen: None,
        progress: Some(0.5),
        progress_message: Some("half".into()),
        end: end.map(|state| End {
            state,
            duration: Duration::from_secs(5),
            result: None,
            error: None,
            panicked: false,
        }),
    }
}

#[test]
fn an_earlier_process_is_taken_over_from() {
    let shelf = Shelf::default();
    let later = Duration::from_secs(30);
    shelf.with(|state| {
        let task = left(4, None);
        let owner_seen = task.begun + later;
        let instance = "one".to_owned();
        state.lost = vec![Lost {
            task,
            instance,
            owner_seen,
        }];
        state.history = vec![
            left(2, Some(TaskState::Failed)),
            left(3, Some(TaskState::Succeeded)),
        ];
        state.next_id = 1 << 52;
    });
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    let handle = tasks.begin("import").start().unwrap();
    assert_eq!(id(&handle), 1 << 52, "ids go on where they may have ended");
    assert!(
        shelf.with(|state| state.ids_until) > 1 << 52,
        "and are reserved"
    );
    let registry = tracker.registry();
    let kind = registry.kinds().next().unwrap();
    let entered = |state| kind.entered(state);
    assert_eq!(entered(TaskState::Lost), 1);
    assert_eq!(
        entered(TaskState::Failed),
        0,
        "it was counted where it ended"
    );
    assert_eq!((entered(TaskState::Running), kind.active()), (1, 1));
    let lost = registry.find(TaskId::try_from(4).unwrap()).unwrap();
    let ending = lost.ending.as_ref().unwrap();
    assert_eq!(ending.duration, later);
    let why = "lost: process one ended without settling it";
    assert_eq!(ending.error.as_deref(), Some(why));
    assert_eq!(lost.progress.as_ref().unwrap().message, "half");
    assert_eq!(lost.task.begun_at.to_string(), "src/import.rs:7");
    let origin = lost.task.origin.as_ref().unwrap();
    assert_eq!(*origin.baggage[0].1, *"a");
    for (id, state) in [(2, TaskState::Failed), (3, TaskState::Succeeded)] {
        let view = registry.find(TaskId::try_from(id).unwrap()).unwrap();
        assert_eq!(view.state(), state);
    }
    let lost = Some(TaskState::Lost);
    eventually("it is no longer running", || shelf.state_of(4) == lost);
    handle.succeed();
}

#[test]
fn a_store_that_cannot_be_opened_is_when_it_can() {
    let shelf = Shelf::default();
    shelf.with(|state| {
        state.fault = Some(fault(FaultKind::Passing));
        state.lost = vec![Lost {
            task: left(4, None),
            instance: "one".to_owned(),
            owner_seen: Duration::ZERO,
        }];
    });
    let (tracker, tasks) = open(&shelf, Room::ENOUGH);
    let handle = tasks.begin("import").start().unwrap();
    assert!(health(&tracker).fault.is_some());
    shelf.with(|state| state.fault = None);
    eventually("it works", || health(&tracker).fault.is_none());
    eventually("all is written", || {
        shelf.running() == [id(&handle)] && shelf.state_of(4) == Some(TaskState::Lost)
    });
    handle.succeed();
}
