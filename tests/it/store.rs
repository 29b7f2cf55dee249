//! What survives a process, and what becomes of a store that cannot be used.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::run,
    harness::{Collector, Process, Scrape, collector::Span, eventually},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A folder with room for a store.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        Self {
            _folder: folder,
            path,
        }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn agent(&self) -> Process {
        Process::spawn(&["--store", self.path(), "--drain", "100ms"])
    }

    /// The names of the files there.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// What is in each of them.
    fn bytes(&self) -> Vec<Vec<u8>> {
        let paths = self.files().into_iter();
        let paths = paths.map(|name| self.path.with_file_name(name));
        paths.filter_map(|path| fs::read(path).ok()).collect()
    }
}

/// Begins a task; its id.
#[track_caller]
fn begin(agent: &Process, seconds: f64) -> u64 {
    let payload = json!({"action": "process", "data_id": "d-1", "seconds": seconds});
    let answer = agent.invoke(&payload);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["task_id"].as_u64().unwrap()
}

fn task(agent: &Process, id: u64) -> Value {
    agent.get(&format!("/tasks/{id}")).json()
}

fn ready(agent: &Process) -> Value {
    agent.get("/ready").json()
}

fn metric(agent: &Process, name: &str) -> Option<f64> {
    Scrape::of(&agent.get("/metrics")).value(name, &[])
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|found| found == text)
}

/// Waits until everything is in the file.
fn settle(agent: &Process) {
    // The writer looks every 20 ms, and says of nothing that it waits when it is written.
    std::thread::sleep(std::time::Duration::from_millis(100));
    eventually("all is written", || {
        metric(agent, "taskpulse_store_queue") == Some(0.0)
    });
}

/// Kills it as a crash would, and waits for its end.
fn kill(mut agent: Process) {
    agent.signal(rustix::process::Signal::KILL);
    agent.wait();
}

/// That the span of a lost task says what is known of it.
#[track_caller]
fn assert_tells(span: &Span, lost: &Value) {
    assert_eq!(span.trace_id, TRACE);
    assert_eq!(span.span_id, lost["span_id"]);
    assert_eq!(span.status, "ERROR");
    assert_eq!(span.status_message, lost["error"]);
    assert_eq!(*span.get("task.state"), "lost");
    assert_eq!(*span.get("task.id"), lost["id"]);
    assert_eq!(*span.get("session.id"), "s-1");
    assert_eq!(*span.get("task.metadata.data_id"), "d-1");
}

/// Begins a task for a caller that has a trace and a session; its id.
fn begin_for_caller(agent: &Process) -> u64 {
    let payload = json!({"action": "process", "data_id": "d-1", "seconds": 600}).to_string();
    let mut client = agent.client();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n\
         X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n\
         Content-Length: {}\r\n\r\n{payload}",
        payload.len()
    ));
    client.response().json()["task_id"].as_u64().unwrap()
}

#[test]
fn a_task_that_a_crash_ends_is_reported_by_the_next_process() {
    let place = Place::new();
    let collector = Collector::start();
    let url = collector.url();
    let start = || {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
        Process::spawn_with(&["--store", place.path()], &variables)
    };
    let agent = start();
    let id = begin_for_caller(&agent);
    let running = task(&agent, id);
    let request = collector.span_named("POST /invocations");
    settle(&agent);
    kill(agent);

    let agent = start();
    let lost = task(&agent, id);
    assert_eq!(lost["state"], "lost");
    for key in [
        "name",
        "metadata",
        "session_id",
        "request_id",
        "started_at",
        "trace_id",
        "span_id",
        "begun_at",
    ] {
        assert_eq!(lost[key], running[key], "{key}");
    }
    let why = lost["error"].as_str().unwrap();
    assert!(why.starts_with("lost: process "), "{why}");
    assert!(why.ends_with(" ended without settling it"), "{why}");
    let labels = [("task_name", "data_processing"), ("task_state", "lost")];
    let scrape = Scrape::of(&agent.get("/metrics"));
    let lost_count = scrape.value("taskpulse_task_transitions_total", &labels);
    assert_eq!(lost_count, Some(1.0));
    let took = scrape.value("taskpulse_task_duration_seconds_count", &labels);
    assert_eq!(took, None, "how long it took is not known");
    assert_eq!(agent.get("/ping").json()["status"], "Healthy");

    let span = collector.span_named("data_processing");
    assert_tells(&span, &lost);
    assert_eq!(span.parent, request.span_id);
    eventually("its line", || {
        agent.log().iter().any(|line| {
            line["level"] == "ERROR"
                && line["task_id"] == id
                && line["trace_id"] == TRACE
                && line["span_id"] == running["span_id"]
                && line["sessionId"] == "s-1"
                && line["error"] == *why
        })
    });
    settle(&agent);
    kill(agent);

    // It is not lost a second time, and is remembered.
    let agent = start();
    assert_eq!(task(&agent, id)["state"], "lost");
    let scrape = Scrape::of(&agent.get("/metrics"));
    let again = scrape.value("taskpulse_task_transitions_total", &labels);
    assert_eq!(again, Some(0.0));
}

#[test]
fn ended_tasks_are_remembered_and_ids_go_on() {
    let place = Place::new();
    let agent = place.agent();
    let ids: Vec<_> = (0..3).map(|_| begin(&agent, 0.0)).collect();
    eventually("they end", || {
        ids.iter()
            .all(|id| task(&agent, *id)["state"] == "succeeded")
    });
    let before: Vec<_> = ids.iter().map(|id| task(&agent, *id)).collect();
    settle(&agent);
    kill(agent);
    let agent = place.agent();
    let after: Vec<_> = ids.iter().map(|id| task(&agent, *id)).collect();
    assert_eq!(after, before);
    assert!(begin(&agent, 0.0) > ids[2]);
}

#[test]
fn ended_tasks_that_are_too_old_are_not_remembered() {
    let place = Place::new();
    let agent = place.agent();
    let ended = begin(&agent, 0.0);
    eventually("it ends", || task(&agent, ended)["state"] == "succeeded");
    let running = begin(&agent, 600.0);
    settle(&agent);
    kill(agent);
    let of = ["--store", place.path(), "--history-age", "1ms"];
    let agent = Process::spawn(&of);
    assert_eq!(agent.get(&format!("/tasks/{ended}")).status, 404);
    // However long ago it was begun: it is told of now.
    assert_eq!(task(&agent, running)["state"], "lost");
}

#[test]
fn what_a_shutdown_ends_is_not_lost() {
    for hurry in [false, true] {
        let place = Place::new();
        let mut agent = match hurry {
            true => Process::spawn(&["--store", place.path(), "--drain", "60s"]),
            false => place.agent(),
        };
        let id = begin(&agent, 600.0);
        agent.terminate();
        eventually("it drains", || agent.get("/ready").status == 503);
        if hurry {
            agent.terminate();
        }
        assert_eq!(agent.wait().code(), Some(if hurry { 143 } else { 0 }));
        let agent = place.agent();
        assert_eq!(task(&agent, id)["state"], "interrupted", "hurry: {hurry}");
        assert_eq!(ready(&agent)["store"], "sqlite");
    }
}

#[test]
fn a_second_process_is_refused_and_a_dead_one_does_not_count() {
    let place = Place::new();
    let agent = place.agent();
    let pid = agent.id().to_string();
    let second = run(&["--port", "0", "--store", place.path()], &[]);
    second.complains(1, &[place.path(), &pid, "a store of its own"]);
    #[cfg(unix)]
    {
        let link = place.path.with_file_name("link.db");
        std::os::unix::fs::symlink(&place.path, &link).unwrap();
        let second = run(&["--port", "0", "--store", link.to_str().unwrap()], &[]);
        second.complains(1, &[place.path(), &pid, "a store of its own"]);
        assert!(!place.files().contains(&"link.db.lock".to_owned()));
    }
    begin(&agent, 0.0);
    assert_eq!(ready(&agent)["store"], "sqlite", "the first goes on");
    kill(agent);
    assert_eq!(ready(&place.agent())["store"], "sqlite");
}

#[test]
fn a_path_where_no_file_can_be_is_refused() {
    let place = Place::new();
    let folder = place.path.parent().unwrap().to_str().unwrap();
    let nowhere = format!("{folder}/none/tasks.db");
    for path in [folder, &nowhere] {
        let refused = run(&["--port", "0", "--store", path], &[]);
        refused.complains(2, &[path]);
    }
    run(&["--store="], &[]).complains(2, &["--store", "tasks.db", "memory"]);
    assert_eq!(place.files(), Vec::<String>::new());
}

/// The fault shows where people look, and tasks are tracked all the same.
#[track_caller]
fn assert_failed(agent: &Process, said: &str) {
    eventually("the fault shows", || ready(agent)["store"] == "failed");
    let ready = ready(agent);
    assert_eq!(ready["ready"], true, "{ready}");
    let error = ready["store_error"].as_str().unwrap();
    assert!(error.contains(said), "{error}");
    assert_eq!(metric(agent, "taskpulse_store_up"), Some(0.0));
    assert!(metric(agent, "taskpulse_store_failures_total") > Some(0.0));
    let id = begin(agent, 0.0);
    eventually("tasks go on", || task(agent, id)["state"] == "succeeded");
    assert_eq!(agent.messages()[0], "listening", "it is said first");
    eventually("it is said", || {
        let errors = agent
            .log()
            .into_iter()
            .filter(|line| line["level"] == "ERROR");
        let errors: Vec<_> = errors.collect();
        errors.len() == 1 && errors[0]["message"].as_str().unwrap().contains(said)
    });
    assert!(kept(agent).exists(), "what is set aside is named as it is");
}

/// The file that the log says is kept.
#[track_caller]
fn kept(agent: &Process) -> PathBuf {
    let errors = agent.log().into_iter();
    let mut errors = errors.filter(|line| line["level"] == "ERROR");
    let error = errors.next().unwrap()["message"].to_string();
    let (_, kept) = error.split_once("is kept as ").expect(&error);
    kept.split_once(';').unwrap().0.into()
}

/// A store with a task in it that has ended; the task's id.
fn filled() -> (Place, u64) {
    let place = Place::new();
    let mut agent = place.agent();
    let id = begin(&agent, 0.0);
    eventually("it ends", || task(&agent, id)["state"] == "succeeded");
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    assert_eq!(place.files(), ["tasks.db", "tasks.db.lock"]);
    (place, id)
}

type Damage = fn(&Path);

#[test]
fn a_damaged_file_is_set_aside() {
    let damages: [(&str, Damage); 3] = [
        ("not a database", |path| {
            fs::write(path, "garbage ".repeat(1_000)).unwrap();
        }),
        ("newer", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[60..64].copy_from_slice(&99_u32.to_be_bytes()); // `user_version`
            fs::write(path, bytes).unwrap();
        }),
        ("", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..5_000]).unwrap();
        }),
    ];
    for (said, damage) in damages {
        let (place, _) = filled();
        damage(&place.path);
        let bytes = fs::read(&place.path).unwrap();
        let agent = place.agent();
        assert_failed(&agent, said);
        let files = place.files();
        let aside = files
            .iter()
            .find(|name| name.contains(".bad-20"))
            .expect(said);
        let kept = fs::read(place.path.with_file_name(aside)).unwrap();
        assert_eq!(kept, bytes, "{said}");
        let named = ready(&agent);
        drop(agent);
        let agent = place.agent();
        assert_eq!(
            ready(&agent)["store"],
            "sqlite",
            "{said}: a new one, after {named}"
        );
    }
}

#[test]
fn a_damaged_row_is_left_out_which_the_log_says() {
    let (place, _) = filled();
    let (sound, damaged) = (br#""data_id":"d-1""#, br#""data_id":"d-2""#);
    let mut bytes = fs::read(&place.path).unwrap();
    let at = bytes.windows(sound.len()).position(|text| text == sound);
    let at = at.expect("its metadata");
    bytes[at..at + sound.len()].copy_from_slice(damaged);
    fs::write(&place.path, bytes).unwrap();

    let mut agent = place.agent();
    assert_eq!(ready(&agent)["store"], "sqlite");
    assert_eq!(agent.get("/tasks").json()["tasks"], json!([]));
    eventually("it is said", || {
        agent.log().iter().any(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            line["level"] == "ERROR" && message.contains("damaged tasks in the store: 1;")
        })
    });
    // It is deleted with the first beat.
    settle(&agent);
    agent.terminate();
    agent.wait();
    let agent = place.agent();
    begin(&agent, 0.0);
    let all = agent.messages();
    assert!(
        !all.iter().any(|message| message.contains("damaged")),
        "{all:?}"
    );
}

#[test]
fn secrets_are_redacted_before_they_are_written() {
    let place = Place::new();
    let agent = Process::spawn(&["--store", place.path(), "--redact-keys", "data"]);
    // One that runs: the result of this action names what it has processed.
    let payload = json!({"action": "process", "data_id": "hunter2", "seconds": 600});
    assert_eq!(agent.invoke(&payload).status, 200);
    settle(&agent);
    let check = || {
        let all = place.bytes();
        assert!(all.iter().any(|bytes| contains(bytes, b"[redacted]")));
        assert!(all.iter().all(|bytes| !contains(bytes, b"hunter2")));
    };
    check();
    kill(agent);
    check();
}

#[test]
fn the_span_of_a_lost_task_keeps_to_the_limits_of_spans() {
    let place = Place::new();
    let collector = Collector::start();
    let url = collector.url();
    let agent = place.agent();
    let id = begin(&agent, 600.0);
    settle(&agent);
    kill(agent);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
    ];
    let agent = Process::spawn_with(&["--store", place.path()], &variables);
    assert_eq!(task(&agent, id)["state"], "lost");
    let span = collector.span_named("data_processing");
    assert_eq!(span.attributes.len(), 2, "{:?}", span.attributes);
    assert_eq!(*span.get("task.id"), id);
    assert_eq!(*span.get("task.name"), "data");
}

#[test]
fn a_file_that_is_deleted_is_noticed() {
    let place = Place::new();
    let agent = place.agent();
    let id = begin(&agent, 600.0);
    settle(&agent);
    fs::remove_file(&place.path).unwrap();
    assert_failed(&agent, "deleted");
    assert_eq!(task(&agent, id)["state"], "running");
}

#[test]
fn a_backup_that_is_put_in_its_place_is_for_the_next_process() {
    let ((backup, ended), place) = (filled(), Place::new());
    let agent = place.agent();
    let id = begin(&agent, 600.0);
    settle(&agent);
    fs::rename(&backup.path, &place.path).unwrap();
    assert_failed(
        &agent,
        "was replaced while in use, and the new file is not touched",
    );
    let wal = kept(&agent)
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(wal.ends_with("-wal"), "{wal}");
    assert_eq!(place.files(), ["tasks.db", &wal, "tasks.db.lock"]);
    assert_eq!(task(&agent, id)["state"], "running");
    kill(agent);
    let agent = place.agent();
    assert_eq!(ready(&agent)["store"], "sqlite");
    assert_eq!(task(&agent, ended)["state"], "succeeded");
}

#[test]
fn a_wal_that_is_deleted_is_noticed() {
    let place = Place::new();
    let agent = place.agent();
    let id = begin(&agent, 600.0);
    settle(&agent);
    fs::remove_file(place.path.with_file_name("tasks.db-wal")).unwrap();
    assert_failed(&agent, "tasks.db-wal was deleted or moved while in use");
    assert_eq!(task(&agent, id)["state"], "running");
}

#[cfg(unix)]
#[test]
fn others_cannot_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let agent = place.agent();
    begin(&agent, 600.0);
    settle(&agent);
    for name in place.files() {
        let mode = fs::metadata(place.path.with_file_name(&name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
}
