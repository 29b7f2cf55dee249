//! Whether ping tells the truth: the platform ends or keeps a session by it.

use super::{
    frame::{IDLE_LIMIT, LIFETIME, NEAR_LIFETIME, PING_SLOW, to_dashboard},
    model::{BLUE, Dashboard, Kind, ORANGE, PURPLE, Panel, RED, YELLOW},
    shared::{self, SILENT},
};

const NO_PING: &str = "no ping in the last five minutes";

/// The first row is 0 while the contract is kept.
pub(crate) fn ping() -> Dashboard {
    Dashboard {
        uid: "taskpulse-ping",
        title: "taskpulse / Ping contract",
        description: "What GET /ping says, whether it is true, and how fast it comes: the \
                      platform keeps or ends a session by it.",
        from: "now-1h",
        shows: &["datasource", "job", "instance"],
        panels: vec![
            stuck().at(0, 0, 4, 4),
            healthy().at(4, 0, 4, 4),
            stamp().at(8, 0, 4, 4),
            moved().at(12, 0, 4, 4),
            forced().at(16, 0, 4, 4),
            slowest().at(20, 0, 4, 4),
            answers().at(0, 4, 16, 7),
            share().at(16, 4, 8, 7),
            age().at(0, 11, 8, 7),
            changes().at(8, 11, 8, 7),
            active().at(16, 11, 8, 7),
            asked().at(0, 18, 6, 7),
            quantiles().at(6, 18, 6, 7),
            open().at(12, 18, 6, 7),
            lifetime().at(18, 18, 6, 7),
        ],
    }
}

fn stuck() -> Panel {
    Panel::new(
        Kind::Stat,
        "Busy without a task",
        "Instances that have said HealthyBusy for over 900 s, unforced, while no task, \
         invocation or stream was seen: the session is paid for until its lifetime ends. Look \
         for a ping handler that never lets go, else restart it.",
    )
    .unit("none", SILENT)
    .alert(1.0, RED, "TaskpulseStuckBusy")
    .query(
        r#"count((time() - max by (instance)
           (taskpulse_ping_last_update_timestamp_seconds{OWN}) > 900
           and on (instance) taskpulse_ping_status{OWN,ping_status="HealthyBusy"} == 1)
           unless on (instance) taskpulse_ping_forced{OWN} == 1
           unless on (instance) max_over_time(taskpulse_task_active{OWN}[15m]) > 0
           unless on (instance) max_over_time(taskpulse_stream_open{OWN}[15m]) > 0
           unless on (instance)
           max_over_time(http_server_active_requests{OWN,http_request_method="POST"}[15m])
           > 0)
           or 0 * count(taskpulse_ping_status{OWN})"#,
        "instances",
    )
}

fn healthy() -> Panel {
    Panel::new(
        Kind::Stat,
        "Healthy despite tasks",
        "Instances that say Healthy while tasks are active and nobody forced it: the platform \
         may end the session, and the tasks with it, after 900 s. A ping handler of your own \
         decides this, nothing else can.",
    )
    .unit("none", SILENT)
    .alert(1.0, RED, "TaskpulseHealthyWhileActive")
    .query(
        r#"sum(max by (instance) (taskpulse_ping_status{OWN,ping_status="Healthy"})
           * on (instance) (sum by (instance) (taskpulse_task_active{OWN}) > bool 0)
           * on (instance) (max by (instance) (taskpulse_ping_forced{OWN}) == bool 0))"#,
        "instances",
    )
}

fn stamp() -> Panel {
    Panel::new(
        Kind::Stat,
        "Stamp missing or ahead",
        "Instances whose time_of_last_update is not there, or more than a minute ahead. The \
         platform then ends busy sessions, or never idle ones. Compare the clocks of the \
         machines first.",
    )
    .unit("none", SILENT)
    .step(1.0, RED)
    .query(
        "count(group by (instance) (taskpulse_ping_status{OWN})
                unless on (instance) (taskpulse_ping_last_update_timestamp_seconds{OWN} > 0
                and taskpulse_ping_last_update_timestamp_seconds{OWN} -
                timestamp(taskpulse_ping_last_update_timestamp_seconds{OWN}) <= 60))
                or 0 * count(taskpulse_ping_status{OWN})",
        "instances",
    )
}

fn moved() -> Panel {
    Panel::new(
        Kind::Stat,
        "Stamp moved by itself",
        "Changes of time_of_last_update in the last ten minutes beyond those of the status \
         and restarts, of the worst instance. Each starts the platform's idle clock anew: an \
         idle session is never ended.",
    )
    .unit("none", SILENT)
    .step(1.0, YELLOW)
    .alert(3.0, RED, "TaskpulsePingStampWrong")
    .query(
        "max(clamp_min(max by (instance)
                (changes(taskpulse_ping_last_update_timestamp_seconds{OWN}[10m]))
                - on (instance) sum by (instance)
                (changes(taskpulse_ping_transitions_total{OWN}[10m]))
                - on (instance) max by (instance) (resets(process_uptime_seconds{OWN}[10m])),
                0))",
        "moves",
    )
}

fn forced() -> Panel {
    Panel::new(
        Kind::Stat,
        "Forced statuses",
        "Somebody set the answer by hand, and it stays until they take it back. Find out who, \
         and clear it: meanwhile ping says nothing about the tasks.",
    )
    .unit("none", SILENT)
    .alert(1.0, PURPLE, "TaskpulsePingForced")
    .query(
        "sum(max by (instance) (taskpulse_ping_forced{OWN}))",
        "instances",
    )
}

fn slowest() -> Panel {
    Panel::new(
        Kind::Stat,
        "Slowest ping p99",
        "Over five minutes, of the slowest instance. Above 0.25 s the process or the machine \
         starves; the platform may take it for dead. The alert wants three such pings.",
    )
    .unit("s", NO_PING)
    .alert(PING_SLOW, RED, "TaskpulsePingSlow")
    .query(
        r#"max(histogram_quantile(0.99, sum by (le, instance)
           (rate(http_server_request_duration_seconds_bucket{OWN,http_route="/ping"}[5m])))
           >= 0)"#,
        "p99",
    )
}

fn answers() -> Panel {
    shared::answers(
        Kind::Timeline,
        "Blue is HealthyBusy, green Healthy, purple forced. A gap is an instance that did \
         not report. Compare with the active tasks below: blue and active begin and end \
         together.",
    )
}

fn share() -> Panel {
    Panel::new(
        Kind::Gauge,
        "Share of the time that it was busy",
        "Over the time chosen. Near 100 % without much to do is the sign of a status that is \
         stuck, and of a bill.",
    )
    .unit("percentunit", SILENT)
    .base(BLUE)
    .query(
        r#"max by (instance)
           (avg_over_time(taskpulse_ping_status{OWN,ping_status="HealthyBusy"}[$__range]))"#,
        "{{instance}}",
    )
}

fn age() -> Panel {
    Panel::new(
        Kind::Ages,
        "Age of the status",
        "Time since time_of_last_update, which moves only when the status changes. Healthy \
         for longer than 900 s: the platform ends the session. A sawtooth while the status \
         stands still is a stamp that moves by itself.",
    )
    .unit("s", SILENT)
    .step(IDLE_LIMIT, ORANGE)
    .step(LIFETIME, RED)
    .query(
        "time() - max by (instance) (taskpulse_ping_last_update_timestamp_seconds{OWN})",
        "{{instance}}",
    )
}

fn changes() -> Panel {
    Panel::new(
        Kind::Bars,
        "Changes of the status, by the one entered",
        "How many in each step. Many a minute is many short tasks one after the other; none \
         for hours while tasks come and go is a status that is stuck.",
    )
    .unit("none", SILENT)
    .base(BLUE)
    .query(
        "sum by (instance, ping_status)
                (increase(taskpulse_ping_transitions_total{OWN}[$__rate_interval]))",
        "{{instance}} {{ping_status}}",
    )
}

fn active() -> Panel {
    Panel::new(
        Kind::Lines,
        "Active tasks, by instance",
        "What the status is to follow: above 0 it is HealthyBusy, at 0 Healthy, unless forced \
         or decided by a handler of yours.",
    )
    .unit("none", SILENT)
    .base(BLUE)
    .link(to_dashboard("Which they are, on Tasks", "taskpulse-tasks"))
    .query(
        "sum by (instance) (taskpulse_task_active{OWN})",
        "{{instance}}",
    )
}

fn asked() -> Panel {
    Panel::new(
        Kind::Lines,
        "Pings answered per second",
        "By instance. The platform asks every few seconds; a line that falls to 0 is a \
         platform, a probe or a network that stopped asking.",
    )
    .unit("reqps", "nobody has asked for a ping yet")
    .base(BLUE)
    .query(
        r#"sum by (instance)
           (rate(http_server_request_duration_seconds_count{
               OWN,http_route="/ping"}[$__rate_interval]))"#,
        "{{instance}}",
    )
}

fn quantiles() -> Panel {
    Panel::new(
        Kind::Lines,
        "p50 and p99 of answering a ping",
        "Over five minutes, by instance. The line across is 0.25 s. Ping runs on a thread of \
         its own: what slows it is the machine's lack of CPU, not your handlers.",
    )
    .unit("s", NO_PING)
    .alert(PING_SLOW, RED, "TaskpulsePingSlow")
    .reach(1.2 * PING_SLOW)
    .query(
        r#"histogram_quantile(0.5, sum by (le, instance)
           (rate(http_server_request_duration_seconds_bucket{OWN,http_route="/ping"}[5m])))
           >= 0"#,
        "{{instance}} p50",
    )
    .query(
        r#"histogram_quantile(0.99, sum by (le, instance)
           (rate(http_server_request_duration_seconds_bucket{OWN,http_route="/ping"}[5m])))
           >= 0"#,
        "{{instance}} p99",
    )
}

fn lifetime() -> Panel {
    Panel::new(
        Kind::Lines,
        "Age of each instance, up to the lifetime of 28,800 s",
        "The platform ends a session at 28,800 s whatever it does; 25,920 s is 90 % of it. \
         Tasks that run then are cut off: let them end, or hand them over before.",
    )
    .unit("s", SILENT)
    .step(NEAR_LIFETIME, YELLOW)
    .step(LIFETIME, RED)
    .reach(LIFETIME)
    .query(
        "max by (instance) (process_uptime_seconds{OWN})",
        "{{instance}}",
    )
}

fn open() -> Panel {
    Panel::new(
        Kind::Lines,
        "Requests in work and streams open",
        "Requests whose answer has not begun, and answers that are still being sent. A count \
         that only rises is clients or handlers that hang. The scrape that counts is one of \
         them.",
    )
    .unit("none", SILENT)
    .query("sum(http_server_active_requests{OWN})", "requests in work")
    .query(
        "sum by (kind) (taskpulse_stream_open{OWN})",
        "{{kind}} open",
    )
}
