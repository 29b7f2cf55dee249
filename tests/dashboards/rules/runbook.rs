//! The runbook: a section for each alert, short enough for the night, with queries
//! that ask for what exists.

use std::collections::BTreeMap;

use super::{PAGES, Rules, aggregates_by_job, meant, others, parse, read};
use crate::names::Names;

const RUNBOOK: &str = "dashboards/RUNBOOK.md";

/// The lines of each alert's section, by its heading, with the part it stands in.
fn sections(page: &str) -> BTreeMap<&str, (&str, Vec<&str>)> {
    let mut sections = BTreeMap::new();
    for part in page.split("\n## ").skip(1) {
        let (part, rest) = part.split_once('\n').expect(part);
        for section in rest.split("\n### ").skip(1) {
            let (heading, body) = section.split_once('\n').expect(section);
            let lines = body.lines().filter(|line| !line.is_empty()).collect();
            let twice = sections.insert(heading, (part, lines));
            assert!(twice.is_none(), "two sections {heading}");
        }
    }
    sections
}

/// What stands between `q '` and the next quote.
fn queries(page: &str) -> Vec<&str> {
    let asked = page.split("`q '").skip(1);
    asked.filter_map(|rest| rest.split('\'').next()).collect()
}

#[test]
fn every_alert_has_a_section_and_every_section_an_alert() {
    let page = read(RUNBOOK);
    let sections = sections(&page);
    let rules = Rules::shipped();
    let names: Vec<_> = rules.names().into_iter().collect();
    let headings: Vec<_> = sections.keys().copied().collect();
    assert_eq!(headings, names);
}

#[test]
fn a_section_says_in_five_lines_what_to_do() {
    let page = read(RUNBOOK);
    for (heading, (part, lines)) in sections(&page) {
        assert!((3..=5).contains(&lines.len()), "{heading}: {lines:#?}");
        for (line, begin) in lines
            .iter()
            .zip(["- **Means:**", "- **Look:**", "- **Do:**"])
        {
            assert!(line.starts_with(begin), "{heading}: {line}");
        }
        let long = lines.iter().find(|line| line.chars().count() > 240);
        assert_eq!(long, None, "{heading}");
        assert_eq!(
            part == "Pages",
            PAGES.contains(&heading),
            "{heading}: {part}"
        );
        let asks = lines[1].contains('`');
        assert!(asks, "{heading} has no command to look with");
    }
}

#[test]
fn the_queries_of_the_runbook_ask_for_what_exists() {
    let (page, rules, names) = (read(RUNBOOK), Rules::shipped(), Names::golden());
    let queries = queries(&page);
    assert!(queries.len() > 20, "{queries:?}");
    for text in queries {
        let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        aggregates_by_job(text, query.expr());
        for selector in query.selectors() {
            for name in meant(&selector) {
                // Some are asked for together.
                let each = ["send", "enqueue"].map(|it| name.replace("(send|enqueue)", it));
                let known = each.iter().all(|name| {
                    let recorded = rules.recorded.iter().any(|it| it.name == *name);
                    recorded || names.get(name).is_some() || !others(name).is_empty()
                });
                assert!(known, "{text}: {name}");
            }
        }
    }
}
