//! A file of each version, as it was written then, and any task whatever.

use proptest::{option, prelude::*};

use super::*;

/// A copy of the file of that version. `SNAPSHOTS=overwrite` makes the newest anew,
/// which is right as long as that version has not been released.
fn copy_of(version: usize) -> Place {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/store")
        .join(format!("v{version}.db"));
    let newest = version == schema::MIGRATIONS.len();
    let overwrites = std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite");
    if newest && overwrites {
        let place = place();
        let mut store = open(&place.path, &owner("one")).unwrap();
        write(&mut store, &[full(1), bare(2), full(3), bare(4)]);
        let ends = [ended(&full(3), seconds(9)), succeeded(&bare(4), seconds(7))];
        write(
            &mut store,
            &ends.map(|task| Record {
                known: true,
                ..task
            }),
        );
        Box::new(store).close(seconds(1_200)).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&place.path, &path).unwrap();
    }
    let place = place();
    fs::copy(&path, &place.path).unwrap();
    place
}

fn succeeded(task: &Record<'static>, duration: Duration) -> Record<'static> {
    let end = End {
        state: TaskState::Succeeded,
        duration,
        result: None,
        error: None,
        panicked: false,
    };
    Record {
        end: Some(end),
        ..task.clone()
    }
}

#[test]
fn a_file_of_each_version_is_read() {
    for version in 1..=schema::MIGRATIONS.len() {
        let place = copy_of(version);
        let mut store = open(&place.path, &owner("two")).unwrap();
        let lost = store.lost().unwrap();
        assert_eq!(lost.unreadable, 0);
        for (lost, task) in lost.rows.iter().zip([full(1), bare(2)]) {
            assert_eq!(lost.task, task, "version {version}");
            assert_eq!(lost.instance, "one");
            assert_eq!(lost.owner_seen, seconds(1_200));
        }
        assert_eq!(lost.rows.len(), 2);
        let history = store.history(10, Duration::ZERO).unwrap();
        let ends = [succeeded(&bare(4), seconds(7)), ended(&full(3), seconds(9))];
        assert_eq!(history.rows, ends, "version {version}");
        assert_eq!(store.next_id().unwrap(), 100);
        // And written.
        write(&mut store, &[full(100)]);
        while store.prune(0, Duration::ZERO).unwrap() {}
        assert_eq!(store.history(10, Duration::ZERO).unwrap().rows, []);
    }
}

fn any_text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![".*", "[\0-\u{7f}]{0,8}"].prop_map(Cow::Owned)
}

/// JSON text, as it is kept: without any order or spaces of ours.
fn any_json() -> impl Strategy<Value = Cow<'static, str>> {
    any_text()
        .prop_map(|text| Cow::Owned(serde_json::json!({ "a": text, "b": [1, 2.5] }).to_string()))
}

/// A time that is kept whole: up to the year 2262.
fn any_time() -> impl Strategy<Value = Duration> {
    (0..u64::try_from(i64::MAX / 2).unwrap()).prop_map(Duration::from_nanos)
}

fn any_trace() -> impl Strategy<Value = Trace> {
    any::<([u8; 16], [u8; 8], Option<[u8; 8]>, bool)>().prop_map(
        |(trace_id, span_id, parent_id, sampled)| Trace {
            trace_id,
            span_id,
            parent_id,
            sampled,
        },
    )
}

fn any_end() -> impl Strategy<Value = End<'static>> {
    let state = proptest::sample::select(&TaskState::ALL[1..]);
    let texts = (option::of(any_json()), option::of(any_text()));
    (state, any_time(), texts, any::<bool>()).prop_map(
        |(state, duration, (result, error), panicked)| End {
            state,
            duration,
            result,
            error,
            panicked,
        },
    )
}

prop_compose! {
    fn any_record()(
        id in 1..=TaskId::MAX,
        name in any_text(),
        metadata in any_json(),
        (session_id, request_id) in (option::of(any_text()), option::of(any_text())),
        baggage in option::of(any_json()),
        (file, line) in (any_text(), any::<u32>()),
        (begun, deadline, last_seen) in (any_time(), option::of(any_time()), option::of(any_time())),
        trace in option::of(any_trace()),
        progress in option::of(0.0..=1.0),
        progress_message in option::of(any_text()),
        end in option::of(any_end()),
    ) -> Record<'static> {
        Record {
            id: TaskId::try_from(id).unwrap(),
            known: false,
            name, metadata, session_id, request_id, baggage, file, line, begun, deadline,
            trace, last_seen, progress, progress_message, end,
        }
    }
}

fn read_back(store: &mut Sqlite) -> Vec<Record<'static>> {
    let lost = store.lost().unwrap();
    let history = store.history(10, Duration::ZERO).unwrap();
    assert_eq!((lost.unreadable, history.unreadable), (0, 0));
    let lost = lost.rows.into_iter().map(|lost| lost.task);
    lost.chain(history.rows).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_task_is_read_as_it_was_written(task in any_record(), later in any_record()) {
        let place = place();
        let mut store = open(&place.path, &owner("one")).unwrap();
        write(&mut store, std::slice::from_ref(&task));
        drop(store);
        let mut store = open(&place.path, &owner("two")).unwrap();
        prop_assert_eq!(read_back(&mut store), [task.clone()]);
        // What may change is what changes, whoever began it.
        let later = Record {
            known: true,
            last_seen: later.last_seen,
            progress: later.progress,
            progress_message: later.progress_message,
            end: later.end,
            ..task
        };
        write(&mut store, std::slice::from_ref(&later));
        prop_assert_eq!(read_back(&mut store), [Record { known: false, ..later }]);
    }
}

#[test]
fn times_beyond_what_can_be_stored_become_the_last_one() {
    let place = place();
    let mut store = open(&place.path, &owner("one")).unwrap();
    let task = Record {
        begun: Duration::MAX,
        deadline: Some(Duration::MAX),
        progress: Some(f64::NAN),
        ..ended(&full(1), Duration::MAX)
    };
    write(&mut store, &[task]);
    let task = store.history(1, Duration::ZERO).unwrap().rows.remove(0);
    let most = Duration::from_nanos(i64::MAX.unsigned_abs());
    assert_eq!(
        [
            task.begun,
            task.deadline.unwrap(),
            task.end.unwrap().duration
        ],
        [most; 3]
    );
    assert_eq!(task.progress, None);
}
