//! Rows about `/metrics`, and what it says.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{
    Outcome,
    child::{Child, Telling},
    report::{Measured, median},
    roles::{CROWD, Role},
};

const SCRAPES: usize = 20;
const MANY_SCRAPES: usize = 101;

/// How many tasks have deadlines.
const BOUND: u32 = 100_000;

/// How many of these are past theirs.
const PAST: f64 = 10_000.0;

/// What an app says it has lost.
pub(crate) struct Losses {
    pub(crate) spans: f64,
    /// Spans, metrics and lines.
    pub(crate) all: f64,
    /// What it has made, beside.
    pub(crate) checkpoints: f64,
}

/// Milliseconds with many active tasks of as many names as are told apart.
pub(crate) fn crowd() -> Outcome<Measured> {
    let mut idle = Child::telling(Role::Full, Telling::NOTHING)?;
    let mut crowded = Child::telling(Role::Full, Telling::NOTHING)?;
    // Spans would take gigabytes, and nobody who is asked here looks at them.
    crowded.ask(&format!("hold {CROWD}"))?;
    idle.ask("hold 0")?;
    let (idle, crowded) = (idle.address()?, crowded.address()?);
    let (mut alone, mut rounds) = (Vec::new(), Vec::new());
    for _ in 0..SCRAPES {
        alone.push(scrape(idle)?.1);
        rounds.push(scrape(crowded)?.1);
    }
    let lines = scrape(crowded)?.0.lines().count();
    Ok(Measured {
        rounds,
        figures: format!("{lines} lines; {:.1} ms with no task", median(&alone)),
    })
}

/// Time with many active tasks that have deadlines to that with as many names and
/// no task.
pub(crate) fn deadlines() -> Outcome<Measured> {
    let [bound, idle] = bound_and_idle()?;
    let (bound, idle) = (bound.address()?, idle.address()?);
    let (mut times, mut rounds) = ([const { Vec::new() }; 2], Vec::new());
    for _ in 0..MANY_SCRAPES {
        let took = [scrape(bound)?.1, scrape(idle)?.1];
        times[0].push(took[0]);
        times[1].push(took[1]);
        rounds.push(took[0] / took[1]);
    }
    let [bound, idle] = times.map(|times| median(&times));
    Ok(Measured {
        rounds,
        figures: format!("{bound:.2} ms, {idle:.2} ms"),
    })
}

/// An app with many tasks that have deadlines, some of them past, and one that has
/// had tasks of the same names.
pub(crate) fn bound_and_idle() -> Outcome<[Child; 2]> {
    let mut bound = Child::telling(Role::Full, Telling::NOTHING)?;
    let mut idle = Child::telling(Role::Full, Telling::NOTHING)?;
    for child in [&mut bound, &mut idle] {
        child.ask("names")?;
    }
    bound.figures::<1>(&format!("bound {BOUND}"))?;
    // Those that are past are noticed within a second.
    while sum(&scrape(bound.address()?)?.0, "taskpulse_task_overdue", "") < PAST {
        thread::sleep(Duration::from_millis(50));
    }
    Ok([bound, idle])
}

/// The text, and the milliseconds that it took.
fn scrape(address: SocketAddr) -> Outcome<(String, f64)> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    if !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("`/metrics` answers {answer}").into());
    }
    Ok((answer, took))
}

// === impl Losses ===

impl Losses {
    /// Those of an app that makes no more spans, once it has sent those it has.
    pub(crate) fn once_sent(address: SocketAddr) -> Outcome<Self> {
        loop {
            let text = scrape(address)?.0;
            if sum(&text, "taskpulse_telemetry_queue", "") == 0.0 {
                let dropped = |label| sum(&text, "taskpulse_telemetry_dropped_total", label);
                return Ok(Self {
                    spans: dropped("signal=\"traces\""),
                    all: dropped(""),
                    checkpoints: single(&text, "taskpulse_checkpoint_exported_total")?,
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What an app says of a metric that has no labels.
pub(crate) fn asked(address: SocketAddr, metric: &str) -> Outcome<f64> {
    single(&scrape(address)?.0, metric)
}

/// Adds up the series of a metric that have this label.
fn sum(text: &str, metric: &str, label: &str) -> f64 {
    let series = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(metric)?.rsplit_once("} ")?;
        labels.contains(label).then(|| value.parse::<f64>().ok())?
    });
    series.sum()
}

/// The value of a metric that has no labels.
fn single(text: &str, metric: &str) -> Outcome<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    let value = value.ok_or_else(|| format!("there is no {metric}"))?;
    Ok(value.parse()?)
}
