//! The Dockerfile, read line by line: versions of the tools and of Debian are fixed
//! (the bytes of the base images are not), crates are locked, layers are cached, and
//! nobody is root.

use super::{list, services, string, text};

/// The instructions, each on one line, without comments.
fn instructions() -> Vec<String> {
    let text = text("Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    whole
        .lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

/// What follows this instruction, once for each time.
fn all(instruction: &str) -> Vec<String> {
    let instructions = instructions();
    let bodies = instructions
        .iter()
        .filter_map(|line| line.strip_prefix(instruction));
    bodies.map(|body| body.trim().to_owned()).collect()
}

#[track_caller]
fn the(instruction: &str) -> String {
    let mut found = all(instruction);
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found.remove(0)
}

/// `1.95.0` as numbers.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn versions_are_fixed_and_both_stages_are_of_one_release_of_debian() {
    let rust = the("ARG RUST=");
    let runtime = the("ARG RUNTIME=");
    let (compiler, release) = rust.strip_prefix("rust:").unwrap().split_once('-').unwrap();
    assert!(
        version(compiler) >= version(env!("CARGO_PKG_RUST_VERSION")),
        "{rust}"
    );
    assert_eq!(release, "slim-bookworm", "Debian 12");
    assert_eq!(runtime, "gcr.io/distroless/cc-debian12:nonroot");
    assert_eq!(all("FROM "), ["${RUST} AS build", "${RUNTIME}"]);
    // No digest: the tags move within their version, and the file says so.
    assert!(!rust.contains('@') && !runtime.contains('@'));
    let text = text("Dockerfile");
    assert!(text.contains("Their tags move"));
    for image in [rust, runtime] {
        assert!(text.contains(&format!("{image}@sha256:")), "{image}");
    }
}

#[test]
fn it_builds_on_every_processor_alike() {
    let text = text("Dockerfile");
    for trick in [
        "--platform",
        "TARGETARCH",
        "BUILDPLATFORM",
        "x86_64",
        "aarch64",
        "syntax=",
    ] {
        let used = instructions().iter().any(|line| line.contains(trick));
        assert!(!used && !text.starts_with("# syntax"), "{trick}");
    }
}

#[test]
fn dependencies_are_built_before_the_sources_come() {
    let instructions = instructions();
    let at = |what: &str| {
        let found = instructions.iter().position(|line| line.starts_with(what));
        found.unwrap_or_else(|| panic!("no {what}"))
    };
    let builds: Vec<_> = (0..instructions.len())
        .filter(|at| instructions[*at].contains("cargo build"))
        .collect();
    assert_eq!(builds.len(), 2, "{instructions:?}");
    assert!(at("COPY Cargo.toml Cargo.lock") < builds[0]);
    assert!(builds[0] < at("COPY src") && at("COPY src") < builds[1]);
    for build in builds {
        let line = &instructions[build];
        assert!(
            line.contains("cargo build --locked --profile \"$PROFILE\""),
            "{line}"
        );
    }
}

#[test]
fn it_runs_as_nobody_and_says_how_it_is() {
    let user = the("USER ");
    let (user, group) = user.split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    assert_eq!(the("STOPSIGNAL "), "SIGTERM");
    assert!(the("HEALTHCHECK ").ends_with(r#"CMD ["/usr/local/bin/taskpulse", "ping"]"#));
    // No shell is there to start any of these.
    assert_eq!(the("ENTRYPOINT "), r#"["/usr/local/bin/taskpulse"]"#);
    assert_eq!(the("CMD "), r#"["serve"]"#);
    assert_eq!(the("EXPOSE "), "8080");
}

#[test]
fn labels_say_what_it_is() {
    let label = the("LABEL ");
    let version = format!("image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let license = format!("image.licenses=\"{}\"", env!("CARGO_PKG_LICENSE"));
    for what in [version.as_str(), license.as_str(), "image.title="] {
        assert!(label.contains(what), "{what} in {label}");
    }
}

/// Whatever it is built from and of: an argument counts in the stage it is in.
#[test]
fn labels_follow_the_arguments() {
    let instructions = instructions();
    let starts = instructions
        .iter()
        .rposition(|line| line == "FROM ${RUNTIME}");
    let last = &instructions[starts.expect("the stage that runs")..];
    let at = |what: &str| {
        let found = last.iter().position(|line| line.starts_with(what));
        found.unwrap_or_else(|| panic!("no {what} in {last:?}"))
    };
    let label = at("LABEL ");
    assert!(last[label].contains("image.base.name=\"${RUNTIME}\""));
    assert!(last[label].contains("image.revision=\"${REVISION}\""));
    // Without a value, it is that from before the first stage.
    assert_eq!(last[at("ARG RUNTIME")], "ARG RUNTIME");
    assert!(at("ARG RUNTIME") < label && at("ARG REVISION=unknown") < label);
    let arguments = &services()["taskpulse"]["build"]["args"];
    assert_eq!(arguments["REVISION"], "${TASKPULSE_REVISION:-unknown}");
}

/// All that is copied, and nothing else, is in the context.
#[test]
fn the_context_is_what_is_copied() {
    let mut copied: Vec<_> = all("COPY ")
        .into_iter()
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| {
            let mut names: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            names.pop();
            names
        })
        .collect();
    let ignore = text(".dockerignore");
    let mut kept: Vec<_> = ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    copied.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, copied);
    assert!(
        ignore.lines().any(|line| line == "*"),
        "the rest is left out"
    );
}

/// A build argument of the stack is one of the file, with the same default.
#[test]
fn the_stack_builds_it_as_it_says() {
    let services = services();
    let arguments = services["taskpulse"]["build"]["args"].as_object().unwrap();
    for (name, value) in arguments {
        let default = the(&format!("ARG {name}="));
        let value = string(value);
        assert!(
            value.ends_with(&format!(":-{default}}}")),
            "{name}: {value}"
        );
    }
    assert_eq!(list(&services["otel-collector"]["command"]).len(), 1);
}
