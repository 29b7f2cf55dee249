//! The address of a running service, as `ping` and `traffic` are given it.

use crate::config::values::base_url;

/// What a person may write.
pub(super) const ALLOWED: &str = "an http:// URL such as `http://127.0.0.1:8080`";

/// The address where none is given, as the help tells it.
pub(super) const DEFAULT: &str = "http://127.0.0.1:8080, or the port of TASKPULSE_PORT";

/// This machine, at the port that `serve` would take.
pub(super) fn default() -> String {
    let port = std::env::var("TASKPULSE_PORT")
        .ok()
        .filter(|port| !port.is_empty());
    format!("http://127.0.0.1:{}", port.as_deref().unwrap_or("8080"))
}

/// What comes before `/ping` and all other paths, unless this is no such URL.
pub(super) fn base(text: &str) -> Option<String> {
    let base = text.trim_end_matches('/').trim_end_matches("/ping");
    base_url(base, &["http"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_not() {
        for (text, read) in [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://demo/", Some("http://demo")),
            ("http://[::1]:8080/ping", Some("http://[::1]:8080")),
            ("http://demo/agent/", Some("http://demo/agent")),
            ("https://demo", None),
            ("demo:8080", None),
            ("http://demo:65536", None),
            ("http://demo/ping?a=b", None),
        ] {
            assert_eq!(base(text).as_deref(), read, "{text}");
        }
    }
}
