//! A backend for telemetry: takes OTLP over HTTP, in protobuf or JSON, packed
//! or plain, keeps what it has accepted, and misbehaves when told to.
//!
//! It blocks on threads of its own, so that what it is told to do, hang or
//! close in the middle of an answer, it really does.

mod records;
mod wire;

pub(crate) use records::{Kind, LogRecord, Metric, Point, Span, of};

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// What it does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Accept,
    /// Answers with this status and keeps nothing.
    Status(u16),
    /// Reads the request and answers nothing for as long as it behaves so.
    Hang,
    /// Reads the request and closes.
    Close,
    /// Answers half a head and closes its sending side.
    HalfAnswer,
    /// Accepts all but this many items, and says so.
    Partial(usize),
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// A request that was read.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) signal: Signal,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) gzip: bool,
    pub(crate) json: bool,
    /// Spans, data points or log records in it.
    pub(crate) items: usize,
    pub(crate) behaviour: Behaviour,
}

/// The receiver. Stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// What its threads share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    logs: Vec<LogRecord>,
    deliveries: Vec<Delivery>,
    connections: Vec<TcpStream>,
    /// How often it has been stopped. A thread of before ends.
    life: usize,
    serving: bool,
}

// === impl Collector ===

impl Collector {
    /// Receives on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let collector = Self {
            address: listener.local_addr().expect("it is bound"),
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    behaviour: Behaviour::Accept,
                    spans: Vec::new(),
                    metrics: Vec::new(),
                    logs: Vec::new(),
                    deliveries: Vec::new(),
                    connections: Vec::new(),
                    life: 0,
                    serving: true,
                }),
                changed: Condvar::new(),
            }),
        };
        collector.listen(listener);
        collector
    }

    /// Receives again where it did before.
    pub(crate) fn restart(&self) {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    assert!(Instant::now() < deadline, "{} stays taken", self.address);
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("cannot listen on {}: {error}", self.address),
            }
        };
        self.shared.state().serving = true;
        self.listen(listener);
    }

    /// Closes its port and every connection. What it has received stays.
    pub(crate) fn stop(&self) {
        let connections = {
            let mut state = self.shared.state();
            if !state.serving {
                return;
            }
            state.serving = false;
            state.life += 1;
            std::mem::take(&mut state.connections)
        };
        self.shared.changed.notify_all();
        for connection in connections {
            connection.shutdown(Shutdown::Both).unwrap_or_default();
        }
        // Wakes the thread that accepts, which then ends.
        drop(TcpStream::connect(self.address));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "it goes on listening");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.shared.state().behaviour = behaviour;
        self.shared.changed.notify_all();
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.shared.state().spans.clone()
    }

    pub(crate) fn spans_named(&self, name: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// The one span of this name, as soon as it has arrived.
    #[track_caller]
    pub(crate) fn span_named(&self, name: &str) -> Span {
        self.wait_for(&format!("a span {name}"), |collector| {
            !collector.spans_named(name).is_empty()
        });
        let mut spans = self.spans_named(name);
        assert_eq!(spans.len(), 1, "spans named {name}: {spans:#?}");
        spans.remove(0)
    }

    /// Each metric as it was exported last.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.shared.state().metrics.clone()
    }

    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> Metric {
        let found = self.metrics().into_iter().find(|known| known.name == name);
        found.unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// The last value of the series with exactly these attributes.
    pub(crate) fn value(&self, name: &str, attributes: &[(&str, &str)]) -> Option<f64> {
        let metrics = self.metrics();
        let metric = metrics.iter().find(|known| known.name == name)?;
        let wanted = of(attributes);
        let point = metric.points.iter().find(|it| it.attributes == wanted)?;
        Some(point.value)
    }

    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        self.shared.state().logs.clone()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.state().deliveries.clone()
    }

    /// How many requests with this signal have been read.
    pub(crate) fn count(&self, signal: Signal) -> usize {
        let deliveries = self.deliveries();
        let same = |delivery: &&Delivery| delivery.signal == signal;
        deliveries.iter().filter(same).count()
    }

    /// Waits until `holds` of what has been received so far.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, holds: impl FnMut(&Self) -> bool) {
        assert!(
            self.holds_within(PATIENCE, holds),
            "not in {PATIENCE:?}: {what}; received {:#?}",
            self.summary()
        );
    }

    /// Whether `holds` comes true in time. It is asked again whenever something
    /// has been received.
    pub(crate) fn holds_within(
        &self,
        time: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let seen = self.deliveries().len();
            if holds(self) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let state = self.shared.state();
            let nothing_new = |state: &mut State| state.deliveries.len() == seen;
            let waited = self
                .shared
                .changed
                .wait_timeout_while(state, left, nothing_new);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until an export of metrics that began after this call is through.
    #[track_caller]
    pub(crate) fn next_metrics(&self) {
        let before = self.count(Signal::Metrics);
        // The first may have been collected before.
        self.wait_for("two more exports of metrics", |collector| {
            collector.count(Signal::Metrics) >= before + 2
        });
    }

    /// What has been received, for a message.
    pub(crate) fn summary(&self) -> Vec<String> {
        let state = self.shared.state();
        let spans = state.spans.iter().map(|span| format!("span {}", span.name));
        let logs = state.logs.iter().map(|log| format!("log {}", log.body));
        let metrics = state.metrics.iter().map(|it| format!("metric {}", it.name));
        let requests = state.deliveries.iter().map(|it| {
            let Delivery { signal, items, .. } = it;
            format!("{items} {signal:?}: {:?}", it.behaviour)
        });
        let requests: Vec<_> = requests.collect();
        let last = requests.len().saturating_sub(20);
        let requests = requests.into_iter().skip(last);
        spans.chain(logs).chain(metrics).chain(requests).collect()
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let life = shared.state().life;
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { continue };
                let Ok(kept) = connection.try_clone() else {
                    continue;
                };
                let mut state = shared.state();
                if state.life != life {
                    return;
                }
                state.connections.push(kept);
                drop(state);
                let shared = Arc::clone(&shared);
                thread::spawn(move || wire::serve(connection, &shared, life));
            }
        });
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and says what to do with it.
    fn receive(&self, mut delivery: Delivery, records: records::Records) -> Behaviour {
        let mut state = self.state();
        delivery.behaviour = state.behaviour;
        let behaviour = delivery.behaviour;
        let rejected = match behaviour {
            Behaviour::Accept => 0,
            Behaviour::Partial(rejected) => rejected,
            Behaviour::Status(_) | Behaviour::Hang | Behaviour::Close | Behaviour::HalfAnswer => {
                delivery.items
            }
        };
        state.spans.extend(records.spans.into_iter().skip(rejected));
        state.logs.extend(records.logs.into_iter().skip(rejected));
        if rejected < delivery.items {
            for metric in records.metrics {
                state.metrics.retain(|known| known.name != metric.name);
                state.metrics.push(metric);
            }
        }
        state.deliveries.push(delivery);
        drop(state);
        self.changed.notify_all();
        behaviour
    }

    /// Waits for as long as it hangs.
    fn hang(&self, life: usize) {
        let state = self.state();
        let hangs = |state: &mut State| state.life == life && state.behaviour == Behaviour::Hang;
        let waited = self.changed.wait_while(state, hangs);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
