//! What the panels showed, one file a panel, for whoever draws them.
//!
//! `TASKPULSE_PICTURES=<folder>` makes the healthy run write, for the job that
//! dashboards show first, `<dashboard's uid>--<panel's id, two digits>.json`:
//!
//! ```text
//! {
//!   "dashboard": {"uid": "taskpulse-overview", "title": "Overview"},
//!   "title": "…", "type": "timeseries", "description": "…",
//!   "unit": "s", "decimals": null, "min": null, "max": null, "noValue": "…",
//!   "thresholds": [{"value": null, "color": "green"}, {"value": 810, "color": "red"}],
//!   "panel": {…},                         the panel as it is in the dashboard
//!   "job": "taskpulse",
//!   "from": 1795534987, "to": 1795538587, Unix seconds, what the panel covers
//!   "answers": [{
//!     "refId": "A", "expr": "…",          as it was sent
//!     "legendFormat": "{{task_name}}",    null where there is none
//!     "format": "time_series",            or "table", "heatmap", ""
//!     "kind": "range",                    or "instant": one point a series
//!     "step": 5,
//!     "series": [{
//!       "legend": "cleanup",              as the legend shows it
//!       "labels": {"task_name": "cleanup"},
//!       "points": [[1795534990, 0.25], …] not-a-number is null
//!     }]
//!   }]
//! }
//! ```
//!
//! Points are those of Prometheus: where the run had not begun there are none,
//! so a drawing may start at the first point of all.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    ask::Series,
    board::{Board, How, Panel},
    run::Row,
};

/// Writes a file for each panel.
pub(crate) fn write(folder: &Path, board: &Board, rows: &[Row]) {
    fs::create_dir_all(folder).expect("a folder can be made");
    for panel in &board.panels {
        let of_panel = |row: &&Row| row.board == board.uid && row.panel == panel.title;
        let rows: Vec<&Row> = rows.iter().filter(of_panel).collect();
        let Some(first) = rows.first() else {
            continue;
        };
        let file = folder.join(format!("{}--{:02}.json", board.uid, panel.id));
        let text = serde_json::to_string_pretty(&picture(board, panel, first, &rows));
        fs::write(&file, text.expect("it is JSON") + "\n").expect("a file can be written");
    }
}

fn picture(board: &Board, panel: &Panel, first: &Row, rows: &[&Row]) -> Value {
    let defaults = &panel.json["fieldConfig"]["defaults"];
    json!({
        "dashboard": {"uid": board.uid, "title": board.title},
        "title": panel.title,
        "type": panel.kind,
        "description": panel.json["description"],
        "unit": defaults["unit"],
        "decimals": defaults["decimals"],
        "min": defaults["min"],
        "max": defaults["max"],
        "noValue": defaults["noValue"],
        "thresholds": defaults["thresholds"]["steps"],
        "panel": panel.json,
        "job": first.job,
        "from": first.window.from,
        "to": first.window.to,
        "answers": rows.iter().map(|row| answer(row)).collect::<Vec<_>>(),
    })
}

fn answer(row: &Row) -> Value {
    let series = row.answer.series.iter().map(|series| {
        let number = |value: f64| Some(value).filter(|value| value.is_finite());
        let points = series.points.iter();
        let points: Vec<_> = points
            .map(|(at, value)| json!([at, number(*value)]))
            .collect();
        json!({"legend": legend(row, series), "labels": series.labels, "points": points})
    });
    json!({
        "refId": row.target.reference,
        "expr": row.sent,
        "legendFormat": row.target.legend,
        "format": row.target.format,
        "kind": match row.target.how {
            How::Range => "range",
            How::Instant => "instant",
        },
        "step": row.window.step,
        "series": series.collect::<Vec<_>>(),
    })
}

/// A series' name as the legend shows it.
pub(crate) fn legend(row: &Row, series: &Series) -> String {
    let template = row
        .target
        .legend
        .as_deref()
        .filter(|text| *text != "__auto");
    let Some(template) = template else {
        let labels: Vec<_> = series
            .labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        return match series.labels.len() {
            1 => series.labels.values().cloned().collect(),
            _ => format!("{{{}}}", labels.join(", ")),
        };
    };
    let mut parts = template.split("{{");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (label, rest) = part.split_once("}}").unwrap_or((part, ""));
        shown.push_str(series.label(label.trim()));
        shown.push_str(rest);
    }
    shown
}
