//! SIGTERM, Ctrl-C and what may not hold them up.

use std::{
    convert::Infallible,
    env,
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use serde_json::json;
use taskpulse::{
    App, TaskState,
    telemetry::{self, Config},
};
use tokio::time::sleep;

use crate::harness::{Client, Collector, PATIENCE, Process, Server, eventually};

/// Set where a test is to be a program.
const PROGRAM: &str = "TASKPULSE_TEST_PROGRAM";

const EMPTY_POST: &str = "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";

/// What the time to stop may be off by, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// An agent with a task that runs for this many seconds.
fn busy(arguments: &[&str], seconds: u32) -> Process {
    let agent = Process::spawn(arguments);
    let begun = agent.invoke(&json!({"action": "process", "seconds": seconds}));
    assert_eq!(begun.status, 200);
    agent
}

/// Sends `signal` and waits until it has been heard.
fn signal(agent: &Process, signal: Signal) {
    agent.signal(signal);
    eventually("it drains", || agent.get("/ready").status == 503);
}

#[track_caller]
fn assert_took(since: Instant, at_least: Duration) {
    let took = since.elapsed();
    assert!(took >= at_least && took < at_least + SLACK, "{took:?}");
}

fn stream_request(agent: &Process, seconds: u32) -> Client {
    let mut client = agent.client();
    let body = json!({"action": "stream", "seconds": seconds}).to_string();
    let length = body.len();
    client.send(format!(
        "POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.head().status, 200);
    assert!(client.chunk().is_some());
    client
}

#[test]
fn what_runs_may_end_and_nothing_new_begins() {
    let mut agent = busy(&["--drain", "15s"], 3);
    let mut streaming = stream_request(&agent, 3);
    let mut kept = agent.client();
    assert_eq!(kept.request("GET", "/ready", "", "").status, 200);
    signal(&agent, Signal::TERM);

    let ready = agent.get("/ready");
    assert_eq!(
        ready.json(),
        json!({"ready": false, "draining": true, "store": "memory"})
    );
    let on_new = agent.invoke(&json!({"action": "status"}));
    let on_old = kept.request("POST", "/invocations", "", "{}");
    for refused in [on_new, on_old] {
        assert_eq!(refused.status, 503);
        assert_eq!(refused.error(), "shutting down; nothing new is begun here");
        assert!(refused.header("retry-after").is_some());
    }
    // Whoever asks for its health still gets it, and the truth.
    assert_eq!(agent.get("/ping").json()["status"], "HealthyBusy");

    let mut last = Vec::new();
    while let Some(chunk) = streaming.chunk() {
        last = chunk;
    }
    let last = String::from_utf8(last).unwrap();
    assert!(last.contains(r#""state":"succeeded""#), "{last}");
    assert_eq!(agent.wait().code(), Some(0));
    eventually("its log ends", || {
        let ended = |message: &String| message.ends_with(" succeeded");
        agent.messages().iter().filter(|text| ended(text)).count() == 2
    });
    let interrupted = |message: &String| message.ends_with(" interrupted");
    assert!(!agent.messages().iter().any(interrupted));
}

#[test]
fn tasks_that_outlast_the_drain_are_interrupted() {
    let mut agent = busy(&["--drain", "1s"], 60);
    let began = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    assert_took(began, Duration::from_secs(1));
    eventually("the log says so", || {
        let log = agent.log();
        let says = |text: &str| {
            log.iter().find(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|said| said.ends_with(text))
            })
        };
        let summary = says("shut down with tasks running");
        summary.is_some_and(|line| line["interrupted_tasks"] == 1)
            && says(" interrupted").is_some_and(|line| line["task_name"] == "data_processing")
    });
}

#[test]
fn an_idle_process_ends_at_once() {
    for first in [Signal::TERM, Signal::INT] {
        let mut agent = Process::spawn(&["--drain", "60s"]);
        // Connections that ask for nothing hold nothing up.
        let mut asked = agent.client();
        assert_eq!(asked.request("GET", "/ping", "", "").status, 200);
        let silent = agent.client();
        let began = Instant::now();
        agent.signal(first);
        assert_eq!(agent.wait().code(), Some(0));
        assert_took(began, Duration::ZERO);
        assert!(asked.is_closed());
        drop(silent);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 143),
        (Signal::INT, Signal::INT, 130),
        (Signal::INT, Signal::TERM, 143),
    ] {
        let mut agent = busy(&["--drain", "60s"], 60);
        let mut streaming = stream_request(&agent, 3_600);
        signal(&agent, first);
        let began = Instant::now();
        agent.signal(second);
        assert_eq!(agent.wait().code(), Some(code), "{first:?} {second:?}");
        assert_took(began, Duration::ZERO);
        let rest = String::from_utf8(streaming.rest()).unwrap();
        let told = [r#""state":"interrupted""#, r#""error_type":"Draining""#];
        assert!(told.iter().any(|told| rest.contains(told)), "{rest}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
        // What can be said in that time is said.
        let messages = agent.messages();
        let interrupted = |said: &String| said.ends_with(" interrupted");
        assert!(messages.iter().any(interrupted), "{messages:?}");
    }
}

#[test]
fn a_second_signal_waits_neither_for_a_collector_nor_for_a_reader_of_the_log() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
        ("RUST_LOG", "trace"),
    ];
    let mut agent = Process::spawn_unread(&["--drain", "60s"], &variables);
    let mut client = agent.client();
    // More of a log than a pipe takes, and many tasks that do not end.
    for seconds in std::iter::repeat_n(0, 1_000).chain([60; 2_000]) {
        let payload = json!({"action": "process", "seconds": seconds}).to_string();
        client.request("POST", "/invocations", "", &payload);
    }
    signal(&agent, Signal::TERM);
    let began = Instant::now();
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(143));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn an_endless_answer_lasts_as_long_as_the_drain() {
    let mut agent = Process::spawn(&["--drain", "1s"]);
    let mut streaming = stream_request(&agent, 3_600);
    let began = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    assert_took(began, Duration::from_secs(1));
    let rest = String::from_utf8(streaming.rest()).unwrap();
    assert!(rest.contains(r#""state":"interrupted""#), "{rest}");
    // It has said itself how it ended.
    assert!(!rest.contains("error_type"), "{rest}");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

#[test]
fn a_stream_that_is_cut_off_is_told_so() {
    let (said, saying) = mpsc::channel();
    let (_release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    // One goes on and on, the other is stuck in code that blocks.
    let collector = Collector::start();
    let config = Config::default().otlp_endpoint(collector.url());
    let telemetry = telemetry::builder().config(config).build().unwrap();
    let mut both = [streaming(App::new().telemetry(telemetry)), {
        let server = Server::spawn(App::new().entrypoint(async move || {
            let (said, released) = (said.clone(), Arc::clone(&released));
            taskpulse::stream(stream::iter(0..2).map(move |item| {
                if item == 1 {
                    said.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap_or_default();
                }
                Ok::<_, Infallible>(item)
            }))
        }));
        let mut client = server.client();
        client.send(EMPTY_POST);
        assert_eq!(client.head().status, 200);
        (server, client)
    }];
    saying.recv_timeout(PATIENCE).unwrap();
    for (server, _) in &mut both {
        server.stop();
    }
    for (mut server, mut client) in both {
        let rest = String::from_utf8(client.rest()).unwrap();
        let last = r#"data: {"error":"shutting down; nothing new is begun here","error_type":"Draining","message":"An error occurred during streaming"}"#;
        assert!(rest.contains(last), "{rest}");
        assert!(rest.ends_with("\n\n\r\n0\r\n\r\n"), "{rest}");
        server.end().unwrap();
    }
    let span = collector.span_named("stream");
    assert_eq!(span.get("stream.end"), "failed");
}

#[test]
fn tasks_see_that_it_is_time() {
    let app = App::new();
    let tasks = app.tasks();
    let mut server = Server::spawn(app);
    let watching = tasks.clone();
    let work = async move {
        watching.draining().await;
        // Whoever comes later is told at once.
        watching.draining().await;
        Ok::<_, Infallible>(watching.is_draining())
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let task = runtime
        .block_on(async { tasks.begin("import").spawn(work) })
        .unwrap();
    assert!(!tasks.is_draining());
    let began = Instant::now();
    server.stop();
    let end = runtime.block_on(task);
    assert_eq!(end.state, TaskState::Succeeded);
    assert_eq!(end.result, Some(json!(true)));
    server.end().unwrap();
    assert_took(began, Duration::ZERO);
}

/// A server whose users stream without an end, and a client that listens.
fn streaming(app: App) -> (Server, Client) {
    let server = Server::spawn(app.entrypoint(async || {
        taskpulse::stream(stream::unfold((), |()| async {
            sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, Infallible>(1), ()))
        }))
    }));
    let mut client = server.client();
    client.send(EMPTY_POST);
    assert_eq!(client.head().status, 200);
    (server, client)
}

/// A server whose handlers block both its workers until what is given back
/// besides is dropped.
fn blocked() -> (Server, mpsc::Sender<()>) {
    let (say_blocked, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let server = Server::spawn(App::new().entrypoint(async move || {
        say_blocked.send(()).unwrap();
        released.lock().unwrap().recv().unwrap_or_default();
    }));
    for _ in 0..2 {
        server.client().send(EMPTY_POST);
        told.recv_timeout(PATIENCE).unwrap();
    }
    (server, release)
}

#[test]
fn user_code_does_not_hold_the_end_up() {
    let (mut streaming, _listener) = streaming(App::new());
    let (mut blocked, _release) = blocked();
    let began = Instant::now();
    streaming.stop();
    blocked.stop();
    streaming.end().unwrap();
    blocked.end().unwrap();
    assert_took(began, Duration::from_secs(10));
}

/// Not a test but the program of the next one.
#[test]
fn program_whose_handlers_block() {
    if env::var_os(PROGRAM).is_none() {
        return;
    }
    let blocking = async || loop {
        thread::park();
    };
    App::new()
        .entrypoint(async move || -> () { blocking().await })
        .run()
        .unwrap();
}

#[test]
fn signals_are_heard_while_every_worker_is_blocked() {
    let start = || {
        Process::spawn_test(
            "shutdown::program_whose_handlers_block",
            &[(PROGRAM, "1"), ("TASKPULSE_DRAIN", "2s")],
        )
    };
    let block = |agent: &Process| {
        // More than there are workers, on any machine that runs this.
        let workers = thread::available_parallelism().map_or(8, usize::from);
        let requests = (0..workers * 2).map(|_| {
            let mut client = agent.client();
            client.send(EMPTY_POST);
            client
        });
        requests.collect::<Vec<_>>()
    };
    let (mut drained, mut hurried) = (start(), start());
    let clients = (block(&drained), block(&hurried));
    // Long enough for the requests to have been taken up.
    for agent in [&drained, &hurried] {
        for _ in 0..100 {
            assert_eq!(agent.get("/ping").status, 200);
        }
    }
    let began = Instant::now();
    signal(&drained, Signal::TERM);
    signal(&hurried, Signal::TERM);
    hurried.signal(Signal::TERM);
    assert!(!hurried.wait().success());
    assert_took(began, Duration::ZERO);
    assert_eq!(drained.wait().code(), Some(0));
    assert_took(began, Duration::from_secs(2));
    drop(clients);
}

#[test]
fn a_full_pipe_stops_nothing() {
    let mut agent = Process::spawn_unread(&["--drain", "5s"], &[("RUST_LOG", "trace")]);
    let payload = json!({"action": "process", "seconds": 0}).to_string();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = agent.client();
                for _ in 0..1_000 {
                    let answer = client.request("POST", "/invocations", "", &payload);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    eventually("every task has ended", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    let began = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
    // One second is for the log, to be read after all.
    assert_took(began, Duration::ZERO);
}
