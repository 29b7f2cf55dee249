//! The same core under many threads at once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    Change, Clock, Event, Limits, ManualTime, PingStatus, Registry, Slice, TaskId, Window, new_task,
};
use crate::task::Step;

const THREADS: usize = 4;

/// What one thread does next.
#[derive(Clone, Debug)]
enum Act {
    Begin,
    /// Ends any task of any thread, which may race for the same one.
    End(Index),
    /// Walks through a page.
    Look,
    Pass(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Begun,
    Ended,
}

/// What the threads share.
struct Arena {
    registry: Registry<()>,
    time: Arc<ManualTime>,
    begun: Mutex<Vec<TaskId>>,
    /// In the order of the announcements.
    announced: Mutex<Vec<(TaskId, u64, Kind)>>,
    ends: AtomicUsize,
    over: AtomicBool,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Begin),
        10 => any::<Index>().prop_map(Act::End),
        1 => Just(Act::Look),
        2 => (0..900u64).prop_map(|millis| Act::Pass(Duration::from_millis(millis))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn many_threads_end_each_task_once_and_say_so_in_order(
        plans in vec(vec(act(), 100..400), THREADS),
    ) {
        let arena = Arena::new();
        let seen = thread::scope(|scope| {
            let watcher = scope.spawn(|| arena.watch());
            let workers: Vec<_> = plans
                .iter()
                .map(|plan| scope.spawn(|| arena.work(plan)))
                .collect();
            for worker in workers {
                worker.join().unwrap();
            }
            arena.over.store(true, SeqCst);
            watcher.join().unwrap()
        });
        prop_assert!(seen > 0);
        arena.check();
    }
}

/// One thread changes the status, each time in a second of its own: busy in odd
/// ones, healthy in even ones. Whoever reads sees no other pair.
#[test]
fn a_reader_never_sees_a_status_with_another_ones_timestamp() {
    let arena = Arena::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !arena.over.load(SeqCst) {
                    let served = arena.registry.ping.served();
                    let busy = served.status == PingStatus::HealthyBusy;
                    assert_eq!(busy, served.since % 2 == 1, "{served:?}");
                    assert!(served.since >= last);
                    last = served.since;
                }
            });
        }
        for _ in 0..5_000 {
            arena.time.advance(Duration::from_secs(1));
            let id = arena.begin();
            arena.time.advance(Duration::from_secs(1));
            arena.end(id);
        }
        arena.over.store(true, SeqCst);
    });
}

/// With one place, however many try, one has it.
#[test]
fn no_more_tasks_are_active_than_may_be() {
    let arena = Arena::new();
    arena.registry.set_max_active(2);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    assert!(arena.registry.active() <= 2);
                    if let Ok(event) = arena.registry.begin(new_task("one of two"), ()) {
                        let id = event.task.id;
                        arena.announce(event);
                        arena.end(id);
                    }
                }
            });
        }
    });
    arena.check();
    let all = Window {
        slice: Slice::All,
        before: None,
        limit: usize::MAX,
    };
    assert_eq!(arena.registry.page(all, |_| true).len(), Arena::HISTORY);
}

// === impl Arena ===

impl Arena {
    const HISTORY: usize = 50;

    fn new() -> Self {
        let time = Arc::new(ManualTime::default());
        time.set_wall(Duration::from_secs(1_700_000_000));
        let limits = Limits {
            history: Self::HISTORY,
            max_active: Limits::NO_LIMIT,
        };
        Self {
            registry: Registry::new(limits, Clock::manual(&time)),
            time,
            begun: Mutex::default(),
            announced: Mutex::default(),
            ends: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn work(&self, plan: &[Act]) {
        for act in plan {
            match act {
                Act::Begin => {
                    // Others may end it while it is still being announced.
                    let event = self.registry.begin(new_task("raced for"), ()).unwrap();
                    self.begun.lock().unwrap().push(event.task.id);
                    self.announce(event);
                }
                Act::End(index) => {
                    let begun = self.begun.lock().unwrap();
                    let id = (!begun.is_empty()).then(|| begun[index.index(begun.len())]);
                    drop(begun);
                    if let Some(id) = id {
                        self.end(id);
                    }
                }
                Act::Look => self.look(),
                Act::Pass(time) => self.time.advance(*time),
            }
        }
        // Every thread tries to end what is left.
        let left = self.begun.lock().unwrap().clone();
        for id in left {
            self.end(id);
        }
    }

    fn begin(&self) -> TaskId {
        let event = self.registry.begin(new_task("alone"), ()).unwrap();
        let id = event.task.id;
        self.announce(event);
        id
    }

    fn end(&self, id: TaskId) {
        let Ok(event) = self.registry.step(id, Step::Cancel) else {
            return;
        };
        self.ends.fetch_add(1, SeqCst);
        if let Some(event) = event {
            self.announce(event);
        }
    }

    /// As the tracker does it.
    fn announce(&self, event: Event<()>) {
        let mut next = Some(event);
        while let Some(event) = next {
            let kind = match event.change {
                Change::Begun => Kind::Begun,
                Change::Ended(_) => Kind::Ended,
            };
            let line = (event.task.id, event.seq, kind);
            thread::yield_now();
            self.announced.lock().unwrap().push(line);
            next = self.registry.announced(&event);
        }
    }

    /// A page descends and has no task twice, whatever goes on around it.
    fn look(&self) {
        let window = Window {
            slice: Slice::All,
            before: None,
            limit: 30,
        };
        let page = self.registry.page(window, |_| true);
        assert!(
            page.windows(2)
                .all(|pair| pair[0].task.id > pair[1].task.id)
        );
    }

    /// Reads the status until all is over; says how often.
    fn watch(&self) -> usize {
        let mut last = 0;
        let mut reads = 0;
        loop {
            let over = self.over.load(SeqCst);
            let since = self.registry.ping.served().since;
            assert!(since >= last, "{since} after {last}");
            last = since;
            reads += 1;
            if over {
                return reads;
            }
            thread::yield_now(); // The others have two cores on a small machine.
        }
    }

    /// What must hold once every thread is done.
    fn check(&self) {
        let announced = self.announced.lock().unwrap();
        let mut told: HashMap<TaskId, Vec<(u64, Kind)>> = HashMap::new();
        for (id, seq, kind) in &*announced {
            told.entry(*id).or_default().push((*seq, *kind));
        }
        for (id, events) in &told {
            let kinds: Vec<_> = events.iter().map(|(_, kind)| *kind).collect();
            assert_eq!(kinds, [Kind::Begun, Kind::Ended], "task {id}");
            assert!(events[0].0 < events[1].0, "task {id}: {events:?}");
        }
        let mut numbers: Vec<_> = announced.iter().map(|(_, seq, _)| *seq).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), announced.len(), "each number once");
        assert_eq!(self.ends.load(SeqCst), told.len(), "each end once");
        assert!(told.len() >= self.begun.lock().unwrap().len());
        assert_eq!(self.registry.active(), 0);
        assert!(self.registry.all_active().is_empty());
        assert_eq!(self.registry.ping.served().status, PingStatus::Healthy);
    }
}
