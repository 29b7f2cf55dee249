//! From what a task's work gave back to the step that settles it.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::Serialize;
use serde_json::Value;

use super::panic_text;
use crate::{task::Step, telemetry::drop_quietly};

/// Bytes of a result at most, as JSON.
const MAX_RESULT: usize = 64 * 1_024;

/// Bytes of an error text at most.
const MAX_ERROR: usize = 4 * 1_024;

/// What caught a panic holds.
pub(super) type Caught<R> = Result<R, Box<dyn std::any::Any + Send>>;

/// The step for work that came to an end.
///
/// Writing the result or the error is the user's code as well: if it panics,
/// that is how the task ended.
pub(super) fn settle<T: Serialize, E: Display>(outcome: Caught<Result<T, E>>) -> Step {
    let step = outcome.and_then(|result| {
        catch_unwind(AssertUnwindSafe(|| match result {
            Ok(value) => succeed(value),
            Err(error) => fail(error),
        }))
    });
    step.unwrap_or_else(|panic| {
        let step = Step::Panic(cut(panic_text(&*panic)));
        drop_quietly(panic);
        step
    })
}

/// The step for work that gives back nothing.
pub(super) const fn done() -> Step {
    Step::Succeed {
        result: None,
        note: None,
    }
}

/// The step for a value, whose JSON becomes the result.
pub(super) fn succeed(value: impl Serialize) -> Step {
    match written(&value) {
        Ok(result) => Step::Succeed { result, note: None },
        Err(note) => Step::Succeed {
            result: None,
            note: Some(cut(note)),
        },
    }
}

/// A result as JSON, none for `null`; else why it is not kept.
fn written(value: &impl Serialize) -> Result<Option<Box<str>>, String> {
    let text = serde_json::to_string(value)
        .map_err(|error| format!("the result cannot be written as JSON: {error}"))?;
    if text == "null" {
        return Ok(None);
    }
    if text.len() > MAX_RESULT {
        return Err(format!(
            "the result is {} bytes of JSON; at most {MAX_RESULT} are kept",
            text.len()
        ));
    }
    // Readers stop at a depth, at 128 the one that `TaskJoin` uses.
    serde_json::from_str::<Value>(&text)
        .map_err(|error| format!("the result cannot be read back as JSON: {error}"))?;
    Ok(Some(text.into()))
}

/// The step for an error.
pub(super) fn fail(error: impl Display) -> Step {
    Step::Fail(cut(error.to_string()))
}

/// The step for a guard that goes while its thread panics.
pub(super) fn panicked(text: String) -> Step {
    Step::Panic(cut(text))
}

fn cut(text: String) -> Box<str> {
    shorten(text, MAX_ERROR).into()
}

/// Cuts a text at a character's boundary, to `most` bytes, and marks the cut.
pub(super) fn shorten(mut text: String, most: usize) -> String {
    const MARK: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - MARK.len()));
        text.push_str(MARK);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let Step::Fail(text) = fail("ä".repeat(3_000)) else {
            panic!("an error fails");
        };
        assert!(
            text.len() <= MAX_ERROR && text.ends_with("ä…"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn a_result_that_is_too_long_leaves_a_note() {
        let step = succeed("x".repeat(MAX_RESULT));
        let note = "the result is 65538 bytes of JSON; at most 65536 are kept".into();
        assert_eq!(
            step,
            Step::Succeed {
                result: None,
                note: Some(note)
            }
        );
    }

    #[test]
    fn a_result_that_panics_while_it_is_written_fails_the_task() {
        struct Trap;
        impl Serialize for Trap {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                panic!("sprung")
            }
        }
        let step = settle::<_, String>(Ok(Ok(Trap)));
        assert_eq!(step, Step::Panic("panicked: sprung".into()));
    }
}
