//! The command line: what it says, how it ends, and what each flag does.

mod first_lines;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use serde_json::{Value, json};
use taskpulse::{App, Error};

use crate::harness::{BINARY, Client, PATIENCE, Process, Response, eventually};

/// What a run to the end has left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    stderr: String,
}

/// Runs the binary to its end, which must come.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("it is our child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it can be killed");
            panic!("it does not end: {arguments:?}, {variables:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it has ended");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// One line on standard error that has all these words, and this exit code.
    #[track_caller]
    pub(crate) fn complains(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(self.stderr.ends_with('\n'), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// Per flag: values that are wrong, and what is said to be allowed.
const WRONG: [(&str, &[&str], &str); 16] = [
    (
        "port",
        &["x", "65536", "-1", "", "80.5"],
        "an integer from 0 to 65535",
    ),
    ("host", &[""], "an address or a name"),
    ("max-active", &["0", "-1", "many", ""], "an integer from 1"),
    ("max-age", &["0s", "10", "-1s"], "a time above 0"),
    (
        "checkpoints",
        &["on", "99ms", "5", "0s"],
        "a time from 100ms",
    ),
    ("drain", &["10", "-1s", "soon", ""], "a time such as `10s`"),
    (
        "admin-addr",
        &[
            "9090",
            ":9090",
            "localhost",
            "127.0.0.1:",
            "127.0.0.1:65536",
        ],
        "such as `127.0.0.1:9090`",
    ),
    (
        "body-limit",
        &["lots", "-5", "10QB", ""],
        "a size such as `100MB`",
    ),
    ("busy-while-invoking", &["maybe"], "`on` or `off`"),
    ("history", &["-1", "all", "1.5"], "an integer from 0"),
    ("store", &[""], "a path such as `tasks.db`, or `memory`"),
    ("history-age", &["0s", "7", "-1d", ""], "a time above 0"),
    ("debug-actions", &["maybe"], "`on` or `off`"),
    ("log-format", &["xml", ""], "`pretty` or `json`"),
    (
        "jaeger-url",
        &["localhost:16686", "ftp://jaeger", "http://jaeger/?a=b", ""],
        "an http:// or https:// URL",
    ),
    ("grafana-url", &["grafana"], "an http:// or https:// URL"),
];

fn variable(flag: &str) -> String {
    format!("TASKPULSE_{}", flag.to_uppercase().replace('-', "_"))
}

#[test]
fn a_wrong_value_is_told_what_is_allowed() {
    for (flag, values, allowed) in WRONG {
        for value in values {
            let quoted = format!("`{value}`");
            let argument = format!("--{flag}={value}");
            let said = [&format!("--{flag} is"), quoted.as_str(), allowed];
            run(&[&argument], &[]).complains(2, &said);
            run(&["serve", &argument], &[]).complains(2, &said);
            // An empty variable is one that is not set.
            if value.is_empty() {
                continue;
            }
            let variable = variable(flag);
            let said = [&format!("{variable} is"), quoted.as_str(), allowed];
            run(&[], &[(&variable, value)]).complains(2, &said);
        }
    }
    // In two words, too, and a minus is not taken for a flag.
    run(&["--max-active", "-1"], &[]).complains(2, &["--max-active is `-1`"]);
    run(&["--port", "x\ny"], &[]).complains(2, &["--port is `x\\ny`"]);
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let empty = [("TASKPULSE_MAX_ACTIVE", ""), ("TASKPULSE_DRAIN", "")];
    let agent = Process::spawn_with(&[], &empty);
    assert_eq!(agent.get("/ping").status, 200);
}

#[test]
fn a_wrong_command_line_is_one_line() {
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--prot", "1"], &["'--prot'", "'--port'", "--help"]),
        (&["nonsense"], &["'nonsense'", "--help"]),
        (&["--port"], &["--port", "value is required", "--help"]),
        (
            &["--port", "1", "--port", "2"],
            &["--port", "multiple times"],
        ),
        (&["ping", "now"], &["'now'", "--help"]),
        (
            &["ping", "--url", "ftp://x"],
            &["--url", "`ftp://x`", "http://"],
        ),
        (&["--debug-actions", "on"], &["'on'", "--debug-actions"]),
    ];
    for (arguments, words) in cases {
        run(arguments, &[]).complains(2, words);
    }
}

#[test]
fn the_help_tells_every_flag_and_its_variable() {
    let help = run(&["--help"], &[]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    let words: Vec<_> = help.stdout.split_whitespace().collect();
    let text = words.join(" ");
    let mut at = Vec::new();
    for (flag, default) in [
        ("port <PORT>", "8080"),
        ("host <HOST>", "127.0.0.1, in a container 0.0.0.0"),
        ("max-active <TASKS>", "no limit"),
        ("drain <TIME>", "10s"),
        ("admin-addr <HOST:PORT>", "shares the port"),
        ("body-limit <SIZE>", "100MB"),
        ("busy-while-invoking[=<on|off>]", "off"),
        ("history <TASKS>", "1000"),
        ("debug-actions[=<on|off>]", "off"),
        ("log-format <FORMAT>", "pretty on a terminal, else json"),
        (
            "redact-keys <WORDS>",
            "password, passwd, secret, token, authorization, cookie, credential, apikey, api key, private key",
        ),
    ] {
        let start = text.find(&format!(" --{flag} ")).expect(flag);
        let name = flag.split([' ', '[']).next().unwrap();
        let rest = format!("[default: {default}] [env: {}]", variable(name));
        let told = text[start..].find(&rest).expect(flag);
        let next = text[start + 3..].find(" --").unwrap_or(usize::MAX);
        assert!(told < next, "{rest} is another flag's");
        at.push(start);
    }
    let first = text
        .find("Options: --port ")
        .expect("the heading of the first");
    assert!(first < at[0] && at[..4].is_sorted(), "{}", help.stdout);
    assert!(
        at[4..].iter().all(|later| at[3] < *later),
        "{}",
        help.stdout
    );
    assert_eq!(text.matches("Options:").count(), 1, "{}", help.stdout);
    for command in ["serve", "ping", "traffic"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")));
        assert_eq!(run(&[command, "--help"], &[]).code, Some(0));
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = run(&["--version"], &[]);
    let line = concat!("taskpulse ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((version.code, version.stdout.as_str()), (Some(0), line));
}

#[test]
fn a_port_in_use_says_what_to_do() {
    let agent = Process::spawn(&[]);
    let port = agent.address.port().to_string();
    let arguments = ["--host", "127.0.0.1", "--port", &port];
    let taken = format!("127.0.0.1:{port} is already in use");
    run(&arguments, &[]).complains(1, &[&taken, "--port", "TASKPULSE_PORT"]);
    let nowhere = ["--host", "no-such-host.invalid", "--port", "0"];
    run(&nowhere, &[]).complains(1, &["cannot listen on no-such-host.invalid:0"]);
}

#[test]
fn ping_asks_how_it_is() {
    let agent = Process::spawn(&[]);
    let url = format!("http://{}", agent.address);
    let port = agent.address.port().to_string();
    let asked = run(&["ping", "--url", &url], &[]);
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(0), "Healthy\n"));
    agent.invoke(&json!({"action": "process", "seconds": 60}));
    for asked in [
        run(&["ping", "--url", &format!("{url}/")], &[]),
        run(&["ping", "--url", &format!("{url}/ping")], &[]),
        run(&["ping"], &[("TASKPULSE_PORT", &port)]),
    ] {
        assert_eq!(
            (asked.code, asked.stdout.as_str()),
            (Some(0), "HealthyBusy\n")
        );
    }
    // A proxy for everything else has no say in this.
    let proxy = [
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    assert_eq!(run(&["ping", "--url", &url], &proxy).code, Some(0));
    let elsewhere = format!("{url}/elsewhere");
    run(&["ping", "--url", &elsewhere], &[]).complains(1, &["404"]);

    // A port of ours at which nobody listens.
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&silent, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address: SocketAddr = getsockname(&silent).unwrap().try_into().unwrap();
    let url = format!("http://{address}");
    run(&["ping", "--url", &url], &[]).complains(1, &[&url, "refused"]);
}

#[test]
fn the_admin_address_has_what_is_the_operators() {
    let agent = Process::spawn(&["--admin-addr", "127.0.0.1:0"]);
    let first = &agent.log()[0];
    let admin: SocketAddr = first["admin_address"].as_str().unwrap().parse().unwrap();
    let ask = |address, method, path, body: &str| -> Response {
        Client::connect(address).request(method, path, "", body)
    };
    for path in ["/ready", "/tasks"] {
        assert_eq!(ask(admin, "GET", path, "").status, 200, "{path}");
        let here = agent.get(path);
        assert_eq!(here.status, 404, "{path}");
        assert_eq!(here.error(), "Not Found");
    }
    let begun = agent
        .invoke(&json!({"action": "process", "seconds": 60}))
        .json();
    let task = format!("/tasks/{}", begun["task_id"]);
    assert_eq!(ask(admin, "GET", &task, "").json()["state"], "running");
    assert_eq!(agent.get(&task).status, 404);
    assert_eq!(ask(admin, "POST", "/invocations", "{}").status, 404);
    assert_eq!(ask(admin, "GET", "/ping", "").body, agent.get("/ping").body);
}

#[test]
fn no_more_tasks_than_allowed() {
    for agent in [
        Process::spawn(&["--max-active", "2"]),
        Process::spawn_with(&[], &[("TASKPULSE_MAX_ACTIVE", "2")]),
        // What is typed wins over what is set.
        Process::spawn_with(&["--max-active", "2"], &[("TASKPULSE_MAX_ACTIVE", "9")]),
    ] {
        let begin = || agent.invoke(&json!({"action": "process", "seconds": 60}));
        assert_eq!([begin().status, begin().status], [200, 200]);
        let refused = begin();
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), Some("1"));
        let error = "as many tasks are active as may be (2); try again when one has ended";
        assert_eq!(refused.error(), error);
        assert_eq!(
            agent.invoke(&json!({"action": "status"})).json()["active_tasks"],
            2
        );
    }
}

#[test]
fn an_invocation_in_flight_is_busy_if_asked_for() {
    let status = |agent: &Process| agent.get("/ping").json()["status"].clone();
    for (arguments, while_invoking) in [
        (&["--busy-while-invoking"][..], "HealthyBusy"),
        (&["--busy-while-invoking=on"], "HealthyBusy"),
        (&["--busy-while-invoking=off"], "Healthy"),
        (&[], "Healthy"),
    ] {
        let agent = Process::spawn(arguments);
        let mut client = agent.client();
        client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        // It has been taken up: the server asks for its body.
        assert_eq!(client.head().status, 100);
        assert_eq!(status(&agent), while_invoking, "{arguments:?}");
        assert_eq!(client.send("{}").response().status, 200);
        eventually("healthy afterwards", || status(&agent) == "Healthy");
    }
}

#[test]
fn debug_actions_are_obeyed_if_asked_for() {
    let force = json!({"_agent_core_app_action": "force_busy"});
    let on = Process::spawn(&["--debug-actions"]);
    assert_eq!(
        on.invoke(&force).json(),
        json!({"forced_status": "HealthyBusy"})
    );
    assert_eq!(on.get("/ping").json()["status"], "HealthyBusy");
    let off = Process::spawn(&[]);
    let answer = off.invoke(&force).json();
    assert_eq!(answer["message"], "Simple BedrockAgentCore Agent");
    assert_eq!(off.get("/ping").json()["status"], "Healthy");
}

#[test]
fn as_many_ended_tasks_are_remembered_as_asked_for() {
    let agent = Process::spawn(&["--history", "5"]);
    let begin = || agent.invoke(&json!({"action": "process", "seconds": 0}));
    let ids: Vec<Value> = (0..12).map(|_| begin().json()["task_id"].clone()).collect();
    eventually("all have ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let page = agent.get("/tasks").json();
    assert_eq!(page["tasks"].as_array().unwrap().len(), 5);
    assert_eq!(agent.get(&format!("/tasks/{}", ids[0])).status, 404);
}

#[tokio::test]
async fn run_inside_a_runtime_names_what_to_use() {
    let error = App::new().run().unwrap_err();
    assert!(matches!(error, Error::InsideRuntime));
    assert!(error.to_string().contains("App::serve"), "{error}");
    assert_eq!(error.exit_code(), 2);
}
