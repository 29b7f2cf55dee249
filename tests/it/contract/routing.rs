//! Rows 1 to 11: paths, methods and the automatic and forced status.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use serde_json::Value;
use taskpulse::{App, Payload, PingStatus};

use super::table::{
    Ask, Body,
    Check::{Asks, Story},
    Row,
    Verdict::{Differs, Same},
    answer, get, rows,
};
use crate::harness::{Server, eventually};

/// An app that answers an invocation with its payload.
pub(super) fn echo() -> App {
    App::new().entrypoint(|Payload(payload): Payload<Value>| async { Json(payload) })
}

const JSON_ERRORS: &str = "Every error of ours is JSON, so that a client has one way to read them.";
const RELATIVE: &str = "A relative location holds behind any proxy, whatever `Host` it sends.";
const NO_METHOD: Body = Body::Error("Method Not Allowed");

rows! {
    row_01_ping_while_idle: Row {
        number: 1,
        request: "`GET /ping` while idle",
        sdk: r#"200 `{"status":"Healthy","time_of_last_update":N}`"#,
        check: Asks(echo, &[(get("/ping"), answer(200, Body::Ping("Healthy")))]),
        verdict: Same,
    },
    row_02_ping_while_tasks_run: Row {
        number: 2,
        request: "`GET /ping` with one or more tasks",
        sdk: r#"200 `{"status":"HealthyBusy","time_of_last_update":N}`, N constant while busy"#,
        check: Story("200, `HealthyBusy`, N constant while busy", busy_since_the_first_task),
        verdict: Same,
    },
    row_03_head_ping: Row {
        number: 3,
        request: "`HEAD /ping`",
        sdk: "200, headers as for GET, no body",
        check: Story("200, headers as for GET, no body", head_is_get_without_a_body),
        verdict: Same,
    },
    row_04_ping_with_a_query: Row {
        number: 4,
        request: "`GET /ping?x=1`",
        sdk: "as row 1",
        check: Asks(echo, &[(get("/ping?x=1"), answer(200, Body::Ping("Healthy")))]),
        verdict: Same,
    },
    row_05_ping_with_a_slash: Row {
        number: 5,
        request: "`GET /ping/`",
        sdk: "307, `location: http://host/ping`, no body",
        check: Asks(echo, &[
            (get("/ping/"), answer(307, Body::Empty).with(&[("location", "/ping")])),
        ]),
        verdict: Differs(RELATIVE),
    },
    row_06_ping_by_other_methods: Row {
        number: 6,
        request: "`POST /ping`, `OPTIONS /ping`",
        sdk: "405 `Method Not Allowed` as text, `allow: HEAD, GET`",
        check: Asks(echo, &[
            (Ask::Sent("POST", "/ping", "", b"{}"), answer(405, NO_METHOD).with(&[("allow", "GET, HEAD")])),
            (Ask::Sent("OPTIONS", "/ping", "", b""), answer(405, NO_METHOD).with(&[("allow", "GET, HEAD")])),
        ]),
        verdict: Differs(JSON_ERRORS),
    },
    row_07_invocations_by_other_methods: Row {
        number: 7,
        request: "`GET`, `PUT`, `OPTIONS /invocations`",
        sdk: "405 `Method Not Allowed` as text, `allow: POST`",
        check: Asks(echo, &[
            (get("/invocations"), answer(405, NO_METHOD).with(&[("allow", "POST")])),
            (Ask::Sent("PUT", "/invocations", "", b"{}"), answer(405, NO_METHOD).with(&[("allow", "POST")])),
            (Ask::Sent("OPTIONS", "/invocations", "", b""), answer(405, NO_METHOD).with(&[("allow", "POST")])),
        ]),
        verdict: Differs(JSON_ERRORS),
    },
    row_08_invocations_with_a_slash: Row {
        number: 8,
        request: "`POST /invocations/`",
        sdk: "307, `location: http://host/invocations`",
        check: Asks(echo, &[
            (
                Ask::Sent("POST", "/invocations/", "", b"{}"),
                answer(307, Body::Empty).with(&[("location", "/invocations")]),
            ),
        ]),
        verdict: Differs(RELATIVE),
    },
    row_09_unknown_paths: Row {
        number: 9,
        request: "`GET /`, `GET /nope`, `GET /ws` or `POST /ws` without an upgrade",
        sdk: "404 `Not Found` as text",
        check: Asks(echo, &[
            (get("/"), answer(404, Body::Error("Not Found"))),
            (get("/nope"), answer(404, Body::Error("Not Found"))),
            (get("/ws"), answer(404, Body::Detailed("Not Found"))),
            (Ask::Sent("POST", "/ws", "", b"{}"), answer(404, Body::Detailed("Not Found"))),
        ]),
        verdict: Differs(JSON_ERRORS),
    },
    row_10_forced_busy: Row {
        number: 10,
        request: "forced busy, then `GET /ping`",
        sdk: "200, `HealthyBusy`, new timestamp",
        check: Story("200, `HealthyBusy`, new timestamp", forcing_stamps_anew),
        verdict: Same,
    },
    row_11_forced_healthy: Row {
        number: 11,
        request: "forced healthy while tasks run; then cleared",
        sdk: "200, `Healthy`; then `HealthyBusy`",
        check: Story("200, `Healthy`; then `HealthyBusy`", forced_wins_until_it_is_cleared),
        verdict: Same,
    },
}

/// Waits until a status that changes from now on gets a later stamp than this.
fn after_the_second_of(stamp: u64) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    eventually("the next second", || now().as_secs() > stamp);
}

fn busy_since_the_first_task() {
    let server = Server::spawn(echo());
    let (_, idle_since) = server.ping();
    after_the_second_of(idle_since);
    let first = server.tasks.add_async_task("first", ()).unwrap();
    let (status, since) = server.ping();
    assert_eq!(status, "HealthyBusy");
    assert!(since > idle_since, "the status changed");
    after_the_second_of(since);
    let second = server.tasks.add_async_task("second", ()).unwrap();
    assert!(server.tasks.complete_async_task(first));
    assert_eq!(server.ping(), ("HealthyBusy".to_owned(), since));
    assert!(server.tasks.complete_async_task(second));
    let (status, healthy_since) = server.ping();
    assert_eq!(status, "Healthy");
    assert!(healthy_since > since, "the status changed");
}

fn head_is_get_without_a_body() {
    let server = Server::spawn(echo());
    let mut client = server.client();
    let head = client.request("HEAD", "/ping", "", "");
    // On the same connection: a body would be taken for the next answer.
    let get = client.request("GET", "/ping", "", "");
    assert_eq!((head.status, get.status), (200, 200));
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
        assert!(head.header(name).is_some(), "{name}");
    }
}

fn forcing_stamps_anew() {
    let server = Server::spawn(echo());
    let (_, before) = server.ping();
    after_the_second_of(before);
    server.tasks.force_ping_status(PingStatus::HealthyBusy);
    let (status, since) = server.ping();
    assert_eq!(status, "HealthyBusy");
    assert!(since > before);
}

fn forced_wins_until_it_is_cleared() {
    let server = Server::spawn(echo());
    let task = server.tasks.add_async_task("job", ()).unwrap();
    server.tasks.force_ping_status(PingStatus::Healthy);
    assert_eq!(server.ping().0, "Healthy");
    server.tasks.clear_forced_ping_status();
    assert_eq!(server.ping().0, "HealthyBusy");
    assert!(server.tasks.complete_async_task(task));
}
