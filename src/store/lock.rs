//! One process at a time on one store.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use super::{
    aside::beside,
    backend::{Fault, FaultKind, Owner},
};

/// Links that may lead to a file, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// How much of an owner's text is read: it has about 100 bytes.
const MOST_TEXT: u64 = 1_024;

/// Held as long as a process uses a store.
///
/// The lock is on a file beside the database. To lock the database itself would not do:
/// where any descriptor of it is closed, a process loses SQLite's own locks. The system
/// lets go of it when the process ends, however it ends. The file stays: to delete it
/// would let two processes hold locks on two files of one name.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

/// Why a store cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LockError {
    /// Another process has it; the text says which.
    InUse(String),
    /// The file system does not let us, at present.
    Io(Fault),
}

// === impl FileLock ===

impl FileLock {
    /// Takes the lock of the store at `path`, as [`locate`] gives it, for `owner`.
    ///
    /// # Errors
    ///
    /// A [`LockError`]; a lock that a killed process held is none.
    pub(super) fn take(path: &Path, owner: &Owner) -> Result<Self, LockError> {
        let beside = beside(path, ".lock");
        let failed = |error: &io::Error| {
            LockError::Io(Fault {
                kind: FaultKind::Passing,
                message: format!("cannot lock {}: {error}", beside.display()),
            })
        };
        let mut file = open(&beside).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse(in_use(path, &mut file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // The lock counts, not the text, which is for people: a full disk is no reason
        // to do without the lock.
        drop(sign(&mut file, owner));
        Ok(Self { _file: file })
    }
}

/// Finds the file that `path` leads to, which need not exist yet. A file has one lock by
/// whatever name it is called, wherever the program goes.
///
/// # Errors
///
/// Why no store can be at this path, and what to do.
pub(super) fn locate(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if path.is_dir() {
            let inside = path.join("tasks.db");
            let inside = inside.display();
            return Err(format!(
                "{shown} is a directory; name a file in it, such as {inside}"
            ));
        }
        let folder = folder(&path);
        let found = fs::canonicalize(&folder)
            .ok()
            .filter(|found| found.is_dir());
        let (Some(name), Some(found)) = (path.file_name(), found) else {
            let folder = folder.display();
            return Err(format!(
                "{shown} cannot be a store: {folder} is no directory; create it, or name a file in one that exists"
            ));
        };
        path = match fs::read_link(&path) {
            Ok(target) => found.join(target),
            Err(_) => return Ok(found.join(name)), // It is no link, or not there.
        };
    }
    Err(format!(
        "{shown} cannot be a store: it is a link that leads to no file; name a file"
    ))
}

/// Where the file is.
fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Writes who holds the lock.
fn sign(file: &mut File, owner: &Owner) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let since = rfc_3339(owner.started);
    writeln!(file, "{} {} {since}", process::id(), owner.instance)
}

/// What a second process is told. The owner may be writing its name just now, and
/// anybody may have written anything.
fn in_use(path: &Path, file: &mut File) -> String {
    let mut text = Vec::new();
    drop(file.take(MOST_TEXT).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_whitespace();
    let owner = match (words.next(), words.next(), words.next()) {
        (Some(pid), Some(instance), Some(since)) if pid.parse::<u32>().is_ok() => format!(
            "process {pid} (instance {}, since {})",
            instance.escape_debug(),
            since.escape_debug()
        ),
        _ => "another process".to_owned(),
    };
    format!(
        "{} is in use by {owner}; each process needs a store of its own",
        path.display()
    )
}

/// A time as people read it.
pub(super) fn rfc_3339(since_epoch: Duration) -> String {
    /// The last second of the year 9999, after which there are five digits.
    const MOST: Duration = Duration::from_secs(253_402_300_799);
    let at = SystemTime::UNIX_EPOCH + since_epoch.min(MOST);
    humantime::format_rfc3339_seconds(at).to_string()
}

// === impl LockError ===

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(message) => f.write_str(message),
            Self::Io(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn owner() -> Owner {
        Owner {
            instance: "9f1c".to_owned(),
            started: Duration::from_secs(1_795_798_717),
        }
    }

    #[test]
    fn a_second_one_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        let held = FileLock::take(&path, &owner()).unwrap();
        assert!(!path.exists(), "it never touches the database");
        let refused = FileLock::take(&path, &owner()).unwrap_err();
        let message = format!(
            "{} is in use by process {} (instance 9f1c, since 2026-11-27T16:58:37Z); each process needs a store of its own",
            path.display(),
            process::id()
        );
        assert_eq!(refused, LockError::InUse(message));
        drop(held);
        assert!(FileLock::take(&path, &owner()).is_ok());
    }

    #[test]
    fn garbage_in_it_is_tolerated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        let _held = FileLock::take(&path, &owner()).unwrap();
        for garbage in [&b""[..], b"\xff\xfe", b"x y z", &[b'1'; 100_000]] {
            fs::write(beside(&path, ".lock"), garbage).unwrap();
            let refused = FileLock::take(&path, &owner()).unwrap_err().to_string();
            assert!(refused.contains("in use by another process;"), "{refused}");
        }
    }

    #[test]
    fn where_no_file_can_be_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let check = |path: &Path, want: &str| {
            let error = locate(path).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(folder.path(), "is a directory; name a file in it");
        check(&folder.path().join("no/tasks.db"), "no is no directory");
        fs::write(folder.path().join("file"), "").unwrap();
        check(&folder.path().join("file/tasks.db"), "file is no directory");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_one_lock_by_whatever_name() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let found = folder.path().canonicalize().unwrap().join("tasks.db");
        symlink("tasks.db", at("link.db")).unwrap();
        symlink(at("link.db"), at("second.db")).unwrap();
        symlink(".", at("folder")).unwrap();
        for exists in [false, true] {
            for name in ["tasks.db", "link.db", "second.db", "folder/link.db"] {
                assert_eq!(locate(&at(name)).unwrap(), found, "{name}, {exists}");
            }
            fs::write(&found, "").unwrap();
        }
        symlink("circle.db", at("circle.db")).unwrap();
        symlink("no/tasks.db", at("nowhere.db")).unwrap();
        for (name, want) in [
            ("circle.db", "is a link that leads to no file"),
            ("nowhere.db", "no is no directory"),
        ] {
            let error = locate(&at(name)).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn a_relative_path_stays_where_it_is() {
        let found = locate(Path::new("tasks.db")).unwrap();
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(found, here.join("tasks.db"));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        let _held = FileLock::take(&path, &owner()).unwrap();
        let mode = fs::metadata(beside(&path, ".lock")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
}
