//! `Payload<T>` with a type of one's own.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskpulse::{App, Payload};

use super::routing::echo;
use crate::harness::{Process, Server};

#[derive(Deserialize, Serialize)]
struct Order {
    items: Vec<Item>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Item {
    pages: u32,
}

fn orders() -> App {
    App::new().entrypoint(|Payload(order): Payload<Order>| async { Json(order) })
}

/// What is said about a body that is no order.
#[track_caller]
fn check_refusal(body: &[u8], error: &str, details: &str) {
    let server = Server::spawn(orders());
    let response = server.request("POST", "/invocations", body);
    let said = json!({ "error": error, "details": details });
    assert_eq!((response.status, response.json()), (400, said));
}

#[test]
fn what_does_not_fit_is_named_with_field_line_and_column() {
    check_refusal(
        b"{\"items\": [{\"pages\": 1},\n {\"pages\": \"two\"}]}",
        "Invalid payload",
        "items[1].pages: invalid type: string \"two\", expected u32 at line 2 column 16",
    );
    check_refusal(
        br#"{"items": [{"pages": -1}]}"#,
        "Invalid payload",
        "items[0].pages: invalid value: integer `-1`, expected u32 at line 1 column 23",
    );
    check_refusal(
        br#"{"items": [{}]}"#,
        "Invalid payload",
        "items[0]: missing field `pages` at line 1 column 13",
    );
    check_refusal(
        b"{}",
        "Invalid payload",
        "missing field `items` at line 1 column 2",
    );
    check_refusal(
        b"5",
        "Invalid payload",
        "invalid type: integer `5`, expected struct Order at line 1 column 1",
    );
    check_refusal(
        br#"{"items": [], "items": []}"#,
        "Invalid payload",
        "duplicate field `items` at line 1 column 21",
    );
}

#[test]
fn what_is_no_json_is_told_where() {
    check_refusal(
        b"{\"items\": [\n oops",
        "Invalid JSON",
        "expected value at line 2 column 2",
    );
    check_refusal(
        b"{\"items\": []}\n]",
        "Invalid JSON",
        "trailing characters at line 2 column 1",
    );
    check_refusal(
        b"",
        "Invalid JSON",
        "EOF while parsing a value at line 1 column 0",
    );
}

#[test]
fn the_encoding_is_utf8() {
    check_refusal(
        b"{\"note\": \"\xe9\"}",
        "Invalid encoding",
        "the body is not UTF-8 (byte 10)",
    );
    let order = r#"{"items": []}"#;
    let little = order.encode_utf16().flat_map(u16::to_le_bytes);
    let big = order.encode_utf16().flat_map(u16::to_be_bytes);
    let (little, big): (Vec<u8>, Vec<u8>) = (little.collect(), big.collect());
    for body in [&little, &big] {
        check_refusal(
            body,
            "Invalid encoding",
            "the body is UTF-16 or UTF-32, not UTF-8",
        );
    }
    for (mark, body) in [(b"\xff\xfe", little), (b"\xfe\xff", big)] {
        let body = [mark.as_slice(), &body].concat();
        check_refusal(&body, "Invalid encoding", "the body is not UTF-8 (byte 0)");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_payload() {
    let server = Server::spawn(orders());
    let body = b"\xef\xbb\xbf{\"items\": [{\"pages\": 3}]}";
    let response = server.request("POST", "/invocations", body);
    assert_eq!(response.json()["items"], json!([{ "pages": 3 }]));
    // A second one is a character like any other, and none of JSON's.
    let twice = [b"\xef\xbb\xbf".as_slice(), body].concat();
    let response = server.request("POST", "/invocations", twice);
    assert_eq!(
        (response.status, response.error().as_str()),
        (400, "Invalid JSON")
    );
}

#[test]
fn nesting_has_an_end() {
    let levels = 100_000;
    let lists = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let ignored = format!("{{\"items\": [], \"unknown\": {lists}}}");
    let any = Server::spawn(echo());
    let typed = Server::spawn(orders());
    let agent = Process::spawn(&["--debug-actions"]);
    for body in [&lists, &objects] {
        let response = any.request("POST", "/invocations", body);
        assert_eq!(
            (response.status, response.error().as_str()),
            (400, "Invalid JSON")
        );
        let response = typed.request("POST", "/invocations", body);
        assert_eq!(response.status, 400);
        let response = agent.client().request("POST", "/invocations", "", body);
        assert_eq!(response.status, 400);
    }
    // What nobody wants is skipped without a stack.
    let response = typed.request("POST", "/invocations", &ignored);
    assert_eq!(response.status, 200);
    let response = agent.client().request("POST", "/invocations", "", &ignored);
    assert_eq!(response.status, 400);
    assert_eq!(agent.get("/ping").status, 200);
}

#[test]
fn the_last_of_a_key_counts_in_a_value() {
    let server = Server::spawn(echo());
    let body = r#"{"a": 1, "b": {"c": 1, "c": 2}, "a": [3]}"#;
    let response = server.request("POST", "/invocations", body);
    assert_eq!(response.json(), json!({ "a": [3], "b": { "c": 2 } }));
}

#[test]
fn numbers_and_texts_come_through_unchanged() {
    let server = Server::spawn(echo());
    for body in [
        "9007199254740993",
        "-9223372036854775808",
        "18446744073709551615",
        "0.1",
        "\"\\u0000 \\ud83d\\ude00\"",
    ] {
        let response = server.request("POST", "/invocations", body);
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(response.json(), sent, "{body}");
    }
}
