//! The collector is killed, tasks run, it returns: what was queued arrives, and
//! the rest is counted.

use std::{collections::BTreeSet, net::SocketAddr};

use serde_json::json;

use crate::{
    alone, exporting,
    harness::{Process, Scrape, eventually},
    load,
    peer::{JAEGER, Jaeger, OTELCOL, Peer, are_here, free_address},
};

const BATCH: usize = 50;
const QUEUE: usize = 200;

/// A collector that hands every batch on to Jaeger before it answers, so that
/// what it has accepted is in Jaeger whatever happens to it.
fn collector(otlp: SocketAddr, jaeger: &Jaeger) -> Peer {
    let (health, jaeger) = (free_address(), jaeger.otlp);
    let config = format!(
        "\
extensions:
  health_check: {{endpoint: \"{health}\"}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: \"{otlp}\"}}
exporters:
  otlp_http:
    endpoint: \"http://{jaeger}\"
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  extensions: [health_check]
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"
    );
    OTELCOL.start(&config, &["--config", "{config}"], (health, "/"))
}

/// Distinct spans of ours in Jaeger.
fn delivered(jaeger: &Jaeger) -> usize {
    let traces = jaeger.traces("/api/traces?service=taskpulse&limit=100000");
    let spans = traces.iter().flat_map(|trace| {
        let spans = trace["spans"].as_array().cloned();
        spans.unwrap_or_default()
    });
    let ids: BTreeSet<_> = spans.map(|span| span["spanID"].to_string()).collect();
    ids.len()
}

/// What the agent itself says of its spans.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts"
)]
fn told(agent: &Process) -> (usize, usize, usize) {
    let scrape = Scrape::of(&agent.get("/metrics"));
    let sum = |name| scrape.sum(name, &[("signal", "traces")]) as usize;
    (
        sum("taskpulse_telemetry_exported_total"),
        sum("taskpulse_telemetry_dropped_total"),
        sum("taskpulse_telemetry_queue"),
    )
}

#[test]
fn a_collector_that_is_killed_and_returns() {
    let _alone = alone();
    if !are_here(&[JAEGER, OTELCOL]) {
        return;
    }
    let jaeger = Jaeger::start();
    let otlp = free_address();
    let mut collector = collector(otlp, &jaeger);
    let batch = BATCH.to_string();
    let queue = QUEUE.to_string();
    let more = [
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &*batch),
        ("OTEL_BSP_MAX_QUEUE_SIZE", &*queue),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let mut agent = exporting(&format!("http://{otlp}"), &more);
    load(&agent, 100);
    eventually("the first are in Jaeger", || told(&agent).2 == 0);
    println!("Up: (exported, dropped, queue) = {:?}", told(&agent));
    let before = delivered(&jaeger);

    collector.kill();
    load(&agent, 1_000);
    let down = told(&agent);
    println!("Down: (exported, dropped, queue) = {down:?}");
    assert_eq!(
        down.0 + down.1 + down.2,
        2_200,
        "every span is one of these"
    );
    assert!(down.2 <= QUEUE && down.1 > 0, "{down:?}");

    collector.restart();
    eventually("nothing waits", || told(&agent).2 == 0);
    load(&agent, 100);
    eventually("nothing waits", || told(&agent).2 == 0);
    let (exported, dropped, _) = told(&agent);
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    let after = delivered(&jaeger);
    println!(
        "Back: exported {exported}, dropped {dropped} of {} ended; distinct spans in Jaeger: \
         {after}, {before} of them from before",
        2_400
    );
    assert_eq!(exported + dropped, 2_400);
    assert!(after > before, "what ended later has arrived");
    // A batch may have been taken whose answer was not heard.
    assert!(exported <= after && after <= exported + BATCH);
    let ended = agent.log();
    let summary = ended.iter().find(|line| line.get("spans_lost").is_some());
    println!("It says: {}", summary.unwrap_or(&json!(null))["message"]);
}
