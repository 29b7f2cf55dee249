//! What is announced of one task, and what follows from it.

use super::Condition;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Begun,
    Crossed(Condition),
    Cleared(Condition),
    Ended,
}

/// What a task's announcements come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) ended: bool,
    /// By condition: whether it holds, and how often it began.
    pub(super) noted: [bool; 2],
    pub(super) crossed: [u64; 2],
}

// === impl Told ===

impl Told {
    /// Adds them up: a begin, an end at most, and in between conditions that begin
    /// before they are over.
    pub(super) fn of(kinds: &[Kind]) -> Self {
        let mut told = Self::default();
        for (at, kind) in kinds.iter().enumerate() {
            assert_eq!(at == 0, *kind == Kind::Begun, "{kinds:?}");
            assert!(!told.ended, "{kinds:?}");
            match kind {
                Kind::Begun => {}
                Kind::Crossed(condition) => {
                    let noted = &mut told.noted[*condition as usize];
                    assert!(!std::mem::replace(noted, true), "{kinds:?}");
                    told.crossed[*condition as usize] += 1;
                }
                Kind::Cleared(condition) => {
                    let noted = &mut told.noted[*condition as usize];
                    assert!(std::mem::replace(noted, false), "{kinds:?}");
                }
                Kind::Ended => {
                    told.ended = true;
                    told.noted = [false; 2];
                }
            }
        }
        told
    }
}
