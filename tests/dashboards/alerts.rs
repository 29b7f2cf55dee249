//! That a panel turns red where an alert fires: both say the same number.

use std::{collections::BTreeMap, fs};

use promql_parser::parser::Expr;
use serde_json::Value;

use crate::{
    file,
    promql::{children, number, parse},
    source::{
        self,
        model::{Column, Dashboard, Kind, Step},
    },
};

/// A number that an alert compares with, and whether what equals it fires as well.
type Compared = (f64, bool);

/// Units of what is counted in whole numbers.
const COUNTS: [&str; 2] = ["none", "short"];

const RULES: &str = "dashboards/prometheus/rules.yml";

/// The numbers that each alert compares with, by its name.
fn compared() -> BTreeMap<String, Vec<Compared>> {
    let text = fs::read_to_string(file(RULES)).unwrap_or_else(|error| panic!("{RULES}: {error}"));
    let yaml: Value = serde_saphyr::from_str(&text).expect(RULES);
    let groups = yaml["groups"].as_array().expect("a list").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("a list"));
    let mut alerts = BTreeMap::<_, Vec<_>>::new();
    for rule in rules {
        let (name, expr) = (rule["alert"].as_str(), rule["expr"].as_str());
        let query = parse(expr.expect("each rule has one")).expect("promtool has read it");
        if let Some(name) = name {
            let numbers = alerts.entry(name.to_owned()).or_default();
            right_hand(query.expr(), numbers);
        }
    }
    alerts
}

fn right_hand(expr: &Expr, numbers: &mut Vec<Compared>) {
    if let Expr::Binary(it) = expr
        && it.op.is_comparison_operator()
    {
        let equal = [">=", "=="].contains(&it.op.to_string().as_str());
        numbers.extend(number(&it.rhs).map(|value| (value, equal)));
    }
    for child in children(expr) {
        right_hand(child, numbers);
    }
}

/// The thresholds of all its panels and columns, each with its unit.
fn steps(dashboard: &Dashboard) -> Vec<(&Step, &str)> {
    let mut steps = Vec::new();
    for panel in &dashboard.panels {
        steps.extend(panel.steps.iter().map(|step| (step, panel.unit)));
        if let Kind::Table { columns, .. } = &panel.kind {
            for Column {
                steps: own, unit, ..
            } in columns
            {
                steps.extend(own.iter().map(|step| (step, *unit)));
            }
        }
    }
    steps
}

/// A panel is red from its threshold on. Of what is counted, the first above a whole
/// number is the next one; of other things none is, and the number itself is close.
fn is_said(value: f64, unit: &str, compared: &[Compared]) -> bool {
    let counts = COUNTS.contains(&unit);
    compared.iter().any(|&(number, equal)| {
        let next = counts && !equal && number.fract() == 0.0;
        let first = if next { number + 1.0 } else { number };
        (first - value).abs() < 1e-9
    })
}

#[test]
fn thresholds_are_those_of_the_alerts() {
    let alerts = compared();
    let mut held = 0;
    for (file, dashboard) in source::all() {
        for (step, unit) in steps(&dashboard) {
            let Some(alert) = step.alert else { continue };
            let Some(compared) = alerts.get(alert) else {
                panic!("{file}: there is no alert {alert}");
            };
            let value = step.value;
            assert!(
                is_said(value, unit, compared),
                "{file}: {value} is not of {alert}, which says {compared:?}"
            );
            held += 1;
        }
    }
    assert!(held > 10, "{held} thresholds name an alert");
}

#[test]
fn a_number_is_not_any_number() {
    assert!(is_said(25_920.0, "s", &[(25_920.0, false)]));
    assert!(!is_said(25_921.0, "s", &[(25_920.0, false)]));
    assert!(!is_said(0.25, "s", &[(0.3, false)]));
    assert!(is_said(1.0, "none", &[(0.0, false)]));
    assert!(is_said(3.0, "short", &[(2.0, false)]));
    assert!(!is_said(2.0, "none", &[(2.0, false)]));
    assert!(is_said(2.0, "none", &[(2.0, true)]));
    assert!(is_said(14.5, "short", &[(14.5, false)]));
    assert!(!is_said(1.0, "none", &[(900.0, false), (0.5, false)]));
}
