//! Attacks through the copy's `.git`: nothing that git outside would run may come out of the sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cwm_tools::sandbox::policy::{Mount, Policy, UpperLayer};

use super::harness::{Inside, World, both, outside};

/// The user's repository with a commit, a snapshot of it, and layers for its tree and its `.git`.
fn with_repository(world: &World) -> Policy {
    let project = world.project();
    outside("git", &["init", "-q", "-b", "main"], &project);
    for (name, value) in [
        ("user.name", "A"),
        ("user.email", "a@example.org"),
        ("commit.gpgsign", "false"),
    ] {
        outside("git", &["config", name, value], &project);
    }
    outside("git", &["add", "."], &project);
    outside("git", &["commit", "-q", "-m", "first"], &project);
    let snapshot = world.path("snapshot");
    outside("cp", &["-a", ".", &snapshot.display().to_string()], &project);
    fs::create_dir_all(world.path("layers/git-upper")).unwrap();
    fs::create_dir_all(world.path("layers/git-work")).unwrap();
    let mut policy = world.policy();
    policy.mounts.push(Mount::Overlay {
        lower: snapshot.join(".git"),
        upper: Some(UpperLayer {
            upper: world.path("layers/git-upper"),
            work: world.path("layers/git-work"),
        }),
        target: project.join(".git"),
    });
    policy
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
        }
        found.insert(path.clone(), fs::read(&path).ok());
    }
    found
}

#[test]
fn hooks_and_config_planted_inside_stay_inside() {
    both(|world| {
        let policy = with_repository(world);
        let project = world.project();
        let before = tree(&project);
        let snapshot = tree(&world.path("snapshot"));
        let mark = world.path("attacked");
        let mut inside = Inside::start(policy);
        inside.ok(&format!(
            "cat >/tmp/hook <<'END'
#!/bin/sh
touch '{mark}'
END
             chmod 755 /tmp/hook
             for hook in pre-commit post-commit post-checkout post-index-change pre-push reference-transaction fsmonitor-watchman; do
                 cp /tmp/hook .git/hooks/$hook || exit 1
             done
             git config core.fsmonitor '{mark}'; git config core.hooksPath /tmp; git config core.sshCommand /tmp/hook
             git config core.pager 'touch {mark}'; git config alias.status '!touch {mark}'; git config filter.x.clean 'touch {mark}'
             git config diff.external /tmp/hook; git config include.path /tmp/config; git config core.worktree /
             echo '* filter=x diff=x' >.git/info/attributes; echo '* filter=x' >.gitattributes
             echo /etc >.git/objects/info/alternates
             git config --unset core.worktree; git config --unset core.fsmonitor; git config --unset diff.external; git config --unset core.hooksPath
             rm .git/hooks/*; echo changed >user.txt; git -c filter.x.clean=cat commit -qam second; git tag planted; git branch other
             git log --oneline | wc -l",
            mark = mark.display()
        ));
        assert_eq!(
            inside.ok("git log --oneline | wc -l").trim(),
            "2",
            "the copy's own git works"
        );
        inside.ok(&format!(
            "cp /tmp/hook .git/hooks/post-index-change; git config core.fsmonitor 'touch {mark}'; git config alias.st '!touch {mark}'",
            mark = mark.display()
        ));
        inside.sh(
            "rm -rf .git/refs .git/objects .git/HEAD; rm -rf .git; mv .git .gone; ln -s /etc .git; mount",
        );
        drop(inside);
        assert!(tree(&project) == before, "the user's repository changed");
        assert!(tree(&world.path("snapshot")) == snapshot, "the snapshot changed");
        outside("git", &["status"], &project);
        outside("git", &["fsck", "--strict"], &project);
        let log = outside("git", &["log", "--oneline", "--all"], &project);
        assert_eq!(String::from_utf8_lossy(&log.stdout).lines().count(), 1);
        assert!(!mark.exists(), "git outside ran what the sandbox planted");
        // All that came out of `.git` lies in its own layer, and none of it in the tree's.
        assert!(!world.path("layers/upper/.git/hooks").exists());
        assert!(!world.path("layers/upper/.git/config").exists());
    });
}

#[test]
fn what_is_left_in_the_layers_cannot_be_reached_by_other_users() {
    both(|world| {
        use std::os::unix::fs::PermissionsExt;
        let mut inside = world.inside();
        // A file that would make whoever runs it this user: the folder above the layers must keep others out, whatever
        // the sandbox does to the layer's own folder.
        inside.ok("cp /bin/true gift; chmod 6755 gift; chmod 777 .; true");
        let gift = world.path("layers/upper/gift");
        assert!(gift.exists());
        let above = fs::metadata(world.base.path()).unwrap().permissions().mode();
        assert_eq!(above & 0o077, 0);
        inside.sh("chmod 777 .. ../.. 2>/dev/null; true");
        assert_eq!(
            fs::metadata(world.base.path()).unwrap().permissions().mode(),
            above
        );
    });
}
