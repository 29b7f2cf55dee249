//! The same numbers in Prometheus, scraped directly and through the collector;
//! and what promtool says of the text.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    alone, exporting,
    harness::{Process, eventually},
    idle, invoke, load,
    peer::{OTELCOL, PROMETHEUS, PROMTOOL, Peer, are_here, encoded, free_address, get},
};

/// What is the same whoever asks when.
const QUERIES: [&str; 9] = [
    r#"sum by (task_name, task_state) (taskpulse_task_transitions_total{job="JOB"})"#,
    r#"sum by (task_name) (taskpulse_task_active{job="JOB"})"#,
    r#"sum by (task_name, task_state) (taskpulse_task_duration_seconds_count{job="JOB"})"#,
    r#"sum by (task_name, task_state) (taskpulse_task_duration_seconds_sum{job="JOB"})"#,
    r#"sum by (le) (taskpulse_task_duration_seconds_bucket{job="JOB"})"#,
    r#"sum by (ping_status) (taskpulse_ping_status{job="JOB"})"#,
    r#"sum by (ping_status) (taskpulse_ping_transitions_total{job="JOB"})"#,
    r#"sum(taskpulse_ping_last_update_timestamp_seconds{job="JOB"})"#,
    r#"sum by (reason) (taskpulse_task_rejected_total{job="JOB"})"#,
];

/// A collector whose metrics are at the second address.
fn collector(otlp: SocketAddr, scraped: SocketAddr) -> Peer {
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
  debug: {{}}
  prometheus: {{endpoint: \"{scraped}\"}}
service:
  extensions: [health_check]
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [prometheus]}}
"
    );
    OTELCOL.start(&config, &["--config", "{config}"], (health, "/"))
}

/// A Prometheus that scrapes the agent and the collector.
fn prometheus(direct: SocketAddr, collector: SocketAddr) -> (Peer, SocketAddr) {
    let listen = free_address();
    let config = format!(
        "\
global: {{scrape_interval: 1s}}
scrape_configs:
- {{job_name: direct, static_configs: [{{targets: ['{direct}']}}]}}
- {{job_name: collector, static_configs: [{{targets: ['{collector}']}}]}}
"
    );
    let address = format!("--web.listen-address={listen}");
    let arguments = [
        "--config.file={config}",
        "--storage.tsdb.path={folder}/data",
        &address,
    ];
    let peer = PROMETHEUS.start(&config, &arguments, (listen, "/-/ready"));
    (peer, listen)
}

/// What a query gives: labels and the value, in order.
fn query(prometheus: SocketAddr, query: &str) -> Vec<(String, String)> {
    let path = format!("/api/v1/query?query={}", encoded(query));
    let answer = get(prometheus, &path).json();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let series = answer["data"]["result"].as_array().expect("a vector");
    let mut series: Vec<_> = series
        .iter()
        .map(|one| {
            let value = one["value"][1].as_str().expect("a number");
            (one["metric"].to_string(), value.to_owned())
        })
        .collect();
    series.sort();
    series
}

#[test]
fn scraped_and_pushed_are_the_same_numbers() {
    let _alone = alone();
    if !are_here(&[OTELCOL, PROMETHEUS]) {
        return;
    }
    let (otlp, scraped) = (free_address(), free_address());
    let _collector = collector(otlp, scraped);
    let agent = exporting(&format!("http://{otlp}"), &[]);
    let (_prometheus, prometheus) = prometheus(agent.address, scraped);
    for outcome in ["succeeded", "succeeded", "failed", "panicked"] {
        let event = json!({"action": "process", "seconds": 0.02, "outcome": outcome});
        invoke(&agent, &event);
        idle(&agent);
    }
    invoke(&agent, &json!({"action": "cleanup", "seconds": 3600}));

    let ask = |text: &str, job: &str| query(prometheus, &text.replace("JOB", job));
    for text in QUERIES {
        eventually(text, || {
            let direct = ask(text, "direct");
            !direct.is_empty() && direct == ask(text, "collector")
        });
        println!("{text}");
        for (labels, value) in ask(text, "direct") {
            println!("    {labels} = {value}");
        }
    }
    for (name, state, value) in [
        ("data_processing", "running", "4"),
        ("data_processing", "succeeded", "2"),
        ("data_processing", "failed", "2"),
        ("cleanup", "running", "1"),
        ("cleanup", "succeeded", "0"),
    ] {
        for job in ["direct", "collector"] {
            let labels = format!(r#"job="{job}",task_name="{name}",task_state="{state}""#);
            let text = format!("taskpulse_task_transitions_total{{{labels}}}");
            let found = query(prometheus, &text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].1, value, "{text}");
        }
    }
}

/// What `promtool check metrics` says of `text`.
fn check(text: &[u8]) -> String {
    let program = PROMTOOL.find().expect("asked for before");
    let mut child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is there");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(text).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).expect("UTF-8")
}

#[test]
fn promtool_has_nothing_to_say() {
    let _alone = alone();
    if !are_here(&[PROMTOOL]) {
        return;
    }
    // Otherwise its silence would mean nothing.
    let bad = check(b"# TYPE bad_total gauge\nbad_total 1\n");
    assert!(bad.contains("bad_total"), "{bad}");

    let agent = Process::spawn(&[]);
    load(&agent, 3);
    agent.invoke(&json!({"action": "process", "seconds": 0, "outcome": "failed"}));
    agent.invoke(&json!({"action": "stream", "seconds": 0}));
    idle(&agent);
    let text = agent.get("/metrics").body;
    let said = check(&text);
    println!("promtool check metrics: {said:?}");
    let lines = said.lines().filter(|line| !line.is_empty());
    let others: Vec<_> = lines
        .filter(|line| !line.starts_with("process_unix_file_descriptor_count"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}
