//! Spans of requests and tasks, and of the code inside tasks.

use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt as _};
use serde_json::{Value, json};
use taskpulse::{App, Payload, TaskState, Tasks, TraceRelation};
use tracing::{Instrument as _, Span, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Done, attribute, observed, settle};

async fn begin(
    tasks: Tasks,
    Payload(event): Payload<Value>,
) -> Result<&'static str, taskpulse::Error> {
    let relation = match event["link"].as_bool() {
        Some(true) => TraceRelation::Link,
        _ => TraceRelation::Child,
    };
    let work = async {
        info_span!("direct").in_scope(|| ());
        let current = Span::current();
        tokio::spawn(async { info_span!("by_current_span").in_scope(|| ()) }.instrument(current));
        tokio::time::sleep(Duration::from_secs(60)).await;
        Done::Ok(())
    };
    tasks
        .begin("work")
        .trace_relation(relation)
        .metadata_map(&event)
        .spawn(work)?;
    Ok("begun")
}

#[tokio::test(start_paused = true)]
async fn a_task_is_in_its_requests_trace_and_lives_its_own_life() {
    let (app, _guard) = observed(App::new().entrypoint(begin));
    app.invoke(json!({"n": 7})).await;
    let request = app.span("POST /invocations");
    assert_eq!(request.span_kind, SpanKind::Server);
    assert_eq!(attribute(&request, "http.response.status_code"), 200);
    assert_eq!(attribute(&request, "http.route"), "/invocations");
    assert!(
        app.spans().iter().all(|span| span.name != "work"),
        "it runs"
    );

    tokio::time::sleep(Duration::from_secs(61)).await;
    let task = app.span("work");
    assert_eq!(task.span_kind, SpanKind::Internal);
    assert_eq!(task.parent_span_id, request.span_context.span_id());
    assert_eq!(
        task.span_context.trace_id(),
        request.span_context.trace_id()
    );
    assert_eq!(
        task.end_time.duration_since(task.start_time).unwrap(),
        Duration::from_secs(60)
    );
    assert_eq!(attribute(&task, "task.state"), "succeeded");
    assert_eq!(attribute(&task, "task.metadata.n"), 7);
    assert_eq!(attribute(&task, "code.file.path"), file!());
    assert_eq!(task.status, Status::Unset);
    for name in ["direct", "by_current_span"] {
        let inner = app.span(name);
        assert_eq!(inner.parent_span_id, task.span_context.span_id(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_task_has_a_trace_of_its_own() {
    let (app, _guard) = observed(App::new().entrypoint(begin));
    app.invoke(json!({"link": true})).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (request, task) = (app.span("POST /invocations"), app.span("work"));
    assert_ne!(
        task.span_context.trace_id(),
        request.span_context.trace_id()
    );
    assert_eq!(task.parent_span_id, SpanId::INVALID);
    let links: Vec<_> = task
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    assert_eq!(links, [request.span_context.span_id()]);
}

#[tokio::test(start_paused = true)]
async fn the_apps_choice_counts_where_a_task_has_none() {
    async fn begin(tasks: Tasks) -> Result<(), taskpulse::Error> {
        tasks.begin("linked").start()?.succeed();
        tasks
            .begin("child")
            .trace_relation(TraceRelation::Child)
            .start()?
            .succeed();
        Ok(())
    }
    let app = App::new()
        .entrypoint(begin)
        .trace_relation(TraceRelation::Link);
    let (app, _guard) = observed(app);
    app.invoke(()).await;
    let request = app.span("POST /invocations").span_context.trace_id();
    assert_ne!(app.span("linked").span_context.trace_id(), request);
    assert_eq!(app.span("child").span_context.trace_id(), request);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_open_inside_a_task_does_not_delay_it() {
    let (app, _guard) = observed(App::new());
    let task = app.tasks().begin("parent").start().unwrap();
    let (child, clone) = task.in_scope(|| (info_span!("detached"), Span::current()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    task.succeed();
    let parent = app.span("parent");
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop((child, clone));
    let child = app.span("detached");
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
    assert_eq!(
        parent.end_time.duration_since(parent.start_time).unwrap(),
        Duration::from_secs(5)
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_begun_in_a_task_is_its_child() {
    let (app, _guard) = observed(App::new());
    let outer = app.tasks().begin("outer").start().unwrap();
    let inner = outer.in_scope(|| app.tasks().begin("inner").start().unwrap());
    inner.succeed();
    outer.succeed();
    let (outer, inner) = (app.span("outer"), app.span("inner"));
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
}

#[tokio::test(start_paused = true)]
async fn failures_say_what_went_wrong_and_where() {
    let (app, _guard) = observed(App::new());
    let begin = || app.tasks().begin("broken");
    begin()
        .spawn(async { Err::<(), _>("row 7 has no id") })
        .unwrap()
        .await;
    let failed = app.span("broken");
    assert_eq!(failed.status, Status::error("row 7 has no id"));
    assert_eq!(attribute(&failed, "error.message"), "row 7 has no id");
    assert_eq!(attribute(&failed, "task.state"), "failed");
    assert!(failed.events.is_empty());

    begin().spawn(async { panics() }).unwrap().await;
    let panicked = app.span("broken");
    let event = &panicked.events[0];
    assert_eq!(event.name, "exception");
    let said = |key: &str| {
        let found = event
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.as_str().into_owned())
    };
    assert_eq!(said("exception.type").as_deref(), Some("panic"));
    assert_eq!(said("exception.message").as_deref(), Some("boom"));

    drop(begin().start().unwrap());
    let dropped = app.span("broken");
    assert_eq!(attribute(&dropped, "task.state"), "interrupted");
    assert!(matches!(dropped.status, Status::Error { .. }));
    begin().start().unwrap().cancel();
    let cancelled = app.span("broken");
    assert_eq!(attribute(&cancelled, "task.state"), "cancelled");
    assert_eq!(cancelled.status, Status::Unset);
    app.tasks_named("broken")
        .begun(4)
        .active(0)
        .ended(TaskState::Failed, 2)
        .ended(TaskState::Interrupted, 1)
        .ended(TaskState::Cancelled, 1);
}

fn panics() -> Done {
    panic!("boom")
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_the_programs_own_sees_a_span_of_each_task() {
    use std::sync::{Arc, Mutex};
    #[derive(Clone, Default)]
    struct Sees(Arc<Mutex<Vec<String>>>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Sees {
        fn on_new_span(
            &self,
            span: &tracing::span::Attributes<'_>,
            _: &tracing::span::Id,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            let metadata = span.metadata();
            let fields: Vec<_> = metadata.fields().iter().map(|field| field.name()).collect();
            let said = format!(
                "{} {} {}",
                metadata.target(),
                metadata.name(),
                fields.join(",")
            );
            self.0.lock().unwrap().push(said);
        }
    }
    let seen = Sees::default();
    let (app, guard) = observed(App::new());
    drop(guard);
    let subscriber = tracing_subscriber::registry()
        .with(seen.clone())
        .with(app.layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    app.tasks().begin("seen").start().unwrap().succeed();
    let wanted = "taskpulse::task task otel.name,task.id,task.name,task.state,task.metadata,session.id,taskpulse.request.id,code.file.path,code.line.number";
    assert_eq!(*seen.0.lock().unwrap(), [wanted]);
    assert_eq!(app.spans().len(), 1, "and it is exported once");
}

#[tokio::test(start_paused = true)]
async fn the_context_of_a_task_is_there_without_any_subscriber() {
    let app = taskpulse::testing::TestApp::new(App::new());
    let task = app.tasks().begin("plain").start().unwrap();
    let inside = task.in_scope(|| {
        opentelemetry::Context::current()
            .span()
            .span_context()
            .clone()
    });
    task.succeed();
    assert_eq!(app.span("plain").span_context, inside);
    let (_, shown) = app.get("/tasks").await;
    assert_eq!(shown["tasks"][0]["trace_id"], inside.trace_id().to_string());
    assert_eq!(shown["tasks"][0]["span_id"], inside.span_id().to_string());
    settle().await;
}
