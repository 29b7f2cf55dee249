//! Rows about writing tasks to a store, and about starting with a full one.

use std::{fs, path::Path, thread, time::Duration};

use super::{
    Outcome,
    child::{Child, Telling},
    paced::{Pace, compared},
    report::Measured,
    roles::Role,
    scrape::asked,
    start::start,
};

/// Tasks that a killed process leaves.
const LEFT: u32 = 100_000;

const STARTS: usize = 7;

pub(crate) fn at_1_000() -> Outcome<Measured> {
    written(Pace::PerSecond(1_000))
}

pub(crate) fn at_10_000() -> Outcome<Measured> {
    written(Pace::PerSecond(10_000))
}

pub(crate) fn flat_out() -> Outcome<Measured> {
    written(Pace::FlatOut)
}

/// With a store to without.
fn written(pace: Pace) -> Outcome<Measured> {
    let collector = Child::playing(Role::Collector)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tasks.db");
    let path = path.to_str().ok_or("the path is text")?;
    let app = |store| {
        let telling = Telling {
            store,
            ..Telling::everything(&collector)?
        };
        Child::telling(Role::Full, telling)
    };
    let (stored, kept) = (app(path)?, app("memory")?);
    let address = stored.address()?;
    // Asked for when it has been measured, while the app is still there.
    let mut shed = 0.0;
    let mut measured = compared(pace, stored, kept, || {
        shed = asked(address, "taskpulse_store_shed_total")?;
        Ok(())
    })?;
    measured.figures += &format!("; {shed} begins shed");
    Ok(measured)
}

/// Milliseconds. Each start finds what the first process has left.
pub(crate) fn start_with_many() -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let left = folder.path().join("left.db");
    leave(&left)?;
    let starts = (0..STARTS).map(|at| {
        let path = folder.path().join(format!("{at}.db"));
        fs::copy(&left, &path)?;
        let wal = folder.path().join("left.db-wal");
        if wal.exists() {
            fs::copy(wal, folder.path().join(format!("{at}.db-wal")))?;
        }
        let (_agent, took) = start(path.to_str().ok_or("the path is text")?)?;
        Ok(took.as_secs_f64() * 1e3)
    });
    Ok(Measured {
        rounds: starts.collect::<Outcome<_>>()?,
        figures: String::new(),
    })
}

/// Leaves a file as a killed process does.
fn leave(path: &Path) -> Outcome<()> {
    let telling = Telling {
        store: path.to_str().ok_or("the path is text")?,
        ..Telling::NOTHING
    };
    let mut app = Child::telling(Role::Full, telling)?;
    app.figures::<1>(&format!("hold {LEFT}"))?;
    while asked(app.address()?, "taskpulse_store_queue")? > 0.0 {
        thread::sleep(Duration::from_millis(50));
    }
    let shed = asked(app.address()?, "taskpulse_store_shed_total")?;
    match shed {
        0.0 => Ok(()), // Dropped, it is killed.
        shed => Err(format!("{shed} begins were shed").into()),
    }
}
