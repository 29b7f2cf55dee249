//! Its flags and variables.

use serde_json::Value;

use super::{assert_adds_up, count, nobody};
use crate::cli::run;

#[test]
fn a_time_ends_without_a_service() {
    let url = format!("http://{}", nobody());
    let ended = run(
        &["traffic"],
        &[
            ("TASKPULSE_TRAFFIC_URL", &url),
            ("TASKPULSE_TRAFFIC_FOR", "300ms"),
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_adds_up(&line);
    assert_eq!(
        count(&line, "unreached"),
        count(&line, "requests"),
        "{line}"
    );
}

/// Per flag: values that are wrong, and what is said to be allowed.
const WRONG: [(&str, &[&str], &str); 5] = [
    (
        "url",
        &["https://demo", "demo:8080", "http://", "http://demo:x", ""],
        "an http:// URL such as `http://127.0.0.1:8080`",
    ),
    (
        "rate",
        &["0", "-1", "1001", "NaN", "many", ""],
        "a number from 0.1 to 1000",
    ),
    ("seed", &["-1", "1.5", "x", ""], "an integer from 0"),
    (
        "for",
        &["10", "0s", "-1s", "ever", ""],
        "a time such as `30s`",
    ),
    ("log-format", &["xml", "JSON", ""], "`pretty` or `json`"),
];

/// The variable of a flag. That of the log is the whole program's.
fn variable(flag: &str) -> String {
    let own = if flag == "log-format" { "" } else { "TRAFFIC_" };
    format!("TASKPULSE_{own}{}", flag.to_uppercase().replace('-', "_"))
}

#[test]
fn its_log_is_printed_as_is_asked() {
    let url = format!("http://{}", nobody());
    let flags = ["traffic", "--for", "1ms", "--url", &url];
    let printed = |more: &[&str], variable: &str| {
        let ended = run(
            &[&flags[..], more].concat(),
            &[("TASKPULSE_LOG_FORMAT", variable)],
        );
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("traffic in total"), "{ended:?}");
        let is_json = |line| serde_json::from_str::<Value>(line).is_ok();
        if ended.stdout.lines().all(is_json) {
            "json"
        } else {
            "pretty"
        }
    };
    // Nobody's terminal is here.
    assert_eq!(printed(&[], ""), "json");
    assert_eq!(printed(&[], "pretty"), "pretty");
    assert_eq!(printed(&[], "json"), "json");
    assert_eq!(printed(&["--log-format", "pretty"], "json"), "pretty");
}

#[test]
fn the_help_of_traffic_tells_every_flag_and_its_variable() {
    let help = run(&["traffic", "--help"], &[]);
    assert_eq!(help.code, Some(0));
    let words: Vec<_> = help.stdout.split_whitespace().collect();
    let text = words.join(" ");
    for (flag, value, default) in [
        (
            "url",
            "URL",
            "http://127.0.0.1:8080, or the port of TASKPULSE_PORT",
        ),
        ("rate", "RATE", "5"),
        ("seed", "SEED", "another one each time, which is printed"),
        ("for", "TIME", "until SIGTERM or Ctrl-C"),
        ("log-format", "FORMAT", "pretty on a terminal, else json"),
    ] {
        let start = text.find(&format!(" --{flag} <{value}> ")).expect(flag);
        let rest = format!("[default: {default}] [env: {}]", variable(flag));
        let told = text[start..].find(&rest).expect(flag);
        let next = text[start + 3..].find(" --").unwrap_or(usize::MAX);
        assert!(told < next, "{rest} is another flag's");
    }
}

#[test]
fn a_wrong_value_of_traffic_is_told_what_is_allowed() {
    for (flag, values, allowed) in WRONG {
        for value in values {
            let quoted = format!("`{value}`");
            let argument = format!("--{flag}={value}");
            let said = [&format!("--{flag} is"), quoted.as_str(), allowed];
            run(&["traffic", &argument], &[]).complains(2, &said);
            // An empty variable is one that is not set.
            if value.is_empty() {
                continue;
            }
            let variable = variable(flag);
            let said = [&format!("{variable} is"), quoted.as_str(), allowed];
            run(&["traffic"], &[(&variable, value)]).complains(2, &said);
        }
    }
    run(&["traffic"], &[("TASKPULSE_PORT", "x")])
        .complains(2, &["TASKPULSE_PORT", "`http://127.0.0.1:x`"]);
    run(&["traffic", "now"], &[]).complains(2, &["'now'", "--help"]);
}
