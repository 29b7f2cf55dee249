//! The files that are shipped, with addresses, paths and intervals of this run
//! in the place of theirs. What is to be replaced has to be there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

const RULES: &str = "dashboards/prometheus/rules.yml";

/// A file of the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A YAML file as data.
pub(crate) fn yaml(name: &str) -> Value {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file's text with these in the place of those.
#[track_caller]
pub(crate) fn with(name: &str, replaced: &[(&str, String)]) -> String {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    replaced.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from:?} to replace");
        text.replace(from, to)
    })
}

/// The variables that compose sets for a service, defaults filled in.
pub(crate) fn environment(service: &str) -> BTreeMap<String, String> {
    let compose = yaml("docker-compose.yml");
    let environment = &compose["services"][service]["environment"];
    let pairs: Vec<(String, String)> = match environment {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (name.clone(), text)
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        _ => Vec::new(),
    };
    assert!(
        !pairs.is_empty(),
        "{service} has no environment in docker-compose.yml"
    );
    pairs
        .into_iter()
        .map(|(name, value)| (name, defaulted(&value)))
        .collect()
}

/// `${NAME:-default}` with its default.
fn defaulted(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (inner, following) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(inner.split_once('-').map_or("", |(_, default)| default));
        rest = following;
    }
    filled + rest
}

/// The uids of the data sources that Grafana is provisioned with, the default
/// one first.
pub(crate) fn sources(kind: &str) -> Vec<String> {
    let file = yaml("dashboards/grafana/provisioning/datasources/taskpulse.yaml");
    let mut sources: Vec<_> = file["datasources"]
        .as_array()
        .expect("data sources")
        .iter()
        .filter(|source| source["type"] == kind)
        .collect();
    sources.sort_by_key(|source| source["isDefault"] != true);
    let uids = sources
        .iter()
        .map(|source| source["uid"].as_str().expect("a uid").to_owned());
    uids.collect()
}

/// The shipped rules with each group evaluated at this interval; as JSON.
pub(crate) fn rules(interval: &str) -> String {
    let mut rules = yaml(RULES);
    let groups = rules["groups"].as_array_mut().expect("groups");
    for group in groups {
        group["interval"] = interval.into();
    }
    rules.to_string()
}

/// A shipped alert.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    /// With the problem, where several rules share a name.
    pub(crate) name: String,
    pub(crate) expression: String,
    /// Whether it wakes somebody.
    pub(crate) pages: bool,
}

pub(crate) fn alerts() -> Vec<Alert> {
    let rules = yaml(RULES);
    let groups = rules["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    rules
        .filter_map(|rule| {
            let name = rule["alert"].as_str()?;
            let problem = rule["labels"]["problem"].as_str();
            Some(Alert {
                name: problem.map_or(name.to_owned(), |problem| format!("{name} ({problem})")),
                expression: rule["expr"].as_str().expect("an expression").to_owned(),
                pages: rule["labels"]["severity"] == "page",
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_defaults_are_filled_in() {
        assert_eq!(defaulted("a${X:-b}c${Y-d}${Z}"), "abcd");
    }
}
