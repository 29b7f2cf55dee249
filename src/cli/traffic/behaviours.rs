//! What callers do: one row a behaviour.
//!
//! To have callers do more, add a row to [`BEHAVIOURS`]. A row makes a [`Call`]
//! by chance, and says in it what it begins if it is answered with success.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::dice::Dice;

/// One kind of request.
#[derive(Debug)]
pub(super) struct Behaviour {
    /// As the printed lines name it.
    pub(super) name: &'static str,
    pub(super) when: When,
    pub(super) make: fn(&mut Dice) -> Call,
}

/// How often it happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// Of a thousand requests at random times, so many.
    Parts(u32),
    /// At fixed times.
    Every {
        first: Duration,
        period: Duration,
        /// Requests at a time, for a rate of requests a second.
        at_once: fn(f64) -> usize,
    },
}

/// A request, and what to make of its answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) body: String,
    /// How the task ends that a success has begun.
    pub(super) begins: Option<End>,
    pub(super) reading: Reading,
}

/// How a task ends, as its request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Failed,
    /// Its state is `failed`, too.
    Panicked,
}

/// How much of an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All of it, which is there at once.
    Whole,
    /// A stream, to its end.
    Stream,
    /// A stream, whose reader leaves after so many items.
    Leave(usize),
}

/// The row of the platform's polls, which also ask whether the service is there.
pub(super) const PING: &Behaviour = &BEHAVIOURS[0];

/// All there is. Of the tasks begun at random times, 4 % fail and 1 % panic.
pub(super) const BEHAVIOURS: [Behaviour; 19] = [
    Behaviour {
        name: "ping",
        when: When::Every {
            first: Duration::ZERO,
            // As often as the platform asks.
            period: Duration::from_secs(2),
            at_once: |_| 1,
        },
        make: |_| Call::get("/ping"),
    },
    Behaviour {
        name: "process",
        when: When::Parts(470),
        make: |dice| {
            let seconds = dice.seconds(0.02, 2.0);
            Call::task("process", seconds, End::Succeeded, dice)
        },
    },
    Behaviour {
        name: "slow",
        when: When::Parts(60),
        make: |dice| {
            let seconds = dice.seconds(4.0, 30.0);
            Call::task("process", seconds, End::Succeeded, dice)
        },
    },
    Behaviour {
        name: "cleanup",
        when: When::Parts(100),
        make: |dice| {
            let seconds = dice.seconds(0.05, 5.0);
            Call::task("cleanup", seconds, End::Succeeded, dice)
        },
    },
    Behaviour {
        name: "fail",
        when: When::Parts(30),
        make: |dice| {
            let seconds = dice.seconds(0.02, 5.0);
            Call::task(any_action(dice), seconds, End::Failed, dice)
        },
    },
    Behaviour {
        name: "panic",
        when: When::Parts(8),
        make: |dice| {
            let seconds = dice.seconds(0.02, 2.0);
            Call::task(any_action(dice), seconds, End::Panicked, dice)
        },
    },
    Behaviour {
        name: "stream",
        when: When::Parts(54),
        make: |dice| {
            let seconds = dice.seconds(0.5, 8.0);
            Call::stream(seconds, End::Succeeded, Reading::Stream, dice)
        },
    },
    // The agent gives a stream's task 15 s.
    Behaviour {
        name: "stream_late",
        when: When::Parts(6),
        make: |dice| {
            let seconds = dice.seconds(16.0, 25.0);
            Call::stream(seconds, End::Succeeded, Reading::Stream, dice)
        },
    },
    // Nobody leaves a stream that has ended. 5 s later its task is stalled.
    Behaviour {
        name: "stream_left",
        when: When::Parts(20),
        make: |dice| {
            let items = if dice.percent(50) { 1 } else { 2 };
            let seconds = dice.seconds(4.0, 12.0);
            Call::stream(seconds, End::Succeeded, Reading::Leave(items), dice)
        },
    },
    Behaviour {
        name: "stream_failed",
        when: When::Parts(2),
        make: |dice| {
            let seconds = dice.seconds(0.5, 8.0);
            Call::stream(seconds, End::Failed, Reading::Stream, dice)
        },
    },
    Behaviour {
        name: "status",
        when: When::Parts(130),
        make: |_| Call::invoke(&json!({ "action": "status" })),
    },
    Behaviour {
        name: "usage",
        when: When::Parts(20),
        make: |_| Call::invoke(&json!({ "action": "summarise" })),
    },
    Behaviour {
        name: "tasks",
        when: When::Parts(30),
        make: |_| Call::get("/tasks?limit=20"),
    },
    Behaviour {
        name: "bad_json",
        when: When::Parts(20),
        make: |_| Call::post("{\"action\": \"process\"".to_owned()),
    },
    Behaviour {
        name: "bad_seconds",
        when: When::Parts(20),
        make: |dice| {
            let wrong = [json!(-1), json!("soon"), json!(1e9), json!([30])];
            let seconds = &wrong[dice.place(wrong.len())];
            Call::invoke(&json!({ "action": "process", "seconds": seconds }))
        },
    },
    Behaviour {
        name: "too_big",
        when: When::Parts(5),
        // More than a task's metadata may have, so that the task is refused.
        make: |_| Call::invoke(&json!({ "action": "process", "data_id": "x".repeat(256 * 1_024) })),
    },
    Behaviour {
        name: "not_found",
        when: When::Parts(25),
        make: |dice| match dice.place(3) {
            0 => Call::get("/invocations"),
            1 => Call::get("/tasks/0"),
            _ => Call::get("/favicon.ico"),
        },
    },
    Behaviour {
        name: "burst",
        when: When::Every {
            first: Duration::from_secs(20),
            period: Duration::from_secs(120),
            at_once: burst,
        },
        make: |dice| {
            let seconds = dice.seconds(2.0, 6.0);
            Call::task("process", seconds, End::Succeeded, dice)
        },
    },
    // Stalled and overdue for longer than the 2 minutes that an alert waits, once a
    // day, and over before the night.
    Behaviour {
        name: "hang",
        when: When::Every {
            first: Duration::from_secs(60),
            period: Duration::from_secs(600),
            at_once: |_| 1,
        },
        make: |dice| Call::stream(200.0, End::Succeeded, Reading::Leave(2), dice),
    },
];

/// What comes in 12 s otherwise, at once.
fn burst(rate: f64) -> usize {
    const SECONDS: f64 = 12.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped just before"
    )]
    let requests = (rate * SECONDS).clamp(2.0, 200.0) as usize;
    requests
}

fn any_action(dice: &mut Dice) -> &'static str {
    if dice.percent(70) {
        "process"
    } else {
        "cleanup"
    }
}

// === impl Call ===

impl Call {
    fn get(path: &'static str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: String::new(),
            begins: None,
            reading: Reading::Whole,
        }
    }

    fn post(body: String) -> Self {
        Self {
            method: Method::POST,
            path: "/invocations",
            body,
            begins: None,
            reading: Reading::Whole,
        }
    }

    fn invoke(payload: &Value) -> Self {
        Self::post(payload.to_string())
    }

    fn task(action: &str, seconds: f64, end: End, dice: &mut Dice) -> Self {
        let mut payload = json!({ "action": action, "seconds": seconds });
        if action == "process" {
            payload["data_id"] = format!("data-{:03}", dice.place(1_000)).into();
        }
        // Without it a task succeeds.
        if end != End::Succeeded {
            payload["outcome"] = end.outcome().into();
        }
        Self {
            begins: Some(end),
            ..Self::invoke(&payload)
        }
    }

    fn stream(seconds: f64, end: End, reading: Reading, dice: &mut Dice) -> Self {
        Self {
            reading,
            ..Self::task("stream", seconds, end, dice)
        }
    }

    /// Whether it is for the agent, which knows sessions and traces.
    pub(super) fn is_invocation(&self) -> bool {
        self.method == Method::POST
    }
}

// === impl End ===

impl End {
    const fn outcome(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The parts of the rows that `counts` names, added up.
    fn parts(counts: impl Fn(&Call) -> bool) -> u32 {
        let mut dice = Dice::new(1);
        let rows = BEHAVIOURS.iter().filter_map(|row| match row.when {
            When::Parts(parts) => counts(&(row.make)(&mut dice)).then_some(parts),
            When::Every { .. } => None,
        });
        rows.sum()
    }

    #[test]
    fn the_parts_are_a_thousand() {
        assert_eq!(parts(|_| true), 1_000);
        let names: BTreeSet<_> = BEHAVIOURS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), BEHAVIOURS.len());
        assert_eq!(PING.name, "ping");
    }

    #[test]
    fn of_the_tasks_4_percent_fail_and_1_percent_panics() {
        let begun = f64::from(parts(|call| call.begins.is_some()));
        let share = |end| f64::from(parts(|call| call.begins == Some(end))) / begun;
        let (failed, panicked) = (share(End::Failed), share(End::Panicked));
        assert!((0.035..=0.045).contains(&failed), "{failed}");
        assert!((0.008..=0.012).contains(&panicked), "{panicked}");
    }

    #[test]
    fn a_burst_is_a_tenth_more() {
        assert_eq!([0.1, 5.0, 1_000.0].map(burst), [2, 60, 200]);
    }
}
