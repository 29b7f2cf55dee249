//! Tasks that are past their deadline, or give no sign of life.

mod log;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use serde_json::{Value, json};
use taskpulse::{App, Error, Reaction, TaskHandle, TaskLimits, TaskState, testing::TestApp};
use tokio::time::{advance, sleep};
use tower::ServiceExt as _;

use crate::harness::eventually;

const SECOND: Duration = Duration::from_secs(1);

fn app() -> TestApp {
    TestApp::new(App::new().task_names(["import"]))
}

/// What is counted of `import`: overdue and stalled now, and ever.
#[track_caller]
fn counted(app: &TestApp, now: [f64; 2], ever: [f64; 2]) {
    let gauge = |name: &str| app.metric(name, &[("task_name", "import")]);
    let counter = |condition: &str| {
        let labels = [("task_name", "import"), ("condition", condition)];
        app.metric("taskpulse_task_conditions_total", &labels)
    };
    assert_eq!(
        [
            gauge("taskpulse_task_overdue"),
            gauge("taskpulse_task_stalled")
        ],
        now.map(Some)
    );
    assert_eq!([counter("overdue"), counter("stalled")], ever.map(Some));
}

async fn shown(app: &TestApp, task: &TaskHandle) -> Value {
    app.get(&format!("/tasks/{}", task.id())).await.1
}

/// The names of the events of the last task's span.
fn events(app: &TestApp) -> Vec<String> {
    let span = app.span("import");
    let names = span.events.iter().map(|event| event.name.to_string());
    names.collect()
}

#[tokio::test(start_paused = true)]
async fn a_task_past_its_deadline_is_overdue_and_goes_on() {
    let app = app();
    counted(&app, [0.0, 0.0], [0.0, 0.0]);
    let task = app
        .tasks()
        .begin("import")
        .deadline(60 * SECOND)
        .start()
        .unwrap();
    sleep(Duration::from_millis(59_990)).await;
    let json = shown(&app, &task).await;
    assert_eq!(
        (&json["overdue"], &json["stalled"]),
        (&json!(false), &json!(false))
    );
    let at = |text: &Value| humantime::parse_rfc3339(text.as_str().unwrap()).unwrap();
    let allowed = at(&json["deadline"]).duration_since(at(&json["started_at"]));
    assert_eq!(allowed.unwrap(), 60 * SECOND);
    counted(&app, [0.0, 0.0], [0.0, 0.0]);

    sleep(Duration::from_millis(20)).await;
    assert_eq!(shown(&app, &task).await["overdue"], true);
    counted(&app, [1.0, 0.0], [1.0, 0.0]);
    // A sign of life is no answer to that, and it is said once.
    task.heartbeat();
    sleep(600 * SECOND).await;
    counted(&app, [1.0, 0.0], [1.0, 0.0]);
    assert_eq!(
        app.tasks().get_current_ping_status().to_string(),
        "HealthyBusy"
    );

    let id = task.id();
    task.succeed();
    counted(&app, [0.0, 0.0], [1.0, 0.0]);
    app.tasks_named("import").ended(TaskState::Succeeded, 1);
    assert_eq!(app.get(&format!("/tasks/{id}")).await.1["overdue"], false);
    assert_eq!(events(&app), ["task.overdue"]);
    let span = app.span("import");
    let late = span.events[0]
        .timestamp
        .duration_since(span.start_time)
        .unwrap();
    assert!((60..61).contains(&late.as_secs()), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_task_is_stalled_until_its_next_sign_of_life() {
    let app = app();
    let begin = app.tasks().begin("import").stall_after(30 * SECOND);
    let task = begin.start().unwrap();
    assert_eq!(shown(&app, &task).await["last_seen_at"], Value::Null);
    for _ in 0..10 {
        sleep(29 * SECOND).await;
        task.heartbeat();
    }
    counted(&app, [0.0, 0.0], [0.0, 0.0]);
    let seen = shown(&app, &task).await["last_seen_at"].clone();
    sleep(31 * SECOND).await;
    let json = shown(&app, &task).await;
    assert_eq!(
        (&json["stalled"], &json["last_seen_at"]),
        (&json!(true), &seen)
    );
    counted(&app, [0.0, 1.0], [0.0, 1.0]);

    task.progress(0.4, "page 4 of 10");
    // At once, whatever the watcher waits for.
    counted(&app, [0.0, 0.0], [0.0, 1.0]);
    let json = shown(&app, &task).await;
    assert_eq!(
        (&json["stalled"], &json["progress"]),
        (&json!(false), &json!(0.4))
    );
    assert_eq!(json["progress_message"], "page 4 of 10");
    assert_ne!(json["last_seen_at"], seen);

    // And again.
    sleep(31 * SECOND).await;
    counted(&app, [0.0, 1.0], [0.0, 2.0]);
    task.fail("given up");
    counted(&app, [0.0, 0.0], [0.0, 2.0]);
    assert_eq!(
        events(&app),
        ["task.stalled", "task.stalled.cleared", "task.stalled"]
    );
    let event = &app.span("import").events[1];
    let lasted = event
        .attributes
        .iter()
        .find(|pair| pair.key.as_str() == "lasted_seconds");
    assert_eq!(lasted.unwrap().value.to_string(), "31");
}

#[tokio::test(start_paused = true)]
async fn a_reaction_may_end_the_task() {
    let app = app();
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let spawn = |builder: taskpulse::TaskBuilder, name: &'static str| {
        struct Note(Arc<Mutex<Vec<&'static str>>>, &'static str);
        impl Drop for Note {
            fn drop(&mut self) {
                self.0.lock().unwrap().push(self.1);
            }
        }
        let note = Note(Arc::clone(&dropped), name);
        let work = async move {
            let _note = note;
            std::future::pending::<Result<(), String>>().await
        };
        builder.spawn(work).unwrap()
    };
    let begin = || app.tasks().begin("import");
    let late = begin().deadline(10 * SECOND).on_deadline(Reaction::Cancel);
    let late = spawn(late, "late");
    let silent = begin().stall_after(20 * SECOND).on_stall(Reaction::Cancel);
    let silent = spawn(silent, "silent");
    let ended = late.await;
    assert_eq!(ended.state, TaskState::TimedOut);
    let error = ended.error.unwrap();
    assert!(
        error.starts_with("past its deadline by ") && error.ends_with("ms"),
        "{error}"
    );
    sleep(SECOND).await;
    assert_eq!(*dropped.lock().unwrap(), ["late"]);
    counted(&app, [0.0, 0.0], [1.0, 0.0]);

    let ended = silent.await;
    assert_eq!(ended.state, TaskState::TimedOut);
    assert_eq!(ended.error.as_deref(), Some("no sign of life for 20s"));
    sleep(SECOND).await;
    assert_eq!(*dropped.lock().unwrap(), ["late", "silent"]);
    counted(&app, [0.0, 0.0], [1.0, 1.0]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_may_be_a_time_of_day_or_have_passed() {
    let app = app();
    let begin = || app.tasks().begin("import");
    let noon = SystemTime::now() + 3_600 * SECOND;
    let task = begin().deadline_at(noon).start().unwrap();
    let gone = begin().deadline_at(UNIX_EPOCH).start().unwrap();
    let never = begin().deadline(Duration::MAX).start().unwrap();
    // Later than texts of times can say.
    let later = begin()
        .deadline(Duration::from_secs(1 << 60))
        .start()
        .unwrap();
    sleep(SECOND).await;
    counted(&app, [1.0, 0.0], [1.0, 0.0]);
    assert_eq!(
        shown(&app, &gone).await["deadline"],
        "1970-01-01T00:00:00.000000Z"
    );
    for unbounded in [&never, &later] {
        assert_eq!(shown(&app, unbounded).await["deadline"], Value::Null);
    }
    assert_eq!(shown(&app, &task).await["overdue"], false);
    sleep(3_601 * SECOND).await;
    assert_eq!(shown(&app, &task).await["overdue"], true);
    counted(&app, [2.0, 0.0], [2.0, 0.0]);
    for task in [task, gone, never, later] {
        task.succeed();
    }
    counted(&app, [0.0, 0.0], [2.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_name_has_limits_and_a_task_overrules_them() {
    let limits = TaskLimits::new()
        .deadline(10 * SECOND)
        .stall_after(20 * SECOND)
        .on_stall(Reaction::Cancel)
        .max_age(100 * SECOND);
    let app = TestApp::new(
        App::new()
            .max_age(50 * SECOND)
            .task_limits("import", limits),
    );
    let by_id = app.tasks().add_async_task("import", ()).unwrap();
    let other = app.tasks().add_async_task("other", ()).unwrap();
    let own = app.tasks().begin("import").deadline(600 * SECOND);
    let own = own.on_stall(Reaction::Warn).start().unwrap();
    sleep(11 * SECOND).await;
    counted(&app, [1.0, 0.0], [1.0, 0.0]);
    sleep(10 * SECOND).await;
    counted(&app, [0.0, 1.0], [1.0, 2.0]);
    let ended = app.get(&format!("/tasks/{by_id}")).await.1;
    assert_eq!(
        (&ended["state"], &ended["error"]),
        (&json!("timed_out"), &json!("no sign of life for 20s"))
    );
    sleep(30 * SECOND).await;
    let ended = app.get(&format!("/tasks/{other}")).await.1;
    assert_eq!(ended["error"], "older than its greatest age of 50s");
    sleep(50 * SECOND).await;
    let ended = shown(&app, &own).await;
    assert_eq!(ended["error"], "older than its greatest age of 1m 40s");
    assert_eq!(ended["overdue"], false);
}

#[tokio::test]
async fn limits_that_every_task_is_beyond_are_refused() {
    let tasks = App::new().tasks();
    let refused = tasks.begin("import").stall_after(Duration::ZERO).start();
    let Err(Error::Invalid(text)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        text,
        "a task's stall_after is 0s; give it a longer one, or none"
    );
    let app = App::new().task_limits("import", TaskLimits::new().max_age(Duration::ZERO));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = app.serve(listener, async {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "limits of tasks `import`: a task's max_age is 0s; give it a longer one, or none"
    );
}

#[tokio::test(start_paused = true)]
async fn progress_is_kept_within_bounds() {
    let app = app();
    let task = app.tasks().begin("import").start().unwrap();
    let json = shown(&app, &task).await;
    assert_eq!(
        (&json["progress"], &json["progress_message"]),
        (&Value::Null, &Value::Null)
    );
    for (share, kept) in [
        (-1.0, json!(0.0)),
        (7.0, json!(1.0)),
        (f64::NAN, Value::Null),
    ] {
        task.progress(share, "ä".repeat(200));
        let json = shown(&app, &task).await;
        assert_eq!(json["progress"], kept);
        let message = json["progress_message"].as_str().unwrap();
        assert!(
            message.len() <= 256 && message.ends_with("ä…"),
            "{}",
            message.len()
        );
    }
    // What is said of it by its id, and what comes too late.
    let tasks = app.tasks();
    assert!(tasks.progress(task.id(), 1.0, "done") && tasks.heartbeat(task.id()));
    advance(SECOND).await;
    let id = task.id();
    task.succeed();
    assert!(!tasks.progress(id, 0.0, "no") && !tasks.heartbeat(id));
    let json = app.get(&format!("/tasks/{id}")).await.1;
    assert_eq!(json["progress_message"], "done");
}

/// However many there are, reading what is counted costs the same, and whatever
/// happens at once, it comes out even.
#[test]
fn many_threads_that_give_signs_of_life_leave_nothing_noted() {
    let app = App::new().task_names(["import"]);
    let tasks = app.tasks();
    let handles: Vec<_> = std::thread::scope(|scope| {
        let threads = (0..4_u64).map(|thread| {
            let tasks = &tasks;
            scope.spawn(move || {
                let limit = Duration::from_micros(200 + 100 * thread);
                let begin = |_| tasks.begin("import").stall_after(limit).start().unwrap();
                let handles: Vec<_> = (0..50).map(begin).collect();
                for round in 0..200 {
                    handles
                        .iter()
                        .skip(round % 3)
                        .step_by(3)
                        .for_each(TaskHandle::heartbeat);
                }
                handles
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let router = TestRouter::of(app);
    eventually("each is noted, since none gives a sign", || {
        router.stalled() == 200
    });
    handles.iter().for_each(TaskHandle::heartbeat);
    drop(handles);
    eventually("none is", || router.stalled() == 0);
}

/// `/metrics` without a socket.
struct TestRouter(axum::Router, tokio::runtime::Runtime);

impl TestRouter {
    fn of(app: App) -> Self {
        let runtime = super::current_thread();
        let guard = runtime.enter();
        let router = app.into_router();
        drop(guard);
        Self(router, runtime)
    }

    fn stalled(&self) -> u64 {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let answer = self.1.block_on(async {
            let answer = self.0.clone().oneshot(request).await.unwrap();
            to_bytes(answer.into_body(), 1_000_000).await.unwrap()
        });
        let text = String::from_utf8(answer.to_vec()).unwrap();
        let series = "taskpulse_task_stalled{task_name=\"import\"} ";
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.expect("the series").parse().unwrap()
    }
}
