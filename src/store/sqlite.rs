//! The store as an SQLite file.
//!
//! What is read is not believed before it has been checked: pages by SQLite when the
//! file is opened, each row by sums of its own. A row that is not as it was written is
//! left out and counted; a file that is not whole is a [`Fault`].
//!
//! A `-wal` that was cut off or damaged ends where the damage begins, as after a power
//! failure: tasks are then as they were at an earlier moment.

mod disk;
mod fault;
mod file;
mod forget;
mod open;
mod row;
mod run;
mod schema;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use rusqlite::{
    Connection, Transaction, TransactionBehavior, config::DbConfig, params_from_iter,
    types::ValueRef,
};

pub(super) use self::file::Files;
use self::{disk::Disk, fault::Faults, forget::Ended, row::Bound};
use super::backend::{Backend, Fault, Found, Group, Lost, Owner, Record};
use crate::TaskId;

/// The bytes of a `-wal` beyond which it is emptied: 1,000 pages.
const MOST_WAL: u64 = 1_000 * 4_120;

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    database: Connection,
    faults: Faults,
    /// This process's row in `run`.
    run: i64,
    owner: Owner,
    /// What the file says of ids.
    next_id: u64,
    /// Rows that were left out.
    unreadable: BTreeSet<i64>,
    ended: Ended,
    files: Files,
    /// From when it is open on.
    disk: Option<Disk>,
}

/// Opens the store at `path`, or makes one. Its lock is held by the caller.
///
/// # Errors
///
/// A [`Fault`]; what is there is as it was, except where the disk is full and a new
/// file could not be finished.
pub(super) fn open(path: &Path, owner: &Owner) -> Result<Sqlite, Fault> {
    open_at_version(path, owner, &schema::MIGRATIONS)
}

fn open_at_version(path: &Path, owner: &Owner, steps: &[&str]) -> Result<Sqlite, Fault> {
    let named = Faults::of(path.to_owned());
    open::create(path).map_err(|error| named.io("cannot create", &error))?;
    // SQLite follows links, and so do we, to find its `-wal`. The program may change its
    // working directory.
    let path = fs::canonicalize(path).map_err(|error| named.io("cannot open", &error))?;
    let faults = Faults::of(path);
    let database = open::open(&faults, steps)?;
    let files = Files::of(&faults)?;
    let mut opened = Sqlite {
        database,
        faults,
        run: 0,
        owner: owner.clone(),
        next_id: 1,
        unreadable: BTreeSet::new(),
        ended: Ended::default(),
        files,
        disk: None,
    };
    opened.begin_run()?;
    opened.hurry()?;
    opened.files.note_checkpoint();
    Ok(opened)
}

// === impl Sqlite ===

impl Sqlite {
    /// Notes this process, reads the ids, forgets processes that no task refers to.
    fn begin_run(&mut self) -> Result<(), Fault> {
        let noted = self.write_first();
        let (run, next) = noted.map_err(|error| self.faults.sqlite("cannot write to", &error))?;
        self.run = run;
        self.next_id = next.ok_or_else(|| {
            self.faults
                .broken("is damaged: it does not say any more which ids are taken")
        })?;
        Ok(())
    }

    /// From now on nothing waits for the disk. What a killed process has left in the
    /// `-wal` is dealt with before that.
    fn hurry(&mut self) -> Result<(), Fault> {
        if self.files.wal_is_long() {
            // It is tried again while it runs.
            drop(self.empty_wal());
        }
        let hurried = wait_for_disk(&self.database, false);
        hurried.map_err(|error| self.faults.sqlite("cannot open", &error))?;
        // The last thing: closing its file would cost a database that stays open its locks.
        let disk = Disk::start(self.faults.path());
        self.disk = Some(disk.map_err(|error| self.faults.io("cannot open", &error))?);
        Ok(())
    }

    fn write_first(&mut self) -> rusqlite::Result<(i64, Option<u64>)> {
        let change = begin(&mut self.database)?;
        change.execute("DELETE FROM run WHERE id NOT IN (SELECT run FROM task)", [])?;
        let sql = "SELECT coalesce(max(id), 0) + 1 FROM run";
        let run = change.query_row(sql, [], |row| row.get(0))?;
        run::write(&change, run, &self.owner, self.owner.started, None)?;
        let next = run::next_id(&change)?;
        if let Some(next) = next {
            run::reserve_ids(&change, next)?;
        }
        change.commit()?;
        Ok((run, next))
    }

    fn write_group(&mut self, group: &Group<'_>) -> rusqlite::Result<u64> {
        let next_id = group.ids_until.min(TaskId::MAX + 1).max(self.next_id);
        let change = begin(&mut self.database)?;
        {
            let mut insert = change.prepare_cached(row::INSERT)?;
            let mut update = change.prepare_cached(row::UPDATE)?;
            for task in group.tasks {
                if !task.known || !row::update(&mut update, task)? {
                    row::insert(&mut insert, task, self.run)?;
                }
            }
        }
        run::write(&change, self.run, &self.owner, group.seen, None)?;
        if next_id != self.next_id {
            run::reserve_ids(&change, next_id)?;
        }
        change.commit()?;
        self.ended.written(group.tasks);
        if !self.unreadable.is_empty() {
            let whole = group.tasks.iter().filter(|task| !task.known);
            for task in whole {
                self.unreadable.remove(&row::id(task));
            }
        }
        Ok(next_id)
    }

    fn read_lost(&mut self) -> rusqlite::Result<Found<Lost>> {
        let runs = run::all(&self.database)?;
        let (read, unreadable) = read_rows(&self.database, row::RUNNING, &[])?;
        self.unreadable.extend(&unreadable);
        let others = read.into_iter().filter(|read| read.run != self.run);
        let rows = others.map(|read| {
            let owner = runs.get(&read.run).cloned();
            let (instance, owner_seen) =
                owner.unwrap_or_else(|| ("unknown".to_owned(), read.task.begun));
            Lost {
                task: read.task,
                instance,
                owner_seen,
            }
        });
        Ok(Found {
            rows: rows.collect(),
            unreadable: unreadable.len(),
        })
    }

    fn read_history(
        &mut self,
        most: usize,
        since: Duration,
    ) -> rusqlite::Result<Found<Record<'static>>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = [most, row::nanos(since)].map(ValueRef::Integer);
        let (read, unreadable) = read_rows(&self.database, row::ENDED, &values)?;
        self.unreadable.extend(&unreadable);
        Ok(Found {
            rows: read.into_iter().rev().map(|read| read.task).collect(),
            unreadable: unreadable.len(),
        })
    }

    fn empty_wal(&mut self) -> rusqlite::Result<()> {
        let emptied = checkpoint(&self.database);
        self.files.note_checkpoint();
        emptied
    }

    /// What nobody else may touch.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }
}

impl Backend for Sqlite {
    fn write(&mut self, group: &Group<'_>) -> Result<(), Fault> {
        // Afterwards a `-wal` that was cut off would be as long as before, with a hole.
        self.files.check()?;
        let written = self.write_group(group);
        self.next_id = written.map_err(|error| self.faults.sqlite("cannot write to", &error))?;
        self.files.note_write();
        Ok(())
    }

    fn next_id(&mut self) -> Result<u64, Fault> {
        Ok(self.next_id)
    }

    fn lost(&mut self) -> Result<Found<Lost>, Fault> {
        let found = self.read_lost();
        found.map_err(|error| self.faults.sqlite("cannot read", &error))
    }

    fn history(&mut self, most: usize, since: Duration) -> Result<Found<Record<'static>>, Fault> {
        let found = self.read_history(most, since);
        found.map_err(|error| self.faults.sqlite("cannot read", &error))
    }

    fn prune(&mut self, most: usize, since: Duration) -> Result<bool, Fault> {
        self.files.check()?;
        let (unreadable, ended) = (&mut self.unreadable, &mut self.ended);
        let forgotten = forget::forget(&mut self.database, unreadable, ended, most, since);
        self.files.note_write();
        forgotten.map_err(|error| self.faults.sqlite("cannot forget tasks in", &error))
    }

    fn tend(&mut self) -> Result<(), Fault> {
        if !self.files.wal_is_long() {
            return Ok(());
        }
        self.files.check()?;
        let emptied = self.empty_wal();
        emptied.map_err(|error| self.faults.sqlite("cannot empty the -wal of", &error))?;
        let asked = self.disk.as_ref().map_or(Ok(()), Disk::ask);
        asked.map_err(|error| self.faults.io("the disk does not take", &error))
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.files.check()
    }

    fn close(self: Box<Self>, now: Duration) -> Result<(), Fault> {
        self.files.check()?;
        let Self {
            database,
            faults,
            run,
            owner,
            disk,
            ..
        } = *self;
        let closed = close(database, run, &owner, now);
        drop(disk);
        closed.map_err(|error| faults.sqlite("cannot close", &error))
    }
}

/// Begins a change. One that could not be taken back is taken back first.
fn begin(database: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    if !database.is_autocommit() {
        database.execute_batch("ROLLBACK")?;
    }
    database.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn close(mut database: Connection, run: i64, owner: &Owner, now: Duration) -> rusqlite::Result<()> {
    let change = begin(&mut database)?;
    run::write(&change, run, owner, now, Some(now))?;
    change.commit()?;
    wait_for_disk(&database, true)?;
    checkpoint(&database)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    database.close().map_err(|(_, error)| error)
}

/// Reads tasks, and the ids of those that are damaged.
fn read_rows(
    database: &Connection,
    sql: &str,
    values: &[ValueRef<'_>],
) -> rusqlite::Result<(Vec<row::Read>, Vec<i64>)> {
    let mut statement = database.prepare_cached(sql)?;
    let values = values.iter().map(|value| Bound(*value));
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut read, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match row::read(row)? {
            Some(task) => read.push(task),
            None => unreadable.push(row.get(0)?),
        }
    }
    Ok((read, unreadable))
}

/// Says whether the database is brought to the disk before the `-wal` is used anew. That
/// takes a busy disk hundreds of milliseconds, in which nothing else is written.
fn wait_for_disk(database: &Connection, waits: bool) -> rusqlite::Result<()> {
    database.pragma_update(None, "synchronous", if waits { "NORMAL" } else { "OFF" })
}

/// Brings what the `-wal` has into the database, and empties it.
fn checkpoint(database: &Connection) -> rusqlite::Result<()> {
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
