//! The diff of a copy, for every kind of change: git applies it, and then has the tree that the same commands leave in an
//! ordinary clone.

use super::repository::Repository;

/// A repository with files of every kind.
const BASE: &str = "
    printf 'one\\ntwo\\nthree\\nfour\\nfive\\nsix\\nseven\\neight\\n' > file; seq 100 > long; echo gone > gone; echo moved > sub-file
    mkdir -p dir/deep; seq 50 > dir/deep/inner; echo 'x' > dir/x; printf 'no end' > no-end; : > empty
    printf 'a\\r\\nb\\r\\nc\\r\\n' > crlf; printf '\\0\\1\\2bin\\n' > binary; ln -s file link; ln -s nowhere dangling
    printf '#!/bin/sh\\n' > tool; chmod +x tool; echo plain > plain; echo odd > 'odd name'; printf 'x\\n' > $'tab\\tand\\nnewline'
    echo latin > $'caf\\xe9'; echo '*.o' > .gitignore; echo quote > 'a\"b\\c'";

/// A change: its name, what is done in the copy, and, where git itself cannot follow that, what leaves the same tree
/// in a clone.
type Case = (&'static str, &'static str, Option<&'static str>);

const CASES: &[Case] = &[
    ("nothing", "true", None),
    (
        "touched only",
        "touch file; cp -p file f2; mv f2 file; touch long",
        None,
    ),
    (
        "edited",
        "sed -i 's/three/3/' file; sed -i '50d' long; echo end >> dir/x",
        None,
    ),
    (
        "added",
        "echo new > new; mkdir -p a/b/c; echo deep > a/b/c/d",
        None,
    ),
    ("deleted", "rm gone dir/deep/inner; rm -r dir", None),
    ("everything deleted", "rm -rf -- * .gitignore", None),
    (
        "renamed",
        "mv long longer; mv dir folder; sed -i 's/^7$/seven/' longer",
        None,
    ),
    ("swapped", "mv file t; mv long file; mv t long", None),
    ("modes", "chmod +x plain; chmod -x tool; chmod 600 file", None),
    (
        "mode and content",
        "chmod +x file; echo more >> file; mv tool instrument; chmod -x instrument",
        None,
    ),
    (
        "links",
        "ln -sfn long link; ln -s ../file dir/up; rm dangling; ln -s / root; ln -s '' e 2>/dev/null || true",
        None,
    ),
    (
        "link to file",
        "rm link; echo file now > link; rm file; ln -s long file",
        None,
    ),
    (
        "file to folder",
        "rm file; mkdir file; echo in > file/in; rm -r dir; echo dir > dir",
        None,
    ),
    (
        "binary",
        "printf '\\0\\3other' > binary; python3 -c 'import random; random.seed(1); open(\"r\", \"wb\").write(random.randbytes(50000))'",
        None,
    ),
    ("binary to text", "echo text > binary; printf 'x\\0' > file", None),
    (
        "carriage returns",
        "printf 'a\\r\\nB\\r\\nc\\r\\n' > crlf; sed -i 's/$/\\r/' file; printf 'x\\r\\n' > new-crlf; printf 'a\\rb\\r' > mac",
        None,
    ),
    (
        "ends without newline",
        "printf 'no end at all' > no-end; printf 'x' > dir/x; printf 'gone\\n\\n\\n' > gone; printf '1' > n",
        None,
    ),
    (
        "newline added at the end",
        "echo >> no-end; printf 'a' > one",
        None,
    ),
    ("empty", ": > new-empty; : > file; echo full > empty", None),
    ("empty gone", "rm empty; mkdir empty-folder", None),
    (
        "odd names",
        "echo 1 >> 'odd name'; echo 2 >> $'tab\\tand\\nnewline'; echo 3 > $'\\xff\\xfe'; mv $'caf\\xe9' café; echo 4 > ' lead'; echo 5 > 'trail '; echo 6 > '--'; echo 7 >> 'a\"b\\c'; mkdir 'd d'; echo 8 > 'd d/é'",
        None,
    ),
    (
        "odd names renamed",
        "mv 'odd name' 'other name'; mv $'tab\\tand\\nnewline' $'\\a\\b'",
        None,
    ),
    (
        "long lines",
        "head -c 300000 /dev/zero | tr '\\0' x > long-line; printf '\\n' >> long-line; yes | head -50000 > many",
        None,
    ),
    (
        "looks like a diff",
        "printf -- '--- a/x\\n+++ b/x\\n@@ -1 +1 @@\\n-a\\n+b\\ndiff --git a/x b/x\\n' > file; printf -- '-- \\n+++ \\n' > sig",
        None,
    ),
    (
        "ignored",
        "echo object > x.o; echo other > file; echo '*.tmp' >> .gitignore; echo t > t.tmp",
        None,
    ),
    ("ignore list gone", "rm .gitignore; echo object > x.o", None),
    (
        "committed",
        "echo one >> file; git commit -qam one; echo two > two; git add two; git rm -q gone; git commit -qm two; git checkout -qb other",
        Some("echo one >> file; echo two > two; rm gone"),
    ),
    (
        "index of its own",
        "git rm -q --cached file; git update-index --assume-unchanged long; echo x >> long; git add -f .",
        Some("echo x >> long"),
    ),
    (
        "git folder gone",
        "echo x >> file; rm -rf .git 2>/dev/null || true; rm -rf .git/* || true",
        Some("echo x >> file"),
    ),
    (
        "git folder emptied and remade",
        "echo x >> file; find .git -mindepth 1 -delete; git init -q . ; git add -A; git -c user.name=X -c user.email=x@example.com commit -qm mine",
        Some("echo x >> file"),
    ),
    (
        "git folder replaced by a link",
        "echo x >> file; mv .git g 2>/dev/null || true; rm -rf .git 2>/dev/null || true; ln -s /tmp .git 2>/dev/null || true; rm -rf g",
        Some("echo x >> file"),
    ),
    (
        "git's insides replaced",
        "echo x >> file; rm -rf .git/objects .git/index; ln -s /etc .git/objects; echo garbage > .git/index; echo garbage > .git/HEAD; mkfifo .git/config.lock",
        Some("echo x >> file"),
    ),
    (
        "attributes",
        "printf '* -diff\\n*.txt binary\\nfile eol=crlf\\n' > .gitattributes; echo x > a.txt",
        None,
    ),
    (
        "pipes and sockets",
        "mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'; echo x >> file; rm gone; mkfifo gone",
        Some("echo x >> file; rm gone"),
    ),
    (
        "closed files",
        "echo x >> file; echo new > new; chmod 000 long plain dir",
        Some("echo x >> file; echo new > new"),
    ),
    (
        "hard links",
        "ln long hard; ln file dir/hard; echo x >> file",
        None,
    ),
    (
        "sparse",
        "truncate -s 1000000 sparse; printf x | dd of=sparse bs=1 seek=500000 conv=notrunc status=none",
        None,
    ),
];

#[test]
fn git_applies_the_diff_of_every_kind_of_change_and_has_the_tree() {
    let repository = Repository::new(BASE);
    let before = repository.picture();
    for &(name, script, twin) in CASES {
        let patch = repository.diff(&[], script);
        let found = repository.tree_after(&patch);
        let clone = repository.clone_at("twin");
        let truth = format!("{}\ngit add -A\ngit write-tree", twin.unwrap_or(script));
        let truth = repository.shell_in(&clone, &truth).ok();
        assert_eq!(found, truth, "{name}: {}", String::from_utf8_lossy(&patch));
    }
    repository.assert_untouched(&before, "the repository");
    // As a user has it: the repository itself takes the patch, in its index too.
    let patch = repository.diff(
        &[],
        "sed -i 's/three/3/' file; mv long longer; chmod +x plain; echo n > new",
    );
    std::fs::write(repository.root.with_file_name("last.diff"), &patch).unwrap();
    repository
        .shell("git apply --index --check ../last.diff && \"$CWM\" apply --index ../last.diff")
        .ok();
    let taken = repository.shell("git write-tree").ok();
    assert_eq!(taken, repository.tree_after(&patch));
}

#[test]
fn many_new_files_are_all_in_the_diff() {
    many_new_files(20);
}

#[test]
#[ignore = "slow: makes 20,000 files five times over"]
fn twenty_thousand_new_files_are_all_in_the_diff() {
    many_new_files(200);
}

/// Files of a hundred folders, so many in each.
fn many_new_files(each: usize) {
    let repository = Repository::new("echo base > file");
    let script = format!(
        "for d in $(seq 100); do mkdir d$d; for f in $(seq {each}); do echo $d $f > d$d/f$f; done; done"
    );
    let patch = repository.diff(&[], &script);
    let clone = repository.clone_at("twin");
    let truth = repository
        .shell_in(&clone, &format!("{script}; git add -A; git write-tree"))
        .ok();
    assert_eq!(repository.tree_after(&patch), truth);
}

#[test]
fn a_file_too_large_for_a_diff_is_left_out_with_a_warning_and_a_large_one_is_in() {
    let repository = Repository::new("echo base > file");
    let done = repository.sandbox(
        &["--diff"],
        "echo more >> file; head -c 100000000 /dev/zero > huge; seq 3000000 > large",
    );
    assert!(
        done.stderr.contains("huge") && done.stderr.contains("too large"),
        "{}",
        done.stderr
    );
    let patch = done.stdout;
    let clone = repository.clone_at("twin");
    let truth = repository
        .shell_in(
            &clone,
            "echo more >> file; seq 3000000 > large; git add -A; git write-tree",
        )
        .ok();
    assert_eq!(repository.tree_after(&patch), truth);
}
