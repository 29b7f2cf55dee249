//! What clients know, against what the next process says.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    clients::{Begun, Known},
    seen::{assert_span, await_spans, listed, micros, now_micros},
};
use crate::{
    harness::{Process, Scrape, eventually},
    peer::Jaeger,
};

/// What happened so long before a kill is not lost.
const PROMISE: Duration = Duration::from_millis(100);

/// Everything that is known over all processes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lives: Vec<Life>,
    /// Tasks that no process was asked about yet.
    open: Vec<Known>,
    /// The ids that are known to have been handed out.
    ids: BTreeSet<u64>,
    /// The last one that a process was asked about.
    checked: u64,
    /// By id, what was logged of lost tasks.
    told: HashMap<u64, Value>,
    pub(super) figures: Figures,
}

/// A process that was killed.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) instance: String,
    pub(super) killed: Instant,
    /// The same in microseconds since the Unix epoch.
    pub(super) killed_at: u64,
    /// For how long the machine kept a thread from going on before that.
    stall: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    begun: usize,
    ended: usize,
    lost: usize,
    /// Lost tasks whose begin was never answered.
    unanswered: usize,
    /// Told of by more than one process.
    told_again: usize,
    /// The answered begin of a missing task, and the answered end of a lost one, that was
    /// longest before a kill.
    latest_begin: Duration,
    latest_end: Duration,
    /// How often that was longer than is promised, as the machine had no time.
    late: usize,
    worst_stall: Duration,
    /// Clients were at work for so long.
    pub(super) busy: Duration,
    /// From a start to the last lost task's span in Jaeger.
    slowest: Duration,
}

// === impl Life ===

impl Life {
    /// One that is killed now.
    pub(super) fn ending(instance: String, stall: Duration) -> Self {
        Self {
            instance,
            killed: Instant::now(),
            killed_at: now_micros(),
            stall,
        }
    }
}

// === impl Figures ===

impl Figures {
    pub(super) fn recovered(&mut self, after: Duration) {
        self.slowest = self.slowest.max(after);
    }
}

// === impl Ledger ===

impl Ledger {
    /// The number of the process that is next to be killed.
    pub(super) const fn life(&self) -> usize {
        self.lives.len()
    }

    /// Takes in a process that was killed, its log, and what clients know of it.
    pub(super) fn bury(&mut self, life: Life, log: &[Value], known: Vec<Known>) {
        let begun = || known.iter().filter_map(|known| known.begun.as_ref());
        let last = self.ids.last().copied().unwrap_or_default();
        for Begun { id, .. } in begun() {
            assert!(*id > last, "{id} after a restart, {last} before it");
            assert!(self.ids.insert(*id), "{id} was handed out twice");
        }
        self.figures.begun += begun().count();
        self.figures.ended += known.iter().filter(|known| known.ended.is_some()).count();
        self.figures.worst_stall = self.figures.worst_stall.max(life.stall);
        self.hear(log);
        self.lives.push(life);
        self.open.extend(known);
    }

    /// Asks a process, of which nobody has asked anything yet, about all tasks that no
    /// other was asked about.
    pub(super) fn check(&mut self, process: &Process, jaeger: &Jaeger) {
        let open = std::mem::take(&mut self.open);
        let found = listed(process, self.checked);
        let by_key = claim(&open, &found);
        for known in &open {
            self.check_task(known, by_key.get(&*known.key).copied());
        }
        let lost: Vec<_> = open
            .iter()
            .filter_map(|known| Some((known, *by_key.get(&*known.key)?)))
            .filter(|(_, task)| task["state"] == "lost")
            .collect();
        self.await_told(process, &lost);
        await_spans(jaeger, &lost);
        for (known, task) in &lost {
            let life = &self.lives[known.life];
            assert_told(&self.told[&id(task)], task, life);
            if known.sampled {
                assert_span(jaeger, known, task, life);
            } else {
                let trace = task["trace_id"].as_str().expect("an id");
                assert_eq!(jaeger.sent_trace(trace), None, "it is not sampled");
            }
        }
        self.figures.lost += lost.len();
        let unanswered = lost.iter().filter(|(known, _)| known.begun.is_none());
        self.figures.unanswered += unanswered.count();
        // Ids of begins that nobody heard of count as well.
        self.ids.extend(found.keys());
        self.checked = self.ids.last().copied().unwrap_or_default();
    }

    /// That a task is as its client knows it.
    fn check_task(&mut self, known: &Known, task: Option<&Value>) {
        let Life { killed, stall, .. } = self.lives[known.life];
        let promise = PROMISE + stall;
        let Some(begun) = &known.begun else { return };
        let Some(task) = task else {
            let before = killed.saturating_duration_since(begun.at);
            self.figures.latest_begin = self.figures.latest_begin.max(before);
            self.figures.late += usize::from(before > PROMISE);
            assert!(
                before <= promise,
                "missing, and begun {before:?} before the kill, with a stall of {stall:?}: {known:?}"
            );
            return;
        };
        assert_eq!(task["trace_id"], begun.trace, "{known:?}");
        if let Some(span) = &begun.span {
            assert_eq!(task["span_id"], **span, "{known:?}");
        }
        match (task["state"].as_str(), known.ended) {
            (Some("lost"), None) => {}
            (Some("lost"), Some(ended)) => {
                let before = killed.saturating_duration_since(ended);
                self.figures.latest_end = self.figures.latest_end.max(before);
                self.figures.late += usize::from(before > PROMISE);
                assert!(
                    before <= promise,
                    "lost, and ended {before:?} before the kill, with a stall of {stall:?}: {known:?}"
                );
            }
            (Some("succeeded"), _) => assert!(known.end_asked, "{known:?}"),
            (state, _) => panic!("{state:?}: {known:?}"),
        }
    }

    /// Waits until the process has a line for each lost task that it counts; one that it
    /// does not count has a line of a process that was killed soon after.
    fn await_told(&mut self, process: &Process, lost: &[(&Known, &Value)]) {
        let scrape = Scrape::of(&process.get("/metrics"));
        let entered = [("task_state", "lost")];
        let counted = scrape.sum("taskpulse_task_transitions_total", &entered);
        let mut lines = BTreeMap::new();
        eventually("as many lines as it counts", || {
            lines = told(&process.log());
            lines.len() as f64 > counted - 0.5
        });
        assert!(lines.len() as f64 - counted < 0.5, "{counted} counted");
        let has = |id| lines.contains_key(&id) || self.told.contains_key(&id);
        for (known, task) in lost {
            assert!(has(id(task)), "nobody tells of it: {known:?}");
        }
        let durations = scrape.sum("taskpulse_task_duration_seconds_count", &entered);
        assert!(durations < 0.5, "how long they took is not known");
        let failures = scrape.sum("taskpulse_store_failures_total", &[]);
        assert!(failures < 0.5, "{failures} failures of the store");
        assert!((scrape.sum("taskpulse_store_up", &[]) - 1.0).abs() < 0.5);
        self.hear(&process.log());
    }

    /// Remembers what a log says of lost tasks.
    fn hear(&mut self, log: &[Value]) {
        for (id, line) in told(log) {
            let Some(before) = self.told.insert(id, line.clone()) else {
                continue;
            };
            if before["timestamp"] != line["timestamp"] {
                self.figures.told_again += 1;
            }
            for key in ["trace_id", "span_id", "error", "duration_seconds"] {
                assert_eq!(before[key], line[key], "{key} of {id}");
            }
        }
    }
}

/// The lines about lost tasks, by id.
fn told(log: &[Value]) -> BTreeMap<u64, Value> {
    let mut told = BTreeMap::new();
    for line in log.iter().filter(|line| line["state"] == "lost") {
        let id = line["task_id"].as_u64().expect("an id");
        let before = told.insert(id, line.clone());
        assert_eq!(before, None, "one process says it once");
    }
    told
}

/// Whose each listed task is, by the key that its client gave it.
fn claim<'a>(known: &'a [Known], found: &'a BTreeMap<u64, Value>) -> HashMap<&'a str, &'a Value> {
    let known: HashMap<_, _> = known.iter().map(|known| (&*known.key, known)).collect();
    let mut claimed = HashMap::new();
    for (id, task) in found {
        let key = task["metadata"]["key"].as_str().expect("a key");
        let known = known.get(key);
        let known = known.unwrap_or_else(|| panic!("nobody has begun {task}"));
        let answered = known.begun.as_ref().map(|begun| begun.id);
        assert_eq!(answered.unwrap_or(*id), *id, "{known:?}");
        let before = claimed.insert(key, task);
        assert_eq!(before, None, "one begin, two tasks: {task}");
    }
    claimed
}

fn id(task: &Value) -> u64 {
    task["id"].as_u64().expect("an id")
}

/// That the line about a lost task is complete.
fn assert_told(line: &Value, task: &Value, life: &Life) {
    assert_eq!(line["level"], "ERROR", "{line}");
    assert_eq!(line["trace_id"], task["trace_id"], "{line}");
    assert_eq!(line["span_id"], task["span_id"], "{line}");
    assert_eq!(line["task_name"], "import", "{line}");
    assert_eq!(line["sessionId"], "s-1", "{line}");
    let why = format!("lost: process {} ended without settling it", life.instance);
    assert_eq!(line["error"], *why, "{line}");
    assert_eq!(task["error"], *why, "{task}");
    // It ends with the last sign of life of its process, which each group of changes is;
    // tasks began and ended until the kill.
    let (ended, promise) = (micros(&task["ended_at"]), PROMISE + life.stall);
    let earliest = u128::from(life.killed_at) - promise.as_micros();
    assert!(
        u128::from(ended) >= earliest && ended <= life.killed_at + 100_000,
        "killed at {}, with a stall of {:?}: {task}",
        life.killed_at,
        life.stall
    );
}
