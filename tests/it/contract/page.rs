//! The table as a page of the documentation.

use std::{collections::BTreeSet, env, fs, path::Path};

use super::table::{Check, Row, Verdict};
use super::{custom_ping, debug, requests, results, routing, stream, websocket};

const PAGE: &str = "docs/conformance.md";

/// The variable that asks for the page to be written.
const UPDATE: &str = "UPDATE_DOCS";

const INTRODUCTION: &str = "\
# Conformance with the Python SDK

How taskpulse answers the AgentCore Runtime HTTP contract, next to how the Python
SDK does: behaviour of `bedrock-agentcore` 1.22.0, observed by sending it raw
requests. Where the two differ, it is on purpose, and the last column says why.

Each row is one test, which sends the request over a plain socket and compares the
answer: the status, the headers that are named, and the body. JSON is compared as
JSON, so spaces and the order of keys do not count; `error` is compared to the
letter, while of `details` (written `…`) only that it is there. This page is written
by those tests.

Three differences hold everywhere and are not repeated: there is no `server`
header; JSON has no spaces; every error that taskpulse makes itself is JSON,
`{\"error\":\"...\"}`, with `\"details\"` where more can be said. `N` is an integer of
Unix seconds.
";

const SECTIONS: [(&str, &str, &[&[Row]]); 6] = [
    ("Paths and the ping", "", &[routing::ROWS]),
    (
        "A custom or forced ping status",
        "The handler of `App::ping` is asked once a second, off the path of `/ping`.\n",
        &[custom_ping::ROWS],
    ),
    (
        "Invocations: what comes in",
        "`POST /invocations` with this body, to a handler that takes `Payload<Value>` and\nreturns it. A handler that does not take the payload does not have it checked.\n",
        &[requests::ROWS],
    ),
    (
        "Invocations: what the handler does",
        "",
        &[results::ROWS, stream::ROWS, stream::ELSEWHERE],
    ),
    (
        "Debug actions",
        "`{\"_agent_core_app_action\": …}` to `/invocations`, with `--debug-actions`.\n",
        &[debug::ROWS],
    ),
    ("WebSockets", "", &[websocket::ROWS]),
];

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if env::var(UPDATE).is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{PAGE} is not what the table says; run this test again with {UPDATE}=1"
    );
}

#[test]
fn every_row_of_the_contract_is_there() {
    let rows = SECTIONS
        .iter()
        .flat_map(|(_, _, parts)| parts.iter().copied().flatten());
    let numbers: Vec<u8> = rows.map(|row| row.number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let expected = (1..=18).chain(20..=37).chain(40..=67).chain(70..=79);
    let expected: BTreeSet<u8> = expected.collect();
    assert_eq!(numbers.len(), expected.len(), "each once");
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), expected);
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, text, parts) in SECTIONS {
        page.push_str(&format!("\n## {title}\n\n"));
        if !text.is_empty() {
            page.push_str(text);
            page.push('\n');
        }
        page.push_str(
            "| | Request | SDK | taskpulse | Same, or why not |\n|---|---|---|---|---|\n",
        );
        for row in parts.iter().copied().flatten() {
            page.push_str(&line(row));
        }
    }
    page
}

fn line(row: &Row) -> String {
    let ours = match row.check {
        Check::Asks(_, asks) => {
            let mut answers: Vec<String> =
                asks.iter().map(|(_, answer)| answer.describe()).collect();
            answers.dedup();
            answers.join("; ")
        }
        Check::Story(seen, _) => seen.to_owned(),
        Check::Elsewhere(seen, module) => format!("{seen} (test module `{module}`)"),
    };
    let verdict = match row.verdict {
        Verdict::Same => "same".to_owned(),
        Verdict::SameBut(note) => format!("Same. {note}"),
        Verdict::Differs(why) => why.to_owned(),
        Verdict::NoEquivalent(why) => format!("No equivalent in Rust. {why}"),
    };
    let cells = [row.request, row.sdk, &ours, &verdict].map(|cell| cell.replace('|', "\\|"));
    format!("| {} | {} |\n", row.number, cells.join(" | "))
}
