//! `.env.example` has every variable of the stack, with the default it has there.

use std::collections::BTreeMap;

use super::{COMPOSE, text};

/// Each `${NAME:-default}` of the compose file.
fn used() -> BTreeMap<String, String> {
    let compose = text(COMPOSE);
    let mut used = BTreeMap::new();
    for part in compose.split("${").skip(1) {
        let (variable, _) = part.split_once('}').expect("a closing brace");
        let (name, default) = variable
            .split_once(":-")
            .unwrap_or_else(|| panic!("{variable} has no default"));
        let before = used.insert(name.to_owned(), default.to_owned());
        assert!(
            before.is_none_or(|before| before == default),
            "{name} has two defaults"
        );
    }
    used
}

#[test]
fn every_variable_is_explained() {
    let example = text(".env.example");
    let mut explained = BTreeMap::new();
    let mut comment = false;
    for line in example.lines() {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            // One comment may explain several that follow each other.
            assert!(comment, "{name} is not explained");
            explained.insert(name.to_owned(), value.to_owned());
        } else {
            comment = line.starts_with('#');
        }
    }
    assert_eq!(explained, used());
    assert!(
        !text(COMPOSE).replace("${", "").contains('$'),
        "a variable without braces"
    );
}

/// A copy of the file for oneself is nothing to commit.
#[test]
fn nobodys_own_values_are_kept() {
    assert!(text(".gitignore").lines().any(|line| line == "/.env"));
}
