//! Which names are known, and that there is an end to them.

use std::{collections::BTreeSet, thread};

use super::{
    Clock, Duration, KindId, Kinds, Limits, OTHER, Pair, Registry, TaskState, begun, new_task,
    tally,
};

fn registry() -> Registry<()> {
    Pair::new(Duration::from_secs(1), 10).registry
}

fn labels(registry: &Registry<()>) -> BTreeSet<String> {
    tally::all(registry).into_keys().collect()
}

#[test]
fn names_beyond_the_greatest_number_share_a_label() {
    let registry = registry();
    for n in 0..Kinds::MOST {
        registry.declare(&format!("known {n}"));
    }
    assert_eq!(labels(&registry).len(), Kinds::MOST);
    assert!(!labels(&registry).contains(OTHER), "nothing is there yet");
    assert!(!registry.overflowed());

    let event = registry.begin(new_task("one too many"), ()).unwrap();
    assert_eq!(
        (&*event.task.name, event.task.label()),
        ("one too many", OTHER)
    );
    assert!(registry.announced(&event).is_none());
    assert!(registry.overflowed(), "it is told");
    begun(&registry, "two too many").unwrap();
    assert!(!registry.overflowed(), "it is told once");

    let event = registry.begin(new_task("known 7"), ()).unwrap();
    assert_eq!(event.task.label(), "known 7");
    assert!(registry.announced(&event).is_none());
    let kinds = tally::all(&registry);
    assert_eq!(kinds.len(), Kinds::MOST + 1);
    assert_eq!(kinds[OTHER].active, 2);
    assert_eq!(kinds["known 7"].active, 1);
}

/// It takes no known name's place, nor does it say that there are too many.
#[test]
fn a_task_may_be_named_as_the_label_of_others() {
    let registry = registry();
    let event = registry.begin(new_task(OTHER), ()).unwrap();
    assert_eq!((&*event.task.name, event.task.label()), (OTHER, OTHER));
    assert_eq!(event.task.kind, KindId::OTHER);
    assert!(registry.announced(&event).is_none());
    for n in 0..Kinds::MOST {
        registry.declare(&format!("known {n}"));
    }
    registry.declare(OTHER);
    assert!(!registry.overflowed());
    assert_eq!(labels(&registry).len(), Kinds::MOST + 1);
    registry.declare("one too many");
    assert!(registry.overflowed());
    assert_eq!(tally::all(&registry)[OTHER].active, 1);
}

#[test]
fn a_declared_name_is_born_at_zero() {
    let registry = registry();
    registry.declare("later");
    registry.declare("later");
    let kind = registry.kinds().next().unwrap();
    assert_eq!(&*kind.label, "later");
    assert_eq!((kind.active(), kind.oldest()), (0, None));
    assert!(TaskState::ALL.iter().all(|state| kind.entered(*state) == 0));
}

#[test]
fn a_refused_task_makes_no_name_known() {
    let registry = registry();
    registry.set_max_active(0);
    assert!(registry.begin(new_task("refused"), ()).is_err());
    assert_eq!(registry.kinds().count(), 0);
}

#[test]
fn tasks_share_the_text_of_a_known_name() {
    let registry = registry();
    let [one, other] = ["shared"; 2].map(|name| registry.begin(new_task(name), ()).unwrap());
    assert!(std::ptr::eq(&*one.task.name, &*other.task.name));
    assert_eq!(one.task.kind, other.task.kind);
}

/// However many threads bring new names at once, each of 50 is known once, and
/// a name is known from its first task on or never.
#[test]
fn threads_that_bring_new_names_make_each_known_once() {
    for _ in 0..50 {
        let limits = Limits {
            history: 1,
            max_active: Limits::NO_LIMIT,
        };
        let registry: Registry<()> = Registry::new(limits, Clock::system());
        let told: usize = thread::scope(|scope| {
            let work = |start: usize| {
                let registry = &registry;
                move || {
                    let told = (0..70).map(|n| {
                        begun(registry, &format!("name {}", (n + start) % 70)).unwrap();
                        usize::from(registry.overflowed())
                    });
                    told.sum::<usize>()
                }
            };
            let threads: Vec<_> = [0, 0, 10, 40].map(|start| scope.spawn(work(start))).into();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(told, 1, "told once");
        let kinds = tally::all(&registry);
        assert_eq!(kinds.len(), Kinds::MOST + 1);
        for (label, tally) in &kinds {
            let tasks = if label == OTHER { 4 * 20 } else { 4 };
            assert_eq!(tally.active, tasks, "{label}");
            assert_eq!(tally.entered["running"], tasks, "{label}");
        }
    }
}
