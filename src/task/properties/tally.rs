//! What is to be counted of a kind, counted anew.

use super::{BTreeMap, Condition, Duration, Kind, Registry, TaskState, model::Known};

/// What a kind says of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// By state, without those that were never entered.
    pub(super) entered: BTreeMap<&'static str, u64>,
    pub(super) active: u64,
    pub(super) oldest: Option<Duration>,
    /// Tasks that are noted as overdue and stalled, and how often any was.
    pub(super) noted: [u64; 2],
    pub(super) crossed: [u64; 2],
}

/// What a registry says of every kind.
pub(super) fn all(registry: &Registry<()>) -> BTreeMap<String, Tally> {
    let mut all = BTreeMap::new();
    for kind in registry.kinds() {
        let twice = all.insert(kind.label.to_string(), Tally::of(kind));
        assert_eq!(twice, None, "{} is there twice", kind.label);
    }
    all
}

// === impl Tally ===

impl Tally {
    fn of(kind: &Kind) -> Self {
        let entered = TaskState::ALL.map(|state| (state.as_str(), kind.entered(state)));
        Self {
            entered: entered.into_iter().filter(|(_, n)| *n > 0).collect(),
            active: kind.active(),
            oldest: kind.oldest(),
            noted: Condition::ALL.map(|condition| kind.noted(condition)),
            crossed: Condition::ALL.map(|condition| kind.crossed(condition)),
        }
    }

    /// Counts a task.
    pub(super) fn add(&mut self, task: &Known) {
        for at in 0..2 {
            let noted = task.ending.is_none() && task.noted[at];
            self.noted[at] += u64::from(noted);
            self.crossed[at] += task.crossed[at];
        }
        self.count(task.begun_mono, task.ending.map(|(state, _)| state));
    }

    pub(super) fn count(&mut self, begun: Duration, end: Option<TaskState>) {
        let states = [Some(TaskState::Running), end];
        for state in states.into_iter().flatten() {
            *self.entered.entry(state.as_str()).or_default() += 1;
        }
        if end.is_none() {
            self.active += 1;
            self.oldest = Some(self.oldest.map_or(begun, |oldest| oldest.min(begun)));
        }
    }
}
