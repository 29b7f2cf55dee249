//! From a span to metrics: the queries that the Jaeger data source offers beside a
//! span, asked for the tags of spans that are in Jaeger.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    JOBS,
    ask::{self, Window},
    board::Target,
    check::{findings, is_empty},
    run::Row,
    shipped,
    site::{SCRAPE, Site, now},
};

/// A query answers for the spans that have a tag of it, and for no other kind.
pub(crate) fn wrong(site: &Site) -> Vec<String> {
    let file = shipped::yaml("dashboards/grafana/provisioning/datasources/taskpulse.yaml");
    let sources = file["datasources"].as_array().expect("data sources");
    let offers = sources
        .iter()
        .map(|source| &source["jsonData"]["tracesToMetrics"]);
    let offers: Vec<&Value> = offers.filter(|it| it.is_object()).collect();
    let mut found = Vec::new();
    for offer in &offers {
        let uid = offer["datasourceUid"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if !shipped::sources("prometheus").contains(&uid) {
            found.push(format!("tracesToMetrics: no data source {uid:?}"));
        }
        let tags = tags(site, offer);
        println!("from spans to metrics: {tags:?}");
        for query in offer["queries"].as_array().expect("queries") {
            found.extend(finding(site, query, &tags));
        }
    }
    if offers.is_empty() {
        found.push("no data source leads from spans to metrics".to_owned());
    }
    found
}

/// For each label that the offer maps a tag to, a value that a span has.
fn tags(site: &Site, offer: &Value) -> BTreeMap<String, String> {
    let traces = site
        .jaeger
        .traces("/api/traces?service=taskpulse-demo&limit=200");
    let spans = traces.iter().filter_map(|trace| trace["spans"].as_array());
    let known: Vec<&Value> = spans
        .flatten()
        .filter_map(|span| span["tags"].as_array())
        .flatten()
        .collect();
    let mapped = offer["tags"].as_array().expect("tags").iter();
    mapped
        .map(|pair| {
            let (tag, label) = (pair["key"].as_str(), pair["value"].as_str());
            let (tag, label) = (tag.expect("a tag"), label.expect("a label"));
            let span = known.iter().find(|known| known["key"] == tag);
            let value = span.and_then(|known| known["value"].as_str());
            let value = value.unwrap_or_else(|| panic!("no span has {tag}"));
            (label.to_owned(), value.to_owned())
        })
        .collect()
}

fn finding(site: &Site, query: &Value, tags: &BTreeMap<String, String>) -> Vec<String> {
    let name = query["name"].as_str().expect("a name");
    // Two dollar signs in the file are one in Grafana.
    let text = query["query"].as_str().expect("a query").replace("$$", "$");
    let text = text.replace("$__rate_interval", &format!("{}s", 4.0 * SCRAPE));
    let answers = tags.iter().map(|(label, value)| {
        let sent = text.replace("$__tags", &format!("{label}=\"{value}\""));
        let to = now();
        let window = Window {
            from: to - 600.0,
            to,
            step: SCRAPE,
        };
        Row {
            board: "tracesToMetrics".to_owned(),
            panel: name.to_owned(),
            job: "taskpulse".to_owned(),
            target: Target::instant(&text),
            answer: ask::range(site.prometheus, &sent, window),
            sent,
            window,
            findings: Vec::new(),
        }
    });
    let answers: Vec<Row> = answers.collect();
    let mut found: Vec<_> = answers
        .iter()
        .filter(|row| !is_empty(row))
        .flat_map(findings)
        .collect();
    let shows: Vec<_> = answers.iter().filter(|row| !is_empty(row)).collect();
    if shows.len() != 1 {
        let count = shows.len();
        found.push(format!(
            "tracesToMetrics / {name}: {count} of the tags find something"
        ));
    }
    for row in shows {
        let series = row.answer.series.iter();
        let jobs: BTreeSet<_> = series.map(|series| series.label("job")).collect();
        if jobs != BTreeSet::from(JOBS) {
            found.push(format!("tracesToMetrics / {name}: of the jobs {jobs:?}"));
        }
    }
    found
}
