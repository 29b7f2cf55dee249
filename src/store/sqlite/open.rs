//! Opens a file: finds out what it is, before anything of it is changed.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{fault::Faults, schema};
use crate::store::{aside::beside, backend::Fault};

/// The smallest page that SQLite has. It takes a shorter file for an empty one, and
/// writes over it.
const LEAST_BYTES: u64 = 512;

/// How long another program's lock is waited for: one that reads a little.
const BUSY: Duration = Duration::from_millis(500);

/// The `-wal` is cut to this many bytes when it has been emptied.
pub(super) const MOST_JOURNAL: i64 = 4 << 20;

/// Opens the file at `path`, which is created where there is none, and brings it to the
/// version that `steps` lead to.
pub(super) fn open(faults: &Faults, steps: &[&str]) -> Result<Connection, Fault> {
    let path = faults.path();
    let found = fs::metadata(path).map_err(|error| faults.io("cannot open", &error))?;
    if (1..LEAST_BYTES).contains(&found.len()) {
        return Err(faults.broken(&format!("is no database: it has {} bytes", found.len())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let cannot = |error: &rusqlite::Error| faults.sqlite("cannot open", error);
    let mut database = Connection::open_with_flags(path, flags).map_err(|e| cannot(&e))?;
    if database.is_readonly("main").map_err(|e| cannot(&e))? {
        return Err(faults.passing("cannot be written: it is read-only for this process"));
    }
    guard(&database).map_err(|error| cannot(&error))?;
    let version = identify(&database, faults, steps)?;
    tighten(path)
        .map_err(|error| faults.io("cannot take from others the right to read", &error))?;
    prepare(&database, version == 0).map_err(|error| cannot(&error))?;
    if version > 0 {
        check(&database, faults)?;
    }
    if version < steps.len() {
        schema::migrate(&mut database, steps, version)
            .map_err(|error| faults.sqlite(&upgrading(version, steps.len()), &error))?;
    }
    let is_expected = schema::described(&database).map_err(|error| cannot(&error))?
        == schema::expected(steps).map_err(|error| cannot(&error))?;
    if !is_expected {
        return Err(faults.broken(&format!(
            "is damaged: its tables are not those of version {}",
            steps.len()
        )));
    }
    Ok(database)
}

fn upgrading(from: usize, to: usize) -> String {
    match from {
        0 => "cannot make tables in".to_owned(),
        from => format!("cannot bring from version {from} to {to}"),
    }
}

/// Creates the file where there is none, so that it is its owner's alone from the first
/// moment. Never opens one that exists: see [`crate::store::lock`].
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes from all others the rights that a file may have given them.
#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for path in [path.to_owned(), beside(path, "-wal")] {
        let Ok(found) = fs::metadata(&path) else {
            continue; // There is no `-wal` yet; it inherits the database's mode.
        };
        if found.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn tighten(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What must be set before the first page is read: the file may be damaged, or have
/// been made to do harm.
fn guard(database: &Connection) -> rusqlite::Result<()> {
    database.busy_timeout(BUSY)?;
    for (setting, value) in [
        // Only a close in order writes: what is damaged stays as it is.
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        database.set_db_config(setting, value)?;
    }
    // Before the first use of the WAL, so that its index is in our memory: a `-shm` that
    // somebody truncates would kill us, and a reader outside would hold checkpoints up.
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    database.pragma_update(None, "mmap_size", 0)?;
    database.pragma_update(None, "cell_size_check", true)?;
    database.pragma_update(None, "temp_store", "MEMORY")?;
    database.pragma_update(None, "foreign_keys", false)?;
    database.pragma_update(None, "cache_size", -2_000) // 2 MB, whatever the file says.
}

/// The version of a file that is ours, 0 where nothing is in it yet.
fn identify(database: &Connection, faults: &Faults, steps: &[&str]) -> Result<usize, Fault> {
    let cannot = |error: &rusqlite::Error| faults.sqlite("cannot read", error);
    let number = |name: &str| {
        let read = database.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        read.map_err(|error| cannot(&error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables = schema::described(database).map_err(|error| cannot(&error))?;
    let ours = application == i64::from(schema::APPLICATION);
    match usize::try_from(version) {
        Ok(0) if tables.is_empty() && (ours || application == 0) => Ok(0),
        // One damaged number does not make ours another program's.
        _ if !ours && tables.iter().any(|table| table.starts_with("table task task")) => {
            Err(faults.broken("is damaged: it does not say any more that it is a store"))
        }
        _ if !ours => Err(faults.foreign()),
        Ok(version) if version > steps.len() => Err(faults.broken(&format!(
            "was written by a newer taskpulse: it has version {version}, this one knows versions up to {}",
            steps.len()
        ))),
        Ok(version) if version > 0 => Ok(version),
        _ => Err(faults.broken(&format!("is damaged: it says that its version is {version}"))),
    }
}

fn prepare(database: &Connection, is_new: bool) -> rusqlite::Result<()> {
    if is_new {
        database.pragma_update(None, "page_size", 4_096)?;
        // A file that once had 100,000 tasks must not stay that big.
        database.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    database.pragma_update(None, "journal_mode", "WAL")?;
    // Until it is open; see `hurry`.
    database.pragma_update(None, "synchronous", "NORMAL")?;
    database.pragma_update(None, "wal_autocheckpoint", 0)?;
    database.pragma_update(None, "journal_size_limit", MOST_JOURNAL)
}

/// Looks at every page once, before anything is written between damaged ones. An index
/// that does not fit its table is made anew, since all of it is in the table.
fn check(database: &Connection, faults: &Faults) -> Result<(), Fault> {
    let run = |check: &str| -> Result<String, Fault> {
        let said = database.query_row(check, [], |row| row.get(0));
        said.map_err(|error| faults.sqlite("cannot check", &error))
    };
    if run("PRAGMA integrity_check(1)")? == "ok" {
        return Ok(());
    }
    // The same without a look at what indexes say.
    let said = run("PRAGMA quick_check(1)")?;
    if said != "ok" {
        return Err(faults.broken(&format!("is damaged: {}", said.replace('\n', " "))));
    }
    let repaired = database.execute_batch("REINDEX");
    repaired.map_err(|error| faults.sqlite("cannot repair the index of", &error))
}
