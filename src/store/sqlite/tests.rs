//! What is written is what is read, whatever happens in between.

use std::{borrow::Cow, path::PathBuf};

mod damage;
#[cfg(target_os = "linux")]
mod disks;
mod files;
mod keeping;
mod stored;

use tempfile::TempDir;

use super::*;
use crate::{
    TaskState,
    store::{
        aside::beside,
        backend::{End, FaultKind, Trace},
    },
};

/// A folder with the path of a store in it.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

/// In memory where that is possible: a disk takes 100 ms to say that it has a file.
fn place() -> Place {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.unwrap();
    let path = folder.path().canonicalize().unwrap().join("tasks.db");
    Place {
        _folder: folder,
        path,
    }
}

fn owner(instance: &str) -> Owner {
    Owner {
        instance: instance.to_owned(),
        started: seconds(1_000),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A task that has everything.
fn full(id: u64) -> Record<'static> {
    Record {
        id: TaskId::try_from(id).unwrap(),
        known: false,
        name: "data_processing".into(),
        metadata: format!(r#"{{"data_id":"d-{id}","rows":{id}}}"#).into(),
        session_id: Some("session".into()),
        request_id: Some(format!("request-{id}").into()),
        baggage: Some(r#"{"tenant":"a"}"#.into()),
        file: "src/agent.rs".into(),
        line: 41,
        begun: seconds(1_000) + Duration::from_nanos(id),
        deadline: Some(seconds(2_000)),
        trace: Some(Trace {
            trace_id: u128::from(id).to_be_bytes(),
            span_id: id.to_be_bytes(),
            parent_id: Some((id + 1).to_be_bytes()),
            sampled: true,
        }),
        last_seen: Some(seconds(1_010)),
        progress: Some(0.4),
        progress_message: Some("page 4 of 10".into()),
        end: None,
    }
}

/// The same at its end, `duration` after its begin.
fn ended(task: &Record<'static>, duration: Duration) -> Record<'static> {
    Record {
        end: Some(End {
            state: TaskState::Failed,
            duration,
            result: Some("[1,2]".into()),
            error: Some("no such row".into()),
            panicked: true,
        }),
        ..task.clone()
    }
}

/// The same with nothing that may be absent.
fn bare(id: u64) -> Record<'static> {
    Record {
        session_id: None,
        request_id: None,
        baggage: None,
        deadline: None,
        trace: None,
        last_seen: None,
        progress: None,
        progress_message: None,
        ..full(id)
    }
}

#[track_caller]
fn write(store: &mut Sqlite, tasks: &[Record<'_>]) {
    let group = Group {
        tasks,
        seen: seconds(1_100),
        ids_until: 100,
    };
    store.write(&group).unwrap();
}

#[test]
fn what_is_written_is_read_by_the_next_process() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let tasks = [full(1), bare(2), full(3), ended(&full(4), seconds(7))];
    write(&mut store, &tasks);
    write(
        &mut store,
        &[Record {
            known: true,
            ..ended(&full(3), seconds(9))
        }],
    );
    assert_eq!(store.lost().unwrap().rows, [], "they are its own");
    drop(store);

    let mut store = open(&place.path, &owner("two")).unwrap();
    let lost = store.lost().unwrap();
    let lost_of = |task| Lost {
        task,
        instance: "one".to_owned(),
        owner_seen: seconds(1_100),
    };
    assert_eq!(lost.rows, [lost_of(full(1)), lost_of(bare(2))]);
    let history = store.history(10, Duration::ZERO).unwrap();
    let ends = [ended(&full(4), seconds(7)), ended(&full(3), seconds(9))];
    assert_eq!(history.rows, ends);
    assert_eq!((lost.unreadable, history.unreadable), (0, 0));
    assert_eq!(store.next_id().unwrap(), 100);
    Box::new(store).close(seconds(1_200)).unwrap();
}
