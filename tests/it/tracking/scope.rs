//! What is logged inside a task carries the task's ids.

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
};

use futures_util::future::join;
use serde_json::{Value, json};
use taskpulse::{App, TaskId};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    info,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use super::{current_thread, is_idle, wait};
use crate::harness::{Process, eventually};

/// Keeps, for each message of this file, the ids of the tasks it was logged in.
#[derive(Clone, Debug, Default)]
struct Scopes(Arc<Mutex<Vec<Vec<i64>>>>);

struct TaskOf(i64);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Scopes {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        struct Find(Option<i64>);
        impl Visit for Find {
            fn record_i64(&mut self, field: &Field, value: i64) {
                if field.name() == "task.id" {
                    self.0 = Some(value);
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        let mut find = Find(None);
        attributes.record(&mut find);
        if let Some(task) = find.0 {
            ctx.span(id).unwrap().extensions_mut().insert(TaskOf(task));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if event.metadata().target() != module_path!() {
            return;
        }
        let spans = ctx.event_scope(event).into_iter().flatten();
        let tasks = spans.filter_map(|span| Some(span.extensions().get::<TaskOf>()?.0));
        self.0.lock().unwrap().push(tasks.collect());
    }
}

impl Scopes {
    /// Runs `work` with this as the subscriber; gives back what it noted.
    fn of(work: impl FnOnce()) -> Vec<Vec<i64>> {
        let scopes = Self::default();
        let subscriber = tracing_subscriber::registry().with(scopes.clone());
        tracing::subscriber::with_default(subscriber, work);
        scopes.0.lock().unwrap().clone()
    }
}

fn number(id: TaskId) -> i64 {
    u64::from(id).cast_signed()
}

#[test]
fn the_innermost_scope_counts_and_ends_where_it_ends() {
    let tasks = App::new().tasks();
    let ids = Cell::new((0, 0));
    let noted = Scopes::of(|| {
        let outer = tasks.begin("outer").start().unwrap();
        let inner = tasks.add_async_task("inner", ()).unwrap();
        ids.set((number(outer.id()), number(inner)));
        info!("outside");
        outer.in_scope(|| {
            info!("in the outer one");
            tasks.in_scope(inner, || {
                info!("in the inner one");
            });
            info!("in the outer one, still");
        });
        info!("outside again");
        assert!(tasks.complete_async_task(inner));
        tasks.in_scope(inner, || info!("in none, since it has ended"));
        outer.succeed();
    });
    let (outer, inner) = ids.get();
    let expected = [
        vec![],
        vec![outer],
        vec![inner],
        vec![outer],
        vec![],
        vec![],
    ];
    assert_eq!(noted, expected);
    is_idle(&tasks);
}

/// Two futures take turns on one thread; each has its own scope at its turns,
/// and in its destructor.
#[test]
fn a_future_is_in_its_scope_whenever_it_is_polled_and_when_it_is_dropped() {
    struct Says;
    impl Drop for Says {
        fn drop(&mut self) {
            info!("dropped");
        }
    }
    let tasks = App::new().tasks();
    let ids = Cell::new((0, 0));
    let noted = Scopes::of(|| {
        let first = tasks.add_async_task("first", ()).unwrap();
        let second = tasks.add_async_task("second", ()).unwrap();
        ids.set((number(first), number(second)));
        let turns = || async {
            let _says = Says;
            info!("once");
            tokio::task::yield_now().await;
            info!("twice");
        };
        let both = async {
            join(
                tasks.instrument(first, turns()),
                tasks.instrument(second, turns()),
            )
            .await;
        };
        current_thread().block_on(both);
        let mut never_done = Box::pin(tasks.instrument(first, async {
            let _says = Says;
            std::future::pending::<()>().await;
        }));
        let once = std::future::poll_fn(|cx| {
            assert!(never_done.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        });
        current_thread().block_on(once);
        drop(never_done);
        info!("outside");
        assert!(tasks.complete_async_task(first) && tasks.complete_async_task(second));
    });
    let (first, second) = ids.get();
    let turns = [first, second, first, first, second, second, first];
    let mut expected: Vec<_> = turns.map(|id| vec![id]).into();
    expected.push(vec![]);
    assert_eq!(noted, expected);
    is_idle(&tasks);
}

#[test]
fn spawned_work_runs_in_its_scope() {
    let tasks = App::new().tasks();
    let id = Cell::new(0);
    let noted = Scopes::of(|| {
        current_thread().block_on(async {
            let join = tasks.begin("spawned").spawn(async {
                info!("first");
                tokio::task::yield_now().await;
                info!("second");
                Ok::<_, String>(())
            });
            let join = join.unwrap();
            id.set(number(join.id()));
            join.await;
        });
    });
    assert_eq!(noted, [vec![id.get()], vec![id.get()]]);
    // Without any subscriber there is no scope, and nothing else changes.
    let join = tasks
        .begin("unheard")
        .spawn_blocking(|| Ok::<_, String>(()));
    wait(join.unwrap());
    is_idle(&tasks);
}

/// The log of the binary, one object a line.
#[test]
fn the_log_names_task_session_and_request() {
    let agent = Process::spawn(&[]);
    let headers = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: session-7\r\n\
                   X-Amzn-Bedrock-AgentCore-Runtime-Request-Id: request-8\r\n";
    let payload = json!({"action": "process", "data_id": "d9", "seconds": 0}).to_string();
    let answer = agent
        .client()
        .request("POST", "/invocations", headers, payload)
        .json();
    let ids = json!([
        answer["task_id"],
        "data_processing",
        "session-7",
        "request-8"
    ]);
    let begun = format!("task data_processing {} begun", answer["task_id"]);
    let ended = format!("task data_processing {} succeeded", answer["task_id"]);
    for message in [
        &*begun,
        "Processing data: d9",
        "Completed processing: d9",
        &*ended,
    ] {
        let find = || -> Option<Value> {
            let mut lines = agent.log().into_iter();
            lines.find(|line| line["message"] == message)
        };
        eventually(message, || find().is_some());
        let line = find().unwrap();
        let said = json!([
            line["task_id"],
            line["task_name"],
            line["sessionId"],
            line["requestId"]
        ]);
        assert_eq!(said, ids, "{message}");
    }
}
