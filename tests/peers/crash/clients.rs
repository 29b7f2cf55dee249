//! Who begins and ends tasks, and remembers every answer and when it came.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::dice::Dice;
use crate::harness::{Client, Process, Response};

/// Begins a second of all clients together; about as many tasks end.
const RATE: u32 = 1_000;
const CLIENTS: u32 = 4;

/// Of a hundred begins, those after which a task is ended.
const ENDING: u64 = 90;

/// What a client knows of a task.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// In its metadata: tells it from all others, with an answer or without.
    pub(super) key: String,
    /// The process that was asked.
    pub(super) life: usize,
    /// Whether its trace is exported.
    pub(super) sampled: bool,
    pub(super) begun: Option<Begun>,
    /// Whether its end was asked for.
    pub(super) end_asked: bool,
    /// When that was answered.
    pub(super) ended: Option<Instant>,
}

/// What the answer to a begin said.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) at: Instant,
    pub(super) id: u64,
    pub(super) trace: String,
    /// The request's span.
    pub(super) request: String,
    /// The task's own, where the process was asked for it.
    pub(super) span: Option<String>,
}

/// Clients at work.
#[derive(Debug)]
pub(super) struct Crowd(Vec<JoinHandle<Vec<Known>>>);

#[derive(Debug)]
struct Worker {
    client: Client,
    name: String,
    life: usize,
    dice: Dice,
    known: Vec<Known>,
    /// Those that run, by their places in `known`.
    open: Vec<usize>,
}

// === impl Crowd ===

impl Crowd {
    /// Sends clients to a process.
    pub(super) fn start(process: &Process, life: usize, dice: &mut Dice) -> Self {
        let workers = (0..CLIENTS).map(|number| {
            let mut worker = Worker {
                client: process.client(),
                name: format!("{life}-{number}"),
                life,
                dice: dice.split(),
                known: Vec::new(),
                open: Vec::new(),
            };
            thread::spawn(move || {
                // None says that the process is gone.
                worker.work();
                worker.known
            })
        });
        Self(workers.collect())
    }

    /// What they know, once the process is gone.
    pub(super) fn gather(self) -> Vec<Known> {
        let known = self.0.into_iter().map(|client| client.join());
        known
            .flat_map(|known| known.expect("it ends well"))
            .collect()
    }
}

// === impl Worker ===

impl Worker {
    fn work(&mut self) -> Option<()> {
        let pace = Duration::from_secs(1) * CLIENTS / RATE;
        let mut next = Instant::now();
        loop {
            self.begin()?;
            if self.dice.of_hundred(ENDING) && !self.open.is_empty() {
                self.end()?;
            }
            next += pace;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn begin(&mut self) -> Option<()> {
        let key = format!("{}-{}", self.name, self.known.len());
        let (caller, sampled) = self.caller();
        self.known.push(Known {
            key: key.clone(),
            life: self.life,
            sampled,
            begun: None,
            end_asked: false,
            ended: None,
        });
        let answer = self.invoke(&caller, &json!({ "begin": { "key": key } }))?;
        let at = Instant::now();
        let said = answer.header("traceparent").expect("the trace");
        let [_, trace, request, _] = said.split('-').collect::<Vec<_>>()[..] else {
            panic!("no traceparent: {said}");
        };
        let mut begun = Begun {
            at,
            id: answer.json()["id"].as_u64().expect("an id"),
            trace: trace.to_owned(),
            request: request.to_owned(),
            span: None,
        };
        let place = self.known.len() - 1;
        self.known[place].begun = Some(begun.clone());
        self.open.push(place);
        if self.dice.of_hundred(5) {
            let path = format!("/tasks/{}", begun.id);
            let answer = self.client.ask("GET", &path, "", "").try_response().ok()?;
            begun.span = answer.json()["span_id"].as_str().map(str::to_owned);
            self.known[place].begun = Some(begun);
        }
        Some(())
    }

    /// The newest one, or any.
    fn end(&mut self) -> Option<()> {
        let at = match self.dice.of_hundred(50) {
            true => self.open.len() - 1,
            false => self.dice.below(self.open.len()),
        };
        let place = self.open.swap_remove(at);
        let known = &mut self.known[place];
        known.end_asked = true;
        let id = known.begun.as_ref().expect("it is open").id;
        let answer = self.invoke("", &json!({ "end": id }))?;
        assert_eq!(answer.json()["ended"], true);
        self.known[place].ended = Some(Instant::now());
        Some(())
    }

    /// What the caller says of its own trace, and whether it wants that exported.
    fn caller(&mut self) -> (String, bool) {
        let session = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: s-1\r\n";
        let sampled = !self.dice.of_hundred(10);
        if sampled && self.dice.of_hundred(50) {
            return (session.to_owned(), true);
        }
        let (high, low, span) = (self.dice.next(), self.dice.next(), self.dice.next());
        let parent = format!(
            "00-{high:016x}{low:016x}-{span:016x}-0{}",
            u8::from(sampled)
        );
        (format!("{session}traceparent: {parent}\r\n"), sampled)
    }

    fn invoke(&mut self, headers: &str, event: &Value) -> Option<Response> {
        let asked = self
            .client
            .ask("POST", "/invocations", headers, event.to_string());
        let answer = asked.try_response().ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(answer)
    }
}
