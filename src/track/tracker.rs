//! The door itself.

use std::{
    sync::{
        Arc, LazyLock, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify};
use tracing::warn;

use super::{
    Live, Redaction, TaskLimits,
    checkpoints::Checkpoints,
    limits::NamedLimits,
    platform::PlatformLimits,
    watch::{Watch, text},
};
use crate::{
    Error, TaskId,
    task::{
        AtCapacity, Bounds, Change, Clock, Event, Health, Journal, Kind, KindId, Limits, NewTask,
        Note, PastTask, Ping, Registry, Step, StepError, Task, TaskState, nanos,
    },
    telemetry::{
        Edges, Occasion, Opening, RateLimit, Readings, Refused, Reporter, Telemetry, TraceRelation,
        emit, emit_overflow, emit_refused,
    },
};

/// The registry behind its door, and what every way of tracking shares.
#[derive(Debug)]
pub(crate) struct Tracker {
    registry: Registry<Live>,
    /// Set once, before the app runs; until then the default.
    redaction: OnceLock<Redaction>,
    /// The runtime of the user's code, once it runs.
    runtime: OnceLock<Handle>,
    /// Set once, when the app starts; until then nobody is told of spans and
    /// metrics.
    reporter: OnceLock<Arc<Reporter>>,
    relation: OnceLock<TraceRelation>,
    /// Set once, where there is a store.
    journal: OnceLock<Box<dyn Journal<Live>>>,
    /// The greatest age of tasks that have none of their own, in nanoseconds; 0
    /// where there is none.
    max_age: AtomicU64,
    limits: NamedLimits,
    pub(super) watch: Watch,
    pub(super) checkpoints: Checkpoints,
    /// Set once, where it is heeded.
    pub(super) platform: OnceLock<PlatformLimits>,
    /// Requests that user code works on, until their bodies have ended.
    requests: AtomicUsize,
    draining: AtomicBool,
    /// Wakes who waits for the drain.
    drain_begun: Notify,
    unknown: RateLimit,
}

/// A task that was lost with its process, of which nobody has been told.
#[derive(Debug)]
#[must_use = "a task that is not announced is lost without a word"]
pub(crate) struct LostTask(Event<Live>);

// === impl Tracker ===

impl Tracker {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            registry: Registry::new(limits, Clock::system()),
            redaction: OnceLock::new(),
            runtime: OnceLock::new(),
            reporter: OnceLock::new(),
            relation: OnceLock::new(),
            journal: OnceLock::new(),
            max_age: AtomicU64::new(0),
            limits: NamedLimits::default(),
            watch: Watch::new(),
            checkpoints: Checkpoints::new(),
            platform: OnceLock::new(),
            requests: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            drain_begun: Notify::new(),
            unknown: RateLimit::default(),
        }
    }

    /// The tasks, to look at. Steps are taken through the tracker alone.
    pub(crate) const fn registry(&self) -> &Registry<Live> {
        &self.registry
    }

    /// Begins a task.
    pub(super) fn begin(
        self: &Arc<Self>,
        new: NewTask,
        live: Live,
        opening: Opening,
    ) -> Result<Arc<Task<Live>>, Error> {
        if self.draining.load(Ordering::Acquire) {
            self.refuse(Refused::Draining);
            return Err(Error::Draining);
        }
        let begun = self.registry.begin(new, live);
        let event = begun.map_err(|AtCapacity { max_active }| {
            self.refuse(Refused::Capacity);
            Error::Capacity { max_active }
        })?;
        let task = Arc::clone(&event.task);
        self.announce(event, Some(opening));
        self.watch.rouse(self);
        if let Some(due) = task.due() {
            self.watch.start(self);
            self.watch.expect(due);
        }
        if task.kind == KindId::OTHER && self.registry.overflowed() {
            emit_overflow(&task);
        }
        Ok(task)
    }

    /// Counts a task that was refused.
    pub(super) fn refuse(&self, why: Refused) {
        emit_refused(why, self.reporter().map(|reporter| &**reporter));
    }

    /// Changes a task's state, if it may be changed so, and says so.
    pub(super) fn apply(&self, id: TaskId, step: Step) -> Result<(), StepError> {
        if let Some(event) = self.registry.step(id, step)? {
            self.announce(event, None);
        }
        Ok(())
    }

    /// Looks at a task's conditions: says which have begun and which are over, and
    /// ends the task if it must be. When to look again.
    pub(super) fn review(&self, id: TaskId) -> Option<Duration> {
        let review = self.registry.review(id)?;
        if let Some(event) = review.event {
            self.announce(event, None);
        }
        if let Some(verdict) = review.verdict {
            // Whoever has ended it meanwhile was first.
            self.apply(id, Step::TimeOut(text(verdict).into()))
                .unwrap_or_default();
            return None;
        }
        review.due
    }

    /// Announces an event and what other threads leave meanwhile for its task.
    fn announce(&self, event: Event<Live>, mut opening: Option<Opening>) {
        let reporter = self.reporter().map(|reporter| &**reporter);
        let mut next = Some(event);
        while let Some(event) = next {
            emit(&event, reporter, opening.take());
            match &event.change {
                Change::Begun => self.note(&event.task, Note::Begun),
                Change::Cleared(_) => {}
                Change::Crossed(crossing) => {
                    let occasion = Occasion::Condition(crossing.condition);
                    self.checkpoint(event.task.id, occasion);
                }
                // Whoever has found it notes that, once it has been told of.
                Change::Ended(ending) if ending.state == TaskState::Lost => {}
                Change::Ended(ending) => {
                    let bytes = ending.bytes();
                    self.note(&event.task, Note::Ended { bytes });
                    event.task.payload.release();
                    self.rest();
                }
            }
            next = self.registry.announced(&event);
        }
    }

    /// Takes in a task that was lost with its process. It is counted and listed; what is
    /// given back is to be [announced](Self::announce_lost), and is none where it is
    /// known already.
    pub(crate) fn lose(
        &self,
        past: PastTask,
        after: Duration,
        why: Box<str>,
        live: Live,
    ) -> Option<LostTask> {
        let event = self.registry.lose(past, after, why, live)?;
        Some(LostTask(event))
    }

    /// Tells of a task that was lost. What is given back is to be noted as ended once
    /// that is out.
    pub(crate) fn announce_lost(&self, LostTask(event): LostTask) -> Arc<Task<Live>> {
        let task = Arc::clone(&event.task);
        self.announce(event, None);
        task
    }

    /// Lets the journal know, where there is one.
    #[inline]
    pub(crate) fn note(&self, task: &Arc<Task<Live>>, what: Note) {
        if let Some(journal) = self.journal.get() {
            journal.note(task, what);
        }
    }

    /// Writes tasks down from now on. The first call counts.
    pub(crate) fn write_to(&self, journal: Box<dyn Journal<Live>>) {
        self.journal.get_or_init(|| journal);
    }

    /// Lets the journal, where there is one, write what it has and end; see
    /// [`Journal::close`].
    pub(crate) fn close_journal(&self, patience: Duration) -> bool {
        let journal = self.journal.get();
        journal.is_none_or(|journal| journal.close(patience))
    }

    /// How the journal is, where there is one.
    pub(crate) fn journal(&self) -> Option<Health> {
        self.journal.get().map(|journal| journal.health())
    }

    /// Reports through `telemetry` from now on. The first call counts.
    pub(crate) fn report_to(self: &Arc<Self>, telemetry: Telemetry, edges: &Edges) {
        self.reporter.get_or_init(|| {
            let readings: Weak<Self> = Arc::downgrade(self);
            let readings: Weak<dyn Readings> = readings;
            Arc::new(Reporter::new(telemetry, &readings, edges))
        });
        let exported = |reporter: &&Arc<Reporter>| reporter.telemetry.exports_spans();
        if self.reporter().is_some_and(|reporter| exported(&reporter)) {
            self.begin_checkpoints();
        }
    }

    /// What is reported through, once the app has started.
    pub(crate) fn reporter(&self) -> Option<&Arc<Reporter>> {
        self.reporter.get()
    }

    /// How traces of tasks stand to those of requests. The first call counts.
    pub(crate) fn relate(&self, relation: TraceRelation) {
        self.relation.get_or_init(|| relation);
    }

    pub(super) fn relation(&self) -> TraceRelation {
        self.relation.get().copied().unwrap_or_default()
    }

    /// Sets the greatest age of tasks that have none of their own.
    pub(crate) fn set_max_age(&self, age: Duration) {
        self.max_age.store(nanos(age), Ordering::Release);
    }

    /// Gives tasks of this name these limits from now on.
    pub(crate) fn limit(&self, name: Box<str>, limits: TaskLimits) {
        self.registry.declare(&name);
        self.limits.set(name, limits);
    }

    /// What bounds a task of this name that has these limits of its own.
    pub(super) fn bounds(&self, limits: TaskLimits, name: &str) -> Bounds {
        let nanos = self.max_age.load(Ordering::Acquire);
        let max_age = (nanos > 0).then(|| Duration::from_nanos(nanos));
        self.limits.complete(limits, name).bounds(max_age)
    }

    /// Watches on the runtime that this is called in, whose time may be paused.
    #[cfg(feature = "testing")]
    pub(crate) fn watch_here(self: &Arc<Self>) {
        self.watch.start_here(self);
    }

    /// A request has come that user code works on.
    pub(crate) fn arrive(&self) {
        self.requests.fetch_add(1, Ordering::AcqRel);
    }

    /// It has gone.
    pub(crate) fn leave(&self) {
        self.requests.fetch_sub(1, Ordering::AcqRel);
        self.rest();
    }

    /// Whether a request or a task is still at work.
    pub(crate) fn is_working(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0 || self.registry.active() > 0
    }

    /// Lets telemetry know if nothing is at work any more.
    fn rest(&self) {
        if let Some(reporter) = self.reporter().filter(|_| !self.is_working()) {
            reporter.telemetry.idle();
        }
    }

    /// Warns that a task could not be settled, once a second at most.
    pub(super) fn warn_unsettled(&self, id: TaskId, error: StepError) {
        let Some(unsaid) = self.unknown.speak(self.now()) else {
            return;
        };
        let why = match error {
            StepError::Ended(state) => format!("it is {state} already"),
            StepError::Unknown => "there is no such task, or it has been forgotten".to_owned(),
        };
        crate::telemetry::quietly(|| {
            warn!(
                unsaid_warnings = unsaid,
                "task {id} was not completed: {why}"
            )
        });
    }

    /// Now, on the clock that task durations are measured with.
    pub(crate) fn now(&self) -> Duration {
        self.registry.clock.mono()
    }

    /// Redacts by these keys from now on. The first call counts.
    pub(crate) fn redact(&self, redaction: Redaction) {
        self.redaction.get_or_init(|| redaction);
    }

    pub(super) fn redaction(&self) -> &Redaction {
        static DEFAULT: LazyLock<Redaction> = LazyLock::new(Redaction::default);
        self.redaction.get().unwrap_or(&DEFAULT)
    }

    /// Where futures are spawned: the app's runtime, else the caller's.
    pub(super) fn runtime(&self) -> Option<Handle> {
        self.runtime
            .get()
            .cloned()
            .or_else(|| Handle::try_current().ok())
    }

    /// Names the runtime of the user's code. The first call counts.
    pub(crate) fn runs_on(&self, runtime: &Handle) {
        self.runtime.get_or_init(|| runtime.clone());
    }

    /// The same of the runtime that this is called in.
    pub(crate) fn runs_here(&self) {
        self.runtime.get_or_init(Handle::current);
    }

    /// Begins nothing new from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain_begun.notify_waiters();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ready once it is draining.
    pub(super) async fn draining(&self) {
        // Before the look: what is told after it wakes this.
        let begun = self.drain_begun.notified();
        if !self.is_draining() {
            begun.await;
        }
    }

    /// Ends every active task as `interrupted`; says how many there were.
    pub(crate) fn interrupt_all(&self) -> usize {
        let active = self.registry.all_active();
        active
            .iter()
            .filter(|view| self.apply(view.task.id, Step::Interrupt).is_ok())
            .count()
    }
}

impl Readings for Tracker {
    fn each_kind(&self, each: &mut dyn FnMut(&Kind)) {
        self.registry.kinds().for_each(each);
    }

    fn ping(&self) -> &Ping {
        &self.registry.ping
    }

    fn now(&self) -> Duration {
        self.registry.clock.mono()
    }

    fn history(&self) -> (usize, usize) {
        (self.registry.history_len(), self.registry.history_limit())
    }

    fn store(&self) -> Option<Health> {
        self.journal()
    }
}
