//! How much a client may send, and how slowly.

use std::{
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde_json::json;
use taskpulse::App;

use crate::harness::{Client, Process, Server};

/// The limit of the processes here.
const LIMIT: usize = 65_536;

/// A server that answers how long a body is.
fn measuring() -> Server {
    Server::spawn(App::new().entrypoint(async |body: Bytes| body.len().to_string()))
}

/// An invocation of the example agent, of this many bytes.
fn padded(size: usize) -> String {
    let empty = json!({"action": "info", "padding": ""}).to_string();
    let padding = "x".repeat(size - empty.len());
    json!({"action": "info", "padding": padding}).to_string()
}

/// `body` as it is, or in two chunks.
fn post(body: &str, chunked: bool) -> String {
    let head = "POST /invocations HTTP/1.1\r\nHost: t\r\n";
    if !chunked {
        return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }
    let (first, second) = body.split_at(body.len() / 2);
    format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    )
}

#[track_caller]
fn assert_too_large(client: &mut Client) {
    let answer = client.response();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.error(), "Payload Too Large");
    assert_eq!(answer.json()["details"], "at most 65536 bytes are taken");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a_body_may_have_just_so_many_bytes() {
    let agent = Process::spawn(&["--body-limit", "64KiB"]);
    let mut other = agent.client();
    for chunked in [false, true] {
        let mut client = agent.client();
        let answer = client.send(post(&padded(LIMIT), chunked)).response();
        assert_eq!(answer.status, 200, "chunked: {chunked}: {}", answer.text());
        // The connection goes on, until one byte too many.
        client.send(post(&padded(LIMIT + 1), chunked));
        assert_too_large(&mut client);
        assert_eq!(other.request("GET", "/ping", "", "").status, 200);
        let answer = other.request("POST", "/invocations", "", "{}");
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn who_still_sends_can_read_why_it_is_too_much() {
    let agent = Process::spawn(&["--body-limit", "64KiB"]);
    let megabytes = "x".repeat(16_000_000);
    for chunked in [false, true] {
        let mut client = agent.client();
        // Other systems than ours lose the answer if what is sent is refused.
        let sent = client
            .stream()
            .write_all(post(&megabytes, chunked).as_bytes());
        sent.expect("what is too much is taken, and let go");
        assert_too_large(&mut client);
    }
}

#[test]
fn who_never_stops_sending_is_cut() {
    let agent = Process::spawn(&["--body-limit", "64KiB"]);
    let mut client = agent.client();
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    let began = Instant::now();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let mut sender = client.stream().try_clone().unwrap();
    while sender.write_all(chunk.as_bytes()).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "it still reads");
    }
    // For a second it is patient, so that a client that does stop can read why.
    assert!(began.elapsed() > Duration::from_millis(900));
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let agent = Process::spawn(&["--body-limit", "64KiB"]);
    let asking = |size: usize| {
        let mut client = agent.client();
        client.send(format!(
            "POST /invocations HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
        ));
        client
    };
    let body = padded(LIMIT);
    let mut client = asking(LIMIT);
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send(body).response().status, 200);
    // Not told to go on, it has nothing to send in vain.
    assert_too_large(&mut asking(LIMIT + 1));
}

#[test]
fn great_bodies_pass_by_default() {
    let server = measuring();
    for size in [8 << 20, 32 << 20] {
        for chunked in [false, true] {
            let body = "x".repeat(size);
            let answer = server.client().send(post(&body, chunked)).response();
            assert_eq!(answer.text(), size.to_string());
        }
    }
}

#[test]
fn a_body_in_drops_arrives_whole() {
    let server = measuring();
    let mut client = server.client();
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..10_000 {
        client.send("1\r\nx\r\n");
    }
    assert_eq!(client.send("0\r\n\r\n").response().text(), "10000");
}

#[test]
fn time_runs_out_for_headers_and_not_for_the_idle() {
    let server = measuring();
    let mut idle = server.client();
    assert_eq!(idle.request("GET", "/ping", "", "").status, 200);
    let mut silent = server.client();
    let silent = thread::spawn(move || {
        let began = Instant::now();
        assert!(silent.is_closed());
        began.elapsed()
    });
    let began = Instant::now();
    let mut dripping = server.client();
    let mut sender = dripping.stream().try_clone().unwrap();
    let dripper = thread::spawn(move || {
        let slow = Duration::from_millis(100);
        for byte in b"GET /ping HTTP/1.1\r\nX: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            if sender.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(slow);
        }
    });
    assert!(dripping.is_closed());
    let dripped = began.elapsed();
    dripper.join().unwrap();
    for cut in [dripped, silent.join().unwrap()] {
        assert!((9..13).contains(&cut.as_secs()), "cut after {cut:?}");
    }
    // 75 s are its limit; 12 s show that it is not the same one.
    thread::sleep(Duration::from_secs(12).saturating_sub(began.elapsed()));
    assert_eq!(idle.request("GET", "/ping", "", "").status, 200);
}

#[test]
fn headers_have_room_for_64_kib() {
    let server = measuring();
    let with = |size| {
        let long = format!("X: {}\r\n", "x".repeat(size));
        server.client().request("GET", "/ping", &long, "").status
    };
    assert_eq!(with(60_000), 200);
    // What arrives in one piece may overshoot, to twice that.
    assert_eq!(with(140_000), 431);
    let long = "x".repeat(66_000);
    let status = server.get(&format!("/{long}")).status;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[test]
fn requests_may_follow_each_other_without_waiting() {
    let server = measuring();
    let mut client = server.client();
    let ping = "GET /ping HTTP/1.1\r\nHost: t\r\n\r\n";
    client.send([ping, &post("four", false), &post("sixsix", true), ping].concat());
    assert!(client.response().text().contains("Healthy"));
    assert_eq!(client.response().text(), "4");
    assert_eq!(client.response().text(), "6");
    assert!(client.response().text().contains("Healthy"));
    for size in 0..100 {
        let answer = client.request("POST", "/invocations", "", "x".repeat(size));
        assert_eq!(answer.text(), size.to_string());
    }
}

#[test]
fn old_clients_are_served() {
    let server = measuring();
    for (path, said) in [("GET /ping", "Healthy"), ("POST /invocations", "0")] {
        // One answer a connection, unless it asks to keep it.
        let mut client = server.client();
        client.send(format!("{path} HTTP/1.0\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(said), "{}", answer.text());
        assert!(client.is_closed());
        let mut client = server.client();
        for _ in 0..3 {
            client.send(format!("{path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
            assert!(client.response().text().contains(said));
        }
    }
}
