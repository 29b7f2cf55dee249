//! The real binary.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Client, PATIENCE, Response};

/// The path of the binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_taskpulse");

/// `taskpulse`, listening on a free port of 127.0.0.1. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    lines: Arc<Mutex<Vec<Value>>>,
    /// The thread that reads the log.
    reading: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it with these arguments; its log is JSON lines.
    pub(crate) fn spawn(arguments: &[&str]) -> Self {
        Self::spawn_with(arguments, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn spawn_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start(Path::new(BINARY), arguments, variables)
    }

    /// Starts another program that says where it listens as ours does.
    pub(crate) fn start(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::read(command(program, arguments, variables), |line| {
            Some(as_json(line))
        })
    }

    /// Starts it with its log as people read it, of which only the address is
    /// kept.
    pub(crate) fn spawn_pretty(variables: &[(&str, &str)]) -> Self {
        let arguments = ["--log-format", "pretty"];
        Self::read(
            command(Path::new(BINARY), &arguments, variables),
            from_pretty,
        )
    }

    /// Starts a program; `parse` says which lines are of its log, and what.
    fn read(mut command: Command, parse: fn(&str) -> Option<Value>) -> Self {
        let program = command.get_program().to_owned();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::channel();
        let keep = Arc::clone(&lines);
        let reading = thread::spawn(move || {
            for line in whole_lines(output).filter_map(|line| parse(&line)) {
                let address = (line["message"] == "listening").then(|| line["address"].clone());
                // Kept first: whoever has the address may look for its line.
                keep.lock().unwrap().push(line);
                if let Some(address) = address {
                    found
                        .send(address.as_str().unwrap().parse().unwrap())
                        .unwrap_or_default();
                }
            }
        });
        Self {
            address: address
                .recv_timeout(PATIENCE)
                .expect("a line says where it listens"),
            child,
            lines,
            reading: Some(reading),
        }
    }

    /// The log so far, one object a line.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// The messages of the log so far.
    pub(crate) fn messages(&self) -> Vec<String> {
        let messages = self
            .log()
            .into_iter()
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned());
        messages.collect()
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.client().request("GET", path, "", "")
    }

    /// `POST /invocations`.
    pub(crate) fn invoke(&self, payload: &Value) -> Response {
        self.client()
            .request("POST", "/invocations", "", payload.to_string())
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a running process");
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it did not end; its log: {:#?}",
                self.messages()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it, reads its log as far as the address, and then no more. The
    /// log that is kept is empty.
    pub(crate) fn spawn_unread(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(Path::new(BINARY), arguments, variables)
            .spawn()
            .expect("the binary starts");
        let output = child.stdout.as_mut().expect("piped");
        // Byte by byte: nothing beyond that line leaves the pipe.
        let mut line = String::new();
        let mut output = BufReader::with_capacity(1, output);
        output.read_line(&mut line).expect("a line");
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        Self {
            address: line["address"].as_str().unwrap().parse().unwrap(),
            child,
            lines: Arc::default(),
            reading: None,
        }
    }

    /// Runs one test of this test binary as a program of its own, which finds
    /// these variables.
    pub(crate) fn spawn_test(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::read(test(name, variables), of_test)
    }
}

#[allow(
    dead_code,
    reason = "for the tests with peers, which have this harness, too"
)]
impl Process {
    /// Starts what [`spawn_test`](Self::spawn_test) starts, and kills it `after` so long,
    /// however far it is by then. Its log.
    pub(crate) fn spawn_doomed_test(
        name: &str,
        variables: &[(&str, &str)],
        after: Duration,
    ) -> Vec<Value> {
        let mut child = test(name, variables).spawn().expect("a program");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let lines = thread::spawn(move || {
            whole_lines(output)
                .filter_map(|line| of_test(&line))
                .collect()
        });
        thread::sleep(after);
        child.kill().expect("it can be killed");
        child.wait().expect("it is our child");
        lines.join().expect("lines")
    }

    /// Kills it as nothing else would, and waits for its end and for all of its log.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("it is our child");
        let reading = self.reading.take();
        reading
            .map(JoinHandle::join)
            .expect("its log is read")
            .expect("lines");
    }
}

/// What runs one test of this test binary.
fn test(name: &str, variables: &[(&str, &str)]) -> Command {
    let this = env::current_exe().expect("a path");
    command(&this, &["--exact", "--nocapture", name], variables)
}

/// The lines of an output, without one that was cut off by a kill.
fn whole_lines(mut output: impl BufRead) -> impl Iterator<Item = String> {
    std::iter::from_fn(move || {
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let line = line.strip_suffix('\n')?;
        read.is_ok().then(|| line.to_owned())
    })
}

/// A line of such a program's log. The test runner prints lines of its own.
fn of_test(line: &str) -> Option<Value> {
    line.starts_with('{').then(|| as_json(line))
}

/// A line of the log. A program without a log says plainly where it listens.
fn as_json(line: &str) -> Value {
    match line.strip_prefix("listening on http://") {
        Some(address) => json!({ "message": "listening", "address": address }),
        None => serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("no JSON line ({error}): {line}")),
    }
}

/// The line that says where it listens, written for people.
fn from_pretty(line: &str) -> Option<Value> {
    let after = line.split_once("listening")?.1;
    let address = after
        .split(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter))
        .find(|word| word.parse::<SocketAddr>().is_ok())?;
    Some(json!({ "message": "listening", "address": address }))
}

/// A program whose log comes through a pipe, on a free port.
fn command(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    // What the tests themselves run under must not export.
    for (name, _) in env::vars_os() {
        let telling = ["OTEL_", "AGENT_OBSERVABILITY_"];
        if telling
            .iter()
            .any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("TASKPULSE_HOST", "127.0.0.1")
        .env("TASKPULSE_PORT", "0")
        .env("RUST_BACKTRACE", "0")
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("it is our child");
    }
}
