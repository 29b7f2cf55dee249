mod collector;
mod lines;
mod others;
mod patience;
mod tls;

use std::{
    collections::HashMap,
    env::VarError,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::time::Instant;

use self::collector::{Collector, Manner, spans};
use super::*;
use crate::telemetry::tally::Loss;

/// What shutdowns of these tests may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// What became of the spans of a test.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    exported: u64,
    queue: u64,
    queue_full: u64,
    failed: u64,
    rejected: u64,
    shutdown: u64,
}

/// Spans on their way to a collector.
struct Way {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

/// A configuration for a collector, with more variables. Nothing is sent until
/// it is flushed.
fn config(collector: SocketAddr, variables: &[(&str, &str)]) -> Config {
    let mut all = HashMap::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "600000".to_owned()),
        ("OTEL_BLRP_SCHEDULE_DELAY", "600000".to_owned()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500".to_owned()),
    ]);
    all.extend(
        variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    Config::from(|name| all.get(name).cloned().ok_or(VarError::NotPresent)).unwrap()
}

// === impl Way ===

impl Way {
    fn to(collector: SocketAddr, variables: &[(&str, &str)]) -> Self {
        let tally = Arc::<Tally>::default();
        let config = config(collector, variables);
        let (provider, _gate) = tracer_provider(&config, &resource(&config), &tally).unwrap();
        Self { provider, tally }
    }

    /// Ends this many spans.
    fn end(&self, spans: u64) {
        let tracer = self.provider.tracer("test");
        for _ in 0..spans {
            tracer.start("crunch").end();
        }
    }

    fn fate(&self) -> Fate {
        let tally = self.tally.of(Signal::Traces);
        Fate {
            exported: tally.exported.load(Relaxed),
            queue: tally.queue.load(Relaxed),
            queue_full: tally.lost(Loss::QueueFull),
            failed: tally.lost(Loss::Failed),
            rejected: tally.lost(Loss::Rejected),
            shutdown: tally.lost(Loss::Shutdown),
        }
    }

    fn failures(&self) -> u64 {
        self.tally.of(Signal::Traces).failures.load(Relaxed)
    }
}

/// Ends ten spans, shuts down, and compares what became of them.
#[track_caller]
fn check(collector: SocketAddr, fate: Fate) {
    let way = Way::to(collector, &[]);
    way.end(10);
    // Whether all were sent in time is in the counts.
    drop(way.provider.shutdown_with_timeout(DEADLINE));
    assert_eq!(way.fate(), fate);
}

fn failed(failed: u64) -> Fate {
    Fate {
        failed,
        ..Fate::default()
    }
}

/// A queue of numbers, which count as spans.
fn queue(
    tally: &Arc<Tally>,
    variables: &[(&str, &str)],
    send: impl FnMut(Vec<u8>) -> report::Outcome + Send + 'static,
) -> queue::Queue<u8> {
    let config = config(Collector::nobody(), variables);
    let terms = terms(&config, Signal::Traces).unwrap();
    let report = report::Report::new(tally, Signal::Traces, terms);
    queue::Queue::start(config.spans, Arc::new(report), Arc::default(), send).unwrap()
}

#[test]
fn what_a_collector_accepts_is_exported() {
    let collector = Collector::start(Manner::Accept);
    let way = Way::to(collector.address, &[]);
    way.end(10);
    way.provider.force_flush().unwrap();
    let exported = Fate {
        exported: 10,
        ..Fate::default()
    };
    assert_eq!(way.fate(), exported);
    assert_eq!(way.failures(), 0);
    collector.received(|all| {
        assert_eq!(all.iter().map(spans).sum::<usize>(), 10);
        assert!(all[0].head.starts_with("post /v1/traces http/1.1\r\n"));
    });
    way.provider.shutdown_with_timeout(DEADLINE).unwrap();
    assert_eq!(way.fate(), exported);
}

#[test]
fn what_a_collector_refuses_is_lost() {
    for status in [400, 401, 404, 500, 502, 503, 504] {
        let collector = Collector::start(Manner::Refuse(status, ""));
        check(collector.address, failed(10));
    }
    check(Collector::nobody(), failed(10));
    let closes = Collector::start(Manner::Close);
    check(closes.address, failed(10));
}

#[test]
fn what_is_taken_is_exported_though_the_answer_cannot_be_read() {
    for manner in [Manner::BreakOff, Manner::Endless] {
        let collector = Collector::start(manner);
        let way = Way::to(collector.address, &[]);
        way.end(10);
        way.provider.force_flush().unwrap();
        assert_eq!(way.fate().exported, 10, "{manner:?}");
        assert_eq!(way.failures(), 0, "{manner:?}");
        collector.received(|all| assert_eq!(all.len(), 1, "{manner:?}"));
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Collector::start(Manner::Accept);
    let line: &'static str = format!("location: http://{}/v1/traces", other.address).leak();
    for status in [301, 307] {
        let collector = Collector::start(Manner::Refuse(status, line));
        check(collector.address, failed(10));
    }
    other.received(|all| assert!(all.is_empty()));
}

#[test]
fn what_a_collector_rejects_is_not_exported() {
    let collector = Collector::start(Manner::Reject(4));
    let way = Way::to(collector.address, &[]);
    way.end(10);
    way.provider.force_flush().unwrap();
    let rejected = Fate {
        exported: 6,
        rejected: 4,
        ..Fate::default()
    };
    assert_eq!(way.fate(), rejected);
    // Nobody can reject more than there was.
    way.end(3);
    way.provider.force_flush().unwrap();
    let rejected = Fate {
        rejected: 7,
        ..rejected
    };
    assert_eq!(way.fate(), rejected);
}

#[test]
fn a_hanging_collector_holds_no_shutdown_up() {
    let collector = Collector::start(Manner::Hang);
    let way = Way::to(
        collector.address,
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")],
    );
    way.end(10);
    let begun = Instant::now();
    let deadline = Duration::from_millis(100);
    way.provider.shutdown_with_timeout(deadline).unwrap_err();
    // Far less than the ten minutes that the batch could take.
    assert!(begun.elapsed() < DEADLINE);
    let lost = Fate {
        shutdown: 10,
        ..Fate::default()
    };
    assert_eq!(way.fate(), lost);
}

#[test]
fn a_batch_that_outlives_the_shutdown_is_counted_once() {
    let tally = Arc::<Tally>::default();
    let (begun, begins) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (alive, ends) = mpsc::channel::<()>();
    let at_once = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")];
    let queue = queue(&tally, &at_once, move |_| {
        let _held = &alive;
        begun.send(()).unwrap();
        released.recv().unwrap();
        report::Outcome::taken()
    });
    queue.push(1);
    begins.recv().unwrap();
    queue.close(Duration::ZERO).unwrap_err();
    release.send(()).unwrap();
    // The thread has ended once its end of the channel is gone.
    ends.recv().unwrap_err();
    let tally = tally.of(Signal::Traces);
    assert_eq!(tally.exported.load(Relaxed), 0);
    assert_eq!(tally.lost(Loss::Shutdown), 1);
    assert_eq!(tally.queue.load(Relaxed), 0);
}

#[test]
fn a_full_queue_drops_what_is_too_much() {
    let collector = Collector::start(Manner::Hang);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"),
    ];
    let way = Way::to(collector.address, &variables);
    way.end(100);
    let full = Fate {
        queue: 20,
        queue_full: 80,
        ..Fate::default()
    };
    assert_eq!(way.fate(), full);
    drop(way.provider.shutdown_with_timeout(Duration::ZERO));
    let lost = Fate {
        queue: 0,
        shutdown: 20,
        ..full
    };
    assert_eq!(way.fate(), lost);
}

#[test]
fn every_span_is_counted_once_whatever_happens() {
    let collector = Collector::start(Manner::Accept);
    let variables = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ];
    let way = Way::to(collector.address, &variables);
    let manners = [
        Manner::Reject(3),
        Manner::Refuse(400, ""),
        Manner::Accept,
        Manner::Close,
    ];
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| way.end(2_000));
        }
        scope.spawn(|| {
            for manner in manners.iter().cycle().take(40) {
                collector.behave(*manner);
                drop(way.provider.force_flush());
            }
            collector.behave(Manner::Accept);
        });
    });
    let sum = || {
        let fate = way.fate();
        let lost = fate.queue_full + fate.failed + fate.rejected + fate.shutdown;
        fate.exported + fate.queue + lost
    };
    assert_eq!(sum(), 6_000);
    drop(way.provider.shutdown_with_timeout(DEADLINE));
    assert_eq!((sum(), way.fate().queue), (6_000, 0));
}

#[test]
fn what_comes_after_the_end_is_lost_to_it() {
    let tally = Arc::<Tally>::default();
    let queue = queue(&tally, &[], |_| report::Outcome::taken());
    queue.push(1);
    queue.close(DEADLINE).unwrap();
    queue.push(2);
    queue.flush().unwrap_err();
    let tally = tally.of(Signal::Traces);
    assert_eq!(tally.exported.load(Relaxed), 1);
    assert_eq!(tally.lost(Loss::Shutdown), 1);
    assert_eq!(tally.queue.load(Relaxed), 0);
}

#[test]
fn an_exporter_that_panics_loses_its_batch_alone() {
    let tally = Arc::<Tally>::default();
    let mut first = true;
    let queue = queue(&tally, &[], move |_| {
        assert!(!std::mem::take(&mut first), "the first batch");
        report::Outcome::taken()
    });
    queue.push(1);
    queue.flush().unwrap_err();
    queue.push(2);
    queue.flush().unwrap();
    let tally = tally.of(Signal::Traces);
    assert_eq!(tally.lost(Loss::Failed), 1);
    assert_eq!(tally.exported.load(Relaxed), 1);
}

#[test]
fn spans_that_go_nowhere_cost_no_queue() {
    let tally = Arc::<Tally>::default();
    let config = Config::default();
    let (provider, _gate) = tracer_provider(&config, &resource(&config), &tally).unwrap();
    let span = provider.tracer("test").start("crunch");
    assert!(span.span_context().is_valid());
    drop(span);
    provider.shutdown_with_timeout(DEADLINE).unwrap();
    assert_eq!(tally.of(Signal::Traces).queue.load(Relaxed), 0);
}
