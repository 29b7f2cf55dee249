//! Rows 40 to 53: what handlers give back.

use std::{collections::HashSet, time::SystemTime};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload};

use super::table::{
    Body,
    Check::{Asks, Story},
    Row,
    Verdict::{Differs, NoEquivalent, Same, SameBut},
    answer, invoke, rows,
};
use crate::harness::Server;

rows! {
    row_40_json: Row {
        number: 40,
        request: "returns a dict, a string, `None`, an int, a list",
        sdk: r#"200, JSON of it: `"plain"`, `null`, `7`, `[1, 2]`"#,
        check: Asks(pick, &[
            (invoke(br#""dict""#), answer(200, Body::Json(r#"{"a":1}"#))),
            (invoke(br#""string""#), answer(200, Body::Json("\"plain\""))),
            (invoke(br#""none""#), answer(200, Body::Json("null"))),
            (invoke(br#""int""#), answer(200, Body::Json("7"))),
            (invoke(br#""list""#), answer(200, Body::Json("[1,2]"))),
        ]),
        verdict: SameBut("With `axum::Json`, written without spaces. A bare `&str` or `String` is axum's `text/plain`."),
    },
    row_41_unicode: Row {
        number: 41,
        request: "returns unicode",
        sdk: "200, raw UTF-8, not escaped",
        check: Asks(pick, &[
            (
                invoke(br#""unicode""#),
                answer(200, Body::Text("\"é 漢\"")).with(&[("content-type", "application/json")]),
            ),
        ]),
        verdict: Same,
    },
    row_42_nan: Row {
        number: 42,
        request: "returns NaN or infinity",
        sdk: r#"200, `{"v": NaN, "i": Infinity}`, which is no JSON"#,
        check: Asks(pick, &[
            (invoke(br#""nan""#), answer(200, Body::Json(r#"{"v":null,"i":null}"#))),
        ]),
        verdict: Differs("JSON has no such numbers; serde_json writes `null`."),
    },
    row_43_a_set: Row {
        number: 43,
        request: "returns a set inside a dict",
        sdk: r#"200 `{"s": [1]}`"#,
        check: Asks(pick, &[(invoke(br#""set""#), answer(200, Body::Json(r#"{"s":[1]}"#)))]),
        verdict: SameBut("A `HashSet` is one."),
    },
    row_44_a_datetime: Row {
        number: 44,
        request: "returns a dict with a datetime",
        sdk: "200, the whole object becomes one string",
        check: Story("200, a `SystemTime` is an object within the object", one_field_does_not_spoil_the_others),
        verdict: NoEquivalent("What cannot be written as JSON does not compile."),
    },
    row_45_bytes: Row {
        number: 45,
        request: "returns bytes",
        sdk: r#"200 `"b'abc'"`"#,
        check: Asks(pick, &[
            (
                invoke(br#""bytes""#),
                answer(200, Body::Text("abc")).with(&[("content-type", "application/octet-stream")]),
            ),
        ]),
        verdict: Differs("Bytes are a response of their own in axum."),
    },
    row_46_an_error: Row {
        number: 46,
        request: "raises `ValueError(\"something broke\")`",
        sdk: r#"500 `{"error":"something broke"}`"#,
        check: Asks(fail, &[
            (invoke(br#""something broke""#), answer(500, Body::Error("something broke"))),
        ]),
        verdict: SameBut("With `Error::failed`, which takes whatever can be displayed."),
    },
    row_47_an_error_without_a_text: Row {
        number: 47,
        request: "raises without a message; `KeyError(\"missing\")`",
        sdk: r#"500 `{"error":""}`; 500 `{"error":"'missing'"}`"#,
        check: Asks(fail, &[
            (invoke(b"\"\""), answer(500, Body::Error(""))),
            (invoke(b"\"'missing'\""), answer(500, Body::Error("'missing'"))),
        ]),
        verdict: Same,
    },
    row_48_a_json_error_of_the_handler: Row {
        number: 48,
        request: "raises `JSONDecodeError`",
        sdk: "500, never `Invalid JSON`",
        check: Asks(parse, &[
            (
                invoke(br#""nonsense""#),
                answer(500, Body::Error("expected ident at line 1 column 2")),
            ),
        ]),
        verdict: Same,
    },
    row_49_an_error_with_a_status: Row {
        number: 49,
        request: "raises `HTTPException(400, \"Prompt missing\")`; with a dict as detail; 404 without detail",
        sdk: r#"400 `{"error":"Prompt missing"}`; 400 `{"error":{"a":1}}`; 404 `{"error":"Not Found"}`"#,
        check: Asks(refuse, &[
            (invoke(br#""text""#), answer(400, Body::Error("Prompt missing"))),
            (invoke(br#""dict""#), answer(400, Body::Json(r#"{"error":{"a":1}}"#))),
            (invoke(br#""status""#), answer(404, Body::Empty)),
        ]),
        verdict: Differs("`Error::invalid` makes the first; the others are axum's responses, which pass unchanged, a bare `StatusCode` too."),
    },
    row_50_headers_of_an_error: Row {
        number: 50,
        request: "raises `HTTPException(503, headers={\"Retry-After\": \"7\"})`",
        sdk: "503, the headers are lost",
        check: Asks(refuse, &[
            (
                invoke(br#""headers""#),
                answer(503, Body::Error("later")).with(&[("retry-after", "7")]),
            ),
        ]),
        verdict: Differs("A client cannot heed what it does not get."),
    },
    row_51_a_response: Row {
        number: 51,
        request: "returns a response: 201 with headers, 204",
        sdk: "as given, its headers too",
        check: Asks(pick, &[
            (
                invoke(br#""created""#),
                answer(201, Body::Json(r#"{"id":1}"#)).with(&[("x-mine", "yes"), ("location", "/jobs/1")]),
            ),
            (invoke(br#""nothing""#), answer(204, Body::Empty)),
        ]),
        verdict: Same,
    },
    row_52_cancelled: Row {
        number: 52,
        request: "an async handler raises `CancelledError`",
        sdk: "500 `Internal Server Error` as text",
        check: Asks(cancel, &[(invoke(b"{}"), answer(500, Body::Error("cancelled")))]),
        verdict: NoEquivalent("What a handler awaits may have been aborted: that is an error value like any other."),
    },
    row_53_exit: Row {
        number: 53,
        request: "an async handler raises `SystemExit`",
        sdk: "no response at all; `/ping` and the next invocation work",
        check: Story(
            r#"a panic: 500 `{"error":"the handler panicked"}`; `/ping` and the next invocation work"#,
            a_panic_is_an_answer,
        ),
        verdict: NoEquivalent("`std::process::exit` ends the process, as it says. What unwinds in Rust is a panic."),
    },
}

#[derive(Serialize)]
struct Floats {
    v: f64,
    i: f64,
}

#[derive(Serialize)]
struct Dated {
    t: SystemTime,
    a: u32,
}

/// Returns the result that the payload names.
fn pick() -> App {
    App::new().entrypoint(|Payload(which): Payload<String>| async move {
        match &*which {
            "dict" => Json(json!({ "a": 1 })).into_response(),
            "string" => Json("plain").into_response(),
            "none" => Json(None::<u8>).into_response(),
            "int" => Json(7).into_response(),
            "list" => Json([1, 2]).into_response(),
            "unicode" => Json("é 漢").into_response(),
            "nan" => Json(Floats {
                v: f64::NAN,
                i: f64::INFINITY,
            })
            .into_response(),
            "set" => Json(json!({ "s": HashSet::from([1]) })).into_response(),
            "date" => Json(Dated {
                t: SystemTime::now(),
                a: 1,
            })
            .into_response(),
            "bytes" => b"abc".to_vec().into_response(),
            "created" => {
                let headers = [("x-mine", "yes"), ("location", "/jobs/1")];
                (StatusCode::CREATED, headers, Json(json!({ "id": 1 }))).into_response()
            }
            _ => StatusCode::NO_CONTENT.into_response(),
        }
    })
}

/// Fails with the payload's text.
fn fail() -> App {
    App::new().entrypoint(|Payload(text): Payload<String>| async move {
        Err::<(), _>(Error::failed(text))
    })
}

/// Reads the text in the payload as JSON.
fn parse() -> App {
    App::new().entrypoint(|Payload(text): Payload<String>| async move {
        serde_json::from_str::<Value>(&text)
            .map(Json)
            .map_err(Error::failed)
    })
}

/// Refuses in the way that the payload names.
fn refuse() -> App {
    App::new().entrypoint(|Payload(how): Payload<String>| async move {
        match &*how {
            "text" => Err::<Response, _>(Error::invalid("Prompt missing")),
            "dict" => Ok((
                StatusCode::BAD_REQUEST,
                Json(json!({ "error": { "a": 1 } })),
            )
                .into_response()),
            "headers" => {
                let body = Json(json!({ "error": "later" }));
                Ok((
                    StatusCode::SERVICE_UNAVAILABLE,
                    [("retry-after", "7")],
                    body,
                )
                    .into_response())
            }
            _ => Ok(StatusCode::NOT_FOUND.into_response()),
        }
    })
}

/// Waits for what has been aborted.
fn cancel() -> App {
    App::new().entrypoint(|| async {
        let work = tokio::spawn(std::future::pending::<()>());
        work.abort();
        work.await.map_err(|error| match error.is_cancelled() {
            true => Error::failed("cancelled"),
            false => Error::failed(error),
        })
    })
}

fn one_field_does_not_spoil_the_others() {
    let server = Server::spawn(pick());
    let json = server.invoke(&json!("date")).json();
    assert_eq!(json["a"], 1);
    assert!(json["t"]["secs_since_epoch"].is_u64(), "{json}");
}

fn a_panic_is_an_answer() {
    let app = App::new().entrypoint(|Payload(text): Payload<Option<String>>| async move {
        text.expect("a text is needed here")
    });
    let server = Server::spawn(app);
    let response = server.invoke(&json!(null));
    answer(500, Body::Error("the handler panicked")).check(&response, "a panic");
    assert_eq!(server.ping().0, "Healthy");
    assert_eq!(server.invoke(&json!("next")).text(), "next");
}
