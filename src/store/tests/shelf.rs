//! A store in memory, whose faults and delays a test decides.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use crate::{
    TaskState,
    store::{
        backend::{Backend, End, Fault, FaultKind, Found, Group, Lost, Record},
        writer::Site,
    },
};

/// What is kept, as the test sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

/// What a test decides and looks at.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By id, as they were last written.
    pub(super) tasks: BTreeMap<u64, Record<'static>>,
    /// What the next process finds.
    pub(super) lost: Vec<Lost>,
    pub(super) history: Vec<Record<'static>>,
    pub(super) next_id: u64,
    pub(super) ids_until: u64,
    /// What every call gives back.
    pub(super) fault: Option<Fault>,
    /// What a write gives back, as on a full disk, where all else works.
    pub(super) write_fault: Option<Fault>,
    /// Whether calls wait.
    pub(super) hangs: bool,
    pub(super) panics: bool,
    /// How often it was opened, written, put aside and closed.
    pub(super) opened: usize,
    pub(super) written: usize,
    pub(super) set_aside: usize,
    pub(super) closed: usize,
}

/// A fault of this kind.
pub(super) fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        message: "the shelf has fallen down".to_owned(),
    }
}

// === impl Shelf ===

impl Shelf {
    /// Changes what it does, or looks at it.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        let looked = look(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_all();
        looked
    }

    /// The ids of the tasks that it has as running.
    pub(super) fn running(&self) -> Vec<u64> {
        self.with(|state| {
            let running = state.tasks.values().filter(|task| task.end.is_none());
            running.map(|task| task.id.into()).collect()
        })
    }

    /// The state that a task was last written in.
    pub(super) fn state_of(&self, id: u64) -> Option<TaskState> {
        self.with(|state| {
            let end = state.tasks.get(&id)?.end.as_ref();
            Some(end.map_or(TaskState::Running, |end| end.state))
        })
    }

    fn call<R>(&self, work: impl FnOnce(&mut State) -> R) -> Result<R, Fault> {
        let state = self.0.state.lock().unwrap();
        let waited = self.0.changed.wait_while(state, |state| state.hangs);
        let mut state = waited.unwrap();
        if state.panics {
            drop(state); // Not poisoned: the test goes on.
            panic!("the shelf is on fire");
        }
        match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(work(&mut state)),
        }
    }
}

impl Site for Shelf {
    fn open(&mut self) -> Result<Box<dyn Backend>, Fault> {
        self.call(|state| state.opened += 1)?;
        Ok(Box::new(self.clone()))
    }

    fn set_aside(&mut self, _now: Duration) -> io::Result<Option<PathBuf>> {
        self.with(|state| state.set_aside += 1);
        Ok(Some("shelf.bad".into()))
    }
}

impl Backend for Shelf {
    fn write(&mut self, group: &Group<'_>) -> Result<(), Fault> {
        self.call(|state| {
            if let Some(fault) = &state.write_fault {
                return Err(fault.clone());
            }
            state.written += 1;
            state.ids_until = group.ids_until;
            for task in group.tasks {
                let task = owned(task);
                state.tasks.insert(task.id.into(), task);
            }
            Ok(())
        })?
    }

    fn next_id(&mut self) -> Result<u64, Fault> {
        self.call(|state| state.next_id)
    }

    fn lost(&mut self) -> Result<Found<Lost>, Fault> {
        self.call(|state| Found {
            rows: state.lost.clone(),
            unreadable: 0,
        })
    }

    fn history(&mut self, most: usize, since: Duration) -> Result<Found<Record<'static>>, Fault> {
        let kept = |task: &&Record<'_>| {
            let end = task.end.as_ref();
            end.is_none_or(|end| task.begun + end.duration >= since)
        };
        self.call(|state| Found {
            rows: state
                .history
                .iter()
                .filter(kept)
                .take(most)
                .cloned()
                .collect(),
            unreadable: 0,
        })
    }

    fn prune(&mut self, _most: usize, _since: Duration) -> Result<bool, Fault> {
        self.call(|_| false)
    }

    fn tend(&mut self) -> Result<(), Fault> {
        self.call(|_| ())
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.call(|_| ())
    }

    fn close(self: Box<Self>, _now: Duration) -> Result<(), Fault> {
        self.call(|state| state.closed += 1)
    }
}

fn owned(record: &Record<'_>) -> Record<'static> {
    let own = |text: &Option<std::borrow::Cow<'_, str>>| {
        let text = text.as_ref();
        text.map(|text| text.clone().into_owned().into())
    };
    Record {
        id: record.id,
        known: record.known,
        name: record.name.clone().into_owned().into(),
        metadata: record.metadata.clone().into_owned().into(),
        session_id: own(&record.session_id),
        request_id: own(&record.request_id),
        baggage: own(&record.baggage),
        file: record.file.clone().into_owned().into(),
        line: record.line,
        begun: record.begun,
        deadline: record.deadline,
        trace: record.trace,
        last_seen: record.last_seen,
        progress: record.progress,
        progress_message: own(&record.progress_message),
        end: record.end.as_ref().map(|end| End {
            state: end.state,
            duration: end.duration,
            result: own(&end.result),
            error: own(&end.error),
            panicked: end.panicked,
        }),
    }
}
