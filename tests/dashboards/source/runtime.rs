//! Whether telemetry arrives, and what the process and the collector use.

use super::{
    frame::to_dashboard,
    model::{BLUE, Column, Dashboard, GREEN, Kind, ORANGE, Panel, RED, YELLOW},
    shared::SILENT,
};

/// The default of `OTEL_BSP_MAX_QUEUE_SIZE` and `OTEL_BLRP_MAX_QUEUE_SIZE`.
const QUEUE: f64 = 16_384.0;

/// Records that wait for the store at most.
const STORE_QUEUE: f64 = 65_536.0;

const NO_STORE: &str = "no store: with --store PATH, a crash forgets no task";

const NO_COLLECTOR: &str = "the collector does not report: is it up, is there one?";

pub(crate) fn runtime() -> Dashboard {
    Dashboard {
        uid: "taskpulse-runtime",
        title: "taskpulse / Runtime and telemetry",
        description: "Whether spans and metrics arrive, whether the collector and the store are \
                      well, and what the processes use.",
        from: "now-15m",
        shows: &["datasource", "job", "instance", "collector_job"],
        panels: vec![
            lost().at(0, 0, 4, 4),
            collector_lost().at(4, 0, 4, 4),
            full().at(8, 0, 4, 4),
            store().at(12, 0, 4, 4),
            versions().at(16, 0, 8, 4),
            dropped().at(0, 4, 6, 7),
            exported().at(6, 4, 6, 7),
            queue().at(12, 4, 6, 7),
            through().at(18, 4, 6, 7),
            collector_failures().at(0, 11, 6, 7),
            store_queue().at(6, 11, 6, 7),
            memory().at(12, 11, 6, 7),
            cpu().at(18, 11, 6, 7),
            files().at(0, 18, 8, 7),
            workers().at(8, 18, 8, 7),
            futures().at(16, 18, 8, 7),
        ],
    }
}

fn lost() -> Panel {
    Panel::new(
        Kind::Stat,
        "Share that taskpulse loses",
        "Spans or log records, over ten minutes, of the instance and signal that lose most; \
         under about 20 losses count as none, and logs only where they are exported. From 5 % \
         on, what you look for may be missing from Jaeger or the log: see the reason in the \
         panel below, and whether the collector is up.",
    )
    .unit("percentunit", "nothing was exported or lost in ten minutes")
    .alert(0.05, RED, "TaskpulseTelemetryLost")
    .query(
        r#"max((sum by (instance, signal)
           (increase(taskpulse_telemetry_dropped_total{OWN,signal!="metrics"}[10m]))
           / (sum by (instance, signal)
           (increase(taskpulse_telemetry_dropped_total{OWN,signal!="metrics"}[10m]))
           + sum by (instance, signal)
           (increase(taskpulse_telemetry_exported_total{OWN,signal!="metrics"}[10m])) > 0)
           * (sum by (instance, signal)
           (increase(taskpulse_telemetry_dropped_total{OWN,signal!="metrics"}[10m])) >= bool 20))
           unless on (instance, signal) last_over_time(taskpulse_telemetry_exported_total{OWN,signal="logs"}[10m]) == 0)"#,
        "lost",
    )
}

fn collector_lost() -> Panel {
    Panel::new(
        Kind::Stat,
        "Lost by the collector",
        "Spans and points that it turned away, could not queue or could not send on, over the \
         time chosen. Above 0 look at Jaeger: is it up, has it room?",
    )
    .unit("short", NO_COLLECTOR)
    .alert(1.0, RED, "TaskpulseCollectorLosing")
    .query(
        &format!(
            "round({} + {} + {} + {})",
            or_nothing("increase(otelcol_receiver_refused_spans_total{COLLECTOR}[$__range])"),
            or_nothing(
                "increase(otelcol_receiver_refused_metric_points_total{COLLECTOR}[$__range])"
            ),
            or_nothing(&since_birth("otelcol_exporter_send_failed_spans_total")),
            or_nothing(&since_birth("otelcol_exporter_enqueue_failed_spans_total")),
        ),
        "items",
    )
}

/// The increase of a counter that is not there before the first failure, that failure
/// included: what is new in this time counts with its whole value.
fn since_birth(counter: &str) -> String {
    let series = format!("{counter}{{COLLECTOR}}");
    format!("({series} unless {series} offset $__range) or increase({series}[$__range])")
}

/// 0 where the collector has not counted such a thing yet: it counts no failure
/// before the first.
fn or_nothing(counted: &str) -> String {
    format!("(sum({counted}) or 0 * sum(otelcol_process_memory_rss_bytes{{COLLECTOR}}))")
}

fn full() -> Panel {
    Panel::new(
        Kind::Spark,
        "The collector's queue, filled",
        "Of the fullest exporter. It fills while the backend is away, and what comes when it \
         is full is lost: bring the backend back, or make the queue longer.",
    )
    .unit("percentunit", NO_COLLECTOR)
    .step(0.5, YELLOW)
    .alert(0.9, RED, "TaskpulseCollectorQueueFull")
    .query(
        "max(otelcol_exporter_queue_size{COLLECTOR} /
                (otelcol_exporter_queue_capacity{COLLECTOR} > 0))",
        "full",
    )
}

fn versions() -> Panel {
    let kind = Kind::Table {
        columns: vec![
            Column::label("instance", 110),
            Column::label("service_name", 150),
            Column::label("service_version", 120),
            Column::value("up for", 0, "s", 100).base(BLUE),
        ],
        sort: ("up for", false),
    };
    // Until the series of the version before have ended, an instance has two.
    Panel::new(
        kind,
        "What runs, the youngest first",
        "Each instance, its version and how long it has been up. An instance that stays at \
         the top restarts again and again: read its log. The version of a service with a name \
         of its own is what OTEL_RESOURCE_ATTRIBUTES says.",
    )
    .unit("s", SILENT)
    .query(
        "max by (instance, service_name, service_version) (process_uptime_seconds{OWN}
                * on (job, instance) group_left (service_name, service_version)
                topk by (job, instance) (1, target_info{OWN}))",
        "",
    )
}

fn dropped() -> Panel {
    Panel::new(
        Kind::Bars,
        "Lost by taskpulse, by signal",
        "How many in each step. queue_full: more than could be sent; failed: not delivered in \
         time; rejected: the collector refused them; shutdown: the process ended first. A \
         batch that was not delivered is tried again, and lost only if that fails too.",
    )
    .unit("none", "nothing was lost in this time")
    .alert(1.0, RED, "TaskpulseTelemetryDropped")
    .query(
        "sum by (signal, reason)
                (increase(taskpulse_telemetry_dropped_total{OWN}[$__rate_interval])) > 0",
        "{{signal}} {{reason}}",
    )
    .query(
        "sum by (signal)
                (increase(taskpulse_telemetry_export_failures_total{OWN}[$__rate_interval])) > 0",
        "{{signal}} batches not delivered",
    )
}

fn exported() -> Panel {
    Panel::new(
        Kind::Lines,
        "Delivered by taskpulse per second",
        "Spans, points and log records that the collector accepted. Traces at 0 while tasks \
         end: nothing is exported, see OTEL_EXPORTER_OTLP_ENDPOINT. Logs are at 0 unless \
         OTEL_LOGS_EXPORTER asks for them.",
    )
    .unit("cps", SILENT)
    .base(BLUE)
    .link(to_dashboard("The tasks, on Tasks", "taskpulse-tasks"))
    .query(
        "sum by (signal) (rate(taskpulse_telemetry_exported_total{OWN}[$__rate_interval]))",
        "{{signal}}",
    )
}

fn queue() -> Panel {
    Panel::new(
        Kind::Lines,
        "Waiting in taskpulse to be exported",
        "By signal. It goes up and down with the load; a queue that only rises has a \
         collector that does not take it. At 90 % of the 16,384 that are kept by default a \
         line comes into sight: above it, it begins to lose.",
    )
    .unit("short", SILENT)
    .alert(0.9 * QUEUE, RED, "TaskpulseExportQueueFull")
    .query(
        "max by (signal) (taskpulse_telemetry_queue{OWN})",
        "{{signal}}",
    )
}

fn through() -> Panel {
    Panel::new(
        Kind::Lines,
        "Through the collector per second",
        "What it received and what it sent on. The two lines of a kind lie on each other; a \
         gap between them is what waits or is lost.",
    )
    .unit("cps", NO_COLLECTOR)
    .base(BLUE)
    .query(
        "sum(rate(otelcol_receiver_accepted_spans_total{COLLECTOR}[$__rate_interval]))",
        "spans in",
    )
    .query(
        "sum(rate(otelcol_exporter_sent_spans_total{COLLECTOR}[$__rate_interval]))",
        "spans out",
    )
    .query(
        "sum(rate(otelcol_receiver_accepted_metric_points_total{COLLECTOR}[$__rate_interval]))",
        "points in",
    )
    .query(
        "sum(rate(otelcol_exporter_sent_metric_points_total{COLLECTOR}[$__rate_interval]))",
        "points out",
    )
}

fn collector_failures() -> Panel {
    let failed = |what: &str| or_nothing(&format!("rate({what}{{COLLECTOR}}[$__rate_interval])"));
    Panel::new(
        Kind::Lines,
        "Lost by the collector per second",
        "refused: it was short of memory; not queued: its queue was full; not sent: the \
         backend would not take them. The first failure has no rate yet; the number above \
         counts it.",
    )
    .unit("cps", NO_COLLECTOR)
    .query(
        &failed("otelcol_receiver_refused_spans_total"),
        "spans refused",
    )
    .query(
        &failed("otelcol_receiver_refused_metric_points_total"),
        "points refused",
    )
    .query(
        &failed("otelcol_exporter_enqueue_failed_spans_total"),
        "spans not queued",
    )
    .query(
        &failed("otelcol_exporter_send_failed_spans_total"),
        "spans not sent",
    )
}

fn store() -> Panel {
    Panel::new(
        Kind::Stat,
        "Store of tasks",
        "Whether tasks are written to the file of --store, by instance. In memory alone, a \
         crash forgets what runs; tasks themselves go on. GET /ready of the instance says what \
         is the matter with the file.",
    )
    .unit("none", NO_STORE)
    .name(0.0, "in memory alone", RED)
    .name(1.0, "written", GREEN)
    .query(
        "min by (instance) (taskpulse_store_up{OWN})",
        "{{instance}}",
    )
}

fn store_queue() -> Panel {
    Panel::new(
        Kind::Lines,
        "Records that wait for the store",
        "waiting goes up and down with the load; one that only rises has a disk that does not \
         keep up. At half of the 65,536 that fit a line comes into sight; beyond all of them \
         begins are shed. shed and failures are how many in each step.",
    )
    .unit("short", NO_STORE)
    .alert(0.5 * STORE_QUEUE, RED, "TaskpulseStoreBehind")
    .query(
        "max by (instance) (taskpulse_store_queue{OWN})",
        "{{instance}} waiting",
    )
    .query(
        "sum by (instance) (increase(taskpulse_store_shed_total{OWN}[$__rate_interval]))",
        "{{instance}} shed",
    )
    .query(
        "sum by (instance) (increase(taskpulse_store_failures_total{OWN}[$__rate_interval]))",
        "{{instance}} failures",
    )
}

fn memory() -> Panel {
    Panel::new(
        Kind::Lines,
        "Memory, by instance and of the collector",
        "Resident; of the collector also what its heap holds. taskpulse's follows the active \
         tasks and the history; a floor that rises over hours is a leak. The collector refuses \
         what comes at its limit, which taskpulse then tries again.",
    )
    .unit("bytes", SILENT)
    .base(BLUE)
    .query(
        "max by (instance) (process_memory_usage_bytes{OWN})",
        "{{instance}}",
    )
    .query(
        "max(otelcol_process_memory_rss_bytes{COLLECTOR})",
        "collector",
    )
    .query(
        "max(otelcol_process_runtime_heap_alloc_bytes{COLLECTOR})",
        "collector's heap",
    )
}

fn cpu() -> Panel {
    Panel::new(
        Kind::Lines,
        "CPU of taskpulse, by instance",
        "100 % is one processor. Near what the machine has, pings and tasks get slow \
         together.",
    )
    .unit("percentunit", SILENT)
    .base(BLUE)
    .query(
        "sum by (instance) (rate(process_cpu_time_seconds_total{OWN}[$__rate_interval]))",
        "{{instance}}",
    )
}

fn files() -> Panel {
    Panel::new(
        Kind::Lines,
        "File descriptors in use, by instance",
        "Connections, mostly. A line that only rises is connections that nobody closes; at \
         the system's limit no new one is accepted.",
    )
    .unit("none", SILENT)
    .base(BLUE)
    .query(
        "max by (instance) (process_unix_file_descriptor_count{OWN})",
        "{{instance}}",
    )
}

fn workers() -> Panel {
    Panel::new(
        Kind::Lines,
        "Share of the tokio workers that is busy",
        "front answers pings, work runs handlers and tasks. work near 100 % is blocking code \
         in async functions, or more work than processors.",
    )
    .unit("percentunit", SILENT)
    .step(0.9, ORANGE)
    .query(
        "sum by (instance, tokio_runtime_name)
                (rate(tokio_runtime_worker_busy_duration_seconds_total{OWN}[$__rate_interval]))
                / on (instance, tokio_runtime_name) (max by (instance, tokio_runtime_name)
                (tokio_runtime_workers{OWN}) > 0)",
        "{{instance}} {{tokio_runtime_name}}",
    )
}

fn futures() -> Panel {
    Panel::new(
        Kind::Lines,
        "Futures alive and waiting",
        "Of both runtimes. Alive follows connections and tasks; a queue that stays above 0 is \
         workers that do not keep up.",
    )
    .unit("short", SILENT)
    .base(GREEN)
    .query(
        "sum by (instance) (tokio_runtime_alive_tasks{OWN})",
        "{{instance}} alive",
    )
    .query(
        "sum by (instance) (tokio_runtime_global_queue_depth{OWN})",
        "{{instance}} waiting",
    )
}
