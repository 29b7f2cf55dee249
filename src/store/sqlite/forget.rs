//! Forgets ended tasks, a bounded number at a time.

use std::{collections::BTreeSet, time::Duration};

use rusqlite::{Connection, ffi};

use super::{begin, row::nanos};
use crate::store::backend::Record;

/// Rows that are forgotten at once: about 5 ms.
const MOST_FORGOTTEN: usize = 500;

/// Free pages that are kept for the next tasks, 2 MB; what is beyond is given back.
const SPARE_PAGES: i64 = 512;

/// Free pages that are given back at once.
const MOST_GIVEN_BACK: i64 = 256;

/// Counts all that have ended.
pub(super) const ENDED: &str = "SELECT count(*) FROM task WHERE ended_at IS NOT NULL";

/// Counts those that ended before a time, no further than needed.
pub(super) const OLD: &str =
    "SELECT count(*) FROM (SELECT 1 FROM task WHERE ended_at < ?1 LIMIT ?2)";

/// How many ended tasks there are at least. To count them takes the longer the more there
/// are, so they are not counted again where it is known that there are too many.
#[derive(Debug, Default)]
pub(super) struct Ended(i64);

// === impl Ended ===

impl Ended {
    /// Takes in that `tasks` were written: at worst each that runs had ended before.
    pub(super) fn written(&mut self, tasks: &[Record<'_>]) {
        let running = tasks.iter().filter(|task| task.end.is_none()).count();
        self.0 = self.0.saturating_sub_unsigned(running as u64).max(0);
    }

    /// How many there are more than `most`, if there are any.
    fn surplus(&mut self, change: &Connection, most: usize) -> rusqlite::Result<i64> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        if self.0 <= most {
            self.0 = change
                .prepare_cached(ENDED)?
                .query_row([], |row| row.get(0))?;
        }
        Ok(self.0.saturating_sub(most))
    }
}

/// Forgets what [`Backend::prune`](crate::store::backend::Backend::prune) says.
pub(super) fn forget(
    database: &mut Connection,
    unreadable: &mut BTreeSet<i64>,
    ended: &mut Ended,
    most: usize,
    since: Duration,
) -> rusqlite::Result<bool> {
    let damaged: Vec<i64> = unreadable.iter().copied().take(MOST_FORGOTTEN).collect();
    let mut left = std::mem::take(ended); // Unknown where this fails.
    let at_once = i64::try_from(MOST_FORGOTTEN).unwrap_or(i64::MAX);
    let change = begin(database)?;
    for id in &damaged {
        change
            .prepare_cached("DELETE FROM task WHERE id = ?1")?
            .execute([id])?;
        left.0 = left.0.saturating_sub(1);
    }
    let old: i64 = change
        .prepare_cached(OLD)?
        .query_row([nanos(since), at_once + 1], |row| row.get(0))?;
    let doomed = left.surplus(&change, most)?.max(old);
    if doomed > 0 {
        let now = doomed.min(at_once);
        if forget_ended(&change, now)? == 0 {
            return Err(damaged_index());
        }
        left.0 = left.0.saturating_sub(now);
    }
    let gives_more = give_back(&change)?;
    change.commit()?;
    *ended = left;
    for id in damaged {
        unreadable.remove(&id);
    }
    Ok(doomed > at_once || gives_more || !unreadable.is_empty())
}

/// Forgets the tasks that ended first. The index may be damaged: what runs stays,
/// whatever it says.
fn forget_ended(change: &Connection, tasks: i64) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM task WHERE ended_at IS NOT NULL AND id IN
               (SELECT id FROM task WHERE ended_at IS NOT NULL ORDER BY ended_at, id LIMIT ?1)";
    change.prepare_cached(sql)?.execute([tasks])
}

/// There are ended tasks to forget, and none is found.
fn damaged_index() -> rusqlite::Error {
    let code = ffi::Error::new(ffi::SQLITE_CORRUPT_INDEX);
    let message = "its index of ended tasks is damaged".to_owned();
    rusqlite::Error::SqliteFailure(code, Some(message))
}

/// Gives free pages back to the file system; whether there are more to give.
fn give_back(change: &Connection) -> rusqlite::Result<bool> {
    let free: i64 = change
        .prepare_cached("PRAGMA freelist_count")?
        .query_row([], |row| row.get(0))?;
    let surplus = free - SPARE_PAGES;
    if surplus <= 0 {
        return Ok(false);
    }
    let pages = surplus.min(MOST_GIVEN_BACK);
    let mut statement = change.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {} // A step a page.
    Ok(surplus > pages)
}
