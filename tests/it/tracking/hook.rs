//! What a panic's text says with the hook that `App::run` installs, and
//! without. The hook is the process's, so that this happens in one of its own.

use std::{env, process::Command, thread};

use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;
use taskpulse::{App, Tasks};

use crate::harness::{Process, Server, eventually};

/// Set in the process that panics.
const CHILD: &str = "TASKPULSE_TEST_PANICS_HERE";

#[test]
fn a_dropped_handle_says_what_panicked_and_where() {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tracking::hook::child", "--nocapture"])
        .env(CHILD, "1")
        .env("TASKPULSE_HOST", "127.0.0.1")
        .env("TASKPULSE_PORT", "0")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The test runner's own words may precede a line.
    let lines = text.lines().filter_map(|line| line.get(line.find('{')?..));
    let lines: Vec<Value> = lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let error = |name: &str| -> String {
        let ended = lines
            .iter()
            .find(|line| line["task_name"] == name && line["level"] == "ERROR");
        let ended = ended.unwrap_or_else(|| panic!("no end of {name} in {text}"));
        ended["error"].as_str().expect("an error text").to_owned()
    };
    let place = |error: &str, message: &str| {
        let place = error.strip_suffix(message).expect(error);
        assert!(
            place.starts_with("panicked at tests/it/tracking/hook.rs:"),
            "{error}"
        );
    };
    place(&error("outer"), ": no page 7");
    place(&error("inner"), ": no page 7");
    place(&error("spawned"), ": no page 8");
    place(&error("inside"), ": no page 8");
    // One after another thread's, and after one that was caught.
    place(&error("next"), ": no page 9");
}

/// Does nothing but in the process that the test above starts.
#[test]
fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    without_the_hook();
    App::new().on_start(with_the_hook).run().unwrap();
}

fn without_the_hook() {
    let server = Server::spawn(App::new());
    let task = server.tasks.begin("early").start().unwrap();
    let id = task.id();
    let panics = move || {
        let _task = task;
        panic!("unheard");
    };
    thread::spawn(panics).join().unwrap_err();
    assert_eq!(server.task(id)["error"], "panicked");
}

fn with_the_hook(tasks: Tasks) {
    let all = tasks.clone();
    let panics = move || {
        let _outer = all.begin("outer").start().unwrap();
        let _inner = all.begin("inner").start().unwrap();
        panic!("no page {}", 7);
    };
    thread::spawn(panics).join().unwrap_err();

    let inside = tasks.begin("inside").start().unwrap();
    let spawned = tasks
        .begin("spawned")
        .spawn_blocking(move || -> Result<(), String> {
            let _inside = inside;
            panic!("no page {}", 8);
        });
    drop(spawned.unwrap());

    let next = tasks.begin("next").start().unwrap();
    let panics = move || {
        std::panic::catch_unwind(|| panic!("caught")).unwrap_err();
        let _next = next;
        panic!("no page {}", 9);
    };
    thread::spawn(panics).join().unwrap_err();
    // It blocks a worker, which has nothing else to do.
    eventually("all have ended", || {
        tasks.get_async_task_info().active_count == 0
    });
    kill_process(getpid(), Signal::TERM).unwrap();
}

/// The agent is run by `App::run`: a spawned future's panic has its place, too.
#[test]
fn a_spawned_future_says_what_panicked_and_where() {
    let agent = Process::spawn(&[]);
    let request = serde_json::json!({"action": "cleanup", "seconds": 0, "outcome": "panicked"});
    let id = agent.invoke(&request).json()["task_id"].as_u64().unwrap();
    let task = || agent.get(&format!("/tasks/{id}")).json();
    eventually("it has panicked", || task()["state"] == "failed");
    let error = task()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("panicked at "), "{error}");
    assert!(error.contains("examples/work/mod.rs:"), "{error}");
    assert!(
        error.ends_with(": panicked, as the request asked for"),
        "{error}"
    );
    assert_eq!(agent.get("/ping").json()["status"], "Healthy");
}
