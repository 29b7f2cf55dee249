//! Where no task is begun: too many are active, or the process shuts down.

use axum::Json;
use serde_json::{Value, json};
use taskpulse::{App, Error, TaskState, Tasks};

use super::{is_idle, wait, worker};
use crate::harness::{Server, eventually};

#[test]
fn beyond_the_limit_nothing_begins_until_one_has_ended() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().max_active(2).tasks();
    let by_id = tasks.add_async_task("first", ()).unwrap();
    let endless = std::future::pending::<Result<(), String>>();
    let join = tasks.begin("second").spawn(endless).unwrap();
    let refused = |error: Error| {
        assert!(
            matches!(error, Error::Capacity { max_active: 2 }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("as many tasks are active as may be (2)"),
            "{error}"
        );
        assert_eq!(tasks.get_async_task_info().active_count, 2);
    };
    refused(tasks.add_async_task("third", ()).unwrap_err());
    refused(tasks.begin("third").start().unwrap_err());
    let work = || Ok::<_, String>(());
    refused(tasks.begin("third").spawn_blocking(work).unwrap_err());
    refused(
        tasks
            .begin("third")
            .spawn(async move { work() })
            .unwrap_err(),
    );

    assert!(tasks.complete_async_task(by_id));
    let third = tasks.begin("third").start().unwrap();
    refused(tasks.begin("fourth").start().unwrap_err());
    join.abort();
    assert_eq!(wait(join).state, TaskState::Cancelled);
    let fourth = tasks.begin("fourth").spawn_blocking(work).unwrap();
    wait(fourth);
    // Whoever waits for an end finds the place free.
    for _ in 0..100 {
        wait(tasks.begin("fifth").spawn(async move { work() }).unwrap());
    }
    third.succeed();
    is_idle(&tasks);
}

#[test]
fn a_handler_that_may_not_begin_a_task_answers_503() {
    async fn handler(tasks: Tasks) -> Result<Json<Value>, Error> {
        Ok(Json(json!(tasks.add_async_task("one", ())?)))
    }
    let server = Server::spawn(App::new().max_active(1).entrypoint(handler));
    let first = server.invoke(&json!({}));
    assert_eq!(first.status, 200);
    let second = server.invoke(&json!({}));
    assert_eq!(second.status, 503);
    assert_eq!(second.header("retry-after"), Some("1"));
    assert!(
        second
            .error()
            .starts_with("as many tasks are active as may be (1)"),
        "{}",
        second.text()
    );
    assert_eq!(server.count("running"), 1);
    assert_eq!(server.count("interrupted"), 0, "nothing half-registered");
    let id = serde_json::from_slice(&first.body).unwrap();
    assert!(server.tasks.complete_async_task(id));
    let third = server.invoke(&json!({}));
    assert_eq!(third.status, 200);
    assert!(
        server
            .tasks
            .complete_async_task(serde_json::from_slice(&third.body).unwrap())
    );
}

#[test]
fn a_process_that_shuts_down_begins_nothing() {
    let mut server = Server::spawn(App::new());
    let running = server.tasks.begin("running").start().unwrap();
    server.stop();
    eventually("it drains", || match server.tasks.begin("late").start() {
        Ok(task) => {
            task.cancel();
            false
        }
        Err(Error::Draining) => true,
        Err(other) => panic!("{other}"),
    });
    let tasks = server.tasks.clone();
    let draining = |error: Error| {
        assert!(matches!(error, Error::Draining), "{error}");
        assert_eq!(tasks.get_async_task_info().active_count, 1);
    };
    let work = || Ok::<_, String>(());
    draining(tasks.add_async_task("late", ()).unwrap_err());
    draining(
        tasks
            .begin("late")
            .spawn(async move { work() })
            .unwrap_err(),
    );
    draining(tasks.begin("late").spawn_blocking(work).unwrap_err());
    assert_eq!(server.ping().0, "HealthyBusy", "what runs may end");
    assert_eq!(server.task(running.id())["state"], "running");
    running.succeed();
    server.end().unwrap();
    is_idle(&tasks);
}
