//! Log records that went through the collector carry the ids of the lines that
//! were printed.

use std::net::SocketAddr;

use serde_json::json;

use crate::{
    TRACE, alone, exporting,
    harness::eventually,
    invoke,
    peer::{OTELCOL, Peer, are_here, free_address},
};

/// A collector that prints the log records it gets.
fn collector(otlp: SocketAddr) -> Peer {
    let health = free_address();
    let config = format!(
        "\
extensions:
  health_check: {{endpoint: \"{health}\"}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: \"{otlp}\"}}
exporters:
  debug: {{verbosity: detailed}}
service:
  extensions: [health_check]
  telemetry:
    metrics: {{level: none}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [debug]}}
"
    );
    OTELCOL.start(&config, &["--config", "{config}"], (health, "/"))
}

#[test]
fn logs_carry_the_trace() {
    let _alone = alone();
    if !are_here(&[OTELCOL]) {
        return;
    }
    let otlp = free_address();
    let collector = collector(otlp);
    let more = [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let agent = exporting(&format!("http://{otlp}"), &more);
    let id = invoke(&agent, &json!({"action": "process", "seconds": 0}));
    let story = || {
        let mut log = agent.log();
        log.retain(|line| line["task_id"] == id && line["target"] == "taskpulse::task");
        log
    };
    eventually("its end is printed", || story().len() == 2);
    // One block for each record in what the collector prints.
    let record = |message: &str| {
        let said = collector.said();
        let mut records = said.split("LogRecord #");
        let found = records.find(|record| record.contains(message));
        found.map(str::to_owned)
    };
    for line in story() {
        let message = line["message"].as_str().expect("a message");
        let body = format!("Body: Str({message})");
        eventually(&body, || record(&body).is_some());
        let record = record(&body).expect("just seen");
        println!("The collector got #{record}");
        assert_eq!(line["trace_id"], TRACE);
        assert!(record.contains(&format!("Trace ID: {TRACE}")), "{record}");
        let span = line["span_id"].as_str().expect("an id");
        assert!(record.contains(&format!("Span ID: {span}")), "{record}");
    }
}
