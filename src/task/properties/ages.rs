//! The lists of active tasks against a sorted set, with clocks that were read
//! in another order than the tasks came in.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::KindId;
use crate::task::ages::{Ages, Seat};

#[derive(Clone, Debug)]
enum Act {
    Enter { kind: usize, begun: u64 },
    Leave(Index),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..2usize, 0..50u64).prop_map(|(kind, begun)| Act::Enter { kind, begun }),
        2 => any::<Index>().prop_map(Act::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_oldest_is_known_in_any_order(acts in vec(act(), 1..1_500)) {
        let mut ages = Ages::new();
        let kinds = [KindId::of(3), KindId::OTHER];
        let mut inside: Vec<(usize, u64, Seat)> = Vec::new();
        for act in acts {
            match act {
                Act::Enter { kind, begun } => {
                    let seat = Seat::new();
                    ages.enter(kinds[kind], begun, &seat);
                    inside.push((kind, begun, seat));
                }
                Act::Leave(index) if !inside.is_empty() => {
                    let (kind, _, seat) = inside.swap_remove(index.index(inside.len()));
                    ages.leave(kinds[kind], &seat);
                }
                Act::Leave(_) => {}
            }
            for (at, kind) in kinds.iter().enumerate() {
                let begun = inside.iter().filter(|(kind, ..)| *kind == at);
                let oldest = begun.map(|(_, begun, _)| *begun).min();
                prop_assert_eq!(ages.oldest(*kind), oldest);
            }
        }
    }
}
