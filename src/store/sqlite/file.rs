//! Whether the files are still those that were opened.

use std::{fs, io, path::Path};

use super::{MOST_WAL, fault::Faults, open::MOST_JOURNAL};
use crate::store::{aside::beside, backend::Fault};

/// The database and its `-wal`, which nobody else may touch while they are in use.
#[derive(Clone, Debug)]
pub(in crate::store) struct Files {
    database: Watched,
    wal: Watched,
}

/// A file that is in use.
#[derive(Clone, Debug)]
struct Watched {
    named: Faults,
    found: FileId,
}

/// What tells a file from another of the same name, and how long it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    bytes: u64,
}

// === impl Files ===

impl Files {
    /// Those of an open database: SQLite makes the `-wal` when it opens it.
    pub(super) fn of(faults: &Faults) -> Result<Self, Fault> {
        Ok(Self {
            database: Watched::of(faults.clone())?,
            wal: Watched::of(Faults::of(beside(faults.path(), "-wal")))?,
        })
    }

    /// Says whether they are still there, and whole. What is written to a file without a
    /// name is lost.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.database
            .check("was replaced while in use, and the new file is not touched")?;
        self.wal.check("was replaced while in use")
    }

    /// Notes that the `-wal` may have become longer.
    pub(super) fn note_write(&mut self) {
        // Where a checkpoint could not empty it, SQLite cuts it later to that.
        self.wal.note(u64::try_from(MOST_JOURNAL).unwrap_or(0));
    }

    /// Notes that the database may have become shorter, and the `-wal` is empty.
    pub(super) fn note_checkpoint(&mut self) {
        self.database.note(u64::MAX);
        self.note_write();
    }

    pub(super) fn wal_is_long(&self) -> bool {
        let wal = fs::metadata(self.wal.named.path());
        wal.is_ok_and(|wal| wal.len() > MOST_WAL)
    }

    /// Whether somebody has put another database in the place of this one.
    pub(in crate::store) fn is_replaced(&self) -> bool {
        self.database.is_there() == Some(false)
    }

    /// Whether the `-wal` is still the one of this database.
    pub(in crate::store) fn has_wal(&self) -> bool {
        self.wal.is_there() == Some(true)
    }
}

// === impl Watched ===

impl Watched {
    fn of(named: Faults) -> Result<Self, Fault> {
        let found = FileId::of(named.path());
        let found = found.map_err(|error| named.io("cannot open", &error))?;
        Ok(Self { named, found })
    }

    /// Says whether it is still there, and no shorter; `replaced` is said of another file.
    fn check(&self, replaced: &str) -> Result<(), Fault> {
        let found = match FileId::of(self.named.path()) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.named.broken("was deleted or moved while in use"));
            }
            Err(error) => return Err(self.named.io("cannot look at", &error)),
        };
        if !found.same_file(self.found) {
            return Err(self.named.broken(replaced));
        }
        if found.bytes < self.found.bytes {
            return Err(self.named.broken("was cut off while in use"));
        }
        Ok(())
    }

    /// Notes how long it is, which only we may shorten: to `most` without notice.
    fn note(&mut self, most: u64) {
        if let Ok(found) = FileId::of(self.named.path())
            && found.same_file(self.found)
        {
            self.found.bytes = found.bytes.min(most);
        }
    }

    /// Whether its name still leads to it; none where that leads nowhere.
    fn is_there(&self) -> Option<bool> {
        let found = FileId::of(self.named.path()).ok();
        found.map(|found| found.same_file(self.found))
    }
}

// === impl FileId ===

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (found.dev(), found.ino())
        };
        #[cfg(not(unix))]
        let (device, inode) = (0, 0);
        Ok(Self {
            device,
            inode,
            bytes: found.len(),
        })
    }

    fn same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
