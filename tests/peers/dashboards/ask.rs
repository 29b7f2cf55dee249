//! Questions to Prometheus, through the API that Grafana uses.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use crate::peer::{encoded, get};

/// A span of time in Unix seconds, and the distance of its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) step: f64,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Why there is none.
    pub(crate) error: Option<String>,
    /// Prometheus' warnings, and its doubts about a query.
    pub(crate) notes: Vec<String>,
    pub(crate) series: Vec<Series>,
}

/// One series of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) points: Vec<(f64, f64)>,
}

/// `GET /api/v1/query_range`.
pub(crate) fn range(prometheus: SocketAddr, query: &str, window: Window) -> Answer {
    let Window { from, to, step } = window;
    let query = encoded(query);
    let path = format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}");
    answer(prometheus, &path)
}

/// `GET /api/v1/query`.
pub(crate) fn instant(prometheus: SocketAddr, query: &str, at: f64) -> Answer {
    let path = format!("/api/v1/query?query={}&time={at}", encoded(query));
    answer(prometheus, &path)
}

/// The values of a label among the series that a selector finds.
pub(crate) fn label_values(
    prometheus: SocketAddr,
    label: &str,
    selector: Option<&str>,
    window: Window,
) -> Result<Vec<String>, String> {
    let Window { from, to, .. } = window;
    let mut path = format!("/api/v1/label/{label}/values?start={from}&end={to}");
    if let Some(selector) = selector {
        path.push_str("&match[]=");
        path.push_str(&encoded(selector));
    }
    let answer = get(prometheus, &path).json();
    let values = answer["data"].as_array();
    let notes = notes(&answer);
    match (values, notes.is_empty()) {
        (Some(values), true) => Ok(values.iter().map(text).collect()),
        _ => Err(answer.to_string()),
    }
}

/// What else Prometheus knows: targets, rules and so on.
pub(crate) fn api(prometheus: SocketAddr, path: &str) -> Value {
    get(prometheus, path).json()["data"].clone()
}

fn answer(prometheus: SocketAddr, path: &str) -> Answer {
    let json = get(prometheus, path).json();
    if json["status"] != "success" {
        let error = Some(format!("{}: {}", json["errorType"], text(&json["error"])));
        return Answer {
            error,
            ..Answer::default()
        };
    }
    let result = &json["data"]["result"];
    let series = match json["data"]["resultType"].as_str() {
        Some("scalar") => vec![Series {
            labels: BTreeMap::new(),
            points: vec![point(result)],
        }],
        _ => result
            .as_array()
            .into_iter()
            .flatten()
            .map(series)
            .collect(),
    };
    Answer {
        error: None,
        notes: notes(&json),
        series,
    }
}

fn notes(json: &Value) -> Vec<String> {
    let lists = [&json["warnings"], &json["infos"]];
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.map(text).collect()
}

fn series(json: &Value) -> Series {
    let labels = json["metric"].as_object().into_iter().flatten();
    let points = match json["values"].as_array() {
        Some(values) => values.iter().map(point).collect(),
        None => vec![point(&json["value"])],
    };
    Series {
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        points,
    }
}

fn point(json: &Value) -> (f64, f64) {
    let time = json[0].as_f64().expect("a time");
    let value = match text(&json[1]).as_str() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().expect("a number"),
    };
    (time, value)
}

fn text(json: &Value) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

// === impl Series ===

impl Series {
    /// The newest value.
    pub(crate) fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.1)
    }

    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

// === impl Answer ===

impl Answer {
    /// The newest values, added up.
    pub(crate) fn sum(&self) -> f64 {
        self.series.iter().map(Series::last).sum()
    }
}
