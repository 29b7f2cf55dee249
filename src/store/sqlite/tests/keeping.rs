//! What is kept, for how long, and what a group is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::StatementStatus;

use super::*;

fn ids(store: &mut Sqlite) -> Vec<u64> {
    let rows = store.history(usize::MAX, Duration::ZERO).unwrap().rows;
    rows.iter().map(|task| task.id.into()).collect()
}

/// A task that ended `at` this second.
fn ended_at(id: u64, at: u64) -> Record<'static> {
    let task = Record {
        begun: seconds(at - 1),
        ..full(id)
    };
    ended(&task, seconds(1))
}

#[test]
fn the_last_ends_are_kept_by_count_and_by_age() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    // Two ended in each second, and some run.
    let tasks: Vec<_> = (1..=20)
        .map(|id| ended_at(id, 1_000 - id / 2))
        .chain((21..=25).map(full))
        .collect();
    write(&mut store, &tasks);
    assert!(!store.prune(10, Duration::ZERO).unwrap());
    assert_eq!(ids(&mut store), [11, 8, 9, 6, 7, 4, 5, 2, 3, 1]);
    // What is too old is not read either, before it is forgotten.
    for (since, kept) in [(996, 9), (997, 7), (1_001, 0)] {
        let read = store.history(10, seconds(since)).unwrap().rows;
        assert_eq!(read.len(), kept, "{since}");
    }
    assert!(!store.prune(10, seconds(997)).unwrap());
    assert_eq!(ids(&mut store), [6, 7, 4, 5, 2, 3, 1]);
    assert!(!store.prune(10, seconds(2_000)).unwrap());
    assert_eq!(ids(&mut store), [0; 0]);
    drop(store);
    let mut store = open(&place.path, &owner("two")).unwrap();
    assert_eq!(store.lost().unwrap().rows.len(), 5, "what runs stays");
    assert_eq!(store.next_id().unwrap(), 100);
}

#[test]
fn many_are_forgotten_a_few_at_a_time_and_their_room_is_given_back() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let tasks: Vec<_> = (1..=20_000).map(|id| ended_at(id, 1_000 + id)).collect();
    for tasks in tasks.chunks(2_000) {
        write(&mut store, tasks);
    }
    store.tend().unwrap();
    let before = fs::metadata(&place.path).unwrap().len();
    let mut left = 20_000;
    while store.prune(100, Duration::ZERO).unwrap() {
        let now = ids(&mut store).len();
        assert!(left - now <= 500, "{left} to {now}");
        left = now;
        store.tend().unwrap();
        store.check().unwrap();
    }
    assert_eq!(ids(&mut store), (19_901..=20_000).collect::<Vec<_>>());
    Box::new(store).close(seconds(1_200)).unwrap();
    let after = fs::metadata(&place.path).unwrap().len();
    assert!(before > 5_000_000 && after < 2_500_000, "{before}, {after}");
}

/// To forget some takes no longer the more there are.
#[test]
fn ended_tasks_are_counted_once_and_not_with_each_few_that_are_forgotten() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let fill = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 50000)
                INSERT INTO task SELECT id, 'failed', id, 1, 0, NULL, NULL, NULL, NULL, NULL, x'',
                1, 1, NULL, NULL, NULL, NULL, NULL, 1, '', '', NULL, NULL, NULL, '', x'' FROM n";
    store.database.execute_batch(fill).unwrap();
    // The steps of SQLite's machine that this has taken since the file was opened.
    let steps = |store: &Sqlite, sql| {
        let statement = store.database.prepare_cached(sql).unwrap();
        statement.get_status(StatementStatus::VmStep)
    };
    let mut counted = None;
    for round in 1..=4 {
        assert!(store.prune(100, seconds(1_000)).unwrap());
        let (ended, old) = (steps(&store, forget::ENDED), steps(&store, forget::OLD));
        counted.get_or_insert(ended);
        assert_eq!(counted, Some(ended), "{round}");
        assert!(ended > 50_000, "{ended}");
        assert!((500..10_000 * round).contains(&old), "{round}: {old}");
        write(
            &mut store,
            &[full(60_000 + u64::from(round.unsigned_abs()))],
        );
    }
}

#[test]
fn a_group_is_written_whole_or_not_at_all() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    // A second row fails: the database refuses what this trigger says.
    let refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.task WHEN new.id = 3
                  BEGIN SELECT raise(FAIL, 'no'); END";
    let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    store.database.set_db_config(setting, true).unwrap();
    store.database.execute_batch(refuse).unwrap();
    let tasks = [full(2), full(3), full(4)];
    let group = Group {
        tasks: &tasks,
        seen: seconds(1_500),
        ids_until: 1_000,
    };
    for _ in 0..2 {
        store.write(&group).unwrap_err();
        assert_eq!(store.next_id().unwrap(), 100);
    }
    store.database.set_db_config(setting, false).unwrap();
    drop(store);
    let mut store = open(&place.path, &owner("two")).unwrap();
    let lost = store.lost().unwrap().rows;
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0].owner_seen, seconds(1_100));
    assert_eq!(store.next_id().unwrap(), 100);
    store.write(&group).unwrap();
    assert_eq!(store.next_id().unwrap(), 1_000);
}

#[test]
fn ids_never_go_back() {
    let place = place();
    for (round, ids_until, next) in [(0, 50, 50), (1, 40, 50), (2, u64::MAX, TaskId::MAX + 1)] {
        let mut store = open(&place.path, &owner("one")).unwrap();
        let group = Group {
            tasks: &[],
            seen: seconds(1_100 + round),
            ids_until,
        };
        store.write(&group).unwrap();
        assert_eq!(store.next_id().unwrap(), next);
        drop(store);
        let mut store = open(&place.path, &owner("two")).unwrap();
        assert_eq!(store.next_id().unwrap(), next);
    }
}

#[test]
fn ids_go_on_after_any_task_that_is_there() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(500)]);
    drop(store);
    let mut store = open(&place.path, &owner("two")).unwrap();
    assert_eq!(store.next_id().unwrap(), 501, "whatever was reserved");
}

#[test]
fn a_damaged_row_is_left_out_counted_and_forgotten() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let tasks: Vec<_> = (1..=4)
        .map(full)
        .chain((5..=8).map(|id| ended_at(id, 1_000)))
        .collect();
    write(&mut store, &tasks);
    drop(store);
    let database = Connection::open(&place.path).unwrap();
    for damage in [
        "UPDATE task SET name = 'data_prkcessing' WHERE id = 1",
        "UPDATE task SET state = 'succeeded', ended_at = 1, duration = 1 WHERE id = 2",
        "UPDATE task SET metadata = '{\"a\":1}' WHERE id = 3",
        "UPDATE task SET name = CAST(x'ff' AS TEXT) WHERE id = 5",
        "UPDATE task SET ended_at = NULL WHERE id = 6",
        "UPDATE task SET id = 9 WHERE id = 7",
    ] {
        assert_eq!(database.execute(damage, []).unwrap(), 1);
    }
    drop(database);
    let mut store = open(&place.path, &owner("two")).unwrap();
    let lost = store.lost().unwrap();
    assert_eq!(
        lost.rows
            .iter()
            .map(|lost| lost.task.clone())
            .collect::<Vec<_>>(),
        [full(4)]
    );
    let history = store.history(10, Duration::ZERO).unwrap();
    assert_eq!(history.rows, [ended_at(8, 1_000)]);
    assert_eq!((lost.unreadable, history.unreadable), (3, 3));
    while store.prune(10, Duration::ZERO).unwrap() {}
    let (lost, history) = (
        store.lost().unwrap(),
        store.history(10, Duration::ZERO).unwrap(),
    );
    assert_eq!((lost.unreadable, history.unreadable), (0, 0));
    assert_eq!((lost.rows.len(), history.rows.len()), (1, 1));
}

#[test]
fn an_index_that_does_not_fit_its_table_is_made_anew() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let tasks: Vec<_> = (1..=6).map(|id| ended_at(id, 1_000)).collect();
    write(&mut store, &tasks);
    Box::new(store).close(seconds(1_200)).unwrap();
    // Hides the index, changes the table, shows the index again.
    let change = |sql: &str| {
        let database = Connection::open(&place.path).unwrap();
        database.execute_batch(sql).unwrap();
    };
    let database = Connection::open(&place.path).unwrap();
    let sql = "SELECT format('PRAGMA writable_schema = ON; INSERT INTO sqlite_schema
               VALUES (%Q, %Q, %Q, %d, %Q)', type, name, tbl_name, rootpage, sql)
               FROM sqlite_schema WHERE name = 'task_ended'";
    let show: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(database);
    change("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'task_ended'");
    change("DELETE FROM task WHERE id IN (2, 3); UPDATE task SET id = 7 WHERE id = 6");
    change(&show);
    let mut store = open(&place.path, &owner("two")).unwrap();
    let history = store.history(10, Duration::ZERO).unwrap();
    // 6 became 7, which its sum does not bear out.
    assert_eq!((ids(&mut store), history.unreadable), (vec![1, 4, 5], 1));
    while store.prune(1, Duration::ZERO).unwrap() {}
    assert_eq!(ids(&mut store), [5]);
}

#[test]
fn a_process_that_no_task_refers_to_is_forgotten() {
    let place = place();
    for round in 0..5 {
        let mut store = open(&place.path, &owner("one")).unwrap();
        if round == 2 {
            write(&mut store, &[full(1)]);
        }
        Box::new(store).close(seconds(1_200)).unwrap();
    }
    let store = open(&place.path, &owner("six")).unwrap();
    // The third, which has a task, and itself.
    assert_eq!(run::all(&store.database).unwrap().len(), 2);
}

#[test]
fn damage_to_a_process_hides_none_of_its_tasks() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    write(&mut store, &[full(1)]);
    drop(store);
    let database = Connection::open(&place.path).unwrap();
    database
        .execute("UPDATE run SET instance = 'onf'", [])
        .unwrap();
    drop(database);
    let mut store = open(&place.path, &owner("two")).unwrap();
    let lost = store.lost().unwrap().rows;
    assert_eq!(lost[0].task, full(1));
    assert_eq!(
        (lost[0].instance.as_str(), lost[0].owner_seen),
        ("unknown", full(1).begun)
    );
}

/// What is done to a store, and to a map that shows what must come of it.
#[derive(Clone, Debug)]
enum Op {
    /// Writes tasks: ids, and after how many seconds each ended.
    Write(Vec<(u64, Option<u64>)>),
    Prune {
        most: usize,
        since: u64,
    },
    Tend,
    Kill,
    Close,
}

fn any_op() -> impl Strategy<Value = Op> {
    let task = (1..40u64, proptest::option::of(1..50u64));
    prop_oneof![
        4 => proptest::collection::vec(task, 0..10).prop_map(Op::Write),
        1 => (0..20usize, 900..1_100u64).prop_map(|(most, since)| Op::Prune { most, since }),
        1 => Just(Op::Tend),
        1 => Just(Op::Kill),
        1 => Just(Op::Close),
    ]
}

/// The map's ended tasks, by end.
fn by_end(model: &BTreeMap<u64, Option<u64>>) -> Vec<(u64, u64)> {
    let ends = model.iter().filter_map(|(id, end)| Some(((*end)?, *id)));
    let mut ends: Vec<_> = ends.collect();
    ends.sort_unstable();
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_a_file_is_as_the_model_has_it(ops in proptest::collection::vec(any_op(), 1..20)) {
        let place = place();
        let mut model: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        let mut store = open(&place.path, &owner("one")).unwrap();
        for op in ops {
            match op {
                Op::Write(tasks) => {
                    let rows: Vec<_> = tasks
                        .iter()
                        .map(|(id, end)| Record {
                            known: model.contains_key(id),
                            ..end.map_or_else(|| full(*id), |end| ended(&Record { begun: seconds(1_000), ..full(*id) }, seconds(end)))
                        })
                        .collect();
                    // A row that is there keeps its begin.
                    let rows: Vec<_> = rows.into_iter().map(|row| Record { begun: seconds(1_000), ..row }).collect();
                    write(&mut store, &rows);
                    model.extend(tasks.into_iter().map(|(id, end)| (id, end.map(|end| 1_000 + end))));
                }
                Op::Prune { most, since } => {
                    while store.prune(most, seconds(since)).unwrap() {}
                    let ends = by_end(&model);
                    let surplus = ends.len().saturating_sub(most);
                    for (at, (end, id)) in ends.into_iter().enumerate() {
                        if at < surplus || end < since {
                            model.remove(&id);
                        }
                    }
                }
                Op::Tend => store.tend().unwrap(),
                Op::Kill => {
                    drop(store);
                    store = open(&place.path, &owner("again")).unwrap();
                }
                Op::Close => {
                    Box::new(store).close(seconds(1_200)).unwrap();
                    store = open(&place.path, &owner("again")).unwrap();
                }
            }
            store.check().unwrap();
            let history: Vec<_> = by_end(&model).into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(ids(&mut store), history);
        }
        drop(store);
        let mut store = open(&place.path, &owner("last")).unwrap();
        let lost: Vec<u64> = store.lost().unwrap().rows.iter().map(|lost| lost.task.id.into()).collect();
        let running: Vec<u64> = model.iter().filter(|(_, end)| end.is_none()).map(|(id, _)| *id).collect();
        prop_assert_eq!(lost, running);
    }
}
