//! Lines to the letter.

use std::{error::Error, fmt};

use serde_json::json;
use tracing::{Level, field, info};

use super::{Form, Logged, PRETTY, context, line, logged, object, printed};
use crate::telemetry::log::{TASK, text::MAX_LINE};

#[derive(Debug)]
struct Fault(&'static str, Option<Box<Fault>>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn begun() -> Logged<'static> {
    Logged {
        level: Level::INFO,
        target: TASK,
        fields: vec![
            ("message", &"task crunch 1 begun"),
            ("metadata", &r#"{"data_id":"x"}"#),
            ("at", &"src/agent.rs:41"),
            ("place", &"two words"),
            ("count", &3),
        ],
    }
}

#[test]
fn json_without_a_context() {
    let expected = r#"{"timestamp":"1970-01-02T12:00:01.123Z","level":"INFO","message":"task crunch 1 begun","target":"taskpulse::task","metadata":"{\"data_id\":\"x\"}","at":"src/agent.rs:41","place":"two words","count":3}"#;
    assert_eq!(line(Form::Json, &begun()), expected);
}

#[test]
fn json_with_a_context() {
    let baggage = [("tenant", "acme"), ("level", "mine"), ("tenant", "again")];
    let _attached = context("crunch", "s-1", &baggage).attach();
    let expected = r#"{"timestamp":"1970-01-02T12:00:01.123Z","level":"INFO","message":"task crunch 1 begun","target":"taskpulse::task","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","task_id":1795357387000001,"task_name":"crunch","sessionId":"s-1","requestId":"r-1","tenant":"acme","metadata":"{\"data_id\":\"x\"}","at":"src/agent.rs:41","place":"two words","count":3}"#;
    assert_eq!(line(Form::Json, &begun()), expected);
}

#[test]
fn pretty_without_a_context() {
    let expected = r#"12:00:01.123 INFO  task crunch 1 begun  metadata={"data_id":"x"} at=src/agent.rs:41 place="two words" count=3"#;
    assert_eq!(line(PRETTY, &begun()), expected);
}

#[test]
fn pretty_with_a_context() {
    let baggage = [("tenant", "acme"), ("trace", "mine"), ("tenant", "again")];
    let _attached = context("crunch", "s-1", &baggage).attach();
    let expected = r#"12:00:01.123 INFO  task crunch 1 begun  metadata={"data_id":"x"} at=src/agent.rs:41 place="two words" count=3 session=s-1 request=r-1 tenant=acme trace=4bf92f3577b34da6a3ce929d0e0e4736"#;
    assert_eq!(line(PRETTY, &begun()), expected);
    let other = line(PRETTY, &logged(vec![("message", &"working")]));
    let expected = "12:00:01.123 INFO  agent: working  task=crunch 1795357387000001 session=s-1 \
                    request=r-1 tenant=acme trace=4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(other, expected);
}

#[test]
fn pretty_in_colour() {
    let printed = |target| {
        let fields: Vec<(_, &dyn field::Value)> = vec![("message", &"hot"), ("degrees", &99)];
        let event = Logged {
            level: Level::WARN,
            target,
            fields,
        };
        printed(Form::Pretty { colour: true }, || event.dispatch())
    };
    let expected =
        "\x1b[2m12:00:01.123\x1b[0m \x1b[33mWARN \x1b[0m hot  \x1b[2mdegrees=99\x1b[0m\n";
    assert_eq!(printed("taskpulse::oven"), expected);
    assert!(printed("oven").contains("oven: hot"));
}

#[test]
fn every_level() {
    for level in [
        Level::ERROR,
        Level::WARN,
        Level::INFO,
        Level::DEBUG,
        Level::TRACE,
    ] {
        let event = Logged {
            level,
            target: "taskpulse",
            fields: vec![("message", &"said")],
        };
        assert_eq!(object(&event)["level"], level.as_str());
        let expected = format!("12:00:01.123 {:<5} said", level.as_str());
        assert_eq!(line(PRETTY, &event), expected);
    }
}

#[test]
fn what_macros_log() {
    let printed = printed(Form::Json, || {
        info!(target: "agent", answer = 42, who = ?Some("me"), is = %"so", "the {}", "words");
        info!(target: "agent", message = "alone");
        info!(target: "agent", no = "message");
    });
    let start = r#"{"timestamp":"1970-01-02T12:00:01.123Z","level":"INFO","message":"#;
    let ends = [
        r#""the words","target":"agent","answer":42,"who":"Some(\"me\")","is":"so"}"#,
        r#""alone","target":"agent"}"#,
        r#""","target":"agent","no":"message"}"#,
    ];
    let expected: String = ends.iter().map(|end| format!("{start}{end}\n")).collect();
    assert_eq!(printed, expected);
}

#[test]
fn values_keep_their_kind() {
    let fault = Fault("no answer", Some(Box::new(Fault("timed out", None))));
    let fault: &(dyn Error + 'static) = &fault;
    let (large, bytes) = (u128::from(u64::MAX), b"\x01\xff".as_slice());
    let event = logged(vec![
        ("message", &7),
        ("small", &-5_i128),
        ("large", &large),
        ("huge", &u128::MAX),
        ("deep", &i128::MIN),
        ("nan", &f64::NAN),
        ("endless", &f64::NEG_INFINITY),
        ("whole", &1.0),
        ("tiny", &1e-300),
        ("flag", &true),
        ("error", &fault),
        ("bytes", &bytes),
    ]);
    let expected = json!({
        "timestamp": "1970-01-02T12:00:01.123Z", "level": "INFO", "message": "7", "target": "agent",
        "small": -5, "large": u64::MAX, "huge": u128::MAX.to_string(), "deep": i128::MIN.to_string(),
        "nan": "NaN", "endless": "-inf", "whole": 1.0, "tiny": 1e-300, "flag": true,
        "error": "no answer: timed out", "bytes": "[01 ff]",
    });
    assert_eq!(json!(object(&event)), expected);
    let pretty = line(PRETTY, &event);
    assert!(
        pretty.starts_with("12:00:01.123 INFO  agent: 7  small=-5 large=18446744073709551615 ")
    );
    assert!(pretty.contains(r#" nan=NaN endless=-inf whole=1.0 tiny=1e-300 flag=true "#));
    assert!(pretty.contains(r#" error="no answer: timed out" bytes="[01 ff]""#));
}

#[test]
fn errors_without_an_end_have_one_here() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    let endless: &(dyn Error + 'static) = &Endless;
    let error = object(&logged(vec![("error", &endless)]))["error"].clone();
    assert_eq!(error.as_str().unwrap().split(": ").count(), 17);
}

/// A field cannot pass for an id, whether or not the line has one.
#[test]
fn fields_do_not_take_fixed_names() {
    let fields = || {
        logged(vec![
            ("task_id", &"forged"),
            ("message", &"first"),
            ("message", &"second"),
            ("level", &"forged"),
            ("fields.level", &"forged, too"),
            ("tenant", &"forged"),
            ("twice", &1),
            ("twice", &2),
        ])
    };
    let line = object(&fields());
    assert_eq!(line.get("task_id"), None);
    assert_eq!(line["tenant"], "forged");
    let _attached = context("crunch", "s-1", &[("tenant", "acme")]).attach();
    let expected = json!({
        "timestamp": "1970-01-02T12:00:01.123Z", "level": "INFO", "message": "first",
        "target": "agent", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7", "task_id": 1_795_357_387_000_001_u64,
        "task_name": "crunch", "sessionId": "s-1", "requestId": "r-1", "tenant": "acme",
        "fields.task_id": "forged", "fields.message": "second", "fields.level": "forged",
        "fields.fields.level": "forged, too", "fields.tenant": "forged", "twice": 1,
        "fields.twice": 2,
    });
    assert_eq!(json!(object(&fields())), expected);
}

#[test]
fn pretty_quotes_what_would_be_misread() {
    let value = |text: &'static str| {
        let line = line(PRETTY, &logged(vec![("v", &text)]));
        line.split_once("v=").expect("the field").1.to_owned()
    };
    assert_eq!(value("plain/1:2"), "plain/1:2");
    assert_eq!(value(""), r#""""#);
    assert_eq!(value("a b"), r#""a b""#);
    assert_eq!(value(r#"say "x""#), r#""say \"x\"""#);
    assert_eq!(value(r"C:\new"), r"C:\new");
    assert_eq!(value(r"C:\new dir"), r#""C:\\new dir""#);
    assert_eq!(value(r#""by Debug""#), r#""by Debug""#);
    assert_eq!(value(r#""a" trace="b""#), r#""\"a\" trace=\"b\"""#);
    assert_eq!(value(r#""open\""#), r#""\"open\\\"""#);
    assert_eq!(value(r#"["x",1]"#), r#"["x",1]"#);
    assert_eq!(value(r#"{"a":1} trace=b"#), r#""{\"a\":1} trace=b""#);
}

/// A value that logs while it is printed, and one that panics.
#[test]
fn values_may_do_as_they_like() {
    struct Logs;
    impl fmt::Debug for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            logged(vec![("message", &"inner")]).dispatch();
            let _attached = context("inner", "s-2", &[]).attach();
            f.write_str("outer")
        }
    }
    struct Panics;
    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("the value's own")
        }
    }
    let printed = printed(PRETTY, || {
        let quiet = std::panic::catch_unwind(|| {
            logged(vec![("message", &field::debug(Panics))]).dispatch();
        });
        quiet.expect_err("it goes on to whoever logged");
        logged(vec![("message", &field::debug(Logs)), ("a", &1)]).dispatch();
    });
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines.contains(&"12:00:01.123 INFO  agent: outer  a=1"),
        "{lines:?}"
    );
    assert!(printed.len() < MAX_LINE);
}
