//! What a container keeps its programs from. Each attack that needs something to attack makes sure first that it is there.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use cwm_tools::sandbox::policy::{Mount, Network};
use cwm_tools::sandbox::{Ending, KillReason};

use super::{FULL, engine, options, output, policy, session, session_with, text};

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn nothing_of_the_machine_is_seen() {
    let canary = tempfile::NamedTempFile::new().unwrap();
    let mut session = session(FULL);
    let path = canary.path().display();
    assert_eq!(
        output(&mut session, &format!("ls {path} 2>&1 | grep -c 'No such'")),
        "1\n"
    );
    let sockets = format!(
        "ls {} /var/run/docker.sock /run/podman 2>/dev/null",
        engine().display()
    );
    assert_eq!(output(&mut session, &sockets), "");
    // Bash, ls and the helper, and none of the machine's processes.
    let processes: u32 = output(&mut session, "ls -d /proc/[0-9]* | wc -l")
        .trim()
        .parse()
        .unwrap();
    assert!(processes < 6, "{processes}");
    assert_eq!(
        output(&mut session, "cat /root/.ssh/* /home/*/.ssh/* 2>/dev/null"),
        ""
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn no_capability_is_left_and_what_needs_one_fails() {
    let mut session = session(FULL);
    let status = output(
        &mut session,
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status",
    );
    for line in status.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let expected = match name {
            "NoNewPrivs" => "1",
            "Seccomp" => "2",
            _ => "0000000000000000",
        };
        assert_eq!(value.trim(), expected, "{name}");
    }
    assert_eq!(status.lines().count(), 7, "{status}");
    for attack in [
        "mount -t tmpfs none /mnt",
        "mknod /tmp/disk b 254 0",
        "chown 1 /tmp",
        "unshare -Ur true",
        "chroot / true",
        "hostname other",
        "dmesg",
        "nsenter -t 1 -m true",
    ] {
        let result = session.run(attack).unwrap();
        let code = result.exit_code().unwrap();
        assert!(code != 0 && code != 127, "{attack}: {code} {}", text(&result));
    }
    // Busybox's `date` tells no failure.
    assert!(!output(&mut session, "date -s 2000-01-01 2>/dev/null; date +%Y").ends_with("2000\n"));
    // The supervisor is closed to its own user.
    assert_ne!(session.run("cat /proc/1/environ").unwrap().exit_code(), Some(0));
    assert_eq!(output(&mut session, "kill -9 1; echo still here"), "still here\n");
}

const CONNECT: &str = "import socket, sys\n\
    for host in sys.argv[2:]:\n\
    \x20   try: socket.create_connection((host, int(sys.argv[1])), 3); print('reached')\n\
    \x20   except OSError as error: print('no')\n";

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn without_the_network_the_machines_listeners_are_out_of_reach() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reached = |network| {
        let mut policy = policy();
        policy.network = network;
        let mut session = session_with(policy, &options(FULL), 60);
        session
            .create(&format!("/tmp/connect.py\n{CONNECT}"))
            .unwrap()
            .unwrap();
        output(&mut session, &format!("python3 /tmp/connect.py {port} 127.0.0.1"))
    };
    assert_eq!(reached(Network::Host), "reached\n");
    assert_eq!(reached(Network::Loopback), "no\n");
    assert_eq!(reached(Network::None), "no\n");
    let mut session = session(FULL);
    let interfaces = output(&mut session, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '");
    assert_eq!(interfaces, "lo\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn memory_is_bounded_and_the_sandbox_survives() {
    let mut policy = policy();
    policy.limits.memory = 256 << 20;
    let mut session = session_with(policy, &options(FULL), 60);
    assert_eq!(
        output(&mut session, "python3 -c 'print(len(bytearray(100 << 20)))'"),
        "104857600\n"
    );
    // One process that takes all, then many that take a little each, of which three fit.
    let hogs = [
        (
            0,
            "python3 -c 'x = [bytearray(10 << 20) for _ in range(100)]; print(\"all of it\")'",
        ),
        (
            3,
            "hog='import time; x = b\"x\" * (80 << 20); time.sleep(10); print(\"all of it\")'; \
             for i in 1 2 3 4 5 6; do python3 -c \"$hog\" & done; wait",
        ),
    ];
    for (fit, hog) in hogs {
        let result = session.run(hog).unwrap();
        let all = text(&result).lines().filter(|&line| line == "all of it").count();
        assert!(all <= fit, "{}", text(&result));
        assert_ne!(result.ending, Ending::Killed(KillReason::Timeout));
    }
    assert_eq!(output(&mut session, "echo alive"), "alive\n");
    // Files in memory count as well.
    let filled = session
        .run("dd if=/dev/zero of=/tmp/fill bs=1M count=1000")
        .unwrap();
    assert_ne!(filled.exit_code(), Some(0), "{filled:?}");
    assert_eq!(output(&mut session, "rm -f /tmp/fill; echo alive"), "alive\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn processes_are_bounded_and_a_fork_bomb_ends() {
    let mut policy = policy();
    policy.limits.processes = 64;
    let mut session = session_with(policy, &options(FULL), 5);
    let result = session
        .run("for i in $(seq 200); do sleep 100 & done 2>/dev/null; ls -d /proc/[0-9]* | wc -l")
        .unwrap();
    let printed = text(&result);
    let most = printed
        .lines()
        .filter_map(|line| line.trim().parse::<u32>().ok())
        .max();
    assert!(most.is_none_or(|most| most <= 64 + 8), "{printed}");
    let result = session.run("bomb() { bomb | bomb & }; bomb; sleep 100").unwrap();
    assert!(!matches!(result.ending, Ending::Exited(0)), "{result:?}");
    let left = output(&mut session, "sleep 1; ls -d /proc/[0-9]* | wc -l");
    assert!(left.trim().parse::<u32>().unwrap() < 8, "{left}");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn the_host_is_written_only_where_it_is_mounted_writable() {
    let host = tempfile::tempdir().unwrap();
    for name in ["readable", "writable", "readable/secret"] {
        std::fs::create_dir(host.path().join(name)).unwrap();
    }
    std::fs::write(host.path().join("readable/seen"), "seen\n").unwrap();
    std::fs::write(host.path().join("readable/token"), "hidden words").unwrap();
    std::fs::write(host.path().join("readable/secret/key"), "hidden words").unwrap();
    let mut policy = policy();
    policy.mounts = vec![
        Mount::ReadOnly {
            source: host.path().join("readable"),
            target: "/r".into(),
        },
        Mount::Writable {
            source: host.path().join("writable"),
            target: "/w-x".into(),
        },
        Mount::Scratch {
            target: "/scratch".into(),
            bytes: 1 << 20,
        },
    ];
    policy.hidden = vec!["/r/token".into(), "/r/secret".into()];
    let mut session = session_with(policy, &options(FULL), 60);
    assert_eq!(
        output(&mut session, "cat /r/seen; cat /r/token /r/secret/* 2>/dev/null"),
        "seen\n"
    );
    let attacks = "echo x >/r/seen; rm -rf /r/*; mv /r /w-x/; ln -sf /r/seen /w-x/link; echo x >>/w-x/link; \
                   chmod 777 /r; mount -o remount,rw /r; echo x >/run/cwm/bin/cwm; echo x >/run/cwm/bin/loader";
    let result = session.run(attacks).unwrap();
    assert!(
        text(&result).contains("Read-only file system"),
        "{}",
        text(&result)
    );
    assert_eq!(
        std::fs::read_to_string(host.path().join("readable/seen")).unwrap(),
        "seen\n"
    );
    assert_eq!(
        std::fs::read_dir(host.path().join("readable")).unwrap().count(),
        3
    );
    assert_eq!(
        output(&mut session, "echo mine >/w-x/file; stat -c %u /w-x/file | wc -l"),
        "1\n"
    );
    let written = std::fs::metadata(host.path().join("writable/file")).unwrap();
    assert_eq!(written.uid(), std::fs::metadata(host.path()).unwrap().uid());
    let full = session
        .run("dd if=/dev/zero of=/scratch/fill bs=64K count=100")
        .unwrap();
    assert!(text(&full).contains("No space left"), "{}", text(&full));
    // The container's own layer is writable for the image's user, as images that install into themselves need.
    let mut session = super::session(FULL);
    assert_eq!(output(&mut session, "echo y >/usr/y && cat /usr/y"), "y\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn the_way_in_is_closed_before_programs_run() {
    let mut session = session(FULL);
    assert_eq!(output(&mut session, "ls -A /run/cwm/control"), "");
    let script = "import socket\n\
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n\
        \x20   try: socket.socket(socket.AF_UNIX, kind).connect('/run/cwm/control/socket'); print('in')\n\
        \x20   except OSError as error: print(error.strerror)\n\
        try: socket.socket(socket.AF_UNIX).bind('/run/cwm/control/socket'); print('bound')\n\
        except OSError as error: print(error.strerror)\n";
    session
        .create(&format!("/tmp/attack.py\n{script}"))
        .unwrap()
        .unwrap();
    let printed = output(
        &mut session,
        "python3 /tmp/attack.py; touch /run/cwm/control/x 2>&1 | grep -c Read-only",
    );
    let expected = "No such file or directory\nNo such file or directory\nRead-only file system\n1\n";
    assert_eq!(printed, expected);
    // No program holds the supervisor's socket either.
    let open = output(
        &mut session,
        "ls -l /proc/self/fd /proc/$$/fd 2>/dev/null | grep -c socket",
    );
    assert_eq!(open, "0\n");
    // A program of the image that is started as the helper is no way in: nobody listens.
    let again = session
        .run("CWM_CONTROL_SOCKET=/run/cwm/control/socket /run/cwm/bin/cwm __inside-the-sandbox")
        .unwrap();
    assert_ne!(again.exit_code(), Some(0), "{again:?}");
    assert!(again.wall_time < Duration::from_secs(5));
}
