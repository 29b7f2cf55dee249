//! `Context`, and the ids of tasks that begin in a handler.

use axum::Json;
use serde_json::{Value, json};
use taskpulse::{App, Context, Tasks};

use crate::harness::{Server, eventually};

const SESSION: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id";
const REQUEST: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id";
const IDENTITY: &str = "X-Amz-Bedrock-AgentCore-Identity-WAT";
const WORKLOAD: &str = "WorkloadAccessToken";

/// Answers with all that a context says.
fn telling() -> App {
    App::new().entrypoint(|context: Context| async move {
        let headers = context.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            json!([name.as_str(), value])
        });
        Json(json!({
            "session": context.session_id(),
            "request": context.request_id(),
            "headers": headers.collect::<Vec<_>>(),
            "token": context.workload_token().map(|token| token.expose()),
            "callback": context.oauth2_callback_url(),
            "debug": format!("{context:?} {context:#?} {:?}", context.workload_token()),
            "display": context.workload_token().map(ToString::to_string),
        }))
    })
}

/// What the context of a request with these headers says.
#[track_caller]
fn told(server: &Server, headers: &[(&str, &[u8])]) -> Value {
    let mut request = b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n".to_vec();
    for (name, value) in headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend(b"\r\n{}");
    let response = server.client().send(request).response();
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[track_caller]
fn is_uuid_v4(id: &Value) -> bool {
    let id = id.as_str().expect("always there");
    let digits = id.replace('-', "");
    let places: Vec<usize> = id.match_indices('-').map(|(at, _)| at).collect();
    let hex = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    places == [8, 13, 18, 23]
        && digits.len() == 32
        && hex
        && digits.as_bytes()[12] == b'4'
        && matches!(digits.as_bytes()[16], b'8' | b'9' | b'a' | b'b')
}

#[test]
fn ids_are_the_callers() {
    let server = Server::spawn(telling());
    let longest = "s".repeat(256);
    for id in ["a", "5f0c6a0e-session~!", &longest] {
        let said = told(
            &server,
            &[(SESSION, id.as_bytes()), (REQUEST, id.as_bytes())],
        );
        assert_eq!(
            (&said["session"], &said["request"]),
            (&json!(id), &json!(id))
        );
    }
    // Names of headers have no case.
    let said = told(
        &server,
        &[
            (&SESSION.to_lowercase(), b"low"),
            (&REQUEST.to_uppercase(), b"up"),
        ],
    );
    assert_eq!(
        (&said["session"], &said["request"]),
        (&json!("low"), &json!("up"))
    );
}

#[test]
fn ids_that_are_none_are_as_good_as_absent() {
    let server = Server::spawn(telling());
    let too_long = "s".repeat(257);
    let nonsense: [&[u8]; 7] = [
        b"",
        b"two words",
        b"a\tb",
        "h\u{e9}".as_bytes(),
        b"\xff\xfe",
        too_long.as_bytes(),
        b"\x80",
    ];
    for id in nonsense {
        let said = told(&server, &[(SESSION, id), (REQUEST, id)]);
        assert_eq!(said["session"], Value::Null, "{id:?}");
        assert!(is_uuid_v4(&said["request"]), "{id:?}: {said}");
    }
    let (first, second) = (told(&server, &[]), told(&server, &[]));
    assert_eq!(first["session"], Value::Null);
    assert!(is_uuid_v4(&first["request"]), "{first}");
    assert_ne!(first["request"], second["request"]);
}

#[test]
fn headers_are_handed_on_by_the_contracts_rule() {
    let server = Server::spawn(telling());
    let forwarded: [(&str, &[u8]); 9] = [
        ("authorization", b""),
        ("workloadaccesstoken", b"token"),
        ("x-amz-bedrock-agentcore-identity-wat", b"wat"),
        ("x-amzn-bedrock-agentcore-runtime-custom-a", b"1"),
        ("x-amzn-bedrock-agentcore-runtime-custom-", b"bare"),
        (
            "traceparent",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("baggage", b"tenant=acme"),
        ("x-tenant", b"first"),
        ("x-tenant", b"second"),
    ];
    let kept: [(&str, &[u8]); 12] = [
        (SESSION, b"s"),
        (REQUEST, b"r"),
        ("X-Amzn-Bedrock-AgentCore-Runtime-Custom", b"no dash"),
        ("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", b"user"),
        ("X-Amzn-Trace-Id", b"Root=1"),
        ("X-Amz-Date", b"today"),
        ("Cookie", b"a=b"),
        ("Content-Type", b"application/json"),
        ("Accept", b"*/*"),
        ("X-Forwarded-For", b"1.2.3.4"),
        ("User-Agent", b"curl"),
        ("Connection", b"keep-alive"),
    ];
    let said = told(&server, &[forwarded.as_slice(), &kept].concat());
    let text = |(name, value): &(&str, &[u8])| json!([name, String::from_utf8_lossy(value)]);
    let mut expected: Vec<Value> = forwarded.iter().map(text).collect();
    let mut found = said["headers"].as_array().unwrap().clone();
    expected.sort_by_key(Value::to_string);
    found.sort_by_key(Value::to_string);
    assert_eq!(found, expected);
    assert_eq!(told(&server, &[])["headers"], json!([]));
}

#[test]
fn the_identity_token_goes_before_the_workload_token() {
    let server = Server::spawn(telling());
    assert_eq!(told(&server, &[])["token"], Value::Null);
    assert_eq!(told(&server, &[(WORKLOAD, b"w")])["token"], "w");
    assert_eq!(told(&server, &[(IDENTITY, b"i")])["token"], "i");
    for both in [
        [(WORKLOAD, b"w"), (IDENTITY, b"i")],
        [(IDENTITY, b"i"), (WORKLOAD, b"w")],
    ] {
        let both = both.map(|(name, value)| (name, value.as_slice()));
        assert_eq!(told(&server, &both)["token"], "i");
    }
}

#[test]
fn credentials_are_not_printed() {
    let server = Server::spawn(telling());
    let said = told(
        &server,
        &[
            (WORKLOAD, b"hush-1"),
            (IDENTITY, b"hush-2"),
            ("Authorization", b"Bearer hush-3"),
            ("X-Tenant", b"acme"),
        ],
    );
    let debug = said["debug"].as_str().unwrap();
    assert!(!debug.contains("hush"), "{debug}");
    assert!(
        debug.contains("[redacted]") && debug.contains("acme"),
        "{debug}"
    );
    assert_eq!(said["display"], "[redacted]");
}

#[test]
fn the_callback_url_is_handed_out() {
    let server = Server::spawn(telling());
    let url = "https://example.com/back?a=b";
    let said = told(&server, &[("OAuth2CallbackUrl", url.as_bytes())]);
    assert_eq!(said["callback"], url);
    assert_eq!(told(&server, &[])["callback"], Value::Null);
}

#[test]
fn nothing_of_the_context_is_echoed() {
    let server = Server::spawn(telling());
    let headers = format!("{SESSION}: s\r\n{REQUEST}: r\r\n");
    let response = server
        .client()
        .request("POST", "/invocations", &headers, "{}");
    let mut names: Vec<&str> = response
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["content-length", "content-type", "date", "traceparent"]
    );
}

#[test]
fn tasks_carry_the_ids_of_the_request_that_begins_them() {
    let app = App::new().entrypoint(|tasks: Tasks, context: Context| async move {
        let added = tasks.add_async_task("added", ())?;
        let started = tasks.begin("started").start()?;
        let spawned = tasks
            .begin("spawned")
            .spawn(async { Ok::<_, String>(()) })?;
        let (elsewhere, other) = (tasks.clone(), context.clone());
        let thread = std::thread::spawn(move || {
            assert_eq!(other.session_id(), Some("the-session"));
            elsewhere.add_async_task("on a thread", ())
        });
        let threaded = thread.join().expect("it does not panic")?;
        let ids = json!([added, started.id(), spawned.id(), threaded]);
        started.succeed();
        assert!(tasks.complete_async_task(added) && tasks.complete_async_task(threaded));
        Ok::<_, taskpulse::Error>(Json(ids))
    });
    let server = Server::spawn(app);
    let headers = format!("{SESSION}: the-session\r\n{REQUEST}: the-request\r\n");
    let ids = server
        .client()
        .request("POST", "/invocations", &headers, "{}")
        .json();
    for id in ids.as_array().unwrap() {
        let task = server.task(id);
        assert_eq!(
            (&task["session_id"], &task["request_id"]),
            (&json!("the-session"), &json!("the-request"))
        );
    }
    assert_eq!(ids.as_array().unwrap().len(), 4);
    let outside = server.tasks.add_async_task("outside", ()).unwrap();
    let task = server.task(outside);
    assert_eq!(
        (&task["session_id"], &task["request_id"]),
        (&Value::Null, &Value::Null)
    );
    assert!(server.tasks.complete_async_task(outside));
    eventually("all have ended", || server.count("running") == 0);
}
