//! Those who call while it goes down, each on a new connection.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, eventually};

/// Between two rounds of calls.
const PAUSE: Duration = Duration::from_millis(5);

/// By how much a line of the log and the status may differ.
const LATE: Duration = Duration::from_millis(200);

/// From the last answer to the end of the process: for its memory to be given
/// back, its log to be read.
const LAST: Duration = Duration::from_secs(1);

/// Callers at work, until nobody listens any more.
#[derive(Debug)]
pub(super) struct Callers {
    rounds: Arc<Mutex<Vec<Round>>>,
    thread: JoinHandle<()>,
}

/// What one of each was answered.
#[derive(Debug)]
struct Round {
    asked: SystemTime,
    ping: Said,
    answered: SystemTime,
    ready: Said,
    /// None where it may have been taken: its answer may need a worker that is blocked.
    invocation: Option<Said>,
    ended: Instant,
}

/// An answer: its status, its head, its JSON.
#[derive(Debug)]
struct Said(u16, String, Value);

// === impl Callers ===

impl Callers {
    /// They begin to call.
    pub(super) fn start(address: SocketAddr) -> Self {
        let rounds = Arc::<Mutex<Vec<_>>>::default();
        let keep = Arc::clone(&rounds);
        let thread = thread::spawn(move || {
            while let Ok(round) = Round::of(address) {
                keep.lock().unwrap().push(round);
                thread::sleep(PAUSE);
            }
        });
        Self { rounds, thread }
    }

    /// Waits until one has heard that nothing new is begun.
    pub(super) fn wait_for_drain(&self) {
        eventually("somebody hears that it drains", || {
            self.rounds.lock().unwrap().iter().any(Round::is_refused)
        });
    }

    /// Checks what they were told: since `signalled` that it is not ready, that
    /// it is busy until the last task ended, if there was one, and healthy from
    /// then on, and something until the process was gone.
    #[track_caller]
    pub(super) fn check(self, signalled: Instant, last_end: Option<SystemTime>, gone: Instant) {
        self.thread.join().unwrap();
        let rounds = self.rounds.lock().unwrap();
        let draining = rounds.iter().position(Round::is_refused);
        let draining = draining.unwrap_or(rounds.len());
        if let Some(first) = rounds.get(draining) {
            let at_once = first.ended.duration_since(signalled);
            assert!(at_once < LAST, "ready for {at_once:?}");
        }
        for round in &rounds[draining..] {
            let not_ready = json!({"ready": false, "draining": true, "store": "memory"});
            assert_eq!((round.ready.0, &round.ready.2), (503, &not_ready));
            let answer = round.invocation.as_ref();
            answer.expect("it is asked by then").is_refusal();
        }
        for round in rounds.iter() {
            round.check_ping(last_end);
        }
        if let Some(last) = rounds.last() {
            let silent = gone.saturating_duration_since(last.ended);
            assert!(silent < LAST, "nobody was answered for {silent:?}");
        }
    }
}

// === impl Round ===

impl Round {
    fn of(address: SocketAddr) -> io::Result<Self> {
        let asked = SystemTime::now();
        let ping = Said::to(address, "GET /ping", "")?;
        let answered = SystemTime::now();
        let ready = Said::to(address, "GET /ready", "")?;
        let refused = ready.0 == 503;
        let invocation = refused.then(|| Said::to(address, "POST /invocations", "{}"));
        Ok(Self {
            asked,
            ping,
            answered,
            ready,
            invocation: invocation.transpose()?,
            ended: Instant::now(),
        })
    }

    /// The signal has been heard before the first of these was answered.
    fn is_refused(&self) -> bool {
        self.ready.0 == 503
    }

    #[track_caller]
    fn check_ping(&self, last_end: Option<SystemTime>) {
        let Said(status, _, said) = &self.ping;
        assert_eq!(*status, 200, "{said}");
        assert!(said["time_of_last_update"].is_u64(), "{said}");
        let truth = match last_end {
            None => "Healthy",
            Some(end) if self.answered + LATE < end => "HealthyBusy",
            Some(end) if self.asked > end + LATE => "Healthy",
            Some(_) => return, // It ends at about that time.
        };
        assert_eq!(said["status"], truth, "{self:?}, {last_end:?}");
    }
}

// === impl Said ===

impl Said {
    /// What is answered on a connection of its own; an error once nobody listens.
    fn to(address: SocketAddr, what: &str, body: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!("{what} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let cut = || io::Error::other("closed before it was answered");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
        let status = head.get("HTTP/1.1 ".len()..).and_then(|it| it.get(..3));
        Ok(Self(
            status
                .and_then(|status| status.parse().ok())
                .ok_or_else(cut)?,
            head.to_lowercase(),
            serde_json::from_str(body)?,
        ))
    }

    #[track_caller]
    fn is_refusal(&self) {
        let Self(status, head, said) = self;
        assert_eq!(*status, 503, "{said}");
        assert_eq!(said["error"], "shutting down; nothing new is begun here");
        assert!(head.contains("\r\nretry-after: "), "{head}");
    }
}
