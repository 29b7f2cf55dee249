//! What code inside a task knows of it: which it is, and whether it is to stop.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use taskpulse::{App, CurrentTask, Reaction, TaskState, current, testing::TestApp};
use tokio::{
    select, spawn,
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{wait, worker};
use crate::harness::PATIENCE;

fn id(current: Option<CurrentTask>) -> Option<u64> {
    current.map(|task| task.id().into())
}

#[tokio::test]
async fn code_knows_the_innermost_task_that_it_runs_in() {
    let tasks = App::new().tasks();
    assert!(current().is_none());
    let outer = tasks.begin("outer").start().unwrap();
    let inner = tasks.add_async_task("inner", ()).unwrap();
    let [outer_id, inner_id] = [outer.id(), inner].map(|id| Some(u64::from(id)));
    outer.in_scope(|| {
        assert_eq!(id(current()), outer_id);
        tasks.in_scope(inner, || assert_eq!(id(current()), inner_id));
        assert_eq!(id(current()), outer_id);
        // Scopes of threads are their own.
        thread::scope(|scope| scope.spawn(|| assert!(current().is_none())).join().unwrap());
    });
    assert!(current().is_none());
    outer
        .instrument(async {
            assert_eq!(id(current()), outer_id);
            tokio::task::yield_now().await;
            assert_eq!(id(current()), outer_id);
            let within = tasks.instrument(inner, async { id(current()) });
            assert_eq!(within.await, inner_id);
            assert_eq!(id(current()), outer_id);
            assert_eq!(id(spawn(async { current() }).await.unwrap()), None);
        })
        .await;
    assert!(current().is_none());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        outer.in_scope(|| panic!("inside"));
    }));
    assert!(caught.is_err() && current().is_none());
    outer.succeed();
}

#[test]
fn spawned_code_finds_itself_at_every_poll_and_in_its_destructors() {
    struct Tomb(mpsc::Sender<Option<u64>>);
    impl Drop for Tomb {
        fn drop(&mut self) {
            self.0.send(id(current())).unwrap_or_default();
        }
    }
    let runtime = worker();
    let _inside = runtime.enter();
    let tasks = App::new().tasks();
    let (sender, seen) = mpsc::channel();
    let task = tasks.begin("future").spawn({
        let sender = sender.clone();
        async move {
            let _tomb = Tomb(sender);
            let before = id(current());
            sleep(Duration::from_millis(1)).await;
            Ok::<_, String>([before, id(current())])
        }
    });
    let task = task.unwrap();
    let wanted = Some(u64::from(task.id()));
    let end = wait(task);
    assert_eq!(end.result, Some(serde_json::json!([wanted, wanted])));
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(wanted));
    let blocking = tasks
        .begin("closure")
        .spawn_blocking(|| Ok::<_, String>(id(current())));
    let blocking = blocking.unwrap();
    let wanted = Some(u64::from(blocking.id()));
    assert_eq!(wait(blocking).result, wanted.map(Into::into));
}

#[tokio::test(start_paused = true)]
async fn code_inside_says_that_it_is_alive() {
    let app = TestApp::new(App::new());
    let limit = Duration::from_secs(30);
    let task = app
        .tasks()
        .begin("import")
        .stall_after(limit)
        .on_stall(Reaction::Cancel);
    let task = task
        .spawn(async {
            let task = current().ok_or("no task")?;
            for page in 1..=100 {
                sleep(Duration::from_secs(29)).await;
                match page % 2 {
                    0 => task.heartbeat(),
                    _ => task.progress(f64::from(page) / 100.0, format!("page {page}")),
                }
            }
            Ok::<_, &str>(())
        })
        .unwrap();
    let id = task.id();
    assert_eq!(task.await.state, TaskState::Succeeded);
    let json = app.get(&format!("/tasks/{id}")).await.1;
    assert_eq!(
        (&json["progress"], &json["progress_message"]),
        (&0.99.into(), &"page 99".into())
    );
}

#[tokio::test]
async fn whoever_waits_is_told_that_the_task_has_been_ended() {
    let tasks = App::new().tasks();
    let task = Arc::new(tasks.begin("import").start().unwrap());
    // Cancel safe: given up and taken up again.
    select! {
        biased;
        () = task.cancelled() => panic!("nobody has"),
        () = async {} => {}
    }
    assert!(!task.is_cancelled());
    let (started, waiting) = oneshot::channel();
    let waiter = spawn({
        let task = Arc::clone(&task);
        async move {
            let mut cancelled = Box::pin(task.cancelled());
            assert!(futures_util::poll!(&mut cancelled).is_pending());
            started.send(()).unwrap();
            cancelled.await;
        }
    });
    waiting.await.unwrap();
    assert!(tasks.cancel(task.id()));
    timeout(PATIENCE, waiter).await.unwrap().unwrap();
    assert!(task.is_cancelled());
    timeout(PATIENCE, task.cancelled()).await.unwrap();
    assert!(!tasks.cancel(task.id()), "it has ended");
}

/// Whether it comes before, between or after, no end is missed.
#[test]
fn an_end_that_races_with_waiting_is_not_missed() {
    let runtime = worker();
    let tasks = App::new().tasks();
    for round in 0..500 {
        let task = tasks.begin("import").start().unwrap();
        let id = task.id();
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..round % 50).for_each(|_| std::hint::spin_loop());
                assert!(tasks.cancel(id));
            });
            let told = async { timeout(PATIENCE, task.cancelled()).await };
            runtime.block_on(told).expect("it is told");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_has_spawned_sees_that_its_time_is_up() {
    let app = TestApp::new(App::new());
    let (told, stopped) = oneshot::channel();
    let task = app.tasks().begin("import").max_age(Duration::from_secs(60));
    let task = task.spawn(async move {
        let current = current().ok_or("no task")?;
        spawn(async move {
            current.cancelled().await;
            told.send(current.is_cancelled()).unwrap();
        });
        std::future::pending::<Result<(), &str>>().await
    });
    assert_eq!(task.unwrap().await.state, TaskState::TimedOut);
    assert_eq!(stopped.await, Ok(true));
}
