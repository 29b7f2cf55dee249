//! A hundred clients at once, the good and the bad, for a few seconds.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Client, Process, eventually};

const CLIENTS: usize = 100;
const TIME: Duration = Duration::from_secs(3);

/// What clients send, and the status that they get.
const REQUESTS: [(&str, &str, u16); 12] = [
    ("GET /ping", "", 200),
    ("POST /invocations", r#"{"action": "status"}"#, 200),
    (
        "POST /invocations",
        r#"{"action": "cleanup", "seconds": 0}"#,
        200,
    ),
    (
        "POST /invocations",
        r#"{"action": "process", "seconds": 0, "outcome": "failed"}"#,
        200,
    ),
    ("GET /tasks?limit=5", "", 200),
    ("POST /invocations", "{not json", 400),
    ("POST /invocations", "[1, 2]", 400),
    (
        "POST /invocations",
        r#"{"action": "process", "seconds": -1}"#,
        400,
    ),
    ("GET /nowhere", "", 404),
    ("GET /tasks/1", "", 404),
    ("DELETE /ping", "", 405),
    ("GET /invocations", "", 405),
];

/// What is sent before hanging up.
const RUDE: [&str; 6] = [
    "",
    "GET /pi",
    "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf",
    "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    "GET /ping HTTP/9.9\r\n\r\n",
    "POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
];

fn polite(client: &mut Client, turn: usize) {
    let (line, body, status) = REQUESTS[turn % REQUESTS.len()];
    let (method, path) = line.split_once(' ').unwrap();
    let answer = client.request(method, path, "", body);
    assert_eq!(answer.status, status, "{line} {body}: {}", answer.text());
}

#[test]
fn nothing_fails_and_the_timestamp_stays() {
    let agent = Process::spawn(&[]);
    let busy = agent.invoke(&json!({"action": "process", "seconds": 600}));
    assert_eq!(busy.status, 200);
    let ping = agent.get("/ping").json();
    assert_eq!(ping["status"], "HealthyBusy");

    let end = Instant::now() + TIME;
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (agent, answered, ping) = (&agent, &answered, &ping);
            scope.spawn(move || {
                let mut client = agent.client();
                for turn in number.. {
                    if Instant::now() >= end {
                        return;
                    }
                    polite(&mut client, turn);
                    if turn % 5 == 0 {
                        agent.client().send(RUDE[turn / 5 % RUDE.len()]);
                    }
                    // Tasks begin and end all the time; it is busy throughout.
                    let now = client.request("GET", "/ping", "", "").json();
                    assert_eq!(now, *ping);
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let answered = answered.into_inner();
    assert!(
        answered >= CLIENTS * REQUESTS.len(),
        "only {answered} rounds"
    );
    eventually("all but the first have ended", || {
        let status = agent.invoke(&json!({"action": "status"})).json();
        status["active_tasks"] == 1
    });
    assert_eq!(agent.get("/ping").json(), ping);
    let panicked = |message: &String| message.contains("panicked");
    assert!(!agent.messages().iter().any(panicked));
}
