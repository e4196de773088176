//! Commands that want somebody at the terminal: there is nobody, and none of them hangs.

use std::time::Duration;

use super::harness::{Inside, need};

/// Each must end by itself, long before its timeout; what it printed is returned.
fn quick(inside: &mut Inside, command: &str) -> String {
    let done = inside.run(command);
    assert!(
        !done.result.session_ended(),
        "`{command}`: {:?} {}",
        done.result.ending,
        done.text
    );
    assert!(
        done.result.wall_time < Duration::from_secs(6),
        "`{command}` took {:?}",
        done.result.wall_time
    );
    done.text
}

#[test]
fn readers_of_the_standard_input_find_its_end() {
    let mut inside = Inside::new();
    for command in [
        "cat",
        "cat; cat; cat -",
        "read line",
        "read -n1 key",
        "read -s -p 'Password: ' secret",
        "read -t 5 line",
        "while read -r line; do echo \"$line\"; done",
        "wc -l",
        "sort",
        "head -1",
        "cat - - - | cat",
        "select x in a b; do break; done",
        "mapfile lines",
        "bash",
        "sh -i",
        "bash -i",
        "tee file",
        "dd bs=1 count=1",
        "cat /dev/stdin",
        "cat </proc/self/fd/0",
        "xargs echo",
    ] {
        quick(&mut inside, command);
        inside.assert_usable();
    }
    assert_eq!(inside.run("read line").result.exit_code(), Some(1));
}

#[test]
fn the_terminal_can_be_opened_read_and_written() {
    let mut inside = Inside::new();
    assert_eq!(quick(&mut inside, "cat /dev/tty"), "");
    assert_eq!(quick(&mut inside, "read x </dev/tty; echo $?"), "1\n");
    assert_eq!(quick(&mut inside, "tty >/dev/null; test -t 0; echo $?"), "0\n");
    assert_eq!(quick(&mut inside, "test -t 1; echo $?"), "1\n");
    // What is written there is seen with the command that wrote it, each time.
    for round in 0..100 {
        let text = quick(&mut inside, &format!("echo 'to the terminal {round}' >/dev/tty"));
        assert_eq!(text, format!("to the terminal {round}\n"));
    }
    let bytes = "head -c 100000 /dev/zero | tr '\\0' t >/dev/tty";
    assert_eq!(inside.run(bytes).result.output.total_bytes, 100_000);
}

#[test]
fn the_terminals_modes_do_not_outlive_their_command() {
    let mut inside = Inside::new();
    let plain = inside.ok("stty -a");
    for modes in [
        "raw",
        "-echo",
        "sane",
        "-icanon min 1 time 0",
        "raw -echo min 1",
        "eof x",
        "0",
        "-opost",
        "cbreak",
        "rows 1 cols 1 raw",
    ] {
        quick(&mut inside, &format!("stty {modes}"));
        inside.assert_usable();
        quick(&mut inside, &format!("stty {modes}; cat; head -c 1; read x"));
        inside.assert_usable();
    }
    inside.ok("stty rows 24 cols 80");
    assert_eq!(inside.ok("stty -a"), plain);
}

#[test]
fn python_asks_and_is_told_that_nobody_answers() {
    need("python3", "python3");
    let mut inside = Inside::new();
    let text = quick(&mut inside, "python3 -c 'input(\"name? \")'");
    assert!(text.contains("EOFError"), "{text}");
    let text = quick(&mut inside, "python3 -c 'import getpass; getpass.getpass()'");
    assert!(text.contains("EOFError") && text.contains("Password:"), "{text}");
    quick(&mut inside, "python3 -q");
    quick(&mut inside, "python3 -i -c 'print(1)'");
    quick(
        &mut inside,
        "python3 -c 'import sys, tty; tty.setraw(0); sys.stdin.read(1)'",
    );
    quick(&mut inside, "python3 -c 'import pdb; pdb.set_trace()'");
    quick(
        &mut inside,
        "python3 -c 'import curses; s = curses.initscr(); s.getch(); curses.endwin()'",
    );
    inside.assert_usable();
}

#[test]
fn pagers_and_prompts_go_on_or_give_up() {
    need("less", "less");
    need("git", "git");
    need("node", "nodejs");
    need("ssh-keygen", "openssh-client");
    let mut inside = Inside::new();
    inside.ok("seq 1 100000 >long");
    assert!(quick(&mut inside, "less long").contains("100000"));
    quick(&mut inside, "seq 1 1000 | less");
    quick(&mut inside, "more long >/dev/null");
    inside.ok("git init -q . && git -c user.name=n -c user.email=e@x commit -q --allow-empty -m first");
    assert!(quick(&mut inside, "git -c core.pager=less log").contains("first"));
    assert!(quick(&mut inside, "PAGER=less GIT_PAGER=less git -p log").contains("first"));
    quick(&mut inside, "git add -p");
    quick(&mut inside, "GIT_EDITOR=cat git commit --allow-empty");
    quick(&mut inside, "node");
    quick(&mut inside, "node -e 'process.stdin.on(\"data\", console.log)'");
    quick(&mut inside, "ssh-keygen -t ed25519 -f key");
    quick(
        &mut inside,
        "touch a b; chmod 000 a; rm -i a; mv -i b a; cp -i b a",
    );
    quick(&mut inside, "sqlite3 2>&1 || true");
    quick(&mut inside, "vim -u NONE 2>&1 </dev/null | head -c 10");
    quick(&mut inside, "man bash 2>&1 | head -1");
    inside.assert_usable();
}
