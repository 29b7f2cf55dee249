//! Files that were damaged at a place and in a way that a seed decides: each gives what
//! was written, or says that it does not.

use std::{collections::BTreeMap, ops::Range, sync::OnceLock};

use super::*;

/// Tasks in the file: those with an odd number have ended.
const TASKS: u64 = 2_000;

const PAGE: usize = 4_096;

/// What a process wrote: the database, and what of it is in the `-wal` still.
struct Written {
    database: Vec<u8>,
    wal: Vec<u8>,
}

/// A sequence of numbers that looks random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn is_ended(id: u64) -> bool {
    id % 2 == 1
}

/// The task as it was written last.
fn last(id: u64) -> Record<'static> {
    let begun = if id.is_multiple_of(3) {
        bare(id)
    } else {
        full(id)
    };
    if is_ended(id) {
        ended(&begun, seconds(id))
    } else {
        begun
    }
}

fn known(tasks: impl Iterator<Item = Record<'static>>) -> Vec<Record<'static>> {
    tasks
        .map(|task| Record {
            known: true,
            ..task
        })
        .collect()
}

/// Begins come first, ends later, as in life.
fn write_all(store: &mut Sqlite, ids: Range<u64>) {
    let begun: Vec<_> = ids
        .clone()
        .map(|id| Record {
            end: None,
            ..last(id)
        })
        .collect();
    for tasks in begun.chunks(100) {
        write(store, tasks);
    }
    let ends = known(ids.filter(|id| is_ended(*id)).map(last));
    for tasks in ends.chunks(100) {
        write(store, tasks);
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

/// All in the database, as after an end in order.
fn whole() -> &'static Written {
    static WHOLE: OnceLock<Written> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = place();
        let mut store = open(&place.path, &owner("one")).unwrap();
        write_all(&mut store, 1..TASKS + 1);
        Box::new(store).close(seconds(1_200)).unwrap();
        let database = bytes(&place.path);
        assert!(database.len() / PAGE > 100);
        let wal = bytes(&beside(&place.path, "-wal"));
        assert!(wal.is_empty());
        Written { database, wal }
    })
}

/// The second half in the `-wal`, as after a kill.
fn killed() -> &'static Written {
    static KILLED: OnceLock<Written> = OnceLock::new();
    KILLED.get_or_init(|| {
        let place = place();
        let mut store = open(&place.path, &owner("one")).unwrap();
        write_all(&mut store, 1..TASKS / 2 + 1);
        store.empty_wal().unwrap();
        write_all(&mut store, TASKS / 2 + 1..TASKS + 1);
        drop(store);
        let wal = bytes(&beside(&place.path, "-wal"));
        assert!(wal.len() / PAGE > 100);
        let database = bytes(&place.path);
        Written { database, wal }
    })
}

fn put(place: &Place, written: &Written) {
    fs::write(&place.path, &written.database).unwrap();
    fs::write(beside(&place.path, "-wal"), &written.wal).unwrap();
}

/// How many files are damaged: `TASKPULSE_SEEDS` of them, where that is set.
fn seeds() -> u64 {
    let set = std::env::var("TASKPULSE_SEEDS").ok();
    set.map_or(400, |seeds| seeds.parse().unwrap())
}

/// Damages a file in one of the ways in which files are damaged.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    let at = dice.below(bytes.len());
    let start = at / PAGE * PAGE;
    let page = start..(start + PAGE).min(bytes.len());
    match dice.below(8) {
        0 => {
            bytes[at] ^= 1 << dice.below(8);
            format!("a bit at {at}")
        }
        1 => {
            bytes[at] = bytes[at].wrapping_add(1 + u8::try_from(dice.below(255)).unwrap());
            format!("a byte at {at}")
        }
        2 => {
            let end = (at + 16).min(bytes.len());
            bytes[at..end].fill_with(|| u8::try_from(dice.below(256)).unwrap());
            format!("16 bytes at {at}")
        }
        3 => {
            let sector = at / 512 * 512;
            let end = (sector + 512).min(bytes.len());
            bytes[sector..end].fill(0);
            format!("zeros in the sector at {sector}")
        }
        4 => {
            bytes[page].fill(0);
            format!("zeros in the page at {start}")
        }
        5 => {
            bytes[page].fill_with(|| u8::try_from(dice.below(256)).unwrap());
            format!("garbage in the page at {start}")
        }
        6 => {
            let from = dice.below(bytes.len()) / PAGE * PAGE;
            let length = page.len().min(bytes.len() - from);
            bytes.copy_within(from..from + length, start);
            format!("the page at {from} over the one at {start}")
        }
        _ => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
    }
}

/// What a store gave.
#[derive(Debug)]
enum Gave {
    /// It says that it is not whole, or what failed.
    Fault(Fault),
    /// This many tasks, and this many rows were not as they were written.
    Tasks { tasks: usize, unreadable: usize },
}

/// Does all that a process does with a store. Each task is one that was written.
fn use_it(store: &mut Sqlite, is_true: impl Fn(&Record<'_>) -> bool) -> Result<Gave, Fault> {
    let lost = store.lost()?;
    let history = store.history(usize::MAX, Duration::ZERO)?;
    let running = lost.rows.iter().map(|lost| &lost.task);
    let mut seen = BTreeMap::new();
    for task in running.chain(&history.rows) {
        assert!(is_true(task), "it was never so: {task:?}");
        assert!(seen.insert(task.id, ()).is_none(), "twice: {task:?}");
    }
    for lost in &lost.rows {
        assert!(
            ["one", "unknown"].contains(&lost.instance.as_str()),
            "{lost:?}"
        );
    }
    let next = store.next_id()?;
    assert!(next > 0);
    let gave = Gave::Tasks {
        tasks: seen.len(),
        unreadable: store.unreadable.len(),
    };
    let lost = known(lost.rows.into_iter().map(|lost| lost.task));
    let group = |tasks| Group {
        tasks,
        seen: seconds(1_300),
        ids_until: next,
    };
    store.write(&group(&lost))?;
    let fresh = [full(TASKS + 1), ended(&full(TASKS + 2), seconds(1))];
    store.write(&group(&fresh))?;
    while store.prune(100, Duration::ZERO)? {}
    let kept = store.history(usize::MAX, Duration::ZERO)?;
    for task in &kept.rows {
        assert!(is_true(task) || fresh.contains(task), "{task:?}");
    }
    store.tend()?;
    store.check()?;
    Ok(gave)
}

/// Opens, uses and closes it.
fn try_it(place: &Place, is_true: impl Fn(&Record<'_>) -> bool) -> Gave {
    let tried = open(&place.path, &owner("two")).and_then(|mut store| {
        let gave = use_it(&mut store, is_true)?;
        Box::new(store).close(seconds(1_400))?;
        Ok(gave)
    });
    tried.unwrap_or_else(Gave::Fault)
}

fn is_last(task: &Record<'_>) -> bool {
    *task == last(task.id.into())
}

/// What it was at the end, or before.
fn is_some_time(task: &Record<'_>) -> bool {
    is_last(task)
        || (task.end.is_none()
            && *task
                == Record {
                    end: None,
                    ..last(task.id.into())
                })
}

#[track_caller]
fn check_gave(gave: &Gave, what: &str) -> usize {
    match gave {
        Gave::Fault(fault) => {
            assert!(fault.message.contains("tasks.db"), "{what}: {fault}");
            0
        }
        Gave::Tasks { tasks, unreadable } => {
            let all = usize::try_from(TASKS).unwrap();
            assert_eq!(tasks + unreadable, all, "{what}: some vanished");
            *unreadable
        }
    }
}

#[test]
fn a_whole_file_gives_all_of_it() {
    for written in [whole(), killed()] {
        let place = place();
        put(&place, written);
        let gave = try_it(&place, is_last);
        assert_eq!(check_gave(&gave, "whole"), 0);
        assert!(matches!(gave, Gave::Tasks { .. }), "{gave:?}");
    }
}

#[test]
fn a_damaged_file_gives_what_was_written_or_a_fault() {
    let (mut faults, mut unreadable) = (0, 0);
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        let place = place();
        let mut database = whole().database.clone();
        let what = damage(&mut database, &mut dice);
        let what = format!("seed {seed}, {what}");
        fs::write(&place.path, &database).unwrap();
        let gave = try_it(&place, is_last);
        if let Gave::Fault(fault) = &gave {
            assert_ne!(fault.kind, FaultKind::Passing, "{what}: {fault}");
            faults += 1;
        }
        unreadable += usize::from(check_gave(&gave, &what) > 0);
    }
    // The seeds reach both: SQLite's own checks, and the sums of rows.
    assert!(faults > 100, "{faults}");
    assert!(unreadable > 20, "{unreadable}");
}

#[test]
fn a_file_that_is_damaged_while_it_is_open_gives_what_was_written_or_a_fault() {
    for seed in 0..seeds() / 4 {
        let mut dice = Dice(seed);
        let place = place();
        fs::write(&place.path, &whole().database).unwrap();
        let mut store = open(&place.path, &owner("two")).unwrap();
        let mut database = bytes(&place.path);
        damage(&mut database, &mut dice);
        fs::write(&place.path, &database).unwrap();
        // Whether it is noticed depends on which pages are in memory.
        let used = use_it(&mut store, is_last);
        let closed = used.and_then(|_| Box::new(store).close(seconds(1_400)));
        if let Err(fault) = closed {
            assert!(fault.message.contains("tasks.db"), "seed {seed}: {fault}");
        }
    }
}

#[test]
fn a_damaged_wal_gives_what_was_written_at_some_time_or_a_fault() {
    for seed in 0..seeds() / 4 {
        let mut dice = Dice(seed);
        let place = place();
        let mut wal = killed().wal.clone();
        damage(&mut wal, &mut dice);
        let database = killed().database.clone();
        put(&place, &Written { database, wal });
        try_it(&place, is_some_time);
    }
}

#[test]
fn a_file_that_is_cut_off_at_any_page_is_broken() {
    let database = &whole().database;
    for page in 1..database.len() / PAGE {
        let place = place();
        fs::write(&place.path, &database[..page * PAGE]).unwrap();
        let gave = try_it(&place, is_last);
        let Gave::Fault(fault) = gave else {
            panic!("cut off after {page} pages: {gave:?}");
        };
        assert_eq!(fault.kind, FaultKind::Broken, "{page}: {fault}");
    }
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let whole = &whole().database;
    for page in 1..whole.len() / PAGE {
        let place = place();
        let mut database = whole.clone();
        database[page * PAGE..(page + 1) * PAGE].fill(0);
        fs::write(&place.path, &database).unwrap();
        let fault = open(&place.path, &owner("two")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Broken, "page {page}: {fault}");
        assert!(bytes(&place.path) == database, "page {page}");
        assert!(
            bytes(&beside(&place.path, "-wal")).is_empty(),
            "page {page}"
        );
    }
}

#[test]
fn garbage_is_broken_and_left_as_it_was() {
    for length in [1, 15, 16, 100, 511, 512, 4_096, 100_000] {
        let place = place();
        let mut dice = Dice(length);
        let garbage: Vec<u8> = (0..length)
            .map(|_| u8::try_from(dice.below(256)).unwrap())
            .collect();
        fs::write(&place.path, &garbage).unwrap();
        let fault = open(&place.path, &owner("two")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Broken, "{length}: {fault}");
        assert_eq!(bytes(&place.path), garbage);
    }
}
