//! What runs of test files say, and what files claim by it.

use super::*;
use crate::rollout::WrittenTest;
use crate::suite::{TestCase, TestCommand};

fn ran(tests: &[(&str, Status)]) -> TestRun {
    let case = |status: Status| TestCase {
        status,
        message: if status == Status::Failed { "wrong" } else { "" }.to_owned(),
        seconds: None,
    };
    TestRun {
        command: TestCommand::given("npm test"),
        ending: RunEnding::Ran,
        exit_code: Some(1),
        tests: tests
            .iter()
            .map(|(name, status)| ((*name).to_owned(), case(*status)))
            .collect(),
        selected: std::collections::BTreeSet::default(),
        coverage: Default::default(),
        output: String::new(),
        seconds: 1.0,
    }
}

fn results(tests: &[(&str, bool)]) -> Results {
    Results::Ran(
        tests
            .iter()
            .map(|(name, passed)| ((*name).to_owned(), *passed))
            .collect(),
    )
}

fn test(sample: &str, path: &str, text: &str, apart: bool) -> IssueTest {
    IssueTest::new(WrittenTest {
        name: format!("{path} of {sample}"),
        asks: String::new(),
        script: text.to_owned(),
        file: Some(TestFile {
            path: path.to_owned(),
            apart,
        }),
    })
}

#[test]
fn only_tests_of_the_file_that_ran_to_their_end_are_heard() {
    let nobody = |_: &str| false;
    let run = ran(&[
        ("fails", Status::Failed),
        ("passes", Status::Passed),
        ("breaks", Status::Errored),
        ("skipped", Status::Skipped),
        ("group", Status::Failed),
        ("group > inner", Status::Failed),
        ("known", Status::Failed),
        // The file itself, when it cannot be loaded.
        ("/repo/a/issue.test.js", Status::Failed),
        ("issue.test.js", Status::Failed),
    ]);
    let heard = read(&run, "a/issue.test.js", |name| name == "known", nobody);
    assert_eq!(
        heard,
        results(&[("fails", false), ("group > inner", false), ("passes", true)])
    );
    // A mistake of the test's own is no failure.
    let heard = read(
        &run,
        "a/issue.test.js",
        |name| name == "known",
        |message| message == "wrong",
    );
    assert_eq!(heard, results(&[("passes", true)]));
    // Where the run as a whole is broken, its tests are not believed.
    for broken in ["(the run broke off)", "issue tests/issue.rs: (the program)"] {
        let run = ran(&[("passes", Status::Passed), (broken, Status::Errored)]);
        assert_eq!(read(&run, "a", nobody, nobody), Results::Nothing, "{broken}");
    }
    let reason = "it does not compile".to_owned();
    let not_built = TestRun {
        ending: RunEnding::NotStarted { reason },
        ..run.clone()
    };
    assert_eq!(read(&not_built, "a", nobody, nobody), Results::Nothing);
    let late = TestRun {
        ending: RunEnding::TimedOut,
        ..run
    };
    assert_eq!(read(&late, "a", nobody, nobody), Results::Hung);
}

#[test]
fn a_file_is_one_claim_or_each_failing_test_is() {
    let before = results(&[("a", false), ("b", true), ("c", false)]);
    let whole = test("tests-1", "issue.test.js", "", false);
    let claims_of =
        |test: &IssueTest, results: &Results| claims(test, test.written.file.as_ref().unwrap(), results);
    let [claim] = &claims_of(&whole, &before)[..] else {
        panic!("one claim")
    };
    let now = |results: &Results| said(&claim.cases, results);
    assert_eq!(now(&before), Said::Reproduced);
    assert_eq!(
        now(&results(&[("a", true), ("b", true), ("c", true)])),
        Said::Resolved
    );
    assert_eq!(
        now(&results(&[("a", true), ("b", true), ("c", false)])),
        Said::Other
    );
    // What passed before must still pass, and what is missing did not.
    assert_eq!(
        now(&results(&[("a", true), ("b", false), ("c", true)])),
        Said::Other
    );
    assert_eq!(now(&results(&[("a", true), ("c", true)])), Said::Other);
    assert_eq!(
        (now(&Results::Nothing), now(&Results::Hung)),
        (Said::Other, Said::Hung)
    );
    let apart = claims_of(&test("tests-1", "issue.test.js", "", true), &before);
    let names: Vec<&str> = apart.iter().map(|test| test.written.name.as_str()).collect();
    assert_eq!(
        names,
        ["a (issue.test.js of tests-1)", "c (issue.test.js of tests-1)"]
    );
    // Nothing that fails, or nothing at all.
    assert!(claims_of(&whole, &results(&[("b", true)])).is_empty());
    assert!(claims_of(&whole, &Results::Nothing).is_empty());
}

#[test]
fn samples_that_write_the_same_test_have_a_vote_each() {
    let one = "use a::add;\n\n#[test]\nfn adds() {\n    assert_eq!(add(1, 1), 2);\n}\n\n#[test]\nfn more() {\n    assert_eq!(add(2, 1), 3);\n}\n";
    let two = "use a::*;\n\n#[test]\nfn again() {\n    // One and one.\n    assert_eq!( add(1, 1), 2 );\n}\n\n#[test]\nfn twice() {\n    assert_eq!(add(1, 1), 2);\n}\n";
    let failed = |names: &[&str]| {
        let cases: Vec<String> = names
            .iter()
            .map(|name| format!("issue tests/issue.rs: {name}"))
            .collect();
        results(
            &cases
                .iter()
                .map(|case| (case.as_str(), false))
                .collect::<Vec<_>>(),
        )
    };
    let mut all = Vec::new();
    for (sample, text, names) in [
        ("tests-1", one, ["adds", "more"]),
        ("tests-2", two, ["again", "twice"]),
    ] {
        let test = test(sample, "tests/issue.rs", text, true);
        all.extend(claims(
            &test,
            test.written.file.as_ref().unwrap(),
            &failed(&names),
        ));
    }
    let votes: Vec<(String, usize)> = merged(all)
        .into_iter()
        .map(|test| (test.written.name, test.votes))
        .collect();
    let expected = [
        ("adds (tests/issue.rs of tests-1)", 2),
        ("more (tests/issue.rs of tests-1)", 1),
    ];
    assert_eq!(votes, expected.map(|(name, votes)| (name.to_owned(), votes)));
}

#[test]
fn a_test_with_a_title_is_its_call() {
    let text = "describe('sum', () => {\n  it('adds', () => {\n    assert.equal(add(1, 1), 2);\n  });\n\n  it('more', () => assert.equal(add(2, 1), 3));\n});\n";
    let same = "test(\"one and one\", () => {\n  // A remark.\n  assert.equal(add(1,1), 2);\n});\n";
    let path = "test/issue.test.js";
    let of = |text: &str, title: &str| {
        let own = source(path, text, title)?;
        Some(without_layout(&canonical_code(path, &own).unwrap()))
    };
    assert!(of(text, "more").unwrap().contains("add"));
    assert_ne!(of(text, "adds"), of(text, "more"));
    let renamed = same.replace("test(", "it(");
    assert_eq!(of(text, "adds"), of(&renamed, "one and one"));
    assert_eq!(of(text, "nothing of the kind"), None);
}

#[test]
fn tests_that_want_different_values_of_the_same_are_told() {
    let rust = |body: &str| asked(&format!("#[test]\nfn test() {{\n    {body}\n}}"), true);
    let node = |body: &str| asked(&format!("test('test', () => {{ {body} }});"), false);
    assert_eq!(
        rust("assert_eq!(add(2, 3), 5);"),
        rust("assert_eq!( add(2, 3), 6 );")
    );
    assert_ne!(
        rust("assert_eq!(add(2, 3), 5);"),
        rust("assert_eq!(add(2, 4), 5);")
    );
    assert!(
        rust("assert_eq!(first(\"a, b\"), \"a\");")
            .unwrap()
            .ends_with("assert_eq!(first(\"a,b\")")
    );
    // What is set up before is part of it.
    assert_ne!(
        rust("let a = 1;\n    assert_eq!(add(a, 1), 2);"),
        rust("let a = 2;\n    assert_eq!(add(a, 1), 2);")
    );
    assert_eq!(
        node("assert.strictEqual(cut('a, b'), 1);"),
        node("assert.strictEqual(cut('a, b'), 2);")
    );
    assert_ne!(
        node("assert.strictEqual(cut('a, b'), 1);"),
        node("assert.strictEqual(cut('a, c'), 1);")
    );
    assert_eq!(
        node("expect(add(1, 1)).toBe(2);"),
        node("expect(add(1, 1)).toBe(3);")
    );
    // Several checks, or none that compares.
    assert_eq!(
        rust("assert_eq!(add(2, 3), 5);\n    assert_eq!(add(2, 4), 6);"),
        None
    );
    assert_eq!(rust("assert!(add(2, 3) == 5);"), None);
}

#[test]
fn a_tests_own_name_stands_at_the_end() {
    for (case, name) in [
        ("issue tests/issue.rs: group::adds", "adds"),
        ("example.com/a.b/sum.TestAdd/two_and_three", "two_and_three"),
        ("sum.TestAdd", "TestAdd"),
        ("tests/test_issue.py::TestA::test_a[x::y.z]", "test_a"),
        ("tests.test_issue.A.test_a", "test_a"),
        ("test/issue.test.js > group > adds 1.5 and 2.", "adds 1.5 and 2."),
    ] {
        assert_eq!(function(case), name);
    }
}
