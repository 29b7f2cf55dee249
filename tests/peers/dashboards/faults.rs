//! What goes wrong, on purpose, so that panels which are empty in health show
//! something, and alerts have what they wait for.

use std::time::Duration;

use serde_json::json;

use super::{ask, program, site::Site, site::now, traffic::Traffic};
use crate::harness::eventually;

/// A second instance that is easily overrun and does as it is told.
const FRAGILE: [(&str, &str); 6] = [
    ("TASKPULSE_DEBUG_ACTIONS", "on"),
    ("TASKPULSE_MAX_ACTIVE", "3"),
    ("TASKPULSE_DRAIN", "6s"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
];

/// What an upgrade would bring.
const VERSION: &str = "9.9.9";

/// Alerts whose expressions hold after all of this.
pub(crate) const TRIPPED: [&str; 12] = [
    "TaskpulseDown",
    "TaskpulseRestarting",
    "TaskpulseAtCapacity",
    "TaskpulseDrainingRefuses",
    "TaskpulseTasksFailingFast",
    "TaskpulseFirstFailure",
    "TaskpulseTelemetryLost",
    "TaskpulseTelemetryDropped",
    "TaskpulseExportFailing (failing)",
    "TaskpulseCollectorLosing",
    "TaskpulsePingForced",
    "TaskpulseStoreDown",
];

/// Kills, outages, refusals and failures. Afterwards everything is there again,
/// the second instance in another version, its status is forced, and its store is gone.
pub(crate) fn inject(site: &mut Site) {
    sends_nowhere(site);
    start_again(site, &FRAGILE);
    outage(site);
    give_up(site);
    refusals(site);
    let resource = format!("service.instance.id=demo,service.version={VERSION}");
    let mut upgraded = FRAGILE.to_vec();
    upgraded.push(("OTEL_RESOURCE_ATTRIBUTES", &resource));
    start_again(site, &upgraded);
    force(site);
    site.remove_store();
    known(
        site,
        r#"taskpulse_store_up{job="taskpulse",instance="demo"} == 0"#,
    );
    upgraded_everywhere(site);
    site.await_scrapes(2);
}

/// Waits until an annotation can show the other version in both copies. The
/// collector tells of the old one, too, for as long as it keeps any of its series;
/// annotations are asked for at multiples of 10 s.
fn upgraded_everywhere(site: &Site) {
    let query = format!(r#"count(target_info{{service_version="{VERSION}"}}) > 1"#);
    eventually(&query, || {
        let at = (now() / 10.0).floor() * 10.0;
        !ask::instant(site.prometheus, &query, at).series.is_empty()
    });
}

/// The second instance sends its spans where nobody takes them.
fn sends_nowhere(site: &mut Site) {
    let nowhere = format!("http://{}/nowhere", site.otlp());
    let lost = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", nowhere.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    start_again(site, &lost);
    until(
        site,
        "exports fail",
        r#"sum(taskpulse_telemetry_export_failures_total{job="taskpulse",instance="demo",signal="traces"}) > 4"#,
    );
}

/// Whether a query finds something.
fn finds(site: &Site, query: &str) -> bool {
    let answer = ask::instant(site.prometheus, query, now());
    !answer.series.is_empty()
}

/// Waits until a query finds something.
fn known(site: &Site, query: &str) {
    eventually(query, || finds(site, query));
}

/// Begins tasks until a query finds something, twenty a second: what the collector
/// takes at a time has to fit its queue.
fn until(site: &Site, what: &str, query: &str) {
    eventually(what, || {
        std::thread::sleep(Duration::from_millis(45));
        site.demo
            .invoke(&json!({"action": "process", "seconds": 0}));
        finds(site, query)
    });
}

/// Starts the second instance again, and waits until it is known to have aged.
fn start_again(site: &mut Site, variables: &[(&str, &str)]) {
    let before = now();
    site.restart_demo(variables);
    let uptime = r#"process_uptime_seconds{job="taskpulse",instance="demo"}"#;
    let query = format!("timestamp({uptime}) - {uptime} > {before} and {uptime} > 1.5");
    known(site, &query);
}

/// The collector is away for as long as spans take to be lost.
fn outage(site: &mut Site) {
    site.collector.kill();
    until(
        site,
        "spans are lost",
        r#"sum(taskpulse_telemetry_dropped_total{job="taskpulse",instance="demo",signal="traces",reason="queue_full"}) > 0"#,
    );
}

/// The collector comes back with a queue for few spans, and little patience. Jaeger
/// is away for as long as both take to run out.
fn give_up(site: &mut Site) {
    site.jaeger.kill();
    let hasty = [
        ("300s", "2s".to_owned()),
        ("10s", "1s".to_owned()),
        ("queue_size: 50000", "queue_size: 100".to_owned()),
        // What an instance said before it was upgraded is not told for longer.
        ("metric_expiration: 20s", "metric_expiration: 4s".to_owned()),
    ];
    site.restart_collector(&hasty);
    for counter in ["send_failed_spans", "enqueue_failed_spans"] {
        until(
            site,
            counter,
            &format!("sum(otelcol_exporter_{counter}_total) > 0"),
        );
    }
    site.jaeger.restart();
}

/// A status is forced, and stays so.
fn force(site: &Site) {
    let answer = site
        .demo
        .invoke(&json!({"_agent_core_app_action": "force_healthy"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// More than three at a time, half of them bad, and a few that panic.
fn refusals(site: &Site) {
    let traffic = Traffic::start(site.demo.address, "10", "6s");
    for outcome in ["failed", "panicked"].iter().cycle().take(60) {
        let event = json!({"action": "process", "seconds": 0, "outcome": outcome});
        site.demo.invoke(&event);
    }
    let done = traffic.wait();
    assert!(done.rejected > 0.0, "{done:?}");
}

/// Ends an instance as a deployment does, whose task begins another every now and
/// then: while it drains, that is refused. Returns once it is gone.
pub(crate) fn drain(site: &mut Site) {
    site.replace_demo(program::NAME, &[("TASKPULSE_DRAIN", "6s"), program::ASKED]);
    known(
        site,
        r#"taskpulse_task_active{job="taskpulse",task_name="steps"} > 0"#,
    );
    site.demo.terminate();
    known(
        site,
        r#"taskpulse_task_rejected_total{job="taskpulse",reason="draining"} > 0"#,
    );
    site.demo.wait();
    site.await_scrapes(2);
}
