//! The options of `cwm sandbox` from end to end, and repositories of every form.

use super::repository::{Repository, assert_same, picture};

#[test]
fn uncommitted_and_untracked_work_is_taken_as_asked() {
    let repository = Repository::new("echo base > file; echo gone > gone; echo ignored > .gitignore");
    repository
        .shell("echo edited > file; rm gone; echo staged > staged; git add staged; echo new > untracked; echo x > ignored")
        .ok();
    let before = repository.picture();
    let look = "cat file; ls | tr '\\n' ' '; git status --porcelain; echo more >> file";
    for (options, seen) in [
        (&[][..], "edited\nfile ignored staged "),
        (&["--include-uncommitted"], "edited\nfile ignored staged "),
        (&["--untracked"], "edited\nfile ignored staged untracked "),
        (&["--committed-only"], "base\nfile gone ignored "),
    ] {
        assert_eq!(repository.sandbox(options, look).ok(), seen, "{options:?}");
    }
    // The diff is against what was taken, so it fits what the user has.
    let patch = repository.diff(
        &["--untracked"],
        "echo more >> file; echo more >> untracked; rm staged",
    );
    let file = repository.root.with_file_name("work.diff");
    std::fs::write(&file, &patch).unwrap();
    repository.assert_untouched(&before, "the repository");
    let done = repository.shell("\"$CWM\" apply ../work.diff; cat file untracked; ls | tr '\\n' ' '");
    assert!(
        done.text()
            .ends_with("edited\nmore\nnew\nmore\nfile ignored untracked "),
        "{done:?}"
    );
}

#[test]
fn a_linked_worktree_is_copied_at_its_own_path() {
    let repository = Repository::new("echo main > file");
    repository
        .shell("git worktree add -q -b other ../linked && echo other > ../linked/file && git -C ../linked commit -qam other")
        .ok();
    let linked = repository.root.with_file_name("linked");
    let before = (repository.picture(), picture(&linked));
    let done = repository.sandbox_in(
        &linked,
        &["--diff"],
        "pwd >&2; git log --format=%s >&2; git status --porcelain >&2; echo more >> file",
    );
    let said = format!("{}\nother\nbase\n", linked.display());
    assert!(done.stderr.starts_with(&said), "{done:?}");
    assert!(done.ok().contains("+more\n"));
    repository.assert_untouched(&before.0, "the repository");
    assert_same(&picture(&linked), &before.1, "the worktree");
}

#[test]
fn a_submodule_is_filled_and_its_changes_are_not_the_repositorys() {
    let repository = Repository::new(
        "git init -q ../library && (cd ../library && echo lib > lib && git add lib && git commit -qm lib)
         git submodule --quiet add ../library sub && echo file > file",
    );
    let before = repository.picture();
    let done = repository.sandbox(
        &["--diff"],
        "cat sub/lib >&2; echo more >> sub/lib; echo more >> file",
    );
    assert!(done.stderr.starts_with("lib\n"), "{done:?}");
    assert!(done.stderr.contains("sub"), "what is left out is said: {done:?}");
    let patch = done.ok();
    assert!(
        patch.contains("b/file\n") && !patch.contains("sub/lib"),
        "{patch}"
    );
    repository.assert_untouched(&before, "the repository");
}

#[test]
fn a_folder_inside_names_its_repository_and_is_where_the_command_starts() {
    let repository = Repository::new("mkdir -p a/b; echo deep > a/b/file; echo top > file");
    let root = repository.root.display().to_string();
    let script = "pwd; cat file; echo more >> ../../file";
    let named = repository.sandbox_in(&repository.root, &["--repo", "a/b"], script);
    let called = repository.sandbox_in(&repository.root.join("a/b"), &[], script);
    let expected = format!("{root}/a/b\ndeep\n");
    assert_eq!((named.ok(), called.ok()), (expected.clone(), expected));
}

#[test]
fn a_nested_repository_is_left_out_and_can_be_named_itself() {
    let repository = Repository::new("echo outer > file; echo nested > .gitignore");
    repository
        .shell("git init -q nested && cd nested && echo inner > file && git add file && git commit -qm inner")
        .ok();
    let seen = repository
        .sandbox(&[], "ls; cat nested/file 2>/dev/null || echo none")
        .ok();
    assert_eq!(seen, "file\nnone\n");
    let seen = repository
        .sandbox(
            &["--repo", "nested"],
            "cat file; git log --format=%s; cat ../file 2>/dev/null || echo none",
        )
        .ok();
    assert_eq!(seen, "inner\ninner\nnone\n");
    // One that the attempt makes stays out of the diff, and that is said.
    let done = repository.sandbox(
        &["--diff"],
        "git init -q fresh; echo x > fresh/x; echo more >> file",
    );
    assert!(
        done.stderr.contains("fresh") && done.stderr.contains("a repository of its own"),
        "{done:?}"
    );
    assert!(!done.ok().contains("fresh"));
}

#[test]
fn a_copy_that_grows_over_its_disk_limit_is_ended_and_that_is_said() {
    let repository = Repository::new("echo base > file");
    let before = repository.picture();
    let start = std::time::Instant::now();
    let done = repository.sandbox(
        &["--disk", "50M"],
        "for n in $(seq 30); do head -c 10000000 /dev/urandom > big-$n; done; sleep 60",
    );
    assert_eq!(done.code, 4, "{done:?}");
    assert!(done.stderr.contains("disk"), "{done:?}");
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    repository.assert_untouched(&before, "the repository");
    assert_eq!(
        repository
            .sandbox(&["--disk", "50M"], "head -c 10M /dev/zero > small")
            .code,
        0
    );
}

#[test]
fn external_works_on_a_copy_too() {
    let repository = Repository::new("echo base > file; mkdir sub; echo old > sub/old");
    let before = repository.picture();
    let options = ["--sandbox", "external", "--diff"];
    let done = repository.sandbox(
        &options,
        "pwd >&2; git status --porcelain >&2; git log --format=%s >&2; echo more >> file; rm sub/old; echo new > new",
    );
    let shown = done.stderr.lines().next().unwrap_or_default().to_owned();
    assert!(!shown.starts_with(repository.root.to_str().unwrap()), "{done:?}");
    assert!(done.stderr.starts_with(&format!("{shown}\nbase\n")), "{done:?}");
    let patch = done.stdout;
    let truth = repository.clone_at("twin");
    let tree = repository
        .shell_in(
            &truth,
            "echo more >> file; rm sub/old; echo new > new; git add -A; git write-tree",
        )
        .ok();
    assert_eq!(repository.tree_after(&patch), tree);
    repository.assert_untouched(&before, "the repository");
    assert!(!std::path::Path::new(&shown).exists(), "{shown} is left");
    let failed = repository.sandbox(&["--sandbox", "external"], "exit 7");
    assert_eq!(failed.code, 7);
}

/// A package that is installed for editing lies in the user's tree, at the end of the list where Python looks.
#[test]
fn external_imports_a_package_from_the_copy_and_not_from_the_tree() {
    for (place, other) in [("adder.py", "src/none"), ("src/adder.py", "none")] {
        let repository = Repository::new(&format!("mkdir -p src; touch setup.py {place} {other}"));
        let tree = repository.root.join(place);
        let script = format!(
            "root=$PWD; cd /; PYTHONPATH=\"$PYTHONPATH:{}\" python3 -B -c 'import adder; print(adder.__file__)'; echo $root/{place}",
            tree.parent().unwrap().display()
        );
        let done = repository.sandbox(&["--sandbox", "external"], &script);
        let text = String::from_utf8(done.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], lines[1], "{}", done.stderr);
        assert!(!lines[0].starts_with(repository.root.to_str().unwrap()), "{text}");
    }
}
