//! Files within the roots, and every way out of them that is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::edit;

const LIMIT: u64 = 1 << 20;

/// `outside/secret` beside `root/`, which holds `file` and `dir/file`.
struct World {
    folder: tempfile::TempDir,
    area: FileArea,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("root/dir")).unwrap();
        fs::create_dir(at("outside")).unwrap();
        fs::write(at("outside/secret"), "secret\n").unwrap();
        fs::write(at("root/file"), "inside\n").unwrap();
        fs::write(at("root/dir/file"), "deeper\n").unwrap();
        let area = FileArea::open(&[at("root")], at("root")).unwrap();
        World { folder, area }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    /// Reading, replacing and creating must all fail for the reason that `is_reason` accepts.
    fn refuses(&self, path: &str, is_reason: impl Fn(&FileError) -> bool) {
        for (act, result) in [
            ("read", self.area.read(path, LIMIT).map(drop)),
            ("replace", self.area.replace(path, b"overwritten\n")),
        ] {
            let error = result.expect_err(&format!("{act} of {path} must fail"));
            assert!(is_reason(&error), "{act} of {path}: {error}");
        }
        self.area
            .create_new(path, b"created\n")
            .expect_err(&format!("creation of {path} must fail"));
    }
}

fn is_outside(error: &FileError) -> bool {
    matches!(error, FileError::OutsideRoots { .. })
}

#[test]
fn files_are_read_and_replaced_by_relative_and_absolute_paths() {
    let world = World::new();
    let absolute = world.path("root/dir/file").to_string_lossy().into_owned();
    for path in [
        "dir/file",
        "./dir/../dir/./file",
        absolute.as_str(),
        "dir//file",
        "../root/dir/file",
    ] {
        assert_eq!(world.area.read(path, LIMIT).unwrap(), b"deeper\n", "{path}");
        world.area.replace(path, b"deeper\n").unwrap();
    }
    let below = FileArea::open(&[world.path("root")], world.path("root/dir")).unwrap();
    assert_eq!(below.read("../file", LIMIT).unwrap(), b"inside\n");
    world.area.create_new("dir/new", b"x").unwrap();
    assert_eq!(world.text("root/dir/new"), "x");
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    let world = World::new();
    let secret = world.path("outside/secret").to_string_lossy().into_owned();
    for path in [
        "../outside/secret",
        "dir/../../outside/secret",
        "/etc/passwd",
        "../../../../../etc/passwd",
        &secret,
    ] {
        world.refuses(path, is_outside);
    }
    // A sibling whose name merely begins like the root's.
    fs::create_dir(world.path("rootless")).unwrap();
    fs::write(world.path("rootless/file"), "x").unwrap();
    world.refuses(&world.path("rootless/file").to_string_lossy(), is_outside);
    assert_eq!(world.text("outside/secret"), "secret\n");
}

#[test]
fn symlinks_cannot_lead_outside() {
    let world = World::new();
    world.link("/etc/passwd", "root/passwd");
    world.link("../outside/secret", "root/relative");
    world.link(world.path("outside"), "root/folder");
    world.link("dir/../../outside", "root/folder2");
    world.link("folder", "root/chain");
    world.link("/proc/self/root/etc/passwd", "root/proc");
    for path in [
        "passwd",
        "relative",
        "folder/secret",
        "folder2/secret",
        "chain/secret",
        "proc",
        "folder/new",
    ] {
        world.refuses(path, is_outside);
    }
    assert_eq!(world.text("outside/secret"), "secret\n");
    assert_eq!(fs::read_dir(world.path("outside")).unwrap().count(), 1);
}

/// The same on a kernel without `openat2`: a filter of this thread alone answers it with ENOSYS.
#[test]
#[cfg(target_os = "linux")]
fn symlinks_cannot_lead_outside_without_openat2() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let rules = [(libc::SYS_openat2, Vec::new())].into_iter().collect();
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let checks = std::thread::spawn(move || {
        seccompiler::apply_filter(&program).unwrap();
        let resolve = rustix::fs::ResolveFlags::empty();
        let direct = rustix::fs::openat2(rustix::fs::CWD, "/", OFlags::PATH, Mode::empty(), resolve);
        assert_eq!(direct.unwrap_err(), Errno::NOSYS);
        symlinks_cannot_lead_outside();
        symlinks_beneath_the_root_are_followed_and_kept();
        the_git_folder_is_refused_even_behind_a_link();
    });
    checks.join().unwrap();
}

#[test]
fn symlinks_beneath_the_root_are_followed_and_kept() {
    let world = World::new();
    world.link("dir/file", "root/link");
    world.link("../dir", "root/dir/self");
    world.link(world.path("root/dir"), "root/absolute");
    for path in ["link", "dir/self/self/file", "absolute/file"] {
        assert_eq!(world.area.read(path, LIMIT).unwrap(), b"deeper\n", "{path}");
    }
    world.area.replace("link", b"new\n").unwrap();
    assert_eq!(world.text("root/dir/file"), "new\n");
    assert!(
        fs::symlink_metadata(world.path("root/link"))
            .unwrap()
            .is_symlink()
    );
    world.area.create_new("absolute/made", b"x").unwrap();
    assert_eq!(world.text("root/dir/made"), "x");
}

#[test]
fn links_that_lead_nowhere_or_round_in_circles() {
    let world = World::new();
    world.link("missing", "root/dangling");
    world.link("loop2", "root/loop1");
    world.link("loop1", "root/loop2");
    world.refuses("dangling", |error| matches!(error, FileError::NotFound { .. }));
    world.refuses("loop1", |error| matches!(error, FileError::Io { .. }));
    let taken = FileError::AlreadyExists {
        path: "dangling".to_owned(),
    };
    assert_eq!(world.area.create_new("dangling", b"x"), Err(taken));
    assert!(!world.path("root/missing").exists());
}

#[test]
fn the_git_folder_is_refused_even_behind_a_link() {
    let world = World::new();
    fs::create_dir_all(world.path("root/.git/hooks")).unwrap();
    fs::create_dir_all(world.path("root/sub/.git")).unwrap();
    fs::write(world.path("root/.git/config"), "x").unwrap();
    fs::write(world.path("root/sub/.git/config"), "x").unwrap();
    world.link(".git", "root/innocent");
    world.link("../.git/config", "root/dir/config");
    for path in [
        ".git/config",
        "sub/.git/config",
        "innocent/config",
        "dir/config",
        ".GIT/config",
    ] {
        world.refuses(path, |error| matches!(error, FileError::InsideGit { .. }));
    }
    let hook = world.area.create_new("innocent/hooks/pre-commit", b"x");
    assert!(matches!(hook, Err(FileError::InsideGit { .. })), "{hook:?}");
    world.area.create_new(".gitignore", b"x").unwrap();
}

#[test]
fn only_regular_files_are_opened() {
    let world = World::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.path("root/pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("root/socket")).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let special = |error: &FileError| matches!(error, FileError::NotRegular { .. });
        world.refuses("pipe", special);
        world.refuses("socket", special);
        for path in ["dir", ".", "", "dir/", "/"] {
            let error = world.area.read(path, LIMIT).unwrap_err();
            let expected =
                matches!(error, FileError::IsDirectory { .. }) || path == "/" && is_outside(&error);
            assert!(expected, "{path}: {error}");
        }
        let devices = FileArea::open(&["/dev".into()], "/dev".into()).unwrap();
        for result in [
            devices.read("zero", LIMIT).map(drop),
            devices.replace("null", b"x"),
        ] {
            assert!(matches!(result, Err(FileError::NotRegular { .. })), "{result:?}");
        }
        sender.send(()).unwrap();
    });
    receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("an open hung or a check failed");
}

#[test]
fn typed_errors_for_the_ordinary_failures() {
    let world = World::new();
    let path = |path: &str| path.to_owned();
    let read = |path: &str, limit| world.area.read(path, limit);
    assert_eq!(
        read("none", LIMIT),
        Err(FileError::NotFound { path: path("none") })
    );
    assert_eq!(
        read("none/deep", LIMIT),
        Err(FileError::NotFound {
            path: path("none/deep")
        })
    );
    assert_eq!(
        read("file", 6),
        Err(FileError::TooLarge {
            path: path("file"),
            limit: 6
        })
    );
    assert_eq!(read("file", 7).unwrap(), b"inside\n");
    assert!(matches!(read("file/x", LIMIT), Err(FileError::Io { .. })));
    assert!(matches!(read("file/", LIMIT), Err(FileError::Io { .. })));
    assert!(matches!(read("a\0b", LIMIT), Err(FileError::Io { .. })));
    assert!(matches!(read(&"x".repeat(300), LIMIT), Err(FileError::Io { .. })));
    fs::write(world.path("root/binary"), b"a\0").unwrap();
    assert_eq!(
        world.area.read_text("binary", LIMIT),
        Err(FileError::NotText {
            path: path("binary"),
            offset: 1
        })
    );
    assert!(FileArea::open(&["relative".into()], "/".into()).is_err());
    assert!(FileArea::open(&[world.path("gone")], "/".into()).is_err());
}

#[test]
fn the_mode_is_kept_and_other_hard_links_are_left() {
    let world = World::new();
    for mode in [0o644, 0o755, 0o600, 0o640] {
        fs::set_permissions(world.path("root/file"), fs::Permissions::from_mode(mode)).unwrap();
        world.area.replace("file", b"x").unwrap();
        assert_eq!(
            fs::metadata(world.path("root/file")).unwrap().mode() & 0o7777,
            mode
        );
    }
    fs::hard_link(world.path("outside/secret"), world.path("root/hard")).unwrap();
    world.area.replace("hard", b"new").unwrap();
    assert_eq!(
        (
            world.text("root/hard").as_str(),
            world.text("outside/secret").as_str()
        ),
        ("new", "secret\n")
    );
}

/// Root may write any file, so as root this proves the other half only: that a writable one is replaced.
#[test]
fn a_read_only_file_is_replaced_only_by_who_may_write_it() {
    let world = World::new();
    fs::set_permissions(world.path("root/file"), fs::Permissions::from_mode(0o444)).unwrap();
    let may_write = fs::OpenOptions::new()
        .write(true)
        .open(world.path("root/file"))
        .is_ok();
    let replaced = world.area.replace("file", b"new\n");
    assert_eq!(replaced.is_ok(), may_write, "{replaced:?}");
    assert_eq!(
        world.text("root/file"),
        if may_write { "new\n" } else { "inside\n" }
    );
}

#[test]
fn a_file_changed_since_it_was_read_is_not_overwritten() {
    let world = World::new();
    let file = world.area.open_text("file", LIMIT).unwrap();
    fs::write(world.path("root/file"), "somebody else\n").unwrap();
    assert_eq!(
        file.replace(b"mine"),
        Err(FileError::ChangedMeanwhile {
            path: "file".to_owned()
        })
    );
    assert_eq!(world.text("root/file"), "somebody else\n");
}

/// `dir` is swapped with a symlink to the outside while edits and creations of files in it run.
#[test]
fn a_swapped_folder_never_leads_outside() {
    let world = World::new();
    fs::write(world.path("outside/file"), "deeper\n").unwrap();
    world.link(world.path("outside"), "root/trap");
    let (done, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut edited, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (dir, trap) = (world.path("root/dir"), world.path("root/trap"));
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(rustix::fs::CWD, &dir, rustix::fs::CWD, &trap, exchange).unwrap();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        // On a busy machine the other thread may sleep for long stretches: go on until both outcomes were common.
        let begin = std::time::Instant::now();
        let mut round = 0;
        while (round < 2000 || edited.min(refused) < 200) && begin.elapsed().as_secs() < 60 {
            round += 1;
            let (old, new) = if edited % 2 == 0 {
                ("deeper", "edited")
            } else {
                ("edited", "deeper")
            };
            let call = format!("dir/file\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE");
            match edit::run(&world.area, &call) {
                Ok(_) => edited += 1,
                Err(_) => refused += 1,
            }
            let _ = world.area.create_new(&format!("dir/made{round}"), b"x");
        }
        done.store(true, Ordering::Relaxed);
    });
    println!(
        "{edited} edits, {refused} refusals, {} swaps",
        swaps.load(Ordering::Relaxed)
    );
    assert!(edited >= 200 && refused >= 200 && swaps.load(Ordering::Relaxed) > 100);
    assert_eq!(
        (
            world.text("outside/file").as_str(),
            world.text("outside/secret").as_str()
        ),
        ("deeper\n", "secret\n")
    );
    assert_eq!(fs::read_dir(world.path("outside")).unwrap().count(), 2);
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let world = World::new();
    let texts = [vec![b'a'; 300_000], vec![b'b'; 200_000]];
    fs::write(world.path("root/file"), &texts[0]).unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0, 0];
            while !done.load(Ordering::Relaxed) {
                let now = fs::read(world.path("root/file")).unwrap();
                let which = texts
                    .iter()
                    .position(|text| *text == now)
                    .expect("a half-written file was seen");
                seen[which] += 1;
            }
            seen
        });
        for round in 0..400 {
            world.area.replace("file", &texts[(round + 1) % 2]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    println!("seen whole: {seen:?}");
    assert!(seen[0] + seen[1] > 20, "{seen:?}");
    assert_eq!(
        fs::read_dir(world.path("root")).unwrap().count(),
        2,
        "a temporary file was left behind"
    );
}

#[test]
fn only_one_of_many_creators_wins() {
    let world = World::new();
    for round in 0..50 {
        let name = format!("new{round}");
        let results: Vec<Result<(), FileError>> = std::thread::scope(|scope| {
            let create = |number: usize| {
                let (area, name) = (&world.area, &name);
                scope.spawn(move || area.create_new(name, format!("by {number}").as_bytes()))
            };
            let threads = [0, 1, 2, 3].map(create);
            threads.map(|thread| thread.join().unwrap()).into()
        });
        let winner = results.iter().position(Result::is_ok).expect("nobody won");
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(world.text(&format!("root/{name}")), format!("by {winner}"));
    }
}
