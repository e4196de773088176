//! Tests of what reaches the two streams.

use std::fs::File;
use std::os::unix::net::UnixStream;

use super::*;

/// A printer on two files, and the files' paths.
fn on_files(settings: Settings, work: impl FnOnce(&mut Printer)) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut printer = Printer::to(
        Box::new(File::create(&out).unwrap()),
        Box::new(File::create(&err).unwrap()),
        settings,
    );
    work(&mut printer);
    (
        std::fs::read_to_string(out).unwrap(),
        std::fs::read_to_string(err).unwrap(),
    )
}

fn color_of(pairs: &[(&str, &str)], choice: ColorChoice, terminal: bool) -> bool {
    colored(choice, &pairs.iter().copied().collect(), terminal)
}

#[test]
fn colors_follow_flag_then_no_color_then_force_then_terminal() {
    use ColorChoice::{Always, Auto, Never};
    assert!(color_of(&[], Auto, true));
    assert!(!color_of(&[], Auto, false));
    assert!(!color_of(&[("NO_COLOR", "1")], Auto, true));
    assert!(
        color_of(&[("NO_COLOR", "")], Auto, true),
        "an empty NO_COLOR is not set"
    );
    assert!(color_of(&[("CLICOLOR_FORCE", "1")], Auto, false));
    assert!(!color_of(&[("CLICOLOR_FORCE", "0")], Auto, false));
    assert!(!color_of(
        &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
        Auto,
        true
    ));
    assert!(!color_of(&[("CLICOLOR", "0")], Auto, true));
    assert!(!color_of(&[("TERM", "dumb")], Auto, true));
    assert!(color_of(&[("NO_COLOR", "1")], Always, false));
    assert!(!color_of(&[("CLICOLOR_FORCE", "1")], Never, true));
}

#[test]
fn results_and_messages_go_their_own_ways_by_verbosity() {
    let work = |printer: &mut Printer| {
        printer.result("result\n").unwrap();
        printer.note("note");
        printer.warning("warned");
        printer.detail("detail");
        printer.progress("working");
        printer
            .error(
                &Failure::new(ExitCode::Conflict, "broken")
                    .with_hint("mend it")
                    .into(),
            )
            .unwrap();
    };
    let error = "cwm: error: broken\n  hint: mend it\n";
    for (verbosity, messages) in [
        (Verbosity::Quiet, String::new()),
        (Verbosity::Normal, "note\nwarning: warned\n".to_owned()),
        (Verbosity::Verbose, "note\nwarning: warned\ndetail\n".to_owned()),
    ] {
        let streams = on_files(
            Settings {
                verbosity,
                ..Settings::default()
            },
            work,
        );
        assert_eq!(
            streams,
            ("result\n".to_owned(), messages + error),
            "{verbosity:?}"
        );
    }
}

#[test]
fn a_line_of_progress_is_taken_away_before_the_next_output() {
    let settings = Settings {
        progress: true,
        ..Settings::default()
    };
    let (results, messages) = on_files(settings, |printer| {
        printer.progress("one");
        printer.progress("two");
        printer.result("done\n").unwrap();
        printer.note("said");
    });
    assert_eq!(results, "done\n");
    assert_eq!(messages, "one\r\x1b[Ktwo\r\x1b[Ksaid\n");
}

#[test]
fn an_error_event_carries_causes_and_hint() {
    let settings = Settings {
        format: Format::JsonLines,
        ..Settings::default()
    };
    let (results, _) = on_files(settings, |printer| {
        let cause = Failure::new(ExitCode::Environment, "no disk").with_hint("buy one");
        printer
            .error(&anyhow::Error::from(cause).context("cannot store"))
            .unwrap();
        printer.end(ExitCode::Command(3)).unwrap();
    });
    let lines: Vec<serde_json::Value> = results
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            serde_json::json!({"schema": 1, "event": "error", "message": "cannot store",
                               "causes": ["no disk"], "hint": "buy one"}),
            serde_json::json!({"schema": 1, "event": "end", "exit_code": 3, "meaning": "command"}),
        ]
    );
}

#[test]
fn a_reader_that_has_gone_is_told_from_other_failures() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let mut printer = Printer::to(Box::new(ours), Box::new(io::sink()), Settings::default());
    assert!(printer.result("lost").unwrap_err().is::<ReaderGone>());

    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut printer = Printer::to(Box::new(full), Box::new(io::sink()), Settings::default());
    let failure = printer.result("lost").unwrap_err().downcast::<Failure>().unwrap();
    assert_eq!(failure.code, ExitCode::Environment);
}
