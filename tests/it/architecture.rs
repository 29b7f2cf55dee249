//! The structure that ARCHITECTURE.md promises, read from the sources.

mod source;

use std::{collections::BTreeSet, fs, path::Path};

use self::source::{File, files, manifest, root};

/// The modules, each of which may import from those before it.
const ORDER: [&str; 13] = [
    "error",
    "task",
    "telemetry",
    "track",
    "store",
    "console",
    "service",
    "config",
    "app",
    "testing",
    "agent",
    "cli",
    "main",
];

/// A file's lines at most.
const MOST_LINES: usize = 400;

#[test]
fn modules_import_from_the_left() {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    let exports = source::exports();
    for file in files() {
        if file.module == "lib" {
            continue; // It names them all.
        }
        let here = place(&file.module).unwrap_or_else(|| panic!("{} is not in ORDER", file.path));
        for name in file.imports() {
            let module = exports.get(&name).unwrap_or(&name);
            let there = place(module)
                .unwrap_or_else(|| panic!("{}: crate::{name} is of no module", file.path));
            assert!(there <= here, "{} imports crate::{name}", file.path);
        }
    }
}

#[test]
fn no_path_leads_around_the_order() {
    for file in files() {
        assert!(!file.code.contains("super::super"), "{}", file.path);
        // `super` in these is the crate's root.
        if !file.path.trim_start_matches("src/").contains('/') {
            assert!(!file.code.contains("super::"), "{}", file.path);
        }
    }
}

#[test]
fn task_knows_std_alone() {
    let strangers = manifest().dependencies;
    for file in files().into_iter().filter(|file| file.module == "task") {
        assert_eq!(file.imports(), BTreeSet::new(), "{}", file.path);
        for stranger in strangers.iter().filter(|name| *name != "loom") {
            let path = format!("{stranger}::");
            assert!(!file.mentions(&path), "{} uses {stranger}", file.path);
        }
    }
}

#[test]
fn one_door() {
    for file in files() {
        let inside = ["task", "track", "telemetry"].contains(&file.module.as_str());
        let begins = ["registry.begin(", "registry().begin(", "Registry::begin("];
        let steps = ["registry.step(", "registry().step(", "Registry::step("];
        let reviews = ["registry.review(", "registry().review("];
        let losses = ["registry.lose(", "registry().lose("];
        let others = reviews.into_iter().chain(losses);
        for call in begins.into_iter().chain(steps).chain(others) {
            let door = file.path == "src/track/tracker.rs";
            assert!(door || !file.code.contains(call), "{}: {call}", file.path);
        }
        assert!(inside || !file.mentions("emit("), "{} emits", file.path);
        assert!(
            inside || !file.mentions("Step"),
            "{} makes steps",
            file.path
        );
    }
    let door = files()
        .into_iter()
        .find(|file| file.path == "src/track/tracker.rs");
    let door = door.expect("the door").code;
    for call in [
        ".begin(new, live)",
        ".step(id, step)",
        ".review(id)",
        ".lose(past, after, why, live)",
        "emit(&event, reporter, opening.take())",
    ] {
        assert_eq!(door.matches(call).count(), 1, "{call} in the door");
    }
}

#[test]
fn telemetry_alone_speaks_of_tasks() {
    for file in files()
        .into_iter()
        .filter(|file| file.module != "telemetry")
    {
        assert!(!file.text.contains("\"taskpulse::task\""), "{}", file.path);
        for span in ["span!(", "Span::current", "\"task.id\"", "task.id ="] {
            assert!(!file.text.contains(span), "{}: {span}", file.path);
        }
    }
}

#[test]
fn emit_alone_makes_telemetry_of_tasks() {
    const EMIT: &str = "src/telemetry/emit.rs";
    // Some of its rows are in files below it.
    let is_emit = |file: &File| file.path.starts_with(EMIT.trim_end_matches(".rs"));
    let emit = files().into_iter().find(|file| file.path == EMIT);
    let emit = emit.expect("the table").code;
    // What is said of a task's state: the lines, both spans, the duration.
    for call in [
        "target: TASK",
        "reporter.ended(",
        ".span_builder(task.name",
        "counts.refuse(",
    ] {
        assert!(emit.contains(call), "no {call} in {EMIT}");
        for file in files().into_iter().filter(|file| !is_emit(file)) {
            assert!(!file.code.contains(call), "{}: {call}", file.path);
        }
    }
    // What is shown of a task that runs is said below it, and nowhere else.
    for call in ["checkpoints.export(", "checkpoints.skip(", "} checkpoint\""] {
        for file in files() {
            let there = file.path == "src/telemetry/emit/checkpoint.rs";
            assert_eq!(file.text.contains(call), there, "{}: {call}", file.path);
        }
    }
    // What spans and metrics are made with.
    for file in files()
        .into_iter()
        .filter(|file| !["telemetry", "lib"].contains(&file.module.as_str()))
    {
        let makers = [
            "info_span!",
            "KeyValue",
            "span_builder(",
            "Histogram",
            ".durations",
            "u64_counter(",
            "f64_histogram(",
            "observable(",
        ];
        for maker in makers {
            assert!(!file.code.contains(maker), "{}: {maker}", file.path);
        }
    }
}

#[test]
fn errors_become_status_codes_in_one_place() {
    let mut places: Vec<_> = files()
        .into_iter()
        .filter(|file| {
            file.code.contains("IntoResponse for Error") || file.code.contains("From<&Error> for")
        })
        .map(|file| file.path)
        .collect();
    places.dedup();
    assert_eq!(places, ["src/service/errors.rs"]);
}

#[test]
fn files_are_short_and_sound() {
    for file in files() {
        let lines = file.text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", file.path);
        assert!(!file.code.contains(".unwrap()"), "{} unwraps", file.path);
        assert!(!file.mentions("unsafe "), "{} is unsafe", file.path);
    }
    let manifest = manifest().text;
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    assert!(manifest.contains("too_many_lines = \"warn\""));
    let clippy = fs::read_to_string(root().join(".clippy.toml")).expect("readable");
    assert!(clippy.contains("too-many-lines-threshold = 60"));
    let agent = fs::read_to_string(root().join("examples/async_processing.rs"));
    assert!(agent.expect("readable").lines().count() < 60);
}

#[test]
fn every_example_is_spoken_of() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let told = read("README.md") + &read("docs/python.md") + &read("docs/telemetry.md");
    for entry in fs::read_dir(root().join("examples")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        assert!(!name.ends_with(".rs") || told.contains(name), "{name}");
    }
}

/// ARCHITECTURE.md's code spans.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_the_architecture_names_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let is_file = |span: &&str| {
        let kind = Path::new(span).extension().and_then(|kind| kind.to_str());
        matches!(kind, Some("rs" | "md" | "toml" | "lock" | "yml")) || span.ends_with('/')
    };
    let named: Vec<_> = spans(&text).filter(is_file).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(root().join(name).exists(), "there is no {name}");
    }
    for module in ORDER.iter().filter(|module| **module != "console") {
        assert!(
            text.contains(&format!("`{module}`")),
            "{module} is left out"
        );
    }
}

#[test]
fn what_the_pages_name_exists() {
    let pages = [
        "README.md",
        "docs/python.md",
        "docs/store.md",
        "docs/telemetry.md",
        "CHANGELOG.md",
    ];
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let config = [
        "src/config.rs",
        "src/config/platform.rs",
        "src/config/store.rs",
        "src/cli/traffic/options.rs",
    ]
    .map(read)
    .concat();
    let sources: String = files().into_iter().map(|file| file.code).collect();
    let mut named = 0;
    for page in pages {
        let text = read(page);
        for span in spans(&text) {
            let types = ["App::", "Tasks::", "Context::", "WebSocket::", "Error::"];
            let method = types.iter().find_map(|of| span.strip_prefix(of));
            let method = method.and_then(|method| method.split(['(', ' ']).next());
            if let Some(method) = method.filter(|name| name.starts_with(char::is_lowercase)) {
                let known = [format!("fn {method}("), format!("fn {method}<")];
                let known = known.iter().any(|function| sources.contains(function));
                assert!(known, "{page}: {span}");
                named += 1;
            }
            if let Some(flag) = span.strip_prefix("--") {
                let flag = flag.split([' ', '=']).next().unwrap_or_default();
                let known = config.contains(&format!("flag: \"{flag}\""));
                assert!(known || flag == "help", "{page}: {span}");
                named += 1;
            }
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn every_invariant_names_the_test_that_holds_it() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let tests = source::tests();
    let invariants: Vec<_> = text.split("**Invariant: ").skip(1).collect();
    assert!(invariants.len() >= 10, "{}", invariants.len());
    for invariant in invariants {
        let paragraph = invariant.split("\n\n").next().unwrap_or_default();
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let (claim, rest) = paragraph.split_once("**").expect("bold ends");
        let held = rest.split_once("Held by ");
        let (_, held) = held.unwrap_or_else(|| panic!("nothing holds: {claim}"));
        let names: Vec<_> = spans(held).collect();
        assert!(!names.is_empty(), "nothing holds: {claim}");
        for name in names {
            let name = name.rsplit("::").next().unwrap_or(name);
            assert!(
                tests.contains(name),
                "there is no test {name}, for: {claim}"
            );
        }
    }
}

#[test]
fn the_reader_of_sources_sees_what_is_there() {
    let file = File::parse(
        "src/service/x.rs",
        "//! crate::cli in a comment\n\
         use crate::{\n    Error, TaskId,\n    task::{Slice, View},\n    telemetry::quietly,\n};\n\
         fn f() { crate::track::g(\"crate::agent\"); a.unwrap(); }\n\
         pub(crate) struct S;\n\
         #[cfg(test)]\nmod tests { use crate::app; fn t() { b.unwrap(); } }\n",
    );
    let imports: Vec<_> = file.imports().into_iter().collect();
    assert_eq!(imports, ["Error", "TaskId", "task", "telemetry", "track"]);
    assert_eq!(file.module, "service");
    assert_eq!(file.code.matches("unwrap").count(), 1);
    let exports = source::exports();
    for (name, module) in [("TaskId", "task"), ("Tasks", "track"), ("ping", "service")] {
        assert_eq!(exports.get(name).map(String::as_str), Some(module));
    }
}
