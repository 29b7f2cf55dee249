//! Rows about what a setting costs a begin and its end: two apps with all their
//! telemetry that differ in it, at a rate that many have and as fast as it goes.

use std::{fmt, thread, time::Duration};

use super::{
    Outcome,
    child::{Child, Telling},
    report::{Measured, median},
    roles::Role,
    scrape::Losses,
};

/// Pairs of rounds, and the seconds of one.
const PAIRS: usize = 11;
const SECONDS: u32 = 2;

/// Operations of a round as fast as it goes: more than are queued at most, so
/// that what is lost shows.
const FLAT_OUT: u32 = 50_000;

/// For what is queued to be sent after such a round.
const REST: Duration = Duration::from_millis(500);

/// Tasks that run all the while, so that there is something to make checkpoints of.
const BESIDE: u32 = 10_000;

/// How fast tasks are begun and ended.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// So many a second; measured is the 99th percentile, in microseconds.
    PerSecond(u32),
    /// One after the other; measured is the mean, in nanoseconds.
    FlatOut,
}

/// An app and what was measured of it.
struct Side {
    app: Child,
    /// The middle one and the 99th of a hundred, or twice the mean.
    all: [Vec<f64>; 2],
    pace: Pace,
}

pub(crate) fn checkpoints_at_1_000() -> Outcome<Measured> {
    checkpoints(Pace::PerSecond(1_000))
}

pub(crate) fn checkpoints_at_10_000() -> Outcome<Measured> {
    checkpoints(Pace::PerSecond(10_000))
}

pub(crate) fn checkpoints_flat_out() -> Outcome<Measured> {
    checkpoints(Pace::FlatOut)
}

/// With as many checkpoints as a second has room for to without.
fn checkpoints(pace: Pace) -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let app = |checkpoints| {
        let telling = Telling {
            checkpoints,
            ..Telling::everything(&collector)?
        };
        let mut app = Child::telling(Role::Full, telling)?;
        app.figures::<1>(&format!("hold {BESIDE}"))?;
        Outcome::Ok(app)
    };
    compared(pace, app("1s")?, app("off")?, || Ok(()))
}

/// What a begin and its end take in one app to what they take in another, round
/// by round in turn, and what either has lost.
///
/// Both are a [`Role::Full`], and configured by their environment. `last` is done when
/// all is measured and they are still there.
pub(crate) fn compared(
    pace: Pace,
    one: Child,
    other: Child,
    last: impl FnOnce() -> Outcome<()>,
) -> Outcome<Measured> {
    let side = |app| Side {
        app,
        all: [const { Vec::new() }; 2],
        pace,
    };
    let (mut one, mut other) = (side(one), side(other));
    for side in [&mut one, &mut other] {
        side.round()?;
        side.all = [const { Vec::new() }; 2];
    }
    let rounds = (0..PAIRS).map(|_| Ok(one.round()? / other.round()?));
    let rounds = rounds.collect::<Outcome<_>>()?;
    last()?;
    let [one, other] = [one, other].map(|side| {
        let beside = Losses::once_sent(side.app.address()?)?;
        let (lost, checkpoints) = (beside.all, beside.checkpoints);
        Outcome::Ok(format!(
            "{side}, {lost} spans and lines lost, {checkpoints} checkpoints"
        ))
    });
    Ok(Measured {
        rounds,
        figures: format!("{}; {}", one?, other?),
    })
}

// === impl Side ===

impl Side {
    /// The figure that counts.
    fn round(&mut self) -> Outcome<f64> {
        let (middle, slow) = match self.pace {
            Pace::PerSecond(rate) => {
                let order = format!("paced {rate} {SECONDS}");
                let [.., middle, slow] = self.app.figures::<8>(&order)?;
                (middle, slow)
            }
            Pace::FlatOut => {
                let [mean] = self.app.figures(&format!("burst {FLAT_OUT}"))?;
                thread::sleep(REST);
                (mean, mean)
            }
        };
        self.all[0].push(middle);
        self.all[1].push(slow);
        Ok(slow)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, slow] = self.all.each_ref().map(|all| median(all));
        match self.pace {
            Pace::PerSecond(_) => write!(f, "p50 {middle:.1} µs, p99 {slow:.1} µs"),
            Pace::FlatOut => write!(f, "{slow:.0} ns"),
        }
    }
}
