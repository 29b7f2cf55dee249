//! Bytes that no client should send. None of them is our fault, so none gets a
//! 5xx, and `/ping` answers after each.

use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*, test_runner::Config};
use serde_json::json;

use super::{
    nasty::{
        BODIES, HEADERS, LINES,
        Outcome::{self, Late, Silence, Status},
        large,
    },
    routing::echo,
};
use crate::harness::{Client, Process, Server};

/// The statuses of all answers in these bytes.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let answers = String::from_utf8_lossy(answers);
    let lines = answers.split("HTTP/1.").skip(1);
    lines
        .filter_map(|answer| answer.get(2..5)?.parse().ok())
        .collect()
}

/// Sends it and reads all there is.
#[track_caller]
fn check(address: SocketAddr, what: &str, bytes: &[u8], outcome: Outcome) {
    let mut client = Client::connect(address);
    client.send(bytes);
    match outcome {
        Status(status) => assert_eq!(client.response().status, status, "{what}"),
        Late(status) => assert_eq!(client.finish().response().status, status, "{what}"),
        Silence => assert!(client.finish().is_closed(), "{what} is answered"),
    }
    let rest = statuses(&client.finish().rest());
    assert!(rest.iter().all(|status| *status < 500), "{what}: {rest:?}");
    let ping = Client::connect(address).request("GET", "/ping", "", "");
    assert_eq!(ping.status, 200, "after {what}");
}

fn check_all(address: SocketAddr) {
    for (what, bytes, outcome) in LINES.iter().chain(HEADERS).chain(BODIES) {
        check(address, what, bytes, *outcome);
    }
    for (what, text, outcome) in large() {
        check(address, what, text.as_bytes(), outcome);
    }
}

#[test]
fn nonsense_is_the_clients_error_and_harms_nobody() {
    check_all(Server::spawn(echo()).address);
}

#[test]
fn nonsense_does_not_harm_the_binary() {
    let agent = Process::spawn(&["--debug-actions"]);
    check_all(agent.address);
    assert_eq!(agent.get("/tasks").json()["tasks"], json!([]));
}

#[test]
fn no_change_to_a_request_makes_it_a_server_error() {
    let request = "POST /invocations?a=b HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\
        Transfer-Encoding: chunked\r\nX-Tenant: acme\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
    let server = Server::spawn(echo());
    let change = (0..request.len(), 0..4, any::<u8>());
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(500)
    };
    proptest!(config, |(changes in vec(change, 1..4))| {
        let mut bytes = request.as_bytes().to_vec();
        for (at, how, byte) in changes {
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                // One byte stays, to be changed further.
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => {}
                _ => bytes.truncate(at + 1),
            }
        }
        let answers = server.client().send(&bytes).finish().rest();
        let statuses = statuses(&answers);
        prop_assert!(statuses.iter().all(|status| *status < 500), "{bytes:?}: {statuses:?}");
    });
    assert_eq!(server.ping().0, "Healthy");
}
