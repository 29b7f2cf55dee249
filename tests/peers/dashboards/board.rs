//! A dashboard's JSON, as far as Grafana makes requests of it: variables,
//! annotations, panels with their targets, and links.

use std::{fs, path::Path};

use serde_json::Value;

/// One file of `dashboards/grafana/dashboards/`.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) uid: String,
    pub(crate) title: String,
    /// What it shows unless somebody chooses otherwise, in seconds up to now.
    pub(crate) range: f64,
    pub(crate) variables: Vec<Variable>,
    /// Each as a target whose reference is the annotation's name.
    pub(crate) annotations: Vec<Target>,
    pub(crate) panels: Vec<Panel>,
}

/// One choice at the top of a dashboard.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// `query`, `datasource`, `custom`, `textbox`, `constant`.
    pub(crate) kind: String,
    /// What a query variable asks, or what another kind offers.
    pub(crate) query: String,
    pub(crate) regex: String,
    pub(crate) multi: bool,
    pub(crate) has_all: bool,
    /// What stands for all, instead of every value.
    pub(crate) all_value: Option<String>,
    /// What is chosen as the dashboard is opened.
    pub(crate) current: Vec<String>,
    pub(crate) source: Option<String>,
}

/// One panel, rows' panels included.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) id: u64,
    pub(crate) title: String,
    /// `timeseries`, `stat` and so on.
    pub(crate) kind: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) links: Vec<Link>,
    /// As it is in the file.
    pub(crate) json: Value,
}

/// A question to a data source.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) reference: String,
    pub(crate) text: String,
    pub(crate) legend: Option<String>,
    pub(crate) format: String,
    pub(crate) how: How,
    /// The least step, where it has one of its own.
    pub(crate) min_step: Option<String>,
    pub(crate) max_points: f64,
    /// The data source's uid, or the variable that names it.
    pub(crate) source: String,
}

/// Which of Prometheus' two query endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Range,
    Instant,
}

/// Where a click leads.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) title: String,
    pub(crate) url: String,
}

/// Points that a panel has room for: about the width in pixels of half a screen.
const POINTS: f64 = 800.0;

/// Every dashboard of a folder, by file name.
pub(crate) fn boards(folder: &Path) -> Vec<Board> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| Board::read(file)).collect()
}

/// `5s`, `1m30s`, `now-1h` in seconds.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim_start_matches("now-");
    let length: std::time::Duration = humantime::parse_duration(text).ok()?;
    Some(length.as_secs_f64())
}

// === impl Board ===

impl Board {
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("a file that can be read");
        let json: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::of(&json)
    }

    pub(crate) fn of(json: &Value) -> Self {
        let from = string(&json["time"]["from"]);
        Self {
            uid: string(&json["uid"]),
            title: string(&json["title"]),
            range: seconds(&from).unwrap_or_else(|| panic!("time.from is {from:?}")),
            variables: list(&json["templating"]["list"]).map(variable).collect(),
            annotations: list(&json["annotations"]["list"])
                .filter(|one| one.get("expr").is_some() || one.get("target").is_some())
                .map(annotation)
                .collect(),
            panels: list(&json["panels"])
                .flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"])))
                .filter(|panel| panel["type"] != "row")
                .map(panel)
                .collect(),
        }
    }
}

// === impl Target ===

impl Target {
    /// A plain question.
    pub(crate) fn instant(query: &str) -> Self {
        Self {
            reference: String::new(),
            text: query.to_owned(),
            legend: None,
            format: String::new(),
            how: How::Instant,
            min_step: None,
            max_points: POINTS,
            source: String::new(),
        }
    }
}

fn list(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}

fn string(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// A text, or the first of these keys of an object that has one.
fn text_or(json: &Value, keys: &[&str]) -> String {
    let inner = keys.iter().find_map(|key| json[*key].as_str());
    json.as_str().or(inner).unwrap_or_default().to_owned()
}

fn uid(json: &Value) -> Option<String> {
    let uid = text_or(&json["datasource"], &["uid"]);
    Some(uid).filter(|uid| !uid.is_empty())
}

fn variable(json: &Value) -> Variable {
    let current = &json["current"]["value"];
    let current = match current.as_array() {
        Some(several) => several.iter().map(string).collect(),
        None => vec![string(current)],
    };
    Variable {
        name: string(&json["name"]),
        kind: string(&json["type"]),
        query: text_or(&json["query"], &["query"]),
        regex: string(&json["regex"]),
        multi: json["multi"] == true,
        has_all: json["includeAll"] == true,
        all_value: Some(string(&json["allValue"])).filter(|value| !value.is_empty()),
        current,
        source: uid(json),
    }
}

fn annotation(json: &Value) -> Target {
    let inner = json.get("target").filter(|it| it.get("expr").is_some());
    let inner = inner.unwrap_or(json);
    // Grafana's own for annotations is a minute.
    let steps = [&inner["interval"], &json["step"]];
    let step = steps.into_iter().find_map(Value::as_str).unwrap_or("60s");
    Target {
        reference: string(&json["name"]),
        text: string(&inner["expr"]),
        legend: None,
        format: String::new(),
        how: How::Range,
        min_step: Some(step.to_owned()),
        max_points: 11_000.0,
        source: uid(json).unwrap_or_default(),
    }
}

fn panel(json: &Value) -> Panel {
    let config = &json["fieldConfig"];
    let overrides = list(&config["overrides"])
        .flat_map(|one| list(&one["properties"]))
        .filter(|property| property["id"] == "links")
        .flat_map(|property| list(&property["value"]));
    let links = list(&config["defaults"]["links"]).chain(overrides);
    let links = links.chain(list(&json["links"])).map(|link| Link {
        title: string(&link["title"]),
        url: string(&link["url"]),
    });
    let asked = list(&json["targets"]).filter(|target| target["hide"] != true);
    Panel {
        id: json["id"].as_u64().unwrap_or_default(),
        title: string(&json["title"]),
        kind: string(&json["type"]),
        targets: asked.flat_map(|target| targets(json, target)).collect(),
        links: links.collect(),
        json: json.clone(),
    }
}

/// A target asks for a range, for an instant, or for both.
fn targets(panel: &Value, json: &Value) -> Vec<Target> {
    let how: &[How] = match (json["range"] == true, json["instant"] == true) {
        (true, true) => &[How::Range, How::Instant],
        (false, true) => &[How::Instant],
        (_, false) => &[How::Range],
    };
    let one = |how: &How| Target {
        reference: string(&json["refId"]),
        text: string(&json["expr"]),
        legend: Some(string(&json["legendFormat"])).filter(|text| !text.is_empty()),
        format: string(&json["format"]),
        how: *how,
        min_step: Some(string(&json["interval"]))
            .filter(|text| !text.is_empty())
            .or_else(|| Some(string(&panel["interval"])).filter(|text| !text.is_empty())),
        max_points: panel["maxDataPoints"].as_f64().unwrap_or(POINTS),
        source: uid(json).or_else(|| uid(panel)).unwrap_or_default(),
    };
    how.iter().map(one).collect()
}
