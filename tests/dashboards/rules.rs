//! That an alert means something: it selects what exists, says what it is and where
//! to look, has a section of the runbook, and a case of promtool's for each side of
//! its threshold. Whether the cases hold is promtool's to say: `tests/peers/rules.rs`.

mod cases;
mod runbook;

use std::{collections::BTreeSet, fs};

use promql_parser::{label::MatchOp, parser::Expr};
use serde_json::Value;

use crate::{
    file,
    names::Names,
    promql::{Query, Selector, children, listed, parse},
    source,
};

const RULES: &str = "dashboards/prometheus/rules.yml";

/// What may wake a person.
const PAGES: [&str; 6] = [
    "TaskpulseDown",
    "TaskpulseNearPlatformLimit",
    "TaskpulsePingStampWrong",
    "TaskpulseStuckBusy",
    "TaskpulseTasksLost",
    "TaskpulseTelemetryLost",
];

/// What Prometheus and the platform add to what is declared.
const OF_OTHERS: [(&str, &[&str]); 2] = [
    ("up", &["job", "instance"]),
    ("target_info", &["aws_service_type"]),
];

/// Metrics that other programs have under the same names.
const SHARED: [&str; 4] = ["http_server_", "process_", "target_info", "up"];

/// A rule that alerts. Several may have one name; `problem` tells them apart.
#[derive(Debug)]
struct Alert {
    name: String,
    problem: Option<String>,
    severity: String,
    summary: String,
    description: String,
    runbook: String,
    dashboard: String,
    query: Query,
}

/// A rule that records.
#[derive(Debug)]
struct Recorded {
    name: String,
    query: Query,
}

/// `rules.yml`.
#[derive(Debug)]
struct Rules {
    alerts: Vec<Alert>,
    recorded: Vec<Recorded>,
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let found = value[key].as_array();
    found.unwrap_or_else(|| panic!("no list of {key} in {value}"))
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    let found = value[key].as_str();
    found
        .unwrap_or_else(|| panic!("no text {key} in {value}"))
        .to_owned()
}

// === impl Rules ===

impl Rules {
    fn shipped() -> Self {
        let (mut alerts, mut recorded) = (Vec::new(), Vec::new());
        let file = yaml(RULES);
        for rule in list(&file, "groups")
            .iter()
            .flat_map(|it| list(it, "rules"))
        {
            let expr = text(rule, "expr");
            let query = parse(&expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
            match rule["record"].as_str() {
                Some(name) => recorded.push(Recorded {
                    name: name.to_owned(),
                    query,
                }),
                None => alerts.push(Alert::read(rule, query)),
            }
        }
        assert!(alerts.len() > 20, "{} alerts", alerts.len());
        Self { alerts, recorded }
    }

    fn names(&self) -> BTreeSet<&str> {
        self.alerts.iter().map(|it| it.name.as_str()).collect()
    }

    fn queries(&self) -> impl Iterator<Item = (&str, &Query)> {
        let alerts = self.alerts.iter().map(|it| (it.name.as_str(), &it.query));
        alerts.chain(self.recorded.iter().map(|it| (it.name.as_str(), &it.query)))
    }
}

// === impl Alert ===

impl Alert {
    fn read(rule: &Value, query: Query) -> Self {
        let (labels, annotations) = (&rule["labels"], &rule["annotations"]);
        Self {
            name: text(rule, "alert"),
            problem: labels["problem"].as_str().map(str::to_owned),
            severity: text(labels, "severity"),
            summary: text(annotations, "summary"),
            description: text(annotations, "description"),
            runbook: text(annotations, "runbook"),
            dashboard: text(annotations, "dashboard"),
            query,
        }
    }

    /// As the cases of promtool's begin.
    fn title(&self) -> String {
        let problem = self.problem.as_ref().map(|it| format!(" {it}"));
        format!("{}{}", self.name, problem.unwrap_or_default())
    }
}

/// The label `name` is selected by this value alone, or by this expression.
fn demands(selector: &Selector<'_>, name: &str, value: &str) -> bool {
    let mut matchers = selector.matchers.iter();
    matchers.any(|it| {
        let by_regex = matches!(it.op, MatchOp::Re(_));
        it.name == name && it.value == value && (by_regex || it.op == MatchOp::Equal)
    })
}

/// The names that a selector may mean: one, or those that its expression spells.
fn meant(selector: &Selector<'_>) -> Vec<String> {
    if !selector.name.is_empty() {
        return vec![selector.name.to_owned()];
    }
    let mut matchers = selector.matchers.iter();
    let spelled = matchers.find(|it| it.name == "__name__");
    spelled.map_or_else(Vec::new, |it| vec![it.value.clone()])
}

/// The labels by which an expression groups or matches, at any depth.
fn grouped_by(expr: &Expr, labels: &mut BTreeSet<String>) {
    match expr {
        Expr::Aggregate(it) => labels.extend(listed(it.modifier.as_ref())),
        Expr::Binary(it) => {
            let matching = it.modifier.as_ref().and_then(|it| it.matching.as_ref());
            labels.extend(listed(matching));
        }
        _ => {}
    }
    for child in children(expr) {
        grouped_by(child, labels);
    }
}

#[test]
fn six_alerts_wake_a_person() {
    let rules = Rules::shipped();
    for alert in &rules.alerts {
        let known = ["page", "ticket"].contains(&alert.severity.as_str());
        assert!(known, "{}: severity {}", alert.name, alert.severity);
        let pages = PAGES.contains(&alert.name.as_str());
        assert_eq!(pages, alert.severity == "page", "{}", alert.name);
    }
    let names = rules.names();
    assert!(PAGES.iter().all(|page| names.contains(page)), "{names:?}");
}

#[test]
fn each_alert_says_what_it_is_and_where_to_look() {
    let boards: Vec<_> = source::all()
        .iter()
        .map(|(_, board)| format!("/d/{}", board.uid))
        .collect();
    for alert in Rules::shipped().alerts {
        let Alert { name, summary, .. } = &alert;
        assert!(name.starts_with("Taskpulse"), "{name}");
        assert!(boards.contains(&alert.dashboard), "{name}: {boards:?}");
        let anchor = format!("dashboards/RUNBOOK.md#{}", name.to_lowercase());
        assert_eq!(alert.runbook, anchor, "{name}");
        assert!(alert.description.ends_with('.'), "{name}");
        // Without a target there is no instance to name.
        let names_it = ["$labels.instance", "$labels.task_name"];
        let named = names_it.iter().any(|it| summary.contains(it));
        assert!(named || name == "TaskpulseAbsent", "{name}: {summary}");
        for raw in ["{{ $value }}", "{{$value}}"] {
            assert!(!summary.contains(raw), "{name}: {summary}");
        }
    }
}

#[test]
fn a_template_uses_labels_that_the_answer_has() {
    let (rules, names) = (Rules::shipped(), Names::golden());
    let recorded = |name: &str| rules.recorded.iter().find(|it| it.name == name);
    let labels = |name: &str| match recorded(name) {
        Some(it) => it.query.grouping(),
        None => names.labels(name).into_iter().chain(others(name)).collect(),
    };
    for alert in &rules.alerts {
        let carried = alert.query.labels(&labels);
        for part in alert.summary.split("$labels.").skip(1) {
            let label = part.split([' ', '}']).next().unwrap_or_default();
            assert!(carried.contains(label), "{}: {label}", alert.name);
        }
    }
}

fn others(name: &str) -> Vec<String> {
    let of_others = OF_OTHERS.iter().filter(|(metric, _)| *metric == name);
    let labels = of_others.flat_map(|(_, labels)| labels.iter());
    labels.map(|&label| label.to_owned()).collect()
}

#[test]
fn every_name_in_a_rule_is_declared() {
    let (rules, names) = (Rules::shipped(), Names::golden());
    for (rule, query) in rules.queries() {
        let mut known =
            BTreeSet::from(["copy", "__name__", "otel_metric_overflow"].map(str::to_owned));
        for selector in query.selectors() {
            for name in meant(&selector) {
                let recorded = rules.recorded.iter().find(|it| it.name == name);
                let declared = names.get(&name).is_some() || !others(&name).is_empty();
                assert!(declared || recorded.is_some(), "{rule}: {name}");
                known.extend(names.labels(&name));
                known.extend(others(&name));
                known.extend(recorded.into_iter().flat_map(|it| it.query.grouping()));
            }
            for matcher in selector.matchers {
                assert!(
                    known.contains(&matcher.name) || matcher.name == "job",
                    "{rule}: {} of {}",
                    matcher.name,
                    selector.name
                );
            }
        }
        let mut used = BTreeSet::new();
        grouped_by(query.expr(), &mut used);
        assert!(used.is_subset(&known), "{rule}: {used:?} of {known:?}");
    }
}

#[test]
fn nothing_alerts_twice_or_on_other_programs() {
    let (rules, names) = (Rules::shipped(), Names::golden());
    for (rule, query) in rules.queries() {
        // What is joined with a metric of ours is ours.
        let mut selectors = query.selectors().into_iter();
        let joined = selectors.any(|it| it.name.starts_with("taskpulse_"));
        for selector in query.selectors() {
            let name = selector.name;
            if rules.recorded.iter().any(|it| it.name == name) {
                continue;
            }
            let meant = meant(&selector);
            let mut metrics = meant.iter().filter_map(|it| names.get(it));
            if metrics.any(|it| it.of_collector) || demands(&selector, "job", "otel-collector") {
                assert!(
                    demands(&selector, "job", "otel-collector"),
                    "{rule}: {name}"
                );
                continue;
            }
            assert!(demands(&selector, "copy", ""), "{rule}: {name} of any copy");
            let shared = name.is_empty() || SHARED.iter().any(|it| name.starts_with(it));
            assert!(
                !shared || joined || demands(&selector, "job", "taskpulse.*"),
                "{rule}: {name} of any program"
            );
        }
    }
}

#[test]
fn jobs_are_never_added_up() {
    for (rule, query) in Rules::shipped().queries() {
        aggregates_by_job(rule, query.expr());
    }
}

fn aggregates_by_job(rule: &str, expr: &Expr) {
    if let Expr::Aggregate(it) = expr {
        let labels = listed(it.modifier.as_ref());
        assert!(labels.contains("job"), "{rule}: {labels:?}");
    }
    for child in children(expr) {
        aggregates_by_job(rule, child);
    }
}

#[test]
fn what_is_recorded_is_used() {
    let rules = Rules::shipped();
    let used: BTreeSet<_> = rules
        .queries()
        .flat_map(|(_, query)| query.selectors())
        .map(|selector| selector.name)
        .collect();
    assert!(rules.recorded.len() > 5, "{:?}", rules.recorded);
    for recorded in &rules.recorded {
        let [level, metric, operation] = recorded.name.split(':').collect::<Vec<_>>()[..] else {
            panic!("{} is no level:metric:operation", recorded.name);
        };
        let by = recorded.query.grouping().into_iter().collect::<Vec<_>>();
        let mut levels = vec![
            level.starts_with("job"),
            !metric.is_empty(),
            !operation.is_empty(),
        ];
        levels.extend(by.iter().map(|label| level.contains(label.as_str())));
        assert!(levels.iter().all(|it| *it), "{}: {by:?}", recorded.name);
        assert!(used.contains(recorded.name.as_str()), "{}", recorded.name);
    }
}
