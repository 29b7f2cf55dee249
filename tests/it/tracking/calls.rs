//! The four documented calls.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use taskpulse::{App, Error, PingStatus, TaskId, Tasks};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use super::is_idle;
use crate::harness::{Server, eventually};

#[test]
fn the_app_has_the_four_calls_as_well() {
    let app = App::new();
    let id = app.add_async_task("from_the_app", json!({"k": 1})).unwrap();
    assert_eq!(app.get_current_ping_status(), PingStatus::HealthyBusy);
    let info = app.get_async_task_info();
    assert_eq!(info.running_jobs[0].id, id);
    assert!(app.complete_async_task(id));
    is_idle(&app.tasks());
}

#[test]
fn the_info_is_the_sdks_json_and_a_little_more() {
    let tasks = App::new().tasks();
    assert_eq!(
        serde_json::to_string(&tasks.get_async_task_info()).unwrap(),
        r#"{"active_count":0,"running_jobs":[]}"#
    );
    let first = tasks
        .add_async_task("first", json!({"z": 1, "a": [true]}))
        .unwrap();
    let second = tasks
        .begin("second")
        .metadata("password", "p")
        .start()
        .unwrap();
    let info = tasks.get_async_task_info();
    let durations: Vec<_> = info.running_jobs.iter().map(|job| job.duration).collect();
    assert!(
        durations[0] >= durations[1] && durations[1] >= 0.0,
        "{durations:?}"
    );
    let number = |at: usize| serde_json::to_string(&durations[at]).unwrap();
    let (number, id) = ([number(0), number(1)], second.id());
    assert_eq!(
        serde_json::to_string(&info).unwrap(),
        format!(
            r#"{{"active_count":2,"running_jobs":[{{"name":"first","duration":{},"id":{first},"metadata":{{"z":1,"a":[true]}}}},{{"name":"second","duration":{},"id":{id},"metadata":{{"password":"[redacted]"}}}}]}}"#,
            number[0], number[1],
        )
    );
    let later = tasks.get_async_task_info();
    assert!(later.running_jobs[0].duration > durations[0], "it goes on");
    second.succeed();
    assert!(tasks.complete_async_task(first));
    is_idle(&tasks);
}

/// Metadata from code may be nested deeper than what a request may send.
#[test]
fn metadata_is_shown_however_deep_it_is() {
    let server = Server::spawn(App::new());
    let deep = (0..300).fold(json!(1), |inner, _| json!([inner]));
    let id = server
        .tasks
        .add_async_task("deep", json!({"d": deep}))
        .unwrap();
    let info = server.tasks.get_async_task_info();
    let text = format!(r#"{{"d":{}1{}}}"#, "[".repeat(300), "]".repeat(300));
    assert_eq!(info.running_jobs[0].metadata.get(), text);
    assert!(server.get(&format!("/tasks/{id}")).text().contains(&text));
    assert!(server.tasks.complete_async_task(id));
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn completing_what_is_not_active_is_false_and_a_warning_a_second() {
    let tasks = App::new().tasks();
    let ended = tasks.add_async_task("ended", ()).unwrap();
    assert!(tasks.complete_async_task(ended));
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    let started = Instant::now();
    tracing::subscriber::with_default(subscriber, || {
        for n in 1..=5_000 {
            assert!(!tasks.complete_async_task(TaskId::try_from(n).unwrap()));
            assert!(!tasks.complete_async_task(ended));
        }
    });
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    let warned = warnings.0.load(SeqCst);
    assert!(
        (1..=seconds + 2).contains(&warned),
        "{warned} in {seconds} s"
    );
    is_idle(&tasks);
}

#[test]
fn names_and_metadata_are_checked_before_anything_begins() {
    let tasks = App::new().tasks();
    let refused = |error: Error| {
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        is_idle(&tasks);
        error.to_string()
    };
    let name = |name: &str| refused(tasks.add_async_task(name, ()).unwrap_err());
    assert!(name("").contains("name is empty"));
    assert!(name(&"n".repeat(129)).contains("129 bytes; at most 128"));
    assert!(name(&"ä".repeat(65)).contains("130 bytes"));

    let metadata = |value: Value| refused(tasks.add_async_task("n", value).unwrap_err());
    assert!(metadata(json!([1])).contains("an array; it must be a JSON object"));
    assert!(metadata(json!("text")).contains("a string"));
    assert!(metadata(json!(1)).contains("a number"));
    assert!(metadata(json!(true)).contains("a boolean"));
    assert!(metadata(json!({"k": "x".repeat(262_137)})).contains("262145 bytes"));
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = tasks.begin("n").metadata("keys", keys).start().unwrap_err();
    assert!(refused(error).contains("`keys` cannot be written"));
    let error = tasks.begin("n").metadata_map([1]).metadata("ok", 1);
    refused(error.start().unwrap_err());
    let error = tasks.begin("").spawn_blocking(|| Ok::<_, String>(()));
    refused(error.unwrap_err());

    for whole in [json!({"k": "x".repeat(262_136)}), json!({}), json!(null)] {
        let id = tasks.add_async_task("n".repeat(128), whole).unwrap();
        assert!(tasks.complete_async_task(id));
    }
}

#[test]
fn the_last_of_a_key_counts() {
    let tasks = App::new().tasks();
    let task = tasks.begin("n").metadata("a", 1).metadata("b", 2);
    let task = task
        .metadata_map(json!({"b": 3, "c": null}))
        .metadata("a", 4);
    let task = task.start().unwrap();
    let info = tasks.get_async_task_info();
    assert_eq!(
        info.running_jobs[0].metadata.get(),
        r#"{"a":4,"b":3,"c":null}"#
    );
    task.succeed();
}

#[test]
fn a_forced_status_wins_until_it_is_cleared() {
    let server = Server::spawn(App::new());
    let tasks = &server.tasks;
    tasks.force_ping_status(PingStatus::HealthyBusy);
    assert_eq!(server.ping().0, "HealthyBusy");
    tasks.force_ping_status(PingStatus::Healthy);
    let id = tasks.add_async_task("hidden", ()).unwrap();
    assert_eq!(server.ping().0, "Healthy");
    assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
    tasks.clear_forced_ping_status();
    assert_eq!(server.ping().0, "HealthyBusy");
    assert!(tasks.complete_async_task(id));
    assert_eq!(server.ping().0, "Healthy");
}

#[test]
fn ids_ascend_and_every_json_parser_keeps_them() {
    let tasks = App::new().tasks();
    let begin = |tasks: &Tasks| tasks.add_async_task("n", ()).unwrap();
    let ids: Vec<_> = (0..1_000).map(|_| begin(&tasks)).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let of_threads = thread::scope(|scope| {
        let begin = || (0..1_000).map(|_| begin(&tasks)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
        let ids = threads.into_iter().map(|thread| thread.join().unwrap());
        ids.collect::<Vec<_>>()
    });
    for ids in &of_threads {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
    let all: HashSet<_> = ids
        .into_iter()
        .chain(of_threads.into_iter().flatten())
        .collect();
    assert_eq!(all.len(), 5_000, "unique");
    for id in all {
        let number = u64::from(id);
        assert!((1..1 << 53).contains(&number));
        let double: f64 = json!(id).to_string().parse().unwrap();
        assert_eq!(double as u64, number);
        assert!(tasks.complete_async_task(id));
    }
}

#[test]
fn a_hundred_thousand_tasks_at_once() {
    let server = Server::spawn(App::new());
    let begin = |n: u32| {
        server
            .tasks
            .add_async_task("many", json!({"n": n}))
            .unwrap()
    };
    let ids: Vec<_> = (0..100_000).map(begin).collect();
    assert_eq!(server.ping().0, "HealthyBusy");
    assert_eq!(server.tasks.get_async_task_info().active_count, 100_000);
    for at in [0, 1, 50_000, 99_999] {
        let task = server.task(ids[at]);
        assert_eq!(task["state"], "running");
        assert_eq!(task["metadata"], json!({"n": at}));
    }
    let page = server.get("/tasks?limit=1").json();
    assert_eq!(page["tasks"][0]["id"], json!(ids[99_999]));
    thread::scope(|scope| {
        for half in ids.chunks(50_000) {
            scope.spawn(|| {
                half.iter()
                    .for_each(|id| assert!(server.tasks.complete_async_task(*id)))
            });
        }
    });
    assert_eq!(server.ping().0, "Healthy");
    is_idle(&server.tasks);
    assert_eq!(server.count("running"), 0);
    assert_eq!(server.count("succeeded"), 1_000, "the history's bound");
    assert_eq!(server.get(&format!("/tasks/{}", ids[0])).status, 404);
}

#[test]
fn an_invocation_is_busy_only_where_that_was_asked_for() {
    for busy in [true, false] {
        let (arrived, arrives) = std::sync::mpsc::channel();
        let go = Arc::new(tokio::sync::Notify::new());
        let wait = Arc::clone(&go);
        let handler = move || async move {
            arrived.send(()).unwrap();
            wait.notified().await;
            "done"
        };
        let server = Server::spawn(App::new().busy_while_invoking(busy).entrypoint(handler));
        let status = || server.ping().0;
        thread::scope(|scope| {
            let mut client = server.client();
            let invoke = move || client.request("POST", "/invocations", "", "{}");
            let invoked = scope.spawn(invoke);
            arrives.recv().unwrap();
            assert_eq!(status(), if busy { "HealthyBusy" } else { "Healthy" });
            assert_eq!(server.tasks.get_async_task_info().active_count, 0);
            go.notify_one();
            assert_eq!(invoked.join().unwrap().text(), "done");
        });
        eventually("healthy again", || status() == "Healthy");
    }
}
