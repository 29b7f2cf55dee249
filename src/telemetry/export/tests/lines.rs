//! What is said of an exporter: one line when it fails, one when it works again.

use std::sync::{Mutex, OnceLock};

use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use super::*;

/// Every line that is said in this process: the exporters have threads of
/// their own, which see no subscriber but the global one.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

struct Message(Option<String>);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(None);
        event.record(&mut message);
        if let Some(text) = message.0 {
            let level = event.metadata().level();
            LINES.lock().unwrap().push(format!("{level} {text}"));
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

/// The lines that name a collector.
fn lines(collector: SocketAddr) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    let name = collector.to_string();
    lines
        .iter()
        .filter(|line| line.contains(&name))
        .cloned()
        .collect()
}

fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| tracing_subscriber::registry().with(Keep).init());
}

#[test]
fn one_line_says_lost_and_one_says_back() {
    listen();
    let collector = Collector::start(Manner::Refuse(401, ""));
    let to = collector.address;
    let way = Way::to(to, &[]);
    let batches = |manner| {
        collector.behave(manner);
        for _ in 0..3 {
            way.end(10);
            drop(way.provider.force_flush());
        }
    };
    batches(Manner::Refuse(401, ""));
    let lost = format!(
        "WARN telemetry: traces cannot be exported to http://{to}/v1/traces: the collector answers 401 Unauthorized; up to 16384 are queued, more are dropped and counted"
    );
    assert_eq!(lines(to), [&*lost]);
    batches(Manner::Accept);
    let back = format!(
        "INFO telemetry: traces are exported to http://{to}/v1/traces again: 30 items were lost meanwhile"
    );
    assert_eq!(lines(to), [&*lost, &*back]);
    batches(Manner::Refuse(401, ""));
    assert_eq!(lines(to), [&*lost, &*back, &*lost]);
    batches(Manner::Reject(1));
    let rejects = format!(
        "WARN telemetry: http://{to}/v1/traces rejects some traces: too\\nold; they are counted, and this is said once"
    );
    assert_eq!(lines(to), [&*lost, &*back, &*lost, &*back, &*rejects]);
}

#[test]
fn the_line_says_why() {
    listen();
    let why = |collector: SocketAddr, variables: &[(&str, &str)]| {
        let way = Way::to(collector, variables);
        way.end(1);
        way.provider
            .shutdown_with_timeout(DEADLINE)
            .unwrap_or_default();
        let lines = lines(collector);
        let (_, why) = lines[0].split_once("/v1/traces: ").unwrap();
        why.split_once(';').unwrap().0.to_owned()
    };
    let quick = [("OTEL_EXPORTER_OTLP_TIMEOUT", "200")];
    let refused = why(Collector::nobody(), &quick);
    assert!(refused.contains("refused"), "{refused}");
    let hanging = Collector::start(Manner::Hang);
    assert_eq!(why(hanging.address, &quick), "no answer within 200ms");
}

#[test]
fn one_line_says_that_more_comes_than_goes() {
    listen();
    let to = Collector::nobody();
    let variables = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
    ];
    let config = config(to, &variables);
    let terms = terms(&config, Signal::Traces).unwrap();
    let report = report::Report::new(&Arc::default(), Signal::Traces, terms);
    let (begun, begins) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let send = move |_: Vec<u8>| {
        begun.send(()).unwrap();
        released.recv().unwrap();
        report::Outcome::taken()
    };
    let queue = queue::Queue::start(config.spans, Arc::new(report), Arc::default(), send).unwrap();
    for _ in 0..2 {
        queue.push(1);
        begins.recv().unwrap();
        queue.push(2);
        queue.push(3);
        release.send(()).unwrap();
        release.send(()).unwrap();
        queue.flush().unwrap();
        begins.recv().unwrap();
    }
    let full = format!(
        "WARN telemetry: more traces come than http://{to}/v1/traces takes; up to 2 are queued, more are dropped and counted, and this is said once"
    );
    assert_eq!(lines(to), [full]);
}
