//! That each limit is real, for the superuser as for others.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cwm_tools::sandbox::policy::Limits;
use cwm_tools::sandbox::{Ending, KillReason};

use cwm_tools::session::CommandResult;

use super::harness::{ATTACK, Inside, World, both, shown};

/// A sandbox whose limits are the usual ones with a change.
fn limited(world: &World, seconds: u64, change: impl Fn(&mut Limits)) -> Inside {
    let mut policy = world.policy();
    change(&mut policy.limits);
    Inside::start_with(policy, Duration::from_secs(seconds))
}

fn assert_lives(inside: &mut Inside) {
    assert_eq!(inside.ok("echo lives").trim(), "lives");
}

/// The eaters were stopped, by the kernel's control group one by one or by the supervisor all at once; so many may have
/// had enough before.
fn assert_stopped(result: &CommandResult, most: usize) {
    let text = shown(result);
    let fed = text.matches("eat=OK").count();
    // The kernel may choose the shell.
    let by_kernel = text.contains("Killed") || result.ending == Ending::Signalled(9);
    let by_supervisor = result.ending == Ending::Killed(KillReason::Memory);
    assert!(by_supervisor || by_kernel, "{:?}: {text}", result.ending);
    assert!(fed <= most, "{fed} had their fill: {text}");
}

#[test]
fn memory_of_one_process_is_bounded() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.memory = 256 << 20);
        let said = inside.sh(&format!("{ATTACK} eat private 1000000000 5"));
        assert_eq!(said.trim(), "eat=ENOMEM");
        assert_lives(&mut inside);
    });
}

#[test]
fn memory_of_all_processes_together_is_bounded() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.memory = 256 << 20);
        let result = inside.run(&format!(
            "for i in $(seq 8); do {ATTACK} eat private 100000000 5 & done; wait"
        ));
        assert_stopped(&result, 2);
        assert_lives(&mut inside);
    });
}

#[test]
fn shared_memory_is_bounded_too() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.memory = 256 << 20);
        for kind in ["shared", "sysv", "memfd"] {
            let result = inside.run(&format!("{ATTACK} eat {kind} 1000000000 3"));
            assert_stopped(&result, 0);
            assert_lives(&mut inside);
        }
        let mut inside = limited(world, 20, |limits| limits.memory = 256 << 20);
        // The same memory seen by many processes is counted once.
        let result = inside.run(&format!(
            "python3 -c 'import mmap, os, time
m = mmap.mmap(-1, 60 << 20)
m.write(b\"x\" * (60 << 20))
for i in range(8):
    if os.fork() == 0:
        sum(m[::4096]); time.sleep(0.5); os._exit(0)
for i in range(8): os.wait()
print(\"shared\")'; test -x {ATTACK}"
        ));
        assert_eq!(
            (result.ending.clone(), shown(&result).trim()),
            (Ending::Exited(0), "shared")
        );
    });
}

#[test]
fn a_fork_bomb_is_bounded() {
    both(|world| {
        let mark = format!("cwm-bomb-{}", std::process::id());
        let mut inside = limited(world, 3, |limits| limits.processes = 100);
        let stop = AtomicBool::new(false);
        let most = std::thread::scope(|scope| {
            let counter = scope.spawn(|| {
                let mut most = 0;
                while !stop.load(Ordering::Relaxed) {
                    most = most.max(count_outside(&mark));
                    std::thread::sleep(Duration::from_millis(20));
                }
                most
            });
            let result = inside.run(&format!(
                "bash -c 'bomb() {{ bomb | bomb & sleep 5; }}; bomb; : {mark}'"
            ));
            stop.store(true, Ordering::Relaxed);
            assert!(!matches!(result.ending, Ending::NotStarted { .. }), "{result:?}");
            counter.join().unwrap()
        });
        assert!(most >= 20, "the bomb did not go off: {most}");
        assert!(most <= 110, "{most} processes at once");
        let until = Instant::now() + Duration::from_secs(5);
        while count_outside(&mark) > 0 && Instant::now() < until {
            inside.session.run("kill -9 -1").ok();
        }
        assert_eq!(count_outside(&mark), 0);
        assert_lives(&mut inside);
    });
}

/// Living processes on the machine whose command line holds the mark.
fn count_outside(mark: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}

#[test]
fn threads_count_as_processes() {
    both(|world| {
        let mut inside = limited(world, 10, |limits| limits.processes = 100);
        let said = inside.sh("python3 -c 'import threading, time
n = 0
try:
    for n in range(2000): threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
except RuntimeError: pass
print(n, flush=True)
import os; os._exit(0)'");
        let count: u32 = said.trim().parse().unwrap_or_else(|_| panic!("{said}"));
        assert!((20..=100).contains(&count), "{count} threads at once");
        assert_lives(&mut inside);
    });
}

#[test]
fn full_scratch_folders_leave_the_session_alive() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.scratch = 32 << 20);
        for folder in ["/tmp", "/var/tmp", "~", "/run/cwm/session", "/dev/shm"] {
            let said = inside.sh(&format!(
                "head -c 200000000 /dev/zero >{folder}/full; stat -c %s {folder}/full; seq 100000 | tail -1; rm {folder}/full"
            ));
            assert!(said.contains("No space left"), "{folder}: {said}");
            let size: u64 = said.lines().find_map(|line| line.parse().ok()).unwrap();
            assert!(size <= 32 << 20, "{folder}: {size}");
        }
        // Many empty files fill it as well as one large one.
        let said = inside.sh("python3 -c 'import os
os.mkdir(\"/tmp/many\")
n = 0
try:
    for n in range(40000): open(f\"/tmp/many/{n}\", \"w\").close()
except OSError as error: print(n, error.errno)'; rm -rf /tmp/many");
        let (count, error) = said.trim().split_once(' ').unwrap_or_else(|| panic!("{said}"));
        assert!(count.parse::<u32>().unwrap() <= 16_384, "{said}");
        assert_eq!(error, "28");
        inside.ok("head -c 200000000 /dev/zero >/tmp/full; true");
        assert_eq!(inside.ok("seq 200000 | tail -1").trim(), "200000");
        inside.ok(&format!("rm /tmp/full; : {}", "x".repeat(4000)));
        assert_lives(&mut inside);
    });
}

#[test]
fn sizes_of_files_are_bounded() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.file_size = 1 << 20);
        inside.sh("ulimit -f unlimited; head -c 5000000 /dev/zero >large; truncate -s 1G sparse; true");
        assert_eq!(
            fs::metadata(world.path("layers/upper/large")).unwrap().len(),
            1 << 20
        );
        assert!(fs::metadata(world.path("layers/upper/sparse")).map_or(0, |data| data.len()) <= 1 << 20);
        assert_lives(&mut inside);
    });
}

#[test]
fn open_files_are_bounded() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.open_files = 64);
        let said = inside.sh("ulimit -n 4096 2>/dev/null && echo raised
             python3 -c 'import os
n = 0
try:
    while n < 5000: os.open(\"/dev/null\", os.O_RDONLY); n += 1
except OSError as error: print(n, error.errno)'");
        assert_eq!(said.trim(), "61 24");
        assert_lives(&mut inside);
    });
}

#[test]
fn processor_time_is_bounded() {
    both(|world| {
        let mut inside = limited(world, 20, |limits| limits.cpu_time = Duration::from_secs(1));
        let result = inside.run(
            "ulimit -t unlimited 2>/dev/null && echo raised; (trap '' XCPU; while :; do :; done); echo $?",
        );
        assert_eq!(shown(&result).lines().last(), Some("137"), "{result:?}");
        assert!(result.wall_time < Duration::from_secs(8), "{result:?}");
        assert_lives(&mut inside);
    });
}

#[test]
fn the_time_of_a_sandbox_is_bounded() {
    both(|world| {
        let mark = format!("66{}", std::process::id());
        let mut inside = limited(world, 20, |limits| limits.wall_time = Duration::from_millis(1500));
        let started = Instant::now();
        let error = inside
            .session
            .run(&format!("(trap '' TERM; sleep {mark}) & sleep {mark}"))
            .unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "{error}");
        let until = Instant::now() + Duration::from_secs(3);
        while count_outside(&mark) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(count_outside(&mark), 0);
    });
}

#[test]
fn a_commands_time_is_bounded_for_all_it_started() {
    both(|world| {
        let mark = format!("55{}", std::process::id());
        let mut inside = limited(world, 1, |_| {});
        let result = inside.run(&format!(
            "trap '' TERM INT HUP; echo begun; setsid sleep {mark} & (setsid nohup sleep {mark} &) ; sleep {mark}"
        ));
        assert_eq!(result.ending, Ending::Killed(KillReason::Timeout));
        assert_eq!(shown(&result).trim(), "begun");
        assert!(
            result.wall_time < Duration::from_secs(4),
            "{:?}",
            result.wall_time
        );
        assert_eq!(count_outside(&mark), 0);
        assert_lives(&mut inside);
    });
}
