//! Values as people write them. Each error says what is allowed.

use std::{env, path::Path, time::Duration};

use hyper::Uri;

/// The earliest first checkpoint: looking for tasks of that age costs more, the
/// shorter it is.
pub(crate) const SHORTEST_CHECKPOINT: Duration = Duration::from_millis(100);

pub(super) fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an address or a name".to_owned());
    }
    Ok(text.to_owned())
}

/// A URL of one of these schemes that a path can follow: without the slash at its
/// end, and with neither query nor fragment.
pub(crate) fn base_url(text: &str, schemes: &[&str]) -> Option<String> {
    let base = text.trim_end_matches('/');
    let url: Uri = base.parse().ok()?;
    let authority = url.authority()?;
    // After the credentials. A port beyond 65535 is part of the text, and none.
    let place = authority.as_str().rsplit('@').next()?;
    let is_whole = authority.port_u16().is_some() || place == authority.host();
    let is_known = schemes.contains(&url.scheme_str()?);
    // The parser drops a fragment, and what follows would be part of it.
    let can_be_followed = url.query().is_none() && !base.contains('#');
    (is_known && is_whole && can_be_followed && !authority.host().is_empty())
        .then(|| base.to_owned())
}

/// Where a browser finds something.
pub(super) fn link(text: &str) -> Result<String, String> {
    let url = base_url(text, &["http", "https"]);
    Ok(url.ok_or("an http:// or https:// URL such as `http://localhost:16686`")?)
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" | "yes" => Ok(true),
        "off" | "false" | "0" | "no" => Ok(false),
        _ => Err("`on` or `off`".to_owned()),
    }
}

/// A time above 0; `such` are examples of it.
pub(super) fn some_time(text: &str, such: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| !time.is_zero());
    time.ok_or_else(|| format!("a time above 0, such as {such}"))
}

/// Zero for none.
pub(super) fn checkpoint(text: &str) -> Result<Duration, String> {
    if text == "off" {
        return Ok(Duration::ZERO);
    }
    let first = humantime::parse_duration(text).ok();
    let first = first.filter(|first| *first >= SHORTEST_CHECKPOINT);
    Ok(first.ok_or("a time from 100ms, such as `5s` or `1m`, or `off`")?)
}

/// Loopback, but in a container, where loopback cannot be reached from outside.
///
/// Source: what the Python SDK's `run()` looks at; Podman's file besides.
pub(super) fn default_host() -> &'static str {
    let in_container = ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|path| Path::new(path).exists())
        || env::var_os("DOCKER_CONTAINER").is_some();
    if in_container { "0.0.0.0" } else { "127.0.0.1" }
}

/// Changes a field where there is something to change it to.
pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_read_or_not() {
        for (text, read) in [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://demo:80/", Some("http://demo:80")),
            ("http://demo", Some("http://demo")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("http://demo/agent//", Some("http://demo/agent")),
            ("http://me:word@demo", Some("http://me:word@demo")),
            ("http://me:word@demo:80", Some("http://me:word@demo:80")),
            ("http://me:word@demo:65536", None),
            ("HTTP://demo", Some("HTTP://demo")),
            ("ftp://demo", None),
            ("demo:8080", None),
            ("/demo", None),
            ("http://", None),
            ("http://:8080", None),
            ("http://demo:", None),
            ("http://demo:65536", None),
            ("http://demo:99999", None),
            ("http://demo:x", None),
            ("http://demo/?a=b", None),
            ("http://demo/#a", None),
            ("http://two words", None),
            ("", None),
        ] {
            assert_eq!(base_url(text, &["http"]).as_deref(), read, "{text}");
            assert_eq!(link(text).ok().as_deref(), read, "{text}");
        }
        assert_eq!(base_url("https://demo", &["http"]), None);
        assert_eq!(link("https://demo/"), Ok("https://demo".to_owned()));
    }
}
