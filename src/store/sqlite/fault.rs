//! What an error of SQLite means for the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::backend::{Fault, FaultKind};

/// Makes faults that name the file.
#[derive(Clone, Debug)]
pub(super) struct Faults(PathBuf);

// === impl Faults ===

impl Faults {
    /// Those of the file at `path`.
    pub(super) fn of(path: PathBuf) -> Self {
        Self(path)
    }

    /// What went wrong while `doing` something, such as `cannot write to`.
    pub(super) fn sqlite(&self, doing: &str, error: &Error) -> Fault {
        let kind = kind(error);
        let hint = hint(error);
        let message = format!("{doing} {}: {error}{hint}", self.0.display());
        Fault { kind, message }
    }

    pub(super) fn io(&self, doing: &str, error: &io::Error) -> Fault {
        Fault {
            kind: FaultKind::Passing,
            message: format!("{doing} {}: {error}", self.0.display()),
        }
    }

    /// The file `is`, such as `is not whole`, what it must not be.
    pub(super) fn broken(&self, is: &str) -> Fault {
        Fault {
            kind: FaultKind::Broken,
            message: format!("{} {is}", self.0.display()),
        }
    }

    pub(super) fn passing(&self, is: &str) -> Fault {
        Fault {
            kind: FaultKind::Passing,
            message: format!("{} {is}", self.0.display()),
        }
    }

    pub(super) fn foreign(&self) -> Fault {
        Fault {
            kind: FaultKind::Foreign,
            message: format!(
                "{} is a database of another program; it was left as it is; name another file",
                self.0.display()
            ),
        }
    }

    /// The path without what SQLite adds to it.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// What is not known to pass by itself is taken for damage: to go on writing into a
/// damaged file would do more harm than to begin a new one.
fn kind(error: &Error) -> FaultKind {
    if error.sqlite_extended_error_code() == Some(ffi::SQLITE_READONLY_DBMOVED) {
        return FaultKind::Broken;
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::OperationAborted
            | ErrorCode::OperationInterrupted
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::AuthorizationForStatementDenied,
        ) => FaultKind::Passing,
        _ => FaultKind::Broken,
    }
}

/// What a person can do, where SQLite's words do not say it.
fn hint(error: &Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program has it open, such as a `sqlite3` shell"
        }
        Some(ErrorCode::DiskFull) => "; make room on its disk",
        _ => "",
    }
}
