//! The invariants of behaviour that ARCHITECTURE.md names.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
    mpsc,
};

use serde_json::{Value, json};
use taskpulse::{App, Error, PingStatus, TaskEnd, TaskJoin, TaskState, Tasks};
use tracing::{Event, Metadata, Subscriber, span};

use crate::harness::{Collector, PATIENCE, Process, Server, eventually};

/// The end of a task, waited for in time.
async fn end(join: TaskJoin) -> TaskEnd {
    tokio::time::timeout(PATIENCE, join).await.expect("it ends")
}

#[tokio::test]
async fn every_way_out_ends_a_task_once() {
    type Out = Result<u32, String>;
    let tasks = App::new().tasks();
    let begin = || tasks.begin("way_out");
    let ends = [
        (
            begin().spawn(async { Out::Ok(7) }).unwrap(),
            TaskState::Succeeded,
            None,
        ),
        (
            begin()
                .spawn(async { Out::Err("broken".to_owned()) })
                .unwrap(),
            TaskState::Failed,
            Some("broken"),
        ),
        (
            begin()
                .spawn(async {
                    assert!(std::hint::black_box(false), "boom");
                    Out::Ok(0)
                })
                .unwrap(),
            TaskState::Failed,
            Some("boom"),
        ),
        (
            begin()
                .spawn_blocking(|| Out::Err("blocked".to_owned()))
                .unwrap(),
            TaskState::Failed,
            Some("blocked"),
        ),
    ];
    for (join, state, says) in ends {
        let id = join.id();
        let ended = end(join).await;
        assert_eq!(ended.state, state);
        let error = ended.error.unwrap_or_default();
        assert!(error.ends_with(says.unwrap_or_default()), "{error}");
        assert!(!tasks.complete_async_task(id), "it has ended already");
    }
    let aborted = begin().spawn(std::future::pending::<Out>()).unwrap();
    aborted.abort();
    assert!(
        !tasks.complete_async_task(aborted.id()),
        "the first end stands"
    );
    assert_eq!(end(aborted).await.state, TaskState::Cancelled);
    drop(begin().start().unwrap());
    assert_eq!(tasks.get_async_task_info().active_count, 0);
}

#[test]
fn the_status_follows_the_tasks() {
    let server = Server::spawn(App::new());
    for round in 0..50 {
        let held: Vec<_> = (0..round % 4)
            .map(|_| server.tasks.begin("held").start().unwrap())
            .collect();
        let busy = if held.is_empty() {
            "Healthy"
        } else {
            "HealthyBusy"
        };
        assert_eq!(server.ping().0, busy);
        assert_eq!(server.count("running"), held.len());
        held.into_iter().for_each(taskpulse::TaskHandle::succeed);
    }
}

#[test]
fn the_timestamp_moves_with_the_status_alone() {
    let server = Server::spawn(App::new());
    let (_, healthy) = server.ping();
    let first = server.tasks.begin("first").start().unwrap();
    let (status, busy) = server.ping();
    assert_eq!(status, "HealthyBusy");
    assert!(busy >= healthy, "{busy} {healthy}");
    // Past the second in which it became busy, nothing but the status moves it.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let second = server.tasks.begin("second").start().unwrap();
    assert_eq!(server.ping(), ("HealthyBusy".to_owned(), busy));
    first.succeed();
    assert_eq!(server.ping(), ("HealthyBusy".to_owned(), busy));
    second.succeed();
    let (status, later) = server.ping();
    assert_eq!(status, "Healthy");
    assert!(later > busy, "{later} {busy}");
    server.tasks.force_ping_status(PingStatus::Healthy);
    assert_eq!(server.ping().1, later, "the same status, forced");
}

#[test]
fn ping_answers_while_every_worker_is_blocked() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let blocked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&blocked);
    let handler = move || {
        let (held, counted) = (Arc::clone(&held), Arc::clone(&counted));
        async move {
            counted.fetch_add(1, SeqCst);
            // Until the test lets go; the second waits for the lock.
            held.lock().unwrap().recv().unwrap_or_default();
            "done"
        }
    };
    let server = Server::spawn(App::new().entrypoint(handler));
    let mut clients = [server.client(), server.client()];
    for client in &mut clients {
        client.send("POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    }
    eventually("both workers are blocked", || blocked.load(SeqCst) == 2);
    for _ in 0..100 {
        assert_eq!(server.ping().0, "Healthy");
    }
    drop(release);
    for client in &mut clients {
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn half_a_request_starts_nothing() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let server = Server::spawn(App::new().entrypoint(move || {
        counted.fetch_add(1, SeqCst);
        async { "ran" }
    }));
    let head = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n";
    let mut half = server.client();
    half.send(head).send("{\"").finish();
    half.rest(); // Until the server has given up on it.
    let mut whole = server.client();
    whole.send(head).send("{}  ");
    assert_eq!(whole.response().text(), "ran");
    assert_eq!(runs.load(SeqCst), 1);
}

/// Panics whenever it is called.
struct Trap;

impl Subscriber for Trap {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        panic!("new_span")
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {
        panic!("record")
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {
        panic!("record_follows_from")
    }
    fn event(&self, _: &Event<'_>) {
        panic!("event")
    }
    fn enter(&self, _: &span::Id) {
        panic!("enter")
    }
    fn exit(&self, _: &span::Id) {
        panic!("exit")
    }
}

#[test]
fn a_panicking_subscriber_harms_no_task() {
    let tasks = App::new().tasks();
    tracing::subscriber::with_default(Trap, || {
        let task = tasks.begin("trapped").start().unwrap();
        assert_eq!(task.in_scope(|| 7), 7);
        task.succeed();
        let id = tasks.add_async_task("trapped", ()).unwrap();
        assert!(tasks.complete_async_task(id));
        assert!(!tasks.complete_async_task(id), "warned of, and no more");
    });
    assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
}

#[test]
fn secrets_stop_at_the_door() {
    let server = Server::spawn(App::new());
    let metadata = json!({"user": "ann", "auth": {"api_key": "hunter2"}});
    let id = server.tasks.add_async_task("login", metadata).unwrap();
    let kept = json!({"user": "ann", "auth": {"api_key": "[redacted]"}});
    assert_eq!(server.task(id)["metadata"], kept);
    let info = json!(server.tasks.get_async_task_info());
    assert_eq!(info["running_jobs"][0]["metadata"], kept);
    assert!(server.tasks.complete_async_task(id));

    let collector = Collector::start();
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url())];
    let agent = Process::spawn_with(&["--redact-keys", "data"], &endpoint);
    agent.invoke(&json!({"action": "process", "data_id": "hunter2", "seconds": 0}));
    let tasks = agent.get("/tasks").json();
    assert_eq!(
        tasks["tasks"][0]["metadata"],
        json!({"data_id": "[redacted]"})
    );
    let span = collector.span_named("data_processing");
    assert_eq!(span.get("task.metadata.data_id"), "[redacted]");
    let mut lines = agent.log();
    lines.retain(|line| line["target"] == "taskpulse::task");
    assert!(!lines.is_empty());
    // Lines of the agent's own say what it works on.
    assert!(!json!(lines).to_string().contains("hunter2"), "{lines:?}");
}

#[test]
fn a_refused_task_leaves_nothing() {
    let server = Server::spawn(App::new().max_active(1));
    let held = server.tasks.begin("held").start().unwrap();
    let refused: [(Result<_, Error>, &str); 4] = [
        (
            server.tasks.add_async_task("beyond", ()),
            "as many tasks are active as may be (1)",
        ),
        (server.tasks.add_async_task("", ()), "name is empty"),
        (
            server.tasks.add_async_task("n".repeat(129), ()),
            "at most 128",
        ),
        (
            server.tasks.add_async_task("listed", [1]),
            "must be a JSON object",
        ),
    ];
    for (refused, why) in refused {
        let error = refused.expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(server.tasks.get_async_task_info().active_count, 1);
    held.succeed();
    let all = server.get("/tasks").json();
    assert_eq!(all["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.ping().0, "Healthy");
}

#[test]
fn draining_refuses_work_and_answers_ping() {
    let handler = |tasks: Tasks| async move {
        drop(tasks.begin("late").start()?);
        Ok::<_, Error>("begun")
    };
    let mut server = Server::spawn(App::new().entrypoint(handler));
    let held = server.tasks.begin("held").start().unwrap();
    assert_eq!(server.invoke(&Value::Null).text(), "begun");
    server.stop();
    eventually("it drains", || server.get("/ready").status == 503);
    assert_eq!(server.ping().0, "HealthyBusy");
    assert_eq!(server.invoke(&Value::Null).status, 503);
    let late = server.tasks.begin("late").start();
    assert!(matches!(late, Err(Error::Draining)), "{late:?}");
    held.succeed();
    server.end().expect("it ends well");
}
