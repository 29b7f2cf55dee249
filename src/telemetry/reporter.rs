//! What one app reports through: the tracer and the instruments that [`emit`]
//! and the service use.
//!
//! [`emit`]: super::emit()

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, Weak},
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram, Meter},
};
use tokio::runtime::Handle;

use super::{
    Readings, Telemetry,
    http::RequestDurations,
    instruments::{Counts, in_state, observe_counts, observe_runtimes, observe_tasks},
    metric::{HTTP_DURATION, HTTP_SECONDS, Metric, TASK_DURATION, TASK_NAME, TASK_SECONDS},
    start::scope,
};
use crate::{
    TaskState,
    task::{Ending, KindId, Task},
};

/// The edges of the histograms of single tasks, by the tasks' names.
pub(crate) type Edges = HashMap<Box<str>, Vec<f64>>;

/// One app's telemetry.
pub(crate) struct Reporter {
    pub(crate) telemetry: Telemetry,
    pub(crate) counts: Arc<Counts>,
    pub(crate) requests: RequestDurations,
    durations: Durations,
}

/// Why a task was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many tasks are active as may be.
    Capacity,
    /// The process shuts down.
    Draining,
    /// Its name or metadata is at fault.
    Invalid,
}

/// A response that is still being sent after its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// Server-sent events.
    Sse,
    /// A WebSocket.
    Ws,
}

/// The histograms of tasks' durations, bound to their labels when a task of a
/// kind first ends in a state.
struct Durations {
    of_most: Vec<Histogram<f64>>,
    of_some: HashMap<Box<str>, Vec<Histogram<f64>>>,
    /// By kind and state.
    bound: Box<[[Bound; TaskState::ALL.len()]]>,
}

type Bound = OnceLock<Vec<BoundHistogram<f64>>>;

// === impl Reporter ===

impl Reporter {
    /// Makes the instruments, which read from `readings` as long as those live.
    pub(crate) fn new(telemetry: Telemetry, readings: &Weak<dyn Readings>, edges: &Edges) -> Self {
        let counts = Arc::new(Counts::default());
        let meters = telemetry.meters();
        for meter in &meters {
            observe_tasks(meter, readings);
            observe_counts(meter, &counts);
        }
        Self {
            durations: Durations::new(&telemetry, edges),
            requests: RequestDurations::new(histograms(&meters, HTTP_DURATION, &HTTP_SECONDS)),
            telemetry,
            counts,
        }
    }

    /// Reports on the runtimes as well, each under its name.
    pub(crate) fn watch(&self, runtimes: &[(&'static str, Handle)]) {
        for meter in self.telemetry.meters() {
            observe_runtimes(&meter, runtimes);
        }
    }

    /// Records how long a task took.
    pub(super) fn ended<P>(&self, task: &Task<P>, ending: &Ending) {
        for histogram in self.durations.of(task, ending.state) {
            histogram.record(ending.duration.as_secs_f64());
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("telemetry", &self.telemetry)
            .finish_non_exhaustive()
    }
}

// === impl Refused ===

impl Refused {
    pub(super) const ALL: [Self; 3] = [Self::Capacity, Self::Draining, Self::Invalid];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Draining => "draining",
            Self::Invalid => "invalid",
        }
    }
}

// === impl StreamKind ===

impl StreamKind {
    pub(super) const ALL: [Self; 2] = [Self::Sse, Self::Ws];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Ws => "ws",
        }
    }
}

// === impl Durations ===

impl Durations {
    fn new(telemetry: &Telemetry, edges: &Edges) -> Self {
        let of_most = histograms(&telemetry.meters(), TASK_DURATION, &TASK_SECONDS);
        // An instrument has one set of edges. A second one of the same name has
        // to be of another scope, which OTLP tells apart by its attribute.
        let of_some = edges.iter().map(|(name, edges)| {
            let attribute = KeyValue::new(TASK_NAME, name.to_string());
            let scope = scope().with_attributes([attribute]).build();
            let histograms = histograms(&telemetry.meters_of(&scope), TASK_DURATION, edges);
            (name.clone(), histograms)
        });
        let none = || std::array::from_fn(|_| OnceLock::new());
        Self {
            of_most,
            of_some: of_some.collect(),
            bound: (0..KindId::COUNT).map(|_| none()).collect(),
        }
    }

    fn of<P>(&self, task: &Task<P>, state: TaskState) -> &[BoundHistogram<f64>] {
        self.bound[task.kind.index()][state as usize].get_or_init(|| {
            let label = task.label();
            let histograms = self.of_some.get(label).unwrap_or(&self.of_most);
            let labels = [KeyValue::new(TASK_NAME, label.to_owned()), in_state(state)];
            let bound = histograms.iter().map(|histogram| histogram.bind(&labels));
            bound.collect()
        })
    }
}

fn histograms(meters: &[Meter], metric: Metric, edges: &[f64]) -> Vec<Histogram<f64>> {
    let made = meters.iter().map(|meter| {
        meter
            .f64_histogram(metric.name)
            .with_unit(metric.unit)
            .with_description(metric.help)
            .with_boundaries(edges.to_vec())
            .build()
    });
    made.collect()
}
