//! The order of candidates.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::suite::{Comparison, TestCommand, TestRun};

/// A candidate in numbers.
#[derive(Debug, Clone)]
struct Made {
    refused: bool,
    verified: bool,
    fixed: usize,
    broken: usize,
    new_failing: usize,
    hangs: bool,
    lines: usize,
    content: u8,
}

const PLAIN: Made = Made {
    refused: false,
    verified: false,
    fixed: 1,
    broken: 0,
    new_failing: 0,
    hangs: false,
    lines: 3,
    content: 0,
};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("test {number}")).collect()
}

fn verdict(made: &Made) -> Verdict {
    let hanging = TestRun {
        command: TestCommand::given("make test"),
        ending: RunEnding::TimedOut,
        exit_code: None,
        tests: BTreeMap::new(),
        selected: BTreeSet::new(),
        output: String::new(),
        seconds: 0.0,
    };
    Verdict {
        attempt: String::new(),
        refused: made.refused.then(|| "no".to_owned()),
        runs: made.hangs.then_some(hanging).into_iter().collect(),
        changes: Comparison {
            fixed: names(made.fixed),
            broken: names(made.broken),
            new_failing: names(made.new_failing),
            ..Comparison::default()
        },
        flaky: Vec::new(),
        test_files: Vec::new(),
        verified: made.verified,
        but_for_still_failing: false,
        remarks: Vec::new(),
        seconds: 0.0,
    }
}

fn measure(made: &Made) -> Measure {
    Measure {
        lines: made.lines,
        content: vec![made.content],
        ..Measure::default()
    }
}

fn order(all: &[Made]) -> Vec<usize> {
    let verdicts = all.iter().map(verdict).collect();
    let measures: Vec<Measure> = all.iter().map(measure).collect();
    rank(verdicts, &measures)
        .iter()
        .map(|place| place.index)
        .collect()
}

#[test]
fn each_rule_decides_where_those_before_are_silent() {
    let better = [
        (
            Made { fixed: 0, ..PLAIN },
            Made {
                refused: true,
                verified: true,
                ..PLAIN
            },
            "tried",
        ),
        (
            Made {
                verified: true,
                lines: 900,
                ..PLAIN
            },
            Made { fixed: 7, ..PLAIN },
            "verified",
        ),
        (
            Made {
                fixed: 2,
                lines: 99,
                ..PLAIN
            },
            PLAIN,
            "fixes more",
        ),
        (
            PLAIN,
            Made {
                fixed: 2,
                broken: 1,
                lines: 1,
                ..PLAIN
            },
            "one broken is worse than one not fixed",
        ),
        (
            PLAIN,
            Made {
                fixed: 2,
                new_failing: 1,
                lines: 1,
                ..PLAIN
            },
            "one that is new and fails is worse than one not fixed",
        ),
        (
            Made { lines: 99, ..PLAIN },
            Made { hangs: true, ..PLAIN },
            "fewer doubts",
        ),
        (Made { lines: 2, ..PLAIN }, PLAIN, "smaller"),
        (PLAIN, PLAIN, "first"),
    ];
    for (good, bad, why) in better {
        assert_eq!(order(&[good.clone(), bad.clone()]), [0, 1], "{why}");
        if why != "first" {
            assert_eq!(order(&[bad, good]), [1, 0], "{why}");
        }
    }
}

#[test]
fn tests_that_vouch_for_themselves_come_last() {
    let verdicts = vec![
        verdict(&Made { fixed: 9, ..PLAIN }),
        verdict(&Made { fixed: 0, ..PLAIN }),
    ];
    let of_tests = Measure {
        only_tests: true,
        ..measure(&PLAIN)
    };
    let places = rank(verdicts, &[of_tests, measure(&Made { content: 1, ..PLAIN })]);
    assert_eq!(places[0].index, 1);
}

#[test]
fn what_more_came_to_is_better_and_stands_together() {
    let of = |content| Made { content, ..PLAIN };
    assert_eq!(order(&[of(1), of(2), of(1), of(2), of(2)]), [1, 3, 4, 0, 2]);
    assert_eq!(order(&[of(1), of(2), of(1), of(2)]), [0, 2, 1, 3]);
}

fn any_made() -> impl Strategy<Value = Made> {
    (
        any::<bool>(),
        any::<bool>(),
        0..4_usize,
        0..3_usize,
        any::<bool>(),
        0..4_usize,
    )
        .prop_map(|(refused, verified, fixed, broken, hangs, lines)| Made {
            refused,
            verified,
            fixed,
            broken,
            new_failing: 0,
            hangs,
            lines,
            content: 0,
        })
}

proptest! {
    /// Whatever the order in which candidates are given, the same ones come out in the same order.
    #[test]
    fn the_order_given_does_not_matter(all in proptest::collection::vec(any_made(), 1..9), seed in any::<u64>()) {
        // Of contents of their own, so that there are no groups.
        let all: Vec<Made> = all.into_iter().zip(0..).map(|(made, content)| Made { content, ..made }).collect();
        let mut mixed = all.clone();
        mixed.sort_by_key(|made| (u64::from(made.content) + 1).wrapping_mul(seed | 1).rotate_left(17));
        let told = |all: &[Made]| -> Vec<String> {
            order(all).into_iter().map(|index| format!("{:?}", Made { content: 0, ..all[index].clone() })).collect()
        };
        prop_assert_eq!(told(&all), told(&mixed));
    }

    /// Everyone has one place; the refused are last; a verified one is first where there is one.
    #[test]
    fn everyone_has_a_place(all in proptest::collection::vec(any_made(), 0..9)) {
        let places = order(&all);
        let mut sorted = places.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..all.len()).collect::<Vec<_>>());
        let refused: Vec<bool> = places.iter().map(|&index| all[index].refused).collect();
        prop_assert!(refused.is_sorted());
        if let Some(&best) = places.first() {
            let good = |made: &Made| made.verified && !made.refused;
            prop_assert_eq!(good(&all[best]), all.iter().any(good));
        }
        // What is better than a second is better than all that the second is better than: any three keep their order alone.
        for three in places.windows(3) {
            let alone: Vec<Made> = three.iter().enumerate().map(|(content, &index)| Made { content: content as u8, ..all[index].clone() }).collect();
            prop_assert_eq!(order(&alone), [0, 1, 2]);
        }
    }
}
