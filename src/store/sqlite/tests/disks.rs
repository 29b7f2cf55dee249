//! Disks that are full or read-only: small file systems in memory, which root can mount.

use std::{env, io::Write, os::unix::fs::MetadataExt, process::Command};

use super::*;

/// A file system of its own, until it is dropped.
struct Disk(TempDir);

impl Disk {
    /// None where that is not possible; says so, or fails where it is demanded.
    fn mount(kilobytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        let missing = "cannot mount a tmpfs; run this test as root";
        let required = env::var("TASKPULSE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "{missing}");
        // Past the test's captured output, so that the person sees it.
        writeln!(std::io::stderr(), "skipped: {missing}").unwrap_or_default();
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("tasks.db")
    }

    /// Takes all room but `spare` bytes.
    fn fill(&self, spare: u64) {
        let file = fs::File::create(self.0.path().join("ballast")).unwrap();
        let mut rest = &file;
        while rest.write(&[0; 4_096]).is_ok_and(|written| written > 0) {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(spare)).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }

    fn make_read_only(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.0.path())
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The store's own thread may have its file open for a moment longer.
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[track_caller]
fn passes(fault: &Fault, message: &str) {
    assert_eq!(fault.kind, FaultKind::Passing, "{fault}");
    assert!(fault.message.contains(message), "{fault}");
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let Some(disk) = Disk::mount(1_024) else {
        return;
    };
    let mut store = open(&disk.path(), &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    disk.fill(100_000);
    let mut written = 1;
    let fault = loop {
        let tasks: Vec<_> = (written + 1..=written + 50).map(full).collect();
        let group = Group {
            tasks: &tasks,
            seen: seconds(1_100),
            ids_until: 1,
        };
        match store.write(&group) {
            Ok(()) => written += 50,
            Err(fault) => break fault,
        }
        assert!(written < 10_000, "the disk is never full");
    };
    passes(&fault, "make room on its disk");
    assert!(written > 1);
    store.check().unwrap();
    // Whatever else is asked of it meanwhile.
    let count = |store: &Sqlite| -> u64 {
        let sql = "SELECT count(*) FROM task";
        store
            .database
            .query_row(sql, [], |row| row.get(0))
            .map(i64::cast_unsigned)
            .unwrap()
    };
    for _ in 0..3 {
        let tasks: Vec<_> = (written + 1..=written + 50).map(full).collect();
        let group = Group {
            tasks: &tasks,
            seen: seconds(1_100),
            ids_until: 1,
        };
        passes(&store.write(&group).unwrap_err(), "make room");
        assert_eq!(count(&store), written);
    }
    disk.make_room();
    let tasks: Vec<_> = (written + 1..=written + 50).map(full).collect();
    write(&mut store, &tasks);
    written += 50;
    drop(store);
    let mut store = open(&disk.path(), &owner("two")).unwrap();
    let lost = store.lost().unwrap();
    let lost: Vec<_> = lost.rows.into_iter().map(|lost| lost.task).collect();
    assert_eq!(lost, (1..=written).map(full).collect::<Vec<_>>());
}

#[test]
fn a_wal_that_cannot_be_brought_home_waits() {
    let Some(disk) = Disk::mount(16_384) else {
        return;
    };
    let mut store = open(&disk.path(), &owner("one")).unwrap();
    let mut written = 0;
    let wal = beside(&disk.path(), "-wal");
    while fs::metadata(&wal).unwrap().len() <= MOST_WAL {
        let tasks: Vec<_> = (written + 1..=written + 500).map(full).collect();
        write(&mut store, &tasks);
        written += 500;
    }
    disk.fill(0);
    passes(&store.tend().unwrap_err(), "make room");
    passes(&store.tend().unwrap_err(), "make room");
    let lost = |store: &mut Sqlite| store.read_lost().unwrap().rows.len();
    disk.make_room();
    store.tend().unwrap();
    assert_eq!(fs::metadata(&wal).unwrap().len(), 0);
    write(&mut store, &[full(written + 1)]);
    drop(store);
    let mut store = open(&disk.path(), &owner("two")).unwrap();
    assert_eq!(lost(&mut store), usize::try_from(written + 1).unwrap());
}

#[test]
fn a_disk_that_is_full_at_the_start_passes() {
    let Some(disk) = Disk::mount(256) else { return };
    disk.fill(0);
    passes(&open(&disk.path(), &owner("one")).unwrap_err(), "make room");
    passes(&open(&disk.path(), &owner("one")).unwrap_err(), "make room");
    disk.make_room();
    let mut store = open(&disk.path(), &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
}

#[test]
fn a_read_only_disk_passes() {
    let Some(disk) = Disk::mount(1_024) else {
        return;
    };
    let mut store = open(&disk.path(), &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    drop(store);
    disk.make_read_only();
    passes(&open(&disk.path(), &owner("two")).unwrap_err(), "read-only");
    let other = beside(&disk.path(), "2");
    passes(
        &open(&other, &owner("two")).unwrap_err(),
        "Read-only file system",
    );
}

#[test]
fn a_file_without_the_right_to_write_passes() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    Box::new(open(&place.path, &owner("one")).unwrap())
        .close(seconds(1_200))
        .unwrap();
    if fs::metadata(&place.path).unwrap().uid() == 0 {
        return; // Root has every right; `a_read_only_disk_passes` is for it.
    }
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o400)).unwrap();
    passes(
        &open(&place.path, &owner("two")).unwrap_err(),
        "read-only for this process",
    );
}
