//! Gathering written tests, and reading what they print. Running them is tested through `cwm fix`.

use super::*;

fn written(script: &str) -> WrittenTest {
    WrittenTest {
        name: script.to_owned(),
        asks: String::new(),
        script: script.to_owned(),
    }
}

#[test]
fn a_sample_has_one_vote_for_a_test_however_it_is_laid_out() {
    let samples = [
        vec![written("assert f(1) == 'a'"), written("assert f(1)=='a'")],
        vec![written("assert f( 1 ) == \"a\""), written("assert f(2)")],
        vec![written("assert f(3)")],
    ];
    let votes: Vec<(String, usize)> = gather(&samples)
        .into_iter()
        .map(|test| (test.written.name, test.votes))
        .collect();
    let expected = [("assert f(1) == 'a'", 2), ("assert f(2)", 1), ("assert f(3)", 1)];
    assert_eq!(votes, expected.map(|(name, votes)| (name.to_owned(), votes)));
}

#[test]
fn only_marked_phrases_count_and_all_must_say_the_same() {
    let script = marked("print('Issue resolved')\nprint('Other issues')", "77");
    assert_eq!(script, "print('Issue resolved 77')\nprint('Other issues 77')");
    assert_eq!(told("Issue resolved 77\n", "77"), Said::Resolved);
    assert_eq!(told("x\nIssue reproduced 77\n", "77"), Said::Reproduced);
    // What the code under test prints by itself is no word of the test's.
    assert_eq!(told("Issue resolved\n", "77"), Said::Other);
    assert_eq!(
        told("Issue resolved\nIssue reproduced 77\n", "77"),
        Said::Reproduced
    );
    assert_eq!(
        told("Issue resolved 77\nIssue reproduced 77\n", "77"),
        Said::Other
    );
    assert_eq!(told("", "77"), Said::Other);
}

#[test]
fn marks_are_not_the_same_twice() {
    assert_ne!(rand_mark(), rand_mark());
}
