//! Processes that used the file, a row each, and the ids that they have reserved.

use std::{collections::HashMap, process, time::Duration};

use rusqlite::{Connection, OptionalExtension, params_from_iter, types::ValueRef};

use super::row::{Bound, nanos, sum, text, time};
use crate::store::backend::Owner;

/// The processes that the file knows: their instances and last signs of life.
pub(super) fn all(database: &Connection) -> rusqlite::Result<HashMap<i64, (String, Duration)>> {
    let sql = "SELECT id, instance, pid, started, last_seen, ended, run_sum FROM run";
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut runs = HashMap::new();
    while let Some(row) = rows.next()? {
        let ValueRef::Integer(id) = row.get_ref(0)? else {
            continue;
        };
        let mut values = [ValueRef::Null; 5];
        for (at, value) in (1..).zip(&mut values) {
            *value = row.get_ref(at)?;
        }
        let [instance, _, started, last_seen, _] = values;
        if row.get_ref(6)? == ValueRef::Blob(&sum(id, &values))
            && let (Some(instance), Some(started), Some(seen)) =
                (text(instance), time(started), time(last_seen))
        {
            runs.insert(id, (instance.to_owned(), seen.max(started)));
        }
    }
    Ok(runs)
}

/// Writes a process's row.
pub(super) fn write(
    change: &Connection,
    run: i64,
    owner: &Owner,
    seen: Duration,
    ended: Option<Duration>,
) -> rusqlite::Result<()> {
    let values = [
        ValueRef::Text(owner.instance.as_bytes()),
        ValueRef::Integer(process::id().into()),
        ValueRef::Integer(nanos(owner.started)),
        ValueRef::Integer(nanos(seen)),
        ended.map_or(ValueRef::Null, |ended| ValueRef::Integer(nanos(ended))),
    ];
    let sum = sum(run, &values);
    let all = [ValueRef::Integer(run)].into_iter().chain(values);
    let all = all.chain([ValueRef::Blob(&sum)]).map(Bound);
    let sql = "REPLACE INTO run (id, instance, pid, started, last_seen, ended, run_sum)
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    change.prepare_cached(sql)?.execute(params_from_iter(all))?;
    Ok(())
}

/// Reserves the ids below `next`.
pub(super) fn reserve_ids(change: &Connection, next: u64) -> rusqlite::Result<()> {
    let next = ValueRef::Integer(next.cast_signed());
    let sum = sum(1, &[next]);
    let all = [next, ValueRef::Blob(&sum)].map(Bound);
    let sql = "REPLACE INTO ids (rowid, next, ids_sum) VALUES (1, ?, ?)";
    change.prepare_cached(sql)?.execute(params_from_iter(all))?;
    Ok(())
}

/// The id after all that were reserved or used; none where the file has forgotten it.
pub(super) fn next_id(database: &Connection) -> rusqlite::Result<Option<u64>> {
    let used: i64 = database.query_row("SELECT coalesce(max(id), 0) FROM task", [], |row| {
        row.get(0)
    })?;
    let sql = "SELECT next, ids_sum FROM ids WHERE rowid = 1";
    let reserved = database
        .query_row(sql, [], |row| {
            let next = row.get_ref(0)?;
            let is_sound = row.get_ref(1)? == ValueRef::Blob(&sum(1, &[next]));
            Ok(next.as_i64().ok().filter(|_| is_sound))
        })
        .optional()?;
    // No row: the file is new. Where tasks are in it, the row has been lost.
    let reserved = match reserved {
        Some(reserved) => reserved,
        None if used == 0 => Some(1),
        None => None,
    };
    let next = reserved.map(|reserved| reserved.max(used.saturating_add(1)));
    Ok(next.and_then(|next| u64::try_from(next).ok()))
}
