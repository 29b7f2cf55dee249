//! The dashboards as they are committed: what the source says, and nothing wrong.
//!
//! ```text
//! SNAPSHOTS=overwrite cargo test --test dashboards
//! ```
//! writes them.

use std::fs;

use serde_json::Value;
use snapbox::{Assert, Data};

use crate::{
    checks::{self, Known},
    file,
    names::Names,
    source,
};

const FOLDER: &str = "dashboards/grafana/dashboards";
const DATASOURCES: &str = "dashboards/grafana/provisioning/datasources/taskpulse.yaml";

#[test]
fn dashboards_are_as_their_source_says() {
    for (name, dashboard) in source::all() {
        let path = file(FOLDER).join(name);
        Assert::new()
            .action_env("SNAPSHOTS")
            .normalize_paths(false)
            .eq(
                source::written(&dashboard),
                Data::read_from(&path, None).raw(),
            );
    }
}

/// The dashboards of the folder, whatever made them.
pub(crate) fn committed() -> Vec<String> {
    let files = fs::read_dir(file(FOLDER)).expect(FOLDER);
    let mut paths: Vec<_> = files.map(|it| it.expect("a file").path()).collect();
    paths.sort();
    let texts = paths.iter().map(fs::read_to_string);
    texts.map(|text| text.expect("a text")).collect()
}

fn provisioned() -> Vec<String> {
    let text = fs::read_to_string(file(DATASOURCES)).expect(DATASOURCES);
    let yaml: Value = serde_saphyr::from_str(&text).expect(DATASOURCES);
    let sources = yaml["datasources"].as_array().expect("a list").iter();
    sources
        .map(|it| it["uid"].as_str().expect("a uid").to_owned())
        .collect()
}

pub(crate) fn findings(boards: &[String]) -> Vec<String> {
    let boards = boards.iter().map(|text| serde_json::from_str(text));
    let boards: Vec<Value> = boards.map(|board| board.expect("JSON")).collect();
    let known = Known {
        names: Names::golden(),
        datasources: provisioned(),
    };
    checks::findings(&boards, &known)
}

#[test]
fn nothing_is_wrong_with_them() {
    let found = findings(&committed());
    assert!(found.is_empty(), "{}", found.join("\n"));
}
