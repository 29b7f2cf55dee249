//! Tasks that are ended because of their age.

use std::{sync::mpsc, time::Duration};

use serde_json::json;
use taskpulse::{App, Error, PingStatus, TaskState, testing::TestApp};
use tokio::time::advance;

use crate::harness::{PATIENCE, Process, Scrape, eventually};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn each_task_is_ended_at_its_own_age() {
    let app = TestApp::new(App::new().max_age(8 * HOUR));
    let tasks = app.tasks();
    let forgotten = tasks.add_async_task("forgotten", ()).unwrap();
    let begin = |age| tasks.begin("import").max_age(age).start().unwrap();
    let (second, first, never) = (begin(2 * HOUR), begin(HOUR), begin(Duration::MAX));
    let in_time = begin(HOUR);
    advance(HOUR - Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    in_time.succeed();
    app.tasks_named("import")
        .active(3)
        .ended(TaskState::TimedOut, 0);
    tokio::time::sleep(Duration::from_millis(2)).await;
    app.tasks_named("import")
        .active(2)
        .ended(TaskState::TimedOut, 1);
    tokio::time::sleep(HOUR).await;
    app.tasks_named("import")
        .active(1)
        .ended(TaskState::TimedOut, 2);
    // Begun later, and up before the one that is waited for.
    let short = begin(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    app.tasks_named("import")
        .active(1)
        .ended(TaskState::TimedOut, 3);
    app.tasks_named("forgotten").active(1);
    tokio::time::sleep(6 * HOUR).await;
    app.tasks_named("forgotten")
        .active(0)
        .ended(TaskState::TimedOut, 1);
    assert!(!tasks.complete_async_task(forgotten));
    // What comes too late changes nothing.
    first.succeed();
    second.fail("too late");
    drop(short);
    assert_eq!(tasks.get_current_ping_status(), PingStatus::HealthyBusy);
    never.succeed();
    assert_eq!(tasks.get_current_ping_status(), PingStatus::Healthy);
    app.tasks_named("import")
        .ended(TaskState::TimedOut, 3)
        .ended(TaskState::Succeeded, 2);
}

#[test]
fn a_worker_that_is_blocked_keeps_no_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let tasks = App::new().tasks();
    let (release, released) = mpsc::channel::<()>();
    let (said, blocked) = mpsc::channel();
    let _inside = runtime.enter();
    let stuck = tasks.begin("stuck").max_age(Duration::from_millis(20));
    let stuck = stuck
        .spawn(async move {
            said.send(()).unwrap();
            released.recv().unwrap_or_default();
            Ok::<_, String>(())
        })
        .unwrap();
    blocked.recv_timeout(PATIENCE).unwrap();
    eventually("the status is free again", || {
        tasks.get_current_ping_status() == PingStatus::Healthy
    });
    drop(release);
    let end = runtime.block_on(stuck);
    assert_eq!(end.state, TaskState::TimedOut);
}

#[test]
fn no_age_is_refused_and_leaves_nothing() {
    let tasks = App::new().tasks();
    let refused = tasks.begin("import").max_age(Duration::ZERO).start();
    let Err(Error::Invalid(text)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        text,
        "a task's max_age is 0s; give it a longer one, or none"
    );
    assert_eq!(tasks.get_async_task_info().active_count, 0);
}

#[test]
fn the_operators_age_is_heeded_and_told_everywhere() {
    let agent = Process::spawn(&["--max-age", "100ms"]);
    let id = agent
        .invoke(&json!({"action": "process", "seconds": 600}))
        .json()["task_id"]
        .clone();
    eventually("it is Healthy again", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let task = agent.get(&format!("/tasks/{id}")).json();
    assert_eq!(task["state"], "timed_out", "{task}");
    let error = "older than its greatest age of 100ms";
    assert_eq!(task["error"], error);
    let scrape = Scrape::of(&agent.get("/metrics"));
    let labels = [
        ("task_name", "data_processing"),
        ("task_state", "timed_out"),
    ];
    assert_eq!(
        scrape.value("taskpulse_task_transitions_total", &labels),
        Some(1.0)
    );
    let timed_out = |line: &serde_json::Value| {
        line["level"] == "ERROR" && line["error"] == error && line["task_id"] == id
    };
    eventually("the log says it", || agent.log().iter().any(timed_out));
}

/// Whatever begins and ends at the same time, the watcher misses none.
#[test]
fn many_threads_that_begin_short_lived_tasks_leave_none_behind() {
    let tasks = App::new().tasks();
    let held = std::thread::scope(|scope| {
        let threads = (0..4_u64).map(|thread| {
            let tasks = &tasks;
            scope.spawn(move || {
                let begin = |number: u64| {
                    let age = Duration::from_micros(1 + (number * 7 + thread * 13) % 3_000);
                    tasks.begin("short").max_age(age).start().unwrap()
                };
                let handles = (0..1_000).filter_map(|number| {
                    let handle = begin(number);
                    match number % 3 {
                        0 => handle.succeed(),
                        1 => drop(handle),
                        // Nobody but the watcher ends it.
                        _ => return Some(handle),
                    }
                    None
                });
                handles.collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    eventually("all have ended", || {
        tasks.get_async_task_info().active_count == 0
    });
    drop(held);
}
