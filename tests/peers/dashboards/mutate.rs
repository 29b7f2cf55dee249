//! Dashboards, broken in one place each: what the checks must report.

use super::{
    board::Board,
    check::{findings, is_empty},
    promql::promises,
    run::{Row, Visit, open},
};

/// A way to break a query.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// The first metric has another name.
    Metric,
    /// The first label of the first `by (…)` has another name.
    Grouping,
    /// 900 s is no longer an edge of a bucket.
    Edge,
    /// The data source has another uid.
    Source,
}

impl Break {
    pub(crate) const ALL: [Self; 4] = [Self::Metric, Self::Grouping, Self::Edge, Self::Source];

    /// The query, broken; none where there is nothing to break.
    fn query(self, text: &str) -> Option<String> {
        match self {
            // Behind an `or` waits what fills a panel: that is broken, too.
            Self::Metric if text.contains(" or ") => Some(text.replace('{', "x{")),
            Self::Metric => text.contains('{').then(|| text.replacen('{', "x{", 1)),
            Self::Grouping => {
                let before = promises(text).ok()?.first().cloned()??;
                let broken = before.first().map(|label| regrouped(text, label))?;
                let after = promises(&broken).ok()?.first().cloned()??;
                (before != after).then_some(broken)
            }
            Self::Edge => text
                .contains("le=~\"900")
                .then(|| text.replace("le=~\"900", "le=~\"901")),
            Self::Source => None,
        }
    }
}

/// The query with another label in the place of this one, in its first `by (…)`
/// that has it.
fn regrouped(text: &str, label: &str) -> String {
    let mut places = text.match_indices("by (").map(|(at, _)| at);
    let has = |at: &usize| {
        let inner = text[*at + 4..].split(')').next().unwrap_or_default();
        inner.split(',').any(|other| other.trim() == label)
    };
    match places.find(has) {
        Some(at) => {
            let (before, after) = text.split_at(at);
            before.to_owned() + &after.replacen(label, &format!("x{label}"), 1)
        }
        None => text.to_owned(),
    }
}

/// What was broken, and whether anybody noticed.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) how: Break,
    pub(crate) place: String,
    pub(crate) query: String,
    pub(crate) noticed: bool,
}

fn is_sound(row: &Row) -> bool {
    !is_empty(row) && findings(row).is_empty()
}

/// Breaks every target of a dashboard in every way, each alone. Those that show
/// nothing whole, or something wrong, are left out: nobody could notice.
pub(crate) fn verdicts(board: &Board, visit: &Visit, whole: &[Row]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (at, panel) in board.panels.iter().enumerate() {
        for (index, target) in panel.targets.iter().enumerate() {
            let healthy = |row: &&Row| {
                row.panel == panel.title && row.target.text == target.text && is_sound(row)
            };
            if !whole.iter().any(|row| healthy(&row)) {
                continue;
            }
            for how in Break::ALL {
                let mut broken = board.clone();
                broken.panels = vec![broken.panels.swap_remove(at)];
                broken.annotations.clear();
                broken.panels[0].targets = vec![target.clone()];
                let target = &mut broken.panels[0].targets[0];
                match (how, how.query(&target.text)) {
                    (Break::Source, _) => target.source = "another".to_owned(),
                    (_, Some(query)) => target.text = query,
                    (_, None) => continue,
                }
                let query = target.text.clone();
                let rows = open(&broken, visit).rows;
                let seen = |row: &Row| !is_sound(row);
                verdicts.push(Verdict {
                    how,
                    place: format!("{} / {} / {index}", board.uid, panel.title),
                    query,
                    noticed: rows.iter().any(seen),
                });
            }
        }
    }
    verdicts
}
