//! What is added to commands, and what is left alone.

use super::*;

fn prepared(command: &str, package: &str) -> String {
    prepare(
        command,
        "/tmp/d",
        package,
        &BTreeMap::new(),
        true,
        &BTreeSet::new(),
    )
    .command
}

#[test]
fn options_are_added_behind_the_runner() {
    let cases = [
        ("python -m unittest", "python -m unittest -v"),
        (
            "python -m unittest discover -s t",
            "python -m unittest discover -v -s t",
        ),
        ("python -m unittest -q", "python -m unittest -q"),
        (
            "cd a && ./manage.py test app",
            "cd a && ./manage.py test -v 2 app",
        ),
        ("./manage.py test -v3", "./manage.py test -v3"),
        (
            "cargo test -p a -- --nocapture",
            "cargo test --no-fail-fast -p a -- --nocapture",
        ),
        ("cargo test --no-fail-fast", "cargo test --no-fail-fast"),
        (
            "go test ./... && go test -json x",
            "go test -json ./... && go test -json x",
        ),
        ("go test ./... | tee log", "go test ./... | tee log"),
        ("npx jest a", "npx jest --json --outputFile=/tmp/d/jest.json a"),
        ("npx jest --reporters=x", "npx jest --reporters=x"),
        ("pytest -q", "pytest -q"),
        ("make test", "make test"),
    ];
    for (command, expected) in cases {
        assert_eq!(prepared(command, ""), expected);
    }
}

#[test]
fn scripts_of_packages_are_handed_options() {
    let jest = r#"{"scripts": {"test": "tsc && jest --ci"}}"#;
    assert_eq!(
        prepared("npm test", jest),
        "npm test -- --json --outputFile=/tmp/d/jest.json"
    );
    assert_eq!(
        prepared("yarn test", jest),
        "yarn test --json --outputFile=/tmp/d/jest.json"
    );
    assert_eq!(
        prepared("npm test", r#"{"scripts": {"test": "jest && tsc"}}"#),
        "npm test"
    );
    assert_eq!(
        prepared("npm test", r#"{"scripts": {"test": "mocha"}}"#),
        "npm test"
    );
    assert_eq!(prepared("npm test", "{"), "npm test");
    let vitest = r#"{"scripts": {"test": "vitest run"}}"#;
    assert_eq!(
        prepared("pnpm test", vitest),
        "pnpm test --reporter=default --reporter=json --outputFile.json=/tmp/d/jest.json"
    );
}

#[test]
fn the_users_own_variables_are_kept() {
    let own = BTreeMap::from([
        ("PYTEST_ADDOPTS".into(), "-x".into()),
        ("PYTHONPATH".into(), "lib".into()),
    ]);
    let environment = prepare("pytest", "/tmp/d", "", &own, true, &BTreeSet::new()).environment;
    let options = environment.get(OsStr::new("PYTEST_ADDOPTS")).unwrap();
    assert_eq!(options, "-x -p cwm_pytest_report -o cache_dir=/tmp/d/cache");
    assert_eq!(environment.get(OsStr::new("PYTHONPATH")).unwrap(), "lib:/tmp/d");
}

#[test]
fn pytest_is_told_where_the_list_of_wanted_tests_is() {
    let wanted = BTreeSet::from(["t.py::a".to_owned()]);
    let selection = |with_plugin: bool, wanted: &BTreeSet<String>| {
        let prepared = prepare("tox", "/tmp/d", "", &BTreeMap::new(), with_plugin, wanted);
        assert_eq!(prepared.command, "tox");
        assert!(prepared.selected.is_empty(), "only the report can tell");
        prepared
            .environment
            .get(OsStr::new("CWM_TEST_SELECTION"))
            .cloned()
    };
    assert_eq!(selection(true, &wanted), Some("/tmp/d/selection.json".into()));
    assert_eq!(selection(false, &wanted), None);
    assert_eq!(selection(true, &BTreeSet::new()), None);
}
