//! Attacks on the kernel's doors: system calls, privileges, switches, devices, terminals.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::harness::{ATTACK, assert_all_denied, both};

/// Which answers say that the seccomp filter itself refused.
const REFUSED: &[&str] = &["EPERM", "ENOSYS", "SIGSYS"];

#[test]
fn risky_system_calls_are_refused() {
    both(|world| {
        let answers = world.inside().attack("calls");
        assert_all_denied(&answers, 65);
        // Another error would mean that the kernel looked at the arguments, so that other arguments might pass.
        let looked_at: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| !REFUSED.contains(&answer.as_str()))
            .collect();
        assert!(
            looked_at.is_empty(),
            "the filter let these through to the kernel: {looked_at:?}"
        );
        assert_eq!(answers.get("clone3").map(String::as_str), Some("ENOSYS"));
        for made in ["unshare-10000000", "clone-10000000"] {
            assert_eq!(answers.get(made).map(String::as_str), Some("EPERM"), "{made}");
        }
        world.assert_untouched();
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_other_ways_to_call_the_kernel_are_closed() {
    both(|world| {
        let mut inside = world.inside();
        for (way, count) in [("x32", 18), ("i386", 7)] {
            let answers = inside.attack(way);
            assert_all_denied(&answers, count);
            let passed: Vec<_> = answers
                .iter()
                .filter(|(_, answer)| *answer != "ENOSYS" && *answer != "SIGSYS")
                .collect();
            assert!(passed.is_empty(), "{way}: {passed:?}");
        }
    });
}

#[test]
fn families_of_sockets_beyond_the_usual_are_absent() {
    both(|world| {
        let mut answers = world.inside().attack("families");
        for allowed in ["allowed-unix", "allowed-inet", "allowed-inet6", "allowed-route"] {
            assert_eq!(answers.remove(allowed).as_deref(), Some("OK"), "{allowed}");
        }
        for raw in ["raw-icmp", "raw6"] {
            assert_eq!(answers.remove(raw).as_deref(), Some("EPERM"), "{raw}");
        }
        assert_eq!(answers.len(), 33);
        let other: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| *answer != "EAFNOSUPPORT")
            .collect();
        assert!(other.is_empty(), "{other:?}");
    });
}

#[test]
fn no_capability_is_left_and_none_can_be_gained() {
    both(|world| {
        let mut inside = world.inside();
        let status = inside.ok("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(
                status.contains(&format!("{set}:\t0000000000000000\n")),
                "{set} in {status}"
            );
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("Seccomp:\t2"), "{status}");
        let identity = inside.attack("identity");
        assert_all_denied(&identity, 3);
        let own = rustix::process::getuid().as_raw();
        assert_eq!(inside.ok("id -u").trim(), own.to_string());
    });
}

#[test]
fn setuid_programs_gain_nothing() {
    both(|world| {
        let mut inside = world.inside();
        // The system's own, where it has them: each must be there to be tried, or be named as absent.
        let found = inside.sh("find /usr/bin /usr/sbin /bin -perm -4000 -type f 2>/dev/null | sort -u");
        assert!(found.contains("/su\n"), "this test needs `su`: {found}");
        let own = rustix::process::getuid().as_raw();
        let tried = inside.sh("su -c id root </dev/null 2>&1; echo \"su: $?\"
             mount -t tmpfs none /tmp 2>&1; echo \"mount: $?\"
             command -v sudo >/dev/null && { sudo -n id 2>&1; echo \"sudo: $?\"; }
             command -v newuidmap >/dev/null && { newuidmap $$ 0 0 1 2>&1; echo \"newuidmap: $?\"; }
             true");
        assert!(!tried.contains(": 0\n"), "{tried}");
        assert!(tried.contains("su: ") && tried.contains("mount: "), "{tried}");
        // One of the sandbox's own making.
        inside.sh(&format!(
            "cp {ATTACK} /tmp/own; chmod 6755 /tmp/own; cp {ATTACK} ./own; chmod 6755 ./own"
        ));
        for program in ["/tmp/own", "./own"] {
            let answers = inside.ok(&format!("{program} status"));
            assert!(answers.contains("no_new_privs=1"), "{answers}");
            assert!(answers.contains(&format!("uid={own},{own},{own}")), "{answers}");
        }
        // All that is mounted, but for device files that no program can be run from, ignores those bits.
        let open = inside.sh(
            "grep -vE '^[^ ]+ /dev/(null|zero|full|random|urandom|tty) ' /proc/self/mounts | grep -v nosuid",
        );
        assert_eq!(open, "");
    });
}

#[test]
fn the_kernels_switches_cannot_be_turned() {
    both(|world| {
        let mut inside = world.inside();
        let before = fs::read("/proc/sys/kernel/core_pattern").unwrap();
        let hostname = rustix::system::uname().nodename().to_owned();
        let said = inside.sh(
            "for file in kernel/core_pattern kernel/modprobe kernel/hostname kernel/domainname kernel/pid_max \
                 kernel/sysrq vm/overcommit_memory vm/drop_caches net/ipv4/ip_forward fs/file-max \
                 kernel/randomize_va_space user/max_user_namespaces; do
                 (echo 1 >/proc/sys/$file) 2>/dev/null && echo \"wrote $file\"
             done
             (echo b >/proc/sysrq-trigger) 2>/dev/null && [ -s /proc/sysrq-trigger ] && echo wrote sysrq
             hostname attacked 2>/dev/null && echo renamed
             date -s '2001-01-01' 2>/dev/null >&2 && echo reset the clock
             for file in $(find /proc -maxdepth 3 -type f -not -path '/proc/[0-9]*' -not -path '/proc/self/*' \
                 -not -path '/proc/thread-self/*' -not -path '/proc/pressure/*' 2>/dev/null); do
                 (exec 3<>$file) 2>/dev/null && echo \"opened $file\"
             done
             find /sys -type f 2>/dev/null | while read -r file; do
                 (exec 3<>$file) 2>/dev/null && echo \"opened $file\"
             done
             true",
        );
        assert_eq!(said, "");
        assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
        assert_eq!(rustix::system::uname().nodename(), hostname.as_c_str());
    });
}

#[test]
fn the_kernels_secrets_are_not_shown() {
    both(|world| {
        let mut inside = world.inside();
        let said = inside.sh(
            "for file in /proc/kcore /proc/kmsg /proc/keys /proc/kallsyms /proc/key-users /proc/timer_list \
                 /proc/slabinfo /proc/vmallocinfo /dev/kmsg /dev/mem /dev/kmem /dev/port; do
                 [ \"$(head -c 64 $file 2>/dev/null | wc -c)\" = 0 ] || echo \"read $file\"
             done
             dmesg 2>/dev/null | head -1
             ls /sys/fs /sys/kernel /sys/module /sys/class /sys/block /sys/firmware 2>/dev/null
             ls /sys/fs/cgroup/* 2>/dev/null
             grep -E '^cgroup2? ' /proc/self/mounts
             ls -d /lib/modules/*/does-not-matter 2>/dev/null
             true",
        );
        assert_eq!(said, "");
    });
}

#[test]
fn device_files_cannot_be_made_and_those_shown_cannot_be_changed() {
    both(|world| {
        let mut inside = world.inside();
        let devices = inside.ok("for file in /dev/*; do [ -L $file ] && continue; [ -b $file ] || [ -c $file ] && echo -n \"$file \"; done; true");
        assert_eq!(
            devices,
            "/dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero "
        );
        let before = fs::metadata("/dev/null").unwrap();
        for folder in ["/tmp", ".", "/dev/shm"] {
            let answers = inside.attack(&format!("nodes {folder}"));
            assert_all_denied(&answers, 10);
        }
        // The superuser owns the machine's own device files, which are what is shown. The changes tried are none,
        // so that the machine is as it was should they go through; they are refused or not all the same.
        let said = inside.sh("for device in null zero full random urandom tty; do
                 chmod $(stat -c %a /dev/$device) /dev/$device 2>/dev/null && echo \"chmod $device\"
                 touch -a /dev/$device 2>/dev/null && echo \"touch $device\"
                 chown $(id -u):$(id -g) /dev/$device 2>/dev/null && echo \"chown $device\"
                 mv /dev/$device /dev/gone 2>/dev/null && echo \"mv $device\"
                 rm -f /dev/$device 2>/dev/null && echo \"rm $device\"
             done
             ln -s /tmp /dev/made 2>/dev/null && echo made
             echo still >/dev/null && head -c 1 /dev/zero | od -An -tx1");
        assert_eq!(said.trim(), "00");
        let after = fs::metadata("/dev/null").unwrap();
        let state = |data: &fs::Metadata| (data.mode(), data.ctime(), data.ctime_nsec());
        assert_eq!(
            state(&before),
            state(&after),
            "the machine's own /dev/null was changed"
        );
    });
}

#[test]
fn nothing_can_be_typed_into_a_terminal() {
    both(|world| {
        let answers = world.inside().attack("type");
        assert_all_denied(&answers, 3);
        let other: Vec<_> = answers.iter().filter(|(_, answer)| *answer != "EPERM").collect();
        assert!(other.is_empty(), "{other:?}");
    });
}

#[test]
fn a_root_cannot_be_climbed_out_of() {
    both(|world| {
        let canary = world.path("sibling/canary");
        let answers = world.inside().attack(&format!("climb {}", canary.display()));
        assert_all_denied(&answers, 1);
    });
}
