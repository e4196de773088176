//! Orders of candidates made by hand, and what holds of any evidence.

use proptest::prelude::*;

use super::*;

/// Candidates with the given forms, one letter each.
fn candidates(forms: &str) -> Evidence {
    let candidate = |(index, form): (usize, char)| CandidateEvidence {
        name: format!("attempt-{}", index + 1),
        form: form.to_string(),
        lines: 2,
        tokens: 100 + index,
        ..CandidateEvidence::default()
    };
    Evidence {
        schema: EVIDENCE_SCHEMA,
        candidates: forms.chars().enumerate().map(candidate).collect(),
        ..Evidence::default()
    }
}

fn with(mut evidence: Evidence, source: TestSource, votes: usize, cells: &str) -> Evidence {
    let cells = serde_json::from_value(cells.into()).unwrap();
    evidence.tests.push(TestColumn {
        name: format!("test {}", evidence.tests.len()),
        source,
        asks: format!("f({})", evidence.tests.len()),
        given: false,
        votes,
        cells,
    });
    evidence
}

fn first(evidence: &Evidence, rule: Rule) -> usize {
    order(evidence, rule, &Weights::default())[0].index
}

#[test]
fn the_published_rule_counts_tests_then_patches_then_tokens() {
    use TestSource::{Passing, Written};
    let base = candidates("aab");
    assert_eq!(first(&with(base.clone(), Passing, 1, "--+"), Rule::Published), 2);
    assert_eq!(first(&with(base.clone(), Written, 1, "--+"), Rule::Published), 2);
    assert_eq!(
        first(&base, Rule::Published),
        0,
        "the most frequent, with the fewest tokens"
    );
    let mut dear = base.clone();
    dear.candidates[0].tokens = 900;
    assert_eq!(first(&dear, Rule::Published), 1);
    // Only the five most frequent written tests count.
    let many = (0..5).fold(base, |evidence, _| with(evidence, Written, 3, "+--"));
    let many = (0..9).fold(many, |evidence, _| with(evidence, Written, 1, "--+"));
    assert_eq!(first(&many, Rule::Published), 0);
}

#[test]
fn the_most_frequent_patch_is_first_by_majority() {
    assert_eq!(first(&candidates("abb"), Rule::Majority), 1);
    let mut refused = candidates("abb");
    for index in [1, 2] {
        refused.candidates[index].refused = Some("it does not apply".to_owned());
    }
    assert_eq!(first(&refused, Rule::Majority), 0);
}

#[test]
fn tests_that_agree_outweigh_a_frequent_patch() {
    use TestSource::Written;
    let evidence = with(
        with(candidates("aaabc"), Written, 3, "---++"),
        Written,
        3,
        "----+",
    );
    assert_eq!(first(&evidence, Rule::Weighed), 4);
}

#[test]
fn one_odd_test_does_not_outweigh_those_that_agree() {
    use TestSource::Written;
    let agreeing = (0..3).fold(candidates("abcd"), |evidence, _| {
        with(evidence, Written, 2, "+++-")
    });
    let evidence = with(agreeing, Written, 1, "---+");
    assert_ne!(first(&evidence, Rule::Weighed), 3);
}

#[test]
fn one_idea_does_not_vote_ten_times() {
    use TestSource::Written;
    // Ten tests of one outcome against two of different outcomes that the other passes, too.
    let repeated = (0..10).fold(candidates("ab"), |evidence, _| with(evidence, Written, 1, "-+"));
    let weights = Weights {
        repetition: 0.0,
        ..Weights::default()
    };
    let once = with(candidates("ab"), Written, 1, "-+");
    let confidence = |evidence: &Evidence| order(evidence, Rule::Weighed, &weights)[0].confidence.unwrap();
    assert!((confidence(&repeated) - confidence(&once)).abs() < 1e-9);
}

#[test]
fn a_broken_test_is_a_veto_that_many_can_lift() {
    use TestSource::{Failing, Passing};
    let evidence = with(candidates("ab"), Passing, 1, "-+");
    assert_eq!(first(&evidence, Rule::Weighed), 1);
    // All who fix what failed contradict the old test: it asks for what the issue complains of.
    let fixing = with(with(candidates("abcd"), Failing, 1, "+++-"), Passing, 1, "---+");
    assert_ne!(first(&fixing, Rule::Weighed), 3);
}

#[test]
fn doing_nothing_never_wins() {
    use TestSource::Passing;
    let mut evidence = with(candidates("ab"), Passing, 1, "+-");
    evidence.candidates[0].signs = vec![Sign::NoCode];
    assert_eq!(first(&evidence, Rule::Weighed), 1);
}

#[test]
fn a_cheat_loses_against_the_same_outcomes_without_a_sign() {
    use TestSource::Failing;
    for sign in [
        Sign::ExpectedValue,
        Sign::SwallowsErrors,
        Sign::EndsProcess,
        Sign::TouchesRunner,
        Sign::WeakensTests,
    ] {
        let mut evidence = with(candidates("aaab"), Failing, 1, "++++");
        for candidate in &mut evidence.candidates[..3] {
            candidate.signs = vec![sign];
        }
        assert_eq!(first(&evidence, Rule::Weighed), 3, "{sign:?}");
    }
}

#[test]
fn the_form_of_files_is_read_again() {
    let evidence = with(candidates("ab"), TestSource::Written, 2, "+?");
    let text = serde_json::to_string(&evidence).unwrap();
    assert!(text.contains("\"cells\":\"+?\""), "{text}");
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    let wrong = text.replace("+?", "+x");
    assert!(serde_json::from_str::<Evidence>(&wrong).is_err());
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let column = (0..3_u8, 1..4_usize, proptest::collection::vec(0..3_u8, 6));
    let sign = proptest::sample::select(vec![Sign::NoCode, Sign::SwallowsErrors, Sign::Elsewhere]);
    let candidate = (
        0..3_u8,
        0..8_u8,
        proptest::collection::vec(sign, 0..2),
        any::<bool>(),
    );
    (
        proptest::collection::vec(candidate, 1..6),
        proptest::collection::vec(column, 0..6),
    )
        .prop_map(|(made, columns)| {
            let mut evidence = Evidence::default();
            for (index, (form, kind, signs, verified)) in made.into_iter().enumerate() {
                evidence.candidates.push(CandidateEvidence {
                    name: index.to_string(),
                    form: form.to_string(),
                    refused: (kind == 0).then(|| "no".to_owned()),
                    verified: verified && kind != 0,
                    only_tests: kind == 1,
                    signs,
                    ..CandidateEvidence::default()
                });
            }
            for (source, votes, cells) in columns {
                let source =
                    [TestSource::Failing, TestSource::Passing, TestSource::Written][usize::from(source)];
                let cell = |cell: u8| [Cell::Passed, Cell::Failed, Cell::Unknown][usize::from(cell)];
                evidence.tests.push(TestColumn {
                    name: String::new(),
                    source,
                    asks: String::new(),
                    given: false,
                    votes,
                    cells: Cells(cells.into_iter().map(cell).collect()),
                });
            }
            evidence
        })
}

/// Evidence as it can come to be: the same code has the same outcomes, and what could not be tried has none, and is like nothing else.
fn possible(mut evidence: Evidence) -> Evidence {
    for (index, candidate) in evidence.candidates.iter_mut().enumerate() {
        if candidate.refused.is_some() {
            candidate.form = format!("refused {index}");
        }
    }
    let forms: Vec<String> = evidence
        .candidates
        .iter()
        .map(|candidate| candidate.form.clone())
        .collect();
    let tried: Vec<bool> = (0..forms.len()).map(|index| evidence.is_tried(index)).collect();
    for test in &mut evidence.tests {
        for (index, form) in forms.iter().enumerate() {
            let first = forms.iter().position(|other| other == form).unwrap();
            test.cells.0[index] = if tried[index] {
                test.cells.0[first]
            } else {
                Cell::Unknown
            };
        }
    }
    evidence
}

proptest! {
    #[test]
    fn every_candidate_has_one_place_and_a_probability(evidence in any_evidence()) {
        for rule in [Rule::Majority, Rule::Published, Rule::Weighed] {
            let places = order(&evidence, rule, &Weights::default());
            let mut seen: Vec<usize> = places.iter().map(|place| place.index).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..evidence.candidates.len()).collect::<Vec<_>>());
            let refused: Vec<bool> = places.iter().map(|place| evidence.candidates[place.index].refused.is_some()).collect();
            prop_assert!(refused.is_sorted());
            for place in &places {
                prop_assert!(place.confidence.is_none_or(|confidence| (0.0..=1.0).contains(&confidence)));
                prop_assert!(!place.reasons.iter().any(String::is_empty));
            }
        }
    }

    /// What is ranked are behaviours: a test that tells the leader from those who were like it takes their support away.
    #[test]
    fn a_written_test_that_only_the_leading_behaviour_passes_never_costs_it_its_place(evidence in any_evidence(), votes in 1..3_usize) {
        let evidence = possible(evidence);
        let forms: Vec<&str> = evidence.candidates.iter().map(|candidate| candidate.form.as_str()).collect();
        let row = |index: usize| -> Vec<Cell> { evidence.tests.iter().map(|test| test.cells.of(index)).collect() };
        let telling = evidence.tests.iter().any(|test| test.source != TestSource::Passing);
        let before = order(&evidence, Rule::Weighed, &Weights::default());
        let leader = before[0].index;
        let like_leader = |index: usize| forms.get(index) == forms.get(leader) || telling && row(index) == row(leader);
        let cell = |index: usize| {
            match (evidence.is_tried(index), like_leader(index)) {
                (false, _) => Cell::Unknown,
                (true, true) => Cell::Passed,
                (true, false) => Cell::Failed,
            }
        };
        let cells = Cells((0..6).map(cell).collect());
        let mut more = evidence.clone();
        more.tests.push(TestColumn { name: String::new(), source: TestSource::Written, asks: "new".to_owned(), given: false, votes, cells });
        let after = order(&more, Rule::Weighed, &Weights::default());
        prop_assert!(like_leader(after[0].index), "{after:?}");
    }
}

#[test]
fn to_fail_alike_is_no_agreement() {
    // The four others are not one opinion for all failing the only test there is.
    let evidence = with(candidates("abcde"), TestSource::Written, 1, "----+");
    assert_eq!(first(&evidence, Rule::Weighed), 4);
}
