//! An app in a process of its own, for what only `App::run` does: it reads
//! variables and prints a log.
//!
//! The process is this test binary, asked for its one test below.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{self, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::Value;
use taskpulse::{App, Error, PingStatus, TaskLimits};

use super::routing::echo;
use crate::harness::{Client, PATIENCE};

/// The variable that names the app.
const ASKED: &str = "CONTRACT_CHILD";

/// An app with debug actions on. Killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<Value>>>,
}

fn app(name: &str) -> App {
    match name {
        "echo" => echo(),
        "no_entrypoint" => App::new(),
        "failing_ping" => echo().ping(|| Err::<PingStatus, _>("no idea")),
        "two_entrypoints" => echo().entrypoint(|| async {}),
        "silent" => silent(),
        "string_ping" => echo().ping(|| "Sick"),
        _ => panic!("there is no app {name}"),
    }
}

/// One that logs a line inside a task, which then does nothing.
fn silent() -> App {
    let limits = TaskLimits::new().stall_after(Duration::from_millis(200));
    echo().task_limits("import", limits).on_start(|tasks| {
        let id = tasks.add_async_task("import", ()).expect("there is room");
        tasks.in_scope(id, || tracing::info!("page 4 of 10"));
    })
}

/// No test of its own: serves where [`Child::spawn`] has asked for it.
#[test]
fn serves_when_asked() -> Result<(), Error> {
    env::var(ASKED).map_or(Ok(()), |name| app(&name).run())
}

/// What asks this test binary for an app on this port of 127.0.0.1.
fn command(app: &str, port: &str) -> Command {
    let test = format!("{}::serves_when_asked", module_path!());
    let (_crate, test) = test.split_once("::").expect("a path has a crate");
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ASKED, app)
        .env("TASKPULSE_HOST", "127.0.0.1")
        .env("TASKPULSE_PORT", port)
        .env("TASKPULSE_DEBUG_ACTIONS", "on")
        .env_remove("RUST_LOG");
    command
}

/// What an app that does not start prints.
pub(super) fn complaint(app: &str, port: u16) -> String {
    let output = command(app, &port.to_string()).output().unwrap();
    assert!(!output.status.success(), "it starts");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

// === impl Child ===

impl Child {
    pub(super) fn spawn(app: &str) -> Self {
        let mut process = command(app, "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test binary starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&lines);
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test runner says what it runs, in part on the same line.
                let json = line.find('{').map_or("", |at| &line[at..]);
                let Ok(line) = serde_json::from_str::<Value>(json) else {
                    continue;
                };
                if line["message"] == "listening" {
                    let address = line["address"].as_str().unwrap().parse().unwrap();
                    found.send(address).unwrap_or_default();
                }
                keep.lock().unwrap().push(line);
            }
        });
        Self {
            address: address.recv_timeout(PATIENCE).expect("it listens"),
            process,
            lines,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The lines of the log that say this.
    pub(super) fn log_of(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let said = lines.iter().filter(|line| line["message"] == message);
        said.cloned().collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().unwrap_or_default();
        self.process.wait().expect("it is our child");
    }
}
