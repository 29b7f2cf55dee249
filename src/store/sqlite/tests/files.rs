//! Files that are not what they should be, or stop being it.

use super::*;

/// Another version that was never released.
const NEXT: &str = "ALTER TABLE task ADD COLUMN tenant TEXT;";

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A store with a task in it that runs.
fn stored() -> Place {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    Box::new(store).close(seconds(1_200)).unwrap();
    place
}

#[track_caller]
fn refused(place: &Place, steps: &[&str], kind: FaultKind, message: &str) {
    let before = fs::read(&place.path).unwrap();
    let fault = open_at_version(&place.path, &owner("two"), steps).unwrap_err();
    assert_eq!(fault.kind, kind, "{fault}");
    let shown = place.path.display().to_string();
    assert!(fault.message.contains(&shown), "{fault}");
    assert!(fault.message.contains(message), "{fault}");
    let after = fs::read(&place.path).unwrap();
    assert!(before == after, "it was written");
}

fn sql(place: &Place, sql: &str) {
    let database = Connection::open(&place.path).unwrap();
    database.execute_batch(sql).unwrap();
}

#[cfg(unix)]
#[test]
fn it_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    let wal = beside(&place.path, "-wal");
    assert_eq!([mode(&place.path), mode(&wal)], [0o600, 0o600]);
    drop(store);
    for path in [&place.path, &wal] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o664)).unwrap();
    }
    let _store = open(&place.path, &owner("two")).unwrap();
    assert_eq!([mode(&place.path), mode(&wal)], [0o600, 0o600]);
}

#[test]
fn nothing_is_beside_it_but_the_wal() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    let beside_it = |names: &[&str]| {
        for name in ["-wal", "-shm", "-journal"] {
            let is_there = beside(&place.path, name).exists();
            assert_eq!(is_there, names.contains(&name), "{name}");
        }
    };
    beside_it(&["-wal"]);
    Box::new(store).close(seconds(1_200)).unwrap();
    beside_it(&[]);
}

#[test]
fn an_empty_file_is_a_new_store() {
    let place = place();
    fs::write(&place.path, "").unwrap();
    // Of another database that was here before.
    fs::write(beside(&place.path, "-wal"), "x").unwrap();
    let mut store = open(&place.path, &owner("one")).unwrap();
    assert_eq!(store.lost().unwrap().rows, []);
    assert_eq!(store.next_id().unwrap(), 1);
}

#[test]
fn a_newer_version_is_left_as_it_is() {
    let place = place();
    let steps = [schema::MIGRATIONS[0], NEXT];
    let store = open_at_version(&place.path, &owner("one"), &steps).unwrap();
    Box::new(store).close(seconds(1_200)).unwrap();
    let message =
        "was written by a newer taskpulse: it has version 2, this one knows versions up to 1";
    refused(&place, &schema::MIGRATIONS, FaultKind::Broken, message);
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let of_others = [
        "CREATE TABLE bookmark (url TEXT)",
        "PRAGMA application_id = 7; CREATE TABLE bookmark (url TEXT)",
        "PRAGMA application_id = 7; PRAGMA user_version = 1",
        "PRAGMA user_version = 3; CREATE TABLE bookmark (url TEXT)",
    ];
    for other in of_others {
        let place = place();
        sql(&place, other);
        let message = "is a database of another program; it was left as it is";
        refused(&place, &schema::MIGRATIONS, FaultKind::Foreign, message);
    }
}

#[test]
fn a_store_that_does_not_say_so_any_more_is_broken() {
    for (change, message) in [
        (
            "PRAGMA application_id = 7",
            "does not say any more that it is a store",
        ),
        ("PRAGMA user_version = 0", "its version is 0"),
        ("PRAGMA user_version = -1", "its version is -1"),
        (
            "DROP INDEX task_ended",
            "its tables are not those of version 1",
        ),
        (
            "DELETE FROM ids",
            "does not say any more which ids are taken",
        ),
        (
            "UPDATE ids SET next = next - 1",
            "does not say any more which ids are taken",
        ),
    ] {
        let place = stored();
        sql(&place, change);
        let fault = open(&place.path, &owner("two")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Broken, "{change}: {fault}");
        assert!(fault.message.contains(message), "{change}: {fault}");
    }
}

#[test]
fn versions_follow_one_another_whole_or_not_at_all() {
    let place = stored();
    let good = [
        schema::MIGRATIONS[0],
        NEXT,
        "CREATE TABLE note (text TEXT);",
    ];
    // The second step works, the third does not.
    let bad = [
        schema::MIGRATIONS[0],
        NEXT,
        "CREATE TABLE note (text TEXT); SELECT 1 FROM nothing;",
    ];
    let fault = open_at_version(&place.path, &owner("two"), &bad).unwrap_err();
    assert!(
        fault.message.contains("cannot bring from version 1 to 3"),
        "{fault}"
    );
    let database = Connection::open(&place.path).unwrap();
    let expected = schema::expected(&schema::MIGRATIONS).unwrap();
    assert_eq!(schema::described(&database).unwrap(), expected);
    drop(database);
    // So it can be tried again, also from a version in between.
    for steps in [&good[..2], &good] {
        let mut store = open_at_version(&place.path, &owner("two"), steps).unwrap();
        let lost = store.lost().unwrap();
        assert_eq!(lost.rows.len(), 1, "{lost:?}");
        assert_eq!(lost.rows[0].task, full(1));
    }
}

#[test]
fn a_file_that_goes_away_while_it_is_open_is_noticed() {
    let gone = |change: Change, message: &str| {
        let place = stored();
        let mut store = open(&place.path, &owner("two")).unwrap();
        store.check().unwrap();
        change(&place.path);
        let now = fs::read(&place.path).ok();
        assert_gone(store, "tasks.db", message);
        assert_eq!(fs::read(&place.path).ok(), now, "what is there was touched");
    };
    let deleted = "was deleted or moved while in use";
    gone(|path| fs::remove_file(path).unwrap(), deleted);
    gone(
        |path| fs::rename(path, beside(path, ".old")).unwrap(),
        deleted,
    );
    gone(
        |path| {
            fs::remove_file(path).unwrap();
            fs::write(path, "of somebody else").unwrap();
        },
        "was replaced while in use, and the new file is not touched",
    );
    gone(
        |path| fs::write(path, "").unwrap(),
        "was cut off while in use",
    );
}

/// Whatever is asked of it, it says that the file `named` is gone.
#[track_caller]
fn assert_gone(mut store: Sqlite, named: &str, message: &str) {
    let check = |said: Result<(), Fault>| {
        let fault = said.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Broken, "{fault}");
        assert!(
            fault.message.ends_with(&format!("{named} {message}")),
            "{fault}"
        );
    };
    check(store.check());
    let group = Group {
        tasks: &[full(3)],
        seen: seconds(1_300),
        ids_until: 100,
    };
    check(store.write(&group));
    check(store.prune(0, Duration::ZERO).map(drop));
    check(Box::new(store).close(seconds(1_300)));
}

type Change = fn(&Path);

#[test]
fn a_wal_that_goes_away_while_it_is_open_is_noticed() {
    let changes: [(Change, &str); 5] = [
        (
            |wal| fs::remove_file(wal).unwrap(),
            "was deleted or moved while in use",
        ),
        (
            |wal| fs::rename(wal, beside(wal, ".old")).unwrap(),
            "was deleted or moved while in use",
        ),
        (
            |wal| {
                fs::copy(wal, beside(wal, ".new")).unwrap();
                fs::rename(beside(wal, ".new"), wal).unwrap();
            },
            "was replaced while in use",
        ),
        (
            |wal| fs::write(wal, "").unwrap(),
            "was cut off while in use",
        ),
        (
            |wal| {
                let bytes = fs::read(wal).unwrap();
                fs::write(wal, &bytes[..bytes.len() - 1]).unwrap();
            },
            "was cut off while in use",
        ),
    ];
    // A store that was not there before, one that was closed, and one whose -wal was
    // emptied while it was open.
    for (round, (change, message)) in (0..3).flat_map(|round| changes.map(|c| (round, c))) {
        let place = if round == 0 { place() } else { stored() };
        let mut store = open(&place.path, &owner("two")).unwrap();
        if round == 2 {
            store.empty_wal().unwrap();
        }
        store.check().unwrap();
        write(&mut store, &[full(2)]);
        store.check().unwrap();
        change(&beside(&place.path, "-wal"));
        assert_gone(store, "tasks.db-wal", message);
    }
}

#[test]
fn a_wal_may_be_empty() {
    let place = stored();
    let mut store = open(&place.path, &owner("two")).unwrap();
    store.empty_wal().unwrap();
    let wal = beside(&place.path, "-wal");
    assert_eq!(fs::metadata(&wal).unwrap().len(), 0);
    store.check().unwrap();
    fs::remove_file(&wal).unwrap();
    assert_gone(store, "tasks.db-wal", "was deleted or moved while in use");
}

#[test]
fn another_program_that_reads_it_is_waited_for_and_named() {
    let place = stored();
    let reader = Connection::open(&place.path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM task;")
        .unwrap();
    let fault = open(&place.path, &owner("two")).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Passing, "{fault}");
    assert!(
        fault.message.contains("another program has it open"),
        "{fault}"
    );
    drop(reader);
    open(&place.path, &owner("two")).unwrap();
}

#[test]
fn what_is_broken_is_set_aside_whole() {
    let place = stored();
    let mut store = open(&place.path, &owner("two")).unwrap();
    write(&mut store, &[full(2)]);
    drop(store); // As where a fault is met: nothing is brought in order.
    let wal = fs::read(beside(&place.path, "-wal")).unwrap();
    assert!(!wal.is_empty());
    let aside = crate::store::aside::set_aside(&place.path, seconds(0))
        .unwrap()
        .unwrap();
    assert_eq!(fs::read(beside(&aside, "-wal")).unwrap(), wal);
    let mut fresh = open(&place.path, &owner("three")).unwrap();
    assert_eq!(fresh.lost().unwrap().rows, []);
    let mut old = open(&aside, &owner("three")).unwrap();
    assert_eq!(old.lost().unwrap().rows.len(), 2);
}
