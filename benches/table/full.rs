//! An app with all of its telemetry, in a process of its own: what it does when
//! it is told to.

use std::{
    io,
    process::exit,
    thread,
    time::{Duration, Instant},
};

use taskpulse::{App, TaskHandle, Tasks};

use super::{
    Outcome,
    report::percentile,
    roles::{echo_in_a_task, resident},
};

/// As many names as metrics tell apart.
const NAMES: u32 = 50;

/// Tasks that are begun in a row while many are; the log is written in between.
const CHUNK: u32 = 1_000;

/// Longer than anything is measured.
const LONG: Duration = Duration::from_secs(3_600);

/// How often a paced run looks at the clock.
const TICK: Duration = Duration::from_millis(1);

/// Serves as `App::run` does, and obeys.
pub(crate) fn full() -> Outcome<()> {
    let port = std::env::var("TASKPULSE_PORT")?;
    let app = App::new()
        .entrypoint(echo_in_a_task)
        .on_start(move |tasks| {
            thread::spawn(move || {
                eprintln!("127.0.0.1:{port}");
                let mut held = Vec::new();
                let obeyed = obey(|order| follow(order, &tasks, &mut held));
                exit(i32::from(obeyed.is_err()));
            });
        });
    Ok(app.run()?)
}

/// Answers each line of standard input on standard error, until there is none.
pub(crate) fn obey(mut follow: impl FnMut(&[&str]) -> Outcome<String>) -> Outcome<()> {
    for order in io::stdin().lines() {
        let order = order?;
        let words: Vec<&str> = order.split_whitespace().collect();
        match follow(&words) {
            Ok(reply) => eprintln!("{reply}"),
            Err(error) => eprintln!("{order}: {error}"),
        }
    }
    Ok(())
}

/// Nanoseconds that an operation takes, of so many.
pub(crate) fn burst(
    operations: u32,
    mut operation: impl FnMut(u32) -> Outcome<()>,
) -> Outcome<f64> {
    let started = Instant::now();
    for page in 0..operations {
        operation(page)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(operations))
}

fn follow(order: &[&str], tasks: &Tasks, held: &mut Vec<TaskHandle>) -> Outcome<String> {
    match *order {
        ["burst", operations] => {
            let took = burst(operations.parse()?, |page| {
                begin(tasks, "bench", page)?.succeed();
                Ok(())
            })?;
            Ok(took.to_string())
        }
        ["paced", rate, seconds] => paced(tasks, rate.parse()?, seconds.parse()?),
        ["hold", number] => Ok(hold(tasks, number.parse()?, held, begin)?.to_string()),
        ["bound", number] => Ok(hold(tasks, number.parse()?, held, begin_bound)?.to_string()),
        ["names"] => {
            for name in (0..NAMES).map(named) {
                begin(tasks, &name, 0)?.succeed();
            }
            Ok(String::new())
        }
        _ => Err("no such order".into()),
    }
}

fn begin(tasks: &Tasks, name: &str, page: u32) -> Outcome<TaskHandle> {
    let task = tasks
        .begin(name)
        .metadata("data_id", "sample_data")
        .metadata("page", page);
    Ok(task.start()?)
}

/// The same with a deadline, which one in ten is past at once, and a limit of
/// silence.
fn begin_bound(tasks: &Tasks, name: &str, page: u32) -> Outcome<TaskHandle> {
    let deadline = if page.is_multiple_of(10) { TICK } else { LONG };
    let task = tasks
        .begin(name)
        .metadata("data_id", "sample_data")
        .metadata("page", page)
        .deadline(deadline)
        .stall_after(LONG);
    Ok(task.start()?)
}

fn named(number: u32) -> String {
    format!("name-{number}")
}

/// Begins many tasks; the bytes of resident memory that one takes.
fn hold(
    tasks: &Tasks,
    number: u32,
    held: &mut Vec<TaskHandle>,
    begin: fn(&Tasks, &str, u32) -> Outcome<TaskHandle>,
) -> Outcome<f64> {
    held.reserve(number as usize);
    // What is paid once, is paid.
    begin(tasks, &named(0), 0)?.succeed();
    let before = resident()?;
    for page in 0..number {
        held.push(begin(tasks, &named(page % NAMES), page)?);
        if page % CHUNK == 0 {
            thread::sleep(5 * TICK);
        }
    }
    let handles = number as usize * size_of::<TaskHandle>();
    Ok((resident()? - before - handles as f64) / f64::from(number))
}

/// Begins and ends tasks at this rate. How many there were, the seconds that
/// took, then p50 and p99 of begin, of end and of both in microseconds.
fn paced(tasks: &Tasks, rate: u32, seconds: u32) -> Outcome<String> {
    let number = (rate * seconds) as usize;
    let mut begins = Vec::with_capacity(number);
    let mut ends = Vec::with_capacity(number);
    let mut both = Vec::with_capacity(number);
    let ticks = seconds * 1_000;
    let started = Instant::now();
    for tick in 0..ticks {
        let due = TICK * tick;
        thread::sleep(due.saturating_sub(started.elapsed()));
        for page in 0..rate / 1_000 {
            let at = Instant::now();
            let task = begin(tasks, "bench", page)?;
            let begun = Instant::now();
            task.succeed();
            begins.push((begun - at).as_secs_f64() * 1e6);
            ends.push(begun.elapsed().as_secs_f64() * 1e6);
            both.push(at.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(format!(
        "{} {:.3} {:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
        begins.len(),
        started.elapsed().as_secs_f64(),
        percentile(&begins, 0.5),
        percentile(&begins, 0.99),
        percentile(&ends, 0.5),
        percentile(&ends, 0.99),
        percentile(&both, 0.5),
        percentile(&both, 0.99),
    ))
}
