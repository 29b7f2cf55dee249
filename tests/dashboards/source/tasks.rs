//! Tasks, name by name: which ones, how many, how long, how they end.

use super::{
    frame::{IDLE_LIMIT, LIFETIME, to_tasks},
    model::{Dashboard, Kind, ORANGE, Panel, RED, YELLOW},
    rows::rows,
    shared::{NOTHING_BEGUN, SILENT, active, ages, states, succeeded},
};

/// Why a panel of durations is empty.
const NONE_ENDED: &str = "no task ended in the last five minutes";

pub(crate) fn tasks() -> Dashboard {
    Dashboard {
        uid: "taskpulse-tasks",
        title: "taskpulse / Tasks",
        description: "Each task name: how many are active, how old, how they end and how long \
                      they take.",
        from: "now-1h",
        shows: &["datasource", "job", "instance", "task_name", "jaeger_url"],
        panels: vec![
            names().at(0, 0, 24, 7),
            ages().at(0, 7, 8, 6),
            active().at(8, 7, 8, 6),
            succeeded().at(16, 7, 8, 6),
            states().at(0, 13, 6, 6),
            bad().at(6, 13, 6, 6),
            drift().at(12, 13, 6, 6),
            refused().at(18, 13, 6, 6),
            quantiles().at(0, 19, 6, 6),
            quantile_by_name().at(6, 19, 6, 6),
            heatmap().at(12, 19, 6, 6),
            beyond().at(18, 19, 6, 6),
        ],
    }
}

fn names() -> Panel {
    rows(
        "Task names, the oldest active first",
        "A click on a name leads to its failed, its slow and its oldest tasks in Jaeger. \
         ended, bad, success, mean and p95 are of the time chosen. The oldest is there from 5 \
         s on; before that the requests that came just before it lead to its trace.",
        &["active", "oldest", "ended", "bad", "success", "mean", "p95"],
    )
    .unit("none", NOTHING_BEGUN)
}

fn bad() -> Panel {
    Panel::new(
        Kind::Bars,
        "Tasks that ended badly, by name and state",
        "How many in each step. failed is an error or a panic, timed_out a deadline, \
         interrupted a process that went down or a handle that was dropped.",
    )
    .unit("none", "no task ended badly in this time")
    .step(1.0, ORANGE)
    .query(
        r#"sum by (task_name, task_state)
           (increase(taskpulse_task_transitions_total{
               NAMED,task_state=~"failed|timed_out|interrupted"}[$__rate_interval]))
           > 0"#,
        "{{task_name}} {{task_state}}",
    )
}

fn drift() -> Panel {
    Panel::new(
        Kind::Lines,
        "Begun minus ended per second",
        "Around 0 in the long run. A name that stays above 0 begins more tasks than it ends: \
         they pile up, and so does the memory that they take.",
    )
    .unit("cps", NOTHING_BEGUN)
    .query(
        r#"sum by (task_name)
           (rate(taskpulse_task_transitions_total{NAMED,task_state="running"}[5m]))
           - sum by (task_name)
           (rate(taskpulse_task_transitions_total{NAMED,task_state!="running"}[5m]))"#,
        "{{task_name}}",
    )
}

fn refused() -> Panel {
    Panel::new(
        Kind::Bars,
        "Tasks turned away, by reason",
        "How many in each step, of all names. capacity: --max-active is reached; draining: \
         the instance goes down; invalid: the request was. Callers saw a 503 or a 400.",
    )
    .unit("none", SILENT)
    .step(1.0, ORANGE)
    .color("capacity", ORANGE)
    .query(
        "sum by (reason) (increase(taskpulse_task_rejected_total{OWN}[$__rate_interval]))",
        "{{reason}}",
    )
}

fn quantiles() -> Panel {
    Panel::new(
        Kind::Ages,
        "How long tasks took: p50, p95 and p99",
        "Of the names chosen, over five minutes, whatever the end. Only ended tasks are in \
         it: what hangs shows in the oldest age alone.",
    )
    .unit("s", NONE_ENDED)
    .step(IDLE_LIMIT, ORANGE)
    .step(LIFETIME, RED)
    .query(
        "histogram_quantile(0.5, sum by (le)
                (rate(taskpulse_task_duration_seconds_bucket{NAMED}[5m]))) >= 0",
        "p50",
    )
    .query(
        "histogram_quantile(0.95, sum by (le)
                (rate(taskpulse_task_duration_seconds_bucket{NAMED}[5m]))) >= 0",
        "p95",
    )
    .query(
        "histogram_quantile(0.99, sum by (le)
                (rate(taskpulse_task_duration_seconds_bucket{NAMED}[5m]))) >= 0",
        "p99",
    )
}

fn quantile_by_name() -> Panel {
    Panel::new(
        Kind::Ages,
        "How long tasks took: p95 by name",
        "Over five minutes, whatever the end. It is exact to the bucket: between 600 s and \
         900 s, say. A name that rises is slower, or is given more to do.",
    )
    .unit("s", NONE_ENDED)
    .step(IDLE_LIMIT, ORANGE)
    .step(LIFETIME, RED)
    .link(to_tasks("__field.labels.task_name"))
    .query(
        "histogram_quantile(0.95, sum by (le, task_name)
                (rate(taskpulse_task_duration_seconds_bucket{NAMED}[5m]))) >= 0",
        "{{task_name}}",
    )
}

fn heatmap() -> Panel {
    Panel::new(
        Kind::Heatmap,
        "Where durations lie",
        "Each column is a moment, each row a range of durations, the color how many ended per \
         second. Two bands are two kinds of work under one name.",
    )
    .unit("s", "no task has ended yet")
    .query(
        "sum by (le) (rate(taskpulse_task_duration_seconds_bucket{NAMED}[$__rate_interval]))",
        "{{le}}",
    )
}

fn beyond() -> Panel {
    Panel::new(
        Kind::Gauge,
        "Share of tasks beyond 900 s",
        "The share of those that ended in the time chosen: exact, because 900 s is a bucket's \
         edge. They outlive the platform's idle limit, so the ping must say HealthyBusy until \
         they end.",
    )
    .unit("percentunit", "no task ended in this time")
    .step(0.01, YELLOW)
    .step(0.5, ORANGE)
    .query(
        r#"clamp_min(1 - sum by (task_name)
           (increase(taskpulse_task_duration_seconds_bucket{NAMED,le=~"900(\\.0)?"}[$__range]))
           / (sum by (task_name)
           (increase(taskpulse_task_duration_seconds_count{NAMED}[$__range])) > 0), 0)"#,
        "{{task_name}}",
    )
}
