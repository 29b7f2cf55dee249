//! Reads the sources as far as the rules of the architecture need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// One file of `src/` that is more than a test.
#[derive(Debug)]
pub(super) struct File {
    /// From the package's root, with slashes.
    pub(super) path: String,
    /// The module right below the crate that it belongs to.
    pub(super) module: String,
    /// As it is, up to its tests.
    pub(super) text: String,
    /// The same without comments and texts.
    pub(super) code: String,
}

/// The manifest, as far as it is asked.
pub(super) struct Manifest {
    pub(super) text: String,
    /// Crates that are used, as code names them.
    pub(super) dependencies: Vec<String>,
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`, without those that are compiled for tests alone.
pub(super) fn files() -> Vec<File> {
    let paths = rust_files(&root().join("src"));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("readable");
    let test_only: Vec<PathBuf> = paths
        .iter()
        .flat_map(|path| test_modules(path, &read(path)))
        .collect();
    let kept = paths.iter().filter(|path| {
        !test_only
            .iter()
            .any(|test| path.starts_with(test) || path.with_extension("") == *test)
    });
    kept.map(|path| {
        let name = path.strip_prefix(root()).expect("below the root");
        File::parse(name.to_str().expect("UTF-8"), &read(path))
    })
    .collect()
}

/// The names of all tests of the package.
pub(super) fn tests() -> BTreeSet<String> {
    let folders = [root().join("src"), root().join("tests")];
    let paths = folders.iter().flat_map(|folder| rust_files(folder));
    let mut names = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(path).expect("readable");
        for test in text
            .split("test]\n")
            .skip(1)
            .chain(text.split("test(").skip(1))
        {
            let function = test.split("fn ").nth(1).unwrap_or_default();
            let name = function.split('(').next().unwrap_or_default();
            names.insert(name.to_owned());
        }
        // A table declares a test for each of its rows.
        let rows = text
            .lines()
            .filter_map(|line| line.trim().strip_suffix(": Row {"));
        names.extend(rows.map(str::to_owned));
    }
    names
}

/// What `lib.rs` hands on, and from which module.
pub(super) fn exports() -> BTreeMap<String, String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("readable");
    let mut exports = BTreeMap::new();
    // `pub mod ping` of lib.rs is a door to the service's.
    exports.insert("ping".to_owned(), "service".to_owned());
    for statement in without_comments(&lib).split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else {
            continue;
        };
        let path = path.trim().trim_start_matches("crate::");
        let (module, names) = path.split_once("::").expect("a path");
        for name in names.split(|c: char| !c.is_alphanumeric() && c != '_') {
            exports.insert(name.to_owned(), module.to_owned());
        }
    }
    exports
}

pub(super) fn manifest() -> Manifest {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let tables = text.split("\n[").filter(|table| {
        table
            .lines()
            .next()
            .is_some_and(|head| head.ends_with("dependencies]"))
    });
    let dependencies = tables
        .flat_map(str::lines)
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect();
    Manifest { text, dependencies }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Modules with files of their own that a file declares for tests alone, their
/// paths without the ending.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => path.parent().expect("a folder").to_owned(),
        _ => path.with_extension(""),
    };
    let mut found = Vec::new();
    let mut for_tests = false;
    for line in text.lines() {
        for_tests |= is_for_tests(line);
        let declared = line.trim().strip_prefix("mod ");
        if let Some(name) = declared.and_then(|name| name.strip_suffix(';'))
            && for_tests
        {
            found.push(folder.join(name));
        }
        // An item ends so; an attribute, of one line or more, does not.
        if line.ends_with([';', '{', '}']) {
            for_tests = false;
        }
    }
    found
}

fn is_for_tests(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

// === impl File ===

impl File {
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let module = path.trim_start_matches("src/");
        let module = module.split(['/', '.']).next().expect("a name");
        let lines: Vec<_> = text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| is_for_tests(pair[0]) && pair[1].starts_with("mod tests {"));
        let text = lines[..tests.unwrap_or(lines.len())].join("\n");
        Self {
            path: path.to_owned(),
            module: module.to_owned(),
            code: without_texts(&without_comments(&text)),
            text,
        }
    }

    /// What is imported or named as `crate::...`: the first name of each path.
    pub(super) fn imports(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let path = &self.code[at + "crate::".len()..];
            match path.strip_prefix('{') {
                Some(group) => names.extend(first_names(group)),
                None => names.extend(identifier(path)),
            }
        }
        names
    }

    /// Whether the code has `word`, and not as the end of a longer one.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.code.match_indices(word).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            let goes_on = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let closed = !word.ends_with(|c: char| c.is_alphanumeric()) || !goes_on(after);
            !goes_on(before) && before != Some(':') && closed
        })
    }
}

/// The first names of the paths in a `use` group, whose brace is open.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut path = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(identifier(&std::mem::take(&mut path))),
            _ if depth == 0 => path.push(c),
            _ => {}
        }
    }
    names.extend(identifier(&path));
    names
}

fn identifier(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        // A URL in a text is no comment; cutting it off loses nothing here.
        line.split_once("//").map_or(line, |(code, _)| code)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Empties what stands between quotes on a line.
fn without_texts(code: &str) -> String {
    let lines = code.lines().map(|line| {
        let line = line.replace("\\\"", "");
        line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
    });
    lines.collect::<Vec<_>>().join("\n")
}
