//! Places in source code, as people look for them.

use std::{borrow::Cow, fmt, panic::Location};

/// The file of a place. What is compiled by way of `src/../examples/a.rs` is
/// found at `examples/a.rs`.
pub(crate) fn file<'a>(place: &Location<'a>) -> Cow<'a, str> {
    tidy(place.file())
}

/// A line of source code.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Of this program.
    Here(&'static Location<'static>),
    /// Of the one that wrote it down: the file, as people look for it, and the line.
    Noted(Box<(Box<str>, u32)>),
}

// === impl Place ===

impl Place {
    /// Its file.
    pub(crate) fn file(&self) -> Cow<'static, str> {
        match self {
            Self::Here(place) => file(place),
            Self::Noted(noted) => noted.0.to_string().into(),
        }
    }

    pub(crate) fn line(&self) -> u32 {
        match self {
            Self::Here(place) => place.line(),
            Self::Noted(noted) => noted.1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file(), self.line())
    }
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
