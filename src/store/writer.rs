//! The one thread that writes.
//!
//! It looks every few milliseconds at what has changed and writes it as a group. What
//! fails is tried again every second. What can never work ends the store, not the tasks:
//! those are kept in memory alone from then on.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use tracing::{error, info};

use super::{
    Shared,
    backend::{Backend, Fault, FaultKind, Group, Record},
    queue::{Changed, is_known, mark_known, mark_taken},
    record::leave_out_forgotten,
    recover::{self, Found},
    shed::Shed,
};
use crate::{
    task::{Clock, View},
    telemetry::quietly,
    track::Tracker,
};

/// How long changes are gathered. With the time that a group takes to be written it stays
/// well below the 100 ms that are promised.
const GATHER: Duration = Duration::from_millis(20);

/// Tasks of a group at most.
const GROUP: usize = 4_096;

/// Signs of life that are written with a beat at most.
const SIGNS: usize = 4_096;

/// How long ended tasks may be forgotten for, of each beat.
const PRUNING: Duration = Duration::from_millis(50);

/// How many ids are reserved at once. At a million tasks a second they last a second;
/// when half of them are used up, the next group reserves more.
const BLOCK: u64 = 1 << 20;

/// Where the store is, and what can be done about it from outside.
pub(super) trait Site: fmt::Debug + Send {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn open(&mut self) -> Result<Box<dyn Backend>, Fault>;

    /// Puts what cannot be used out of the way; says where it is now, if there was
    /// anything.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn set_aside(&mut self, now: Duration) -> io::Result<Option<PathBuf>>;
}

/// The writer's own.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    tracker: Weak<Tracker>,
    clock: Clock,
    site: Box<dyn Site>,
    backend: Option<Box<dyn Backend>>,
    /// Whether what an earlier process has left there was taken in.
    recovered: bool,
    /// Tasks that were taken from the queue and are not written yet.
    pending: Vec<Changed>,
    /// Ids below this one are reserved.
    reserved: u64,
    /// What the registry said last.
    next_id: u64,
    history: usize,
    /// When tasks last changed, and when the last beat was, on the monotonic clock.
    changed: Option<Duration>,
    beat: Option<Duration>,
    /// When to try again, after a failure.
    retry: Option<Duration>,
    shed: Shed,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(shared: &Arc<Shared>, tracker: &Arc<Tracker>, site: Box<dyn Site>) -> Self {
        let registry = tracker.registry();
        Self {
            shared: Arc::clone(shared),
            tracker: Arc::downgrade(tracker),
            clock: registry.clock.clone(),
            site,
            backend: None,
            recovered: false,
            pending: Vec::new(),
            reserved: 0,
            next_id: 0,
            history: 0,
            changed: None,
            beat: None,
            retry: None,
            shed: Shed::default(),
        }
    }

    /// Opens the store and finds what an earlier process has left in it; or says what is
    /// the matter.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that only whoever has named the path can mend.
    pub(super) fn begin(&mut self, tracker: &Tracker) -> Result<Found, Fault> {
        match self.recover(tracker) {
            Ok(found) => {
                self.shared.recover();
                Ok(found)
            }
            Err(fault) if fault.kind == FaultKind::Foreign => {
                self.fail(&fault);
                Err(fault)
            }
            Err(fault) => Ok(self.fail(&fault).map(Found::complaint).unwrap_or_default()),
        }
    }

    /// Writes until the queue is closed, the tracker is gone, or the store is of no use
    /// any more.
    pub(super) fn run(mut self) {
        while !self.shared.is_dead() {
            let now = self.clock.mono();
            let changing = self
                .changed
                .is_some_and(|changed| now < changed + self.shared.terms.beat);
            let open = self.shared.queue.wait(GATHER, self.rest(now), changing);
            if !open || self.tracker.strong_count() == 0 {
                return self.end();
            }
            self.round();
        }
    }

    /// How long it may wait if nothing changes.
    fn rest(&self, now: Duration) -> Duration {
        let next = self
            .retry
            .or(self.beat.map(|beat| beat + self.shared.terms.beat));
        next.map_or(Duration::ZERO, |next| next.saturating_sub(now))
    }

    /// Does what is to be done now.
    fn round(&mut self) {
        let now = self.clock.mono();
        if self.retry.is_some_and(|retry| now < retry) {
            return;
        }
        match self.attempt(now) {
            Ok(()) => {
                self.retry = None;
                if self.shared.recover() {
                    let path = &self.shared.path;
                    quietly(|| info!(%path, "the store works again"));
                }
            }
            Err(fault) => {
                if let Some(complaint) = self.fail(&fault) {
                    quietly(|| error!("{complaint}"));
                }
            }
        }
        self.shed.look(&self.shared);
    }

    fn attempt(&mut self, now: Duration) -> Result<(), Fault> {
        if !self.recovered
            && let Some(tracker) = self.tracker.upgrade()
        {
            self.recover(&tracker)?.announce(&tracker);
        }
        let period = self.shared.terms.beat;
        let is_beat = self.beat.is_none_or(|beat| now >= beat + period);
        if is_beat {
            self.backend()?.check()?;
            if self.pending.is_empty() {
                self.shared.queue.take_signs(SIGNS, &mut self.pending);
            }
        }
        self.ask();
        self.write_all(is_beat)?;
        if is_beat {
            self.beat = Some(now);
            self.tend()?;
        }
        Ok(())
    }

    /// Takes in what the store has.
    fn recover(&mut self, tracker: &Tracker) -> Result<Found, Fault> {
        if self.backend.is_none() {
            self.backend = Some(self.site.open()?);
        }
        let next = self.backend()?.next_id()?;
        tracker.registry().skip_ids_to(next);
        self.ask();
        // Ids are written down before they are handed out.
        self.write()?;
        self.write_unwritten(tracker)?;
        // Last: what is found here is found once.
        let kept = self.shared.terms.kept;
        let found = recover::find(self.backend()?, tracker, kept)?;
        self.recovered = true;
        Ok(found)
    }

    /// Asks the registry what a write needs. It is held for this moment only: whoever lets
    /// go of the tracker waits for the last changes, and the writer cannot.
    fn ask(&mut self) {
        let Some(tracker) = self.tracker.upgrade() else {
            return;
        };
        let registry = tracker.registry();
        self.next_id = registry.next_id();
        self.history = registry.history_limit();
    }

    /// Writes what waits, and that the process lives, if `beat`.
    fn write_all(&mut self, beat: bool) -> Result<(), Fault> {
        let mut due = beat || self.is_short_of_ids();
        loop {
            // What could not be written comes first, and nothing with it: else a store
            // that fails would empty a queue that is bounded.
            let left = !self.pending.is_empty();
            if !left {
                self.shared.queue.take(GROUP, &mut self.pending);
            }
            if !self.pending.is_empty() {
                self.changed = Some(self.clock.mono());
                due = true;
            }
            let full = self.pending.len() >= GROUP;
            if due {
                self.write()?;
            }
            if !left && !full {
                return Ok(());
            }
        }
    }

    /// Writes what is pending.
    fn write(&mut self) -> Result<(), Fault> {
        self.shared.queue.hold(self.pending.len());
        if self.is_short_of_ids() {
            self.reserved = self.next_id + BLOCK;
        }
        let mut views: Vec<_> = self.pending.iter().map(View::of).collect();
        leave_out_forgotten(&mut views, self.history);
        let tasks: Vec<_> = views.iter().map(Record::of).collect();
        let group = Group {
            tasks: &tasks,
            seen: self.clock.wall(),
            ids_until: self.reserved,
        };
        if let Err(fault) = self.backend()?.write(&group) {
            self.reserved = 0; // Not known, so the next group reserves anew.
            return Err(fault);
        }
        for view in &views {
            mark_known(&view.task);
        }
        self.pending.clear();
        self.shared.queue.hold(0);
        Ok(())
    }

    fn is_short_of_ids(&self) -> bool {
        self.next_id + BLOCK / 2 > self.reserved
    }

    /// Does what need not be done often.
    fn tend(&mut self) -> Result<(), Fault> {
        let since = self.clock.wall().saturating_sub(self.shared.terms.kept);
        let until = self.clock.mono() + PRUNING;
        let most = self.history;
        while self.backend()?.prune(most, since)? && self.clock.mono() < until {
            // What is begun meanwhile does not wait for that.
            if self.shared.queue.waiting() > 0 {
                self.write_all(false)?;
            }
        }
        self.backend()?.tend()?;
        if self.shared.queue.waiting() < GROUP as u64
            && self.shared.queue.take_debt()
            && let Some(tracker) = self.tracker.upgrade()
        {
            let paid = self.write_unwritten(&tracker);
            if paid.is_err() {
                self.shared.queue.owe_begins();
            }
            return paid;
        }
        Ok(())
    }

    /// Writes what is active and not in the store: it was begun before there was one, or
    /// was shed.
    fn write_unwritten(&mut self, tracker: &Tracker) -> Result<(), Fault> {
        let active = tracker.registry().all_active().into_iter();
        let active = active.map(|view| view.task);
        let unwritten: Vec<_> = active.filter(|task| !is_known(task)).collect();
        for group in unwritten.chunks(GROUP) {
            // What changes meanwhile does not wait for that.
            if !self.pending.is_empty() || self.shared.queue.waiting() > 0 {
                self.write_all(false)?;
            }
            group.iter().for_each(|task| mark_taken(task));
            self.pending.extend_from_slice(group);
            self.write()?;
        }
        Ok(())
    }

    fn backend(&mut self) -> Result<&mut dyn Backend, Fault> {
        match &mut self.backend {
            Some(backend) => Ok(&mut **backend),
            None => Err(Fault {
                kind: FaultKind::Passing,
                message: format!("{} is not open", self.shared.path),
            }),
        }
    }

    /// Deals with a fault; says what is to be said of it.
    fn fail(&mut self, fault: &Fault) -> Option<String> {
        let first = self.shared.fail(fault);
        match fault.kind {
            FaultKind::Passing => {
                self.retry = Some(self.clock.mono() + self.shared.terms.beat);
                first.then(|| format!("the store fails: {fault}; tasks are kept in memory alone until it works again, which is tried every second"))
            }
            FaultKind::Broken => Some(self.give_up(fault, true)),
            FaultKind::Foreign => Some(self.give_up(fault, false)),
        }
    }

    /// Ends the store. What it was made of is put out of the way of the next one, and kept
    /// for whoever wants to know.
    fn give_up(&mut self, fault: &Fault, ours: bool) -> String {
        self.shared.die();
        self.pending.clear();
        drop(self.backend.take());
        let now = self.clock.wall();
        let aside = match ours.then(|| self.site.set_aside(now)).transpose() {
            Ok(Some(Some(aside))) => {
                format!("what is left of the store is kept as {}", aside.display())
            }
            Ok(Some(None)) => "nothing is left of the store".to_owned(),
            Ok(None) => "it is left as it is".to_owned(),
            Err(error) => format!("it could not be set aside: {error}"),
        };
        format!(
            "the store cannot be used: {fault}; {aside}; tasks are kept in memory alone until the next start"
        )
    }

    /// Writes what is left, if that works at once.
    fn end(mut self) {
        if self.recovered {
            self.ask();
            match self.write_all(true) {
                Ok(()) => self.shared.settle(),
                Err(fault) => {
                    if let Some(complaint) = self.fail(&fault) {
                        quietly(|| error!("{complaint}"));
                    }
                }
            }
        }
        self.shared.queue.shut();
        let Some(backend) = self.backend.take() else {
            return;
        };
        if let Err(fault) = backend.close(self.clock.wall()) {
            quietly(|| error!(error = %fault, "the store was not closed in order"));
        }
    }
}
