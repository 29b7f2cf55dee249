//! Texts that would break a line, steer a terminal, or never end.

use std::fmt::Write as _;

use tracing::field;

use super::{Form, PRETTY, context, line, logged, object};

const HOSTILE: &str = "a\nb\r\t\u{1b}[31m\0\u{7f}\u{9b}\u{2028}\u{202e}\u{2066}\"\\é漢";

#[test]
fn json_keeps_hostile_text_and_spells_it() {
    let _attached = context(HOSTILE, HOSTILE, &[(HOSTILE, HOSTILE)]).attach();
    let debugged = field::debug(HOSTILE);
    let name = format!("{HOSTILE} field");
    let event = logged(vec![
        ("message", &HOSTILE),
        (&name, &HOSTILE),
        ("debugged", &debugged),
    ]);
    let object = object(&event);
    for key in ["message", "task_name", "sessionId", HOSTILE, &name] {
        assert_eq!(object[key], HOSTILE, "{key:?}");
    }
    let spelled = r#""message":"a\nb\r\t\u001b[31m\u0000\u007f\u009b\u2028\u202e\u2066\"\\é漢""#;
    let line = line(Form::Json, &event);
    assert!(line.contains(spelled), "{line}");
}

#[test]
fn pretty_spells_hostile_text() {
    let _attached = context(HOSTILE, HOSTILE, &[(HOSTILE, HOSTILE)]).attach();
    let event = logged(vec![("message", &HOSTILE), (HOSTILE, &HOSTILE)]);
    let line = line(PRETTY, &event);
    let plain = r#"a\nb\r\t\u{1b}[31m\u{0}\u{7f}\u{9b}\u{2028}\u{202e}\u{2066}"\é漢"#;
    let quoted = plain.replace(r#""\é"#, r#"\"\\é"#);
    let expected = format!(
        "12:00:01.123 INFO  agent: {plain}  {plain}=\"{quoted}\" task=\"{quoted}\" \
         1795357387000001 session=\"{quoted}\" request=r-1 {plain}=\"{quoted}\" \
         trace=4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_megabyte_is_cut_and_counted() {
    let long = "é".repeat(500_000); // Two bytes each: 16 KiB end between two.
    let odd = format!("x{long}");
    let debugged = field::display(&odd);
    let event = logged(vec![("message", &long), ("odd", &odd), ("by", &debugged)]);
    let printed = object(&event);
    let cut = |kept: usize| format!("{}…({} bytes more)", "é".repeat(kept), 1_000_000 - 2 * kept);
    assert_eq!(printed["message"], cut(8_192));
    assert_eq!(printed["odd"], format!("x{}", cut(8_191)));
    assert_eq!(printed["by"], format!("x{}", cut(8_191)));
    let expected = format!(
        "12:00:01.123 INFO  agent: {}  odd=x{} by=x{}",
        cut(1_024),
        cut(1_023),
        cut(1_023)
    );
    assert_eq!(line(PRETTY, &event), expected);
}

/// Nothing of what follows a gap is kept, however short.
#[test]
fn a_text_in_pieces_is_cut_once() {
    let pieces = std::fmt::from_fn(|f| {
        for _ in 0..100_000 {
            f.write_char('é')?; // One byte of it would fit, and an x then.
            f.write_char('x')?;
        }
        Ok(())
    });
    let pieces = field::display(pieces);
    let text = object(&logged(vec![("pieces", &pieces)]))["pieces"].clone();
    let kept = "éx".repeat(5_461);
    assert_eq!(text, format!("{kept}…(283617 bytes more)"));
}

#[test]
fn sixteen_kibibytes_are_whole() {
    let whole = "x".repeat(16 * 1024);
    assert_eq!(object(&logged(vec![("v", &whole)]))["v"], whole);
    let whole = "x".repeat(2 * 1024);
    assert!(line(PRETTY, &logged(vec![("v", &whole)])).ends_with(&format!("v={whole}")));
}

/// The ids stay, and what comes after what is too much, as far as it fits.
#[test]
fn a_line_is_bounded_whatever_the_fields() {
    let ids = "\u{1b}".repeat(1_000_000);
    let _attached = context(&ids, &ids, &[("tenant", &ids), ("other", &ids)]).attach();
    let worst = "\0".repeat(1_000_000);
    let names: Vec<String> = (0..300).map(|at| format!("field_{at}")).collect();
    let mut fields: Vec<(&str, &dyn field::Value)> = vec![("message", &worst)];
    fields.extend(
        names
            .iter()
            .map(|name| (&**name, &worst as &dyn field::Value)),
    );
    fields.push(("last", &1));
    let event = logged(fields);

    let printed = object(&event);
    assert_eq!(printed["task_id"], 1_795_357_387_000_001_u64);
    assert_eq!(printed["requestId"], "r-1");
    assert_eq!(printed["last"], 1);
    let fields = names.iter().filter(|name| printed.contains_key(&***name));
    let baggage = ["tenant", "other"]
        .iter()
        .filter(|key| printed.contains_key(**key));
    let there = fields.count() + baggage.count();
    assert_eq!(printed["fields_left_out"], 302 - there);

    let pretty = line(PRETTY, &event);
    assert!(pretty.contains(" task=\\u{1b}"), "the task");
    assert!(pretty.contains(" 1795357387000001 session="), "its id");
    assert!(
        pretty.contains(" request=r-1 tenant=\\u{1b}"),
        "the request"
    );
    assert!(pretty.contains(" last=1 "), "what fits");
    assert!(pretty.contains(" fields_left_out="), "what does not");
    assert!(pretty.ends_with(" trace=4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[test]
fn many_short_fields_are_bounded_too() {
    let names: Vec<String> = (0..2_000)
        .map(|at| format!("{at}{}", "n".repeat(200)))
        .collect();
    let fields = names.iter().map(|name| (&**name, &0 as &dyn field::Value));
    let event = logged(fields.collect());
    let printed = object(&event);
    let left_out = printed["fields_left_out"].as_u64().unwrap();
    assert_eq!(printed.len() as u64 + left_out, 2_000 + 5);
    line(PRETTY, &event);
}

#[test]
fn a_name_without_an_end_is_left_out() {
    let name = "n".repeat(1_000_000);
    let event = logged(vec![(&name, &1), ("short", &2)]);
    let printed = object(&event);
    assert_eq!(printed["short"], 2);
    assert_eq!(printed["fields_left_out"], 1);
    assert!(line(PRETTY, &event).ends_with("  short=2 fields_left_out=1"));
}
