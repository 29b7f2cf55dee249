//! Everything that `docker compose up` starts, Grafana left out, on free ports
//! and with the configuration that is shipped.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{ask, run::Visit, shipped};
use crate::{
    harness::{Process, eventually},
    peer::{Jaeger, OTELCOL, PROMETHEUS, Peer, free_address},
};

/// Seconds between scrapes, evaluations and pushes: what takes minutes in
/// production takes a minute here.
pub(crate) const SCRAPE: f64 = 1.0;

/// The running site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) jaeger: Jaeger,
    pub(crate) collector: Peer,
    pub(crate) taskpulse: Process,
    pub(crate) demo: Process,
    /// Where Prometheus answers.
    pub(crate) prometheus: SocketAddr,
    _prometheus: Peer,
    ports: Ports,
    /// Holds the rules, and the stores of both instances.
    folder: TempDir,
}

// === impl Site ===

impl Site {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let jaeger = jaeger();
        let [otlp, pushed, health, own] = [(); 4].map(|()| free_address());
        let ports = Ports {
            jaeger: jaeger.otlp,
            otlp,
            pushed,
            health,
            own,
        };
        let collector = collector(ports, &[]);
        let stores = ["taskpulse", "demo"].map(|service| stored(&folder, service));
        let taskpulse = agent("taskpulse", otlp, free_address(), &[(STORE, &stores[0])]);
        let demo = agent("demo", otlp, free_address(), &[(STORE, &stores[1])]);
        let listen = free_address();
        let targets = [
            ("taskpulse:8080", taskpulse.address),
            ("demo:8080", demo.address),
            ("otel-collector:9464", pushed),
            ("otel-collector:8888", own),
            ("localhost:9090", listen),
        ];
        let prometheus = prometheus(&folder, listen, &targets);
        Self {
            jaeger,
            collector,
            taskpulse,
            demo,
            prometheus: listen,
            _prometheus: prometheus,
            ports,
            folder,
        }
    }

    /// Kills the second instance and starts it again, at its address.
    pub(crate) fn restart_demo(&mut self, variables: &[(&str, &str)]) {
        let address = self.demo.address;
        self.demo.signal(Signal::KILL);
        self.demo.wait();
        let store = stored(&self.folder, "demo");
        let variables = [variables, &[(STORE, &store)]].concat();
        self.demo = agent("demo", self.ports.otlp, address, &variables);
    }

    /// Puts a program of this test in the place of the second instance.
    pub(crate) fn replace_demo(&mut self, test: &str, variables: &[(&str, &str)]) {
        let address = self.demo.address;
        self.demo.signal(Signal::KILL);
        self.demo.wait();
        let store = stored(&self.folder, "demo");
        let variables = [variables, &[(STORE, &store)]].concat();
        let variables = environment("demo", self.ports.otlp, address, &variables);
        self.demo = Process::spawn_test(test, &borrowed(&variables));
    }

    /// Takes the second instance's store away from under it.
    pub(crate) fn remove_store(&self) {
        fs::remove_file(stored(&self.folder, "demo")).expect("it is there");
    }

    /// Starts a collector that was killed again, with other times and sizes.
    pub(crate) fn restart_collector(&mut self, replaced: &[(&str, String)]) {
        self.collector = collector(self.ports, replaced);
    }

    /// Where the collector takes OTLP over HTTP.
    pub(crate) fn otlp(&self) -> SocketAddr {
        self.ports.otlp
    }

    /// Where the collector tells of itself.
    pub(crate) fn collector_metrics(&self) -> SocketAddr {
        self.ports.own
    }

    /// A look at dashboards, now.
    pub(crate) fn visit(&self, job: &str) -> Visit {
        let mut sources = shipped::sources("prometheus");
        sources.extend(shipped::sources("jaeger"));
        Visit {
            prometheus: self.prometheus,
            now: now(),
            scrape: SCRAPE,
            sources,
            choices: vec![("job".to_owned(), job.to_owned())],
            several: None,
        }
    }

    /// Waits until every target has been scraped, the first time and `more`
    /// times again, since now.
    pub(crate) fn await_scrapes(&self, more: u32) {
        let after = f64::from(more).mul_add(SCRAPE, now());
        let count = |query: &str| ask::instant(self.prometheus, query, now()).sum();
        eventually("every target has been scraped", || {
            let fresh = count(&format!("count(timestamp(up) > {after})"));
            fresh > 0.0 && fresh >= count("count(up)")
        });
    }
}

/// Where an instance writes its tasks.
const STORE: &str = "TASKPULSE_STORE";

fn stored(folder: &TempDir, service: &str) -> String {
    let file = folder.path().join(service).with_extension("db");
    file.display().to_string()
}

/// Unix seconds.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

fn jaeger() -> Jaeger {
    let [grpc, query, query_grpc, health] = [(); 4].map(|()| free_address());
    let replaced = [
        (4317, grpc),
        (16686, query),
        (16685, query_grpc),
        (13133, health),
    ];
    let replaced = replaced.map(|(port, address)| {
        let shipped = format!("${{env:JAEGER_LISTEN_HOST:-0.0.0.0}}:{port}");
        (shipped, address.to_string())
    });
    let replaced: Vec<_> = replaced
        .iter()
        .map(|(from, to)| (&**from, to.clone()))
        .collect();
    let config = shipped::with("dashboards/jaeger.yaml", &replaced);
    Jaeger::configured(&config, grpc, query, health)
}

/// The addresses of the collector.
#[derive(Clone, Copy, Debug)]
struct Ports {
    jaeger: SocketAddr,
    otlp: SocketAddr,
    /// Where the pushed metrics are.
    pushed: SocketAddr,
    health: SocketAddr,
    /// Where its own metrics are.
    own: SocketAddr,
}

/// The collector. Of its configuration nothing is replaced but what is named.
fn collector(ports: Ports, replaced: &[(&str, String)]) -> Peer {
    let config = shipped::with("dashboards/collector.yaml", replaced);
    let port = |address: SocketAddr| address.port().to_string();
    let variables = [
        ("COLLECTOR_LISTEN_HOST", "127.0.0.1".to_owned()),
        ("COLLECTOR_GRPC_PORT", port(free_address())),
        ("COLLECTOR_HTTP_PORT", port(ports.otlp)),
        ("COLLECTOR_PROMETHEUS_PORT", port(ports.pushed)),
        ("COLLECTOR_HEALTH_PORT", port(ports.health)),
        ("COLLECTOR_METRICS_PORT", port(ports.own)),
        ("COLLECTOR_JAEGER", ports.jaeger.to_string()),
    ];
    let arguments = ["--config", "{config}"];
    OTELCOL.start_with(&config, &arguments, &variables, (ports.health, "/"))
}

/// An instance of taskpulse, as compose starts it.
fn agent(service: &str, otlp: SocketAddr, address: SocketAddr, more: &[(&str, &str)]) -> Process {
    let variables = environment(service, otlp, address, more);
    Process::spawn_with(&[], &borrowed(&variables))
}

/// Compose's variables, with addresses and times of this run, and these.
fn environment(
    service: &str,
    otlp: SocketAddr,
    address: SocketAddr,
    more: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let mut variables = shipped::environment(service);
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{otlp}"));
    let often = (SCRAPE * 1_000.0).to_string();
    set("OTEL_METRIC_EXPORT_INTERVAL", often);
    set("TASKPULSE_HOST", "127.0.0.1".to_owned());
    set("TASKPULSE_PORT", address.port().to_string());
    for (name, value) in more {
        set(name, (*value).to_owned());
    }
    variables
}

fn borrowed(variables: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let pairs = variables.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn prometheus(folder: &TempDir, listen: SocketAddr, targets: &[(&str, SocketAddr)]) -> Peer {
    let interval = format!("{SCRAPE}s");
    let file = folder.path().join("rules.yml");
    fs::write(&file, shipped::rules(&interval)).expect("a file can be written");

    let mut replaced: Vec<(&str, String)> = targets
        .iter()
        .map(|(shipped, address)| (*shipped, address.to_string()))
        .collect();
    replaced.push(("rules.yml", file.display().to_string()));
    replaced.push(("5s", interval.clone()));
    replaced.push(("4s", interval));
    let config = shipped::with("dashboards/prometheus/prometheus.yml", &replaced);
    let address = format!("--web.listen-address={listen}");
    let arguments = [
        "--config.file={config}",
        "--storage.tsdb.path={folder}/data",
        &address,
    ];
    PROMETHEUS.start(&config, &arguments, (listen, "/-/ready"))
}
