//! The same core under many threads at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    Change, Clock, Condition, Event, KindId, Kinds, Limits, ManualTime, PingStatus, Registry,
    Slice, Tally, Task, TaskId, Window,
    conditions::bounded,
    new_task, tally,
    told::{Kind, Told},
};
use crate::task::Step;

const THREADS: usize = 4;

/// What one thread does next.
#[derive(Clone, Debug)]
enum Act {
    Begin(u8),
    /// Ends any task of any thread, which may race for the same one.
    End(Index),
    /// Any task of any thread gives a sign of life.
    Beat(Index),
    /// Does what the watcher does.
    Review,
    /// Walks through a page.
    Look,
    Pass(Duration),
}

/// What the threads share.
struct Arena {
    registry: Registry<()>,
    time: Arc<ManualTime>,
    begun: Mutex<Vec<Arc<Task<()>>>>,
    /// In the order of the announcements.
    announced: Mutex<Vec<(TaskId, u64, Kind)>>,
    ends: AtomicUsize,
    over: AtomicBool,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3u8).prop_map(Act::Begin),
        2 => (0..90u8).prop_map(Act::Begin),
        10 => any::<Index>().prop_map(Act::End),
        5 => any::<Index>().prop_map(Act::Beat),
        3 => Just(Act::Review),
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
            thread::scope(|scope| {
                for plan in &plans {
                    scope.spawn(|| arena.work(plan));
                }
            });
            arena.check_kinds();
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| arena.end_all());
                }
            });
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
    for status in [PingStatus::HealthyBusy, PingStatus::Healthy] {
        assert_eq!(arena.registry.ping.entered(status), 5_000, "{status}");
    }
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
                Act::Begin(n) => {
                    // Others may end it while it is still being announced.
                    let event = self.registry.begin(bounded(*n), ()).unwrap();
                    self.begun.lock().unwrap().push(Arc::clone(&event.task));
                    self.announce(event);
                }
                Act::End(index) => {
                    if let Some(task) = self.any(index) {
                        self.end(task.id);
                    }
                }
                Act::Beat(index) => {
                    let task = self.any(index);
                    if let Some(task) = task.filter(|task| self.registry.beat(task)) {
                        self.review(task.id);
                    }
                }
                Act::Review => self.review_due(),
                Act::Look => self.look(),
                Act::Pass(time) => self.time.advance(*time),
            }
        }
    }

    fn any(&self, index: &Index) -> Option<Arc<Task<()>>> {
        let begun = self.begun.lock().unwrap();
        (!begun.is_empty()).then(|| Arc::clone(&begun[index.index(begun.len())]))
    }

    fn review_due(&self) {
        for id in self.registry.due() {
            self.review(id);
        }
    }

    fn review(&self, id: TaskId) {
        let review = self.registry.review(id);
        if let Some(event) = review.and_then(|review| review.event) {
            self.announce(event);
        }
    }

    /// Tries to end what is left, as other threads do.
    fn end_all(&self) {
        let left = self.begun.lock().unwrap().clone();
        for task in left {
            self.end(task.id);
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
                Change::Crossed(crossing) => Kind::Crossed(crossing.condition),
                Change::Cleared(crossing) => Kind::Cleared(crossing.condition),
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

    /// Reads the status and the counts until all is over; says how often.
    fn watch(&self) -> usize {
        let mut last = 0;
        let mut counted = BTreeMap::new();
        let mut reads = 0;
        loop {
            let over = self.over.load(SeqCst);
            let since = self.registry.ping.served().since;
            assert!(since >= last, "{since} after {last}");
            last = since;
            counted = self.counts(&counted);
            reads += 1;
            if over {
                return reads;
            }
            thread::yield_now(); // The others have two cores on a small machine.
        }
    }

    /// What the kinds say, which is not less than it was before, and no more
    /// than can be true.
    fn counts(&self, before: &BTreeMap<String, Tally>) -> BTreeMap<String, Tally> {
        let kinds = tally::all(&self.registry);
        let now = self.registry.clock.mono();
        let begun = (self.begun.lock().unwrap().len() + THREADS) as u64;
        for (label, tally) in &kinds {
            assert!(tally.active <= begun, "{label}: {tally:?}");
            assert!(tally.oldest <= Some(now), "{label}: {tally:?} at {now:?}");
        }
        for (label, tally) in before {
            for (state, entered) in &tally.entered {
                assert!(kinds[label].entered[state] >= *entered, "{label} {state}");
            }
        }
        kinds
    }

    /// At a quiet moment, what is counted of each kind is what its tasks say.
    fn check_kinds(&self) {
        self.review_due();
        let now = self.registry.clock.mono();
        let mut told_of: HashMap<_, Vec<_>> = HashMap::new();
        for (id, _, kind) in &*self.announced.lock().unwrap() {
            told_of.entry(*id).or_default().push(*kind);
        }
        let mut told: BTreeMap<String, Tally> = BTreeMap::new();
        let (mut known, mut others) = (BTreeSet::new(), BTreeSet::new());
        for task in &*self.begun.lock().unwrap() {
            let tally = told.entry(task.label().to_owned()).or_default();
            tally.count(task.begun.mono, task.ending().map(|ending| ending.state));
            let of_task = Told::of(&told_of[&task.id]);
            let view = self.registry.find(task.id);
            for (n, condition) in Condition::ALL.into_iter().enumerate() {
                tally.crossed[n] += of_task.crossed[n];
                tally.noted[n] += u64::from(of_task.noted[n]);
                let shown = view.as_ref().is_some_and(|view| view.is(condition, now));
                assert_eq!(of_task.noted[n], shown, "{condition:?} of {}", task.id);
            }
            let names = match task.kind {
                KindId::OTHER => &mut others,
                _ => &mut known,
            };
            names.insert(Arc::clone(&task.name));
        }
        assert_eq!(tally::all(&self.registry), told);
        let active: u64 = told.values().map(|tally| tally.active).sum();
        assert_eq!(active, self.registry.active() as u64);
        assert!(known.is_disjoint(&others), "{known:?}, {others:?}");
        assert!(known.len() <= Kinds::MOST);
        assert!(others.is_empty() || known.len() == Kinds::MOST);
    }

    /// What must hold once every thread is done.
    fn check(&self) {
        let announced = self.announced.lock().unwrap();
        let mut told: HashMap<TaskId, Vec<(u64, Kind)>> = HashMap::new();
        for (id, seq, kind) in &*announced {
            told.entry(*id).or_default().push((*seq, *kind));
        }
        for (id, events) in &told {
            assert!(
                events.is_sorted_by(|a, b| a.0 < b.0),
                "task {id}: {events:?}"
            );
            let kinds: Vec<_> = events.iter().map(|(_, kind)| *kind).collect();
            assert!(Told::of(&kinds).ended, "task {id}: {events:?}");
        }
        let mut numbers: Vec<_> = announced.iter().map(|(_, seq, _)| *seq).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), announced.len(), "each number once");
        assert_eq!(self.ends.load(SeqCst), told.len(), "each end once");
        assert!(told.len() >= self.begun.lock().unwrap().len());
        let kinds = tally::all(&self.registry);
        let ended: u64 = kinds.values().map(|tally| tally.entered["cancelled"]).sum();
        assert_eq!(ended, told.len() as u64, "each is counted");
        assert!(kinds.values().all(|tally| tally.active == 0), "{kinds:?}");
        assert!(
            kinds.values().all(|tally| tally.noted == [0, 0]),
            "{kinds:?}"
        );
        assert_eq!(self.registry.next_due(), None);
        assert!(kinds.values().all(|tally| tally.oldest.is_none()));
        assert_eq!(self.registry.active(), 0);
        assert!(self.registry.all_active().is_empty());
        let ping = &self.registry.ping;
        assert_eq!(ping.served().status, PingStatus::Healthy);
        let [busy, healthy] =
            [PingStatus::HealthyBusy, PingStatus::Healthy].map(|status| ping.entered(status));
        assert_eq!(busy, healthy, "it was busy and is not");
        assert!((1..=told.len() as u64).contains(&busy));
    }
}
