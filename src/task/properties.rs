//! Random histories of the task core against a plain model: one list, no
//! locks, no atomics, everything counted anew whenever it is asked for.
//!
//! Here one thread takes the steps and turns the clock by hand; `threads` has
//! many of them.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod model;
mod threads;

use std::{panic::Location, sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::Index};

use self::model::Model;
use super::{
    AtCapacity, Change, Clock, Ending, Event, Limits, ManualTime, NewTask, PingStatus, Registry,
    Slice, Step, StepError, TaskId, TaskState, View, Window,
};

/// What can be done to a registry.
#[derive(Clone, Debug)]
enum Op {
    /// Begins a task with one of a few names.
    Begin(u8),
    /// Ends a task that was begun, ended already or not.
    End(Index, Step),
    /// Ends a task that never was.
    EndUnknown(Step),
    /// An invocation comes, where such keep the status busy.
    Enter,
    /// One of those goes.
    Leave,
    Force(Option<PingStatus>),
    Customise(Option<PingStatus>),
    Advance(Duration),
    /// The wall clock jumps, either way.
    SetWall(Duration),
    SetHistory(usize),
    SetMaxActive(usize),
    Page(Ask),
}

/// What can be asked of a page.
#[derive(Clone, Debug)]
struct Ask {
    slice: Slice,
    before: Option<Index>,
    limit: usize,
    only: Only,
}

/// Which tasks of the slice are wanted.
#[derive(Clone, Copy, Debug)]
enum Only {
    Any,
    Named(u8),
    In(TaskState),
}

/// The registry under test and what it must agree with.
struct Pair {
    registry: Registry<()>,
    time: Arc<ManualTime>,
    model: Model,
    last_seq: u64,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Succeed {
            result: Some("1".into()),
            note: None
        }),
        Just(Step::Fail("no".into())),
        Just(Step::Cancel),
        Just(Step::Interrupt),
    ]
}

fn status() -> impl Strategy<Value = Option<PingStatus>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(PingStatus::Healthy)),
        1 => Just(Some(PingStatus::HealthyBusy)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let slice = prop_oneof![Just(Slice::All), Just(Slice::Active), Just(Slice::Ended)];
    let only = prop_oneof![
        2 => Just(Only::Any),
        1 => (0..4u8).prop_map(Only::Named),
        1 => proptest::sample::select(&TaskState::ALL[..]).prop_map(Only::In),
    ];
    (slice, option::of(any::<Index>()), 0..40usize, only).prop_map(
        |(slice, before, limit, only)| Ask {
            slice,
            before,
            limit,
            only,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let millis = (0..4_000u64).prop_map(Duration::from_millis);
    let wall = (0..4_000_000_000u64).prop_map(Duration::from_secs);
    prop_oneof![
        12 => (0..4u8).prop_map(Op::Begin),
        12 => (any::<Index>(), step()).prop_map(|(task, step)| Op::End(task, step)),
        1 => step().prop_map(Op::EndUnknown),
        1 => Just(Op::Enter),
        2 => Just(Op::Leave),
        1 => status().prop_map(Op::Force),
        2 => status().prop_map(Op::Customise),
        6 => millis.prop_map(Op::Advance),
        3 => wall.prop_map(Op::SetWall),
        1 => (0..12usize).prop_map(Op::SetHistory),
        1 => (0..30usize).prop_map(Op::SetMaxActive),
        6 => ask().prop_map(Op::Page),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_as_the_model_has_it(
        wall in 0..4_000_000_000u64,
        history in 0..12usize,
        ops in vec(op(), 1..150),
    ) {
        let mut pair = Pair::new(Duration::from_secs(wall), history);
        pair.agree();
        for op in ops {
            pair.take(op);
            pair.agree();
        }
    }
}

/// A page looks into each shard, takes what it needs from its edge, and asks
/// for no more tasks than it shows, however many there are.
#[test]
fn a_page_looks_at_no_more_tasks_than_it_shows() {
    for tasks in [100, 100_000] {
        let pair = Pair::new(Duration::from_secs(1), 10);
        for _ in 0..tasks {
            begun(&pair.registry, "many").unwrap();
        }
        let looked_at = std::cell::Cell::new(0);
        let window = Window {
            slice: Slice::All,
            before: None,
            limit: 100,
        };
        let page = pair.registry.page(window, |_| {
            looked_at.set(looked_at.get() + 1);
            true
        });
        assert_eq!(page.len(), 100);
        assert_eq!(looked_at.get(), 100, "of {tasks}");
    }
}

/// A filter that wants few makes the page longer to find, not shorter.
#[test]
fn a_page_is_full_though_its_tasks_are_far_apart() {
    let pair = Pair::new(Duration::from_secs(1), 10);
    let mut rare = Vec::new();
    for n in 0..10_000 {
        let name = if n % 700 == 0 { "rare" } else { "usual" };
        let task = begun(&pair.registry, name).unwrap();
        if name == "rare" {
            rare.push(task);
        }
    }
    rare.reverse();
    let window = Window {
        slice: Slice::Active,
        before: None,
        limit: 14,
    };
    let page = pair
        .registry
        .page(window, |view| &*view.task.name == "rare");
    let found: Vec<_> = page.iter().map(|view| view.task.id).collect();
    assert_eq!(found, rare[..14]);
}

/// Begins a task and announces it.
fn begun(registry: &Registry<()>, name: &str) -> Result<TaskId, AtCapacity> {
    let event = registry.begin(new_task(name), ())?;
    assert!(matches!(event.change, Change::Begun));
    assert!(registry.announced(&event).is_none());
    Ok(event.task.id)
}

fn new_task(name: &str) -> NewTask {
    NewTask {
        name: name.into(),
        metadata: Box::default(),
        origin: None,
        begun_at: Location::caller(),
    }
}

fn name(n: u8) -> String {
    format!("name {n}")
}

// === impl Only ===

impl Only {
    fn wants(self, name: &str, state: TaskState) -> bool {
        match self {
            Self::Any => true,
            Self::Named(n) => name == self::name(n),
            Self::In(wanted) => state == wanted,
        }
    }
}

// === impl Pair ===

impl Pair {
    fn new(wall: Duration, history: usize) -> Self {
        let time = Arc::new(ManualTime::default());
        time.set_wall(wall);
        let limits = Limits {
            history,
            max_active: Limits::NO_LIMIT,
        };
        Self {
            registry: Registry::new(limits, Clock::manual(&time)),
            time,
            model: Model::new(wall, history),
            last_seq: 0,
        }
    }

    /// Takes the step on both sides, and compares what they say of it.
    fn take(&mut self, op: Op) {
        let Self {
            registry, model, ..
        } = self;
        let clock = &registry.clock;
        match op {
            Op::Begin(n) => self.begin(n),
            Op::End(index, step) => self.end(&index, step),
            Op::EndUnknown(step) => {
                let id = TaskId::try_from(TaskId::MAX).unwrap();
                let refused = registry.step(id, step).unwrap_err();
                assert_eq!(refused, StepError::Unknown);
            }
            Op::Enter => {
                registry.ping.enter(clock);
                model.change(|model| model.invocations += 1);
            }
            Op::Leave if model.invocations > 0 => {
                registry.ping.leave(clock);
                model.change(|model| model.invocations -= 1);
            }
            Op::Leave => {}
            Op::Force(status) => {
                registry.ping.force(clock, status);
                model.change(|model| model.forced = status);
            }
            Op::Customise(status) => {
                registry.ping.customise(clock, status);
                model.change(|model| model.custom = status);
            }
            Op::Advance(by) => {
                self.time.advance(by);
                model.advance(by);
            }
            Op::SetWall(to) => {
                self.time.set_wall(to);
                model.wall = to;
            }
            Op::SetHistory(limit) => {
                registry.set_history(limit);
                model.set_history(limit);
            }
            Op::SetMaxActive(limit) => {
                registry.set_max_active(limit);
                model.max_active = limit;
            }
            Op::Page(ask) => self.page(&ask),
        }
    }

    fn begin(&mut self, n: u8) {
        let max_active = self.model.max_active;
        let result = self.registry.begin(new_task(&name(n)), ());
        if self.model.active().count() >= max_active {
            assert_eq!(result.unwrap_err(), AtCapacity { max_active });
            return;
        }
        let event = result.expect("there is room");
        assert!(matches!(event.change, Change::Begun));
        let last = self.model.tasks.last().map(|task| task.id);
        assert!(last < Some(event.task.id), "ids ascend");
        self.model.begin(event.task.id, name(n));
        self.announce(&event);
    }

    fn end(&mut self, index: &Index, step: Step) {
        if self.model.tasks.is_empty() {
            return;
        }
        let at = index.index(self.model.tasks.len());
        let id = self.model.tasks[at].id;
        let result = self.registry.step(id, step.clone());
        match self.model.end(at, &step) {
            Err(refusal) => assert_eq!(result.unwrap_err(), refusal),
            Ok((state, duration)) => {
                let event = result
                    .expect("a running task may end")
                    .expect("nobody else announces it");
                let Change::Ended(ending) = &event.change else {
                    panic!("an end is announced as {:?}", event.change);
                };
                assert_eq!((ending.state, ending.duration), (state, duration));
                assert_eq!(ending.seq, event.seq);
                self.announce(&event);
            }
        }
    }

    /// Announces on a single thread, where nobody leaves anything behind.
    fn announce(&mut self, event: &Event<()>) {
        assert!(event.seq > self.last_seq, "numbers ascend");
        self.last_seq = event.seq;
        assert!(self.registry.announced(event).is_none());
    }

    fn page(&self, ask: &Ask) {
        let tasks = &self.model.tasks;
        let before = ask.before.as_ref().filter(|_| !tasks.is_empty());
        let before = before.map(|index| tasks[index.index(tasks.len())].id);
        let window = Window {
            slice: ask.slice,
            before,
            limit: ask.limit,
        };
        let page = self
            .registry
            .page(window, |view| ask.only.wants(&view.task.name, view.state()));
        let found: Vec<_> = page.iter().map(|view| view.task.id).collect();
        assert_eq!(found, self.model.page(ask, before));
    }

    /// Everything that can be read agrees with the model.
    fn agree(&self) {
        let (registry, model) = (&self.registry, &self.model);
        let served = registry.ping.served();
        assert_eq!((served.status, served.since), (model.status(), model.since));
        assert_eq!(registry.active(), model.active().count());
        let all: Vec<_> = registry.all_active();
        let active: Vec<_> = model.active().map(|task| task.id).collect();
        assert_eq!(
            all.iter().map(|view| view.task.id).collect::<Vec<_>>(),
            active
        );
        let now = registry.clock.mono();
        for (at, task) in model.tasks.iter().enumerate() {
            match registry.find(task.id) {
                Some(view) => agree_on(&view, task, now, model),
                None => assert!(model.is_forgotten(at), "{} is gone", task.id),
            }
        }
    }
}

fn agree_on(view: &View<()>, task: &model::Known, now: Duration, model: &Model) {
    let ending: Option<&Ending> = view.ending.as_deref();
    let told = ending.map(|ending| (ending.state, ending.duration));
    assert_eq!(told, task.ending);
    assert_eq!(view.task.begun.wall, task.begun_wall);
    assert_eq!(view.duration(now), model.duration(task));
}
