//! What Grafana puts in the place of `$name`, `${name}`, `${name:format}` and
//! `[[name]]`, in queries of Prometheus and in links.

use std::collections::BTreeMap;

/// What stands for the names of a dashboard at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(BTreeMap<String, Chosen>);

/// What is chosen for a name.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) values: Vec<String>,
    /// Several may be chosen, or all: a query takes it as a regular expression.
    pub(crate) many: bool,
    /// Taken as it is: times, and what a dashboard says stands for all.
    pub(crate) raw: bool,
}

/// For what a text is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Query,
    Link,
}

// === impl Scope ===

impl Scope {
    pub(crate) fn set(&mut self, name: &str, chosen: Chosen) {
        self.0.insert(name.to_owned(), chosen);
    }

    /// A value that nobody chooses.
    pub(crate) fn set_raw(&mut self, name: &str, value: impl Into<String>) {
        self.set(
            name,
            Chosen {
                values: vec![value.into()],
                many: false,
                raw: true,
            },
        );
    }

    /// A value that is encoded where a place demands it.
    pub(crate) fn set_text(&mut self, name: &str, value: impl Into<String>) {
        self.set(name, Chosen::these(vec![value.into()], false));
    }

    /// The only value of a name.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        match self.0.get(name)?.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The text with everything filled in, and the names that nothing stands for.
    pub(crate) fn fill(&self, text: &str, place: Place) -> (String, Vec<String>) {
        let (mut filled, mut unknown) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find('$').into_iter().chain(rest.find("[[")).min() {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some((name, format, length)) = reference(rest) else {
                filled.push('$');
                rest = &rest[1..];
                continue;
            };
            match self.value(name, format, place) {
                Some(value) => filled.push_str(&value),
                None => {
                    unknown.push(name.to_owned());
                    filled.push_str(&rest[..length]);
                }
            }
            rest = &rest[length..];
        }
        filled.push_str(rest);
        (filled, unknown)
    }

    fn value(&self, name: &str, format: Option<&str>, place: Place) -> Option<String> {
        if name == "__all_variables" {
            let plain = self.0.iter().filter(|(name, _)| !name.starts_with("__"));
            let parts = plain.map(|(name, chosen)| chosen.as_parameters(name));
            return Some(parts.collect::<Vec<_>>().join("&"));
        }
        let name = name.replace("[\"", ".").replace("\"]", "");
        let chosen = self.0.get(&name)?;
        chosen.formatted(&name, format, place)
    }
}

/// The name and the format that a text begins with, and how long both are.
fn reference(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let (inner, length) = if let Some(inner) = text.strip_prefix("${") {
        let end = inner.find('}')?;
        (&inner[..end], end + 3)
    } else if let Some(inner) = text.strip_prefix("[[") {
        let end = inner.find("]]")?;
        (&inner[..end], end + 4)
    } else {
        let inner = &text[1..];
        let end = inner
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(inner.len());
        (&inner[..end], end + 1)
    };
    let (name, format) = match inner.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (inner, None),
    };
    let starts_well =
        name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts_well.then_some((name, format, length))
}

// === impl Chosen ===

impl Chosen {
    pub(crate) fn these(values: Vec<String>, many: bool) -> Self {
        Self {
            values,
            many,
            raw: false,
        }
    }

    fn formatted(&self, name: &str, format: Option<&str>, place: Place) -> Option<String> {
        let joined = |each: fn(&str) -> String| {
            let all: Vec<_> = self.values.iter().map(|value| each(value)).collect();
            match all.as_slice() {
                [one] => one.clone(),
                several => format!("({})", several.join("|")),
            }
        };
        let glob = || match self.values.as_slice() {
            [one] => one.clone(),
            several => format!("{{{}}}", several.join(",")),
        };
        Some(match (format, place) {
            (None, _) if self.raw => glob(),
            (None, Place::Query) if self.many => joined(escaped_in_string),
            (None, Place::Query) => glob().replace('\\', "\\\\").replace('"', "\\\""),
            (None, Place::Link) => as_uri(&glob(), ";,/?:@&=+$-_.!~*'()#"),
            (Some("raw"), _) => glob(),
            (Some("regex"), _) => joined(escaped),
            (Some("pipe"), _) => self.values.join("|"),
            (Some("csv"), _) => self.values.join(","),
            (Some("percentencode"), _) => as_uri(&glob(), "-_.~"),
            (Some("queryparam"), _) => self.as_parameters(name),
            (Some(_), _) => return None,
        })
    }

    fn as_parameters(&self, name: &str) -> String {
        if self.raw && self.many {
            return format!("var-{name}=%24__all");
        }
        let each = self.values.iter();
        let each = each.map(|value| format!("var-{name}={}", as_uri(value, "-_.~")));
        each.collect::<Vec<_>>().join("&")
    }
}

const SPECIAL: &str = "$^*{}[]'+?.()|";

/// A value as a regular expression that finds it.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for letter in value.chars() {
        if SPECIAL.contains(letter) || "\\/-".contains(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// The same between the quotes of a query, where a backslash is written twice.
fn escaped_in_string(value: &str) -> String {
    let mut text = String::new();
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\\\\\"),
            '"' => text.push_str("\\\\\\\""),
            letter if SPECIAL.contains(letter) => {
                text.push_str("\\\\");
                text.push(letter);
            }
            letter => text.push(letter),
        }
    }
    text
}

/// A text as a part of a URL, these letters as they are.
fn as_uri(text: &str, plain: &str) -> String {
    let mut uri = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        match byte.is_ascii_alphanumeric() || (byte.is_ascii() && plain.contains(letter)) {
            true => uri.push(letter),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, place: Place, wanted: &str) {
        let mut scope = Scope::default();
        let several = |values: &[&str], many| {
            let values = values.iter().map(|value| (*value).to_owned());
            Chosen::these(values.collect(), many)
        };
        scope.set("job", several(&["task.pulse"], false));
        scope.set("instance", several(&["a:1", "b.c"], true));
        scope.set("name", several(&["a.b"], true));
        scope.set_raw("__rate_interval", "5s");
        scope.set_text("__data.fields.task_name", "two words");
        assert_eq!(scope.fill(text, place).0, wanted);
    }

    #[test]
    fn names_are_filled_in_as_grafana_does() {
        use Place::{Link, Query};
        check(
            r#"{job="$job"}[$__rate_interval]"#,
            Query,
            r#"{job="task.pulse"}[5s]"#,
        );
        check(r#"{i=~"$instance"}"#, Query, r#"{i=~"(a:1|b\\.c)"}"#);
        check(
            r#"{n=~"${name}",l=~"x$"}"#,
            Query,
            r#"{n=~"a\\.b",l=~"x$"}"#,
        );
        check(
            "/search?service=${job}&i=$instance",
            Link,
            "/search?service=task.pulse&i=%7Ba:1,b.c%7D",
        );
        check(
            "${instance:queryparam}",
            Link,
            "var-instance=a%3A1&var-instance=b.c",
        );
        check(
            "${__data.fields.task_name:percentencode}",
            Link,
            "two%20words",
        );
        check("${__data.fields[\"task_name\"]}", Link, "two%20words");
        check("$nothing [[job]]", Query, "$nothing task.pulse");
    }
}
