//! Panels that stand on more than one dashboard.

use super::{
    frame::{IDLE_LIMIT, LIFETIME, NEAR_IDLE_LIMIT, NEAR_LIFETIME, OBJECTIVE, to_tasks},
    model::{BLUE, GRAY, GREEN, Kind, ORANGE, PURPLE, Panel, RED, YELLOW},
};

/// Why a panel of tasks is empty.
pub(super) const NOTHING_BEGUN: &str = "no task name is known yet: nothing was begun";
/// Why a panel of instances is empty.
pub(super) const SILENT: &str = "no instance reports";

/// Tasks that were found lost, by series: those of a process that is younger than
/// so many seconds, and what others have found in this window. A start counts them
/// at once, so its series are born with their value, which no rate sees.
pub(super) fn found_lost(seconds: &str, window: &str) -> String {
    let lost = r#"taskpulse_task_transitions_total{NAMED,task_state="lost"}"#;
    format!(
        "({lost} and on (job, instance) process_uptime_seconds{{OWN}} < {seconds})
         or increase({lost}[{window}])"
    )
}

pub(super) fn ages() -> Panel {
    Panel::new(
        Kind::Ages,
        "Oldest active task of each name",
        "A line that only rises is one task that does not end. Lines across: 900 s, the idle \
         limit, and 28,800 s, where the session is ended. Those at 810 s and 25,920 s are 90 \
         % of each: from there on an alert may fire.",
    )
    .unit("s", NOTHING_BEGUN)
    .alert(NEAR_IDLE_LIMIT, YELLOW, "TaskpulseNearPlatformLimit")
    .step(IDLE_LIMIT, ORANGE)
    .alert(NEAR_LIFETIME, RED, "TaskpulseNearPlatformLimit")
    .step(LIFETIME, RED)
    .link(to_tasks("__field.labels.task_name"))
    .line(IDLE_LIMIT, "idle limit", ORANGE)
    .line(LIFETIME, "lifetime", RED)
    .query(
        "max by (task_name) (taskpulse_task_oldest_age_seconds{NAMED})",
        "{{task_name}}",
    )
}

pub(super) fn active() -> Panel {
    Panel::new(
        Kind::Stacked,
        "Active tasks, by name",
        "Begun and not ended, read from the registry that /tasks shows. A floor that never \
         sinks is tasks that hang.",
    )
    .unit("none", NOTHING_BEGUN)
    .link(to_tasks("__field.labels.task_name"))
    .query(
        "sum by (task_name) (taskpulse_task_active{NAMED})",
        "{{task_name}}",
    )
}

pub(super) fn succeeded() -> Panel {
    Panel::new(
        Kind::Lines,
        "Tasks that succeeded, over the last five minutes",
        "By name, cancelled and lost ones left out. Below the line, which is the objective of \
         99 %, the name spends its error budget: open its failed traces from the table above.",
    )
    .unit("percentunit", "no task ended in the last five minutes")
    .base(RED)
    .step(OBJECTIVE, GREEN)
    .link(to_tasks("__field.labels.task_name"))
    .query(
        r#"sum by (task_name)
           (rate(taskpulse_task_transitions_total{NAMED,task_state="succeeded"}[5m]))
           / (sum by (task_name)
           (rate(taskpulse_task_transitions_total{
               NAMED,task_state!~"running|cancelled|lost"}[5m]))
           > 0)"#,
        "{{task_name}}",
    )
}

/// Transitions by state, in the states' colors.
pub(super) fn states() -> Panel {
    Panel::new(
        Kind::Lines,
        "Tasks per second, by the state they enter",
        "running is the begins, the others are the ends. Begins without ends pile up; \
         failed, timed_out and interrupted are the bad ends. lost is of tasks that another \
         process had begun, which a start found.",
    )
    .unit("cps", NOTHING_BEGUN)
    .color("running", BLUE)
    .color("succeeded", GREEN)
    .color("failed", RED)
    .color("timed_out", ORANGE)
    .color("interrupted", PURPLE)
    .color("cancelled", GRAY)
    .color("lost", YELLOW)
    .query(
        "sum by (task_state)
                (rate(taskpulse_task_transitions_total{NAMED}[$__rate_interval]))",
        "{{task_state}}",
    )
}

/// What each instance answers to ping, as a number that is named.
pub(super) fn answers(kind: Kind, description: &'static str) -> Panel {
    Panel::new(kind, "Answers to ping", description)
        .unit("none", SILENT)
        .name(0.0, "Healthy", GREEN)
        .name(1.0, "HealthyBusy", BLUE)
        .name(2.0, "Healthy, forced", PURPLE)
        .name(3.0, "HealthyBusy, forced", PURPLE)
        .query(
            r#"max by (instance) (taskpulse_ping_status{OWN,ping_status="HealthyBusy"})
           + on (instance) 2 * max by (instance) (taskpulse_ping_forced{OWN})"#,
            "{{instance}}",
        )
}
