//! Whatever moment `cwm` is killed at: the repository is as it was, nothing runs on, and the next start clears away what
//! was left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::context::{TestContext, binary};
use crate::copies::{assert_same, picture};

/// How often it is killed; the soak tier sets another number.
const ROUNDS: u64 = 40;
/// How long the kernel may take to end a sandbox.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let rounds = std::env::var("CWM_KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let context = TestContext::new();
    let repository = context.folder().join("repository");
    let made = context.shell(
        "git init -q -b main repository && cd repository && git config user.name T && git config user.email t@example.com \
         && for n in $(seq 200); do echo $n > file-$n; done && mkdir -p target && head -c 100000 /dev/zero > target/big \
         && echo target > .gitignore && git add . && git commit -qm base && echo changed > file-1",
    );
    assert_eq!(made.code, 0, "{made:?}");
    let before = picture(&repository);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    // Found in the command lines of whatever might run on.
    let mark = format!("mark-{}-{}", std::process::id(), context.folder().display()).replace('/', "_");
    let script = format!(
        "echo {mark}; touch new; (setsid sleep 300 {mark} &) 2>/dev/null; sleep 300 & echo x > file-2; sleep 0.2"
    );
    for round in 0..rounds {
        let mut command = context.command(binary());
        command
            .args(["sandbox", "--diff", "--", "sh", "-c", &script])
            .current_dir(&repository);
        let mut child = command.spawn().unwrap();
        // Spread over the whole of a run without a generator: multiples of an odd number, modulo the span.
        std::thread::sleep(Duration::from_micros(round * 7919 * 97 % 320_000));
        let _ = child.kill();
        child.wait().unwrap();
        let start = Instant::now();
        while let Some(line) = running(&mark, context.folder()) {
            assert!(start.elapsed() < PATIENCE, "round {round}: still running: {line}");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(
            picture(&repository),
            before,
            "round {round}: the repository changed"
        );
    }
    assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), mounts);
    let next = context.shell("cd repository && \"$CWM\" sandbox -- true");
    assert_eq!(next.code, 0, "{next:?}");
    let runs = context.folder().join("home/.local/state/cwm/runs");
    let left: Vec<PathBuf> = fs::read_dir(&runs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
    assert_same(&picture(&repository), &before, "the next start");
}

/// A process, other than this one, that belongs to the killed run: its command line says so, or it is a helper
/// whose parent is gone.
fn running(mark: &str, folder: &Path) -> Option<String> {
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let place = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(mark) || place.starts_with(folder) {
            return Some(line);
        }
    }
    None
}
