//! While it runs: who leaves, signals, a service that comes and goes.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Json, response::IntoResponse as _};
use futures_util::{Stream, stream::unfold};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use taskpulse::App;

use super::{assert_adds_up, behaved, count, entered, nobody, scrape};
use crate::harness::{BINARY, PATIENCE, Process, Server, eventually};

/// `taskpulse traffic`, running. Killed when dropped.
struct Traffic {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Traffic {
    /// Starts it against an address, many requests a second.
    fn spawn(address: SocketAddr) -> Self {
        let url = format!("http://{address}");
        let mut child = Command::new(BINARY)
            .args(["traffic", "--url", &url, "--rate", "100", "--seed", "1"])
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let keep = Arc::clone(&lines);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a line of JSON");
                keep.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    fn says(&self, messages: &[&str]) {
        eventually(&format!("{messages:?}"), || {
            let lines = self.lines.lock().unwrap();
            let said: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
            assert!(said.len() <= messages.len(), "{lines:#?}");
            said == messages
        });
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a running process");
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Sends `signal`; the last line that comes then, with exit code 0.
    #[track_caller]
    fn end(mut self, signal: Signal) -> Value {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0));
        let last = || self.lines.lock().unwrap().last().cloned();
        eventually("the last line", || {
            last().is_some_and(|line| line["message"] == "traffic in total")
        });
        last().expect("a line")
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("it is our child");
    }
}

/// An item each 10 ms, without an end. Counts those who leave.
struct Endless(Arc<AtomicUsize>);

impl Endless {
    fn items(self) -> impl Stream<Item = Result<u32, String>> + Send {
        unfold((self, 0), |(this, item)| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok(item), (this, item + 1)))
        })
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn some_leave_a_stream_and_others_stay() {
    let [opened, left] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (opens, leaves) = (Arc::clone(&opened), Arc::clone(&left));
    let handler = move |body: String| {
        let is_stream = body.contains("\"stream\"");
        opens.fetch_add(usize::from(is_stream), Relaxed);
        let endless = is_stream.then(|| Endless(Arc::clone(&leaves)));
        async move {
            match endless {
                Some(endless) => taskpulse::stream(endless.items()),
                None => Json(json!({})).into_response(),
            }
        }
    };
    let server = Server::spawn(App::new().entrypoint(handler));
    let traffic = Traffic::spawn(server.address);
    eventually("five have left and five have stayed", || {
        let left = left.load(Relaxed);
        left >= 5 && opened.load(Relaxed) >= left + 5
    });
    let line = traffic.end(Signal::TERM);
    assert_adds_up(&line);
    let streams = count(&line, "streams");
    assert_eq!(opened.load(Relaxed) as f64, streams, "{line}");
    assert_eq!(count(&line, "streams_broken"), 0.0, "{line}");
    // Who stays is cut off by the end, and has not left.
    let read = ["stream", "stream_late", "stream_failed"];
    let stayed: f64 = read.iter().map(|name| behaved(&line, name)).sum();
    assert_eq!(count(&line, "streams_cut"), stayed, "{line}");
    let left = behaved(&line, "stream_left");
    assert_eq!(count(&line, "streams_left"), left, "{line}");
    assert_eq!(stayed + left, streams, "{line}");
}

#[test]
fn a_signal_ends_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let agent = Process::spawn(&[]);
        let traffic = Traffic::spawn(agent.address);
        eventually("a stream is open", || {
            scrape(&agent).sum("taskpulse_stream_open", &[]) > 0.0
        });
        let asked = Instant::now();
        let line = traffic.end(signal);
        assert_adds_up(&line);
        assert_eq!(count(&line, "unanswered"), 0.0, "{line}");
        assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
        assert_eq!(entered(&scrape(&agent), "running"), count(&line, "begun"));
    }
}

#[test]
fn a_service_that_says_nothing_does_not_keep_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let traffic = Traffic::spawn(silent.local_addr().unwrap());
    let (_asked, _) = silent.accept().unwrap();
    let asked = Instant::now();
    let line = traffic.end(Signal::TERM);
    assert_adds_up(&line);
    assert_eq!(
        (count(&line, "requests"), count(&line, "unanswered")),
        (1.0, 1.0)
    );
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
}

#[test]
fn a_service_may_come_and_go() {
    const BEGINS: &str = "traffic begins";
    const NOT_YET: &str = "the service is not there yet";
    const AWAY: &str = "the service is away";
    const THERE: &str = "the service is there";
    let address = nobody();
    let port = address.port().to_string();
    let traffic = Traffic::spawn(address);
    traffic.says(&[BEGINS, NOT_YET]);
    let first = Process::spawn(&["--port", &port]);
    traffic.says(&[BEGINS, NOT_YET, THERE]);
    eventually("it has begun tasks", || {
        entered(&scrape(&first), "running") > 0.0
    });
    drop(first);
    traffic.says(&[BEGINS, NOT_YET, THERE, AWAY]);
    let second = Process::spawn(&["--port", &port]);
    traffic.says(&[BEGINS, NOT_YET, THERE, AWAY, THERE]);
    eventually("it has begun tasks", || {
        entered(&scrape(&second), "running") > 0.0
    });
    let levels: Vec<_> = traffic
        .lines
        .lock()
        .unwrap()
        .iter()
        .map(|line| line["level"].clone())
        .collect();
    // Not to be there yet is usual where both are started at once.
    assert_eq!(levels, ["INFO", "INFO", "INFO", "WARN", "INFO"]);
    let line = traffic.end(Signal::TERM);
    assert_adds_up(&line);
    assert!(count(&line, "unreached") > 0.0, "{line}");
    assert!(
        count(&line, "begun") > entered(&scrape(&second), "running"),
        "{line}"
    );
}
