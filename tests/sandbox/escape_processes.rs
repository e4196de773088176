//! Attacks on processes: seeing, signalling, tracing and outliving what is outside; leaked descriptors and variables.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use super::harness::{ATTACK, Inside, SECRET, assert_all_denied, both};

/// A process of the same user, outside.
struct Canary(Child);

impl Canary {
    fn start() -> Canary {
        Canary(
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn()
                .expect("`sleep` is needed"),
        )
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_outside_cannot_be_seen_or_killed() {
    both(|world| {
        let mut canary = Canary::start();
        let own = std::process::id();
        let outside = canary.0.id();
        let mut inside = world.inside();
        for pid in [outside, own] {
            let answers = inside.attack(&format!("kill {pid}"));
            assert_all_denied(&answers, 4);
        }
        let listed = inside.ok(
            "for folder in /proc/[0-9]*; do readlink $folder/exe; tr '\\0' ' ' <$folder/cmdline; done; true",
        );
        assert!(!listed.contains("sleep 600"), "{listed}");
        let count: usize = inside.ok("ls -d /proc/[0-9]* | wc -l").trim().parse().unwrap();
        assert!(count <= 5, "{count} processes are seen: {listed}");
        // Everything at once, by every name for "all".
        inside.run("kill -9 -1");
        inside.run("kill -9 0");
        inside.run("kill -9 -- -$$; kill -9 $$");
        assert_eq!(inside.ok("echo lives").trim(), "lives");
        assert!(canary.lives());
        // The inits: the sandbox's, and the machine's through it.
        inside.sh("kill -9 1; kill -STOP 1; kill -SEGV 1; kill -15 1");
        assert_eq!(inside.ok("echo lives").trim(), "lives");
        assert!(canary.lives());
    });
}

#[test]
fn processes_inside_cannot_be_traced() {
    both(|world| {
        let mut inside = world.inside();
        let answers = inside.ok(&format!("sleep 30 & {ATTACK} kill $! | grep attach"));
        assert!(answers.contains("attach=EPERM"), "{answers}");
        let answers = inside.attack("kill 1");
        // A signal to the init is taken and ignored; what counts is that it cannot be traced and lives.
        assert_eq!(answers.get("attach").map(String::as_str), Some("EPERM"));
        assert_eq!(inside.ok("echo lives").trim(), "lives");
    });
}

#[test]
fn namespaces_cannot_be_joined() {
    both(|world| {
        let answers = world.inside().attack("namespaces");
        assert_eq!(answers.len(), 16, "{answers:?}");
        assert_all_denied(&answers, 16);
    });
}

#[test]
fn namespaces_cannot_be_made_again() {
    both(|world| {
        let mut inside = world.inside();
        let said = inside.sh("for how in -r -U -m -rm -n -p -i -u -C -rmnpiuCf; do
                 unshare $how true 2>/dev/null && echo \"unshare $how\"
             done
             for kind in mnt net pid ipc uts user; do
                 nsenter --target 1 --$kind true 2>/dev/null && echo \"nsenter $kind\"
             done
             mount --bind / /tmp 2>/dev/null && echo mount --bind
             mount -t proc proc /tmp 2>/dev/null && echo mount proc
             mount -o remount,rw / 2>/dev/null && echo remount
             umount -l /proc/sys 2>/dev/null && echo umount
             chroot /tmp true 2>/dev/null && echo chroot
             echo done");
        assert_eq!(said.trim(), "done");
        for tool in ["unshare", "nsenter", "mount", "chroot"] {
            inside.ok(&format!("command -v {tool}"));
        }
    });
}

#[test]
fn no_descriptor_of_the_launching_process_leaks() {
    both(|world| {
        let path = world.path("sibling/canary");
        let file = File::open(&path).unwrap();
        // Free numbers near the bottom, not marked to be closed at exec: what a careless program leaves open.
        let leaked: Vec<_> = [3, 9, 20, 37, 50]
            .iter()
            .filter_map(|&number| {
                #[allow(
                    unsafe_code,
                    reason = "the standard library marks all its descriptors close-on-exec"
                )]
                // SAFETY: F_DUPFD only makes a new descriptor, at or above the number, that nobody else owns.
                unsafe {
                    use std::os::fd::FromRawFd;
                    let fd = libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, number);
                    (fd >= 0).then(|| std::os::fd::OwnedFd::from_raw_fd(fd))
                }
            })
            .collect();
        assert_eq!(leaked.len(), 5);
        let inherited = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let inherited = String::from_utf8_lossy(&inherited.stdout).into_owned();
        assert!(
            inherited.contains("sibling/canary"),
            "the leak of this test does not leak: {inherited}"
        );

        let mut inside = world.inside();
        let shell = inside.ok("ls /proc/$$/fd >/tmp/list; sort -n /tmp/list | tr '\\n' ' '");
        assert_eq!(shell, "0 1 2 255 ");
        let program =
            inside.ok("python3 -c 'import os; print(sorted(map(int, os.listdir(\"/proc/self/fd\"))))'");
        // The last is the listing's own.
        assert_eq!(program.trim(), "[0, 1, 2, 3]");
        let links = inside.ok("for link in /proc/[0-9]*/fd/*; do readlink $link; done; true");
        assert!(!links.contains("canary") && !links.contains("socket:"), "{links}");
        let read = inside.sh(&format!(
            "for fd in $(seq 3 60); do (cat <&$fd) 2>/dev/null; cat /proc/self/fd/$fd /dev/fd/$fd 2>/dev/null; done
             cat {} 2>/dev/null; true",
            path.display()
        ));
        assert!(!read.contains(SECRET), "{read}");
        drop(leaked);
    });
}

#[test]
fn no_variable_of_the_launching_process_leaks() {
    both(|world| {
        let policy = world.policy_with([
            ("GITHUB_TOKEN", SECRET),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("DATABASE_URL", &format!("postgres://me:{SECRET}@host/db")),
            ("HTTPS_PROXY", &format!("http://me:{SECRET}@proxy:3128")),
            ("GOPROXY", &format!("https://me:{SECRET}@proxy")),
            ("MY_OWN_VARIABLE", SECRET),
            ("SSH_AUTH_SOCK", SECRET),
            ("LD_PRELOAD", SECRET),
            ("BASH_ENV", SECRET),
            ("PS4", SECRET),
            ("LC_ALL", "C"),
        ]);
        let mut inside = Inside::start(policy);
        let said = inside.ok("env; set; cat /proc/*/environ 2>/dev/null; true");
        assert!(!said.contains(SECRET), "{said}");
        assert!(said.contains("LC_ALL=C"), "{said}");
        // The test's own variables are not passed either.
        assert!(
            !said.contains("CARGO_MANIFEST") && !said.contains("CWM_TEST"),
            "{said}"
        );
    });
}

#[test]
fn shared_memory_and_queues_outside_are_not_visible() {
    both(|world| {
        let key = 0x0c3a_0000 | std::process::id().cast_signed() & 0xffff;
        // SAFETY: `shmget` takes integers only.
        #[allow(unsafe_code, reason = "no library wraps System V shared memory")]
        let id = unsafe { libc::shmget(key, 4096, libc::IPC_CREAT | 0o666) };
        assert!(id >= 0, "System V shared memory is needed by this test");
        let word = format!("{key:#x}");
        let outside = world.attack_outside(&["shared-memory", &word]);
        let answers = world.inside().attack(&format!("shared-memory {word}"));
        // SAFETY: removes the segment made above; integers only.
        #[allow(unsafe_code, reason = "no library wraps System V shared memory")]
        unsafe {
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
        }
        assert_eq!(outside.get("shared-memory").map(String::as_str), Some("OK"));
        assert_eq!(answers.get("shared-memory").map(String::as_str), Some("ENOENT"));

        let mut canary = tempfile::Builder::new()
            .prefix("cwm-canary-")
            .tempfile_in("/dev/shm")
            .unwrap();
        canary.write_all(SECRET.as_bytes()).unwrap();
        let mut inside = world.inside();
        assert_eq!(
            inside
                .ok("ls -A /dev/shm; ipcs -m -q -s | grep -c 0x; ls /dev/mqueue 2>/dev/null; true")
                .trim(),
            "0"
        );
    });
}

#[test]
fn everything_inside_ends_with_the_sandbox() {
    both(|world| {
        let mark = format!("77{}", std::process::id());
        let mut inside = world.inside();
        inside.ok(&format!(
            "sleep {mark} & disown; setsid sleep {mark} >/dev/null 2>&1 & (trap '' TERM HUP INT; nohup sleep {mark} >/dev/null 2>&1 &)
             python3 -c 'import os,time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp(\"sleep\", [\"sleep\", \"{mark}\"])' ; sleep 0.2; pgrep -c -f 'sleep {mark}' || ls /proc"
        ));
        let running = || {
            std::fs::read_dir("/proc")
                .unwrap()
                .flatten()
                .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
                .filter(|line| line == format!("sleep\0{mark}\0").as_bytes())
                .count()
        };
        assert_eq!(running(), 4, "the processes to be ended are not there");
        drop(inside);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while running() > 0 && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(running(), 0);
    });
}
