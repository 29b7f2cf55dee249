//! The table of task names, each row with its ways into Jaeger.

use super::{
    frame::{LIFETIME, NEAR_IDLE_LIMIT, NEAR_LIFETIME, OBJECTIVE, to_jaeger, to_tasks},
    model::{BLUE, Column, GREEN, Kind, Link, ORANGE, Panel, RED, YELLOW},
    shared::found_lost,
};

/// Spans that carry an error: what failed, panicked, timed out or was interrupted.
const FAILED: &str =
    "&operation=${__data.fields.task_name:percentencode}&tags=%7B%22error%22%3A%22true%22%7D";

/// The spans that show a task while it runs. The first of them begins as the task does.
const RUNNING: &str = "&operation=${__data.fields.task_name:percentencode}%20checkpoint";

/// The span that was made as a task became overdue, and the one as it became stalled.
const OVERDUE: &str = "&operation=${__data.fields.task_name:percentencode}%20checkpoint\
     &tags=%7B%22task.condition%22%3A%22overdue%22%7D";
const STALLED: &str = "&operation=${__data.fields.task_name:percentencode}%20checkpoint\
     &tags=%7B%22task.condition%22%3A%22stalled%22%7D";

/// What a start has said of the tasks that a process before it left behind.
const LOST: &str = "&operation=${__data.fields.task_name:percentencode}\
     &tags=%7B%22task.state%22%3A%22lost%22%7D";

/// At least one span is no shorter than their mean.
const SLOW: &str = "&operation=${__data.fields.task_name:percentencode}\
     &minDuration=${__data.fields.slow.numeric}ms";

/// A row is a task name on an instance. Sorted by the oldest age, which is the first
/// thing to know of a task that hangs.
pub(crate) fn rows(title: &'static str, description: &'static str, columns: &[&str]) -> Panel {
    let hidden = ["slow", "since", "begun_from", "begun_to", "asked_from"];
    let all = [columns, &hidden].concat();
    let mut table = vec![
        Column::label("task_name", 170)
            .link(to_tasks("__data.fields.task_name"))
            .link(oldest())
            .link(failed())
            .link(slow())
            .link(requests()),
        Column::label("instance", 110),
        Column::label("service_name", 140),
    ];
    table.extend(all.iter().enumerate().map(|(at, name)| column(name, at)));
    let kind = Kind::Table {
        columns: table,
        sort: ("oldest", true),
    };
    let panel = Panel::new(kind, title, description);
    all.iter().fold(panel, |panel, name| {
        panel.query(&with_service(&cell(name)), "")
    })
}

/// Among the tasks that may have ended in the time chosen, or run still.
fn of_the_time(title: &'static str, search: &str) -> Link {
    to_jaeger(title, search, "__data.fields.since.numeric", "__to")
}

fn failed() -> Link {
    of_the_time("Failed ones, in Jaeger", FAILED)
}

fn slow() -> Link {
    of_the_time("Slower than their mean, in Jaeger", SLOW)
}

/// A task's own span is exported when it ends. Until then its trace is found by its
/// first checkpoint.
fn oldest() -> Link {
    to_jaeger(
        "The oldest, in Jaeger",
        RUNNING,
        "__data.fields.begun_from.numeric",
        "__data.fields.begun_to.numeric",
    )
}

/// A task that is younger than its first checkpoint is found by the request that began
/// it, among all that came then.
fn requests() -> Link {
    to_jaeger(
        "Requests before the oldest, in Jaeger",
        "",
        "__data.fields.asked_from.numeric",
        "__data.fields.begun_to.numeric",
    )
}

fn column(name: &str, query: usize) -> Column {
    match name {
        "active" => Column::value("active", query, "none", 75).base(BLUE),
        "oldest" => Column::value("oldest", query, "dthms", 90)
            .base(GREEN)
            .alert(NEAR_IDLE_LIMIT, YELLOW, Some("TaskpulseNearPlatformLimit"))
            .alert(NEAR_LIFETIME, RED, Some("TaskpulseNearPlatformLimit"))
            .link(oldest()),
        "overdue" => Column::value("overdue", query, "none", 80)
            .base(GREEN)
            .alert(1.0, ORANGE, Some("TaskpulseTasksOverdue"))
            .link(of_the_time("Those that became overdue, in Jaeger", OVERDUE)),
        "stalled" => Column::value("stalled", query, "none", 75)
            .base(GREEN)
            .alert(1.0, ORANGE, Some("TaskpulseTasksStalled"))
            .link(of_the_time("Those that became stalled, in Jaeger", STALLED)),
        "lost" => Column::value("lost", query, "none", 60)
            .base(GREEN)
            .alert(1.0, RED, Some("TaskpulseTasksLost"))
            .link(of_the_time("Lost ones, in Jaeger", LOST)),
        "ended" => Column::value("ended", query, "none", 80),
        "bad" => Column::value("bad", query, "none", 65)
            .base(GREEN)
            .alert(1.0, ORANGE, None)
            .link(failed()),
        "success" => Column::value("success", query, "percentunit", 95)
            .empty("none ended")
            .base(RED)
            .alert(OBJECTIVE, GREEN, None),
        "mean" => Column::value("mean", query, "s", 85).link(slow()),
        "p95" => Column::value("p95", query, "s", 85).link(slow()),
        "slow" => Column::hidden("slow", query),
        "since" => Column::hidden("since", query),
        "begun_from" => Column::hidden("begun_from", query),
        "asked_from" => Column::hidden("asked_from", query),
        _ => Column::hidden("begun_to", query),
    }
}

/// What a column says, by job, instance and task name.
fn cell(name: &str) -> String {
    let by = "by (job, instance, task_name)";
    let entered = |states: &str| {
        format!("sum {by} (increase(taskpulse_task_transitions_total{{NAMED,{states}}}[$__range]))")
    };
    let active = format!("sum {by} (taskpulse_task_active{{NAMED}})");
    let mean = format!(
        "sum {by} (increase(taskpulse_task_duration_seconds_sum{{NAMED}}[$__range]))
         / (sum {by} (increase(taskpulse_task_duration_seconds_count{{NAMED}}[$__range])) > 0)"
    );
    // A name of which none is active has an age of 0: it "began" just now.
    let begun_of = |job: &str| {
        format!(
            "max {by} (timestamp(taskpulse_task_oldest_age_seconds{{NAMED{job}}})
             - taskpulse_task_oldest_age_seconds{{NAMED{job}}})"
        )
    };
    let begun = begun_of("");
    match name {
        "active" => active,
        "oldest" => format!("max {by} (taskpulse_task_oldest_age_seconds{{NAMED}})"),
        "overdue" => format!("sum {by} (taskpulse_task_overdue{{NAMED}})"),
        "stalled" => format!("sum {by} (taskpulse_task_stalled{{NAMED}})"),
        "lost" => format!("round(sum {by} ({}))", found_lost("$__range_s", "$__range")),
        "ended" => format!("round({})", entered(r#"task_state!~"running|lost""#)),
        "bad" => {
            let bad = r#"task_state=~"failed|timed_out|interrupted""#;
            format!("round({})", entered(bad))
        }
        "success" => {
            let succeeded = entered(r#"task_state="succeeded""#);
            let ended = entered(r#"task_state!~"running|cancelled|lost""#);
            format!("{succeeded} / ({ended} > 0)")
        }
        "mean" => mean,
        "p95" => "histogram_quantile(0.95, sum by (le, job, instance, task_name)
             (rate(taskpulse_task_duration_seconds_bucket{NAMED}[$__range]))) >= 0"
            .to_owned(),
        // Whole milliseconds, as a link can say them.
        "slow" => format!("floor(({mean}) * 1000) or 0 * {active}"),
        // A task's span is found by when it began: a lifetime ago at most.
        "since" => format!("floor((0 * {active} + time() - $__range_s - {LIFETIME}) * 1000)"),
        // What is pushed tells of an age some seconds late.
        "begun_from" => {
            let scraped = begun_of(r#",job="taskpulse""#);
            format!("floor(({scraped} - 1 or {begun} - 10) * 1000)")
        }
        "asked_from" => format!("floor(({begun} - 10) * 1000)"),
        _ => format!("ceil(({begun} + 1) * 1000)"),
    }
}

/// Adds the service under which Jaeger has the traces of the row. For a while an
/// instance that was started anew has two `target_info`.
fn with_service(cell: &str) -> String {
    format!(
        "sum by (instance, service_name, task_name) (({cell})
         * on (job, instance) group_left (service_name)
         topk by (job, instance) (1, target_info{{OWN}}))"
    )
}
