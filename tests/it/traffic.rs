//! `taskpulse traffic`: what it sends, what it says of it, how it ends.

mod flags;
mod running;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Json, http::HeaderMap};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use serde_json::{Value, json};
use taskpulse::{App, Context};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    cli::run,
    harness::{Process, Scrape, Server, eventually},
};

/// An address at which nobody listens, and nobody else will.
fn nobody() -> SocketAddr {
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&silent, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    getsockname(&silent).unwrap().try_into().unwrap()
}

/// Sends; the last line.
#[track_caller]
fn send(address: SocketAddr, rate: &str, time: &str, seed: &str) -> Value {
    let url = format!("http://{address}");
    let flags = ["--url", &url, "--rate", rate, "--for", time, "--seed", seed];
    let ended = run(&[&["traffic"][..], &flags].concat(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.stdout.lines().last().expect("a line");
    serde_json::from_str(last).expect("a line of JSON")
}

/// Sends for two seconds; the last line.
#[track_caller]
fn two_seconds(address: SocketAddr, seed: &str) -> Value {
    send(address, "60", "2s", seed)
}

/// A count of the last line.
#[track_caller]
fn count(line: &Value, name: &str) -> f64 {
    line[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// How many requests of a behaviour there were.
#[track_caller]
fn behaved(line: &Value, name: &str) -> f64 {
    let all = line["behaviours"].as_str().expect("a text");
    let mut pairs = all.split(' ').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {line}"))
        .1
        .parse()
        .unwrap()
}

/// Each request is one of these.
#[track_caller]
fn assert_adds_up(line: &Value) {
    let answers = [
        "ok",
        "client_errors",
        "server_errors",
        "rejected",
        "draining",
        "unreached",
        "unanswered",
    ];
    let answers: f64 = answers.iter().map(|name| count(line, name)).sum();
    assert_eq!(answers, count(line, "requests"), "{line}");
    let ends = ["succeeded", "failed", "panicked"];
    let ends: f64 = ends.iter().map(|name| count(line, name)).sum();
    assert_eq!(ends, count(line, "begun"), "{line}");
}

fn scrape(agent: &Process) -> Scrape {
    Scrape::of(&agent.get("/metrics"))
}

/// Tasks that have entered a state.
fn entered(scrape: &Scrape, state: &str) -> f64 {
    scrape.sum("taskpulse_task_transitions_total", &[("task_state", state)])
}

#[test]
fn what_it_counts_is_what_the_service_counts() {
    let agent = Process::spawn(&[]);
    let line = two_seconds(agent.address, "1");
    assert_adds_up(&line);
    for name in [
        "unreached",
        "unanswered",
        "skipped",
        "streams_broken",
        "server_errors",
    ] {
        assert_eq!(count(&line, name), 0.0, "{line}");
    }
    for name in [
        "succeeded",
        "failed",
        "panicked",
        "client_errors",
        "streams_left",
    ] {
        assert!(count(&line, name) > 0.0, "{line}");
    }
    let failed = count(&line, "failed") + count(&line, "panicked");
    // Those take 5 s at most. Some that succeed take 30 s: not waited for.
    eventually("what fails has failed", || {
        entered(&scrape(&agent), "failed") >= failed
    });
    // Tasks of streams that were left still run.
    eventually("no stream is open", || {
        scrape(&agent).sum("taskpulse_stream_open", &[]) == 0.0
    });
    let scrape = scrape(&agent);
    assert_eq!(entered(&scrape, "running"), count(&line, "begun"));
    assert_eq!(entered(&scrape, "failed"), failed);
    // Who leaves a stream does not stop its task.
    assert_eq!(
        entered(&scrape, "cancelled") + entered(&scrape, "interrupted"),
        0.0
    );
    let streaming = [("task_name", "streaming"), ("task_state", "running")];
    let streaming = scrape.sum("taskpulse_task_transitions_total", &streaming);
    assert_eq!(streaming, count(&line, "streams"));
    let invalid = [("reason", "invalid")];
    assert_eq!(
        scrape.sum("taskpulse_task_rejected_total", &invalid),
        behaved(&line, "too_big")
    );
    let posted = [("http_request_method", "POST")];
    let posted = scrape.sum("http_server_request_duration_seconds_count", &posted);
    let gets = ["ping", "tasks", "not_found"].map(|name| behaved(&line, name));
    assert_eq!(posted, count(&line, "requests") - gets.iter().sum::<f64>());
}

#[test]
fn what_is_refused_for_want_of_room_is_no_task() {
    let agent = Process::spawn(&["--max-active", "2"]);
    let line = two_seconds(agent.address, "2");
    assert_adds_up(&line);
    let scrape = scrape(&agent);
    let rejected = [("reason", "capacity")];
    let rejected = scrape.sum("taskpulse_task_rejected_total", &rejected);
    assert!(rejected > 0.0);
    assert_eq!(rejected, count(&line, "rejected"));
    assert_eq!(entered(&scrape, "running"), count(&line, "begun"));
}

#[test]
fn what_is_refused_by_a_service_that_ends_is_no_task() {
    let agent = Process::spawn(&["--drain", "1h"]);
    agent.invoke(&json!({"action": "process", "data_id": "kept", "seconds": 600}));
    agent.terminate();
    eventually("it drains", || agent.get("/ready").status == 503);
    let line = send(agent.address, "60", "1s", "6");
    assert_adds_up(&line);
    assert!(count(&line, "draining") > 0.0, "{line}");
    for name in ["begun", "rejected", "server_errors", "unanswered"] {
        assert_eq!(count(&line, name), 0.0, "{line}");
    }
}

/// What a service heard: of each invocation the user agent, the session, the
/// caller's trace and the body.
type Heard = Vec<(String, Option<String>, Option<String>, String)>;

/// Two seconds of a seed, as a service hears them. They are sorted, since the
/// order in which two arrive at a time is nobody's.
fn heard(seed: &str) -> Heard {
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let keep = Arc::clone(&heard);
    let handler = move |context: Context, headers: HeaderMap, body: String| {
        let text = |name| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        keep.lock().unwrap().push((
            text("user-agent").expect("a user agent"),
            context.session_id().map(str::to_owned),
            text("traceparent"),
            body,
        ));
        async {
            // Some are outstanding at the end, and waited for.
            sleep(Duration::from_millis(300)).await;
            Json(json!({}))
        }
    };
    let server = Server::spawn(App::new().entrypoint(handler));
    let line = two_seconds(server.address, seed);
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    let gets = ["ping", "tasks", "not_found"].map(|name| behaved(&line, name));
    let sent = count(&line, "requests") - gets.iter().sum::<f64>();
    assert_eq!(heard.len() as f64, sent, "{line}");
    assert_eq!(count(&line, "unanswered"), 0.0, "{line}");
    heard
}

#[test]
fn a_seed_sends_the_same_requests() {
    let (first, again, other) = (heard("3"), heard("3"), heard("4"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let agent = concat!("taskpulse-traffic/", env!("CARGO_PKG_VERSION"));
    let named = |(name, session, _, _): &(String, Option<String>, _, _)| {
        name == agent && session.as_ref().is_some_and(|session| session.len() >= 33)
    };
    assert!(first.iter().all(named), "{:?}", first.first());
    let traced = first
        .iter()
        .filter(|(_, _, trace, _)| trace.is_some())
        .count();
    assert!(
        0 < traced && traced < first.len(),
        "{traced} of {}",
        first.len()
    );
}

#[test]
fn no_more_than_256_requests_are_outstanding() {
    let released = Arc::new(Semaphore::new(0));
    let [held, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (release, peak) = (Arc::clone(&released), Arc::clone(&most));
    let handler = move || {
        let (released, held) = (Arc::clone(&released), Arc::clone(&held));
        most.fetch_max(held.fetch_add(1, Relaxed) + 1, Relaxed);
        async move {
            // An error: it has been closed.
            drop(released.acquire().await);
            held.fetch_sub(1, Relaxed);
        }
    };
    let server = Server::spawn(App::new().entrypoint(handler));
    let line = send(server.address, "1000", "1s", "5");
    release.close();
    assert_adds_up(&line);
    assert_eq!(peak.load(Relaxed), 256);
    assert_eq!(count(&line, "unanswered"), 256.0, "{line}");
    assert!(count(&line, "skipped") > 256.0, "{line}");
    assert_eq!(count(&line, "begun"), 0.0, "{line}");
}
