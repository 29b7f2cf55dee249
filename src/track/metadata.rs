//! Metadata, names and results, checked and redacted once, at the door.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;

/// Words whose values are redacted unless the operator says otherwise.
pub(crate) const DEFAULT_REDACTED: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
    "apikey",
    "api key",
    "private key",
];

/// Bytes of a task's name at most: it becomes a label of every metric.
const MAX_NAME: usize = 128;

/// Bytes of a task's metadata at most, as compact JSON.
const MAX_METADATA: usize = 256 * 1_024;

/// What stands in the place of a redacted value.
const REDACTED: &str = "[redacted]";

/// Which keys name a secret.
///
/// A key is split at `_`, `-`, `.`, spaces and camelCase; each of our words is
/// then compared whole and case-insensitively. `access_token` and `apiKey` name
/// one, `max_tokens` and `tokenizer` do not, nor does `token_count` if its
/// value is a number: a count gives nothing away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redaction(Vec<Vec<String>>);

/// A task's metadata while it is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    fields: Map<String, Value>,
    fault: Option<Error>,
}

// === impl Redaction ===

impl Redaction {
    /// Redacts the values of keys that have one of `words` among theirs.
    pub(crate) fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let phrases = words
            .into_iter()
            .map(split)
            .filter(|phrase| !phrase.is_empty());
        Self(phrases.collect())
    }

    /// Takes the secrets out of `value`, at any depth.
    fn clean(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => self.clean_fields(fields),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn clean_fields(&self, fields: &mut Map<String, Value>) {
        for (key, value) in fields {
            if self.hides(key, value) {
                *value = REDACTED.into();
            } else {
                self.clean(value);
            }
        }
    }

    fn hides(&self, key: &str, value: &Value) -> bool {
        let words = split(key);
        let counted = value.is_number() && words.last().is_some_and(|word| word == "count");
        !counted && self.0.iter().any(|phrase| contains(&words, phrase))
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::of(DEFAULT_REDACTED)
    }
}

/// The lower-case words of a key. `APIKey` is `api`, `key`.
fn split(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = key.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        let after_lower = before.is_some_and(|b: char| !b.is_uppercase());
        let before_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        let separates = matches!(c, '_' | '-' | '.' | ' ');
        if separates || c.is_uppercase() && (after_lower || before_lower) {
            words.push(String::new());
        }
        if !separates && let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words.retain(|word| !word.is_empty());
    words
}

fn contains(words: &[String], phrase: &[String]) -> bool {
    words.windows(phrase.len()).any(|window| window == phrase)
}

// === impl Draft ===

impl Draft {
    /// Adds one field; the last of a name counts.
    pub(super) fn put(&mut self, key: String, value: impl Serialize) {
        match serde_json::to_value(value) {
            Ok(value) => drop(self.fields.insert(key, value)),
            Err(error) => self.fail(format!(
                "metadata `{key}` cannot be written as JSON: {error}"
            )),
        }
    }

    /// Adds the fields of an object.
    pub(super) fn put_all(&mut self, object: impl Serialize) {
        match serde_json::to_value(object) {
            Ok(Value::Object(fields)) => self.fields.extend(fields),
            Ok(Value::Null) => {}
            Ok(other) => self.fail(format!(
                "metadata is {}; it must be a JSON object",
                kind(&other)
            )),
            Err(error) => self.fail(format!("metadata cannot be written as JSON: {error}")),
        }
    }

    /// The metadata, and the same as compact text, empty where there is none.
    pub(super) fn finish(
        mut self,
        redaction: &Redaction,
    ) -> Result<(Map<String, Value>, Box<str>), Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.fields.is_empty() {
            return Ok(Default::default());
        }
        redaction.clean_fields(&mut self.fields);
        let text = serde_json::to_string(&self.fields).expect("a map of JSON values is JSON");
        if text.len() > MAX_METADATA {
            return Err(Error::invalid(format!(
                "metadata is {} bytes of JSON; at most {MAX_METADATA} are kept",
                text.len()
            )));
        }
        Ok((self.fields, text.into()))
    }

    fn fail(&mut self, message: String) {
        self.fault.get_or_insert(Error::invalid(message));
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Checks a task's name.
pub(super) fn check_name(name: String) -> Result<Box<str>, Error> {
    match name.len() {
        0 => Err(Error::invalid(
            "a task's name is empty; give it a short label, such as `data_processing`",
        )),
        1..=MAX_NAME => Ok(name.into()),
        len => Err(Error::invalid(format!(
            "a task's name is {len} bytes; at most {MAX_NAME} are allowed, since it becomes a label (details belong into metadata)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(given: Value, kept: Value) {
        let mut draft = Draft::default();
        draft.put_all(given);
        let (_, text) = draft.finish(&Redaction::default()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), kept);
    }

    #[test]
    fn values_of_secret_keys_are_redacted_at_any_depth() {
        for key in [
            "password",
            "PASSWORD",
            "db_passwd",
            "access_token",
            "apiKey",
            "APIKey",
            "api-key",
            "api.key",
            "api key",
            "x-apikey",
            "sshPrivateKey",
            "Set-Cookie",
            "token_count",
        ] {
            check(json!({ key: "hunter2" }), json!({ key: REDACTED }));
            check(
                json!({"a": [{ key: {"deep": 1} }]}),
                json!({"a": [{ key: REDACTED }]}),
            );
        }
    }

    #[test]
    fn keys_that_only_look_secret_are_kept() {
        for (key, value) in [
            ("max_tokens", json!(4096)),
            ("tokenizer", json!("bpe")),
            ("token_count", json!(7)),
            ("key", json!("a")),
            ("private", json!("b")),
            ("secretary", json!("c")),
        ] {
            check(json!({ key: value }), json!({ key: value }));
        }
    }

    #[test]
    fn metadata_keeps_its_order_and_is_compact() {
        let mut draft = Draft::default();
        draft.put("z".to_owned(), 1);
        draft.put("a".to_owned(), [1, 2]);
        let (_, text) = draft.finish(&Redaction::default()).unwrap();
        assert_eq!(&*text, r#"{"z":1,"a":[1,2]}"#);
    }

    #[test]
    fn what_is_no_object_or_too_long_is_refused() {
        let refused = |value: Value| {
            let mut draft = Draft::default();
            draft.put_all(value);
            draft.finish(&Redaction::default()).unwrap_err().to_string()
        };
        assert_eq!(
            refused(json!([1])),
            "metadata is an array; it must be a JSON object"
        );
        assert_eq!(
            refused(json!({"k": "x".repeat(MAX_METADATA)})),
            "metadata is 262152 bytes of JSON; at most 262144 are kept",
        );
        let whole = "x".repeat(MAX_METADATA - 8);
        check(json!({ "k": whole }), json!({ "k": whole }));
    }

    #[test]
    fn names_have_bounds() {
        assert!(check_name("n".repeat(128)).is_ok());
        assert!(check_name("n".repeat(129)).is_err());
        assert!(check_name(String::new()).is_err());
    }
}
