//! Which panels show nothing while all is well, and why.

use super::board::Board;

/// A panel whose targets all show nothing in health.
struct Empty {
    board: &'static str,
    panel: &'static str,
    why: &'static str,
}

const EMPTY: [Empty; 5] = [
    versions("taskpulse-overview"),
    versions("taskpulse-tasks"),
    versions("taskpulse-ping"),
    versions("taskpulse-runtime"),
    Empty {
        board: "taskpulse-runtime",
        panel: "Lost by taskpulse, by signal",
        why: "nothing is lost while the collector is there",
    },
];

const fn versions(board: &'static str) -> Empty {
    Empty {
        board,
        panel: "annotation Versions",
        why: "the version stays the same",
    }
}

/// What is wrong with whether a target shows something.
pub(crate) fn finding(
    board: &str,
    panel: &str,
    reference: &str,
    job: &str,
    shows: bool,
    healthy: bool,
) -> Option<String> {
    let mut known = EMPTY.iter();
    let known = known.find(|it| it.board == board && it.panel == panel);
    let place = format!("{board} / {panel} / {reference} ({job})");
    match (known, shows, healthy) {
        (None, false, _) => Some(format!("{place} shows nothing")),
        (Some(it), true, true) => Some(format!("{place} is not empty in health: {}", it.why)),
        (Some(it), false, false) => Some(format!("{place} shows nothing even now: {}", it.why)),
        (None, true, _) | (Some(_), false, true) | (Some(_), true, false) => None,
    }
}

/// Entries for what is not there any more.
pub(crate) fn unknown(boards: &[Board]) -> Vec<String> {
    let is_there = |it: &Empty| {
        let board = boards.iter().find(|board| board.uid == it.board);
        board.is_some_and(|board| {
            let mut panels = board.panels.iter().map(|panel| panel.title.clone());
            let notes = board.annotations.iter();
            let mut notes = notes.map(|note| format!("annotation {}", note.reference));
            panels.any(|title| title == it.panel) || notes.any(|title| title == it.panel)
        })
    };
    let gone = EMPTY.iter().filter(|it| !is_there(it));
    gone.map(|it| format!("there is no {} / {}", it.board, it.panel))
        .collect()
}
