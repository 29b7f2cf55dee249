//! A task that is settled by a guard.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde_json::{Value, json};
use taskpulse::{App, TaskHandle, Tasks};

use super::{Trap, current_thread, is_idle};
use crate::harness::{Server, eventually};

/// Lets `end` settle a task, and reads what became of it.
#[track_caller]
fn check(end: impl FnOnce(TaskHandle)) -> Value {
    let server = Server::spawn(App::new());
    let task = server.tasks.begin("guarded").start().unwrap();
    let id = task.id();
    assert_eq!(server.task(id)["state"], "running");
    assert_eq!(server.ping().0, "HealthyBusy");
    end(task);
    is_idle(&server.tasks);
    let json = server.task(id);
    json!([json["state"], json["result"], json["error"]])
}

#[test]
fn a_handle_settles_its_task() {
    assert_eq!(check(TaskHandle::succeed), json!(["succeeded", null, null]));
    assert_eq!(
        check(|task| task.succeed_with(json!({"rows": 12}))),
        json!(["succeeded", {"rows": 12}, null])
    );
    assert_eq!(
        check(|task| task.fail("no rows")),
        json!(["failed", null, "no rows"])
    );
    assert_eq!(check(TaskHandle::cancel), json!(["cancelled", null, null]));
    assert_eq!(check(drop), json!(["interrupted", null, null]));
    let note = "the result is 65537 bytes of JSON; at most 65536 are kept";
    assert_eq!(
        check(|task| task.succeed_with("x".repeat(65_535))),
        json!(["succeeded", null, note])
    );
}

#[test]
fn an_error_text_is_kept_up_to_4_kib() {
    let end = check(|task| task.fail("ä".repeat(4_000)));
    let text = end[2].as_str().unwrap();
    assert!(
        text.len() <= 4 * 1_024 && text.len() > 4 * 1_024 - 4,
        "{}",
        text.len()
    );
    assert!(text.ends_with("ä…"), "the cut is marked");
}

#[test]
fn a_handle_that_is_dropped_by_a_panic_fails_its_task() {
    let end = check(|task| {
        let panics = move || {
            let _task = task;
            panic!("lost my way");
        };
        thread::spawn(panics).join().unwrap_err();
    });
    assert_eq!(end[0], "failed");
    assert!(end[2].as_str().unwrap().starts_with("panicked"), "{end}");
}

/// The panic goes to the caller, who wrote it; the task does not stay behind.
#[test]
fn a_result_that_panics_while_it_is_written_fails_the_task() {
    let end = check(|task| {
        catch_unwind(AssertUnwindSafe(|| task.succeed_with(Trap))).unwrap_err();
    });
    assert_eq!(end[0], "failed");
}

#[test]
fn where_the_task_was_settled_by_its_id_that_end_stands() {
    let server = Server::spawn(App::new());
    let settle = |end: fn(TaskHandle)| {
        let task = server.tasks.begin("twice").start().unwrap();
        let id = task.id();
        assert!(server.tasks.complete_async_task(id));
        let ended = server.task(id);
        assert_eq!(ended["state"], "succeeded");
        end(task);
        assert_eq!(server.task(id), ended);
        is_idle(&server.tasks);
    };
    settle(|task| task.fail("too late"));
    settle(TaskHandle::cancel);
    settle(|task| task.succeed_with("too late"));
    settle(drop);
}

#[test]
fn a_scope_gives_back_what_its_work_gives_back() {
    let tasks = App::new().tasks();
    let task = tasks.begin("scoped").start().unwrap();
    assert_eq!(task.in_scope(|| 7), 7);
    assert_eq!(current_thread().block_on(task.instrument(async { 8 })), 8);
    catch_unwind(AssertUnwindSafe(|| task.in_scope(|| panic!("through")))).unwrap_err();
    let instrumented = task.instrument(async { panic!("through") });
    let poll = || current_thread().block_on(instrumented);
    catch_unwind(AssertUnwindSafe(poll))
        .map(|(): ()| ())
        .unwrap_err();
    assert_eq!(
        tasks.get_async_task_info().active_count,
        1,
        "neither settles it"
    );
    task.succeed();
    is_idle(&tasks);
}

/// The four documented calls and a handle, one after the other.
fn all_calls(tasks: &Tasks) {
    let id = tasks.add_async_task("anywhere", json!({"n": 1})).unwrap();
    assert_eq!(tasks.get_current_ping_status().as_str(), "HealthyBusy");
    let info = tasks.get_async_task_info();
    assert!(info.running_jobs.iter().any(|job| job.id == id));
    assert!(tasks.complete_async_task(id));
    let task = tasks.begin("anywhere").start().unwrap();
    task.in_scope(|| ());
    task.succeed();
}

#[test]
fn tasks_are_tracked_from_anywhere() {
    struct InDrop(Tasks);
    impl Drop for InDrop {
        fn drop(&mut self) {
            all_calls(&self.0);
        }
    }
    let tasks = App::new().tasks();
    all_calls(&tasks);
    current_thread().block_on(async { all_calls(&tasks) });
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| all_calls(&tasks)));
        }
    });
    (0..1_000).into_par_iter().for_each(|_| all_calls(&tasks));
    drop(InDrop(tasks.clone()));
    let unwinding = InDrop(tasks.clone());
    let panics = move || {
        let _unwinding = unwinding;
        panic!("while it is dropped");
    };
    thread::spawn(panics).join().unwrap_err();
    is_idle(&tasks);
}

#[test]
fn a_handle_moves_between_threads() {
    let tasks = App::new().tasks();
    let task = tasks.begin("moved").start().unwrap();
    thread::spawn(move || task.succeed());
    eventually("settled over there", || {
        tasks.get_async_task_info().active_count == 0
    });
}
