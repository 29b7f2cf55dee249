//! Rows about requests.

use std::{fmt, time::Duration};

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

/// A server and what was measured of it, round by round.
struct Side {
    server: Child,
    /// Requests per second.
    rates: Vec<f64>,
    /// Microseconds of processor time per request: what others on the same
    /// machine disturb least.
    costs: Vec<f64>,
}

/// Of ours to those of bare axum.
pub(crate) fn ping() -> Outcome<Measured> {
    duel(Role::Idle, Role::BarePing, PING, |ours, bare| ours / bare)
}

/// Of ours to those of bare axum.
pub(crate) fn invocations() -> Outcome<Measured> {
    duel(Role::Idle, Role::BareEcho, INVOCATION, |ours, bare| {
        ours / bare
    })
}

/// Time per request with many tasks to that without.
pub(crate) fn ping_in_a_crowd() -> Outcome<Measured> {
    duel(Role::Crowded, Role::Idle, PING, |crowded, idle| {
        idle / crowded
    })
}

/// Loads two servers in turn; a ratio is one of their rates.
fn duel(
    one: Role,
    other: Role,
    request: &'static str,
    ratio: fn(f64, f64) -> f64,
) -> Outcome<Measured> {
    let mut one = Side::start(one, request)?;
    let mut other = Side::start(other, request)?;
    let mut rounds = Vec::new();
    for _ in 0..PAIRS {
        rounds.push(ratio(one.round(request)?, other.round(request)?));
    }
    Ok(Measured {
        rounds,
        figures: format!("{one}; {other}"),
    })
}

// === impl Side ===

impl Side {
    fn start(role: Role, request: &'static str) -> Outcome<Self> {
        let server = Child::playing(role)?;
        rate(server.address()?, request, WARM_UP)?;
        Ok(Self {
            server,
            rates: Vec::new(),
            costs: Vec::new(),
        })
    }

    fn round(&mut self, request: &'static str) -> Outcome<f64> {
        let before = self.server.processor_time()?;
        let rate = rate(self.server.address()?, request, ROUND)?;
        let took = self.server.processor_time()? - before;
        self.rates.push(rate);
        let requests = rate * ROUND.as_secs_f64();
        self.costs.push(took.as_secs_f64() * 1e6 / requests);
        Ok(rate)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, cost) = (median(&self.rates), median(&self.costs));
        write!(f, "{rate:.0}/s ({cost:.1} µs CPU)")
    }
}
