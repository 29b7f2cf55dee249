//! Which request comes when. It is the same for the same seed and rate: nothing
//! in here knows what is answered, or what time it is.

use std::{f64::consts::TAU, time::Duration};

use super::{
    behaviours::{BEHAVIOURS, Behaviour, Call, When},
    dice::Dice,
};

/// The requests to come, in their order, without an end.
#[derive(Debug)]
pub(super) struct Plan {
    dice: Dice,
    rate: f64,
    /// When the next request comes of those at random times.
    random: Duration,
    rounds: Vec<Round>,
    /// Of the round that is going on, the row and how many are left.
    rest: Option<(&'static Behaviour, usize)>,
    now: Duration,
    sessions: [String; SESSIONS],
}

/// When the next requests come of those at fixed times.
#[derive(Debug)]
struct Round {
    due: Duration,
    period: Duration,
    requests: usize,
    row: &'static Behaviour,
}

/// A request and its time.
#[derive(Debug)]
pub(super) struct Planned {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) row: &'static Behaviour,
    pub(super) call: Call,
    pub(super) session: Option<String>,
    pub(super) traceparent: Option<String>,
}

/// Sessions at a time.
const SESSIONS: usize = 8;

/// A day, so short that a person sees it pass.
pub(super) const DAY: Duration = Duration::from_secs(600);

/// The rate at noon, as a multiple of the average.
const NOON: f64 = 2.0;

/// The same at any time of the day. At midnight there is so little that the
/// service has nothing to do for a while, and says so.
fn wave(at: Duration) -> f64 {
    let turn = at.as_secs_f64() / DAY.as_secs_f64();
    1.0 + (TAU * turn).sin()
}

/// The next time after `at` that chance has for a request. Of as many as noon
/// has, so many are kept as there are at that time of the day.
fn chance(at: Duration, rate: f64, dice: &mut Dice) -> Duration {
    let mut next = at;
    loop {
        next = next.saturating_add(dice.gap(rate * NOON));
        if dice.fraction() * NOON < wave(next) {
            return next;
        }
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(seed: u64, rate: f64) -> Self {
        let mut dice = Dice::new(seed);
        let rounds = BEHAVIOURS.iter().filter_map(|row| match row.when {
            When::Parts(_) => None,
            When::Every {
                first,
                period,
                at_once,
            } => Some(Round {
                due: first,
                period,
                requests: at_once(rate),
                row,
            }),
        });
        Self {
            rate,
            random: chance(Duration::ZERO, rate, &mut dice),
            rounds: rounds.collect(),
            rest: None,
            now: Duration::ZERO,
            sessions: [(); SESSIONS].map(|()| session(&mut dice)),
            dice,
        }
    }

    /// The row whose turn it is. The time goes on to then.
    fn turn(&mut self) -> &'static Behaviour {
        if let Some((row, left)) = self.rest.take()
            && left > 0
        {
            self.rest = Some((row, left - 1));
            return row;
        }
        let round = self.rounds.iter_mut().min_by_key(|round| round.due);
        match round.filter(|round| round.due <= self.random) {
            Some(round) => {
                self.now = round.due;
                round.due += round.period;
                self.rest = Some((round.row, round.requests.saturating_sub(1)));
                round.row
            }
            None => {
                self.now = self.random;
                self.random = chance(self.now, self.rate, &mut self.dice);
                row_of(self.dice.place(1_000))
            }
        }
    }

    fn session(&mut self) -> String {
        let place = self.dice.place(SESSIONS);
        // Nobody stays for ever.
        if self.dice.percent(2) {
            self.sessions[place] = session(&mut self.dice);
        }
        self.sessions[place].clone()
    }

    fn traceparent(&mut self) -> Option<String> {
        let traced = self.dice.percent(40);
        traced.then(|| {
            // Zero stands for no trace.
            let trace = self.dice.long_bits() | 1;
            let span = self.dice.bits() | 1;
            format!("00-{trace:032x}-{span:016x}-01")
        })
    }
}

impl Iterator for Plan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let row = self.turn();
        let call = (row.make)(&mut self.dice);
        let invokes = call.is_invocation();
        Some(Planned {
            at: self.now,
            row,
            session: invokes.then(|| self.session()),
            traceparent: invokes.then(|| self.traceparent()).flatten(),
            call,
        })
    }
}

/// The row that has this part of a thousand.
fn row_of(part: usize) -> &'static Behaviour {
    let mut end = 0;
    let row = BEHAVIOURS.iter().find(|row| {
        if let When::Parts(parts) = row.when {
            end += parts as usize;
        }
        part < end
    });
    row.expect("the parts are a thousand, which a test holds")
}

/// An id as long as the platform's: 33 characters at least.
fn session(dice: &mut Dice) -> String {
    format!("traffic-{:032x}", dice.long_bits())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    fn told(seed: u64, rate: f64) -> Vec<String> {
        let plan = Plan::new(seed, rate).take(2_000);
        plan.map(|planned| format!("{planned:?}")).collect()
    }

    #[test]
    fn a_seed_gives_the_same_requests() {
        assert_eq!(told(7, 5.0), told(7, 5.0));
        assert_ne!(told(7, 5.0), told(8, 5.0));
        assert_ne!(told(7, 5.0), told(7, 6.0));
    }

    /// The requests of a day.
    fn day(rate: f64) -> Vec<Planned> {
        let plan = Plan::new(1, rate);
        plan.take_while(|planned| planned.at < DAY).collect()
    }

    #[test]
    fn they_come_in_order_and_as_often_as_asked_for() {
        let day = day(20.0);
        assert!(day.is_sorted_by_key(|planned| planned.at));
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for planned in &day {
            *counts.entry(planned.row.name).or_default() += 1;
        }
        assert_eq!(counts.len(), BEHAVIOURS.len(), "{counts:?}");
        let at_fixed_times = ["ping", "burst", "hang"].map(|name| counts[name]);
        assert_eq!(at_fixed_times, [300, 5 * 200, 1]);
        let random = day.len() - at_fixed_times.iter().sum::<usize>();
        assert!((11_600..12_400).contains(&random), "{random}");
        for row in &BEHAVIOURS {
            if let When::Parts(parts) = row.when {
                let expected = f64::from(parts) * 12.0;
                let off = (counts[row.name] as f64 - expected).abs() / expected.sqrt();
                assert!(
                    off < 4.0,
                    "{}: {} of {expected}",
                    row.name,
                    counts[row.name]
                );
            }
        }
    }

    #[test]
    fn a_burst_comes_at_once() {
        let bursts = day(5.0)
            .into_iter()
            .filter(|planned| planned.row.name == "burst");
        let mut times: BTreeMap<_, usize> = BTreeMap::new();
        for planned in bursts {
            *times
                .entry(planned.at.as_secs_f64().to_string())
                .or_default() += 1;
        }
        let each = ["140", "20", "260", "380", "500"].map(|time| (time.to_owned(), 60));
        assert_eq!(times, BTreeMap::from(each));
    }

    #[test]
    fn the_day_has_a_noon_and_a_midnight() {
        let at = |share| wave(DAY.mul_f64(share));
        for (share, rate) in [
            (0.0, 1.0),
            (0.25, NOON),
            (0.5, 1.0),
            (0.75, 0.0),
            (1.25, NOON),
        ] {
            assert!((at(share) - rate).abs() < 1e-9, "{share}: {}", at(share));
        }
        let day = day(20.0);
        let during = |share: f64| {
            let (start, end) = (DAY.mul_f64(share), DAY.mul_f64(share + 0.25));
            let inside = |planned: &&Planned| (start..end).contains(&planned.at);
            let random = |planned: &&Planned| matches!(planned.row.when, When::Parts(_));
            day.iter().filter(inside).filter(random).count()
        };
        let (noon, midnight) = (during(0.125), during(0.625));
        assert!(noon > 10 * midnight, "{noon} and {midnight}");
    }

    /// A service that is always busy shows nothing of its status.
    #[test]
    fn at_night_the_service_is_idle_for_a_while() {
        for seed in 1..=5 {
            let plan = Plan::new(seed, 5.0).take_while(|planned| planned.at < DAY);
            let (mut busy_until, mut idle) = (Duration::ZERO, Vec::new());
            for planned in plan.filter(|planned| planned.call.begins.is_some()) {
                if busy_until < planned.at {
                    idle.push(planned.at);
                }
                let body: Value = serde_json::from_str(&planned.call.body).unwrap();
                let seconds = body["seconds"].as_f64().expect("a number");
                busy_until = busy_until.max(planned.at + Duration::from_secs_f64(seconds));
            }
            let nights = idle.iter().filter(|at| **at > DAY / 2);
            assert!(nights.count() >= 2, "seed {seed}: {idle:?}");
        }
    }

    #[test]
    fn callers_have_sessions_and_some_a_trace() {
        let day = day(5.0);
        let invoked = day.iter().filter(|planned| planned.call.is_invocation());
        let invoked: Vec<_> = invoked.collect();
        let sessions = invoked.iter().map(|planned| planned.session.as_deref());
        let sessions: BTreeSet<_> = sessions.map(|session| session.expect("one")).collect();
        assert!((9..200).contains(&sessions.len()), "{}", sessions.len());
        assert!(sessions.iter().all(|session| session.len() >= 33));
        let traced = invoked
            .iter()
            .filter(|planned| planned.traceparent.is_some());
        let share = traced.count() * 100 / invoked.len();
        assert!((35..45).contains(&share), "{share} %");
        let polls = day.iter().filter(|planned| planned.row.name == "ping");
        assert!(polls.into_iter().all(|poll| poll.session.is_none()));
    }
}
