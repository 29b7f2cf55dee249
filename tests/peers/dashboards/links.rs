//! Where clicks lead: links to Jaeger are filled in from a row that was shown,
//! and what they ask for is asked of Jaeger's API.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    ask::Series,
    board::{Board, Link, Panel},
    run::{Opened, Row},
    scope::{Place, Scope},
    site::Site,
};
use crate::{harness::Response, peer::Jaeger};

/// A click on one series or line of a panel.
#[derive(Clone, Debug)]
pub(crate) struct Click {
    pub(crate) board: String,
    pub(crate) panel: String,
    pub(crate) title: String,
    /// What the link says before it is filled in.
    pub(crate) template: String,
    pub(crate) url: String,
    /// The instance that the line is about, where it has one.
    pub(crate) instance: String,
    /// Names in it that nothing stands for.
    pub(crate) unknown: Vec<String>,
}

/// What Jaeger's search page takes from its address and asks its API for.
const SEARCH: [&str; 8] = [
    "service",
    "operation",
    "tags",
    "start",
    "end",
    "minDuration",
    "maxDuration",
    "limit",
];

/// Every click that a dashboard offers, on what it shows.
pub(crate) fn clicks(board: &Board, opened: &Opened) -> Vec<Click> {
    let mut clicks = Vec::new();
    for panel in &board.panels {
        let of_panel = |row: &&Row| row.panel == panel.title;
        let rows: Vec<&Row> = opened.rows.iter().filter(of_panel).collect();
        let lines = lines(&rows, panel.kind == "table");
        for link in &panel.links {
            for line in &lines {
                clicks.push(click(board, panel, link, &opened.scope, line));
            }
        }
    }
    clicks
}

/// What can be clicked: a series of a target, or in a table all series of one
/// line, each with its target's reference.
type Line<'a> = Vec<(&'a str, &'a Series)>;

fn lines<'a>(rows: &[&'a Row], merged: bool) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for row in rows {
        for series in &row.answer.series {
            let part = (row.target.reference.as_str(), series);
            let same = |line: &&mut Line<'_>| {
                let agree = |(_, other): &(&str, &Series)| {
                    let mut labels = series.labels.iter();
                    labels.all(|(name, value)| other.labels.get(name).is_none_or(|it| it == value))
                };
                line.iter().all(agree)
            };
            match lines.iter_mut().find(same).filter(|_| merged) {
                Some(line) => line.push(part),
                None => lines.push(vec![part]),
            }
        }
    }
    lines
}

fn click(board: &Board, panel: &Panel, link: &Link, scope: &Scope, line: &Line<'_>) -> Click {
    let mut scope = scope.clone();
    let renamed = renamed(panel);
    let shown = |name: &str| {
        renamed
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    };
    let columns = columns(panel, link);
    for (reference, series) in line {
        for (label, value) in &series.labels {
            scope.set_text(&format!("__data.fields.{}", shown(label)), value.clone());
            scope.set_text(&format!("__field.labels.{label}"), value.clone());
            // The cell that is clicked: a column's links are about its values.
            if columns.contains(&&shown(label)) {
                scope.set_text("__value.text", value.clone());
                scope.set_text("__value.raw", value.clone());
            }
        }
        // Without `.numeric` a number is written for people, with its unit.
        let names = [format!("Value #{reference}"), "Value".to_owned()];
        for name in names.map(|name| shown(&name)) {
            let numeric = format!("__data.fields.{name}.numeric");
            scope.set_raw(&numeric, series.last().to_string());
        }
        if let Some((at, _)) = series.points.last() {
            scope.set_raw("__value.time", format!("{:.0}", at * 1_000.0));
        }
    }
    let (url, unknown) = scope.fill(&link.url, Place::Link);
    Click {
        board: board.uid.clone(),
        panel: panel.title.clone(),
        title: link.title.clone(),
        template: link.url.clone(),
        url,
        instance: line[0].1.label("instance").to_owned(),
        unknown,
    }
}

/// What a panel calls its columns, by label.
fn renamed(panel: &Panel) -> BTreeMap<String, String> {
    let steps = panel.json["transformations"]
        .as_array()
        .into_iter()
        .flatten();
    steps
        .filter_map(|step| step["options"]["renameByName"].as_object())
        .flatten()
        .filter_map(|(label, name)| Some((label.clone(), name.as_str()?.to_owned())))
        .collect()
}

/// The columns that carry a link.
fn columns<'a>(panel: &'a Panel, link: &Link) -> Vec<&'a String> {
    let overrides = panel.json["fieldConfig"]["overrides"].as_array();
    let carries = |one: &&Value| {
        let properties = one["properties"].as_array().into_iter().flatten();
        let mut links = properties
            .filter_map(|property| property["value"].as_array())
            .flatten();
        links.any(|it| it["url"] == *link.url)
    };
    let names = overrides.into_iter().flatten().filter(carries);
    names
        .filter_map(|one| match &one["matcher"]["options"] {
            Value::String(name) => Some(name),
            _ => None,
        })
        .collect()
}

// === impl Click ===

impl Click {
    /// The path and the parameters of its address.
    pub(crate) fn parts(&self, base: &str) -> Option<(String, Vec<(String, String)>)> {
        let rest = self.url.strip_prefix(base)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let pairs = query.split('&').filter(|part| !part.is_empty());
        let pairs = pairs.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(name), decoded(value))
        });
        Some((path.to_owned(), pairs.collect()))
    }

    /// The traces that Jaeger's page would show, or what is wrong.
    pub(crate) fn traces(&self, base: &str, jaeger: &Jaeger) -> Result<Vec<Value>, String> {
        if !self.unknown.is_empty() {
            return Err(format!(
                "nothing is called {:?} in {}",
                self.unknown, self.template
            ));
        }
        let parts = self.parts(base);
        let (path, pairs) = parts.ok_or_else(|| format!("{} is not Jaeger's", self.url))?;
        if let Some(id) = path.strip_prefix("/trace/") {
            return Ok(jaeger.trace(id).into_iter().collect());
        }
        if path != "/search" {
            return Err(format!("Jaeger has no page {path}"));
        }
        let mut asked = Vec::new();
        for (name, value) in &pairs {
            if name == "lookback" {
                continue;
            }
            if !SEARCH.contains(&name.as_str()) {
                return Err(format!("Jaeger's search knows no {name:?}: {}", self.url));
            }
            asked.push(format!("{name}={}", crate::peer::encoded(value)));
        }
        let answer: Response = jaeger.get(&format!("/api/traces?{}", asked.join("&")));
        let json = answer.json();
        let traces = match (&json["errors"], json["data"].as_array()) {
            (Value::Null, Some(traces)) => traces.clone(),
            (errors, _) => return Err(format!("{errors}: {}", self.url)),
        };
        match traces.iter().find(|trace| !shows(trace, &pairs)) {
            Some(other) => Err(format!("{} is another: {}", other["traceID"], self.url)),
            None => Ok(traces),
        }
    }
}

/// Whether a trace has a span of the operation and the tags that were asked for.
fn shows(trace: &Value, pairs: &[(String, String)]) -> bool {
    let asked = |name: &str| pairs.iter().find(|(key, _)| key == name);
    let tags = asked("tags").map(|(_, tags)| serde_json::from_str(tags).expect("JSON"));
    let tags: BTreeMap<String, String> = tags.unwrap_or_default();
    let mut spans = trace["spans"].as_array().into_iter().flatten();
    spans.any(|span| {
        let named = asked("operation").is_none_or(|(_, name)| span["operationName"] == **name);
        let has = |(key, value): (&String, &String)| {
            let mut known = span["tags"].as_array().into_iter().flatten();
            known.any(|tag| {
                let text = tag["value"].as_str().map(str::to_owned);
                tag["key"] == **key && text.unwrap_or_else(|| tag["value"].to_string()) == *value
            })
        };
        named && tags.iter().all(has)
    })
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text)
        .decode_utf8()
        .expect("UTF-8")
        .into_owned()
}

/// What finds nothing while all is well: no process was killed.
pub(crate) const LOST: &str = "Lost ones, in Jaeger";

/// Links to Jaeger that find nothing, whatever line they are clicked on, or that
/// ask for what Jaeger does not know.
pub(crate) fn to_jaeger(clicks: &[Click], scope: &Scope, site: &Site) -> Vec<String> {
    let base = scope.one("jaeger_url").unwrap_or_default();
    let mut links: BTreeMap<(&str, &str), Vec<&Click>> = BTreeMap::new();
    for click in clicks
        .iter()
        .filter(|click| click.template.starts_with("${jaeger_url}"))
    {
        links
            .entry((&click.panel, &click.title))
            .or_default()
            .push(click);
    }
    let mut found = Vec::new();
    for ((panel, title), clicks) in links {
        let mut most = 0;
        for click in &clicks {
            match click.traces(base, &site.jaeger) {
                Ok(traces) => most = most.max(traces.len()),
                Err(what) => found.push(format!("{} / {panel} / {title}: {what}", click.board)),
            }
        }
        let (board, count) = (&clicks[0].board, clicks.len());
        println!("{board} / {panel} / {title}: {count} lines, {most} traces at most");
        if (most == 0) != (title == LOST) {
            found.push(format!(
                "{board} / {panel} / {title} finds {most} traces: {}",
                clicks[0].url
            ));
        }
    }
    found.dedup();
    found
}
