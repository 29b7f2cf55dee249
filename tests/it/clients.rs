//! Clients that other people wrote and use: curl, Python's requests and
//! websockets, Node's fetch. Each makes the same calls and must see the same.
//!
//! A client that is not installed is skipped, and the output says so;
//! `TASKPULSE_REQUIRE_PEERS=1` makes that a failure.

use std::{env, io::Write as _, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{examples, harness::Process};

/// The two programs that the clients talk to, and their URLs.
struct Agents {
    agent: Process,
    echo: Process,
}

impl Agents {
    fn start() -> Self {
        Self {
            agent: Process::spawn(&[]),
            echo: Process::start(&examples::binary("websocket"), &[], &[]),
        }
    }

    fn http(&self) -> String {
        format!("http://{}", self.agent.address)
    }

    fn ws(&self) -> String {
        format!("ws://{}/ws", self.echo.address)
    }
}

/// Runs a client; panics with what it said if it fails.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}{complaint}",
        output.status
    );
    said
}

/// Whether a client can be run. Says how to get it where it cannot.
pub(crate) fn is_here(probe: &mut Command, how_to_get: &str) -> bool {
    let here = probe.output().is_ok_and(|output| output.status.success());
    let required = env::var("TASKPULSE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    let missing = format!("{probe:?} does not run; get it with: {how_to_get}");
    assert!(here || !required, "{missing}");
    if !here {
        // Past the test's captured output, so that the person sees it.
        writeln!(std::io::stderr(), "skipped: {missing}").unwrap_or_default();
    }
    here
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/clients")
        .join(name)
}

/// What every client must have seen.
#[track_caller]
fn check(seen: &Value, agents: &Agents) {
    let ping = &seen["ping"];
    assert_eq!(ping["status"], 200, "{seen:#}");
    assert_eq!(ping["json"]["status"], "Healthy", "{seen:#}");
    assert!(ping["json"]["time_of_last_update"].is_u64(), "{seen:#}");

    let invocation = &seen["invocation"];
    assert_eq!(invocation["status"], 200, "{seen:#}");
    assert_eq!(invocation["json"]["message"], "Started cleanup", "{seen:#}");
    let id = &invocation["json"]["task_id"];
    let known = agents.agent.get(&format!("/tasks/{id}")).json();
    assert_eq!(known["name"], "cleanup", "the id came through whole: {id}");

    let items = seen["stream"].as_array().expect("items");
    let states: Vec<_> = items.iter().map(|item| &item["state"]).collect();
    assert_eq!(states.first(), Some(&&json!("running")), "{seen:#}");
    assert_eq!(states.last(), Some(&&json!("succeeded")), "{seen:#}");

    assert_eq!(seen["not_json"]["status"], 400, "{seen:#}");
    assert_eq!(
        seen["not_json"]["json"]["error"], "Invalid JSON",
        "{seen:#}"
    );
    assert_eq!(seen["not_found"]["status"], 404, "{seen:#}");
    assert_eq!(seen["not_found"]["json"], json!({"error": "Not Found"}));
}

#[test]
fn curl() {
    if !is_here(
        Command::new("curl").arg("--version"),
        "apt-get install curl",
    ) {
        return;
    }
    let agents = Agents::start();
    let url = agents.http();
    let curl = |path: &str, arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", "-w", "\n%{http_code}"]);
        let said = run(command.args(arguments).arg(format!("{url}{path}")));
        let (body, status) = said.rsplit_once('\n').expect("a status at the end");
        (body.to_owned(), status.parse::<u16>().expect("a number"))
    };
    let answer = |path: &str, arguments: &[&str]| {
        let (body, status) = curl(path, arguments);
        let body: Value = serde_json::from_str(&body).expect(&body);
        json!({ "status": status, "json": body })
    };
    let post = |payload: &str| answer("/invocations", &["-X", "POST", "-d", payload]);
    let asked = r#"{"action": "stream", "seconds": 1}"#;
    let (events, _) = curl("/invocations", &["-N", "-d", asked]);
    let items = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let items = items.map(|item| serde_json::from_str::<Value>(item).expect(item));
    let stream: Vec<_> = items.collect();
    let seen = json!({
        "ping": answer("/ping", &[]),
        "invocation": post(r#"{"action": "cleanup", "seconds": 0}"#),
        "stream": stream,
        "not_json": post("{"),
        "not_found": answer("/nothing", &[]),
    });
    check(&seen, &agents);
}

#[test]
fn python_requests_and_websockets() {
    let python = env::var("TASKPULSE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let hint = "python3 -m venv target/peers && target/peers/bin/pip install requests websockets, \
                then TASKPULSE_PYTHON=$PWD/target/peers/bin/python";
    let mut probe = Command::new(&python);
    if !is_here(probe.args(["-c", "import requests, websockets"]), hint) {
        return;
    }
    let agents = Agents::start();
    let said = run(Command::new(&python)
        .arg(script("peer.py"))
        .args([agents.http(), agents.ws()]));
    let seen = serde_json::from_str(&said).expect("JSON");
    check(&seen, &agents);
    assert_eq!(seen["echo"], json!(["höre", [0, 1, 255]]));
}

#[test]
fn node_fetch() {
    let mut probe = Command::new("node");
    if !is_here(
        probe.args(["-e", "fetch"]),
        "apt-get install nodejs (18 or later)",
    ) {
        return;
    }
    let agents = Agents::start();
    let said = run(Command::new("node")
        .arg(script("peer.mjs"))
        .arg(agents.http()));
    check(&serde_json::from_str(&said).expect("JSON"), &agents);
}
