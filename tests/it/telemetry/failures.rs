//! Collectors that refuse, hang, answer nonsense or vanish: nobody but the
//! operator notices, and every item is accounted for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::exporting;
use crate::harness::{Behaviour, Collector, Process, Scrape, Signal, eventually};

/// Invocations sent to an agent whose collector is no good. Each is a span, and
/// its task another.
const INVOCATIONS: usize = 50;

/// The drain, what the end of telemetry may take, and a busy machine.
const END: Duration = Duration::from_secs(1 + 5 + 2);

/// What became of the spans: accepted, lost by reason, waiting.
#[derive(Debug)]
struct Fate {
    exported: f64,
    /// Their sum.
    dropped: f64,
    rejected: f64,
    failed: f64,
    queue_full: f64,
    queue: f64,
}

impl Fate {
    fn of(agent: &Process) -> Self {
        let scrape = Scrape::of(&agent.get("/metrics"));
        let traces = ("signal", "traces");
        let dropped = |reason| {
            let labels = [traces, ("reason", reason)];
            scrape.value("taskpulse_telemetry_dropped_total", &labels)
        };
        let value = |name| scrape.value(name, &[traces]).unwrap_or_default();
        Self {
            exported: value("taskpulse_telemetry_exported_total"),
            dropped: scrape.sum("taskpulse_telemetry_dropped_total", &[traces]),
            rejected: dropped("rejected").expect("born at 0"),
            failed: dropped("failed").expect("born at 0"),
            queue_full: dropped("queue_full").expect("born at 0"),
            queue: value("taskpulse_telemetry_queue"),
        }
    }

    fn all(&self) -> f64 {
        self.exported + self.dropped + self.queue
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn equal(value: f64, wanted: usize) -> bool {
    (value - wanted as f64).abs() < f64::EPSILON
}

/// Invokes, and waits for the ends.
fn load(agent: &Process) {
    let mut client = agent.client();
    let event = json!({"action": "process", "seconds": 0}).to_string();
    for _ in 0..INVOCATIONS {
        let answer = client.request("POST", "/invocations", "", &event);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    eventually("every task has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
}

/// Lines about `signal` that say `what`, of telemetry itself.
fn said(agent: &Process, signal: &str, what: &str) -> usize {
    let says = |line: &&Value| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("telemetry: ") && message.contains(signal) && message.contains(what)
    };
    agent.log().iter().filter(says).count()
}

#[track_caller]
fn ends_well(agent: &mut Process) {
    let began = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    let took = began.elapsed();
    assert!(took < END, "{took:?}");
}

/// How many spans the last line says were delivered, and how many lost.
#[track_caller]
fn summary(agent: &Process) -> (u64, u64) {
    let found = || {
        let log = agent.log();
        log.into_iter()
            .find(|line| line.get("spans_exported").is_some())
    };
    eventually("the end of telemetry is told", || found().is_some());
    let line = found().expect("just seen");
    let number = |key: &str| line[key].as_u64().expect("a number");
    (number("spans_exported"), number("spans_lost"))
}

/// Nothing shows at an agent whose collector behaves so from the start.
fn nothing_shows(collector: &Collector) {
    let arguments = ["--drain", "1s"];
    let mut agent = exporting(collector, &arguments, &[]);
    load(&agent);
    assert_eq!(agent.get("/ping").status, 200);
    let wanted = 2 * INVOCATIONS;
    eventually("every span is accounted for", || {
        equal(Fate::of(&agent).all(), wanted)
    });
    assert!(equal(Fate::of(&agent).exported, 0));
    ends_well(&mut agent);
    let (exported, lost) = summary(&agent);
    assert_eq!((exported, lost), (0, wanted as u64));
    let lines = said(&agent, "traces", "cannot be exported");
    assert!(lines <= 1, "{:#?}", agent.messages());
    assert!(collector.spans().is_empty());
}

#[test]
fn a_collector_that_is_not_there() {
    let collector = Collector::start();
    collector.stop();
    nothing_shows(&collector);
}

#[test]
fn a_collector_that_hangs() {
    let collector = Collector::start();
    collector.behave(Behaviour::Hang);
    nothing_shows(&collector);
}

#[test]
fn a_collector_that_refuses() {
    for status in [400, 404, 429, 500, 503] {
        let collector = Collector::start();
        collector.behave(Behaviour::Status(status));
        nothing_shows(&collector);
    }
}

#[test]
fn a_collector_that_closes() {
    for behaviour in [Behaviour::Close, Behaviour::HalfAnswer] {
        let collector = Collector::start();
        collector.behave(behaviour);
        nothing_shows(&collector);
    }
}

#[test]
fn lost_and_back_are_told_once_each() {
    let collector = Collector::start();
    collector.behave(Behaviour::Status(400));
    let mut agent = exporting(&collector, &[], &[]);
    load(&agent);
    eventually("several batches have failed", || {
        let scrape = Scrape::of(&agent.get("/metrics"));
        let name = "taskpulse_telemetry_export_failures_total";
        load(&agent);
        scrape.value(name, &[("signal", "traces")]) >= Some(3.0)
            && scrape.value(name, &[("signal", "metrics")]) >= Some(3.0)
    });
    for signal in ["traces", "metrics"] {
        assert_eq!(said(&agent, signal, "cannot be exported"), 1, "{signal}");
        assert_eq!(said(&agent, signal, " again: "), 0, "{signal}");
    }
    collector.behave(Behaviour::Accept);
    load(&agent);
    collector.wait_for("spans arrive", |it| it.spans().len() >= 2 * INVOCATIONS);
    collector.next_metrics();
    for signal in ["traces", "metrics"] {
        eventually("it is told", || said(&agent, signal, " again: ") == 1);
    }
    load(&agent);
    eventually("nothing waits", || equal(Fate::of(&agent).queue, 0));
    let fate = Fate::of(&agent);
    assert!(equal(fate.exported, collector.spans().len()), "{fate:?}");
    assert!(fate.failed > 0.0 && equal(fate.dropped - fate.failed, 0));
    ends_well(&mut agent);
    for signal in ["traces", "metrics"] {
        for what in ["cannot be exported", " again: "] {
            let lines = said(&agent, signal, what);
            assert_eq!(lines, 1, "{signal} {what}: {:#?}", agent.messages());
        }
    }
}

#[test]
fn what_is_accepted_is_counted_as_exported() {
    let collector = Collector::start();
    collector.behave(Behaviour::Partial(1));
    let agent = exporting(&collector, &[], &[]);
    load(&agent);
    eventually("nothing waits", || {
        let fate = Fate::of(&agent);
        equal(fate.queue, 0) && equal(fate.all(), 2 * INVOCATIONS)
    });
    let fate = Fate::of(&agent);
    let batches = collector.count(Signal::Traces);
    assert!(equal(fate.rejected, batches), "{batches}: {fate:?}");
    assert!(equal(fate.exported, collector.spans().len()), "{fate:?}");
    assert!(equal(fate.dropped - fate.rejected, 0), "{fate:?}");
    eventually("it is told", || said(&agent, "traces", "rejects") == 1);
}

#[test]
fn a_full_queue_loses_what_it_cannot_hold() {
    let collector = Collector::start();
    collector.behave(Behaviour::Hang);
    let more = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"),
    ];
    let mut agent = exporting(&collector, &["--drain", "1s"], &more);
    load(&agent);
    let wanted = 2 * INVOCATIONS;
    eventually("every span is accounted for", || {
        equal(Fate::of(&agent).all(), wanted)
    });
    let fate = Fate::of(&agent);
    assert!(fate.queue <= 20.0, "{fate:?}");
    assert!(fate.queue_full >= 75.0, "{fate:?}");

    // It returns: what has waited arrives.
    collector.behave(Behaviour::Accept);
    eventually("nothing waits", || equal(Fate::of(&agent).queue, 0));
    let fate = Fate::of(&agent);
    assert!(equal(fate.exported, collector.spans().len()), "{fate:?}");
    assert!(equal(fate.all(), wanted), "{fate:?}");
    ends_well(&mut agent);
    let (exported, lost) = summary(&agent);
    assert_eq!(exported as usize, collector.spans().len());
    assert_eq!((exported + lost) as usize, wanted);
}

#[test]
fn a_collector_that_goes_and_returns() {
    let collector = Collector::start();
    let mut agent = exporting(&collector, &[], &[]);
    load(&agent);
    // Else an answer might be cut off, and its spans be there and lost.
    eventually("the first have been accepted", || {
        equal(Fate::of(&agent).exported, 2 * INVOCATIONS)
    });
    collector.stop();
    load(&agent);
    eventually("it is told", || {
        said(&agent, "traces", "cannot be exported") == 1
    });
    collector.restart();
    load(&agent);
    eventually("nothing waits", || equal(Fate::of(&agent).queue, 0));
    let fate = Fate::of(&agent);
    assert!(equal(fate.all(), 6 * INVOCATIONS), "{fate:?}");
    let received = collector.spans().len();
    assert!(equal(fate.exported, received), "{received} {fate:?}");
    eventually("it is told", || said(&agent, "traces", " again: ") == 1);
    let mut ids: Vec<_> = collector.spans().into_iter().map(|it| it.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), collector.spans().len(), "none came twice");
    ends_well(&mut agent);
}
