//! Metadata and identity as attributes of spans.

use std::borrow::Cow;

use opentelemetry::{KeyValue, Value as OtelValue};
use serde_json::{Map, Value};

use crate::task::Origin;

/// Keys of metadata that a span carries at most.
///
/// The whole of it is at `/tasks`. A span has room for 128 attributes by
/// default, and those are not all for us.
const MOST_KEYS: usize = 32;

/// Bytes of a value that a span carries at most.
const MOST_BYTES: usize = 1_024;

/// Bytes of a key that a span carries at most.
const MOST_KEY: usize = 128;

/// What stands where a value was cut.
const MARK: &str = "…";

/// Appends `task.metadata.<key>` for each key.
///
/// Scalars keep their types; what is nested becomes compact JSON. How many keys
/// were left out is said, if any were.
pub(super) fn put_metadata(attributes: &mut Vec<KeyValue>, metadata: Map<String, Value>) {
    let beyond = metadata.len().saturating_sub(MOST_KEYS);
    for (key, value) in metadata.into_iter().take(MOST_KEYS) {
        let key = format!("task.metadata.{}", cut(&key, MOST_KEY));
        attributes.push(KeyValue::new(key, of_json(value)));
    }
    if beyond > 0 {
        attributes.push(KeyValue::new("task.metadata_omitted", beyond as i64));
    }
}

/// Appends whose work it is.
pub(super) fn put_origin(attributes: &mut Vec<KeyValue>, origin: Option<&Origin>) {
    let Some(origin) = origin else { return };
    if let Some(session) = &origin.session_id {
        attributes.push(KeyValue::new("session.id", session.to_string()));
    }
    let request = origin.request_id.to_string();
    attributes.push(KeyValue::new("taskpulse.request.id", request));
    for (key, value) in &origin.baggage {
        let known = attributes.iter().any(|known| known.key.as_str() == &**key);
        if !known {
            attributes.push(KeyValue::new(key.to_string(), value.to_string()));
        }
    }
}

fn of_json(value: Value) -> OtelValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::Number(number) => number
            .as_i64()
            .map(OtelValue::I64)
            .or_else(|| {
                number
                    .is_f64()
                    .then(|| number.as_f64().map(OtelValue::F64))
                    .flatten()
            })
            .unwrap_or_else(|| number.to_string().into()),
        Value::String(text) => short(text),
        Value::Null | Value::Array(_) | Value::Object(_) => short(value.to_string()),
    }
}

/// Cuts a text that is longer at a character's boundary, and marks the cut.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let kept = &text[..text.floor_char_boundary(most - MARK.len())];
    format!("{kept}{MARK}").into()
}

/// A text of somebody else's as an attribute: what waits to be sent must not
/// fill the memory.
pub(super) fn text(text: &str) -> OtelValue {
    cut(text, MOST_BYTES).into_owned().into()
}

fn short(text: String) -> OtelValue {
    match text.len() <= MOST_BYTES {
        true => text.into(),
        false => cut(&text, MOST_BYTES).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(metadata: Value) -> Vec<KeyValue> {
        let Value::Object(metadata) = metadata else {
            panic!("metadata is an object");
        };
        let mut attributes = Vec::new();
        put_metadata(&mut attributes, metadata);
        attributes
    }

    #[test]
    fn scalars_keep_their_types() {
        let said = attributes(json!({
            "text": "a", "whole": -7, "half": 0.5, "yes": true, "none": null,
            "list": [1, {"b": 2}], "huge": u64::MAX,
        }));
        let wanted = [
            KeyValue::new("task.metadata.text", "a"),
            KeyValue::new("task.metadata.whole", -7),
            KeyValue::new("task.metadata.half", 0.5),
            KeyValue::new("task.metadata.yes", true),
            KeyValue::new("task.metadata.none", "null"),
            KeyValue::new("task.metadata.list", r#"[1,{"b":2}]"#),
            KeyValue::new("task.metadata.huge", "18446744073709551615"),
        ];
        assert_eq!(said, wanted);
    }

    #[test]
    fn long_values_and_many_keys_are_cut_and_marked() {
        let said = attributes(json!({ "long": "ä".repeat(2_000) }));
        let text = said[0].value.as_str().into_owned();
        assert!(text.len() <= MOST_BYTES && text.ends_with("ä…"), "{text}");
        let many = (0..40).map(|n| (format!("k{n}"), json!(n)));
        let said = attributes(Value::Object(many.collect()));
        assert_eq!(said.len(), MOST_KEYS + 1);
        assert_eq!(said[MOST_KEYS], KeyValue::new("task.metadata_omitted", 8));
    }

    #[test]
    fn baggage_takes_no_place_of_ours() {
        let origin = Origin {
            session_id: Some("s".into()),
            request_id: "r".into(),
            baggage: [("session.id", "x"), ("tenant", "t")]
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
        };
        let mut attributes = Vec::new();
        put_origin(&mut attributes, Some(&origin));
        let wanted = [
            KeyValue::new("session.id", "s"),
            KeyValue::new("taskpulse.request.id", "r"),
            KeyValue::new("tenant", "t"),
        ];
        assert_eq!(attributes, wanted);
    }
}
