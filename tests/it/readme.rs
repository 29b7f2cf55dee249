//! What the README shows is what happens.
//!
//! Its `console` blocks are run from top to bottom by `sh`, against one agent on
//! a free port, and what is printed is compared with what is written there:
//! `[..]` stands for anything within a line, `...` for any lines.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use snapbox::{Assert, IntoData as _};

use crate::{
    clients::is_here,
    harness::{Process, process::BINARY},
};

const README: &str = include_str!("../../README.md");

/// The address that the README speaks of.
const WRITTEN: &str = "127.0.0.1:8080";

/// What stands for a command that would run itself: `cargo run --release` is
/// represented by the harness's `Process`, `cargo test` is what runs this.
const REPRESENTED: [&str; 2] = ["cargo run --release", "cargo test"];

/// A command and what it prints.
#[derive(Debug)]
struct Step {
    command: String,
    prints: String,
}

/// The fenced blocks of a text: their language and their lines.
fn blocks(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (language, lines) in blocks(README) {
        if language != "console" {
            continue;
        }
        assert!(lines[0].starts_with("$ "), "no command: {lines:?}");
        for line in lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (None, Some(step)) => step.prints += &format!("{line}\n"),
                (command, _) => steps.push(Step {
                    command: command.expect("a command comes first").to_owned(),
                    prints: String::new(),
                }),
            }
        }
    }
    steps
}

fn run(step: &Step, agent: &Process) -> String {
    let address = agent.address.to_string();
    let folder = Path::new(BINARY).parent().expect("a folder");
    let path = env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &step.command.replace(WRITTEN, &address)])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("TASKPULSE_PORT", agent.address.port().to_string())
        .output()
        .expect("sh runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{step:?}: {complaint}");
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.replace(&address, WRITTEN)
}

#[test]
fn its_commands_print_what_it_says() {
    if !is_here(
        Command::new("curl").arg("--version"),
        "apt-get install curl",
    ) {
        return;
    }
    let agent = Process::spawn(&[]);
    let assert = Assert::new().normalize_paths(false);
    let mut ran = 0;
    for step in steps() {
        if REPRESENTED.contains(&step.command.as_str()) {
            continue;
        }
        let printed = run(&step, &agent);
        // A transcript shows a line's end where curl prints none.
        let printed = format!("{}\n", printed.trim_end_matches('\n'));
        let written = format!("{}\n", step.prints.trim_end_matches('\n'));
        if let Err(error) = assert.try_eq(
            Some(&step.command),
            printed.into_data(),
            written.into_data(),
        ) {
            panic!("$ {}\n{error}", step.command);
        }
        ran += 1;
    }
    assert!(ran > 10, "{ran} commands were run");
}

#[test]
fn it_starts_with_the_two_commands() {
    let commands: Vec<_> = steps().into_iter().map(|step| step.command).collect();
    assert_eq!(commands[..2], REPRESENTED);
    let rest = &commands[2..];
    assert!(!rest.iter().any(|command| command.starts_with("cargo")));
}

#[test]
fn every_shell_block_is_one_that_is_run() {
    for (language, lines) in blocks(README) {
        let known = ["console", "text", "toml", "rust,no_run"];
        assert!(known.contains(&language.as_str()), "{language}: {lines:?}");
    }
}

#[test]
fn its_links_lead_somewhere() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let files = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "docs/python.md",
        "docs/telemetry.md",
    ];
    for file in files {
        let path = root.join(file);
        let text = std::fs::read_to_string(&path).expect(file);
        for link in text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or_default();
            let local = !link.is_empty() && !link.contains("://");
            let target = path.parent().expect("a folder").join(link);
            assert!(!local || target.exists(), "{file} links to {link}");
        }
    }
}

#[test]
fn its_routes_are_there() {
    let agent = Process::spawn(&[]);
    let invoked = agent.invoke(&serde_json::json!({"action": "cleanup", "seconds": 0}));
    let id = invoked.json()["task_id"].to_string();
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let routes = rows.filter_map(|row| row.split('`').next()?.split_once(' '));
    let routes: Vec<_> = routes.filter(|(_, path)| path.starts_with('/')).collect();
    assert_eq!(routes.len(), 7, "{routes:?}");
    for (method, path) in routes {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGFza3B1bHNlIHRlc3RzIQ==\r\n";
        let (headers, expected) = match path {
            "/ws" => (upgrade, 403), // This agent has no handler for it.
            _ => ("", 200),
        };
        let body = if method == "POST" { "{}" } else { "" };
        let answer = agent
            .client()
            .request(method, &path.replace("{id}", &id), headers, body);
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}
