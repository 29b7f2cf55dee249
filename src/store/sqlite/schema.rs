//! The tables, and how a file of an older version gets there.

use rusqlite::{Connection, TransactionBehavior};

/// Says that a database is ours: `TPls`.
pub(super) const APPLICATION: i32 = 0x5450_6c73;

/// Each step leads from its place in the list to the next version. What was released
/// stays as it is.
pub(super) const MIGRATIONS: [&str; 1] = [VERSION_1];

/// Times are nanoseconds since the Unix epoch, durations nanoseconds. A `_sum` is over
/// the columns before it: SQLite notices damage to a page's structure, not to a value.
/// What is read often and has a fixed size stands before what is long.
const VERSION_1: &str = "
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  instance TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  ended INTEGER,
  run_sum BLOB NOT NULL
) STRICT;
CREATE TABLE ids (
  next INTEGER NOT NULL,
  ids_sum BLOB NOT NULL
) STRICT;
CREATE TABLE task (
  id INTEGER PRIMARY KEY,
  state TEXT NOT NULL,
  ended_at INTEGER,
  duration INTEGER,
  panicked INTEGER,
  last_seen INTEGER,
  progress REAL,
  progress_message TEXT,
  error TEXT,
  result TEXT,
  now_sum BLOB NOT NULL,
  run INTEGER NOT NULL,
  begun INTEGER NOT NULL,
  deadline INTEGER,
  trace_id BLOB,
  span_id BLOB,
  parent_id BLOB,
  sampled INTEGER,
  line INTEGER NOT NULL,
  file TEXT NOT NULL,
  name TEXT NOT NULL,
  session_id TEXT,
  request_id TEXT,
  baggage TEXT,
  metadata TEXT NOT NULL,
  begun_sum BLOB NOT NULL
) STRICT;
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;
";

/// What the database says of itself: a line a table and an index.
pub(super) fn described(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '')
               FROM sqlite_schema ORDER BY name";
    let mut statement = database.prepare(sql)?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// What a database says of itself after these steps.
pub(super) fn expected(steps: &[&str]) -> rusqlite::Result<Vec<String>> {
    let database = Connection::open_in_memory()?;
    for step in steps {
        database.execute_batch(step)?;
    }
    described(&database)
}

/// Takes the steps from version `from` on: all of them or none.
pub(super) fn migrate(
    database: &mut Connection,
    steps: &[&str],
    from: usize,
) -> rusqlite::Result<()> {
    let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps.iter().skip(from) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    let version = u16::try_from(steps.len()).unwrap_or(u16::MAX);
    change.pragma_update(None, "user_version", version)?;
    change.commit()
}
