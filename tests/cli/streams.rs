//! What happens to the streams: readers that go away, disks that are full, colours wanted and unwanted.

use std::process::Stdio;

use super::context::{TestContext, binary};

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let context = TestContext::new();
    for command in ["doctor", "doctor --json", "completions bash", "--help"] {
        let outcome = context.shell(&format!(
            "set -o pipefail; \"$CWM\" {command} | head -n 0; echo \"${{PIPESTATUS[@]}}\""
        ));
        assert_eq!(outcome.stdout, "0 0\n", "{command}: {outcome:?}");
        assert_eq!(outcome.stderr, "", "{command}");
    }
}

/// Unlike the pipe above, whose reader may still be there, this one is certainly closed before the first byte.
#[test]
fn a_pipe_closed_from_the_start_is_no_error() {
    let context = TestContext::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = context
        .command(binary())
        .arg("doctor")
        .stdout(Stdio::from(writer))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let outcome = TestContext::new().shell("\"$CWM\" completions bash > /dev/full");
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(
        outcome
            .stderr
            .starts_with("cwm: error: The result could not be written"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("\n  hint: "), "{outcome:?}");
}

#[test]
fn closed_streams_do_not_stop_a_command() {
    let context = TestContext::new();
    assert_eq!(context.shell("\"$CWM\" completions bash >&-").code, 0);
    let outcome = context.shell("\"$CWM\" completions bash --verbose 2>&- <&- | bash -n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

#[test]
fn colours_come_when_asked_for_and_stay_away_when_not() {
    let colored = |context: &TestContext, arguments: &[&str]| {
        context
            .run(arguments.iter().copied().chain(["doctor"]))
            .stdout
            .contains('\x1b')
    };
    let plain = TestContext::new();
    assert!(!colored(&plain, &[]), "a pipe is no terminal");
    assert!(colored(&plain, &["--color", "always"]));
    assert!(!colored(&plain, &["--color", "always", "--no-color"]));
    let forced = TestContext::new().with("CLICOLOR_FORCE", "1");
    assert!(colored(&forced, &[]));
    assert!(!colored(&forced, &["--no-color"]));
    assert!(!colored(&forced, &["--json"]), "JSON is never coloured");
    let refused = forced.with("NO_COLOR", "1");
    assert!(!colored(&refused, &[]));
    assert!(!refused.run(["--help"]).stdout.contains('\x1b'));
    assert!(
        TestContext::new()
            .with("CLICOLOR_FORCE", "1")
            .run(["--help"])
            .stdout
            .contains('\x1b')
    );
}

#[test]
fn on_a_terminal_there_are_colours_and_progress_that_leaves_no_trace() {
    let context = TestContext::new().with("TERM", "xterm");
    let outcome = context.shell("script -qec \"$CWM doctor\" /dev/null");
    assert!(outcome.stdout.contains("\x1b[32m"), "{outcome:?}");
    assert!(outcome.stdout.contains("looking at kernel …"), "{outcome:?}");
    let visible = outcome
        .stdout
        .split('\n')
        .map(|line| line.rsplit("\r\x1b[K").next().unwrap());
    assert!(!visible.collect::<String>().contains("looking at"), "{outcome:?}");

    let outcome = context.shell("script -qec \"$CWM doctor --quiet --color never\" /dev/null");
    assert!(!outcome.stdout.contains('\x1b'), "{outcome:?}");
}
