//! The shipped rules, read and tried by promtool: the cases say which alert fires
//! when, with which labels and texts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{
    alone,
    peer::{PROMTOOL, are_here},
};

/// Where Prometheus's files are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/prometheus")
}

/// Runs promtool in that folder; what it has said.
fn promtool(arguments: &[&str]) -> Result<String, String> {
    let program = PROMTOOL.find().expect("asked for before");
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder()).output();
    let output = output.expect("it starts");
    let both = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&both).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

/// The files of cases, by name.
fn cases() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("we named it"));
    let mut cases: Vec<_> = names
        .filter(|name| name.starts_with("rules_test") && name.ends_with(".yml"))
        .collect();
    cases.sort_unstable();
    cases
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    if !are_here(&[PROMTOOL]) {
        return;
    }
    // Every lint there is, and each is an error.
    let lint = ["--lint=all", "--lint-fatal"];
    let checked = promtool(&[&["check", "rules"][..], &lint, &["rules.yml"]].concat());
    println!("{}", checked.unwrap_or_else(|said| panic!("{said}")));
}

#[test]
fn promtool_finds_nothing_wrong_with_the_configuration() {
    if !are_here(&[PROMTOOL]) {
        return;
    }
    // It reads the rules that the configuration names, too.
    let checked = promtool(&[
        "check",
        "config",
        "--lint=all",
        "--lint-fatal",
        "prometheus.yml",
    ]);
    let said = checked.unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("1 rule files found"), "{said}");
    println!("{said}");
}

#[test]
fn alerts_fire_when_the_cases_say_so() {
    if !are_here(&[PROMTOOL]) {
        return;
    }
    let _alone = alone();
    let cases = cases();
    assert!(cases.len() > 5, "{cases:?}");
    // A process each: they take a processor, and there may be several.
    let said: Vec<_> = thread::scope(|scope| {
        let each = |file: &String| promtool(&["test", "rules", file]);
        let started = cases.iter().map(|file| scope.spawn(move || each(file)));
        let started: Vec<_> = started.collect();
        let ended = started.into_iter().map(|it| it.join().expect("no panic"));
        ended.collect()
    });
    for said in said {
        let said = said.unwrap_or_else(|said| panic!("{said}"));
        // A file that it skips would say nothing.
        assert!(said.contains("SUCCESS"), "{said}");
    }
}
