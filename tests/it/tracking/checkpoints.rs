//! Tasks that are seen before they end.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use axum::{body::Body, http::Request};
use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind},
};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;
use taskpulse::{App, Error, TaskHandle, Tasks, testing::TestApp};
use tokio::time::sleep;
use tracing::{Subscriber, span, subscriber::set_default};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::harness::{Collector, Process, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// A task that a request has begun, and its app.
struct Begun {
    app: TestApp,
    task: TaskHandle,
}

// === impl Begun ===

impl Begun {
    async fn new() -> Self {
        Self::of(App::new(), true).await
    }

    /// `sampled` is what the caller says of its trace.
    async fn of(app: App, sampled: bool) -> Self {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let app = TestApp::new(
            app.entrypoint(async move |tasks: Tasks| -> Result<(), Error> {
                let import = tasks.begin("import").metadata("rows", 7);
                let task = import.metadata("file", "a.csv").start()?;
                keep.lock().unwrap().replace(task);
                Ok(())
            }),
        );
        let caller = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let request = Request::post("/invocations")
            .header("traceparent", format!("00-{caller}-0{}", u8::from(sampled)))
            .header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", "s-1")
            .header("X-Amzn-Bedrock-AgentCore-Runtime-Request-Id", "r-1")
            .body(Body::empty());
        let answer = app.request(request.unwrap()).await;
        assert_eq!(answer.status(), 200);
        let task = kept.lock().unwrap().take().unwrap();
        Self { app, task }
    }

    /// From when until when each checkpoint is, in seconds from the begin of the
    /// first one.
    fn tiles(&self) -> Vec<(f64, f64)> {
        tiles(&checkpoints(&self.app))
    }
}

fn checkpoints(app: &TestApp) -> Vec<SpanData> {
    let mut spans = app.spans();
    spans.retain(|span| span.name == "import checkpoint");
    spans
}

fn tiles(spans: &[SpanData]) -> Vec<(f64, f64)> {
    let since = |at: SystemTime| {
        let age = at.duration_since(spans[0].start_time).unwrap();
        // Timers come to the millisecond.
        (age.as_secs_f64() * 10.0).round() / 10.0
    };
    let spans = spans.iter();
    spans
        .map(|span| (since(span.start_time), since(span.end_time)))
        .collect()
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut found = span.attributes.iter().filter(|it| it.key.as_str() == key);
    let value = found.next().map(|it| it.value.clone());
    assert!(found.next().is_none(), "{key} twice in {span:#?}");
    value
}

fn counted(app: &TestApp) -> (f64, f64) {
    let count = |what| app.metric(&format!("taskpulse_checkpoint_{what}_total"), &[]);
    (count("exported").unwrap(), count("skipped").unwrap())
}

#[tokio::test(start_paused = true)]
async fn checkpoints_tile_a_tasks_time_at_doubling_intervals() {
    let begun = Begun::new().await;
    sleep(100 * SECOND).await;
    let tiles = begun.tiles();
    let doubling = [
        (0.0, 5.0),
        (5.0, 10.0),
        (10.0, 20.0),
        (20.0, 40.0),
        (40.0, 80.0),
    ];
    assert_eq!(tiles, doubling);
    assert_eq!(counted(&begun.app), (5.0, 0.0));
    let Begun { app, task } = begun;
    task.succeed();
    let (task, checkpoints) = (app.span("import"), checkpoints(&app));
    assert_eq!(checkpoints[0].start_time, task.start_time);
    for pair in checkpoints.windows(2) {
        assert_eq!(pair[0].end_time, pair[1].start_time);
    }
    for checkpoint in &checkpoints {
        assert_eq!(checkpoint.parent_span_id, task.span_context.span_id());
        let trace = checkpoint.span_context.trace_id();
        assert_eq!(trace, task.span_context.trace_id());
        assert_eq!(checkpoint.span_kind, SpanKind::Internal);
        let keys = [
            "task.id",
            "task.name",
            "task.metadata.rows",
            "task.metadata.file",
            "session.id",
            "taskpulse.request.id",
        ];
        for key in keys {
            let said = attribute(&task, key);
            assert!(said.is_some(), "no {key}");
            assert_eq!(attribute(checkpoint, key), said, "{key}");
        }
        for key in ["task.state", "task.stage", "task.condition"] {
            assert_eq!(attribute(checkpoint, key), None, "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn eight_hours_leave_about_25_checkpoints_at_most_half_an_hour_apart() {
    let begun = Begun::new().await;
    sleep(8 * 3_600 * SECOND).await;
    let tiles = begun.tiles();
    assert!((23..=26).contains(&tiles.len()), "{tiles:?}");
    for (from, to) in &tiles {
        assert!(to - from <= 1_801.0, "{tiles:?}");
    }
    for pair in tiles.windows(2) {
        assert!(pair[0].1 == pair[1].0, "{tiles:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_ended_has_no_more_of_them() {
    let begun = Begun::new().await;
    sleep(5 * SECOND - Duration::from_millis(1)).await;
    let short = begun.app.tasks().begin("import").start().unwrap();
    assert_eq!(counted(&begun.app), (0.0, 0.0));
    sleep(2 * Duration::from_millis(1)).await;
    assert_eq!(counted(&begun.app), (1.0, 0.0));
    sleep(4 * SECOND).await;
    short.succeed();
    let Begun { app, task } = begun;
    task.succeed();
    sleep(60 * SECOND).await;
    assert_eq!(counted(&app), (1.0, 0.0));
    // The watcher sleeps by now. The next begin wakes it.
    let another = app.tasks().begin("import").start().unwrap();
    sleep(6 * SECOND).await;
    assert_eq!(counted(&app), (2.0, 0.0));
    another.succeed();
}

#[tokio::test(start_paused = true)]
async fn the_program_says_when_they_begin_and_that_there_are_none() {
    let sooner = App::new().checkpoints(Duration::from_millis(500));
    let begun = Begun::of(sooner, true).await;
    sleep(3 * SECOND).await;
    assert_eq!(begun.tiles(), [(0.0, 0.5), (0.5, 1.0), (1.0, 2.0)]);
    let none = Begun::of(App::new().checkpoints(Duration::ZERO), true).await;
    none.task.checkpoint("loaded");
    sleep(60 * SECOND).await;
    assert_eq!(counted(&none.app), (0.0, 0.0));
    assert!(checkpoints(&none.app).is_empty());
}

#[tokio::test]
async fn a_first_one_too_soon_is_refused() {
    let app = App::new().checkpoints(Duration::from_millis(99));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Err(error) = app.serve(listener, async {}).await else {
        panic!("it serves");
    };
    let said = "checkpoints are to begin after 99ms; it must be at least 100ms, or zero for none";
    assert_eq!(error.to_string(), said);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_sampled_has_none() {
    let begun = Begun::of(App::new(), false).await;
    begun.task.checkpoint("loaded");
    sleep(60 * SECOND).await;
    assert!(begun.app.spans().is_empty(), "{:?}", begun.app.spans());
    assert_eq!(counted(&begun.app), (0.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_shown_at_once_and_begins_a_new_interval() {
    let begun = Begun::new().await;
    sleep(6 * SECOND).await;
    begun.task.checkpoint("loaded");
    assert_eq!(begun.tiles(), [(0.0, 5.0), (5.0, 6.0)]);
    let shown = checkpoints(&begun.app).pop().unwrap();
    assert_eq!(attribute(&shown, "task.stage"), Some("loaded".into()));
    // Twice as old as at the stage, not at 10.
    sleep(10 * SECOND).await;
    assert_eq!(begun.tiles()[2..], [(6.0, 12.0)]);
    let timed = checkpoints(&begun.app).pop().unwrap();
    assert_eq!(attribute(&timed, "task.stage"), None);
    let id = begun.task.id();
    begun.app.tasks().checkpoint(id, "by its id");
    assert_eq!(begun.tiles()[3..], [(12.0, 16.0)]);
    let Begun { app, task } = begun;
    task.succeed();
    app.tasks().checkpoint(id, "too late");
    assert_eq!(counted(&app), (4.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_stages_is_bounded_and_its_surplus_counted() {
    let begun = Begun::new().await;
    for _ in 0..1_500 {
        begun.task.checkpoint("again");
    }
    assert_eq!(counted(&begun.app), (1_000.0, 500.0));
    sleep(SECOND).await;
    begun.task.checkpoint("the next second");
    assert_eq!(counted(&begun.app), (1_001.0, 500.0));
    // It takes nothing away from the others.
    let other = begun.app.tasks().begin("import").start().unwrap();
    sleep(4 * SECOND).await;
    for _ in 0..1_500 {
        begun.task.checkpoint("again");
    }
    sleep(2 * SECOND).await;
    let last = checkpoints(&begun.app).pop().unwrap();
    let id = u64::from(other.id()).cast_signed();
    assert_eq!(attribute(&last, "task.id"), Some(id.into()));
    other.succeed();
}

/// The checkpoints of each task.
fn by_task(app: &TestApp) -> HashMap<i64, Vec<SpanData>> {
    let mut all = HashMap::<_, Vec<_>>::new();
    for span in checkpoints(app) {
        let Some(Value::I64(id)) = attribute(&span, "task.id") else {
            panic!("{span:#?}");
        };
        all.entry(id).or_default().push(span);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_spread_and_none_is_forgotten() {
    const TASKS: usize = 8_000;
    let app = TestApp::new(App::new());
    let begin = |_| app.tasks().begin("import").start().unwrap();
    let mut tasks: Vec<_> = (0..TASKS).map(begin).collect();
    sleep(Duration::from_millis(9_500)).await;
    // In the seconds 5 to 9.
    assert_eq!(counted(&app), (5_000.0, 0.0));
    assert!(by_task(&app).values().all(|spans| spans.len() == 1));
    // By the tenth, 3,000 have waited as long as they were old. They wait on
    // beside 1,000 whose second one is due.
    sleep(4 * SECOND).await;
    assert_eq!(counted(&app), (9_000.0, 3_000.0));
    assert_eq!(by_task(&app).len(), TASKS);
    // Of few that are left none is skipped, and their tiles have no gap.
    tasks.truncate(10);
    sleep(100 * SECOND).await;
    let (exported, skipped) = counted(&app);
    assert!(
        skipped <= 3_000.0 && exported > 9_020.0,
        "{exported}, {skipped}"
    );
    let all = by_task(&app);
    for task in &tasks {
        let spans = &all[&u64::from(task.id()).cast_signed()];
        for pair in spans.windows(2) {
            assert_eq!(pair[0].end_time, pair[1].start_time);
        }
        let last = tiles(spans).pop().unwrap();
        assert!(last.1 > 50.0, "{last:?}");
    }
}

/// Counts the spans that a layer of the program's own sees.
struct Counting(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn layers_of_the_program_see_nothing_of_them() {
    let app = TestApp::new(App::new());
    let seen = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Counting(Arc::clone(&seen)));
    let _default = set_default(subscriber.with(app.layer()));
    let task = app.tasks().begin("import").start().unwrap();
    task.checkpoint("loaded");
    sleep(30 * SECOND).await;
    assert_eq!(checkpoints(&app).len(), 4);
    assert_eq!(seen.load(SeqCst), 1, "the task's span");
    assert_ne!(checkpoints(&app)[0].parent_span_id, SpanId::INVALID);
    task.succeed();
}

/// At once, and not when the next one would be due.
#[tokio::test(start_paused = true)]
async fn a_condition_is_shown_when_it_begins() {
    let app = TestApp::new(App::new());
    let import = app.tasks().begin("import").stall_after(2 * SECOND);
    let task = import.deadline(4 * SECOND).start().unwrap();
    sleep(SECOND).await;
    task.progress(0.4, "page 4 of 10");
    sleep(SECOND + SECOND / 2).await;
    assert!(checkpoints(&app).is_empty());
    sleep(SECOND).await;
    let [stalled] = &checkpoints(&app)[..] else {
        panic!("{:?}", checkpoints(&app));
    };
    assert_eq!(stalled.events.events[0].name, "task.stalled");
    let attribute = |span: &SpanData, key: &str| {
        let mut attributes = span.attributes.iter();
        let found = attributes.find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.clone())
    };
    assert_eq!(attribute(stalled, "task.condition"), Some("stalled".into()));
    assert_eq!(attribute(stalled, "task.progress"), Some(Value::F64(0.4)));
    let message = Some(Value::from("page 4 of 10"));
    assert_eq!(attribute(stalled, "task.progress.message"), message);
    sleep(SECOND).await;
    let overdue = &checkpoints(&app)[1];
    assert_eq!(overdue.events.events[0].name, "task.overdue");
    assert_eq!(attribute(overdue, "task.condition"), Some("overdue".into()));
    assert_eq!(overdue.start_time, stalled.end_time);
    task.succeed();
}

/// The names of the threads of a process.
#[cfg(target_os = "linux")]
fn threads(process: &Process) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn an_agent_that_exports_nothing_does_nothing_for_them() {
    let collector = Collector::start();
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url)];
    let spawn = |checkpoints, variables: &[_]| {
        // The platform's limits are watched as well, by the same thread.
        let unwatched = ["--idle-limit", "off", "--lifetime-limit", "off"];
        let arguments = [&["--checkpoints", checkpoints][..], &unwatched].concat();
        Process::spawn_with(&arguments, variables)
    };
    let silent = spawn("100ms", &[]);
    let off = spawn("off", &variables);
    let telling = spawn("100ms", &variables);
    let watches = |process| threads(process).contains(&"taskpulse-watch".to_owned());
    for process in [&silent, &off, &telling] {
        process.invoke(&json!({"action": "process", "seconds": 600}));
    }
    // By then the others, which have begun theirs before, would be as far.
    eventually("the task is seen while it runs", || {
        let checkpoints = collector.spans_named("data_processing checkpoint");
        checkpoints.len() > 1
    });
    assert!(watches(&telling));
    assert!(!watches(&silent) && !watches(&off));
}
