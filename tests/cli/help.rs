//! What the help says, and what is said to a command line that is wrong.

use super::context::TestContext;

/// Every command, as the help of `cwm` lists them.
fn commands(context: &TestContext) -> Vec<String> {
    listed_in(&context.run(["-h"]).stdout)
}

/// The commands that a help lists.
fn listed_in(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    listed
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn every_commands_help_is_as_recorded() {
    let context = TestContext::new();
    context.run(["--help"]).assert_snapshot("help.txt");
    context.run(["-h"]).assert_snapshot("help-short.txt");
    let commands = commands(&context);
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        let help = context.run([command.as_str(), "--help"]);
        help.assert_snapshot(&format!("help-{command}.txt"));
        for nested in listed_in(&help.stdout) {
            context
                .run([command.as_str(), nested.as_str(), "--help"])
                .assert_snapshot(&format!("help-{command}-{nested}.txt"));
        }
    }
}

#[test]
fn the_version_is_one_line_on_stdout() {
    let outcome = TestContext::new().run(["--version"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (0, "cwm [VERSION]\n", "")
    );
}

#[test]
fn no_command_at_all_shows_the_help_as_a_usage_error() {
    let outcome = TestContext::new().run::<&str>([]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(
        outcome.stderr.contains("Usage: cwm [OPTIONS] <COMMAND>"),
        "{outcome:?}"
    );
}

#[test]
fn wrong_command_lines_exit_with_2_and_say_what_was_meant() {
    let context = TestContext::new();
    for (arguments, words) in [
        (vec!["docter"], "a similar subcommand exists: 'doctor'"),
        (vec!["doctor", "--jsn"], "a similar argument exists: '--json'"),
        (vec!["doctor", "extra"], "unexpected argument 'extra'"),
        (vec!["completions"], "<SHELL>"),
        (
            vec!["completions", "cmd.exe"],
            "[possible values: bash, elvish, fish, powershell, zsh]",
        ),
        (
            vec!["--color", "sometimes", "doctor"],
            "[possible values: auto, always, never]",
        ),
    ] {
        let outcome = context.run(&arguments);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(words), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stderr.contains('\x1b'), "{arguments:?}: {outcome:?}");
    }
}

#[test]
fn an_argument_that_is_no_utf8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt;
    let outcome = TestContext::new().run([std::ffi::OsStr::from_bytes(b"\xff\xfe")]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
}

#[test]
fn the_exit_codes_of_the_help_stand_in_the_documentation() {
    let help = TestContext::new().run(["--help"]).stdout;
    let table = help.split("Exit codes:\n").nth(1).unwrap();
    let codes: Vec<&str> = table
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    assert!(codes.len() >= 8, "{codes:?}");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/exit-codes.md");
    let document = std::fs::read_to_string(document).unwrap();
    for code in codes {
        assert!(
            document.contains(&format!("| {code} |")),
            "exit code {code} is not in docs/exit-codes.md"
        );
    }
}
