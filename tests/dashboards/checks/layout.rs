//! That a dashboard is one screen, and that each panel says what it is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{list, panels, text};

/// More than a person can look over.
const MOST_PANELS: usize = 16;
const COLUMNS: u64 = 24;
/// About what fits a screen of 1,080 lines without scrolling much.
const MOST_ROWS: u64 = 26;
/// Panels that Grafana 13 draws without a plugin of days gone by.
const TYPES: [&str; 6] = [
    "bargauge",
    "heatmap",
    "stat",
    "state-timeline",
    "table",
    "timeseries",
];

pub(super) fn uids(boards: &[Value]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let uids = boards.iter().map(|board| text(board, "/uid"));
    let again = uids.filter(|uid| uid.is_empty() || !seen.insert(*uid));
    again
        .map(|uid| format!("the uid {uid:?} is not the name of one dashboard"))
        .collect()
}

pub(super) fn findings(board: &Value) -> Vec<String> {
    let panels = panels(board);
    let mut found = Vec::new();
    if panels.is_empty() || panels.len() > MOST_PANELS {
        found.push(format!("{} panels", panels.len()));
    }
    let mut ids = BTreeSet::new();
    for (at, panel) in panels.iter().enumerate() {
        let title = text(panel, "/title");
        let mut say = |finding: &str| found.push(format!("{title:?}: {finding}"));
        if !panel["id"].as_u64().is_some_and(|id| ids.insert(id)) {
            say("its id is not its own");
        }
        missing(panel).into_iter().for_each(&mut say);
        if !fits(panel) {
            say("it is outside of the screen");
        }
        if panels[..at].iter().any(|other| overlap(panel, other)) {
            say("it lies on another panel");
        }
    }
    found
}

/// What a panel must say and does not.
fn missing(panel: &Value) -> Vec<&'static str> {
    let defaults = &panel["fieldConfig"]["defaults"];
    let sentences = text(panel, "/description").matches(['.', '?']).count();
    let steps = list(defaults, "/thresholds/steps");
    let rising = steps.windows(2).all(|pair| {
        let from = |step: &Value| step["value"].as_f64().unwrap_or(f64::MIN);
        from(&pair[0]) < from(&pair[1])
    });
    let conditions = [
        (text(panel, "/title").is_empty(), "it has no title"),
        (sentences == 0, "its description is no sentence"),
        (text(defaults, "/unit").is_empty(), "it has no unit"),
        (
            text(defaults, "/noValue").is_empty(),
            "it does not say why it is empty",
        ),
        (steps.is_empty(), "it has no thresholds"),
        (!rising, "its thresholds do not rise"),
        (list(panel, "/targets").is_empty(), "it asks nothing"),
        (
            !TYPES.contains(&text(panel, "/type")),
            "its type is not one of those that last",
        ),
    ];
    let wrong = conditions.into_iter().filter(|(is_so, _)| *is_so);
    wrong.map(|(_, finding)| finding).collect()
}

/// x, y, and what comes after the last column and row.
fn corners(panel: &Value) -> [u64; 4] {
    let side = |name: &str| panel["gridPos"][name].as_u64().unwrap_or_default();
    let (x, y) = (side("x"), side("y"));
    [x, y, x + side("w"), y + side("h")]
}

fn fits(panel: &Value) -> bool {
    let [x, y, right, bottom] = corners(panel);
    x < right && y < bottom && right <= COLUMNS && bottom <= MOST_ROWS
}

fn overlap(one: &Value, other: &Value) -> bool {
    let ([x, y, right, bottom], [x2, y2, right2, bottom2]) = (corners(one), corners(other));
    x < right2 && x2 < right && y < bottom2 && y2 < bottom
}
