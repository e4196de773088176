//! What lasts from one command to the next, and what does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use cwm_tools::sandbox::Ending;

use super::harness::Inside;

#[test]
fn variables_functions_aliases_options_and_the_mask_last() {
    let mut inside = Inside::new();
    inside.ok(
        "plain=1; export exported=2; declare declared=3; declare -a list=(a 'b c'); declare -A map=([k]=v)",
    );
    assert_eq!(
        inside.ok("echo $plain $declared \"${list[1]}\" ${map[k]}; bash -c 'echo $exported'"),
        "1 3 b c v\n2\n"
    );
    inside.ok("greet() { echo \"hello $1\"; return 3; }");
    assert_eq!(inside.run("greet you").exited(3), "hello you\n");
    inside.ok("shopt -s expand_aliases; alias shout='echo LOUD'");
    assert_eq!(inside.ok("shout"), "LOUD\n");
    inside.ok("umask 077; shopt -s nullglob; set -o pipefail");
    inside.ok("touch private");
    assert_eq!(inside.ok("stat -c %a private"), "600\n");
    assert_eq!(inside.ok("echo none*"), "\n");
    inside.run("false | true").exited(1);
}

#[test]
fn the_last_status_is_there_and_no_more() {
    let mut inside = Inside::new();
    inside.run("(exit 42)").exited(42);
    assert_eq!(inside.ok("echo $?"), "42\n");
    assert_eq!(inside.ok("echo $?"), "0\n");
    inside.run("set +e; false");
    // A failed command before this one does not make `set -e` end the shell.
    inside.ok("set -e; true");
    inside.ok("set +e");
}

#[test]
fn the_working_directory_is_known_at_once() {
    let mut inside = Inside::new();
    let folder = inside.folder().to_owned();
    fs::create_dir_all(folder.join("real/deep")).unwrap();
    symlink("real/deep", folder.join("link")).unwrap();
    for name in [
        "with space",
        "quote's",
        "new\nline",
        "-dash",
        "\\back",
        "$dollar",
        "ünïcode",
        "*",
    ] {
        fs::create_dir(folder.join(name)).unwrap();
        inside.ok(&format!("cd -- '{}'", name.replace('\'', "'\\''")));
        assert_eq!(inside.session.working_directory(), folder.join(name));
        inside.ok("touch here; cd ..");
        assert!(folder.join(name).join("here").exists());
    }
    let done = inside.run("cd link; pwd");
    assert_eq!(done.result.working_directory, folder.join("real/deep"));
    assert!(done.text.trim().ends_with("/link"));
    // A subshell's way is its own.
    inside.ok("(cd /)");
    assert_eq!(inside.session.working_directory(), folder.join("real/deep"));
    inside.ok("cd ..");
    assert_eq!(inside.session.working_directory(), folder);
    inside.run("cd /nowhere").exited(1);
    assert_eq!(inside.session.working_directory(), folder);
    inside.ok("cd; cd -");
}

#[test]
fn a_deleted_directory_is_no_trap() {
    let mut inside = Inside::new();
    let folder = inside.folder().to_owned();
    inside.ok("mkdir gone; cd gone; rmdir ../gone");
    let now = inside.session.working_directory().to_owned();
    assert!(now.is_dir(), "{} does not exist", now.display());
    inside.ok("echo fine");
    inside.ok("cd ..");
    // The tools still work, and a name that only looks like a deleted one is right.
    inside.ok(&format!(
        "cd '{}'; mkdir 'x (deleted)'; cd 'x (deleted)'",
        folder.display()
    ));
    assert_eq!(inside.session.working_directory(), folder.join("x (deleted)"));
}

#[test]
fn changed_words_and_paths_change_nothing_for_the_session() {
    let mut inside = Inside::new();
    inside.ok("IFS=x");
    inside.assert_usable();
    inside.ok("IFS='0123456789 '");
    inside.assert_usable();
    inside.ok("readonly IFS; readonly path_of_mine=1");
    let long = format!("# {}\necho '  long  '\n", "x".repeat(5000));
    assert_eq!(inside.ok(&long), "  long  \n");
    assert_eq!(inside.ok(&long.replace("long", "other")), "  other  \n");
    inside.ok("PATH=/nowhere");
    inside.run("ls").exited(127);
    inside.assert_usable();
    inside.ok("unset PATH HOME PWD OLDPWD SHELL TERM");
    inside.assert_usable();
    inside.ok("LC_ALL=C; LANG=; TMPDIR=/nowhere; ENV=/x BASH_ENV=/x");
    inside.assert_usable();
    inside.ok("set -f; set -k; shopt -s extglob nocasematch xpg_echo");
    inside.assert_usable();
    inside.ok("set -o posix");
    inside.assert_usable();
    inside.ok("[[ -o posix ]]");
    inside.ok("set -- a b c; shift");
    assert_eq!(inside.ok("echo \"$# $1\""), "2 b\n");
    inside.ok("set -o verbose");
    inside.run("echo x");
    inside.assert_usable();
}

#[test]
fn options_that_forbid_everything_leave_a_usable_session() {
    let mut inside = Inside::with_timeout(3);
    // Nothing is run any more: the shell never gets to the report, and its time ends.
    let done = inside.run("set -n; echo not reached");
    assert_ne!(done.result.ending, Ending::Exited(1));
    inside.assert_usable();
    inside.run("set -r 2>/dev/null || set -o restricted; cd /");
    inside.run("echo after");
    let mut fresh = inside.run("exit 0");
    if !fresh.result.session_ended() {
        fresh = inside.run("kill -9 $$");
    }
    assert!(fresh.result.session_ended());
    inside.assert_usable();
    inside.run("enable -n printf builtin eval read");
    inside.run("exit 0");
    inside.assert_usable();
}

#[test]
fn a_long_time_is_measured_and_a_short_one_too() {
    let mut inside = Inside::new();
    inside.ok("true");
    let time = inside.run("sleep 0.5").result.wall_time;
    assert!(
        time >= Duration::from_millis(500) && time < Duration::from_secs(3),
        "{time:?}"
    );
    let time = inside.run("true").result.wall_time;
    assert!(time < Duration::from_millis(300), "{time:?}");
}

#[test]
fn the_outputs_may_be_closed_or_sent_elsewhere() {
    let mut inside = Inside::new();
    assert_eq!(
        inside.ok("exec 3>&1 >/dev/null; echo lost; echo kept >&2"),
        "kept\n"
    );
    assert_eq!(inside.ok("echo lost; echo back >&3"), "back\n");
    inside.ok("exec >&3 3>&-");
    assert_eq!(inside.ok("echo again"), "again\n");
    inside.ok("exec 2>&-");
    inside.run("echo fine; ls /nowhere").exited(2);
    inside.ok("exec 2>&1");
    inside.ok("exec 0<&-");
    inside.assert_usable();
    inside.ok("exec </dev/null");
    inside.assert_usable();
    inside.ok("exec >&- 2>&-");
    inside.run("true").exited(0);
    assert_eq!(inside.run("exit 5").result.ending, Ending::ShellExited(5));
    inside.assert_usable();
}

#[test]
fn all_descriptors_may_be_closed() {
    let mut inside = Inside::with_timeout(5);
    inside.ok("true");
    let done = inside.run("for fd in {0..255}; do eval \"exec $fd>&-\"; done");
    assert!(
        matches!(done.result.ending, Ending::Exited(_) | Ending::ShellExited(_)),
        "{:?}",
        done.result.ending
    );
    // Whichever it was: without outputs nothing can be shown, but what is asked is done.
    inside.run("exit 6");
    inside.assert_usable();
    inside.run("exec 255<&-; echo");
    inside.run("exit 6");
    inside.assert_usable();
}

#[test]
fn a_full_disk_leaves_a_usable_session() {
    let mut inside = Inside::with(
        |policy| policy.limits.scratch = 24 << 20,
        super::harness::patient(20),
    );
    inside.ok("mkdir -p /tmp/sub");
    let done = inside.run("cat /dev/zero >/tmp/sub/full");
    assert!(done.exited(1).contains("No space left"));
    inside.run("cat /dev/zero >/run/cwm/session/full").exited(1);
    inside.assert_usable();
    let long = format!("# {}\necho long", "x".repeat(200_000));
    assert_eq!(inside.ok(&long), "long\n");
    let done = inside.run("head -c 2000000 /dev/zero | tr '\\0' z");
    assert_eq!(done.result.output.total_bytes, 2_000_000);
    assert!(done.result.output.tail.iter().all(|&byte| byte == b'z'));
    inside.ok("cd /tmp/sub");
    inside.run(&format!("cd /; {long}")).exited(0);
    assert_eq!(inside.session.working_directory(), Path::new("/"));
    inside.ok("rm /tmp/sub/full /run/cwm/session/full");
    inside.ok("echo again >/tmp/sub/file");
}
