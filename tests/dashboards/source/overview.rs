//! What is wrong, what runs, what fails: the first screen of a bad night.

use super::{
    frame::{NEAR_IDLE_LIMIT, NEAR_LIFETIME, OBJECTIVE, PING_SLOW, to_dashboard},
    model::{Column, Dashboard, GREEN, Kind, ORANGE, Panel, RED, YELLOW},
    rows::rows,
    shared::{self, NOTHING_BEGUN, SILENT, active, ages, found_lost, states},
};

pub(crate) fn overview() -> Dashboard {
    Dashboard {
        uid: "taskpulse-overview",
        title: "taskpulse / Overview",
        description: "Worst news top left: what fires, what is oldest, what fails, whether \
                      ping and telemetry can be believed.",
        from: "now-15m",
        shows: &["datasource", "job", "instance", "task_name", "jaeger_url"],
        panels: vec![
            alerts().at(0, 0, 11, 6),
            oldest().at(11, 0, 4, 3),
            late().at(15, 0, 3, 3),
            success().at(18, 0, 3, 3),
            silent().at(21, 0, 3, 3),
            answers().at(11, 3, 4, 3),
            lost().at(15, 3, 3, 3),
            telemetry_lost().at(18, 3, 3, 3),
            refused().at(21, 3, 3, 3),
            names().at(0, 6, 15, 7),
            ages().at(15, 6, 9, 7),
            active().at(0, 13, 8, 6),
            states().at(8, 13, 8, 6),
            invocations().at(16, 13, 8, 6),
            routes().at(0, 19, 12, 6),
            pings().at(12, 19, 12, 6),
        ],
    }
}

fn alerts() -> Panel {
    let kind = Kind::Table {
        columns: vec![
            Column::label("severity", 70),
            Column::label("alertname", 205),
            Column::value("for", 0, "dthms", 80).base(RED),
            Column::label("instance", 75),
            Column::label("task_name", 120),
            Column::label("job", 90),
        ],
        sort: ("severity", false),
    };
    Panel::new(
        kind,
        "Alerts that fire now",
        "Of every job, so that nothing is missed; pages first. Each alert has a part of the \
         same name in dashboards/RUNBOOK.md: what it means, what to look at, what to do.",
    )
    .unit("s", "no alert fires")
    .base(RED)
    .query(
        r#"max by (severity, alertname, job, instance, task_name) (time() -
           ALERTS_FOR_STATE{alertname=~"Taskpulse.*"})
           and on (severity, alertname, job, instance, task_name)
           ALERTS{alertname=~"Taskpulse.*",alertstate="firing"}"#,
        "",
    )
}

fn oldest() -> Panel {
    Panel::new(
        Kind::Stat,
        "Oldest active task",
        "The age of the oldest task that has not ended. Yellow: near the idle limit of 900 s, \
         after which only the ping keeps the session alive; red: near the lifetime of 28,800 \
         s, which ends it in any case. Its name is the first row of the table below.",
    )
    .unit("dthms", SILENT)
    .alert(NEAR_IDLE_LIMIT, YELLOW, "TaskpulseNearPlatformLimit")
    .alert(NEAR_LIFETIME, RED, "TaskpulseNearPlatformLimit")
    .link(to_dashboard("All ages, on Tasks", "taskpulse-tasks"))
    .query("max(taskpulse_task_oldest_age_seconds{NAMED})", "oldest")
}

fn late() -> Panel {
    Panel::new(
        Kind::Stat,
        "Overdue or stalled",
        "Active tasks past the deadline that their code gave, and those without a sign of life \
         for as long as it allows. The table below has them by name; a click on the number \
         there leads to their traces.",
    )
    .unit("none", SILENT)
    .alert(1.0, ORANGE, "TaskpulseTasksStalled")
    .link(to_dashboard("Since when, on Tasks", "taskpulse-tasks"))
    .query("sum(taskpulse_task_overdue{NAMED})", "overdue")
    .query("sum(taskpulse_task_stalled{NAMED})", "stalled")
}

fn success() -> Panel {
    Panel::new(
        Kind::Stat,
        "Tasks that succeeded",
        "Over the time chosen. Failed, timed out and interrupted ones count against it, \
         cancelled and lost ones neither way. Red is below the objective of 99 %: see which \
         name fails in the table below. The demo of the compose file fails on purpose.",
    )
    .unit("percentunit", "no task ended in this time")
    .base(RED)
    .step(OBJECTIVE, GREEN)
    .link(to_dashboard("By name, on Tasks", "taskpulse-tasks"))
    .query(
        r#"sum(increase(taskpulse_task_transitions_total{
               NAMED,task_state="succeeded"}[$__range]))
           / (sum(increase(taskpulse_task_transitions_total{
               NAMED,task_state!~"running|cancelled|lost"}[$__range])) > 0)"#,
        "succeeded",
    )
}

fn silent() -> Panel {
    Panel::new(
        Kind::Stat,
        "Instances gone silent",
        "Instances that reported within the last hour and do not now: crashed, stopped, or not \
         reachable. One that you stopped yourself leaves this after an hour. A pushed copy \
         notices some minutes late.",
    )
    .unit("none", "nothing of this job in the last hour")
    .step(1.0, RED)
    .link(to_dashboard("What runs, on Runtime", "taskpulse-runtime"))
    .query(
        "count(group by (instance) (last_over_time(process_uptime_seconds{OWN}[1h]))
                unless on (instance) group by (instance) (process_uptime_seconds{OWN}))
                or 0 * count(taskpulse_ping_status{OWN})",
        "silent",
    )
}

fn answers() -> Panel {
    shared::answers(
        Kind::Stat,
        "HealthyBusy keeps a session, Healthy lets the platform end it after 900 s. \
         Forced: somebody overrode the truth, and has to take that back.",
    )
    .link(to_dashboard(
        "Its course, on Ping contract",
        "taskpulse-ping",
    ))
}

fn lost() -> Panel {
    Panel::new(
        Kind::Stat,
        "Tasks lost",
        "Found in the store (--store) by starts in the time chosen, of an instance its last \
         one: the process that ran them was killed, or crashed. Their work has to be begun \
         again. The table below has them by name; a click on the number there leads to their \
         traces. Without a store always 0.",
    )
    .unit("none", SILENT)
    .alert(1.0, RED, "TaskpulseTasksLost")
    .link(to_dashboard("When, on Tasks", "taskpulse-tasks"))
    .query(
        &format!("round(sum({}))", found_lost("$__range_s", "$__range")),
        "lost",
    )
}

fn telemetry_lost() -> Panel {
    Panel::new(
        Kind::Stat,
        "Telemetry lost",
        "Spans and log lines, over the time chosen, in taskpulse itself. Above 0 the other \
         panels and Jaeger may miss something: look at the collector, on Runtime and \
         telemetry.",
    )
    .unit("short", SILENT)
    .alert(1.0, ORANGE, "TaskpulseTelemetryDropped")
    .link(to_dashboard(
        "Which and why, on Runtime",
        "taskpulse-runtime",
    ))
    .query(
        r#"round(sum(increase(taskpulse_telemetry_dropped_total{
               OWN,signal!="metrics"}[$__range])))"#,
        "lost",
    )
}

fn refused() -> Panel {
    Panel::new(
        Kind::Stat,
        "Tasks turned away",
        "Over the time chosen. They were refused because the instance was full (--max-active) \
         or going down, or because the request was not valid. Callers saw a 503 or a 400.",
    )
    .unit("short", SILENT)
    .step(1.0, ORANGE)
    .link(to_dashboard("Why, on Tasks", "taskpulse-tasks"))
    .query(
        "round(sum(increase(taskpulse_task_rejected_total{OWN}[$__range])))",
        "refused",
    )
}

fn names() -> Panel {
    rows(
        "Task names, the oldest active first",
        "A click on a name leads to its failed, its slow and its oldest tasks in Jaeger, or \
         to this name alone; one on overdue, stalled or lost to those. bad, lost and success \
         are of the time chosen. _OTHER is all names past the first 50.",
        &[
            "active", "oldest", "overdue", "stalled", "bad", "lost", "success",
        ],
    )
    .unit("none", NOTHING_BEGUN)
}

fn invocations() -> Panel {
    Panel::new(
        Kind::Stacked,
        "Invocations per second, by status code",
        "POST /invocations. 4xx is the caller's fault, 5xx ours: 500 an entrypoint that \
         failed, 503 no room or going down.",
    )
    .unit("reqps", "no invocation yet")
    .color("/^2/", GREEN)
    .color("/^4/", YELLOW)
    .color("/^5/", RED)
    .color("503", ORANGE)
    .query(
        r#"sum by (http_response_status_code)
           (rate(http_server_request_duration_seconds_count{
               OWN,http_route="/invocations"}[$__rate_interval]))"#,
        "{{http_response_status_code}}",
    )
}

fn routes() -> Panel {
    Panel::new(
        Kind::Lines,
        "p95 of the time to answer, by route",
        "Over five minutes, until the headers are sent: a stream's length is not in it. A \
         route that rises alone is its handler; all together are the machine. Pings have a \
         panel of their own, scrapes are left out.",
    )
    .unit("s", "no request in the last five minutes")
    .query(
        r#"histogram_quantile(0.95, sum by (le, http_route)
           (rate(http_server_request_duration_seconds_bucket{OWN,http_route!~"|/ping|/metrics"}[5m]))) >=
           0"#,
        "{{http_route}}",
    )
}

fn pings() -> Panel {
    Panel::new(
        Kind::Lines,
        "p99 of the time to answer a ping",
        "Over five minutes, by instance. Above the line at 0.25 s the process starves or the \
         machine does: the platform may take it for dead.",
    )
    .unit("s", "no ping in the last five minutes")
    .alert(PING_SLOW, RED, "TaskpulsePingSlow")
    .reach(1.2 * PING_SLOW)
    .link(to_dashboard("More, on Ping contract", "taskpulse-ping"))
    .query(
        r#"histogram_quantile(0.99, sum by (le, instance)
           (rate(http_server_request_duration_seconds_bucket{OWN,http_route="/ping"}[5m])))
           >= 0"#,
        "{{instance}}",
    )
}
