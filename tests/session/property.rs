//! For random commands: what comes through the session is what comes through one pipe from `bash -c`.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::Inside;

/// A word for `printf`'s format: any bytes but NUL, escaped.
fn octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

fn piece() -> impl Strategy<Value = String> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        6 => bytes.clone().prop_map(|bytes| format!("printf '{}'", octal(&bytes))),
        3 => bytes.clone().prop_map(|bytes| format!("printf '{}' >&2", octal(&bytes))),
        2 => (1..3000u32).prop_map(|count| format!("seq 1 {count}")),
        2 => (1..200_000u32).prop_map(|count| format!("head -c {count} /dev/zero | tr '\\0' 'z'")),
        1 => (1..60_000u32).prop_map(|count| format!("head -c {count} /dev/zero >&2")),
        2 => "[a-z'\"\\\\$ ]{0,30}".prop_map(|text| format!("echo '{}'", text.replace('\'', "'\\''"))),
        1 => (1..40u32).prop_map(|count| format!("for i in {{1..{count}}}; do echo $i; echo err$i >&2; done")),
        1 => (1..40u32).prop_map(|count| format!("seq 1 {count} | sed 's/1/one\\r/g' | sort -r | head -n 5")),
        1 => bytes.prop_map(|bytes| format!("printf '{}' | cat - /dev/null | od -c", octal(&bytes))),
        1 => (0..256i32).prop_map(|code| format!("(exit {code})")),
        1 => Just("false | true".to_owned()),
        1 => Just("cat <<'END'\n$x `y` \\z\nEND\n:".to_owned()),
        1 => Just("nosuchprogram_ 2>/dev/null".to_owned()),
        1 => Just("{ echo out; echo err >&2; } 2>&1 | cat".to_owned()),
        1 => Just("(kill -9 $BASHPID)".to_owned()),
        1 => (1..2000usize).prop_map(|count| format!("python3 -c 'import sys; b = bytes(range(256)) * {count}; sys.stdout.buffer.write(b); sys.stdout.flush(); sys.stderr.buffer.write(b[::-1])'")),
    ]
}

fn script() -> impl Strategy<Value = String> {
    let join = prop_oneof![Just("\n"), Just("; "), Just(" && "), Just(" || ")];
    prop::collection::vec((piece(), join), 1..8).prop_map(|pieces| {
        let mut script = String::new();
        for (piece, join) in pieces {
            script.push_str(&piece);
            // A here-document's end stands alone on its line, and `:` follows.
            script.push_str(join);
        }
        script + "true && (exit $?)"
    })
}

fn through_a_pipe(script: &str) -> (Vec<u8>, i32) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new("bash");
    command
        .args(["--noprofile", "--norc", "-c", script])
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut output = Vec::new();
    reader.read_to_end(&mut output).unwrap();
    let status = child.wait().unwrap();
    (
        output,
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap()),
    )
}

/// Bash names itself and the line in its own messages; those differ.
fn without_bashs_messages(bytes: &[u8]) -> Vec<u8> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.windows(6).any(|part| part == b"Killed"))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn output_and_status_are_those_of_a_pipe() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(300),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let inside = std::cell::RefCell::new(Inside::new());
    runner
        .run(&script(), |script| {
            let (expected, status) = through_a_pipe(&script);
            let mut inside = inside.borrow_mut();
            let mut output = Vec::new();
            // `$?` begins at 0 in a new bash.
            inside.session.run("true").unwrap();
            let result = inside
                .session
                .run_streaming(&script, &mut |_: cwm_tools::sandbox::Stream, bytes: &[u8]| {
                    output.extend_from_slice(bytes);
                })
                .unwrap();
            prop_assert_eq!(result.exit_code(), Some(status), "{}", script);
            prop_assert_eq!(result.output.total_bytes, output.len() as u64);
            prop_assert!(
                without_bashs_messages(&output) == without_bashs_messages(&expected),
                "{}",
                script
            );
            Ok(())
        })
        .unwrap();
}
