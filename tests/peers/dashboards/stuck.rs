//! From the first dashboard to the trace of a task that hangs, in three clicks; in two,
//! if it is past its limits.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    JOBS,
    board::Board,
    links::{Click, clicks},
    run::{Opened, open},
    site::Site,
};

/// Where the way begins, and where it goes on: a dashboard, and there a panel and a
/// link.
const FIRST: (&str, &str) = ("taskpulse-overview", "Oldest active task of each name");
const SECOND: (&str, &str) = ("taskpulse-tasks", "The oldest, in Jaeger");

/// The shorter way, by what a task says of itself: a link of the table there.
const SHORT: [(&str, &str); 2] = [
    ("overdue", "Those that became overdue, in Jaeger"),
    ("stalled", "Those that became stalled, in Jaeger"),
];

/// More traces than this nobody looks through. Two of the stuck tasks have one name and
/// begin together.
const MOST: usize = 3;

/// Follows the shorter way for each task that is past a limit.
fn late(site: &Site, board: &Board, opened: &Opened) -> Vec<String> {
    let page = site.demo.get("/tasks?state=running&limit=1000").json();
    let tasks = page["tasks"].as_array().expect("tasks");
    let all = clicks(board, opened);
    let base = opened.scope.one("jaeger_url").unwrap_or_default();
    let mut found = Vec::new();
    for (condition, title) in SHORT {
        for task in tasks.iter().filter(|task| task[condition] == true) {
            let (name, trace) = (&task["name"], &task["trace_id"]);
            let operation = format!("operation={}%20", name.as_str().expect("a name"));
            let click = all.iter().find(|click| {
                let of_it = click.instance == "demo" && click.url.contains(&operation);
                click.title == title && of_it
            });
            let traces = click.map(|click| click.traces(base, &site.jaeger));
            let seen = match &traces {
                Some(Ok(traces)) => traces.iter().any(|it| it["traceID"] == *trace),
                _ => false,
            };
            println!("{condition} {name}: trace {trace} is found: {seen}");
            if !seen {
                found.push(format!("{condition} {name}: {trace} is not in {traces:?}"));
            }
        }
    }
    found
}

/// Follows the way for each name that has an active task.
pub(crate) fn findings(
    site: &Site,
    boards: &[Board],
    opened: &BTreeMap<&str, &Opened>,
    job: &'static str,
) -> Vec<String> {
    let board = |uid: &str| boards.iter().find(|board| board.uid == uid);
    let (Some(first), Some(second)) = (board(FIRST.0), board(SECOND.0)) else {
        return vec![format!("no dashboards {} and {}", FIRST.0, SECOND.0)];
    };
    let page = site.demo.get("/tasks?state=running&limit=1000").json();
    let mut oldest: BTreeMap<&str, &Value> = BTreeMap::new();
    // Newest first, so that the oldest of a name is what stays.
    for task in page["tasks"].as_array().expect("tasks") {
        oldest.insert(task["name"].as_str().expect("a name"), task);
    }
    let all = clicks(first, opened[FIRST.0]);
    let mut found = late(site, first, opened[FIRST.0]);
    for (name, task) in oldest {
        let trace = task["trace_id"].as_str().expect("a trace");
        match follow(&all, name, second, site, job) {
            Err(what) => found.push(format!("stuck {name}: {what}")),
            Ok(traces) => {
                println!(
                    "stuck {name} of {job}: trace {trace} is to be among {}",
                    traces.len()
                );
                let count = traces.len();
                if !traces.iter().any(|it| it["traceID"] == trace) {
                    found.push(format!("stuck {name}: {trace} is not among {count} traces"));
                }
                // What is pushed tells of the begin some seconds late.
                if count > MOST && job == JOBS[0] {
                    found.push(format!("stuck {name}: {trace} is one of {count} traces"));
                }
            }
        }
    }
    found
}

/// The traces at the end of the way.
fn follow(
    all: &[Click],
    name: &str,
    second: &Board,
    site: &Site,
    job: &str,
) -> Result<Vec<Value>, String> {
    let wanted = format!("var-task_name={name}");
    let click = all.iter().find(|click| {
        let starts = click.url.starts_with(&format!("/d/{}?", second.uid));
        click.panel == FIRST.1 && starts && click.url.contains(&wanted)
    });
    let click = click.ok_or_else(|| format!("{FIRST:?} has no link with {wanted}"))?;
    let mut visit = site.visit(job);
    let (_, pairs) = click.parts("").expect("it has no base");
    for (key, value) in pairs {
        let Some(variable) = key.strip_prefix("var-") else {
            continue;
        };
        if !second.variables.iter().any(|known| known.name == variable) {
            return Err(format!("{} has no variable {variable}", second.uid));
        }
        if value != "$__all" && variable != "job" {
            visit.choices.push((variable.to_owned(), value));
        }
    }
    let opened = open(second, &visit);
    if !opened.findings.is_empty() {
        return Err(opened.findings.join(", "));
    }
    let click = clicks(second, &opened)
        .into_iter()
        .find(|click| click.title == SECOND.1 && click.instance == "demo");
    let click = click.ok_or_else(|| format!("no link {SECOND:?}"))?;
    println!("stuck {name}: {}", click.url);
    let base = opened.scope.one("jaeger_url").unwrap_or_default();
    click.traces(base, &site.jaeger)
}
