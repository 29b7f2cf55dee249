//! Rows about tasks with all their telemetry.

use std::{thread, time::Duration};

use super::{
    Outcome,
    child::{Child, Telling},
    report::{Measured, median},
    roles::Role,
    scrape::Losses,
};

/// Pairs of rounds, and operations of a round: fewer than are queued at most,
/// so that none is dropped, which would cost less.
const PAIRS: u32 = 41;
const OPERATIONS: u32 = 8_000;

/// Until everything has been sent after a round.
const REST: Duration = Duration::from_millis(250);

/// How many tasks are held to see what one takes.
const HELD: u32 = 100_000;

/// How long such tasks are watched.
const WATCHED: Duration = Duration::from_secs(8);

/// Spans that may wait where some are to be dropped: a quiet machine sends
/// 100,000 a second, and would prove nothing.
const SMALL_QUEUE: u32 = 1_024;

/// Seconds of a run at a high rate.
const LONG: u32 = 60;
const SHORT: u32 = 10;

/// Pairs of runs at a low rate, and the seconds of one.
const CALM_PAIRS: usize = 7;
const CALM: u32 = 2;

/// Time per begin and end to that of the parts done by hand.
pub(crate) fn begin_end() -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let telling = Telling::everything(&collector)?;
    let mut ours = Child::telling(Role::Full, telling)?;
    let mut theirs = Child::telling(Role::ByHand, telling)?;
    let order = format!("burst {OPERATIONS}");
    let mut figures = (Vec::new(), Vec::new());
    let mut rounds = Vec::new();
    let round = |child: &mut Child| {
        let [took] = child.figures(&order)?;
        thread::sleep(REST);
        Outcome::Ok(took)
    };
    round(&mut ours)?;
    round(&mut theirs)?;
    let before = (ours.processor_time()?, theirs.processor_time()?);
    for _ in 0..PAIRS {
        let (ours, theirs) = (round(&mut ours)?, round(&mut theirs)?);
        figures.0.push(ours);
        figures.1.push(theirs);
        rounds.push(ours / theirs);
    }
    let cost = |took: Duration| took.as_secs_f64() * 1e9 / f64::from(PAIRS * OPERATIONS);
    Ok(Measured {
        rounds,
        figures: format!(
            "{:.0} ns ({:.0} ns CPU of all threads); {:.0} ns ({:.0} ns CPU)",
            median(&figures.0),
            cost(ours.processor_time()? - before.0),
            median(&figures.1),
            cost(theirs.processor_time()? - before.1),
        ),
    })
}

/// Bytes of resident memory per active task.
pub(crate) fn memory() -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let mut child = Child::telling(Role::Full, Telling::everything(&collector)?)?;
    let [bytes] = child.figures(&format!("hold {HELD}"))?;
    Ok(Measured {
        rounds: vec![bytes],
        figures: String::new(),
    })
}

/// Per cent of a core that long tasks take while none of their checkpoints is
/// due; and while as many are due as a second has room for, with their export.
pub(crate) fn between_checkpoints() -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let share = |checkpoints, wait| {
        let telling = Telling {
            checkpoints,
            ..Telling::everything(&collector)?
        };
        let mut child = Child::telling(Role::Full, telling)?;
        child.figures::<1>(&format!("hold {HELD}"))?;
        thread::sleep(wait);
        let before = child.processor_time()?;
        thread::sleep(WATCHED);
        let took = child.processor_time()? - before;
        Outcome::Ok(took.as_secs_f64() / WATCHED.as_secs_f64() * 100.0)
    };
    // What is sent of their begins has been by then.
    let between = share("1h", Duration::from_secs(2))?;
    let most = share("1s", Duration::from_secs(2))?;
    Ok(Measured {
        rounds: vec![between],
        figures: format!("{most:.1} % while 1,000 a second are exported"),
    })
}

/// Spans and lines that are dropped at a rate that is to be borne.
pub(crate) fn busy() -> Outcome<Measured> {
    let run = Run::at(20_000, LONG, Telling::QUEUE)?;
    Ok(Measured {
        rounds: vec![run.losses.all],
        figures: run.figures(),
    })
}

/// Spans that are neither taken by the collector nor counted as dropped, or
/// both, at a rate that is too much.
pub(crate) fn too_busy() -> Outcome<Measured> {
    let run = Run::at(100_000, SHORT, SMALL_QUEUE)?;
    Ok(Measured {
        rounds: vec![(run.ended - run.taken - run.losses.spans).abs()],
        figures: run.figures(),
    })
}

/// The 99th percentile of begin and end, one after the other, in microseconds.
pub(crate) fn calm() -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let order = format!("paced 1000 {CALM}");
    let mut sides = [
        Child::telling(Role::Full, Telling::everything(&collector)?)?,
        Child::telling(Role::Full, Telling::NOTHING)?,
    ];
    let mut rounds = Vec::new();
    let mut all = [const { Vec::new() }; 2];
    for _ in 0..CALM_PAIRS {
        for (child, all) in sides.iter_mut().zip(&mut all) {
            all.push(child.figures::<8>(&order)?);
        }
    }
    for [_, _, _, begin, _, end, ..] in &all[0] {
        rounds.push(begin + end);
    }
    let written = all.map(|all| {
        let of = |at: usize| {
            let figures: Vec<f64> = all.iter().map(|figures| figures[at]).collect();
            median(&figures)
        };
        format!(
            "begin p50 {:.1} µs, p99 {:.1} µs, end p50 {:.1} µs, p99 {:.1} µs",
            of(2),
            of(3),
            of(4),
            of(5)
        )
    });
    Ok(Measured {
        rounds,
        figures: written.join("; without: "),
    })
}

/// A run at a high rate, and what became of its spans.
struct Run {
    ended: f64,
    seconds: f64,
    taken: f64,
    losses: Losses,
}

// === impl Run ===

impl Run {
    fn at(rate: u32, seconds: u32, queue: u32) -> Outcome<Self> {
        let mut collector = Child::playing(Role::Collector)?;
        let telling = Telling {
            queue,
            ..Telling::everything(&collector)?
        };
        let mut child = Child::telling(Role::Full, telling)?;
        let [ended, seconds, ..] = child.figures::<8>(&format!("paced {rate} {seconds}"))?;
        let losses = Losses::once_sent(child.address()?)?;
        let [taken] = collector.figures("count")?;
        Ok(Self {
            ended,
            seconds,
            taken,
            losses,
        })
    }

    fn figures(&self) -> String {
        format!(
            "{} tasks in {:.1} s ({:.0}/s); {} spans taken, {} dropped, {} lines dropped",
            self.ended,
            self.seconds,
            self.ended / self.seconds,
            self.taken,
            self.losses.spans,
            self.losses.all - self.losses.spans,
        )
    }
}

// === impl Telling ===

impl Telling<'_> {
    /// Spans and metrics to this collector, two lines a task to the log.
    pub(crate) fn everything(collector: &Child) -> Outcome<Self> {
        Ok(Self {
            to: Some(collector.address()?),
            log: "info",
            queue: Self::QUEUE,
            checkpoints: "5s",
            store: "memory",
        })
    }
}
