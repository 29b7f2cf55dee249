//! What is true at a quiet moment: after the traffic, with nothing under way but
//! the tasks that the test has begun.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    JOBS,
    ask::{self, Series},
    check::said,
    promql,
    run::Row,
    site::{Site, now},
    traffic::Done,
};
use crate::harness::Process;

/// The job under which the collector tells of itself.
const COLLECTOR: &str = "otel-collector";

/// Names of states that count as bad.
const BAD: &str = "failed|timed_out|interrupted";

/// Targets that Prometheus does not reach, and rules that it cannot evaluate.
pub(crate) fn prometheus(site: &Site) -> Vec<String> {
    let targets = ask::api(site.prometheus, "/api/v1/targets?state=active");
    let targets = targets["activeTargets"].as_array().expect("targets");
    let down = targets.iter().filter(|target| target["health"] != "up");
    let rules = ask::api(site.prometheus, "/api/v1/rules");
    let groups = rules["groups"].as_array().expect("groups");
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    let ill = rules.iter().filter(|rule| rule["health"] != "ok");
    println!(
        "Prometheus: {} targets, {} rules",
        targets.len(),
        rules.len()
    );
    assert!(!targets.is_empty() && !rules.is_empty());
    let found = down.chain(ill.copied());
    found.map(|what| format!("Prometheus: {what}")).collect()
}

/// Tasks that each instance says are running, by name: those of which `counts` holds.
fn registry(instances: &[&Process], counts: impl Fn(&Value) -> bool) -> BTreeMap<String, f64> {
    let mut running = BTreeMap::new();
    for instance in instances {
        let page = instance.get("/tasks?state=running&limit=1000").json();
        let tasks = page["tasks"].as_array().expect("tasks").iter();
        for task in tasks.filter(|task| counts(task)) {
            let name = task["name"].as_str().expect("a name").to_owned();
            *running.entry(name).or_insert(0.0) += 1.0;
        }
    }
    running
}

/// What a query gives now, for each job.
fn each(site: &Site, query: &str) -> [f64; 2] {
    JOBS.map(|job| {
        let query = query.replace("JOB", job);
        ask::instant(site.prometheus, &query, now()).sum()
    })
}

/// The counters of both copies are those of the traffic.
pub(crate) fn counters(site: &Site, done: Done, begun_here: f64) -> Vec<String> {
    let rows = [
        ("begun", r#"task_state="running""#, done.begun + begun_here),
        ("succeeded", r#"task_state="succeeded""#, done.succeeded),
        (
            "failed",
            r#"task_state="failed""#,
            done.failed + done.panicked,
        ),
        (
            "bad",
            &format!("task_state=~\"{BAD}\""),
            done.failed + done.panicked,
        ),
    ];
    let mut found = Vec::new();
    for (what, matcher, wanted) in rows {
        let query = format!("sum(taskpulse_task_transitions_total{{job=\"JOB\",{matcher}}})");
        let got = each(site, &query);
        println!("{what}: traffic {wanted}, Prometheus {got:?}");
        if got != [wanted; 2] {
            found.push(format!("{what}: traffic says {wanted}, {query} {got:?}"));
        }
    }
    let rejected = each(
        site,
        r#"sum(taskpulse_task_rejected_total{job="JOB",reason="capacity"})"#,
    );
    if rejected != [done.rejected; 2] {
        found.push(format!(
            "rejected: traffic says {}, Prometheus {rejected:?}",
            done.rejected
        ));
    }
    found
}

/// The newest values of a row whose query selects `metric` plainly, by name.
fn by_name(row: &Row) -> BTreeMap<String, f64> {
    let series = row.answer.series.iter();
    series
        .map(|series| (series.label("task_name").to_owned(), series.last()))
        .filter(|(_, value)| *value != 0.0)
        .collect()
}

/// Every row that shows active tasks by name shows those of the registry.
pub(crate) fn active(rows: &[Row], site: &Site) -> Vec<String> {
    let wanted = registry(&[&site.taskpulse, &site.demo], |_| true);
    shown(rows, "active", &wanted)
}

/// So does every row that shows those that are overdue, or stalled.
pub(crate) fn late(rows: &[Row], site: &Site) -> Vec<String> {
    let instances = [&site.taskpulse, &site.demo];
    let mut found = Vec::new();
    for condition in ["overdue", "stalled"] {
        let wanted = registry(&instances, |task| task[condition] == true);
        if wanted.is_empty() {
            found.push(format!("no task is {condition}"));
        }
        found.extend(shown(rows, condition, &wanted));
    }
    found
}

/// Rows that show this gauge of tasks by name, and not what was wanted.
fn shown(rows: &[Row], gauge: &str, wanted: &BTreeMap<String, f64>) -> Vec<String> {
    let start = format!("sum by (task_name) (taskpulse_task_{gauge}{{");
    let shows = |row: &&Row| row.sent.starts_with(&start);
    let rows: Vec<&Row> = rows.iter().filter(shows).collect();
    let mut found = Vec::new();
    if rows.len() < JOBS.len() {
        found.push(format!("no panel shows {gauge} tasks by name"));
    }
    for row in rows {
        let got = by_name(row);
        let (panel, job) = (&row.panel, &row.job);
        println!("{gauge}: registry {wanted:?}, {panel} {got:?} ({job})");
        if got != *wanted {
            found.push(said(row, &format!("{got:?} {gauge}, registry {wanted:?}")));
        }
    }
    found
}

/// Lower quantiles are not above higher ones, wherever a panel shows several.
pub(crate) fn quantiles(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compared = 0;
    let quantile = |row: &Row| -> Option<(f64, String)> {
        let (before, after) = row.sent.split_once("histogram_quantile(")?;
        let (quantile, rest) = after.split_once(',')?;
        Some((quantile.trim().parse().ok()?, format!("{before}{rest}")))
    };
    for low in rows {
        for high in rows {
            let same = low.job == high.job && low.board == high.board && low.panel == high.panel;
            let (Some(one), Some(other)) = (quantile(low), quantile(high)) else {
                continue;
            };
            if !same || one.1 != other.1 || one.0 >= other.0 {
                continue;
            }
            for series in &low.answer.series {
                let twin = high
                    .answer
                    .series
                    .iter()
                    .find(|it| it.labels == series.labels);
                let Some(twin) = twin else {
                    continue;
                };
                for (at, value) in &series.points {
                    let higher = twin.points.iter().find(|point| point.0 == *at);
                    compared += 1;
                    if higher.is_some_and(|point| point.1 < *value) {
                        let what = format!("p{} is above p{} at {at}", one.0, other.0);
                        found.push(said(low, &what));
                    }
                }
            }
        }
    }
    for row in rows {
        let legend = row.target.legend.as_deref().unwrap_or_default();
        if let Some((number, _)) = quantile(row)
            && let Some((_, said_so)) = legend.rsplit_once('p')
            && said_so
                .parse()
                .is_ok_and(|said_so: f64| said_so != (number * 100.0).round())
        {
            found.push(said(row, &format!("{legend} is the quantile {number}")));
        }
    }
    println!("quantiles: {compared} points compared");
    if compared == 0 {
        found.push("no panel shows two quantiles of the same".to_owned());
    }
    found
}

/// The share of tasks that ended well is that of the traffic.
pub(crate) fn ratios(rows: &[Row], done: Done) -> Vec<String> {
    /// An increase is guessed at both ends of its window.
    const CLOSE: f64 = 0.02;
    let of_all = |row: &&Row| {
        let one = row
            .answer
            .series
            .iter()
            .all(|series| series.labels.is_empty());
        one && row.sent.contains("task_state=\"succeeded\"") && row.sent.contains("increase(")
    };
    let rows: Vec<&Row> = rows.iter().filter(of_all).collect();
    let mut found = Vec::new();
    if rows.len() < JOBS.len() {
        found.push("no panel shows the share of tasks that succeeded".to_owned());
    }
    for row in rows {
        let (wanted, got) = (done.success(), row.answer.sum());
        println!(
            "success: traffic {wanted:.4}, {} {got:.4} ({})",
            row.panel, row.job
        );
        if (wanted - got).abs() > CLOSE || got.is_nan() {
            found.push(said(
                row,
                &format!("{got} succeeded, traffic says {wanted}"),
            ));
        }
    }
    found
}

/// No query adds up two jobs: each selector names one, its dashboard's or the
/// collector's. And neither copy shows what both together would.
pub(crate) fn copies(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compared = 0;
    for row in rows {
        let jobs = promql::jobs(&row.sent);
        let known = |job: &Option<String>| {
            job.as_deref()
                .is_some_and(|job| job == row.job || job == COLLECTOR)
        };
        // The alerts are those of all jobs, and a line across selects nothing.
        if !row.sent.contains("ALERTS{") && !jobs.iter().all(known) {
            found.push(said(row, &format!("selects the jobs {jobs:?}")));
        }
        let twin = rows.iter().find(|other| {
            let same = (&other.board, &other.panel, &other.target.text);
            other.job != row.job && same == (&row.board, &row.panel, &row.target.text)
        });
        let Some(twin) = twin.filter(|_| row.job == JOBS[0]) else {
            continue;
        };
        for series in &row.answer.series {
            let pair = twin
                .answer
                .series
                .iter()
                .find(|other| other.labels == series.labels);
            let (one, Some(other)) = (series.last(), pair.map(Series::last)) else {
                continue;
            };
            compared += 1;
            // A scrape is a request in work where it is scraped, which is not pushed.
            let doubled = one.max(other) > 1.6 * one.min(other) && (one - other).abs() > 2.0;
            // What is of some seconds differs by when each copy was taken.
            // So does what waits for a moment: running tasks export checkpoints.
            let of_seconds = ["rate(", "rate_interval", "taskpulse_telemetry_queue"];
            let short = of_seconds
                .iter()
                .any(|it| row.sent.contains(it) || row.target.text.contains(it));
            if doubled && !short {
                let labels = &series.labels;
                let what = format!("{one} here, {other} in the other copy: {labels:?}");
                found.push(said(row, &what));
            }
        }
    }
    println!("copies: {compared} series compared");
    found
}
