//! A task that is one future.

use std::{
    fmt,
    future::{Future, pending},
    panic::panic_any,
    pin::Pin,
    sync::mpsc::channel,
    task::{Context, Poll},
};

use futures_util::future::ready;
use serde_json::{Value, json};
use taskpulse::{App, Error, TaskEnd, TaskState};
use tokio::sync::oneshot;

use super::{Tomb, Trap, current_thread, is_idle, says, wait, worker};
use crate::harness::PATIENCE;

/// Spawns a future, waits for its end, and sees that nothing is left over.
#[track_caller]
fn check<F, T, E>(future: F) -> TaskEnd
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: serde::Serialize + Send + 'static,
    E: fmt::Display + Send + 'static,
{
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let join = tasks.begin("work").spawn(future).unwrap();
    let end = wait(join);
    is_idle(&tasks);
    end
}

fn ok(value: impl serde::Serialize + Send + 'static) -> TaskEnd {
    check(async move { Ok::<_, String>(value) })
}

fn succeeded(result: Option<Value>, error: Option<&str>) -> TaskEnd {
    TaskEnd {
        state: TaskState::Succeeded,
        result,
        error: error.map(str::to_owned),
    }
}

#[test]
fn what_ok_holds_becomes_the_result() {
    assert_eq!(
        ok(json!({"pages": 3})),
        succeeded(Some(json!({"pages": 3})), None)
    );
    assert_eq!(ok("done"), succeeded(Some(json!("done")), None));
    assert_eq!(ok(()), succeeded(None, None));
}

#[test]
fn a_result_is_kept_up_to_64_kib() {
    let longest = "x".repeat(64 * 1_024 - 2);
    assert_eq!(ok(longest.clone()).result, Some(longest.clone().into()));
    let note = "the result is 65537 bytes of JSON; at most 65536 are kept";
    assert_eq!(ok(longest + "x"), succeeded(None, Some(note)));
}

#[test]
fn a_result_that_cannot_be_written_is_left_out() {
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let note = "the result cannot be written as JSON: key must be a string";
    assert_eq!(ok(keys), succeeded(None, Some(note)));
}

/// Readers of JSON stop at some depth, serde's at 128.
#[test]
fn a_result_that_cannot_be_read_is_left_out() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(ok(nested(100)), succeeded(Some(nested(100)), None));
    let end = ok(nested(200));
    assert_eq!((end.state, end.result), (TaskState::Succeeded, None));
    let note = end.error.unwrap();
    assert!(
        note.starts_with("the result cannot be read back as JSON: "),
        "{note}"
    );
}

#[test]
fn an_error_fails_the_task_with_its_text() {
    let end = check(async { Err::<(), _>("no such page") });
    assert_eq!(end.state, TaskState::Failed);
    assert_eq!(end.error.as_deref(), Some("no such page"));
}

#[test]
fn a_panic_fails_the_task_with_its_message() {
    let text = check(async { panics(|| panic!("just text")) });
    let formatted = check(async { panics(|| panic!("page {}", 7)) });
    let odd = check(async { panics(|| panic_any(vec![1, 2])) });
    for (end, message) in [
        (text, "just text"),
        (formatted, "page 7"),
        (odd, "a value that is not text"),
    ] {
        assert_eq!(end.state, TaskState::Failed);
        says(&end, message);
    }
}

fn panics(panic: fn()) -> Result<(), String> {
    panic();
    Ok(())
}

#[test]
fn a_panic_while_the_end_is_written_fails_the_task() {
    struct Mute;
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("speechless")
        }
    }
    let end = ok(Trap);
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "sprung");
    let end = check(async { Err::<(), _>(Mute) });
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "speechless");
}

#[test]
fn a_future_whose_destructor_panics_fails_the_task() {
    struct Bomb;
    impl Future for Bomb {
        type Output = Result<u8, String>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(1))
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let end = check(Bomb);
    assert_eq!((end.state, end.result), (TaskState::Failed, None));
    assert!(end.error.unwrap().starts_with("panicked"));
    let end = check(async {
        let _bomb = Bomb;
        Ok::<_, String>(1)
    });
    assert_eq!(end.state, TaskState::Failed);
    says(&end, "dropped");
}

/// Whoever sees the end can count on everything that the work held being gone.
#[test]
fn destructors_run_before_the_end_is_visible() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    for panics in [false, true] {
        let (dropped, seen) = channel();
        let held = Tomb(tasks.clone(), dropped.clone());
        let returned = Tomb(tasks.clone(), dropped);
        let work = async move {
            let _held = held;
            tokio::task::yield_now().await;
            assert!(!panics, "with what it holds");
            Err::<(), _>(Epitaph(returned))
        };
        wait(tasks.begin("held").spawn(work).unwrap());
        let active: Vec<_> = seen.try_iter().collect();
        assert_eq!(active, [1, 1], "both dropped while the task was active");
        is_idle(&tasks);
    }
    // The destructor of a future that is no block of ours.
    let (dropped, seen) = channel();
    let tomb = Tomb(tasks.clone(), dropped);
    let work = std::future::poll_fn(move |_| {
        let _captured = &tomb;
        Poll::Ready(Ok::<_, String>(()))
    });
    wait(tasks.begin("captured").spawn(work).unwrap());
    assert_eq!(seen.try_recv(), Ok(1));
}

/// An error that holds something.
struct Epitaph(#[expect(dead_code, reason = "dropped with the error")] Tomb);

impl fmt::Display for Epitaph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gone")
    }
}

#[test]
fn abort_cancels_at_once_and_drops_the_future() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let (dropped, seen) = channel();
    let tomb = Tomb(tasks.clone(), dropped);
    let (started, starts) = oneshot::channel();
    let join = tasks.begin("endless").spawn(async move {
        let _tomb = tomb;
        started.send(()).unwrap();
        pending::<Result<(), String>>().await
    });
    let join = join.unwrap();
    current_thread().block_on(starts).unwrap();
    join.abort();
    is_idle(&tasks);
    join.abort();
    let end = wait(join);
    assert_eq!(
        end,
        TaskEnd {
            state: TaskState::Cancelled,
            result: None,
            error: None
        }
    );
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(0));
}

/// The end does not wait for a worker.
#[test]
fn an_aborted_task_is_awaited_though_its_runtime_stands_still() {
    let still = current_thread();
    let inside = still.enter();
    let tasks = App::new().tasks();
    let (dropped, seen) = channel();
    let tomb = Tomb(tasks.clone(), dropped);
    let join = tasks.begin("never polled").spawn(async move {
        let _tomb = tomb;
        Ok::<_, String>(1)
    });
    drop(inside);
    let join = join.unwrap();
    join.abort();
    assert_eq!(wait(join).state, TaskState::Cancelled);
    assert!(seen.try_recv().is_err(), "not dropped yet");
    still.block_on(tokio::task::yield_now());
    assert_eq!(seen.try_recv(), Ok(0));
    is_idle(&tasks);
}

#[test]
fn a_runtime_that_goes_down_interrupts_its_tasks() {
    let runtime = worker();
    let tasks = App::new().tasks();
    let joins: Vec<_> = {
        let _inside = runtime.enter();
        let spawn = || {
            tasks
                .begin("endless")
                .spawn(pending::<Result<(), String>>())
        };
        (0..3).map(|_| spawn().unwrap()).collect()
    };
    drop(runtime);
    for join in joins {
        let end = wait(join);
        assert_eq!((end.state, end.error), (TaskState::Interrupted, None));
    }
    is_idle(&tasks);
}

#[test]
fn completing_a_spawned_task_drops_its_future() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let (dropped, seen) = channel();
    let tomb = Tomb(tasks.clone(), dropped);
    let join = tasks.begin("endless").spawn(async move {
        let _tomb = tomb;
        pending::<Result<(), String>>().await
    });
    let join = join.unwrap();
    assert!(tasks.complete_async_task(join.id()));
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(0));
    assert_eq!(wait(join), succeeded(None, None));
    is_idle(&tasks);
}

#[test]
fn a_task_may_complete_itself() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let own = tasks.clone();
    let (tell, told) = oneshot::channel();
    let join = tasks.begin("itself").spawn(async move {
        let id = told.await.map_err(|_| "nobody told")?;
        assert!(own.complete_async_task(id));
        assert!(!own.complete_async_task(id));
        Ok::<_, &str>("too late to be a result")
    });
    let join = join.unwrap();
    tell.send(join.id()).unwrap();
    assert_eq!(wait(join), succeeded(None, None));
    is_idle(&tasks);
}

#[test]
fn dropping_the_join_handle_detaches() {
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let (go, gone) = oneshot::channel::<()>();
    let (done, ended) = channel();
    let work = async move {
        gone.await.map_err(|_| "dropped")?;
        done.send(()).map_err(|_| "dropped")?;
        Ok::<_, &str>(())
    };
    drop(tasks.begin("detached").spawn(work).unwrap());
    assert_eq!(tasks.get_async_task_info().active_count, 1);
    go.send(()).unwrap();
    ended.recv_timeout(PATIENCE).unwrap();
    crate::harness::eventually("it has ended", || {
        tasks.get_async_task_info().active_count == 0
    });
}

#[test]
fn without_a_runtime_nothing_begins() {
    let tasks = App::new().tasks();
    let error = tasks.begin("early").spawn(ready(Ok::<_, String>(())));
    let error = error.unwrap_err();
    assert!(
        matches!(&error, Error::NoRuntime { name } if name == "early"),
        "{error}"
    );
    assert!(error.to_string().contains("`early`"), "{error}");
    is_idle(&tasks);
}
