//! What models read, compared with the expected messages, and how replaced templates fail.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cwm_tools::edit::{Difference, EditFailure, EditSyntaxError, Indent, NearMiss, NoMatch};
use cwm_tools::files::FileArea;
use cwm_tools::{call, create, edit, submit};

use super::*;

/// Every message, with values that reach each branch of each template.
fn every_message(prompts: &Prompts) -> Vec<(&'static str, String)> {
    let mut messages = Vec::new();
    let path = || "src/a.py".to_owned();
    let mut say = |name, text: Result<String, PromptError>| messages.push((name, text.unwrap()));

    say("tool_result", prompts.tool_result("a\n{{ b }} <&>\n", 12, 34567));
    let kept = |first_bytes| KeptAt {
        path: Path::new("/out/3.txt"),
        first_bytes,
    };
    say("truncated", prompts.truncated(12345, 67, Some(kept(None))));
    say(
        "truncated, kept in part",
        prompts.truncated(12345, 67, Some(kept(Some(500)))),
    );
    say("truncated, no file", prompts.truncated(12345, 67, None));

    let excerpt = vec![(9, "before".to_owned()), (10, "\tnew".to_owned())];
    let (first_line, removed_lines, added_lines, total_lines) = (10, 2, 1, 10);
    let done = EditDone {
        path: path(),
        first_line,
        removed_lines,
        added_lines,
        total_lines,
        excerpt,
    };
    let emptied = EditDone {
        total_lines: 0,
        added_lines: 0,
        excerpt: Vec::new(),
        ..done.clone()
    };
    say("edit_done", prompts.edit_result(&Ok(done)));
    say("edit_done, emptied", prompts.edit_result(&Ok(emptied)));

    let indent = |tabs, spaces| Indent { tabs, spaces };
    let indentation = Difference::Indentation {
        line: 4,
        file: indent(0, 8),
        search: indent(1, 0),
    };
    for (count, difference) in [
        (1, indentation),
        (1, Difference::TrailingWhitespace),
        (3, Difference::LetterCase),
        (1, Difference::Whitespace),
    ] {
        let near_miss = Some(NearMiss {
            line: 3,
            count,
            difference,
        });
        let known = NoMatch {
            near_miss,
            ..NoMatch::default()
        };
        let failure = EditFailure::NoMatch(Box::new(known));
        say(
            "edit_no_match, near miss",
            prompts.edit_result(&Err(EditError::Failed {
                path: path(),
                failure,
            })),
        );
    }
    for failure in [
        EditFailure::SeveralMatches {
            lines: vec![3, 9],
            count: 2,
        },
        EditFailure::SeveralMatches {
            lines: (1..=20).collect(),
            count: 31,
        },
        EditFailure::NoChange { line: 7 },
        EditFailure::AmbiguousDivider { lines: vec![4, 6] },
    ] {
        say(
            "edit failure",
            prompts.edit_result(&Err(EditError::Failed {
                path: path(),
                failure,
            })),
        );
    }
    for error in [
        EditSyntaxError::MissingPath,
        EditSyntaxError::MissingSearch,
        EditSyntaxError::MissingDivider,
        EditSyntaxError::MissingReplace,
        EditSyntaxError::SeveralBlocks {
            searches: 2,
            replaces: 3,
        },
        EditSyntaxError::TextOutside { line: 2 },
        EditSyntaxError::EmptySearch,
        EditSyntaxError::TooManyDividers { count: 40 },
    ] {
        say("edit_syntax", prompts.edit_result(&Err(error.into())));
    }

    say(
        "create_done",
        prompts.create_result(&Ok(CreateDone {
            path: path(),
            lines: 3,
        })),
    );
    say(
        "create_missing_path",
        prompts.create_result(&Err(CreateError::MissingPath)),
    );
    for error in [
        FileError::NotFound { path: path() },
        FileError::IsDirectory { path: path() },
        FileError::OutsideRoots {
            path: path(),
            roots: vec!["/repo".to_owned(), "/tmp".to_owned()],
        },
        FileError::ParentMissing {
            path: path(),
            parent: "src".to_owned(),
        },
        FileError::AlreadyExists { path: path() },
        FileError::NotRegular {
            path: path(),
            what: "named pipe".to_owned(),
        },
        FileError::TooLarge {
            path: path(),
            limit: 100,
        },
        FileError::NotText {
            path: path(),
            offset: 5,
        },
        FileError::InsideGit { path: path() },
        FileError::ChangedMeanwhile { path: path() },
        FileError::Io {
            path: path(),
            kind: "storage full".to_owned(),
            message: "No space left".to_owned(),
        },
    ] {
        say("file_error", prompts.create_result(&Err(error.into())));
    }

    let submitted = Submitted {
        path: path(),
        bytes: b"diff --git a/a b/a\n+x\n".to_vec(),
    };
    say("submit_review", prompts.submit_result(&Ok(submitted)));
    for error in [
        SubmitError::MissingPath,
        SubmitError::MoreThanPath { lines: 4 },
        SubmitError::Empty { path: path() },
        SubmitError::NotADiff {
            path: path(),
            first_line: "--- a/a".to_owned(),
        },
    ] {
        say("submit_failed", prompts.submit_result(&Err(error)));
    }
    for error in [
        CallError::None,
        CallError::Several(2),
        CallError::Unbalanced {
            opening: 1,
            closing: 0,
        },
        CallError::Unknown {
            name: "python".to_owned(),
        },
        CallError::Empty {
            tool: "bash".to_owned(),
        },
        CallError::MissingEnd,
        CallError::RepeatedEnd(2),
    ] {
        say("format_error", prompts.format_error(&error));
    }
    for end in [
        SessionEnd::TimedOut { seconds: 120 },
        SessionEnd::Exited { code: 3 },
        SessionEnd::Killed { signal: 9 },
        SessionEnd::OutOfMemory { bytes: 8 << 30 },
        SessionEnd::DiskFull { bytes: 1000 },
        SessionEnd::TooManyProcesses { processes: 2048 },
        SessionEnd::Restarted {
            reason: "its first process died".to_owned(),
        },
    ] {
        say("session_ended", prompts.session_ended(&end, Path::new("/repo")));
    }
    messages
}

#[test]
fn every_message_reads_as_written_down() {
    let mut all = String::new();
    for (name, text) in every_message(&Prompts::built_in().unwrap()) {
        assert!(
            !text.ends_with('\n') && !text.starts_with('\n'),
            "{name}: {text:?}"
        );
        writeln!(all, "--- {name}\n{text}").unwrap();
    }
    let expected = include_str!("prompts/expected_messages.txt");
    assert!(all == expected, "the messages read now:\n{all}");
}

/// The tools' own results, from calls as a model writes them.
#[test]
fn failed_edits_say_what_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let area = FileArea::open(&[folder.path().to_path_buf()], folder.path().to_path_buf()).unwrap();
    let prompts = Prompts::built_in().unwrap();
    let created = create::run(
        &area,
        "a.py\ndef total(items):\n    result = sum(items)\n    return result",
    );
    assert_eq!(
        prompts.create_result(&created).unwrap(),
        "Created a.py (3 lines)."
    );

    let edit = |search: &str, replace: &str| {
        let call = format!(
            "<tool: edit>\na.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n</tool>"
        );
        let content = call::parse(&call).unwrap().content;
        prompts.edit_result(&edit::run(&area, &content)).unwrap()
    };
    let partial = edit("def total(items):\n    results = sum(items)", "x");
    assert!(
        partial.contains("Its first line matches at line 1; the next one differs."),
        "{partial}"
    );
    assert!(
        partial.contains("Line 2 of the file:     result = sum(items)"),
        "{partial}"
    );
    let past_the_end = edit("    return result\nprint(1)", "x");
    assert!(
        past_the_end.contains("The file ends there. Your line: print(1)"),
        "{past_the_end}"
    );
    let nearest = edit("    return results", "x");
    assert!(nearest.contains("\n     3\t    return result\n"), "{nearest}");
    let again = edit("    old = 1", "    return result");
    assert!(
        again.contains("Your replacement is already in the file, at line 3"),
        "{again}"
    );
    let done = edit("    return result", "    return result or 0");
    assert!(done.ends_with("     3\t    return result or 0"), "{done}");

    let not_a_patch = prompts.submit_result(&submit::run(&area, "a.py")).unwrap();
    assert!(
        not_a_patch.ends_with("but begins with: def total(items):"),
        "{not_a_patch}"
    );
}

#[test]
fn a_folder_replaces_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README.md"), "notes {{").unwrap();
    fs::write(folder.path().join("create_done.jinja"), "made {{ path }}\n").unwrap();
    let built_in = every_message(&Prompts::built_in().unwrap());
    let replaced = every_message(&Prompts::from_folder(folder.path()).unwrap());
    for (ours, theirs) in built_in.iter().zip(&replaced) {
        if ours.0 == "create_done" {
            assert_eq!(theirs.1, "made src/a.py");
        } else {
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn mistakes_in_a_folder_are_told_with_template_and_line() {
    for (file, text, expected) in [
        ("edit_dome.jinja", "x", "edit_dome.jinja is no prompt template"),
        ("edit_done.txt", "x", "name it one of: tool_result.jinja, "),
        (
            "edit_done.jinja",
            "a\nb {% if %}",
            "prompt template edit_done.jinja, line 2: ",
        ),
        (
            "edit_done.jinja",
            "{{ pth }}",
            "uses the unknown variable pth; it may use: path, first_line",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), text).unwrap();
        let error = Prompts::from_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = Prompts::from_folder(Path::new("/nonexistent/prompts"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("/nonexistent/prompts"), "{missing}");
}

#[test]
fn an_undefined_value_is_an_error_with_template_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("format_error.jinja"),
        "{{ kind }}\n{{ name }}\n",
    )
    .unwrap();
    let prompts = Prompts::from_folder(folder.path()).unwrap();
    let error = prompts.format_error(&CallError::None).unwrap_err().to_string();
    assert!(
        error.starts_with("prompt template format_error.jinja, line 2: cannot be rendered: "),
        "{error}"
    );
}

#[test]
fn the_readme_lists_every_template_and_variable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(files, known_files().into_iter().collect());
    for template in BUILT_IN {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", template.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in the table", template.name));
        for variable in template.variables {
            assert!(
                row.contains(&format!("`{variable}`")),
                "{}: {variable}",
                template.name
            );
        }
    }
}

fn command(ending: Ending, output: cwm_tools::truncate::Truncated) -> CommandResult {
    let kept_output = Some(cwm_tools::sandbox::KeptOutput {
        path: "/out/3.txt".into(),
        bytes: output.total_bytes,
    });
    CommandResult {
        ending,
        output,
        kept_output,
        lost_before: None,
        working_directory: "/repo".into(),
        wall_time: std::time::Duration::ZERO,
    }
}

#[test]
fn a_command_shows_its_output_and_why_the_session_ended() {
    use cwm_tools::truncate::HeadTail;
    let prompts = Prompts::built_in().unwrap();
    let limits = Limits::default();
    let say = |result: &CommandResult| {
        prompts
            .bash_result(result, &limits, 120, Path::new("/repo"))
            .unwrap()
            .text
    };

    let mut whole = HeadTail::new(100, 100);
    whole.push(b"one\ntwo");
    let whole = whole.finish();
    assert_eq!(say(&command(Ending::Exited(3), whole.clone())), "one\ntwo");
    assert_eq!(
        say(&command(Ending::Killed(KillReason::Timeout), whole)),
        "one\ntwo\n\
         [The command did not end within 120 seconds, so it and all that it started were stopped. What it printed until then is above.]\n\
         [A fresh session has started in /repo. Variables, functions and background processes are gone; files are kept.]"
    );
    let mut fresh = command(Ending::Exited(0), HeadTail::new(1, 1).finish());
    fresh.lost_before = Some(Ending::Signalled(9));
    assert!(
        say(&fresh).starts_with("[The shell was killed by signal 9.]\n[A fresh session"),
        "{}",
        say(&fresh)
    );
    let mut long = HeadTail::new(4, 4);
    long.push(b"aaa\nbbb\nccc\n");
    assert_eq!(
        say(&command(Ending::Exited(0), long.finish())),
        "aaa\n[... 1 lines (4 bytes) left out here; the whole output is in /out/3.txt ...]\nccc\n"
    );
    let mut long = HeadTail::new(4, 4);
    long.push(b"aaa\nbbb\nccc\n");
    let mut long = command(Ending::ShellExited(0), long.finish());
    long.kept_output.as_mut().unwrap().bytes = 9;
    let said = prompts
        .bash_result(&long, &limits, 120, Path::new("/repo"))
        .unwrap();
    assert!(
        said.text.starts_with("aaa\n[... 1 lines (4 bytes) left out here; the first 9 bytes of the output are in /out/3.txt ...]\nccc\n"),
        "{}",
        said.text
    );
    assert_eq!(said.gap, Some(4));
    let closing = &said.text[said.text.len() - said.closing..];
    assert!(closing.starts_with("[The shell exited"), "{closing}");
}
