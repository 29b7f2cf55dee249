//! Going down in order, a row a case: a real process, real signals, and what its
//! client, its callers, its collector and its parent see of it.
//!
//! What holds for every row is in `row.rs`: `/ready` says 503 at once, `/ping`
//! tells the truth on new connections until the process is gone, new work gets a
//! 503 with `Retry-After`, and everything is over 5 s after the drain.

use rustix::process::Signal as Sig;

use super::row::{
    Open::{self, *},
    Program::{Example, Ours},
    ROW, Row,
    Second::{self, *},
    Sees::*,
    Takes::*,
    rows,
};
use crate::harness::Behaviour;

const LAST: &str = r#""error_type":"Draining""#;
const SUCCEEDED: &str = r#""state":"succeeded""#;
const INTERRUPTED: &str = r#""state":"interrupted""#;

/// Half a second to drain, of which everything here outlasts it.
const SHORT: f64 = 0.5;
/// What goes on for longer than any row.
const LONG: f64 = 600.0;

const INT: (Sig, Option<(Second, Sig)>) = (Sig::INT, None);

/// One signal, and a second one while it drains.
const fn twice(first: Sig, second: Sig) -> (Sig, Option<(Second, Sig)>) {
    (first, Some((WhileDraining, second)))
}

const TASK: Open = Task("data_processing", LONG);
const STREAM: Open = Progress("streaming", LONG);

// What is open, what its client sees of the end, and how its task ends (without a
// task: its stream).
rows! {
    // Nothing holds up.
    nothing_to_do_and_sigterm: Row {
        open: &[(Kept, Closed, None), (Silent, Closed, None)],
        takes: AMoment, ..ROW
    },
    nothing_to_do_and_sigint: Row {
        signals: INT,
        open: &[(Kept, Closed, None), (Silent, Closed, None)],
        takes: AMoment, ..ROW
    },

    // What ends in time, ends as it would have.
    a_handler_that_answers: Row {
        program: Ours,
        open: &[(Answer(0.5), Body("done"), None)],
        takes: AsLongAs(0.5), ..ROW
    },
    a_task_that_ends: Row {
        open: &[(Task("data_processing", 1.0), Nothing, Some("succeeded"))],
        takes: AsLongAs(0.5), ..ROW
    },
    a_task_that_ends_and_sigint: Row {
        signals: INT,
        open: &[(Task("cleanup", 1.0), Nothing, Some("succeeded"))],
        takes: AsLongAs(0.5), ..ROW
    },
    a_task_that_ends_when_it_is_told: Row {
        program: Ours,
        open: &[(Told("told"), Nothing, Some("succeeded"))],
        takes: AMoment, ..ROW
    },
    a_stream_that_ends: Row {
        open: &[(Progress("streaming", 1.0), Event(SUCCEEDED), Some("succeeded"))],
        takes: AsLongAs(0.5), ..ROW
    },

    // What does not is told, and nothing is waited for.
    a_handler_that_does_not_answer: Row {
        program: Ours, drain: SHORT,
        open: &[(Answer(LONG), Closed, None)],
        takes: TheDrain, ..ROW
    },
    handlers_that_block_every_worker: Row {
        program: Ours, drain: SHORT,
        open: &[(Blocked, Closed, None)],
        takes: TheDrain, ..ROW
    },
    a_task_that_does_not_end: Row {
        drain: SHORT,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    a_task_that_does_not_end_and_sigint: Row {
        signals: INT, drain: SHORT,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    a_task_that_blocks_a_thread: Row {
        program: Ours, drain: SHORT,
        open: &[(Blocking("blocking"), Nothing, Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    one_task_that_ends_beside_one_that_does_not: Row {
        drain: 1.5,
        open: &[
            (Task("cleanup", 0.7), Nothing, Some("succeeded")),
            (TASK, Nothing, Some("interrupted")),
        ],
        takes: TheDrain, ..ROW
    },
    a_stream_whose_task_does_not_end: Row {
        drain: SHORT,
        open: &[(STREAM, Event(INTERRUPTED), Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    a_stream_without_an_end: Row {
        program: Ours, drain: SHORT,
        open: &[(Endless, Event(LAST), Some("failed"))],
        takes: TheDrain, ..ROW
    },
    a_stream_that_is_stuck: Row {
        program: Ours, drain: SHORT,
        open: &[(Stuck, Event(LAST), None)],
        takes: TheDrain, ..ROW
    },
    a_websocket: Row {
        program: Example("websocket"), drain: SHORT,
        open: &[(Socket("echo"), Close(1001), Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    a_websocket_whose_client_says_nothing: Row {
        program: Example("websocket"), drain: SHORT,
        open: &[(MuteSocket("echo"), Close(1001), Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    a_websocket_while_every_worker_is_held_up: Row {
        program: Ours, drain: SHORT,
        open: &[(HeldUp, Body("{}"), None), (Socket("socket"), Close(1001), Some("interrupted"))],
        takes: TheDrain, ..ROW
    },

    // Nor is a collector.
    a_collector_that_hangs: Row {
        collector: Behaviour::Hang, drain: SHORT,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: TheDrain, ..ROW
    },
    everything_at_once: Row {
        program: Ours, collector: Behaviour::Hang, drain: SHORT,
        open: &[
            (Answer(LONG), Closed, None),
            (Endless, Event(LAST), None),
            (Stuck, Event(LAST), None),
            (MuteSocket("socket"), Close(1001), Some("interrupted")),
            (Blocking("blocking"), Nothing, Some("interrupted")),
        ],
        takes: TheDrain, ..ROW
    },

    // A second signal: no more than 200 ms, whatever is open.
    a_second_signal_and_a_task: Row {
        signals: twice(Sig::TERM, Sig::TERM), code: 143,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_a_stream: Row {
        signals: twice(Sig::INT, Sig::INT), code: 130,
        open: &[(STREAM, Event(INTERRUPTED), Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_a_stream_that_is_stuck: Row {
        program: Ours,
        signals: twice(Sig::INT, Sig::TERM), code: 143,
        open: &[(Stuck, Event(LAST), None)],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_a_websocket: Row {
        program: Ours,
        signals: twice(Sig::TERM, Sig::INT), code: 130,
        open: &[(Socket("socket"), Close(1001), Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_a_websocket_whose_client_says_nothing: Row {
        program: Ours,
        signals: twice(Sig::TERM, Sig::TERM), code: 143,
        open: &[(MuteSocket("socket"), Close(1001), Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_workers_that_are_blocked: Row {
        program: Ours,
        signals: twice(Sig::TERM, Sig::TERM), code: 143,
        open: &[(Blocked, Closed, None)],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_and_a_collector_that_hangs: Row {
        collector: Behaviour::Hang,
        signals: twice(Sig::TERM, Sig::TERM), code: 143,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
    a_second_signal_when_only_the_collector_is_waited_for: Row {
        collector: Behaviour::Hang, drain: SHORT,
        signals: (Sig::TERM, Some((AfterTheDrain, Sig::INT))), code: 130,
        open: &[(TASK, Nothing, Some("interrupted"))],
        takes: AFifthOfASecond, ..ROW
    },
}
