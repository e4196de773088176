//! Which framework is told from which words.

use super::*;

#[test]
fn the_framework_shows_through_what_is_wrapped_around_it() {
    let cases = [
        ("pytest", Framework::Pytest),
        ("py.test -x tests", Framework::Pytest),
        (".venv/bin/python -m pytest -q", Framework::Pytest),
        ("cd sub && python3 -X dev -m pytest", Framework::Pytest),
        ("A=b C='d e' env F=g pytest", Framework::Pytest),
        ("poetry run pytest", Framework::Pytest),
        ("uv run --with pytest python -m pytest", Framework::Pytest),
        ("uv run --extra dev pytest tests/", Framework::Pytest),
        ("tox -e py311", Framework::Pytest),
        ("coverage run -m pytest", Framework::Pytest),
        ("python -m coverage run -m unittest", Framework::Unittest),
        ("timeout 60 pytest", Framework::Pytest),
        ("time nice -n 5 pytest", Framework::Pytest),
        ("python -m unittest discover -s tests", Framework::Unittest),
        ("./manage.py test", Framework::Unittest),
        ("python manage.py test app", Framework::Unittest),
        ("cargo test -p a", Framework::Cargo),
        ("RUST_LOG=debug cargo +nightly test", Framework::Cargo),
        ("cargo build", Framework::Other),
        ("go test ./...", Framework::Go),
        ("npx --yes jest", Framework::Jest),
        ("yarn jest", Framework::Jest),
        ("pnpm exec vitest run", Framework::Jest),
        ("npm test", Framework::Other),
        ("make test", Framework::Other),
        ("echo pytest", Framework::Other),
        ("echo 'a && pytest'", Framework::Other),
        ("", Framework::Other),
        ("'", Framework::Other),
        ("env", Framework::Other),
        ("python -m", Framework::Other),
    ];
    for (command, framework) in cases {
        assert_eq!(super::framework(command), framework, "{command}");
    }
}

#[test]
fn redirections_end_no_command() {
    let commands = simple_commands("go test 2>&1 | tee x; a\\ b \"c d\"");
    let words: Vec<Vec<&str>> = commands
        .iter()
        .map(|words| words.iter().map(|word| word.text.as_str()).collect())
        .collect();
    assert_eq!(
        words,
        [
            vec!["go", "test", "2>", "1"],
            vec!["tee", "x"],
            vec!["a b", "c d"]
        ]
    );
}
