//! Places in source code, as people look for them.

use std::{borrow::Cow, panic::Location};

/// The file of a place. What is compiled by way of `src/../examples/a.rs` is
/// found at `examples/a.rs`.
pub(crate) fn file<'a>(place: &'a Location<'_>) -> Cow<'a, str> {
    tidy(place.file())
}

fn tidy(path: &str) -> Cow<'_, str> {
    if !path.contains("/../") {
        return path.into();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("..", Some(&before)) if before != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/").into()
}

#[cfg(all(test, not(taskpulse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn detours_are_left_out() {
        for (path, tidied) in [
            ("src/agent.rs", "src/agent.rs"),
            ("src/../examples/a.rs", "examples/a.rs"),
            ("a/b/../../c.rs", "c.rs"),
            ("../a/../b.rs", "../b.rs"),
        ] {
            assert_eq!(tidy(path), tidied);
        }
    }
}
