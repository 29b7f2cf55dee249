//! Somebody else's subscriber: whatever it does, tracking goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use serde_json::json;
use taskpulse::{App, TaskState, Tasks};
use tracing::{
    Event, Metadata, Subscriber, info,
    span::{Attributes, Id, Record},
    subscriber::{Interest, with_default},
};

use super::{current_thread, is_idle, wait};
use crate::harness::Server;

/// A callback of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    Enabled,
    NewSpan,
    Record,
    Event,
    Enter,
    Exit,
    CloneSpan,
    TryClose,
    Every,
}

/// A subscriber that panics in one callback, or in every one.
struct Panics {
    at: Callback,
    armed: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
}

impl Panics {
    fn called(&self, at: Callback) {
        let meant = self.at == at || self.at == Callback::Every;
        if meant && self.armed.load(SeqCst) {
            self.calls.fetch_add(1, SeqCst);
            panic!("the subscriber's {at:?}");
        }
    }
}

impl Subscriber for Panics {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes() // It is asked each time.
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.called(Callback::Enabled);
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.called(Callback::NewSpan);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {
        self.called(Callback::Record);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.called(Callback::Event);
    }
    fn enter(&self, _: &Id) {
        self.called(Callback::Enter);
    }
    fn exit(&self, _: &Id) {
        self.called(Callback::Exit);
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.called(Callback::CloneSpan);
        id.clone()
    }
    fn try_close(&self, _: Id) -> bool {
        self.called(Callback::TryClose);
        true
    }
}

/// Every way of tracking, with a subscriber in the way.
fn track_all(tasks: &Tasks) {
    let id = tasks.add_async_task("by id", json!({"a": 1})).unwrap();
    assert_eq!(tasks.in_scope(id, || 1), 1);
    assert_eq!(
        current_thread().block_on(tasks.instrument(id, async { 2 })),
        2
    );
    assert!(tasks.complete_async_task(id));
    assert!(!tasks.complete_async_task(id), "warned of, or not");

    let task = tasks.begin("guarded").start().unwrap();
    assert_eq!(task.in_scope(|| task.in_scope(|| 3)), 3);
    assert_eq!(current_thread().block_on(task.instrument(async { 4 })), 4);
    task.succeed_with(5);
    drop(tasks.begin("dropped").start().unwrap());

    let spawned = async {
        let turns = async {
            tokio::task::yield_now().await;
            Ok::<_, String>(6)
        };
        let end = tasks.begin("spawned").spawn(turns).unwrap().await;
        assert_eq!(
            (end.state, end.result),
            (TaskState::Succeeded, Some(json!(6)))
        );
        let panics = async { Err::<(), String>(panic_now()) };
        let end = tasks.begin("panics").spawn(panics).unwrap().await;
        assert_eq!(end.state, TaskState::Failed);
        assert!(end.error.unwrap().ends_with("the work's own"));
        let endless = std::future::pending::<Result<(), String>>();
        let join = tasks.begin("aborted").spawn(endless).unwrap();
        tokio::task::yield_now().await;
        join.abort();
        assert_eq!(join.await.state, TaskState::Cancelled);
    };
    current_thread().block_on(spawned);
    is_idle(tasks);
}

fn panic_now() -> String {
    panic!("the work's own")
}

#[test]
fn a_subscriber_that_panics_breaks_nothing() {
    for at in [
        Callback::Enabled,
        Callback::NewSpan,
        Callback::Record,
        Callback::Event,
        Callback::Enter,
        Callback::Exit,
        Callback::TryClose,
        Callback::Every,
    ] {
        let (armed, calls) = (Arc::default(), Arc::default());
        let subscriber = Panics {
            at,
            armed: Arc::clone(&armed),
            calls: Arc::clone(&calls),
        };
        let tasks = App::new().tasks();
        with_default(subscriber, || {
            armed.store(true, SeqCst);
            track_all(&tasks);
            armed.store(false, SeqCst);
        });
        assert!(calls.load(SeqCst) > 0, "{at:?} was never called");
    }
}

/// A second panic while the first one unwinds would end the process.
#[test]
fn a_subscriber_that_panics_while_the_work_panics_breaks_nothing() {
    let server = Server::spawn(App::new());
    let tasks = server.tasks.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let panics = move || {
        let armed = Arc::new(AtomicBool::new(false));
        let subscriber = Panics {
            at: Callback::Every,
            armed: Arc::clone(&armed),
            calls: Arc::default(),
        };
        with_default(subscriber, || {
            let task = tasks.begin("doomed").start().unwrap();
            tell.send(task.id()).unwrap();
            armed.store(true, SeqCst);
            let _disarm = Disarm(armed);
            let _task = task;
            panic!("first");
        });
    };
    thread::spawn(panics).join().unwrap_err();
    let id = told.recv().unwrap();
    assert_eq!(server.task(id)["state"], "failed");
    is_idle(&server.tasks);
}

/// Leaves the subscriber quiet for its own end.
struct Disarm(Arc<AtomicBool>);

impl Drop for Disarm {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// A subscriber that tracks and settles tasks itself, from within a callback.
struct Meddles(Tasks, AtomicU64);

impl Subscriber for Meddles {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "taskpulse::task"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        let active = self.0.get_async_task_info();
        assert_eq!(active.running_jobs.len(), active.active_count);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.1.fetch_add(1, SeqCst);
        // At the begin it ends the task; at the end there is none left.
        for job in self.0.get_async_task_info().running_jobs {
            assert!(self.0.complete_async_task(job.id));
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_may_settle_the_task_it_hears_of() {
    let tasks = App::new().tasks();
    let subscriber = Arc::new(Meddles(tasks.clone(), AtomicU64::new(0)));
    with_default(Arc::clone(&subscriber), || {
        let id = tasks.add_async_task("short-lived", ()).unwrap();
        is_idle(&tasks);
        assert!(!tasks.complete_async_task(id));
        let spawned = async {
            tasks
                .begin("short-lived")
                .spawn(std::future::pending::<Result<(), String>>())
        };
        let runtime = current_thread();
        let join = runtime.block_on(spawned).unwrap();
        assert_eq!(wait(join).state, TaskState::Succeeded);
    });
    assert_eq!(subscriber.1.load(SeqCst), 4, "two begun, two ended");
    is_idle(&tasks);
}

/// A slow subscriber delays its caller and nobody else.
#[test]
fn a_subscriber_that_blocks_delays_only_its_caller() {
    let server = Server::spawn(App::new());
    let (told, tell) = std::sync::mpsc::channel();
    let (go, wait_for_it) = std::sync::mpsc::channel();
    let tasks = server.tasks.clone();
    let slow = thread::spawn(move || {
        let subscriber = Blocks(std::sync::Mutex::new(Some((told, wait_for_it))));
        with_default(subscriber, || {
            info!("not of a task");
            tasks.begin("slow").start().unwrap().succeed();
        });
    });
    tell.recv().unwrap();
    // Its begin is being announced. Everybody else goes on.
    assert_eq!(server.ping().0, "HealthyBusy");
    let job = server.tasks.get_async_task_info().running_jobs.remove(0);
    assert_eq!(server.task(job.id)["state"], "running");
    server.tasks.begin("quick").start().unwrap().succeed();
    assert!(server.tasks.complete_async_task(job.id));
    assert_eq!(server.task(job.id)["state"], "succeeded");
    assert_eq!(server.ping().0, "Healthy");
    go.send(()).unwrap();
    slow.join().unwrap();
    is_idle(&server.tasks);
}

type Gate = (std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

/// Blocks in its first span.
struct Blocks(std::sync::Mutex<Option<Gate>>);

impl Subscriber for Blocks {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "taskpulse::task"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        if let Some((told, wait_for_it)) = self.0.lock().unwrap().take() {
            told.send(()).unwrap();
            wait_for_it.recv().unwrap();
        }
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
