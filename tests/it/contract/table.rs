//! What a row of the conformance table is, and how it is checked.

use std::net::SocketAddr;

use serde_json::Value;
use taskpulse::App;

use crate::harness::{Client, Response, Server};

/// A row: what the SDK does, what we do, and the check of the latter.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u8,
    /// What is asked, in Markdown.
    pub(super) request: &'static str,
    /// What the SDK was seen to answer, in Markdown.
    pub(super) sdk: &'static str,
    pub(super) check: Check,
    pub(super) verdict: Verdict,
}

/// How a row is checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// These requests to this app get these answers.
    Asks(fn() -> App, &'static [(Ask, Answer)]),
    /// More than one request tells: what is seen, and the test that sees it.
    Story(&'static str, fn()),
    /// What is seen, and the module of tests that sees it.
    Elsewhere(&'static str, &'static str),
}

/// How ours compares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Same,
    /// The same, and something worth saying.
    SameBut(&'static str),
    /// Deliberately not, and why.
    Differs(&'static str),
    /// It cannot be written in Rust, and what comes closest.
    NoEquivalent(&'static str),
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// Method, path, headers (each ending in `\r\n`) and body.
    Sent(&'static str, &'static str, &'static str, &'static [u8]),
    /// Bytes as they are.
    Raw(&'static [u8]),
}

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    /// Headers that must be there, with these values.
    headers: &'static [(&'static str, &'static str)],
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Empty,
    Text(&'static str),
    /// This JSON, whatever its spaces.
    Json(&'static str),
    /// The error's JSON, with this `error` and nothing else.
    Error(&'static str),
    /// The error's JSON with `details`, which say what we like.
    Detailed(&'static str),
    /// The status of a ping and a timestamp.
    Ping(&'static str),
}

/// Declares the rows of a module, and a test for each.
macro_rules! rows {
    ($($name:ident: $row:expr,)*) => {
        pub(super) const ROWS: &[$crate::contract::table::Row] = &[$($row),*];
        $(
            #[test]
            fn $name() {
                const ROW: &$crate::contract::table::Row = &$row;
                ROW.check(stringify!($name));
            }
        )*
    };
}
pub(super) use rows;

pub(super) const fn get(path: &'static str) -> Ask {
    Ask::Sent("GET", path, "", b"")
}

/// `POST /invocations`.
pub(super) const fn invoke(body: &'static [u8]) -> Ask {
    Ask::Sent("POST", "/invocations", "", body)
}

pub(super) const fn answer(status: u16, body: Body) -> Answer {
    Answer {
        status,
        headers: &[],
        body,
    }
}

// === impl Row ===

impl Row {
    /// Checks it; `name` must say which row it is.
    #[track_caller]
    pub(super) fn check(&self, name: &str) {
        assert!(
            name.starts_with(&format!("row_{:02}_", self.number)),
            "{name} is row {}",
            self.number
        );
        match self.check {
            Check::Asks(app, asks) => {
                let server = Server::spawn(app());
                check_all(server.address, asks);
            }
            Check::Story(_, story) => story(),
            Check::Elsewhere(..) => panic!("{name} is checked elsewhere and needs no test here"),
        }
    }
}

/// Asks, each on a connection of its own, and checks the answers.
#[track_caller]
pub(super) fn check_all(address: SocketAddr, asks: &[(Ask, Answer)]) {
    for (ask, expected) in asks {
        let response = ask.put(&mut Client::connect(address));
        expected.check(&response, &ask.to_string());
    }
}

// === impl Ask ===

impl Ask {
    pub(super) fn put(&self, client: &mut Client) -> Response {
        match *self {
            Self::Sent(method, path, headers, body) => client.request(method, path, headers, body),
            Self::Raw(bytes) => client.send(bytes).response(),
        }
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shorten =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        match *self {
            Self::Sent(method, path, headers, body) => {
                write!(f, "{method} {path} {headers:?} {:?}", shorten(body))
            }
            Self::Raw(bytes) => write!(f, "{:?}", shorten(bytes)),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(super) const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    #[track_caller]
    pub(super) fn check(&self, response: &Response, ask: &str) {
        let seen = format!(
            "{ask} was answered {} {:?} {:?}",
            response.status,
            response.headers,
            response.text()
        );
        assert_eq!(response.status, self.status, "{seen}");
        for &(name, value) in self.headers {
            let found = response.header(name).map(|found| sorted(name, found));
            assert_eq!(found, Some(sorted(name, value)), "{name}: {seen}");
        }
        let is_json = !matches!(self.body, Body::Empty | Body::Text(_));
        if is_json {
            let kind = response.header("content-type");
            assert_eq!(kind, Some("application/json"), "{seen}");
        }
        self.body.check(response, &seen);
    }

    /// In Markdown.
    pub(super) fn describe(&self) -> String {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!(", `{name}: {value}`"));
        let headers: String = headers.collect();
        format!("{}{}{headers}", self.status, self.body.describe())
    }
}

/// The order of the methods in `Allow` says nothing.
fn sorted(name: &str, value: &str) -> Vec<String> {
    let mut parts = match name {
        "allow" => value
            .split(',')
            .map(|part| part.trim().to_owned())
            .collect(),
        _ => vec![value.to_owned()],
    };
    parts.sort();
    parts
}

// === impl Body ===

impl Body {
    #[track_caller]
    fn check(&self, response: &Response, seen: &str) {
        match *self {
            Self::Empty => assert!(response.body.is_empty(), "{seen}"),
            Self::Text(text) => assert_eq!(response.text(), text, "{seen}"),
            Self::Json(json) => {
                let expected: Value = serde_json::from_str(json).unwrap();
                assert_eq!(response.json(), expected, "{seen}");
            }
            Self::Error(error) => {
                assert_eq!(
                    response.json(),
                    serde_json::json!({ "error": error }),
                    "{seen}"
                );
            }
            Self::Detailed(error) => {
                let json = response.json();
                assert_eq!(json["error"], error, "{seen}");
                let details = json["details"].as_str();
                assert!(details.is_some_and(|details| !details.is_empty()), "{seen}");
                assert_eq!(
                    json.as_object().map(|fields| fields.len()),
                    Some(2),
                    "{seen}"
                );
            }
            Self::Ping(status) => {
                let json = response.json();
                assert_eq!(json["status"], status, "{seen}");
                assert!(json["time_of_last_update"].is_u64(), "{seen}");
                assert_eq!(
                    json.as_object().map(|fields| fields.len()),
                    Some(2),
                    "{seen}"
                );
            }
        }
    }

    fn describe(&self) -> String {
        match *self {
            Self::Empty => ", no body".to_owned(),
            Self::Text(text) | Self::Json(text) => format!(" `{text}`"),
            Self::Error(error) => format!(" `{{\"error\":\"{error}\"}}`"),
            Self::Detailed(error) => format!(" `{{\"error\":\"{error}\",\"details\":…}}`"),
            Self::Ping(status) => {
                format!(" `{{\"status\":\"{status}\",\"time_of_last_update\":N}}`")
            }
        }
    }
}
