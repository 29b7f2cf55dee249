//! Puts a file that must not be written any more out of the way, and keeps it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::lock::rfc_3339;

/// How many names are tried: as many as stores set aside within one second.
const MOST_NAMES: u32 = 1_000;

/// The endings of a store's files.
const ALL: [&str; 4] = ["-wal", "-shm", "-journal", ""];

/// Renames the store at `path` with what SQLite keeps beside it, and says how the
/// database is called now, or what is left of it; none where there was nothing. Whoever
/// has it open must have closed it, or have it open without a wish to write.
///
/// The `-wal` goes first. A process that is killed in between leaves a database without
/// its last changes, which is found broken again, or is older. The other way round it
/// would leave changes that might be applied to the next database of that name.
///
/// # Errors
///
/// The file system's; what was renamed until then stays renamed, and the rest can be
/// renamed by another call.
pub(super) fn set_aside(path: &Path, now: Duration) -> io::Result<Option<PathBuf>> {
    rename(path, &ALL, now)
}

/// The same with the `-wal` alone, of a database that another one has taken the place of:
/// that one would be given changes that are not its own.
///
/// # Errors
///
/// The file system's.
pub(super) fn set_wal_aside(path: &Path, now: Duration) -> io::Result<Option<PathBuf>> {
    rename(path, &["-wal"], now)
}

fn rename(path: &Path, names: &[&str], now: Duration) -> io::Result<Option<PathBuf>> {
    let present = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !names.iter().any(|name| present(&beside(path, name))) {
        return Ok(None);
    }
    let day: String = rfc_3339(now)
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    let free = (1..=MOST_NAMES).map(|n| match n {
        1 => beside(path, &format!(".bad-{day}")),
        n => beside(path, &format!(".bad-{day}-{n}")),
    });
    let target = free
        .into_iter()
        .find(|target| !ALL.iter().any(|name| present(&beside(target, name))))
        .ok_or_else(|| io::Error::other(format!("{MOST_NAMES} files were set aside at {day}")))?;
    let mut kept = None;
    for name in names {
        let target = beside(&target, name);
        match fs::rename(beside(path, name), &target) {
            Ok(()) if kept.is_none() || name.is_empty() => kept = Some(target),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}

/// The path of a file beside `path`, whose name goes on with `ending`.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_799_715);

    fn names(folder: &Path) -> BTreeSet<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn all_of_it_goes_under_a_free_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        assert_eq!(set_aside(&path, NOW).unwrap(), None);
        for (round, base) in [
            "tasks.db.bad-20261127T171515Z",
            "tasks.db.bad-20261127T171515Z-2",
            "tasks.db.bad-20261127T171515Z-3",
        ]
        .into_iter()
        .enumerate()
        {
            for ending in ["", "-wal", "-shm"] {
                fs::write(beside(&path, ending), format!("{round}{ending}")).unwrap();
            }
            let moved = set_aside(&path, NOW).unwrap().unwrap();
            assert_eq!(moved, folder.path().join(base));
            for ending in ["", "-wal", "-shm"] {
                let text = fs::read_to_string(beside(&moved, ending)).unwrap();
                assert_eq!(text, format!("{round}{ending}"));
            }
        }
        assert_eq!(names(folder.path()).len(), 9);
    }

    #[test]
    fn what_a_killed_process_left_half_moved_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        fs::write(&path, "database").unwrap();
        fs::write(beside(&path, ".bad-20261127T171515Z-wal"), "wal").unwrap();
        let moved = set_aside(&path, NOW).unwrap().unwrap();
        assert!(moved.ends_with("tasks.db.bad-20261127T171515Z-2"));
        fs::write(beside(&path, "-wal"), "alone").unwrap();
        let moved = set_aside(&path, NOW).unwrap().unwrap();
        assert!(moved.ends_with("tasks.db.bad-20261127T171515Z-3-wal"));
        assert!(moved.exists(), "it names what there is");
    }

    #[test]
    fn a_wal_goes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.db");
        fs::write(&path, "another").unwrap();
        assert_eq!(set_wal_aside(&path, NOW).unwrap(), None);
        fs::write(beside(&path, "-wal"), "wal").unwrap();
        fs::write(beside(&path, ".bad-20261127T171515Z"), "earlier").unwrap();
        let moved = set_wal_aside(&path, NOW).unwrap().unwrap();
        assert!(moved.ends_with("tasks.db.bad-20261127T171515Z-2-wal"));
        assert_eq!(fs::read_to_string(moved).unwrap(), "wal");
        assert_eq!(fs::read_to_string(path).unwrap(), "another");
    }
}
