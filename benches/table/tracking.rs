//! Rows about tracking from code: no server, no runtime, no subscriber.

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

use taskpulse::{App, TaskHandle, Tasks};

use super::{
    Outcome,
    child::Child,
    report::{Measured, median},
    roles::{CROWD, Role},
};

/// Rounds of each side, and operations of a round.
const ROUNDS: usize = 11;
const OPERATIONS: u32 = 300_000;

/// Of this a task is not capable that gives signs of life without a pause.
const SILENT: Duration = Duration::from_secs(1);

/// Nanoseconds.
pub(crate) fn begin_end() -> Outcome<Measured> {
    let tasks = App::new().tasks();
    Ok(Measured {
        rounds: rounds(|| newest(&tasks))?,
        figures: String::new(),
    })
}

/// Nanoseconds of a sign of life, of a task that ends unless it gives some.
pub(crate) fn heartbeat() -> Outcome<Measured> {
    sign_of_life(|task| task.heartbeat())
}

/// The same with how far it is, and words of which most are not looked at.
pub(crate) fn progress() -> Outcome<Measured> {
    sign_of_life(|task| task.progress(0.4, "page 4 of 10"))
}

fn sign_of_life(give: fn(&TaskHandle)) -> Outcome<Measured> {
    let tasks = App::new().tasks();
    let task = tasks.begin("bench").stall_after(SILENT).start()?;
    let rounds = rounds(|| {
        timed(|| {
            give(&task);
            Ok(())
        })
    })?;
    Ok(Measured {
        rounds,
        figures: String::new(),
    })
}

/// Time per operation beside many tasks to that beside none.
pub(crate) fn newest_of_many() -> Outcome<Measured> {
    let alone = App::new().tasks();
    let crowded = App::new().tasks();
    let crowd = crowd(&crowded)?;
    let measured = compared(|| newest(&crowded), || newest(&alone))?;
    drop(crowd);
    Ok(measured)
}

/// Nanoseconds.
///
/// The oldest task has long left the processor's caches, so that this shows
/// what memory costs as well.
pub(crate) fn oldest_of_many() -> Outcome<Measured> {
    let tasks = App::new().tasks();
    let mut crowd = crowd(&tasks)?;
    let measured = rounds(|| {
        timed(|| {
            crowd.push_back(tasks.begin("bench").start()?);
            if let Some(oldest) = crowd.pop_front() {
                oldest.succeed();
            }
            Ok(())
        })
    })?;
    Ok(Measured {
        rounds: measured,
        figures: String::new(),
    })
}

/// Time per operation of two threads, who do twice as many in their time, to
/// that of one.
pub(crate) fn two_threads() -> Outcome<Measured> {
    let tasks = App::new().tasks();
    let both = || {
        thread::scope(|scope| {
            let other = scope.spawn(|| newest(&tasks));
            let this = newest(&tasks)?;
            let other = other.join().map_err(|_| "the other thread panicked")??;
            Ok(this.max(other) / 2.0)
        })
    };
    compared(both, || newest(&tasks))
}

/// Bytes, measured once in a process of its own.
pub(crate) fn memory() -> Outcome<Measured> {
    Ok(Measured {
        rounds: vec![Child::playing(Role::Memory)?.said.trim().parse()?],
        figures: String::new(),
    })
}

fn crowd(tasks: &Tasks) -> Outcome<VecDeque<TaskHandle>> {
    (0..CROWD)
        .map(|_| Ok(tasks.begin("bench").start()?))
        .collect()
}

/// Begins a task and ends it.
fn newest(tasks: &Tasks) -> Outcome<f64> {
    timed(|| {
        tasks.begin("bench").start()?.succeed();
        Ok(())
    })
}

/// Nanoseconds per operation.
fn timed(mut operation: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let started = Instant::now();
    for _ in 0..OPERATIONS {
        operation()?;
    }
    Ok(nanoseconds(started.elapsed()) / f64::from(OPERATIONS))
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn rounds(mut round: impl FnMut() -> Outcome<f64>) -> Outcome<Vec<f64>> {
    round()?; // A warm-up.
    (0..ROUNDS).map(|_| round()).collect()
}

/// Ratios of `ours` to `theirs`, alternately.
fn compared(
    mut ours: impl FnMut() -> Outcome<f64>,
    mut theirs: impl FnMut() -> Outcome<f64>,
) -> Outcome<Measured> {
    let mut figures = (Vec::new(), Vec::new());
    let ratios = rounds(|| {
        let (ours, theirs) = (ours()?, theirs()?);
        figures.0.push(ours);
        figures.1.push(theirs);
        Ok(ours / theirs)
    })?;
    Ok(Measured {
        rounds: ratios,
        figures: format!("{:.0} ns, {:.0} ns", median(&figures.0), median(&figures.1)),
    })
}
