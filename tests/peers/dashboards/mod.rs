//! Every dashboard, opened as Grafana opens it, and every alert.
//!
//! Prometheus runs with the rules and the configuration that are shipped, the
//! collector and Jaeger with theirs, two instances with the variables that
//! compose gives them, and `taskpulse traffic` does what traffic does. Then each
//! query of each panel, variable and annotation is asked, for either way in which
//! metrics come to Prometheus, and each alert; what comes back is held against
//! the registry, the traffic and Jaeger. Then things go wrong, and all is asked
//! again.
//!
//! `TASKPULSE_PICTURES=<folder>` keeps the answers of a run of ten minutes, in which
//! nothing goes wrong: see `pictures.rs`.

mod ask;
mod board;
mod check;
mod collector;
mod crash;
mod empty;
mod faults;
mod links;
mod mutate;
mod pictures;
mod program;
mod promql;
mod quiet;
mod run;
mod scope;
mod shipped;
mod site;
mod spans;
mod stuck;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{
    board::{Board, boards},
    check::{findings, is_empty},
    run::{Opened, Row, open},
    shipped::Alert,
    site::{Site, now},
    traffic::{Done, Traffic},
};
use crate::{
    alone,
    harness::eventually,
    peer::{JAEGER, OTELCOL, PROMETHEUS, are_here},
};

/// The two ways in which the same metrics come to Prometheus.
const JOBS: [&str; 2] = ["taskpulse", "taskpulse-otlp"];

/// Tasks that run while everything is asked, by action: each a stuck one. That of the
/// stream, which is left, is stalled and overdue besides.
const STUCK: [&str; 4] = ["process", "process", "cleanup", "stream"];

/// Alerts whose expressions hold because of these.
const LATE: [&str; 2] = ["TaskpulseTasksOverdue", "TaskpulseTasksStalled"];

/// A moment at which every dashboard was opened, for each job.
struct Look {
    opened: BTreeMap<(String, &'static str), Opened>,
    alerts: Vec<(Alert, Row)>,
}

#[test]
fn every_query_answers() {
    let _alone = alone();
    if !are_here(&[JAEGER, OTELCOL, PROMETHEUS]) {
        return;
    }
    let boards = boards(&shipped::path("dashboards/grafana/dashboards"));
    let mut clock = Clock(Instant::now());
    let mut site = Site::start();
    clock.lap("everything is up");
    let done = traffic(&site);
    begin_stuck(&site);
    // A panel ends at a multiple of its step, which is 5 s for an hour.
    site.await_scrapes(7);
    clock.lap("traffic is over");

    let mut found = Vec::new();
    let healthy = Look::at(&site, &boards);
    healthy.print();
    clock.lap("everything was asked");
    found.extend(healthy.findings());
    found.extend(healthy.pages());
    found.extend(healthy.untripped(&LATE));
    found.extend(healthy.emptiness(&boards, true));
    found.extend(quiet(&site, &healthy, done));
    found.extend(collector::findings(&site, false));
    found.extend(choices(&site, &boards));
    found.extend(clicks(&site, &boards, &healthy));
    clock.lap("links lead somewhere");
    found.extend(mutations(&site, &boards, &healthy));
    clock.lap("what was broken was found");
    if keep_pictures(&boards, &healthy) {
        // After that much of health a few faults are too small a share.
        return conclude(&found);
    }

    found.extend(crash::findings(&mut site, &boards));
    clock.lap("a killed instance lost its tasks");
    faults::inject(&mut site);
    found.extend(collector::findings(&site, true));
    clock.lap("things went wrong");
    let mut faulty = Look::at(&site, &boards);
    faults::drain(&mut site);
    faulty.add(Look::at(&site, &boards));
    clock.lap("everything was asked again");
    found.extend(
        faulty
            .findings()
            .into_iter()
            .filter(|what| !is_of_a_restart(what)),
    );
    found.extend(faulty.emptiness(&boards, false));
    found.extend(faulty.untripped(&faults::TRIPPED));
    conclude(&found);
}

#[track_caller]
fn conclude(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} findings:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Where a counter begins anew, `rate` works out when each bucket was at 0, one
/// by one, and Prometheus says that it had to mend the order of the buckets.
fn is_of_a_restart(finding: &str) -> bool {
    finding.contains("needed to be fixed for monotonicity")
}

/// Says how long each part took.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, what: &str) {
        println!("-- {what}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// Lets callers call, until what they began has ended.
fn traffic(site: &Site) -> Done {
    // A picture shows more than a check needs.
    let (rate, time) = match env::var_os("TASKPULSE_PICTURES") {
        Some(_) => ("3", "10m"),
        None => ("8", "25s"),
    };
    let traffic = Traffic::start(site.demo.address, rate, time);
    let quiet = Traffic::start(site.taskpulse.address, "0.2", time);
    let done = traffic.wait().and(quiet.wait());
    // The slowest task of the traffic takes 30 s.
    let deadline = Instant::now() + Duration::from_secs(40);
    for instance in [&site.demo, &site.taskpulse] {
        while instance.get("/ping").json()["status"] != "Healthy" {
            assert!(Instant::now() < deadline, "tasks of the traffic do not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    done
}

/// Begins tasks that nobody ends, and waits until one is past all its limits.
fn begin_stuck(site: &Site) {
    for action in STUCK {
        let event = json!({"action": action, "seconds": 3600}).to_string();
        let mut client = site.demo.client();
        let length = event.len();
        client.send(format!(
            "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{event}"
        ));
        let answer = client.head();
        assert_eq!(answer.status, 200, "{action}");
    }
    // Not of the instance itself: each answer of its tasks API would be a trace.
    let late =
        "taskpulse_task_overdue > 0 and on (job, instance, task_name) taskpulse_task_stalled > 0";
    eventually(late, || {
        let late = ask::instant(site.prometheus, late, now());
        late.series.len() == JOBS.len()
    });
}

/// What has to hold while nothing changes.
fn quiet(site: &Site, healthy: &Look, done: Done) -> Vec<String> {
    let rows: Vec<Row> = healthy.rows().cloned().collect();
    #[expect(clippy::cast_precision_loss, reason = "four")]
    let begun_here = STUCK.len() as f64;
    let mut found = quiet::prometheus(site);
    found.extend(quiet::counters(site, done, begun_here));
    found.extend(quiet::active(&rows, site));
    found.extend(quiet::late(&rows, site));
    found.extend(quiet::quantiles(&rows));
    found.extend(quiet::ratios(&rows, done));
    found.extend(quiet::copies(&rows));
    found
}

/// Where several values can be chosen, one and two of them.
fn choices(site: &Site, boards: &[Board]) -> Vec<String> {
    let mut found = Vec::new();
    for count in [1, 2] {
        for board in boards {
            let mut visit = site.visit(JOBS[0]);
            visit.several = Some(count);
            let opened = open(board, &visit);
            found.extend(opened.findings.clone());
            found.extend(opened.rows.iter().flat_map(findings));
        }
    }
    found
}

/// Each link to Jaeger finds a trace from some line that is shown.
fn clicks(site: &Site, boards: &[Board], healthy: &Look) -> Vec<String> {
    let mut found = Vec::new();
    for board in boards {
        let opened = &healthy.opened[&(board.uid.clone(), JOBS[0])];
        let clicks = links::clicks(board, opened);
        found.extend(links::to_jaeger(&clicks, &opened.scope, site));
    }
    found.extend(spans::wrong(site));
    for job in JOBS {
        found.extend(stuck::findings(site, boards, &healthy.opened_of(job), job));
    }
    found
}

/// Breaks every query of every dashboard, one at a time.
fn mutations(site: &Site, boards: &[Board], healthy: &Look) -> Vec<String> {
    let mut found = Vec::new();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for board in boards {
        let whole = &healthy.opened[&(board.uid.clone(), JOBS[0])].rows;
        for verdict in mutate::verdicts(board, &site.visit(JOBS[0]), whole) {
            *counts.entry(format!("{:?}", verdict.how)).or_default() += 1;
            if !verdict.noticed {
                let mutate::Verdict {
                    how, place, query, ..
                } = verdict;
                found.push(format!(
                    "{place}: nobody noticed the other {how:?}: {query}"
                ));
            }
        }
    }
    println!("broken, one at a time: {counts:?}");
    found
}

/// Whether somebody has asked for them.
fn keep_pictures(boards: &[Board], healthy: &Look) -> bool {
    let Some(folder) = env::var_os("TASKPULSE_PICTURES") else {
        return false;
    };
    for board in boards {
        let rows = &healthy.opened[&(board.uid.clone(), JOBS[0])].rows;
        pictures::write(Path::new(&folder), board, rows);
    }
    true
}

// === impl Look ===

impl Look {
    fn at(site: &Site, boards: &[Board]) -> Self {
        let mut opened = BTreeMap::new();
        for board in boards {
            for job in JOBS {
                opened.insert((board.uid.clone(), job), open(board, &site.visit(job)));
            }
        }
        let alerts = shipped::alerts().into_iter();
        let ask = |alert: Alert| {
            let row = Row::instant(&alert.name, &alert.expression, site.prometheus, now());
            (alert, row)
        };
        Self {
            opened,
            alerts: alerts.map(ask).collect(),
        }
    }

    /// Another look at the same: what either of them saw.
    fn add(&mut self, other: Self) {
        for (key, more) in other.opened {
            let opened = self.opened.get_mut(&key).expect("the same dashboards");
            opened.findings.extend(more.findings);
            opened.rows.extend(more.rows);
        }
        self.alerts.extend(other.alerts);
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.opened.values().flat_map(|opened| &opened.rows)
    }

    fn opened_of(&self, job: &'static str) -> BTreeMap<&str, &Opened> {
        let all = self.opened.iter().filter(|((_, other), _)| *other == job);
        all.map(|((uid, _), opened)| (uid.as_str(), opened))
            .collect()
    }

    fn findings(&self) -> Vec<String> {
        let of_variables = self
            .opened
            .values()
            .flat_map(|opened| opened.findings.clone());
        let of_alerts = self.alerts.iter().flat_map(|(_, row)| findings(row));
        let all = self.rows().flat_map(findings).chain(of_variables);
        all.chain(of_alerts).collect()
    }

    /// Rows that show nothing and should, or show something and are said not to.
    fn emptiness(&self, boards: &[Board], healthy: bool) -> Vec<String> {
        let mut found = Vec::new();
        for ((board, job), opened) in &self.opened {
            let mut shows: BTreeMap<(&str, &str), bool> = BTreeMap::new();
            for row in &opened.rows {
                let key = (row.panel.as_str(), row.target.reference.as_str());
                *shows.entry(key).or_default() |= !is_empty(row);
            }
            for ((panel, reference), shows) in shows {
                found.extend(empty::finding(board, panel, reference, job, shows, healthy));
            }
        }
        found.extend(empty::unknown(boards));
        found
    }

    /// The alerts whose expressions hold.
    fn tripped(&self) -> BTreeSet<&str> {
        let holds = |(_, row): &&(Alert, Row)| !row.answer.series.is_empty();
        let alerts = self.alerts.iter().filter(holds);
        alerts.map(|(alert, _)| alert.name.as_str()).collect()
    }

    /// Alerts that would wake somebody while all is well.
    fn pages(&self) -> Vec<String> {
        let tripped = self.tripped();
        println!("alerts whose expressions hold in health: {tripped:?}");
        let pages = self.alerts.iter().filter(|(alert, _)| alert.pages);
        let wrong = pages.filter(|(alert, _)| tripped.contains(alert.name.as_str()));
        wrong
            .map(|(alert, _)| format!("{} pages in health", alert.name))
            .collect()
    }

    /// Alerts of these that have nothing to say, and should.
    fn untripped(&self, wanted: &[&str]) -> Vec<String> {
        let tripped = self.tripped();
        println!("alerts whose expressions hold: {tripped:?}, of {wanted:?}");
        let silent = wanted.iter().filter(|name| !tripped.contains(*name));
        silent
            .map(|name| format!("{name} has nothing to say"))
            .collect()
    }

    fn print(&self) {
        for row in self.rows() {
            let Row {
                board,
                panel,
                job,
                target,
                answer,
                ..
            } = row;
            let count = answer.series.len();
            let sample = answer.series.last().map_or_else(
                || "nothing".to_owned(),
                |series| format!("{} = {}", pictures::legend(row, series), series.last()),
            );
            let reference = &target.reference;
            println!("{board} | {panel} | {reference} | {job} | {count} | {sample}");
        }
    }
}
