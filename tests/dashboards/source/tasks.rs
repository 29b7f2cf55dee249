//! Tasks, name by name: which ones, how many, how long, how they end.

use super::{
    frame::{IDLE_LIMIT, LIFETIME, to_tasks},
    model::{BLUE, Dashboard, Kind, ORANGE, Panel, RED, YELLOW},
    rows::rows,
    shared::{NOTHING_BEGUN, SILENT, active, ages, found_lost, states, succeeded},
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
            names().at(0, 0, 24, 6),
            ages().at(0, 6, 8, 5),
            late().at(8, 6, 8, 5),
            crossings().at(16, 6, 8, 5),
            active().at(0, 11, 6, 5),
            succeeded().at(6, 11, 6, 5),
            states().at(12, 11, 6, 5),
            drift().at(18, 11, 6, 5),
            bad().at(0, 16, 6, 5),
            lost().at(6, 16, 6, 5),
            refused().at(12, 16, 6, 5),
            checkpoints().at(18, 16, 6, 5),
            quantiles().at(0, 21, 6, 5),
            quantile_by_name().at(6, 21, 6, 5),
            heatmap().at(12, 21, 6, 5),
            beyond().at(18, 21, 6, 5),
        ],
    }
}

fn names() -> Panel {
    rows(
        "Task names, the oldest active first",
        "A click on a name leads to its failed, its slow and its oldest tasks in Jaeger. \
         ended, bad, lost, success, mean and p95 are of the time chosen. A click on overdue, \
         stalled or lost leads to those. The oldest is there from 5 s on; before that the \
         requests that came just before it lead to its trace.",
        &[
            "active", "oldest", "overdue", "stalled", "ended", "bad", "lost", "success", "mean",
            "p95",
        ],
    )
    .unit("none", NOTHING_BEGUN)
}

fn late() -> Panel {
    Panel::new(
        Kind::Lines,
        "Overdue and stalled tasks, by name",
        "Active ones, now. overdue: past the deadline that the code gave; stalled: no sign of \
         life for as long as it allows. A line that stays is a task that nobody ends: click \
         the number in the table above.",
    )
    .unit("none", "no task is overdue or stalled in this time")
    .alert(1.0, ORANGE, "TaskpulseTasksStalled")
    .link(to_tasks("__field.labels.task_name"))
    .query(
        "sum by (task_name) (taskpulse_task_overdue{NAMED}) > 0",
        "{{task_name}} overdue",
    )
    .query(
        "sum by (task_name) (taskpulse_task_stalled{NAMED}) > 0",
        "{{task_name}} stalled",
    )
}

fn crossings() -> Panel {
    Panel::new(
        Kind::Bars,
        "Times that tasks became overdue or stalled, by name",
        "How many in each step; those that are ended for it (Reaction::Cancel) are in it as \
         well, and bad ends besides. Many of a name that all end well: its limit is too short.",
    )
    .unit("none", "no task became overdue or stalled in this time")
    .step(1.0, ORANGE)
    .query(
        "sum by (task_name, condition)
         (increase(taskpulse_task_conditions_total{NAMED}[$__rate_interval])) > 0",
        "{{task_name}} {{condition}}",
    )
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
         they pile up, and so does the memory that they take. Lost ones were begun elsewhere, \
         and are no part of it.",
    )
    .unit("cps", NOTHING_BEGUN)
    .query(
        r#"sum by (task_name)
           (rate(taskpulse_task_transitions_total{NAMED,task_state="running"}[5m]))
           - sum by (task_name)
           (rate(taskpulse_task_transitions_total{NAMED,task_state!~"running|lost"}[5m]))"#,
        "{{task_name}}",
    )
}

fn lost() -> Panel {
    Panel::new(
        Kind::Lines,
        "Tasks that a start found lost, by name",
        "For 15 minutes from the start on. They were in the store (--store), and the process \
         that ran them has ended without settling them: it was killed, or crashed. Each has its \
         trace in Jaeger: click the number in the table above. Without a store always 0.",
    )
    .unit("none", NOTHING_BEGUN)
    .alert(1.0, RED, "TaskpulseTasksLost")
    .link(to_tasks("__field.labels.task_name"))
    .query(
        &format!("sum by (task_name) ({})", found_lost("900", "15m")),
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

fn checkpoints() -> Panel {
    Panel::new(
        Kind::Lines,
        "Checkpoints of running tasks per second",
        "exported: spans that show a task before it ends. left out: more were due than the \
         1,000 that a second has room for, so that the traces of running tasks have fewer. \
         Both are of all names. 0 while tasks run: nothing is exported, or --checkpoints is off.",
    )
    .unit("cps", SILENT)
    .base(BLUE)
    .color("left out", ORANGE)
    .query(
        "sum(rate(taskpulse_checkpoint_exported_total{OWN}[$__rate_interval]))",
        "exported",
    )
    .query(
        "sum(rate(taskpulse_checkpoint_skipped_total{OWN}[$__rate_interval]))",
        "left out",
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
