//! What a row of the table is, and how it is checked.

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use super::{callers::Callers, open::open, program};
use crate::{
    examples::binary,
    harness::{Behaviour, Collector, Process, eventually},
};

/// A case of going down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) program: Program,
    /// What its clients have open when the first signal comes, what each sees of
    /// the end, and the state that its task ends in; without a task, how its
    /// stream does.
    pub(super) open: &'static [(Open, Sees, Option<&'static str>)],
    pub(super) collector: Behaviour,
    /// `--drain`, in seconds.
    pub(super) drain: f64,
    /// The first signal, and the second one.
    pub(super) signals: (Signal, Option<(Second, Signal)>),
    /// The exit code.
    pub(super) code: i32,
    /// How long it takes from the last signal on.
    pub(super) takes: Takes,
}

/// One signal, time enough, a collector that takes everything: what rows differ
/// from.
pub(super) const ROW: Row = Row {
    program: Program::Agent,
    open: &[],
    collector: Behaviour::Accept,
    drain: 60.0,
    signals: (Signal::TERM, None),
    code: 0,
    takes: Takes::AMoment,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    /// The real binary.
    Agent,
    Example(&'static str),
    /// What the binary has no action for.
    Ours,
}

/// What is open. Names are those of tasks, numbers seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Open {
    /// A connection that has asked once.
    Kept,
    /// A connection that has asked nothing.
    Silent,
    /// A handler that answers after this time.
    Answer(f64),
    /// Handlers that block every worker and hear nothing.
    Blocked,
    /// Handlers that block every worker from the first signal until a moment
    /// after the drain.
    HeldUp,
    /// A task that ends after this time.
    Task(&'static str, f64),
    /// A task that ends as soon as it is told that it is time.
    Told(&'static str),
    /// A task that blocks a thread.
    Blocking(&'static str),
    /// A stream that tells of its task, which ends after this time.
    Progress(&'static str, f64),
    /// A stream that goes on and on.
    Endless,
    /// A stream that is stuck in code that blocks.
    Stuck,
    /// A WebSocket, whose handler has a task.
    Socket(&'static str),
    /// The same with a client that answers nothing, no close frame either.
    MuteSocket(&'static str),
}

/// What a client sees of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// It has been answered before.
    Nothing,
    /// A whole answer, with this body.
    Body(&'static str),
    /// The end of a stream, whose last event says this.
    Event(&'static str),
    /// A close frame with this code.
    Close(u16),
    /// No further byte, and the end of the connection.
    Closed,
}

/// When a second signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    WhileDraining,
    /// The time is up, and what is left to do is being done.
    AfterTheDrain,
}

/// How long it takes from the last signal on; in any case no longer than the
/// drain and [`REST`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Takes {
    AMoment,
    /// These seconds, and a moment.
    AsLongAs(f64),
    TheDrain,
    AFifthOfASecond,
}

/// After the drain: last words, telemetry, the printed log.
const REST: Duration = Duration::from_secs(5);

/// What a moment is on a busy machine.
const MOMENT: Duration = Duration::from_secs(2);

/// What a second signal leaves.
const HURRY: Duration = Duration::from_millis(200);

/// For the process to be taken down and that to be noticed.
const NOTICED: Duration = Duration::from_millis(50);

/// A busy machine is late once, but not every time.
const ATTEMPTS: usize = 5;

/// Declares the rows, and a test for each.
macro_rules! rows {
    ($($name:ident: $row:expr,)*) => {
        $(
            #[test]
            fn $name() {
                $row.check();
            }
        )*
    };
}
pub(super) use rows;

// === impl Row ===

impl Row {
    pub(super) fn check(&self) {
        let mut took = self.run();
        if self.takes == Takes::AFifthOfASecond {
            for _again in 1..ATTEMPTS {
                if took > HURRY + NOTICED {
                    took = took.min(self.run());
                }
            }
            assert!(took <= HURRY + NOTICED, "{took:?}");
        }
    }

    /// How long it took from the last signal on.
    fn run(&self) -> Duration {
        let collector = Collector::start();
        collector.behave(self.collector);
        let mut agent = self.start(&collector);
        let opened = |(what, sees, _): &(Open, Sees, _)| (open(&agent, *what), *sees);
        let clients: Vec<_> = self.open.iter().map(opened).collect();
        let mut kept = agent.client();
        assert_eq!(kept.request("GET", "/ready", "", "").status, 200);

        let first = Instant::now();
        agent.signal(self.signals.0);
        let callers = Callers::start(agent.address);
        if self.takes != Takes::AMoment {
            callers.wait_for_drain();
            let answer = kept.request("POST", "/invocations", "", "{}");
            assert_eq!(answer.status, 503, "on a connection of before");
        }
        let mut last = first;
        if let Some((when, signal)) = self.signals.1 {
            when.wait(&agent);
            last = Instant::now();
            agent.signal(signal);
        }
        let status = agent.wait();
        let gone = Instant::now();

        assert_eq!(status.code(), Some(self.code), "{:#?}", agent.messages());
        for (client, sees) in clients {
            client.saw(sees);
        }
        let last_end = self.check_tasks(&agent, &collector);
        callers.check(first, last_end, gone);
        self.check_time(gone - last, gone - first);
        gone - last
    }

    fn start(&self, collector: &Collector) -> Process {
        let drain = format!("{}ms", self.drain * 1e3);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url()),
            ("TASKPULSE_DRAIN", &drain),
            // Known, so that all of them can be blocked.
            ("TOKIO_WORKER_THREADS", "2"),
            (program::PROGRAM, "1"),
        ];
        match self.program {
            Program::Agent => Process::spawn_with(&[], &variables),
            Program::Example(name) => Process::start(&binary(name), &[], &variables),
            Program::Ours => Process::spawn_test(program::NAME, &variables),
        }
    }

    /// Checks that every task has ended as the row says, and none besides, for
    /// whoever reads the log and for whoever receives spans. When the last did.
    #[track_caller]
    fn check_tasks(&self, agent: &Process, collector: &Collector) -> Option<SystemTime> {
        let tasks = self.open.iter();
        let tasks = tasks.filter_map(|(what, _, state)| Some((what.task()?, (*state)?)));
        let mut wanted: Vec<_> = tasks
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .collect();
        wanted.sort();
        let said = || {
            let mut said: Vec<_> = ends(agent).into_iter().map(|(end, _)| end).collect();
            said.sort();
            said
        };
        // Its last lines may be on their way to us.
        eventually("the log ends", || said().len() >= wanted.len());
        assert_eq!(said(), wanted, "{:#?}", agent.messages());
        let interrupted = wanted.iter().filter(|(_, state)| state == "interrupted");
        let interrupted = interrupted.count() as u64;
        let summary = || {
            agent
                .log()
                .iter()
                .filter_map(|it| it["interrupted_tasks"].as_u64())
                .sum::<u64>()
        };
        eventually("they are added up", || summary() == interrupted);
        // A second signal leaves no time to wait for a collector.
        if self.code == 0 && self.collector == Behaviour::Accept {
            for (name, state) in &wanted {
                let spans = collector.spans_named(name);
                let states: Vec<_> = spans.iter().map(|it| it.get("task.state")).collect();
                assert_eq!(states, [state], "{name}: {:#?}", collector.summary());
            }
        }
        let streams = self.open.iter().filter(|(what, ..)| what.task().is_none());
        for end in streams.filter_map(|(.., end)| *end) {
            assert_eq!(collector.span_named("stream").get("stream.end"), end);
        }
        ends(agent).into_iter().map(|(_, at)| at).max()
    }

    #[track_caller]
    fn check_time(&self, took: Duration, all: Duration) {
        let drain = Duration::from_secs_f64(self.drain);
        let (least, most) = match self.takes {
            Takes::AMoment => (Duration::ZERO, MOMENT),
            Takes::AsLongAs(seconds) => {
                let work = Duration::from_secs_f64(seconds);
                (work.min(drain), work + MOMENT)
            }
            Takes::TheDrain => (drain, drain + REST),
            // Asked for elsewhere, since it may be tried again.
            Takes::AFifthOfASecond => (Duration::ZERO, REST),
        };
        assert!(least <= took && took < most, "{took:?}");
        assert!(all < drain + REST, "{all:?}");
    }
}

/// Names and states of the tasks whose end is logged, and when that was.
fn ends(agent: &Process) -> Vec<((String, String), SystemTime)> {
    let ended = |line: &Value| {
        let (_, state) = line["message"].as_str()?.rsplit_once(' ')?;
        let is_end = line["target"] == "taskpulse::task" && state != "begun";
        let name = line["task_name"].as_str().filter(|_| is_end)?;
        let at = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
        Some(((name.to_owned(), state.to_owned()), at))
    };
    agent.log().iter().filter_map(ended).collect()
}

// === impl Second ===

impl Second {
    /// Waits for that time.
    fn wait(self, agent: &Process) {
        if self == Self::AfterTheDrain {
            eventually("the drain is over", || {
                let over = "shut down with tasks running";
                agent.messages().iter().any(|message| message == over)
            });
        }
    }
}
