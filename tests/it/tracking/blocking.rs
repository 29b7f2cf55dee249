//! A task on a thread made for it.

use std::{panic::panic_any, sync::mpsc::channel, thread};

use serde_json::json;
use taskpulse::{App, TaskEnd, TaskState};
use tokio::runtime::Handle;

use super::{Tomb, Trap, is_idle, says, wait};
use crate::harness::{PATIENCE, Server};

#[track_caller]
fn check<F, T, E>(work: F) -> TaskEnd
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: serde::Serialize + 'static,
    E: std::fmt::Display + 'static,
{
    let tasks = App::new().tasks();
    let end = wait(tasks.begin("blocking").spawn_blocking(work).unwrap());
    is_idle(&tasks);
    end
}

#[test]
fn a_closure_ends_its_task_as_a_future_does() {
    let end = check(|| Ok::<_, String>(json!([1, 2])));
    assert_eq!(
        (end.state, end.result),
        (TaskState::Succeeded, Some(json!([1, 2])))
    );

    let end = check(|| Err::<(), _>("no disk"));
    assert_eq!(
        (end.state, end.error.as_deref()),
        (TaskState::Failed, Some("no disk"))
    );

    let end = check(|| Ok::<_, String>("x".repeat(70_000)));
    assert_eq!((end.state, end.result), (TaskState::Succeeded, None));
    assert!(end.error.unwrap().starts_with("the result is 70002 bytes"));

    let end = check(|| -> Result<(), String> { panic!("sector {}", 9) });
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "sector 9");

    let end = check(|| -> Result<(), String> { panic_any(1.5) });
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "a value that is not text");

    let end = check(|| Ok::<_, String>(Trap));
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "sprung");
}

#[test]
fn what_a_closure_holds_is_gone_before_the_end_is_visible() {
    let tasks = App::new().tasks();
    for panics in [false, true] {
        let (dropped, seen) = channel();
        let tomb = Tomb(tasks.clone(), dropped);
        let work = move || {
            let _tomb = tomb;
            assert!(!panics, "with what it holds");
            Ok::<_, String>(())
        };
        wait(tasks.begin("held").spawn_blocking(work).unwrap());
        assert_eq!(seen.try_recv(), Ok(1));
    }
}

/// It cannot be stopped; its task ends all the same, and once.
#[test]
fn an_aborted_closure_runs_on_and_changes_nothing() {
    let tasks = App::new().tasks();
    let (go, wait_for_it) = channel::<()>();
    let (done, ran_on) = channel();
    let join = tasks.begin("stubborn").spawn_blocking(move || {
        wait_for_it.recv().map_err(|_| "let go")?;
        done.send(()).map_err(|_| "let go")?;
        Ok::<_, &str>("too late")
    });
    let join = join.unwrap();
    join.abort();
    let end = wait(join);
    assert_eq!((end.state, end.result), (TaskState::Cancelled, None));
    is_idle(&tasks);
    go.send(()).unwrap();
    ran_on.recv_timeout(PATIENCE).unwrap();
    is_idle(&tasks);
}

/// The operating system takes no NUL in a thread's name; a label may have one.
#[test]
fn any_name_of_a_task_will_do_for_its_thread() {
    let tasks = App::new().tasks();
    let work = || Ok::<_, String>(thread::current().name().map(str::to_owned));
    let end = wait(tasks.begin("a\0b").spawn_blocking(work).unwrap());
    assert_eq!(end.state, TaskState::Succeeded);
    let end = wait(tasks.begin("import").spawn_blocking(work).unwrap());
    assert_eq!(end.result, Some(json!("import")));
    is_idle(&tasks);
}

#[test]
fn a_closure_may_use_the_runtime_of_the_app() {
    let server = Server::spawn(App::new());
    server.ping(); // It serves, so that the app has its runtime.
    let work = || Handle::current().block_on(async { Ok::<_, String>("from inside") });
    let join = server.tasks.begin("both").spawn_blocking(work).unwrap();
    let id = join.id();
    assert_eq!(wait(join).result, Some(json!("from inside")));
    assert_eq!(server.task(id)["result"], "from inside");
}
