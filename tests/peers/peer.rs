//! A peer: a program found, configured in a folder of its own, started on free
//! ports, and killed in the end.

use std::{
    env, fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, PATIENCE, Response};

/// A program that others wrote, and how to get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    name: &'static str,
    variable: &'static str,
    how_to_get: &'static str,
}

/// One that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    command: Command,
    folder: TempDir,
    /// Where it is ready when it answers with 200.
    health: (SocketAddr, &'static str),
}

pub(crate) const JAEGER: Program = Program {
    name: "jaeger",
    variable: "TASKPULSE_JAEGER",
    how_to_get: "https://www.jaegertracing.io/download/ (version 2)",
};

pub(crate) const OTELCOL: Program = Program {
    name: "otelcol",
    variable: "TASKPULSE_OTELCOL",
    how_to_get: "https://github.com/open-telemetry/opentelemetry-collector-releases (otelcol-contrib)",
};

pub(crate) const PROMETHEUS: Program = Program {
    name: "prometheus",
    variable: "TASKPULSE_PROMETHEUS",
    how_to_get: "https://prometheus.io/download/ (version 3)",
};

pub(crate) const PROMTOOL: Program = Program {
    name: "promtool",
    variable: "TASKPULSE_PROMTOOL",
    how_to_get: "https://prometheus.io/download/ (version 3)",
};

/// Whether all of these are here. Says how to get those that are not.
pub(crate) fn are_here(programs: &[Program]) -> bool {
    let missing = programs.iter().filter(|program| program.find().is_none());
    let missing: Vec<_> = missing.map(|program| program.hint()).collect();
    let required = env::var("TASKPULSE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(missing.is_empty() || !required, "{}", missing.join("\n"));
    for hint in &missing {
        // Past the test's captured output, so that the person sees it.
        writeln!(std::io::stderr(), "skipped: {hint}").unwrap_or_default();
    }
    missing.is_empty()
}

/// An address of this machine that nobody listens on at the moment.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    Client::connect(address).request("GET", path, "", "")
}

/// A text as a part of a query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

// === impl Program ===

impl Program {
    /// Where it is, if it is here.
    pub(crate) fn find(self) -> Option<PathBuf> {
        if let Some(named) = env::var_os(self.variable) {
            return Some(PathBuf::from(named)).filter(|path| path.is_file());
        }
        let path = env::var_os("PATH")?;
        env::split_paths(&path)
            .map(|folder| folder.join(self.name))
            .find(|path| path.is_file())
    }

    fn hint(self) -> String {
        let Self {
            name,
            variable,
            how_to_get,
        } = self;
        format!("`{name}` is not on PATH, nor named by {variable}; get it from {how_to_get}")
    }

    /// Starts it with its configuration in a file, whose path takes the place of
    /// `{config}` in the arguments, as its folder does of `{folder}`.
    pub(crate) fn start(
        self,
        config: &str,
        arguments: &[&str],
        health: (SocketAddr, &'static str),
    ) -> Peer {
        self.start_with(config, arguments, &[], health)
    }

    /// The same with variables of its environment.
    pub(crate) fn start_with(
        self,
        config: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
        health: (SocketAddr, &'static str),
    ) -> Peer {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        fs::write(&file, config).expect("a file");
        let mut command = Command::new(self.find().expect("asked for before"));
        for argument in arguments {
            let argument = argument.replace("{config}", &file.display().to_string());
            command.arg(argument.replace("{folder}", &folder.path().display().to_string()));
        }
        // Jaeger would trace itself to its default port.
        command.env("OTEL_TRACES_SAMPLER", "always_off");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(folder.path());
        let mut peer = Peer {
            child: spawn(&mut command, folder.path()),
            command,
            folder,
            health,
        };
        peer.await_ready();
        peer
    }
}

fn spawn(command: &mut Command, folder: &Path) -> Child {
    let said = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("said"))
        .expect("a file");
    command
        .stdout(said.try_clone().expect("a second handle"))
        .stderr(said)
        .stdin(Stdio::null());
    command.spawn().expect("it is there")
}

// === impl Peer ===

impl Peer {
    /// Everything it has printed.
    pub(crate) fn said(&self) -> String {
        let bytes = fs::read(self.folder.path().join("said")).expect("a file");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("it is our child");
    }

    /// Starts it again as it was.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&mut self.command, self.folder.path());
        self.await_ready();
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let (address, path) = self.health;
        loop {
            // A request may fail while it starts, which `get` would not take.
            if TcpStream::connect(address).is_ok() && get(address, path).status == 200 {
                return;
            }
            let ended = self.child.try_wait().expect("it is our child");
            let late = Instant::now() > deadline;
            assert!(
                !late && ended.is_none(),
                "{:?} is not ready ({ended:?}): {}",
                self.command,
                self.said()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running Jaeger, spans in memory.
#[derive(Debug)]
pub(crate) struct Jaeger {
    pub(crate) otlp: SocketAddr,
    query: SocketAddr,
    peer: Peer,
}

// === impl Jaeger ===

impl Jaeger {
    pub(crate) fn start() -> Self {
        let [otlp, query, query_grpc, health] = [(); 4].map(|()| free_address());
        let config = format!(
            "\
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
extensions:
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: 100000}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: \"{query}\"}}
    grpc: {{endpoint: \"{query_grpc}\"}}
  healthcheckv2:
    use_v2: true
    http: {{endpoint: \"{health}\"}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: \"{otlp}\"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"
        );
        Self::configured(&config, otlp, query, health)
    }

    /// One whose configuration says these addresses.
    pub(crate) fn configured(
        config: &str,
        otlp: SocketAddr,
        query: SocketAddr,
        health: SocketAddr,
    ) -> Self {
        Self {
            otlp,
            query,
            peer: JAEGER.start(config, &["--config", "{config}"], (health, "/status")),
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.peer.kill();
    }

    /// Starts it again, its spans gone.
    pub(crate) fn restart(&mut self) {
        self.peer.restart();
    }

    /// What the query API answers.
    pub(crate) fn get(&self, path: &str) -> Response {
        get(self.query, path)
    }

    /// The query API's answer: an array of traces.
    pub(crate) fn traces(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path).json();
        answer["data"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn trace(&self, id: &str) -> Option<Value> {
        self.traces(&format!("/api/traces/{id}")).pop()
    }

    /// A trace with the times that it was sent. For people, Jaeger moves a short span that
    /// outlives the one it is in: it takes that for clocks which differ.
    pub(crate) fn sent_trace(&self, id: &str) -> Option<Value> {
        self.traces(&format!("/api/traces/{id}?raw=true")).pop()
    }
}
