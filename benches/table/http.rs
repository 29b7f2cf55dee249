//! Rows about requests.

use std::time::Duration;

use super::{
    Outcome,
    child::Child,
    load::rate,
    report::{Measured, median},
    roles::Role,
};

pub(crate) const PING: &str = "GET /ping HTTP/1.1\r\nHost: bench\r\n\r\n";

const INVOCATION: &str = "POST /invocations HTTP/1.1\r\nHost: bench\r\n\
    Content-Type: application/json\r\nContent-Length: 49\r\n\r\n\
    {\"action\":\"process\",\"data_id\":\"sample_data_0001\"}";

/// Pairs of rounds, and how long a round is.
const PAIRS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);

/// Before the first round, for both.
const WARM_UP: Duration = Duration::from_secs(1);

/// Requests per second of two servers, round by round.
struct Duel {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// Of ours to those of bare axum.
pub(crate) fn ping() -> Outcome<Measured> {
    let duel = Duel::fight(Role::Idle, Role::BarePing, PING)?;
    Ok(duel.measured(|ours, theirs| ours / theirs))
}

/// Of ours to those of bare axum.
pub(crate) fn invocations() -> Outcome<Measured> {
    let duel = Duel::fight(Role::Idle, Role::BareEcho, INVOCATION)?;
    Ok(duel.measured(|ours, theirs| ours / theirs))
}

/// Time per request with many tasks to that without.
pub(crate) fn ping_in_a_crowd() -> Outcome<Measured> {
    let duel = Duel::fight(Role::Crowded, Role::Idle, PING)?;
    Ok(duel.measured(|crowded, idle| idle / crowded))
}

// === impl Duel ===

impl Duel {
    fn fight(ours: Role, theirs: Role, request: &'static str) -> Outcome<Self> {
        let ours = Child::playing(ours)?;
        let theirs = Child::playing(theirs)?;
        let mut duel = Self {
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        rate(ours.address()?, request, WARM_UP)?;
        rate(theirs.address()?, request, WARM_UP)?;
        for _ in 0..PAIRS {
            duel.ours.push(rate(ours.address()?, request, ROUND)?);
            duel.theirs.push(rate(theirs.address()?, request, ROUND)?);
        }
        Ok(duel)
    }

    fn measured(&self, ratio: impl Fn(f64, f64) -> f64) -> Measured {
        let pairs = self.ours.iter().zip(&self.theirs);
        Measured {
            rounds: pairs.map(|(ours, theirs)| ratio(*ours, *theirs)).collect(),
            figures: format!("{:.0}/s, {:.0}/s", median(&self.ours), median(&self.theirs)),
        }
    }
}
