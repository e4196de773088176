//! Attacks on the file tools: links, races, `..` and absolute paths. Everything is checked from outside.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::harness::{Inside, SECRET, World, both};

fn replace(path: &str, old: &str, new: &str) -> String {
    format!("{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE")
}

/// No tool shows or changes the file at `path`, which holds `line` where it is reached.
fn assert_refused(inside: &mut Inside, path: &str, line: &str) {
    let edited = inside.session.edit(&replace(path, line, "attacked")).unwrap();
    assert!(edited.is_err(), "edit of {path}: {edited:?}");
    let told = format!("{edited:?}");
    assert!(
        !told.contains(SECRET) && !told.contains("root:x:0"),
        "edit showed {path}: {told}"
    );
    let submitted = inside.session.submit(path).unwrap();
    assert!(submitted.is_err(), "submit of {path}: {submitted:?}");
    let told = format!("{submitted:?}");
    assert!(
        !told.contains(SECRET) && !told.contains("root:x:0"),
        "submit showed {path}: {told}"
    );
    let created = inside.session.create(&format!("{path}\nattacked\n")).unwrap();
    assert!(created.is_err(), "create of {path}: {created:?}");
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn the_tools_work_where_they_may() {
    both(|world| {
        let mut inside = world.inside();
        inside
            .session
            .edit(&replace("src/main.txt", "two", "2"))
            .unwrap()
            .unwrap();
        inside.session.create("src/new.txt\nnew\n").unwrap().unwrap();
        let absolute = world.project().join("src/absolute.txt");
        inside
            .session
            .create(&format!("{}\ndiff\n", absolute.display()))
            .unwrap()
            .unwrap();
        inside.session.submit("src/absolute.txt").unwrap().unwrap();
        let written = |name: &str| fs::read_to_string(world.path("layers/upper/src").join(name)).unwrap();
        assert_eq!(written("main.txt"), "one\n2\nthree\n");
        assert_eq!(written("new.txt"), "new\n");
        world.assert_untouched();
    });
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    both(|world| {
        let mut inside = world.inside();
        let passwd = first_line("/etc/passwd");
        let up = "../".repeat(20);
        let canary = world.path("sibling/canary");
        let paths = [
            "/etc/passwd".to_owned(),
            format!("{up}etc/passwd"),
            format!("src/{up}etc/passwd"),
            "./src/../../../../../../../../etc/passwd".to_owned(),
            "/proc/self/root/etc/passwd".to_owned(),
            "/proc/1/root/etc/passwd".to_owned(),
            "//etc//passwd".to_owned(),
            "/tmp/../etc/passwd".to_owned(),
        ];
        for path in paths {
            assert_refused(&mut inside, &path, &passwd);
        }
        for path in [canary.display().to_string(), "../sibling/canary".to_owned()] {
            let edited = inside.session.edit(&replace(&path, SECRET, "attacked")).unwrap();
            assert!(edited.is_err(), "{path}");
        }
        for path in [
            "/proc/1/mem",
            "/proc/self/mem",
            "/proc/1/fd/0",
            "/proc/sysrq-trigger",
            "/dev/tty",
            "/dev/null",
        ] {
            let edited = inside.session.edit(&replace(path, "x", "attacked")).unwrap();
            assert!(edited.is_err(), "{path}");
            assert!(inside.session.submit(path).unwrap().is_err(), "{path}");
        }
        assert_eq!(first_line("/etc/passwd"), passwd);
        world.assert_untouched();
    });
}

#[test]
fn links_that_lead_elsewhere_are_refused() {
    both(|world| {
        let mut inside = world.inside();
        let passwd = first_line("/etc/passwd");
        inside.ok(
            "ln -s /etc/passwd file; ln -s / root; ln -s .. up; ln -s /proc/self/root magic; ln -s /proc/self/cwd cwd
             ln -s file twice; ln -s root/etc folder; ln -s /proc/1/root init; mkdir deep; ln -s ../root deep/root
             ln -s /etc/cwm-new dangling; ln -s /proc/1/fd/10 control; mkfifo pipe; ln -s /dev/pts/0 terminal",
        );
        for path in [
            "file",
            "twice",
            "root/etc/passwd",
            "magic/etc/passwd",
            "folder/passwd",
            "init/etc/passwd",
            "deep/root/etc/passwd",
            "cwd/file",
            "up/../../../../../../../etc/passwd",
            "root/../etc/passwd",
        ] {
            assert_refused(&mut inside, path, &passwd);
        }
        assert_refused(&mut inside, "dangling", "x");
        let started = Instant::now();
        for path in ["pipe", "control", "terminal", "src"] {
            assert!(
                inside
                    .session
                    .edit(&replace(path, "x", "attacked"))
                    .unwrap()
                    .is_err(),
                "{path}"
            );
            assert!(inside.session.submit(path).unwrap().is_err(), "{path}");
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "a tool hung on a pipe"
        );
        assert!(!Path::new("/etc/cwm-new").exists());
        assert_eq!(first_line("/etc/passwd"), passwd);
        world.assert_untouched();
    });
}

/// A folder and a link change places as fast as they can while the tools work on a path through it. The link leads to a
/// folder that programs inside may write and the tools may not, so that only the tools' own care is tested.
fn race(world: &World, swap: &str) {
    let mut inside = world.inside();
    inside.ok(&format!(
        "mkdir honest /var/tmp/out; printf 'mark\\n' >honest/file; printf 'mark\\n' >/var/tmp/out/file
         printf '{SECRET}\\n' >/var/tmp/out/canary; ln -s /var/tmp/out link; cat >/tmp/swap.py <<'END'
import os, ctypes
libc = ctypes.CDLL(None)
while True:
    {swap}
END
         python3 /tmp/swap.py >/dev/null 2>&1 &"
    ));
    let until = Instant::now() + Duration::from_millis(1500);
    let (mut done, mut refused, mut round) = (0, 0, 0);
    while Instant::now() < until {
        round += 1;
        for outcome in [
            inside
                .session
                .edit(&replace("honest/file", "mark", &format!("mark\nnumber {round}")))
                .unwrap()
                .is_ok(),
            inside
                .session
                .create(&format!("honest/made-{round}\nmade\n"))
                .unwrap()
                .is_ok(),
        ] {
            *if outcome { &mut done } else { &mut refused } += 1;
        }
        let edited = inside
            .session
            .edit(&replace("honest/canary", SECRET, "attacked"))
            .unwrap();
        let submitted = inside.session.submit("honest/canary").unwrap();
        assert!(edited.is_err(), "an edit went through the link");
        assert!(
            !format!("{edited:?} {submitted:?}").contains(SECRET),
            "a tool read through the link"
        );
    }
    assert!(
        done > 0 && refused > 0,
        "no race was run: {done} done, {refused} refused"
    );
    inside.ok("pkill -f swap.py; sleep 0.1");
    assert_eq!(
        inside.ok("ls -A /var/tmp/out; cat /var/tmp/out/*"),
        format!("canary\nfile\n{SECRET}\nmark\n")
    );
    world.assert_untouched();
}

#[test]
fn swapping_a_folder_for_a_link_does_not_lead_out() {
    // An exchange in one step: there is never a moment without a folder or link of that name.
    both(|world| race(world, "libc.renameat2(-100, b'honest', -100, b'link', 2)"));
}

#[test]
fn swapping_by_rename_does_not_lead_out() {
    let swap = "os.rename('honest', 'aside'); os.rename('link', 'honest'); os.rename('honest', 'link'); os.rename('aside', 'honest')";
    both(|world| race(world, swap));
}
