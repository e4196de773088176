//! Tests of what reaches the two streams.

use std::fs::File;
use std::os::unix::net::UnixStream;

use super::*;
use crate::cli::terminal::Terminal;

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

/// A printer on a terminal, which takes results too.
fn on_terminal(terminal: &Terminal) -> Printer {
    let settings = Settings {
        progress: true,
        color_messages: true,
        verbosity: Verbosity::Verbose,
        ..Settings::default()
    };
    let size = terminal.clone();
    let (out, err) = (Box::new(terminal.clone()), Box::new(terminal.clone()));
    Printer::to(out, err, settings).on_screen(move || size.size())
}

fn area(lines: &[&str]) -> Vec<LiveLine> {
    let line = |text: &&str| vec![(Some(Style::Strong), (*text).to_owned())];
    lines.iter().map(line).collect()
}

#[test]
fn a_live_area_stays_below_all_that_is_said() {
    let terminal = Terminal::new(20, 6);
    let mut printer = on_terminal(&terminal);
    printer.note("first");
    printer.live(area(&["a", "b", "c"]));
    assert_eq!(terminal.text(), "first\na\nb\nc");
    printer.live(area(&["A"]));
    assert_eq!(terminal.text(), "first\nA", "it shrinks");
    printer.live(area(&["x", "y"]));
    printer.note("second");
    printer.detail("third");
    assert_eq!(terminal.text(), "first\nsecond\nthird\nx\ny");
    printer.result("result\n").unwrap();
    printer.warning("fourth");
    printer.pass_on(b"fifth\nsixth\n");
    let said = "first\nsecond\nthird\nresult\nwarning: fourth\nfifth\nsixth";
    assert_eq!(
        terminal.text(),
        format!("{said}\nx\ny"),
        "more than the screen holds"
    );
    printer.clear_progress();
    assert_eq!(terminal.text(), said);
    printer.note("seventh");
    assert_eq!(
        terminal.text(),
        format!("{said}\nseventh"),
        "what was taken away stays away"
    );
}

#[test]
fn a_live_area_follows_lines_of_progress_and_lines_that_are_open() {
    let terminal = Terminal::new(20, 10);
    let mut printer = on_terminal(&terminal);
    printer.progress("loading");
    printer.live(area(&["a", "b"]));
    assert_eq!(terminal.text(), "a\nb");
    printer.progress("loading more");
    assert_eq!(terminal.text(), "loading more");
    printer.live(area(&["a", "b"]));
    printer.pass_on(b"half a line");
    assert_eq!(terminal.text(), "half a line");
    printer.live(area(&["c", "d"]));
    assert_eq!(terminal.text(), "half a line\nc\nd");
}

#[test]
fn a_live_area_is_cut_to_the_terminal() {
    let terminal = Terminal::new(10, 4);
    let mut printer = on_terminal(&terminal);
    let long = "漢字漢字漢字漢字";
    for _ in 0..3 {
        printer.live(area(&["0123456789abc", long, "x\x1b[2J\ny", "below", "more"]));
    }
    assert_eq!(terminal.text(), "01234567…\n漢字漢字…\nx\u{fffd}[2J y");
    assert!(terminal.widest() < 10);
    printer.progress("0123456789abc");
    assert_eq!(terminal.text(), "01234567…");
}

#[test]
fn a_live_area_survives_a_new_size() {
    let terminal = Terminal::new(40, 12);
    let mut printer = on_terminal(&terminal);
    printer.note("above");
    let lines = [
        "a line of thirty characters ..",
        "another one, rather long too",
        "c",
    ];
    printer.live(area(&lines));
    for columns in [16, 40, 9, 23] {
        terminal.resize(columns);
        printer.live(area(&lines));
        let cut: Vec<String> = lines
            .iter()
            .map(|line| crate::cli::text::cut(line, columns - 1))
            .collect();
        assert_eq!(terminal.text(), format!("above\n{}", cut.join("\n")), "{columns}");
    }
}

#[test]
fn an_unchanged_live_area_is_not_written_again() {
    let settings = Settings {
        progress: true,
        ..Settings::default()
    };
    let (_, once) = on_files(settings, |printer| printer.live(area(&["a"])));
    let (_, thrice) = on_files(settings, |printer| {
        (0..3).for_each(|_| printer.live(area(&["a"])));
    });
    assert_eq!(once, thrice);
    let (_, none) = on_files(Settings::default(), |printer| printer.live(area(&["a"])));
    assert_eq!(none, "", "without a terminal there is none");
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
