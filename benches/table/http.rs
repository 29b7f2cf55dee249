//! Rows about requests.

use std::{fmt, net::SocketAddr, time::Duration};

use super::{
    Outcome,
    child::{Child, Telling, free_address},
    load::{latencies, rate},
    report::{Measured, median, percentile},
    roles::Role,
    scrape::{Losses, bound_and_idle},
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

/// Requests per second where it is their time that counts, and the many short
/// rounds of those: a disturbance then meets both sides.
const MODERATE: u32 = 500;
const SHORT_PAIRS: usize = 31;
const SHORT_ROUND: Duration = Duration::from_millis(500);

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

/// Time per request with many tasks that have deadlines to that without.
pub(crate) fn ping_beside_deadlines() -> Outcome<Measured> {
    let [bound, idle] = bound_and_idle()?;
    between(bound, idle, PING, |bound, idle| idle / bound)
}

/// Loads two servers in turn; a ratio is one of their rates.
fn duel(
    one: Role,
    other: Role,
    request: &'static str,
    ratio: fn(f64, f64) -> f64,
) -> Outcome<Measured> {
    between(Child::playing(one)?, Child::playing(other)?, request, ratio)
}

fn between(
    one: Child,
    other: Child,
    request: &'static str,
    ratio: fn(f64, f64) -> f64,
) -> Outcome<Measured> {
    let mut one = Side::start(one, request)?;
    let mut other = Side::start(other, request)?;
    Ok(Measured {
        rounds: in_turn(&mut one, &mut other, request, ratio)?,
        figures: format!("{one}; {other}"),
    })
}

fn in_turn(
    one: &mut Side,
    other: &mut Side,
    request: &'static str,
    ratio: fn(f64, f64) -> f64,
) -> Outcome<Vec<f64>> {
    (0..PAIRS)
        .map(|_| Ok(ratio(one.round(request)?, other.round(request)?)))
        .collect()
}

/// Requests per second while telemetry is exported to those without telemetry.
pub(crate) fn exporting() -> Outcome<Measured> {
    let mut collector = Child::playing(Role::Collector)?;
    let side = |to| {
        let child = Child::telling(
            Role::Full,
            Telling {
                to,
                log: "warn",
                queue: Telling::QUEUE,
                checkpoints: "5s",
                store: "memory",
            },
        )?;
        Side::start(child, INVOCATION)
    };
    let mut on = side(Some(collector.address()?))?;
    let mut off = side(None)?;
    let rounds = in_turn(&mut on, &mut off, INVOCATION, |on, off| on / off)?;
    let losses = Losses::once_sent(on.server.address()?)?;
    let [taken] = collector.figures("count")?;
    Ok(Measured {
        rounds,
        figures: format!("{on}; {off}; {taken} spans taken, {} dropped", losses.spans),
    })
}

/// Time of a request while nobody listens at the collector's address.
pub(crate) fn collector_refused() -> Outcome<Measured> {
    beside(free_address()?)
}

/// Time of a request while the collector does not answer.
pub(crate) fn collector_hanging() -> Outcome<Measured> {
    let collector = Child::playing(Role::Hanging)?;
    beside(collector.address()?)
}

/// Time of a request while the collector answers 503.
pub(crate) fn collector_unavailable() -> Outcome<Measured> {
    let collector = Child::playing(Role::Unavailable)?;
    beside(collector.address()?)
}

/// The 99th percentile of requests' times with a collector that is of no use to
/// that with one that is.
fn beside(useless: SocketAddr) -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let server = |to| {
        let telling = Telling {
            to: Some(to),
            log: "warn",
            queue: Telling::QUEUE,
            checkpoints: "5s",
            store: "memory",
        };
        let mut server = Child::telling(Role::Full, telling)?;
        rate(server.address()?, INVOCATION, WARM_UP)?;
        // More than what is queued at most.
        server.ask("burst 20000")?;
        Outcome::Ok(server)
    };
    let servers = [server(useless)?, server(collector.address()?)?];
    let mut times = [const { Vec::new() }; 2];
    let mut rounds = Vec::new();
    for _ in 0..SHORT_PAIRS {
        let mut round = [0.0; 2];
        for (at, server) in servers.iter().enumerate() {
            let took = latencies(server.address()?, INVOCATION, MODERATE, SHORT_ROUND)?;
            round[at] = percentile(&took, 0.99);
            times[at].extend(took);
        }
        rounds.push(round[0] / round[1]);
    }
    let [bad, good] = times.map(|times| (median(&times), percentile(&times, 0.99)));
    Ok(Measured {
        rounds,
        figures: format!(
            "p50 {:.0} µs, p99 {:.0} µs; p50 {:.0} µs, p99 {:.0} µs (p50 {:.2})",
            bad.0,
            bad.1,
            good.0,
            good.1,
            bad.0 / good.0
        ),
    })
}

// === impl Side ===

impl Side {
    fn start(server: Child, request: &'static str) -> Outcome<Self> {
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
