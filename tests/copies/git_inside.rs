//! Git inside an attempt: it works as anywhere, knows the base and its ancestors only, and nothing that is planted for it
//! is run by anything outside.

use super::repository::Repository;

/// Three commits, a tag, a side branch, a stash, a remote, and hooks and filters of the user's own.
fn with_history() -> Repository {
    let repository =
        Repository::new("echo one > file; echo '*.o' > .gitignore; mkdir sub; echo two > sub/other");
    repository
        .shell(
            "echo three >> file && git commit -qam second && git tag first-tag HEAD~1
             git checkout -qb side && echo SIDE-CONTENT > side && git add side && git commit -qm side && git checkout -q main
             echo STASHED > file && git stash -q && git checkout -q main
             git remote add origin https://example.com/x.git && git update-ref refs/remotes/origin/main side
             printf '#!/bin/sh\\necho ran >> \"$(git rev-parse --show-toplevel)/user-hook-ran\"\\n' > .git/hooks/pre-commit
             chmod +x .git/hooks/pre-commit",
        )
        .ok();
    repository
}

#[test]
fn git_works_and_leaves_the_user_alone() {
    let repository = with_history();
    let before = repository.picture();
    let said = repository
        .sandbox(
            &[],
            "git status --porcelain
             git log --format=%s
             git branch -a --format='%(refname)'; git tag; git stash list; git remote
             echo more >> file; git stash -q; git status --porcelain; git stash pop -q
             git checkout -q -b feature; git commit -qam 'of the attempt'
             git log --format=%s -2; git gc -q --prune=now; git fsck --full --strict; git rev-list --count HEAD
             git checkout -q HEAD~1 -- file; git diff --cached --stat | tail -1
             ls",
        )
        .ok();
    let expected = "second\nbase\nrefs/heads/main\nof the attempt\nsecond\n3\n 1 file changed, 1 deletion(-)\nfile\nsub\n";
    assert_eq!(said, expected);
    repository.assert_untouched(&before, "the repository");
}

#[test]
fn other_branches_tags_and_stashes_cannot_be_had() {
    let repository = with_history();
    // The same content is not in the attempt's tree, so it would have to come from an object.
    let ids = repository
        .shell("git rev-parse side side:side stash@{0} stash@{0}:file; git rev-list --all --objects | wc -l")
        .ok();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    let said = repository
        .sandbox(
            &[],
            &format!(
                "for id in {}; do if git cat-file -e $id 2>/dev/null; then echo has $id; fi; done
                 git cat-file --batch-all-objects --batch-check | wc -l
                 git rev-list --objects HEAD | wc -l
                 git rev-parse -q --verify first-tag || true",
                ids[..4].join(" ")
            ),
        )
        .ok();
    let counts: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(counts.len(), 2, "{said}");
    assert_eq!(counts[0], counts[1], "there are objects that no ancestor needs");
    assert_eq!(
        repository
            .shell("git rev-list --objects HEAD | wc -l")
            .ok()
            .trim(),
        counts[0]
    );
}

#[test]
fn what_is_planted_for_git_is_run_by_nothing_outside() {
    let repository = with_history();
    let canary = repository.root.with_file_name("canary");
    // Inside, that path leads nowhere; a planted program that leaves a canary there has run outside.
    let plant = format!(
        "cat > /tmp/evil <<'END'
#!/bin/sh
echo ran > '{canary}'
cat 2>/dev/null
END
         chmod +x /tmp/evil; cp /tmp/evil evil; evil=$PWD/evil
         git config core.fsmonitor $evil; git config core.hooksPath $PWD/hooks; git config core.pager $evil
         git config core.editor $evil; git config core.sshCommand $evil; git config diff.external $evil
         git config filter.bad.clean $evil; git config filter.bad.smudge $evil; git config filter.bad.process $evil
         git config filter.bad.required true; git config diff.bad.textconv $evil; git config diff.bad.command $evil
         git config merge.bad.driver $evil; git config alias.apply \"!$evil\"; git config alias.status \"!$evil\"
         git config credential.helper \"!$evil\"; git config gpg.program $evil
         mkdir hooks; for hook in pre-commit post-checkout post-index-change applypatch-msg pre-applypatch reference-transaction; do
             cp /tmp/evil hooks/$hook; cp /tmp/evil .git/hooks/$hook 2>/dev/null || {{ mkdir -p .git/hooks && cp /tmp/evil .git/hooks/$hook; }}
         done
         echo '* filter=bad diff=bad merge=bad' > .gitattributes
         mkdir -p .git/info; echo '* filter=bad diff=bad merge=bad' > .git/info/attributes
         mkdir nested; cp -r .git nested/.git
         printf '/etc\\n' > .git/objects/info/alternates; printf 'gitdir: ../../..\\n' > sub/.git
         printf '[include]\\n\\tpath = %s\\n' $evil >> .git/config
         echo changed >> file",
        canary = canary.display()
    );
    let before = repository.picture();
    let patch = repository.diff(&[], &plant);
    assert!(!canary.exists(), "a planted program ran during the diff");
    repository.assert_untouched(&before, "the repository");
    let text = String::from_utf8_lossy(&patch);
    assert!(
        text.contains("+changed\n") && !text.contains("nested/.git"),
        "{text}"
    );

    // Taken over, the attempt's attributes name drivers that the user's own configuration does not know.
    let file = repository.root.with_file_name("planted.diff");
    std::fs::write(&file, &patch).unwrap();
    for options in ["--check", "--index", ""] {
        let apply = format!(
            "\"$CWM\" apply {options} '{}' && git reset -q --hard && git clean -qfd",
            file.display()
        );
        repository.shell(&apply).ok();
        assert!(
            !canary.exists(),
            "a planted program ran during `cwm apply {options}`"
        );
    }
    // And a second copy of the repository that has taken the change over.
    repository
        .shell(&format!("\"$CWM\" apply --index '{}'", file.display()))
        .ok();
    repository.sandbox(&["--diff"], "echo again >> file").ok();
    assert!(!canary.exists(), "a planted program ran in the next copy");
}
