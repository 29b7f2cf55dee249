//! Rows 54 to 59: answers that come item by item.

use std::{collections::HashMap, fmt, time::Duration};

use futures_util::{StreamExt as _, stream::iter};
use serde_json::{Value, json};
use taskpulse::{App, stream};
use tokio::{runtime::Builder, time::sleep};

use super::table::{
    Check::{Elsewhere, Story},
    Row,
    Verdict::{Differs, Same, SameBut},
    rows,
};
use crate::harness::Server;

rows! {
    row_54_a_stream: Row {
        number: 54,
        request: "returns a generator",
        sdk: "200, `content-type: text/event-stream; charset=utf-8`, chunked, each item `data: <json>` and an empty line in a chunk of its own; no `Cache-Control`, no keep-alive comments, no end marker",
        check: Story(
            "200, `content-type: text/event-stream`, `cache-control: no-store`, chunked, items as the SDK's; a comment every 15 s without an item; no end marker",
            items_come_as_events,
        ),
        verdict: Differs("Event streams are UTF-8 by definition; a cache must not keep them; a silent connection is cut by proxies."),
    },
    row_55_items: Row {
        number: 55,
        request: r#"items `{"chunk": 1}`, `"two"`, `None`, `"é\n"`"#,
        sdk: r#"`data: {"chunk": 1}`, `data: "two"`, `data: null`, `data: "é\n"`"#,
        check: Story(r#"`data: {"chunk":1}`, `data: "two"`, `data: null`, `data: "é\n"`"#, items_are_json),
        verdict: SameBut("JSON is written without spaces."),
    },
    row_56_a_stream_that_fails: Row {
        number: 56,
        request: "a generator raises midway, or before its first item",
        sdk: r#"200, a last event `data: {"error": "boom mid-stream", "error_type": "RuntimeError", "message": "An error occurred during streaming"}`, then a normal end"#,
        check: Story("the same event, then a normal end", a_failure_is_the_last_event),
        verdict: SameBut("`error_type` is the name of the error's type."),
    },
}

/// Rows whose tests need more than an answer.
pub(super) const ELSEWHERE: &[Row] = &[
    Row {
        number: 57,
        request: "the client leaves during a plain handler",
        sdk: "the handler runs to its end",
        check: Elsewhere("the handler runs to its end", "disconnect"),
        verdict: Same,
    },
    Row {
        number: 58,
        request: "the client leaves a stream whose source goes on",
        sdk: "the generator's `finally` runs",
        check: Elsewhere("the source is dropped within a second", "disconnect"),
        verdict: Same,
    },
    Row {
        number: 59,
        request: "the client leaves a stream whose source waits",
        sdk: "`finally` never runs; a thread and a task leak for ever",
        check: Elsewhere("the source is dropped within a second", "disconnect"),
        verdict: Differs("A stream that nobody reads must not cost anything."),
    },
];

#[derive(Debug)]
struct RuntimeError;

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("boom mid-stream")
    }
}

/// An error with a parameter.
struct Wrapped<E>(E);

impl<E: fmt::Display> fmt::Display for Wrapped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrapped: {}", self.0)
    }
}

/// Streams `good` items and, if asked to, a failure, and more after it.
fn streaming(good: Vec<Value>, fails: bool) -> App {
    App::new().entrypoint(move || {
        let failure = fails.then(|| [Err(RuntimeError), Ok(json!("never sent"))]);
        let items = good.clone().into_iter().map(Ok);
        let items = items.chain(failure.into_iter().flatten());
        async move { stream(iter(items.collect::<Vec<_>>())) }
    })
}

/// The chunks of a stream's answer, one item each.
#[track_caller]
fn chunks(app: App) -> Vec<String> {
    let server = Server::spawn(app);
    let mut client = server.client();
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}");
    let head = client.head();
    assert_eq!(head.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    let chunks = std::iter::from_fn(|| client.chunk());
    chunks
        .map(|chunk| String::from_utf8(chunk).unwrap())
        .collect()
}

fn items_come_as_events() {
    let sent = chunks(streaming(vec![json!(1), json!(2)], false));
    assert_eq!(sent, ["data: 1\n\n", "data: 2\n\n"]);
}

fn items_are_json() {
    let items = vec![
        json!({ "chunk": 1 }),
        json!("two"),
        json!(null),
        json!("é\n"),
    ];
    let sent = chunks(streaming(items, false));
    let expected = [
        "data: {\"chunk\":1}\n\n",
        "data: \"two\"\n\n",
        "data: null\n\n",
        "data: \"é\\n\"\n\n",
    ];
    assert_eq!(sent, expected);
}

fn a_failure_is_the_last_event() {
    let failure = concat!(
        r#"data: {"error":"boom mid-stream","error_type":"RuntimeError","#,
        r#""message":"An error occurred during streaming"}"#,
        "\n\n"
    );
    assert_eq!(
        chunks(streaming(vec![json!(1)], true)),
        ["data: 1\n\n", failure]
    );
    assert_eq!(chunks(streaming(vec![], true)), [failure]);
}

#[test]
fn silence_is_filled_with_comments() {
    // The source's clock moves on when there is nothing to do.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let app = App::new().entrypoint(|| async {
        let items = iter([1, 2]).then(|item| async move {
            sleep(Duration::from_secs(20)).await;
            Ok::<_, String>(item)
        });
        stream(items)
    });
    let server = Server::spawn_on(app, runtime);
    let sent = server.invoke(&json!({})).text();
    assert_eq!(sent, ":\n\ndata: 1\n\n:\n\ndata: 2\n\n");
}

#[test]
fn an_error_is_named_by_its_type_without_path_and_parameters() {
    let app = App::new().entrypoint(|| async {
        let failure: Result<(), Box<Wrapped<RuntimeError>>> = Err(Box::new(Wrapped(RuntimeError)));
        stream(iter([failure]))
    });
    let text = Server::spawn(app).invoke(&json!({})).text();
    let event: Value = serde_json::from_str(text.trim_start_matches("data: ")).unwrap();
    assert_eq!(event["error_type"], "Box");
    assert_eq!(event["error"], "wrapped: boom mid-stream");
}

#[test]
fn an_item_that_is_no_json_ends_the_stream_with_an_error() {
    let unwritable = HashMap::from([((1, 2), "a pair is no key")]);
    let app = App::new().entrypoint(move || {
        let items = [Ok::<_, String>(unwritable.clone()), Ok(HashMap::new())];
        async move { stream(iter(items)) }
    });
    let text = Server::spawn(app).invoke(&json!({})).text();
    assert_eq!(text.matches("data: ").count(), 1, "{text}");
    let event: Value = serde_json::from_str(text.trim_start_matches("data: ")).unwrap();
    assert_eq!(event["error"], "key must be a string");
    assert_eq!(event["message"], "An error occurred during streaming");
}
