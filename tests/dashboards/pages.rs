//! What pages for users say of the dashboards is there: names of dashboards and
//! panels, which they print bold, and those of links, which they print in italics.

use std::{collections::BTreeSet, fs};

use crate::{
    file,
    source::{self, model::Kind},
};

/// Names of panels and dashboards, and those of links.
fn names() -> [BTreeSet<&'static str>; 2] {
    let mut shown = BTreeSet::new();
    let mut links = BTreeSet::new();
    for (_, dashboard) in source::all() {
        shown.insert(dashboard.title);
        for panel in dashboard.panels {
            shown.insert(panel.title);
            links.extend(panel.links.iter().map(|link| link.title));
            if let Kind::Table { columns, .. } = &panel.kind {
                let of_columns = columns.iter().flat_map(|column| &column.links);
                links.extend(of_columns.map(|link| link.title));
            }
        }
    }
    [shown, links]
}

/// What stands between two marks, wherever lines break.
fn marked(page: &str, mark: &str) -> Vec<String> {
    let parts = page.split(mark).skip(1).step_by(2);
    let words = parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    words.collect()
}

fn page(path: &str) -> String {
    let page = fs::read_to_string(file(path)).expect(path);
    // Code has stars of its own.
    let prose: String = page.split("```").step_by(2).collect();
    prose.split('`').step_by(2).collect()
}

#[test]
fn the_page_of_a_stuck_task_names_what_is_there() {
    let [shown, links] = names();
    let page = page("docs/stuck-task.md");
    let bold = marked(&page, "**");
    assert!(bold.len() > 5, "{bold:?}");
    for name in bold {
        assert!(
            shown.contains(&*name),
            "there is no panel or dashboard {name:?}"
        );
    }
    let without_bold: String = page.split("**").step_by(2).collect();
    let italic = marked(&without_bold, "*");
    assert!(italic.len() > 3, "{italic:?}");
    for name in italic {
        assert!(links.contains(&*name), "there is no link {name:?}");
    }
}

#[test]
fn the_readme_names_what_is_there() {
    let [shown, links] = names();
    let page = page("README.md");
    // Elsewhere it stresses words of its own.
    let parts = page.split("\n## ");
    let of_stack = parts.filter(|part| part.starts_with("All of it: Grafana"));
    let of_stack = of_stack.collect::<String>();
    let without_bold: String = of_stack.split("**").step_by(2).collect();
    let italic = marked(&without_bold, "*");
    assert!(italic.len() > 3, "{italic:?}");
    for name in italic {
        let there = links.contains(&*name) || shown.contains(&*name);
        assert!(there, "there is no link or panel {name:?}");
    }
}
