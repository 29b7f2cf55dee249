//! Rows 20 to 37: what comes in.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use taskpulse::{App, Payload};

use super::{
    child::Child,
    routing::echo,
    table::{
        Ask, Body,
        Check::{Asks, Story},
        Row,
        Verdict::{Differs, Same, SameBut},
        answer, invoke, rows,
    },
};
use crate::harness::Server;

const NO_JSON: Body = Body::Detailed("Invalid JSON");
const NO_UTF8: Body = Body::Detailed("Invalid encoding");

rows! {
    row_20_an_object: Row {
        number: 20,
        request: "`{}`",
        sdk: "200, the handler's result",
        check: Asks(echo, &[(invoke(b"{}"), answer(200, Body::Json("{}")))]),
        verdict: Same,
    },
    row_21_no_body: Row {
        number: 21,
        request: "no body: `Content-Length: 0`, or none",
        sdk: r#"400 `{"error":"Invalid JSON","details":…}`"#,
        check: Asks(echo, &[
            (invoke(b""), answer(400, NO_JSON)),
            (Ask::Raw(b"POST /invocations HTTP/1.1\r\nHost: t\r\n\r\n"), answer(400, NO_JSON)),
        ]),
        verdict: Same,
    },
    row_22_no_json: Row {
        number: 22,
        request: "`not valid json`",
        sdk: r#"400 `{"error":"Invalid JSON","details":…}`"#,
        check: Asks(echo, &[(invoke(b"not valid json"), answer(400, NO_JSON))]),
        verdict: Same,
    },
    row_23_more_than_json: Row {
        number: 23,
        request: r#"`{"a":1} x`"#,
        sdk: r#"400 `{"error":"Invalid JSON","details":…}`"#,
        check: Asks(echo, &[(invoke(br#"{"a":1} x"#), answer(400, NO_JSON))]),
        verdict: Same,
    },
    row_24_half_an_object: Row {
        number: 24,
        request: r#"`{"a":`"#,
        sdk: r#"400 `{"error":"Invalid JSON","details":…}`"#,
        check: Asks(echo, &[(invoke(br#"{"a":"#), answer(400, NO_JSON))]),
        verdict: Same,
    },
    row_25_no_utf8: Row {
        number: 25,
        request: "the bytes 80 81 82",
        sdk: r#"400 `{"error":"Invalid encoding","details":…}`"#,
        check: Asks(echo, &[(invoke(b"\x80\x81\x82"), answer(400, NO_UTF8))]),
        verdict: Same,
    },
    row_26_no_utf8_in_a_string: Row {
        number: 26,
        request: r#"`{"a":"\xff"}`, the byte FF"#,
        sdk: r#"400 `{"error":"Invalid encoding","details":…}`"#,
        check: Asks(echo, &[(invoke(b"{\"a\":\"\xff\"}"), answer(400, NO_UTF8))]),
        verdict: Same,
    },
    row_27_no_object: Row {
        number: 27,
        request: r#"`[1,2]`, `"hello"`, `null`, `5`"#,
        sdk: "200, passed to the handler unchanged",
        check: Asks(echo, &[
            (invoke(b"[1,2]"), answer(200, Body::Json("[1,2]"))),
            (invoke(b"\"hello\""), answer(200, Body::Json("\"hello\""))),
            (invoke(b"null"), answer(200, Body::Json("null"))),
            (invoke(b"5"), answer(200, Body::Json("5"))),
        ]),
        verdict: SameBut("With `Payload<Value>`. A type of your own refuses what it does not take, with 400 `Invalid payload`."),
    },
    row_28_no_object_with_debug_actions: Row {
        number: 28,
        request: "the same with debug actions on",
        sdk: r#"500 `{"error":"'list' object has no attribute 'get'"}`"#,
        check: Story("200, passed to the handler unchanged", debug_actions_leave_other_payloads_alone),
        verdict: Differs("A valid payload is no error, whatever is switched on."),
    },
    row_29_byte_order_mark_and_utf16: Row {
        number: 29,
        request: "JSON after a UTF-8 byte order mark; JSON in UTF-16",
        sdk: "200; 200",
        check: Asks(echo, &[
            (invoke(b"\xef\xbb\xbf{\"a\":1}"), answer(200, Body::Json(r#"{"a":1}"#))),
            (invoke(b"\xff\xfe{\0}\0"), answer(400, NO_UTF8)),
            (invoke(b"\xfe\xff\0{\0}"), answer(400, NO_UTF8)),
            (invoke(b"{\0}\0"), answer(400, NO_UTF8)),
            (invoke(b"\0{\0}"), answer(400, NO_UTF8)),
        ]),
        verdict: Differs("JSON between systems is UTF-8 (RFC 8259, section 8.1); what is not is told so."),
    },
    row_30_nan_and_duplicate_keys: Row {
        number: 30,
        request: r#"`{"a":NaN}`; `{"a":1,"a":2}`"#,
        sdk: "200; 200, the last one counts",
        check: Asks(echo, &[
            (invoke(br#"{"a":NaN}"#), answer(400, NO_JSON)),
            (invoke(br#"{"a":1,"a":2}"#), answer(200, Body::Json(r#"{"a":2}"#))),
        ]),
        verdict: Differs("`NaN` is no JSON. Duplicate keys: the same with `Payload<Value>`; a struct of your own refuses them."),
    },
    row_31_content_type_and_accept: Row {
        number: 31,
        request: "any `Content-Type` or none, any `Accept`",
        sdk: "200, both ignored",
        check: Asks(echo, &[
            (invoke(b"{}"), answer(200, Body::Json("{}"))),
            (Ask::Sent("POST", "/invocations", "Content-Type: text/plain\r\n", b"{}"), answer(200, Body::Json("{}"))),
            (Ask::Sent("POST", "/invocations", "Content-Type: x\r\nAccept: text/event-stream\r\n", b"{}"), answer(200, Body::Json("{}"))),
            (Ask::Sent("POST", "/invocations", "Accept: image/png\r\n", b"{}"), answer(200, Body::Json("{}"))),
        ]),
        verdict: Same,
    },
    row_32_ways_of_http: Row {
        number: 32,
        request: "a chunked body; `Expect: 100-continue`; HTTP/1.0",
        sdk: "200 (100 sent first)",
        check: Story("200 (100 sent first)", bodies_come_in_every_way),
        verdict: Same,
    },
    row_33_large_bodies: Row {
        number: 33,
        request: "bodies of 8, 32 and 110 MiB",
        sdk: "200, no limit at all",
        check: Story(r#"200, 200, 413 `{"error":"Payload Too Large","details":…}`"#, bodies_may_be_large_up_to_the_limit),
        verdict: Differs("The platform takes 100 MB at most; more than that is memory that nobody accounts for. `--body-limit` changes it."),
    },
    row_34_deep_nesting: Row {
        number: 34,
        request: "100,000 nested `[`",
        sdk: "500 `Internal Server Error` as text",
        check: Asks(echo, &[(invoke(&[b'['; 100_000]), answer(400, NO_JSON))]),
        verdict: Differs("What the client sends wrongly is the client's error."),
    },
    row_35_malformed_http: Row {
        number: 35,
        request: "a malformed request line; a bad `Content-Length`; HTTP/1.1 without `Host`",
        sdk: "400 `Invalid HTTP request received.` as text",
        check: Asks(echo, &[
            (Ask::Raw(b"nonsense\r\n\r\n"), answer(400, Body::Empty)),
            (Ask::Raw(b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: two\r\n\r\n{}"), answer(400, Body::Empty)),
            (Ask::Raw(b"GET /ping HTTP/1.1\r\n\r\n"), answer(400, Body::Detailed("Bad Request"))),
        ]),
        verdict: Differs("What is no HTTP at all is answered before there is a request, by the HTTP library, without a body."),
    },
    row_36_half_a_body: Row {
        number: 36,
        request: "the client leaves after half a body",
        sdk: "connection dropped, server fine",
        check: Story("400 for a client that has hung up in its own direction only; the handler is not called; server fine", half_a_body_starts_nothing),
        verdict: Differs("A FIN ends the client's half of a connection; it may still read why."),
    },
    row_37_no_entrypoint: Row {
        number: 37,
        request: "no entrypoint registered",
        sdk: r#"500 `{"error":"No entrypoint defined"}`; bad JSON is a 400 still"#,
        check: Asks(App::new, &[
            (invoke(b"{}"), answer(500, Body::Error("No entrypoint defined"))),
            (invoke(b"{"), answer(400, NO_JSON)),
        ]),
        verdict: Same,
    },
}

fn debug_actions_leave_other_payloads_alone() {
    let child = Child::spawn("echo");
    for body in ["[1,2]", "\"hello\"", "null", "5"] {
        let response = child.client().request("POST", "/invocations", "", body);
        assert_eq!((response.status, response.text().as_str()), (200, body));
    }
}

fn bodies_come_in_every_way() {
    let server = Server::spawn(echo());
    let mut client = server.client();
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), r#"{"a":1}"#);

    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n");
    client.send("Content-Length: 2\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send("{}");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "{}"));

    let mut client = server.client();
    client.send("POST /invocations HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "{}"));
}

fn bodies_may_be_large_up_to_the_limit() {
    const MIB: usize = 1_024 * 1_024;
    let app = App::new()
        .entrypoint(|Payload(text): Payload<String>| async move { text.len().to_string() });
    let server = Server::spawn(app);
    for mib in [8, 32] {
        let body = format!("\"{}\"", "x".repeat(mib * MIB));
        let response = server.request("POST", "/invocations", body);
        assert_eq!(response.text(), (mib * MIB).to_string());
    }
    let mut client = server.client();
    let announced = 110 * MIB;
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {announced}\r\n\r\n\"xx"
    ));
    answer(413, Body::Detailed("Payload Too Large")).check(&client.response(), "110 MiB");
}

fn half_a_body_starts_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let app =
        App::new().entrypoint(move || async move { counted.fetch_add(1, SeqCst).to_string() });
    let server = Server::spawn(app);
    let mut client = server.client();
    client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{\"a\"");
    client.finish();
    answer(400, Body::Detailed("Bad Request")).check(&client.response(), "half a body");
    assert!(client.is_closed());
    assert_eq!(server.request("POST", "/invocations", "{}").text(), "0");
    assert_eq!(calls.load(SeqCst), 1);
}
