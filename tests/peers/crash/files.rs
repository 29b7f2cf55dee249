//! The store's files: whose they are, and what is not in them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::program::Site;
use crate::{
    alone,
    harness::{BINARY, PATIENCE, Process, eventually},
};

/// How long a killed process may be in the way of the next one.
const TAKEOVER: Duration = Duration::from_secs(5);

/// The files with these bytes.
fn having(site: &Site, text: &str) -> Vec<String> {
    let mut having = Vec::new();
    for entry in fs::read_dir(site.folder()).expect("a folder") {
        let path = entry.expect("an entry").path();
        // One may vanish as the database is closed.
        let Ok(bytes) = fs::read(&path) else { continue };
        let mode = fs::metadata(&path).map_or(0o600, |found| found.permissions().mode());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        if bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            having.push(path.display().to_string());
        }
    }
    having
}

#[test]
fn no_secret_is_written() {
    let _alone = alone();
    let site = Site::new(None);
    let secrets = ["hunter-2-plain", "hunter-2-nested", "hunter-2-in-a-list"];
    let begin = json!({"begin": {
        "key": "known-to-all",
        "password": secrets[0],
        "database": {"host": "db-1", "access_token": secrets[1]},
        "headers": [{"Authorization": secrets[2]}],
    }});
    let none_has = |where_: &str| {
        for secret in ["hunter-2", secrets[0]] {
            assert_eq!(having(&site, secret), [""; 0], "{where_}");
        }
    };
    let mut first = site.start("first");
    let answer = first.invoke(&begin);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].clone();
    eventually("the task is written", || {
        !having(&site, "known-to-all").is_empty()
    });
    none_has("while it runs");
    first.kill();
    none_has("after a kill");

    let mut second = site.start("second");
    let lines = || {
        second
            .log()
            .into_iter()
            .filter(|line| line["state"] == "lost")
            .count()
    };
    eventually("it is lost", || lines() == 1);
    let task = second.get(&format!("/tasks/{id}")).json();
    assert_eq!(
        task["metadata"]["database"],
        json!({"host": "db-1", "access_token": "[redacted]"})
    );
    assert!(!task.to_string().contains("hunter-2"), "{task}");
    second.terminate();
    assert_eq!(second.wait().code(), Some(0));
    none_has("after an end in order");
    let log = json!([first.log(), second.log()]).to_string();
    assert!(!log.contains("hunter-2"), "{log}");
    assert_eq!(
        having(&site, "known-to-all"),
        [site.store().display().to_string()]
    );
}

/// What becomes of a process that is started on a store which another one has.
fn refused(store: &str) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(["--port", "0", "--store", store])
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let started = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().expect("it can be killed");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("what it has said")
}

#[test]
fn one_process_at_a_time() {
    let _alone = alone();
    let site = Site::new(None);
    let store = site.store().display().to_string();
    let start = || Process::spawn(&["--store", &store]);
    let mut first = start();
    let id = first
        .invoke(&json!({"action": "process", "data_id": "known-to-all", "seconds": 600}))
        .json()["task_id"]
        .clone();

    let second = refused(&store);
    let said = String::from_utf8(second.stderr).expect("UTF-8");
    print!("The second one says: {said}");
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let owner = format!("{store} is in use by process {} (", first.id());
    assert!(said.contains(&owner), "{said}");
    let printed = String::from_utf8(second.stdout).expect("UTF-8");
    assert!(!printed.contains("listening"), "{printed}");

    // The first one has not noticed.
    eventually("its task is written", || {
        !having(&site, "known-to-all").is_empty()
    });
    assert_eq!(
        first.get(&format!("/tasks/{id}")).json()["state"],
        "running"
    );
    assert_eq!(first.get("/ready").status, 200);
    first.kill();
    let killed = Instant::now();
    let third = start();
    let taken = killed.elapsed();
    println!("After the kill, the third one listens within {taken:?}.");
    assert!(taken < TAKEOVER, "{taken:?}");
    assert_eq!(third.get(&format!("/tasks/{id}")).json()["state"], "lost");
}
