//! `RUST_LOG`.

use std::ffi::OsStr;

use tracing_subscriber::{EnvFilter, filter::Directive};

/// What is printed where nothing else is asked for.
const DEFAULT: &str = "info";

/// The filter that the variable's value asks for. If part of it cannot be read,
/// all of it counts as `info`, and the text says which part that is.
pub(super) fn asked(value: Option<&OsStr>) -> (EnvFilter, Option<String>) {
    let value = value.map(OsStr::to_string_lossy).unwrap_or_default();
    let directives: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .collect();
    if directives.is_empty() {
        return (EnvFilter::new(DEFAULT), None);
    }
    let bad = directives.iter().find(|directive| !is_directive(directive));
    match (bad, EnvFilter::try_new(directives.join(","))) {
        (None, Ok(filter)) => (filter, None),
        (bad, _) => {
            let bad = bad.copied().unwrap_or(&value);
            (EnvFilter::new(DEFAULT), Some(warning(bad)))
        }
    }
}

/// Whether this can be read. No target has white space in it: the words of a
/// sentence would otherwise be a target that nothing is logged under.
fn is_directive(text: &str) -> bool {
    let target = text.split('[').next().unwrap_or_default();
    !target.contains(char::is_whitespace) && text.parse::<Directive>().is_ok()
}

fn warning(bad: &str) -> String {
    format!(
        "RUST_LOG: `{bad}` is not understood, so `{DEFAULT}` is used (allowed are levels and \
         targets: `warn`, `taskpulse=debug`, `info,hyper=off`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, filter: &str, named: Option<&str>) {
        let (asked, warning) = asked(Some(OsStr::new(value)));
        assert_eq!(asked.to_string(), filter, "{value}");
        match named {
            None => assert_eq!(warning, None, "{value}"),
            Some(bad) => {
                let warning = warning.expect("a warning");
                let start = format!("RUST_LOG: `{bad}` is not understood");
                assert!(warning.starts_with(&start), "{warning}");
            }
        }
    }

    #[test]
    fn what_can_be_read_is_used() {
        check("warn", "warn", None);
        check("off", "off", None);
        check("hyper=debug,warn", "hyper=debug,warn", None);
        check("hyper=debug, warn ,", "hyper=debug,warn", None);
        check("[request]=debug", "[request]=debug", None);
        check("[two words]=debug", "[two words]=debug", None);
    }

    #[test]
    fn nothing_is_info() {
        let (filter, warning) = asked(None);
        assert_eq!((filter.to_string(), warning), ("info".to_owned(), None));
        check("", "info", None);
        check(" , ", "info", None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        check("hyper=loud", "info", Some("hyper=loud"));
        check("warn,hyper=loud", "info", Some("hyper=loud"));
        check("=debug", "info", Some("=debug"));
        check("not a filter at all", "info", Some("not a filter at all"));
        check("info,[open", "info", Some("[open"));
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_no_directive() {
        use std::os::unix::ffi::OsStrExt as _;

        let (filter, warning) = asked(Some(OsStr::from_bytes(b"hyper=\xff")));
        assert_eq!(filter.to_string(), "info");
        assert!(warning.expect("a warning").contains("`hyper=\u{fffd}`"));
    }
}
