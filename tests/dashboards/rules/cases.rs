//! promtool's cases, counted. Their names are `ALERT [PROBLEM] fires: WHY` and
//! `ALERT [PROBLEM] silent: WHY`.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use super::{Rules, file, list, text, yaml};

const FOLDER: &str = "dashboards/prometheus";

/// One case: what it says it tries, and what it expects.
struct Case {
    /// Until `fires` or `silent`.
    title: String,
    fires: bool,
    alert: String,
    expected: Vec<Value>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(file(FOLDER)).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("we named it");
        if !name.starts_with("rules_test") {
            continue;
        }
        let yaml = yaml(&format!("{FOLDER}/{name}"));
        let rules = list(&yaml, "rule_files");
        assert_eq!(rules, [Value::from("rules.yml")], "{name}");
        for test in list(&yaml, "tests") {
            let [ref tried] = *list(test, "alert_rule_test") else {
                panic!("{name}: one question a case, not {test}");
            };
            cases.push(Case::read(&text(test, "name"), tried));
        }
    }
    cases
}

// === impl Case ===

impl Case {
    fn read(name: &str, tried: &Value) -> Self {
        let (head, why) = name.split_once(": ").expect(name);
        let (title, word) = head.rsplit_once(' ').expect(name);
        assert!(["fires", "silent"].contains(&word), "{name}");
        assert!(!why.is_empty(), "{name}");
        Self {
            title: title.to_owned(),
            fires: word == "fires",
            alert: text(tried, "alertname"),
            expected: list(tried, "exp_alerts").to_vec(),
        }
    }
}

#[test]
fn a_case_expects_what_its_name_says() {
    for case in cases() {
        let Case { title, alert, .. } = &case;
        let (name, problem) = title.split_once(' ').unwrap_or((title, ""));
        assert_eq!(name, alert);
        assert_eq!(case.fires, !case.expected.is_empty(), "{title}");
        for expected in &case.expected {
            let labels = &expected["exp_labels"];
            assert_eq!(labels["problem"].as_str().unwrap_or(""), problem, "{title}");
            assert!(labels["severity"].is_string(), "{title}");
            for annotation in ["summary", "description", "runbook", "dashboard"] {
                let said = &expected["exp_annotations"][annotation];
                assert!(said.is_string(), "{title}: {annotation}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_case_where_it_fires_and_one_where_it_is_silent() {
    let mut counted = BTreeMap::<_, [usize; 2]>::new();
    for case in cases() {
        counted.entry(case.title).or_default()[usize::from(case.fires)] += 1;
    }
    for alert in Rules::shipped().alerts {
        let title = alert.title();
        let [silent, fires] = counted.remove(&title).unwrap_or_default();
        assert!(
            fires > 0 && silent > 0,
            "{title}: {fires} fire, {silent} are silent"
        );
    }
    assert!(counted.is_empty(), "no rule has these names: {counted:?}");
}
