//! Commands that end the shell, or try to, and commands that leave its parser open.

use cwm_tools::sandbox::{Ending, KillReason};

use super::harness::{Inside, need};

#[test]
fn exit_ends_the_shell_with_its_status_and_the_next_is_fresh() {
    let mut inside = Inside::new();
    inside.ok("variable=set; cd /");
    for code in [0, 1, 3, 127, 128, 255] {
        let done = inside.run(&format!("echo before; exit {code}; echo after"));
        assert_eq!(done.result.ending, Ending::ShellExited(code));
        assert!(done.result.session_ended());
        assert_eq!(done.text, "before\n");
        assert_eq!(done.result.working_directory, inside.folder());
        assert_eq!(inside.ok("echo \"<$variable>\""), "<>\n");
        assert_eq!(inside.ok("pwd").trim(), inside.folder().to_str().unwrap());
    }
}

#[test]
fn exec_replaces_the_shell_until_it_ends() {
    let mut inside = Inside::new();
    assert_eq!(inside.run("exec true").result.ending, Ending::ShellExited(0));
    assert_eq!(inside.run("exec false").result.ending, Ending::ShellExited(1));
    let done = inside.run("echo one; exec sleep 0.2");
    assert_eq!(done.result.ending, Ending::ShellExited(0));
    assert_eq!(done.text, "one\n");
    let done = inside.run("exec /does/not/exist");
    assert!(
        matches!(done.result.ending, Ending::ShellExited(126 | 127)),
        "{:?}",
        done.result.ending
    );
    inside.assert_usable();
}

#[test]
fn a_shell_that_exits_on_errors_ends_at_the_first() {
    let mut inside = Inside::new();
    let done = inside.run("set -e\necho one\nfalse\necho two");
    assert_eq!(done.result.ending, Ending::ShellExited(1));
    assert_eq!(done.text, "one\n");
    inside.assert_usable();
    // And when the option was set by an earlier command.
    inside.ok("set -euo pipefail");
    inside.ok("echo fine");
    let done = inside.run("false | true; echo not reached");
    assert_eq!(done.result.ending, Ending::ShellExited(1));
    inside.assert_usable();
}

#[test]
fn an_unset_variable_under_set_u_ends_the_shell_and_says_so() {
    let mut inside = Inside::new();
    let done = inside.run("set -u; echo \"$nobody_set_this\"; echo after");
    assert!(
        matches!(done.result.ending, Ending::ShellExited(1 | 127)),
        "{:?}",
        done.result.ending
    );
    assert!(done.text.contains("nobody_set_this"), "{}", done.text);
    inside.assert_usable();
    inside.ok("set -u; echo fine");
    inside.ok("echo fine as well");
}

#[test]
fn tracing_and_noclobber_disturb_nothing() {
    let mut inside = Inside::new();
    let text = inside.ok("set -x; echo traced");
    assert!(
        text.contains("+ echo traced\n") && text.contains("\ntraced\n"),
        "{text}"
    );
    let text = inside.ok("echo more");
    assert!(text.ends_with("more\n"), "{text}");
    // What the session itself does is not the command's trace.
    assert!(!text.contains("printf"), "{text}");
    inside.run("set +x");
    assert_eq!(inside.ok("echo quiet"), "quiet\n");
    inside.ok("set -o noclobber; echo a >file");
    assert!(inside.run("echo b >file").exited(1).contains("overwrite"));
    inside.assert_usable();
    let long = format!("# {}\ncat file", "x".repeat(5000));
    assert_eq!(inside.ok(&long), "a\n");
}

#[test]
fn unbalanced_text_is_an_error_of_its_own_command_only() {
    let mut inside = Inside::new();
    for command in [
        "echo 'open",
        "echo \"open",
        "echo `open",
        "echo $(open",
        "(echo open",
        "{ echo open",
        "if true; then echo open",
        "while true; do echo open",
        "for a in b; do",
        "case x in x) echo open",
        "function open {",
        "echo ${open",
        "echo $((1 + ",
        "((1 + 2",
        "[[ a == b",
        "fi",
        ")",
        "}",
        "done",
        ";;",
        "echo a |",
        "echo a &&",
        "| echo a",
        "& &",
        "<<<",
        "echo 'a' '",
        "a=(1 2",
        "select x in a b",
        "coproc {",
        "\"'\"'\"",
    ] {
        let done = inside.run(command);
        assert!(
            matches!(done.result.ending, Ending::Exited(1 | 2)),
            "`{command}`: {:?} {}",
            done.result.ending,
            done.text
        );
    }
    // None of them has swallowed what followed, nor ended the shell.
    inside.assert_usable();
}

#[test]
fn here_documents_end_with_their_command() {
    let mut inside = Inside::new();
    assert!(inside.ok("cat <<EOF\none\ntwo").contains("one\ntwo\n"));
    assert!(inside.ok("cat <<'EOF'\n$x\nEOF\n").starts_with("$x\n"));
    assert_eq!(inside.ok("cat <<-A; cat <<B\n\tone\n\tA\ntwo\nB"), "one\ntwo\n");
    inside.run("cat <<A <<B <<C");
    inside.assert_usable();
}

#[test]
fn loop_and_function_words_at_top_level_do_no_harm() {
    let mut inside = Inside::new();
    for command in [
        "break",
        "continue",
        "break 100",
        "return",
        "return 5",
        "shift 5",
        "exit_not",
    ] {
        inside.run(command);
        inside.assert_usable();
    }
}

#[test]
fn signals_to_the_shell_itself() {
    let mut inside = Inside::new();
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("HUP", 1), ("INT", 2)] {
        inside.ok("true");
        let done = inside.run(&format!("echo before; kill -{name} $$; sleep 5; echo after"));
        assert_eq!(
            done.result.ending,
            Ending::Signalled(number),
            "{name}: {}",
            done.text
        );
        assert_eq!(done.text, "before\n");
        assert_eq!(done.result.exit_code(), None);
        inside.assert_usable();
    }
}

#[test]
fn a_stopped_shell_runs_into_its_timeout() {
    let mut inside = Inside::with_timeout(2);
    assert_eq!(inside.run("echo before; kill -STOP $$").timed_out(), "before\n");
    inside.assert_usable();
}

#[test]
fn traps_run_and_break_nothing() {
    let mut inside = Inside::new();
    let done = inside.run("trap 'echo bye' EXIT; exit 4");
    assert_eq!(done.result.ending, Ending::ShellExited(4));
    assert_eq!(done.text, "bye\n");
    inside.ok("trap 'echo caught' ERR");
    assert!(inside.run("false").exited(1).starts_with("caught\n"));
    inside.ok("trap - ERR; trap 'echo child' CHLD");
    inside.ok("/bin/true; /bin/true");
    inside.ok("trap - CHLD; trap 'echo hung up' HUP TERM");
    assert_eq!(inside.ok("kill -HUP $$; kill -TERM $$"), "hung up\nhung up\n");
    inside.ok("trap 'true' DEBUG");
    inside.assert_usable();
    inside.ok("trap 'echo \"<$BASH_COMMAND>\"' DEBUG; set -T");
    assert!(inside.ok("echo traced").contains("\ntraced\n"));
    inside.ok("trap - DEBUG; trap 'echo returned' RETURN");
    inside.assert_usable();
    inside.ok("trap '' INT QUIT TERM HUP PIPE CHLD");
    inside.assert_usable();
}

#[test]
fn redefined_words_do_not_reach_the_session() {
    for word in [
        "printf", "builtin", "eval", "cd", "read", "command", "unset", "exit", "return", "[", "test", "set",
    ] {
        let mut inside = Inside::with_timeout(5);
        inside.run(&format!("{word}() {{ /bin/echo fooled; }}"));
        inside.assert_usable();
        let long = format!("# {}\n/bin/echo long", "x".repeat(5000));
        assert_eq!(inside.ok(&long), "long\n", "{word}");
        // The words are the user's still, but for those without which nothing can be run.
        if !["eval", "return"].contains(&word) {
            assert!(inside.ok(&format!("{word} /; true")).contains("fooled"), "{word}");
        }
        let mut inside = Inside::with_timeout(5);
        inside.run(&format!(
            "shopt -s expand_aliases; alias {word}='/bin/echo fooled'"
        ));
        inside.assert_usable();
        assert_eq!(inside.ok(&long), "long\n", "{word}");
    }
}

#[test]
fn all_exit_statuses_come_back() {
    let mut inside = Inside::new();
    for code in 0..256 {
        inside.run(&format!("(exit {code})")).exited(code);
        // And the next command sees it.
        assert_eq!(inside.ok("echo $?").trim(), code.to_string());
    }
}

#[test]
fn programs_ended_by_signals_give_128_and_the_number() {
    let mut inside = Inside::new();
    // Not QUIT: bash ignores that one.
    for signal in [1, 2, 4, 6, 8, 9, 11, 13, 14, 15] {
        inside
            .run(&format!("bash -c 'kill -{signal} $$; sleep 5'"))
            .exited(128 + signal);
    }
    need("python3", "python3");
    inside.run("python3 -c 'import os; os.abort()'").exited(128 + 6);
    inside.assert_usable();
}

#[test]
fn the_report_cannot_be_faked() {
    let mut inside = Inside::with_timeout(5);
    // Words like the real one, by whatever way.
    for line in ["0", "00000000000000000000000000000000 0", "%s 0", " 0", "x"] {
        let done = inside.run(&format!(
            "echo '{line}'; printf '%s\\n' '{line}' >/run/cwm/session/report; sleep 0.3; echo end; (exit 9)"
        ));
        assert!(done.exited(9).ends_with("end\n"));
    }
    // What is not a whole line must not spoil the real one.
    inside
        .run("printf x >/run/cwm/session/report; (exit 9)")
        .exited(9);
    inside
        .run("head -c 100000 /dev/zero >/run/cwm/session/report; (exit 9)")
        .exited(9);
    inside
        .run("(yes >/run/cwm/session/report) & sleep 0.5; kill $!; (exit 9)")
        .exited(9);
    inside.assert_usable();
}

#[test]
fn a_flood_of_the_report_does_not_stop_the_clock() {
    let mut inside = Inside::with_timeout(3);
    let done = inside.run("yes >/run/cwm/session/report & yes >/run/cwm/session/report & wait");
    assert_eq!(done.result.ending, Ending::Killed(KillReason::Timeout));
    assert!(done.result.wall_time.as_secs() < 10);
    inside.assert_usable();
}

#[test]
fn the_sessions_own_files_may_be_destroyed() {
    for destroy in [
        "rm -rf /run/cwm/session/* /run/cwm/session/.??*",
        "rm -f /run/cwm/session/report; mkdir /run/cwm/session/command",
        "rm -f /run/cwm/session/report; ln -s /tmp/elsewhere /run/cwm/session/report; mkdir -p /run/cwm/session/command/x",
        "rm -f /run/cwm/session/report; echo x >/run/cwm/session/report",
        "chmod 000 /run/cwm/session/*",
    ] {
        let mut inside = Inside::with_timeout(3);
        inside.ok("true");
        inside.run(destroy);
        inside.assert_usable();
        let long = format!("# {}\necho long", "x".repeat(5000));
        assert_eq!(inside.ok(&long), "long\n");
        let done = inside.run("head -c 1000000 /dev/zero");
        assert_eq!(done.result.output.total_bytes, 1_000_000);
    }
}

#[test]
fn a_shell_that_ended_between_commands_is_told_of() {
    let mut inside = Inside::new();
    inside.ok("(sleep 0.2; kill -9 $$) & cd /");
    std::thread::sleep(std::time::Duration::from_millis(600));
    let done = inside.run("pwd");
    assert_eq!(done.result.lost_before, Some(Ending::Signalled(9)));
    assert_eq!(done.text.trim(), inside.folder().to_str().unwrap());
    assert_eq!(inside.run("true").result.lost_before, None);
}
