//! An instance is killed, and started again with the same store: what it had begun is
//! counted as lost, shown, and found in Jaeger.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    JOBS,
    ask::{self, Series},
    board::Board,
    links::{LOST, clicks},
    run::{Opened, Row, open},
    shipped,
    site::{Site, now},
};
use crate::harness::eventually;

/// Panels that show how many, in all and by name.
const IN_ALL: (&str, &str) = ("taskpulse-overview", "Tasks lost");
const BY_NAME: (&str, &str) = ("taskpulse-tasks", "Tasks that a start found lost, by name");

/// The alert that wakes somebody.
const ALERT: &str = "TaskpulseTasksLost";

/// Kills the second instance while tasks run there.
pub(crate) fn findings(site: &mut Site, boards: &[Board]) -> Vec<String> {
    let page = site.demo.get("/tasks?state=running&limit=1000").json();
    let tasks = page["tasks"].as_array().expect("tasks").clone();
    assert!(!tasks.is_empty(), "nothing runs");
    site.restart_demo(&[]);
    let lost = r#"taskpulse_task_transitions_total{instance="demo",task_state="lost"}"#;
    let wanted = tasks.len() * JOBS.len();
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let all = |count: f64| count == wanted as f64;
    eventually("each running task is lost, in both copies", || {
        all(ask::instant(site.prometheus, lost, now()).sum())
    });
    // A panel ends at a multiple of its step, which is 5 s for an hour.
    site.await_scrapes(7);

    let mut found = Vec::from_iter(alert(site, &tasks));
    for job in JOBS {
        for board in boards {
            let opened = open(board, &site.visit(job));
            found.extend(shown(board, &opened, &tasks));
            found.extend(traces(site, board, &opened, &tasks));
        }
    }
    found
}

/// How many of each name.
fn by_name(tasks: &[Value]) -> BTreeMap<String, f64> {
    let mut names = BTreeMap::new();
    for task in tasks {
        let name = task["name"].as_str().expect("a name").to_owned();
        *names.entry(name).or_insert(0.0) += 1.0;
    }
    names
}

/// The alert's expression says of each name how many.
fn alert(site: &Site, tasks: &[Value]) -> Option<String> {
    let alert = shipped::alerts().into_iter().find(|it| it.name == ALERT)?;
    let answer = ask::instant(site.prometheus, &alert.expression, now());
    let said = counted(&answer.series);
    println!("{ALERT}: {said:?}");
    (said != by_name(tasks)).then(|| format!("{ALERT} says {said:?} of {:?}", by_name(tasks)))
}

fn counted(series: &[Series]) -> BTreeMap<String, f64> {
    let some = series.iter().filter(|series| series.last() != 0.0);
    some.map(|series| (series.label("task_name").to_owned(), series.last()))
        .collect()
}

fn shown(board: &Board, opened: &Opened, tasks: &[Value]) -> Vec<String> {
    let of = |panel: (&'static str, &'static str)| {
        let here = move |row: &&Row| board.uid == panel.0 && row.panel == panel.1;
        opened.rows.iter().filter(here)
    };
    let mut found = Vec::new();
    for row in of(IN_ALL) {
        let count = row.answer.sum();
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        if count != tasks.len() as f64 {
            found.push(format!("{IN_ALL:?} of {} shows {count}", row.job));
        }
    }
    for row in of(BY_NAME) {
        let names = counted(&row.answer.series);
        if names != by_name(tasks) {
            found.push(format!("{BY_NAME:?} of {} shows {names:?}", row.job));
        }
    }
    found
}

/// Each of them is found by a click, with its error.
fn traces(site: &Site, board: &Board, opened: &Opened, tasks: &[Value]) -> Vec<String> {
    let all = clicks(board, opened);
    let all: Vec<_> = all.iter().filter(|click| click.title == LOST).collect();
    let base = opened.scope.one("jaeger_url").unwrap_or_default();
    let mut found = Vec::new();
    for task in tasks {
        let name = task["name"].as_str().expect("a name");
        let operation = format!("operation={name}&");
        let click = all
            .iter()
            .find(|it| it.instance == "demo" && it.url.contains(&operation));
        let Some(click) = click else {
            // Two of the four dashboards have none.
            let missing = !all.is_empty();
            found.extend(missing.then(|| format!("{}: no link for {name}", board.uid)));
            continue;
        };
        let traces = click.traces(base, &site.jaeger);
        let spans = traces
            .iter()
            .flatten()
            .filter_map(|it| it["spans"].as_array());
        let span = spans.flatten().find(|it| it["spanID"] == task["span_id"]);
        let said = span.map(error);
        println!("lost {name} of {}: {said:?}", board.uid);
        let wanted = "lost: process demo ended without settling it";
        if said.as_deref() != Some(wanted) {
            found.push(format!("lost {name}: {said:?} in {traces:?}"));
        }
    }
    found
}

/// What a span says went wrong.
fn error(span: &Value) -> String {
    let mut tags = span["tags"].as_array().into_iter().flatten();
    let error = tags.find(|tag| tag["key"] == "error.message");
    error.map_or_else(String::new, |tag| {
        tag["value"].as_str().unwrap_or_default().to_owned()
    })
}
