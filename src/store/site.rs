//! The file that is written, and its neighbours.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    aside,
    backend::{Backend, Fault, FaultKind, Owner},
    lock::{self, FileLock, LockError},
    sqlite,
    writer::Site,
};
use crate::Error;

/// A file that no other process writes.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    owner: Owner,
    /// None where it could not be had yet. Held as long as this process has the file.
    lock: Option<FileLock>,
    /// What was opened.
    opened: Option<sqlite::Files>,
}

// === impl Files ===

impl Files {
    /// Claims the file at `path` for this process.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where there can be no file, [`Error::StoreInUse`] where another
    /// process has claimed it.
    pub(super) fn claim(path: &Path, owner: Owner) -> Result<Self, Error> {
        let path = lock::locate(path).map_err(Error::usage)?;
        let lock = match FileLock::take(&path, &owner) {
            Ok(lock) => Some(lock),
            Err(LockError::InUse(by)) => return Err(Error::StoreInUse(by)),
            // Tried again when it is opened.
            Err(LockError::Io(_)) => None,
        };
        Ok(Self {
            path,
            owner,
            lock,
            opened: None,
        })
    }
}

impl Site for Files {
    fn open(&mut self) -> Result<Box<dyn Backend>, Fault> {
        if self.lock.is_none() {
            let lock = FileLock::take(&self.path, &self.owner);
            self.lock = Some(lock.map_err(LockError::into_fault)?);
        }
        let opened = sqlite::open(&self.path, &self.owner)?;
        self.opened = Some(opened.files().clone());
        Ok(Box::new(opened))
    }

    fn set_aside(&mut self, now: Duration) -> io::Result<Option<PathBuf>> {
        match &self.opened {
            // A backup, say, that is to be used: what has come with it stays with it.
            Some(opened) if opened.is_replaced() => match opened.has_wal() {
                true => aside::set_wal_aside(&self.path, now),
                false => Ok(None),
            },
            _ => aside::set_aside(&self.path, now),
        }
    }
}

// === impl LockError ===

impl LockError {
    fn into_fault(self) -> Fault {
        match self {
            Self::Io(fault) => fault,
            Self::InUse(message) => Fault {
                kind: FaultKind::Passing,
                message,
            },
        }
    }
}
