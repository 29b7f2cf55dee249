//! Tasks of an earlier process, and the ids that it may have handed out.

use std::{sync::Arc, time::Duration};

use super::{Change, Ending, Event, Kind, PastTask, Registry, Task, TaskState};

impl<P> Registry<P> {
    /// Hands out no id below `next` from now on.
    pub(crate) fn skip_ids_to(&self, next: u64) {
        self.counts.ids.skip_to(next);
    }

    /// The id that is handed out next.
    pub(crate) fn next_id(&self) -> u64 {
        self.counts.ids.peek()
    }

    /// Remembers a task that has ended in an earlier process. It was counted and
    /// announced there, so its name does not become known here: names are those that
    /// this process counts.
    pub(crate) fn restore(&self, past: PastTask, ending: Ending, payload: P) {
        let kind = self.kinds.known(&past.name);
        self.admit(past, kind, ending, false, payload);
    }

    /// Takes a task in whose process has vanished, `after` so long of its time, and
    /// ends it as lost. The caller announces the event.
    /// Nothing where it is known already.
    pub(crate) fn lose(
        &self,
        past: PastTask,
        after: Duration,
        why: Box<str>,
        payload: P,
    ) -> Option<Event<P>> {
        let ending = Ending {
            state: TaskState::Lost,
            duration: after,
            result: None,
            error: Some(why),
            panicked: false,
            seq: 0,
        };
        let kind = self.kinds.of(&past.name);
        let (task, ending) = self.admit(past, Some(kind), ending, true, payload)?;
        Some(Event {
            seq: ending.seq,
            task,
            change: Change::Ended(ending),
        })
    }

    fn admit(
        &self,
        past: PastTask,
        kind: Option<&Kind>,
        ending: Ending,
        untold: bool,
        payload: P,
    ) -> Option<(Arc<Task<P>>, Arc<Ending>)> {
        let id = past.id;
        let seq = self.next_seq();
        let ending = Arc::new(Ending { seq, ..ending });
        let task = Arc::new(Task::past(past, kind, &ending, untold, payload));
        let mut shard = self.shard(id);
        if shard.find(id).is_some() {
            return None;
        }
        let counted = kind.filter(|_| untold);
        shard.admit(&task, counted.map(|kind| (ending.state, kind)));
        drop(shard);
        self.remember(id);
        Some((task, ending))
    }
}

#[cfg(all(test, not(taskpulse_loom)))]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{Clock, Limits, Step},
        *,
    };
    use crate::task::{ManualTime, Place, TaskId};

    fn registry(history: usize) -> Registry<()> {
        let limits = Limits {
            history,
            max_active: 10,
        };
        Registry::new(limits, Clock::manual(&Arc::new(ManualTime::default())))
    }

    fn past(id: u64) -> PastTask {
        PastTask {
            id: TaskId::try_from(id).expect("above 0"),
            name: "import".into(),
            metadata: Box::default(),
            origin: None,
            begun: Duration::from_secs(100),
            begun_at: Place::Noted(Box::new(("src/import.rs".into(), 7))),
            deadline: Some(Duration::from_secs(110)),
            last_sign: Some(Duration::from_secs(20)),
            progress: None,
        }
    }

    fn ending() -> Ending {
        Ending {
            state: TaskState::Failed,
            duration: Duration::from_secs(1),
            result: None,
            error: None,
            panicked: false,
            seq: 0,
        }
    }

    fn lose(registry: &Registry<()>, id: u64) -> Option<Event<()>> {
        let after = Duration::from_secs(30);
        registry.lose(past(id), after, "lost".into(), ())
    }

    #[test]
    fn a_lost_task_is_counted_once_and_ends_nothing_here() {
        let registry = registry(10);
        let event = lose(&registry, 5).unwrap();
        assert!(registry.announced(&event).is_none());
        assert!(lose(&registry, 5).is_none(), "it is known");
        let kind = registry.kinds().next().unwrap();
        assert_eq!(kind.entered(TaskState::Lost), 1);
        assert_eq!((kind.entered(TaskState::Running), kind.active()), (0, 0));
        assert_eq!((registry.active(), registry.history_len()), (0, 1));
        let id = event.task.id;
        let refused = registry.step(id, Step::Cancel);
        assert!(refused.is_err(), "nothing follows its end");
        let view = registry.find(id).unwrap();
        assert_eq!(view.duration(Duration::MAX), Duration::from_secs(30));
        assert_eq!(view.last_seen_at(), Some(Duration::from_secs(120)));
        assert_eq!(view.task.deadline(), Some(Duration::from_secs(110)));
        assert_eq!(registry.next_due(), None, "nobody looks at it again");
    }

    #[test]
    fn a_task_from_before_is_remembered_and_not_counted() {
        let registry = registry(2);
        registry.declare("import");
        for id in 1..=3 {
            registry.restore(past(id), ending(), ());
        }
        let kind = registry.kinds().next().unwrap();
        assert_eq!(kind.entered(TaskState::Failed), 0);
        assert_eq!(registry.history_len(), 2);
        let known = |id| registry.find(TaskId::try_from(id).unwrap()).is_some();
        assert_eq!([1, 2, 3].map(known), [false, true, true]);
    }

    /// Else names that a program no longer has would take the places of those that it
    /// has.
    #[test]
    fn names_of_before_do_not_become_known() {
        let registry = registry(1_000);
        registry.declare("import");
        let named = |id: u64| PastTask {
            name: format!("name {id}").into(),
            ..past(id)
        };
        for id in 1..=60 {
            registry.restore(named(id), ending(), ());
        }
        registry.restore(past(61), ending(), ());
        let labels: Vec<_> = registry.kinds().map(|kind| &*kind.label).collect();
        assert_eq!(
            labels,
            ["import"],
            "and no _OTHER, of which nothing is counted"
        );
        assert!(!registry.overflowed());
        let of = |id| registry.find(TaskId::try_from(id).unwrap()).unwrap().task;
        assert_eq!(*of(60).name, *"name 60", "it is listed as what it was");
        assert_eq!((of(60).label(), of(61).label()), ("_OTHER", "import"));

        registry.lose(named(62), Duration::ZERO, "lost".into(), ());
        let lost = registry.kinds().find(|kind| *kind.label == *"name 62");
        assert_eq!(lost.unwrap().entered(TaskState::Lost), 1, "it is counted");
    }
}
