//! Random histories of the task core against a plain model: one list, no
//! locks, no atomics, everything counted anew whenever it is asked for.
//!
//! Here one thread takes the steps and turns the clock by hand; `threads` has
//! many of them.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod ages;
mod conditions;
mod kinds;
mod model;
mod ops;
mod tally;
mod threads;
mod told;

use std::{collections::BTreeMap, panic::Location, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};

use self::{
    model::Model,
    ops::{Ask, Op, name, op},
    tally::Tally,
};
use super::{
    AtCapacity, Bounds, Change, Clock, Condition, Crossing, Deadline, Ending, Event, Kind, KindId,
    Limits, ManualTime, NewTask, PingStatus, Progress, Reaction, Registry, Slice, Step, StepError,
    Task, TaskId, TaskState, Verdict, View, Window,
    kinds::{Kinds, OTHER},
};

/// The registry under test and what it must agree with.
struct Pair {
    registry: Registry<()>,
    time: Arc<ManualTime>,
    model: Model,
    last_seq: u64,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_as_the_model_has_it(
        wall in 0..4_000_000_000u64,
        history in 0..12usize,
        declared in 0..60u8,
        ops in vec(op(), 1..150),
    ) {
        let mut pair = Pair::new(Duration::from_secs(wall), history);
        pair.agree();
        // Of names that are not begun, to come near the greatest number.
        for n in 100..100 + declared {
            pair.take(Op::Declare(n));
        }
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
        bounds: Bounds::default(),
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
            Op::Begin(n, bounds) => self.begin(n, bounds),
            Op::Beat(index) => self.beat(&index),
            Op::Progress(index, progress) => self.progress(&index, progress),
            Op::Watch => self.watch(),
            Op::Declare(n) => {
                registry.declare(&name(n));
                model.label(&name(n));
            }
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

    fn begin(&mut self, n: u8, bounds: Bounds) {
        let max_active = self.model.max_active;
        let new = NewTask {
            bounds,
            ..new_task(&name(n))
        };
        let result = self.registry.begin(new, ());
        if self.model.active().count() >= max_active {
            assert_eq!(result.unwrap_err(), AtCapacity { max_active });
            return;
        }
        let event = result.expect("there is room");
        assert!(matches!(event.change, Change::Begun));
        let last = self.model.tasks.last().map(|task| task.id);
        assert!(last < Some(event.task.id), "ids ascend");
        self.model.begin(event.task.id, name(n), bounds);
        self.announce(&event);
    }

    fn end(&mut self, index: &Index, step: Step) {
        if self.model.tasks.is_empty() {
            return;
        }
        self.end_at(index.index(self.model.tasks.len()), step);
    }

    fn end_at(&mut self, at: usize, step: Step) {
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
        self.agree_on_ping();
        self.agree_on_kinds();
        assert_eq!(registry.history_len(), model.remembered.len());
        assert_eq!(registry.history_limit(), model.history);
        assert_eq!(registry.active(), model.active().count());
        let all: Vec<_> = registry.all_active();
        let active: Vec<_> = model.active().map(|task| task.id).collect();
        assert_eq!(
            all.iter().map(|view| view.task.id).collect::<Vec<_>>(),
            active
        );
        let now = registry.clock.mono();
        self.agree_on_times();
        for (at, task) in model.tasks.iter().enumerate() {
            match registry.find(task.id) {
                Some(view) => agree_on(&view, task, now, model),
                None => assert!(model.is_forgotten(at), "{} is gone", task.id),
            }
        }
    }

    fn agree_on_ping(&self) {
        let (ping, model) = (&self.registry.ping, &self.model);
        let served = ping.served();
        assert_eq!((served.status, served.since), (model.status(), model.since));
        assert_eq!(ping.forced(), model.forced);
        for status in [PingStatus::Healthy, PingStatus::HealthyBusy] {
            let told = model.entered.iter().filter(|entered| **entered == status);
            assert_eq!(ping.entered(status), told.count() as u64, "{status}");
        }
    }

    fn agree_on_kinds(&self) {
        let kinds = tally::all(&self.registry);
        assert_eq!(kinds, self.model.kinds());
        let active: u64 = kinds.values().map(|tally| tally.active).sum();
        assert_eq!(active, self.registry.active() as u64);
        assert_eq!(self.registry.overflowed(), self.model.overflowed.take());
    }
}

fn agree_on(view: &View<()>, task: &model::Known, now: Duration, model: &Model) {
    let ending: Option<&Ending> = view.ending.as_deref();
    let told = ending.map(|ending| (ending.state, ending.duration));
    assert_eq!(told, task.ending);
    assert_eq!(*view.task.name, *task.name);
    assert_eq!(view.task.label(), task.label);
    assert_eq!(view.task.begun.wall, task.begun_wall);
    assert_eq!(view.duration(now), model.duration(task));
    assert_eq!(view.is(Condition::Overdue, now), model.late(task).is_some());
    assert_eq!(
        view.is(Condition::Stalled, now),
        model.silent(task).is_some()
    );
    assert_eq!(view.progress.as_deref(), task.progress.as_ref());
    assert_eq!(view.task.deadline(), task.deadline);
    assert_eq!(view.last_seen_at(), task.last_seen_at());
}
