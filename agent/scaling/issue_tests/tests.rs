//! Gathering written tests. Running them is tested through `cwm fix`.

use super::*;

fn written(script: &str) -> WrittenTest {
    WrittenTest {
        name: script.to_owned(),
        asks: String::new(),
        script: script.to_owned(),
        file: None,
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
fn tests_of_older_journals_are_scripts() {
    let old: WrittenTest = serde_json::from_str(r#"{"name": "a", "script": "b"}"#).unwrap();
    assert_eq!(old.file, None);
    assert_eq!(
        serde_json::to_string(&old).unwrap(),
        r#"{"name":"a","script":"b"}"#
    );
    let file = r#"{"name":"a","script":"b","file":{"path":"tests/issue.rs","apart":true}}"#;
    let new: WrittenTest = serde_json::from_str(file).unwrap();
    assert_eq!(serde_json::to_string(&new).unwrap(), file);
}
