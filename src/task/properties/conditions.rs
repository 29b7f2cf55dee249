//! Conditions: what is derived, what is noted, and when the watcher must look.

use super::{
    Bounds, Change, Condition, Crossing, Deadline, Duration, Index, Model, NewTask, Pair, Progress,
    Reaction, Step, Verdict, model::Known, name, new_task,
};

/// What a look at a task is to find.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    /// Which, whether it has begun, how long it has lasted.
    changes: Vec<(Condition, bool, Duration)>,
    verdict: Option<Verdict>,
}

/// Two of three tasks have something that may be the matter with them.
pub(super) fn bounded(n: u8) -> NewTask {
    let time = Duration::from_millis(300 * u64::from(n % 7 + 1));
    let bounds = Bounds {
        stall_after: (!n.is_multiple_of(3)).then_some(time),
        deadline: (n % 3 == 1).then_some(Deadline::After(2 * time)),
        ..Bounds::default()
    };
    NewTask {
        bounds,
        ..new_task(&name(n))
    }
}

// === impl Pair ===

impl Pair {
    pub(super) fn beat(&mut self, index: &Index) {
        let Some(at) = self.place(index) else { return };
        let id = self.model.tasks[at].id;
        let Some(task) = self.registry.task(id) else {
            assert!(self.model.tasks[at].ending.is_some(), "{id} is active");
            return;
        };
        let noted = self.registry.beat(&task);
        assert_eq!(noted, self.model.tasks[at].noted[1]);
        self.model.tasks[at].last_sign = self.model.mono;
        if noted {
            self.review(at);
        }
    }

    pub(super) fn progress(&mut self, index: &Index, progress: Progress) {
        let Some(at) = self.place(index) else { return };
        let known = &mut self.model.tasks[at];
        let taken = self
            .registry
            .task(known.id)
            .is_some_and(|task| self.registry.progress(&task, progress.clone()));
        assert_eq!(taken, known.ending.is_none());
        if taken {
            known.progress = Some(progress);
        }
    }

    /// Does what the watcher does. Then nothing is left to be done.
    pub(super) fn watch(&mut self) {
        for id in self.registry.due() {
            let at = self.model.tasks.iter().position(|task| task.id == id);
            self.review(at.expect("it was begun"));
        }
        assert_eq!(self.registry.due(), []);
        let model = &self.model;
        for task in model.active() {
            let is = [model.late(task).is_some(), model.silent(task).is_some()];
            assert_eq!(task.noted, is, "{}", task.id);
        }
    }

    fn review(&mut self, at: usize) {
        let id = self.model.tasks[at].id;
        let review = self.registry.review(id).expect("it is active");
        let mut found = Wanted {
            verdict: review.verdict,
            ..Wanted::default()
        };
        let mut next = review.event;
        while let Some(event) = next {
            assert!(event.seq > self.last_seq, "numbers ascend");
            self.last_seq = event.seq;
            let (crossing, begun) = match &event.change {
                Change::Crossed(crossing) => (crossing, true),
                Change::Cleared(crossing) => (crossing, false),
                other @ (Change::Begun | Change::Ended(_)) => panic!("{other:?} in a review"),
            };
            self.model.agree_on_crossing(at, crossing);
            let change = (crossing.condition, begun, crossing.lasted);
            found.changes.push(change);
            next = self.registry.announced(&event);
        }
        assert_eq!(found, self.model.review(at));
        if found.verdict.is_some() {
            self.end_at(at, Step::TimeOut("its time was up".into()));
        }
    }

    fn place(&self, index: &Index) -> Option<usize> {
        let tasks = self.model.tasks.len();
        (tasks > 0).then(|| index.index(tasks))
    }

    /// The watcher may look too early, since a sign of life does not make it look
    /// later; it never looks too late.
    pub(super) fn agree_on_times(&self) {
        let (registry, model) = (&self.registry, &self.model);
        let times = model
            .active()
            .filter_map(|task| Some((model.next(task)?, task.id)));
        let times: Vec<_> = times.collect();
        let due = registry.due();
        for (at, id) in &times {
            assert!(*at > model.mono || due.contains(id), "{id} is missed");
        }
        let first = times.iter().map(|(at, _)| *at).min();
        match (registry.next_due(), first) {
            (None, None) => {}
            (Some(due), Some(first)) => assert!(due <= first, "{due:?}, {first:?}"),
            (due, first) => panic!("{due:?}, {first:?}"),
        }
    }
}

// === impl Model ===

impl Model {
    /// How long it has been late, if it is and runs.
    pub(super) fn late(&self, task: &Known) -> Option<Duration> {
        if task.ending.is_some() {
            return None;
        }
        let now = task.begun_wall + (self.mono - task.begun_mono);
        now.checked_sub(task.deadline?)
    }

    /// How long it has been silent, if that is too long and it runs.
    pub(super) fn silent(&self, task: &Known) -> Option<Duration> {
        let silence = self.mono - task.last_sign;
        let is = task.ending.is_none() && silence >= task.bounds.stall_after?;
        is.then_some(silence)
    }

    /// When something must be done about it.
    fn next(&self, task: &Known) -> Option<Duration> {
        let Bounds {
            max_age,
            on_deadline,
            stall_after,
            on_stall,
            ..
        } = task.bounds;
        let deadline = task
            .deadline
            .filter(|_| !task.noted[0] || on_deadline == Reaction::Cancel);
        let stall = stall_after.filter(|_| !task.noted[1] || on_stall == Reaction::Cancel);
        let times = [
            max_age.map(|age| task.begun_mono + age),
            deadline.map(|at| task.begun_mono + at.saturating_sub(task.begun_wall)),
            stall.map(|after| task.last_sign + after),
        ];
        times.into_iter().flatten().min()
    }

    fn review(&mut self, at: usize) -> Wanted {
        let task = &self.tasks[at];
        let is = [self.late(task), self.silent(task)];
        let max_age = task
            .bounds
            .max_age
            .filter(|age| task.begun_mono + *age <= self.mono);
        let late = is[0].filter(|_| task.bounds.on_deadline == Reaction::Cancel);
        let silent = is[1].filter(|_| task.bounds.on_stall == Reaction::Cancel);
        let silent = silent.and(task.bounds.stall_after);
        let mut wanted = Wanted {
            verdict: max_age
                .map(Verdict::TooOld)
                .or(late.map(Verdict::Late))
                .or(silent.map(Verdict::Silent)),
            ..Wanted::default()
        };
        let noted = std::mem::replace(&mut self.tasks[at].noted, is.map(|one| one.is_some()));
        for (n, condition) in Condition::ALL.into_iter().enumerate() {
            match (is[n], noted[n]) {
                (Some(lasted), false) => {
                    self.tasks[at].crossed[n] += 1;
                    if condition == Condition::Stalled {
                        self.tasks[at].silent_since = self.tasks[at].last_sign;
                    }
                    wanted.changes.push((condition, true, lasted));
                }
                (None, true) => {
                    let lasted = self.tasks[at].last_sign - self.tasks[at].silent_since;
                    wanted.changes.push((condition, false, lasted));
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        wanted
    }

    fn agree_on_crossing(&self, at: usize, crossing: &Crossing) {
        let task = &self.tasks[at];
        assert_eq!(crossing.at, self.mono);
        let sign = Some(task.last_sign).filter(|sign| *sign > task.begun_mono);
        assert_eq!(crossing.last_sign, sign);
    }
}

// === impl Known ===

impl Known {
    /// Since the epoch; the begin is none, and nothing is after the end.
    pub(super) fn last_seen_at(&self) -> Option<Duration> {
        let age = self.last_sign - self.begun_mono;
        (!age.is_zero()).then(|| self.begun_wall + age)
    }
}
