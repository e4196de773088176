//! The private folder of a run, and what the plugin in it writes.

use std::process::Command;

use super::*;

/// What the script that sets up prints where package.json begins with a line that looks like a folder.
fn set_up(before: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("package.json"), "/tmp/suite-abcdefghij\n{}\n").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("{before}\n{SET_UP}"), "bash", PLUGIN])
        .current_dir(place.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_line_of_the_package_becomes_the_folder() {
    for full in [
        "mktemp() { return 1; }",
        "touch() { return 1; }",
        "cat() { return 1; }",
    ] {
        let text = set_up(full);
        let expected = (None, "/tmp/suite-abcdefghij\n{}\n");
        assert_eq!(set_up_said(&text), expected, "{full}");
    }
    let text = set_up("");
    let (folder, package) = set_up_said(&text);
    assert_eq!(package, "/tmp/suite-abcdefghij\n{}\n");
    let folder = folder.unwrap();
    assert!(std::path::Path::new(folder).join("begun").is_file());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn only_a_name_that_was_made_is_a_folder() {
    for line in [
        "",
        "{",
        "/",
        "/tmp/suite-",
        "/tmp/suite-../../home",
        "/tmp/suite-a b",
        "/tmp/suite-$(id)",
    ] {
        assert_eq!(set_up_said(&format!("{line}\n{{}}")), (None, "{}"), "{line}");
    }
    assert_eq!(set_up_said("/tmp/suite-aB3\n{}"), (Some("/tmp/suite-aB3"), "{}"));
}

/// The plugin, and what it needs of pytest to be loaded.
fn put_plugin(folder: &std::path::Path) {
    let pytest = "def hookimpl(**options):\n    return lambda function: function\n";
    std::fs::write(folder.join("pytest.py"), pytest).unwrap();
    std::fs::write(folder.join(format!("{PLUGIN}.py")), PLUGIN_TEXT).unwrap();
}

/// Many long failures do not push the end out of what is read of a report.
#[test]
fn the_report_of_many_failures_has_its_end() {
    let place = tempfile::tempdir().unwrap();
    put_plugin(place.path());
    let script = format!(
        "import {PLUGIN} as plugin\n\
         class Report:\n    \
             when, outcome, failed, skipped, duration = 'call', 'failed', True, False, 0.1\n    \
             longrepr = longreprtext = 'E   first\\n' + 'x' * 100000 + '\\nt.py:3: Error'\n\
         plugin.pytest_sessionstart(None)\n\
         for number in range(12000):\n    \
             Report.nodeid = 't.py::t[%d]' % number\n    \
             plugin.pytest_runtest_logreport(Report)\n    \
             plugin.pytest_runtest_logfinish(Report.nodeid, None)\n\
         plugin.pytest_sessionfinish(None, 1)\n"
    );
    let path = place.path().join("report.jsonl");
    let done = Command::new("python3")
        .args(["-c", &script])
        .env("PYTHONPATH", place.path())
        .env("CWM_TEST_REPORT", &path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() < MOST_REPORT / 2, "{} bytes", text.len());
    let report = pytest_report::read(&text);
    assert_eq!(report.status, Some(1));
    assert_eq!(report.parsed.tests.len(), 12_000);
    assert!(
        report
            .parsed
            .tests
            .values()
            .all(|case| case.message.contains("first"))
    );
}

/// The names that the plugin is given are those that the report's reader keeps, which are not always pytest's own.
#[test]
fn the_plugin_knows_names_as_the_reader_keeps_them() {
    let place = tempfile::tempdir().unwrap();
    put_plugin(place.path());
    let names = [
        "t.py::plain[a-b]".to_owned(),
        "t.py::address[<f at 0x7f12ab34CD>-<g at 0x12345>-<h at 0x123456 at 0x0000000>]".to_owned(),
        " t.py::lines[a\nb\r\n] ".to_owned(),
        format!("t.py::long[{}]", "x".repeat(3000)),
        format!("t.py::cut[{}]", "\u{fc}\u{1f600}".repeat(500)),
        format!("t.py::{} at 0x{}", "x".repeat(1980), "ab".repeat(20)),
        format!("t.py::x{}", "\u{1f600}".repeat(500)),
    ];
    let script = format!(
        "import json, sys, {PLUGIN} as plugin\n\
         print(json.dumps([plugin._stable(name) for name in json.load(sys.stdin)]))\n"
    );
    let input = place.path().join("names.json");
    std::fs::write(&input, serde_json::to_string(&names).unwrap()).unwrap();
    let done = Command::new("python3")
        .args(["-c", &script])
        .env("PYTHONPATH", place.path())
        .stdin(std::fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let known: Vec<String> = serde_json::from_slice(&done.stdout).unwrap();
    for (name, known) in names.iter().zip(known) {
        let mut parsed = Parsed::default();
        parsed.add(name, crate::suite::types::Status::Passed, "");
        assert_eq!(parsed.tests.keys().collect::<Vec<_>>(), [&known], "{name}");
    }
}
