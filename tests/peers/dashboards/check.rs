//! What is wrong with an answer. Each check returns findings, so that a test
//! can show that it finds what has been broken.

use super::{
    ask::Series,
    promql::{Promise, legend_labels, promises},
    run::Row,
};

/// Everything that is wrong with a row, its emptiness left aside.
pub(crate) fn findings(row: &Row) -> Vec<String> {
    let mut found = row.findings.clone();
    found.extend(row.answer.error.clone());
    found.extend(
        row.answer
            .notes
            .iter()
            .map(|note| format!("Prometheus doubts: {note}")),
    );
    match promises(&row.sent) {
        Ok(promises) => found.extend(labels(row, &promises)),
        Err(error) => found.push(format!("cannot be parsed: {error}")),
    }
    found.extend(numbers(row));
    found.iter().map(|what| said(row, what)).collect()
}

/// Whether a row shows nothing: no number among the series that its query is
/// about. What stands behind an `or` only fills the panel.
pub(crate) fn is_empty(row: &Row) -> bool {
    let promises = promises(&row.sent).unwrap_or_default();
    let main = promises.first().cloned().flatten();
    let shows = |series: &&Series| series.points.iter().any(|point| point.1.is_finite());
    let about = |series: &&Series| match (&main, promises.len()) {
        (Some(main), 2..) => main.iter().all(|label| series.labels.contains_key(label)),
        _ => true,
    };
    !row.answer
        .series
        .iter()
        .any(|series| shows(&series) && about(&series))
}

/// A finding, and where.
pub(crate) fn said(row: &Row, what: &str) -> String {
    let Row {
        board,
        panel,
        job,
        sent,
        target,
        ..
    } = row;
    let reference = &target.reference;
    format!("{board} / {panel} / {reference} ({job}): {what}: {sent}")
}

/// Each series has the labels that the query promises, and those that the
/// legend names.
fn labels(row: &Row, promises: &[Promise]) -> Vec<String> {
    let legend = row.target.legend.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    if row.sent.contains("ALERTS{") {
        return alert_labels(row, promises);
    }
    for series in &row.answer.series {
        let kept = promises.iter().any(|promise| match promise {
            Some(labels) => {
                labels.iter().eq(series.labels.keys()) || {
                    // A name stays where a function leaves it.
                    let named = |label: &&String| *label != "__name__";
                    labels.iter().eq(series.labels.keys().filter(named))
                }
            }
            None => true,
        });
        if !kept {
            found.push(format!(
                "{:?} has other labels than {promises:?}",
                series.labels
            ));
        }
        for label in legend_labels(legend) {
            if !series.labels.contains_key(label) {
                found.push(format!(
                    "the legend's {label} is not in {:?}",
                    series.labels
                ));
            }
        }
    }
    found.dedup();
    found.truncate(3);
    found
}

/// Alerts have labels of their own each: what is promised is in one of them, or of
/// those that not every alert has.
fn alert_labels(row: &Row, promises: &[Promise]) -> Vec<String> {
    const OF_SOME: [&str; 2] = ["instance", "task_name"];
    let promised = promises.iter().flatten().flatten();
    let missing = promised.filter(|label| {
        let mut series = row.answer.series.iter();
        !OF_SOME.contains(&label.as_str()) && series.any(|it| !it.labels.contains_key(*label))
    });
    missing
        .map(|label| format!("{label} is not in each alert"))
        .collect()
}

/// Nothing is shown that is not a number.
fn numbers(row: &Row) -> Vec<String> {
    let mut found = Vec::new();
    for series in &row.answer.series {
        let points = series.points.iter();
        let wrong: Vec<_> = points.filter(|point| !point.1.is_finite()).collect();
        if let Some((at, value)) = wrong.last() {
            let (count, all, labels) = (wrong.len(), series.points.len(), &series.labels);
            let before = row.window.to - at;
            found.push(format!(
                "{value} in {count} of {all} points, last {before} s before the end, of {labels:?}"
            ));
        }
    }
    found.truncate(2);
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dashboards::{
        ask::{Answer, Window},
        board::Target,
    };

    const BY_NAME: &str = "sum by (task_name) (taskpulse_task_active{job=\"taskpulse\"})";

    /// A row of an instant query with one series.
    fn row(query: &str, legend: &str, labels: &[(&str, &str)], value: f64) -> Row {
        let mut target = Target::instant(query);
        target.legend = Some(legend.to_owned());
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let points = vec![(0.0, value)];
        Row {
            board: "board".to_owned(),
            panel: "panel".to_owned(),
            job: "taskpulse".to_owned(),
            target,
            sent: query.to_owned(),
            window: Window {
                from: 0.0,
                to: 0.0,
                step: 1.0,
            },
            answer: Answer {
                series: vec![Series { labels, points }],
                ..Answer::default()
            },
            findings: Vec::new(),
        }
    }

    #[track_caller]
    fn check(row: &Row, wanted: &str) {
        let found = findings(row);
        match wanted {
            "" => assert!(found.is_empty(), "{found:#?}"),
            wanted => assert!(found.iter().any(|it| it.contains(wanted)), "{found:#?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_found() {
        let named = [("task_name", "cleanup")];
        let good = row(BY_NAME, "{{task_name}}", &named, 1.0);
        check(&good, "");
        check(&row(BY_NAME, "{{name}}", &named, 1.0), "the legend's name");
        check(&row(BY_NAME, "", &[], 1.0), "has other labels");
        check(&row(BY_NAME, "", &named, f64::NAN), "NaN in 1 of 1");
        check(&row(BY_NAME, "", &named, f64::INFINITY), "inf in 1 of 1");
        check(&row("sum by (", "", &[], 1.0), "cannot be parsed");
        let mut doubted = good.clone();
        doubted
            .answer
            .notes
            .push("might not be a counter".to_owned());
        check(&doubted, "Prometheus doubts: might not");
        let mut failed = good;
        failed.answer.error = Some("bad_data".to_owned());
        check(&failed, "bad_data");
    }

    #[test]
    fn what_only_fills_a_panel_is_nothing() {
        let or = format!("{BY_NAME} or vector(0)");
        assert!(is_empty(&row(&or, "", &[], 0.0)));
        assert!(!is_empty(&row(&or, "", &[("task_name", "a")], 0.0)));
        assert!(is_empty(&row(BY_NAME, "", &[("task_name", "a")], f64::NAN)));
        let mut nothing = row(BY_NAME, "", &[], 0.0);
        nothing.answer.series.clear();
        assert!(is_empty(&nothing));
    }
}
