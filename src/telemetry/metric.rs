//! Every metric, declared once. The instruments, the table in the docs and the
//! golden file of `/metrics` come from these rows.

use std::fmt;

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// The OpenTelemetry name. Prometheus replaces its dots and adds the unit,
    /// and `_total` to a counter.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    /// Attribute keys. Their values come from closed sets.
    #[cfg_attr(not(test), expect(dead_code, reason = "the docs name them"))]
    pub(crate) labels: &'static [&'static str],
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// Goes up and down; Prometheus calls it a gauge.
    UpDownCounter,
    Counter,
    Histogram,
}

pub(crate) const TASK_NAME: &str = "task.name";
pub(crate) const TASK_STATE: &str = "task.state";
pub(crate) const CONDITION: &str = "condition";
pub(crate) const PING_STATUS: &str = "ping.status";
pub(crate) const REASON: &str = "reason";
pub(crate) const SIGNAL: &str = "signal";
pub(crate) const KIND: &str = "kind";
pub(crate) const RUNTIME: &str = "tokio.runtime.name";
pub(crate) const CPU_MODE: &str = "cpu.mode";
pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const ROUTE: &str = "http.route";
pub(crate) const STATUS: &str = "http.response.status_code";
pub(crate) const SCHEME: &str = "url.scheme";
pub(crate) const PROTOCOL: &str = "network.protocol.version";
pub(crate) const ERROR_TYPE: &str = "error.type";

/// Seconds. 900 and 28,800 are the platform's idle and lifetime limits, so that
/// the share of tasks beyond them is exact.
pub(crate) const TASK_SECONDS: [f64; 20] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
    1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0,
];

/// The edges that every task's histogram has, whatever a program asks for.
pub(crate) const PLATFORM_SECONDS: [f64; 2] = [900.0, 28_800.0];

/// Seconds.
///
/// Source: OpenTelemetry semantic conventions, `http.server.request.duration`.
pub(crate) const HTTP_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal $unit:literal [$($label:expr),*] $help:literal)*) => {
        $(pub(crate) const $constant: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            help: $help,
            labels: &[$($label),*],
        };)*

        /// Every metric.
        #[cfg_attr(not(test), expect(dead_code, reason = "the docs list them"))]
        pub(crate) const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    TASK_ACTIVE: Gauge "taskpulse.task.active" "{task}" [TASK_NAME]
        "Tasks that have begun and not ended."
    TASK_TRANSITIONS: Counter "taskpulse.task.transitions" "{transition}" [TASK_NAME, TASK_STATE]
        "States entered by tasks; running counts the begins."
    TASK_DURATION: Histogram "taskpulse.task.duration" "s" [TASK_NAME, TASK_STATE]
        "Time from a task's begin to its end, by the state it ended in."
    TASK_OLDEST_AGE: Gauge "taskpulse.task.oldest_age" "s" [TASK_NAME]
        "Age of the oldest active task; 0 when none is active."
    TASK_OVERDUE: Gauge "taskpulse.task.overdue" "{task}" [TASK_NAME]
        "Active tasks that are past their deadline."
    TASK_STALLED: Gauge "taskpulse.task.stalled" "{task}" [TASK_NAME]
        "Active tasks that have given no sign of life for too long."
    TASK_CONDITIONS: Counter "taskpulse.task.conditions" "{crossing}" [TASK_NAME, CONDITION]
        "Times that a task became overdue or stalled."
    TASK_REJECTED: Counter "taskpulse.task.rejected" "{task}" [REASON]
        "Tasks that were refused and never begun."
    CHECKPOINT_EXPORTED: Counter "taskpulse.checkpoint.exported" "{span}" []
        "Spans that show a task while it runs, handed over for export."
    CHECKPOINT_SKIPPED: Counter "taskpulse.checkpoint.skipped" "{span}" []
        "Such spans that were due and are left out, since a second has room for 1,000."
    PING_STATUS_NOW: Gauge "taskpulse.ping.status" "{instance}" [PING_STATUS]
        "1 for the status that /ping serves, 0 for the other."
    PING_TRANSITIONS: Counter "taskpulse.ping.transitions" "{transition}" [PING_STATUS]
        "Changes of the served status, by the status entered."
    PING_LAST_UPDATE: Gauge "taskpulse.ping.last_update_timestamp" "s" []
        "Unix time of the last change of the served status, as /ping says it."
    PING_FORCED: Gauge "taskpulse.ping.forced" "{override}" []
        "1 while a forced status overrides all others."
    HTTP_DURATION: Histogram "http.server.request.duration" "s" [METHOD, ROUTE, STATUS, SCHEME, PROTOCOL, ERROR_TYPE]
        "Time from a request's arrival until its response's headers are sent."
    HTTP_ACTIVE: UpDownCounter "http.server.active_requests" "{request}" [METHOD, SCHEME]
        "Requests whose response's headers are not sent yet."
    STREAM_OPEN: Gauge "taskpulse.stream.open" "{stream}" [KIND]
        "Responses that are still being sent: server-sent events and WebSockets."
    TELEMETRY_EXPORTED: Counter "taskpulse.telemetry.exported" "{item}" [SIGNAL]
        "Spans, data points and log records that the collector has accepted."
    TELEMETRY_FAILURES: Counter "taskpulse.telemetry.export.failures" "{batch}" [SIGNAL]
        "Batches that could not be delivered."
    TELEMETRY_DROPPED: Counter "taskpulse.telemetry.dropped" "{item}" [SIGNAL, REASON]
        "Items that never arrived. Of metrics only resolution is lost; printed lines count as logs."
    TELEMETRY_QUEUE: Gauge "taskpulse.telemetry.queue" "{item}" [SIGNAL]
        "Items that wait to be exported, or are on their way."
    HISTORY_ENTRIES: Gauge "taskpulse.history.entries" "{task}" []
        "Ended tasks that are remembered."
    HISTORY_LIMIT: Gauge "taskpulse.history.limit" "{task}" []
        "Ended tasks that are remembered at most."
    STORE_UP: Gauge "taskpulse.store.up" "{store}" []
        "1 while tasks are written to the store, 0 while they are kept in memory alone; absent without a store."
    STORE_QUEUE: Gauge "taskpulse.store.queue" "{record}" []
        "Changes of tasks that wait to be written to the store."
    STORE_SHED: Counter "taskpulse.store.shed" "{record}" []
        "Begins that found no room to wait in: their tasks are written later or not at all."
    STORE_FAILURES: Counter "taskpulse.store.failures" "{failure}" []
        "Attempts to use the store that failed."
    PROCESS_CPU: Counter "process.cpu.time" "s" [CPU_MODE]
        "Processor time used."
    PROCESS_MEMORY: UpDownCounter "process.memory.usage" "By" []
        "Physical memory in use."
    PROCESS_VIRTUAL: UpDownCounter "process.memory.virtual" "By" []
        "Committed virtual memory."
    PROCESS_FILES: UpDownCounter "process.unix.file_descriptor.count" "{file_descriptor}" []
        "File descriptors in use."
    PROCESS_UPTIME: Gauge "process.uptime" "s" []
        "Time since the process started."
    RUNTIME_WORKERS: Gauge "tokio.runtime.workers" "{thread}" [RUNTIME]
        "Worker threads of the runtime."
    RUNTIME_TASKS: Gauge "tokio.runtime.alive_tasks" "{task}" [RUNTIME]
        "Futures spawned on the runtime and not finished."
    RUNTIME_QUEUE: Gauge "tokio.runtime.global_queue_depth" "{task}" [RUNTIME]
        "Futures that wait in the runtime's shared queue."
    RUNTIME_BUSY: Counter "tokio.runtime.worker.busy_duration" "s" [RUNTIME]
        "Time that the runtime's workers were busy, added up."
    RUNTIME_PARKS: Counter "tokio.runtime.worker.parks" "{park}" [RUNTIME]
        "Times that a worker had nothing to do and slept."
}

// === impl Metric ===

impl Metric {
    /// The name of the family at `/metrics`.
    #[cfg(test)]
    pub(crate) fn prometheus(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gauge => "gauge",
            Self::UpDownCounter => "up-down counter",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/telemetry.md");

    /// The row of the page.
    fn row(metric: &Metric) -> String {
        let labels = metric.labels.iter().map(|label| format!("`{label}`"));
        let labels = match labels.collect::<Vec<_>>() {
            none if none.is_empty() => "none".to_owned(),
            some => some.join(", "),
        };
        let (name, text, unit) = (metric.name, metric.prometheus(), metric.unit);
        let (kind, help) = (metric.kind, metric.help);
        format!("| `{name}` | `{text}` | {kind} | `{unit}` | {labels} | {help} |")
    }

    #[test]
    fn the_page_lists_every_metric() {
        let rows: Vec<_> = METRICS.iter().map(row).collect();
        let table = PAGE
            .lines()
            .skip_while(|line| !line.starts_with("| name | in Prometheus |"))
            .skip(2)
            .take_while(|line| line.starts_with("| "));
        let listed: Vec<_> = table.collect();
        assert!(
            listed == rows,
            "the table in docs/telemetry.md should be\n{}\n",
            rows.join("\n")
        );
    }

    #[test]
    fn the_page_names_every_edge() {
        let words = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
        for edges in [&TASK_SECONDS[..], &HTTP_SECONDS] {
            let edges: Vec<_> = edges.iter().map(f64::to_string).collect();
            let edges = edges.join(", ");
            assert!(
                words.contains(&edges),
                "docs/telemetry.md should say {edges}"
            );
        }
    }

    #[test]
    fn no_name_is_declared_twice() {
        let mut names: Vec<_> = METRICS.iter().map(Metric::prometheus).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
