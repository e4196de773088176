//! `cwm sandbox` in a container, from the command line to the diff.

use super::{FULL, engine};
use crate::cli::context::TestContext;

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_command_runs_on_a_copy_in_the_image_and_its_diff_applies() {
    let address = format!("unix://{}", engine().display());
    let context = TestContext::new()
        .with("DOCKER_HOST", &address)
        .with("IMAGE", FULL);
    let made = context.shell(
        "git init -q -b main repository && cd repository && git config user.name T && git config user.email t@example.com \
         && echo one > file && git add . && git commit -qm base",
    );
    assert_eq!(made.code, 0, "{made:?}");
    let ran = context.shell(
        "cd repository && \"$CWM\" sandbox --image \"$IMAGE\" --diff -o ../change.diff -- \
         bash -c 'test ! -e /home && git log --oneline | wc -l && echo two >> file && exit 7'; echo status $?; git status --short",
    );
    assert_eq!(ran.stdout, "status 7\n", "{ran:?}");
    assert!(ran.stderr.lines().any(|line| line == "1"), "{ran:?}");
    let applied = context.shell("cd repository && \"$CWM\" apply ../change.diff && cat file");
    assert_eq!(
        (applied.code, applied.stdout.as_str()),
        (0, "one\ntwo\n"),
        "{applied:?}"
    );
    let left = context.shell("ls home/.local/state/cwm/runs");
    assert_eq!(left.stdout, "", "{left:?}");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn patches_are_tried_in_the_image_and_the_right_one_is_first() {
    let address = format!("unix://{}", engine().display());
    let context = TestContext::new()
        .with("DOCKER_HOST", &address)
        .with("IMAGE", FULL);
    let made = context.shell(
        "git init -q -b main repository && cd repository && git config user.name T && git config user.email t@example.com \
         && echo one > file && git add . && git commit -qm base && echo two > file && git diff > ../right.diff \
         && echo three > file && git diff > ../wrong.diff && git checkout -q file",
    );
    assert_eq!(made.code, 0, "{made:?}");
    let ranked = context.shell(
        "cd repository && \"$CWM\" rank --image \"$IMAGE\" --test 'test ! -e /home && grep -q two file' -o ../best.diff ../wrong.diff ../right.diff \
         && cmp ../best.diff ../right.diff; echo status $?; git status --short; ls ../home/.local/state/cwm/runs",
    );
    assert!(
        ranked.stdout.contains("\n1      ../right.diff  yes       1 of 1"),
        "{ranked:?}"
    );
    assert!(ranked.stdout.ends_with("\nstatus 0\n"), "{ranked:?}");
}
