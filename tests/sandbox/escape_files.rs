//! Attacks on files: reading what is the user's, writing what is not the copy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::harness::{Inside, SECRET, SECRETS, both};

#[test]
fn nothing_outside_can_be_written() {
    both(|world| {
        let mut inside = world.inside();
        let mark = format!("cwm-escaped-{}", std::process::id());
        let base = world.base.path().display();
        let said = inside.sh(&format!(
            "for folder in / /etc /usr /usr/bin /usr/local /usr/local/bin /bin /sbin /lib /opt /var /var/lib /var/log \
                 /var/spool/cron /root /home /srv /mnt /media /boot /run /dev /proc /sys; do
                 (echo x >$folder/{mark}) 2>/dev/null && echo \"wrote to $folder\"
                 mkdir $folder/{mark}.d 2>/dev/null && echo \"made a folder in $folder\"
                 ln -s /tmp $folder/{mark}.l 2>/dev/null && echo \"made a link in $folder\"
             done
             (echo x >>/etc/passwd) 2>/dev/null && echo wrote to passwd
             (echo x >/usr/bin/env) 2>/dev/null && echo wrote to env
             chmod 777 /etc /usr /usr/bin /etc/passwd /usr/bin/env 2>/dev/null && echo changed modes
             touch -d 2001-01-01 /etc/passwd /usr/bin/env 2>/dev/null && echo changed times
             rm -f /etc/hostname /etc/hosts /usr/bin/env 2>/dev/null && echo removed
             mv /usr/bin /usr/bin2 2>/dev/null && echo moved
             for place in {base} {base}/sibling {base}/home {base}/snapshot {base}/layers /tmp /var/tmp; do
                 mkdir -p $place 2>/dev/null; echo x >$place/{mark} 2>/dev/null
             done
             true"
        ));
        // The root and `/run` belong to nobody's files, but are to stay as they were made.
        assert_eq!(said, "");
        for folder in [
            "/", "/etc", "/usr", "/usr/bin", "/opt", "/var", "/root", "/tmp", "/var/tmp", "/run", "/dev",
        ] {
            for end in ["", ".d", ".l"] {
                let path = Path::new(folder).join(format!("{mark}{end}"));
                assert!(
                    path.symlink_metadata().is_err(),
                    "{} is there outside",
                    path.display()
                );
            }
        }
        world.assert_untouched();
    });
}

#[test]
fn the_users_secrets_cannot_be_read() {
    both(|world| {
        let mut inside = world.inside();
        let home = world.path("home");
        for secret in SECRETS {
            let path = home.join(secret);
            assert_eq!(fs::read_to_string(&path).unwrap(), SECRET);
            let said = inside.sh(&format!("cat '{}' 2>&1", path.display()));
            assert!(!said.contains(SECRET), "{secret} was read");
        }
        let found = inside.sh(&format!(
            "grep -rasl {SECRET} ~ /tmp /var/tmp /home /root /run /var /dev/shm '{}' 2>/dev/null",
            world.base.path().display()
        ));
        assert_eq!(found, "");
        let shown = inside.ok("ls -A ~ ~/.cargo");
        for name in [
            ".ssh",
            ".aws",
            ".netrc",
            ".config",
            ".docker",
            ".gnupg",
            "documents",
        ] {
            assert!(
                !shown.contains(name),
                "{name} is shown in the home folder: {shown}"
            );
        }
        assert!(
            shown.contains("bin"),
            "the toolchain in the home folder is not shown: {shown}"
        );
        world.assert_untouched();
    });
}

#[test]
fn a_credential_that_is_a_link_is_hidden_too() {
    both(|world| {
        let cargo = world.path("home/.cargo");
        fs::rename(cargo.join("credentials.toml"), cargo.join("mine.toml")).unwrap();
        std::os::unix::fs::symlink("mine.toml", cargo.join("credentials.toml")).unwrap();
        let said = world
            .inside()
            .sh("cat ~/.cargo/credentials.toml; grep -ras . ~/.cargo");
        assert!(!said.contains(SECRET), "{said}");
    });
}

#[test]
fn a_hidden_file_cannot_be_uncovered() {
    both(|world| {
        let mut inside = world.inside();
        let said = inside.sh("cd ~/.cargo && ls -l credentials.toml
             rm -f credentials.toml; mv credentials.toml aside; ln credentials.toml linked
             cp -a ~/.cargo /tmp/copied; mv ~/.cargo ~/moved; ln -s ~/.cargo /tmp/alias
             umount credentials.toml; umount -l ~/.cargo
             cat ~/.cargo/* ~/moved/* /tmp/copied/* /tmp/alias/*
             cat /proc/self/root$HOME/.cargo/credentials.toml /proc/self/cwd/credentials.toml
             exec 3<. && cat /proc/self/fd/3/credentials.toml; true");
        assert!(!said.contains(SECRET), "{said}");
    });
}

#[test]
fn the_systems_secrets_cannot_be_read() {
    both(|world| {
        let mut inside = world.inside();
        assert!(Path::new("/etc/shadow").exists(), "this test needs /etc/shadow");
        assert_eq!(
            inside.sh("cat /etc/shadow /etc/shadow- /etc/gshadow /etc/sudoers 2>/dev/null"),
            ""
        );
        assert_eq!(
            inside.sh("cat /etc/machine-id /var/lib/dbus/machine-id /etc/ssh/* 2>/dev/null"),
            ""
        );
        // What not every user may read of /etc is not for the superuser's sandbox either.
        let unreadable = inside.sh("find /etc -type f -size +0 -not -perm -004 2>/dev/null");
        assert_eq!(unreadable, "");
        let other = inside
            .sh("ls -A /home /root /srv /mnt /media /boot /var/spool /var/mail 2>/dev/null | grep -v :");
        let own = world.base.path().components().nth(1).unwrap();
        assert!(
            !other.contains("id_") && !other.contains(".ssh"),
            "{other} {own:?}"
        );
        world.assert_untouched();
    });
}

#[test]
fn other_users_files_in_the_machines_tmp_are_not_there() {
    both(|world| {
        let canary = tempfile::Builder::new()
            .prefix("cwm-canary-")
            .tempfile_in("/tmp")
            .unwrap();
        fs::write(canary.path(), SECRET).unwrap();
        fs::set_permissions(canary.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let mut inside = world.inside();
        let path = canary.path().display();
        assert_eq!(inside.sh(&format!("cat {path} /var/tmp/* 2>/dev/null")), "");
        inside.sh(&format!("echo changed >{path}; chmod 000 {path}; rm -f {path}"));
        assert_eq!(fs::read_to_string(canary.path()).unwrap(), SECRET);
    });
}

#[test]
fn the_processes_roots_lead_nowhere_else() {
    both(|world| {
        let mut inside = world.inside();
        let canary = world.path("sibling/canary");
        let canary = canary.display();
        let said = inside.sh(&format!(
            "for root in /proc/*/root /proc/*/cwd /proc/*/task/*/root /proc/self/root/.. /proc/self/cwd/../../../../..; do
                 cat $root{canary} $root/machine{canary} $root/etc/shadow 2>/dev/null
                 echo x 2>/dev/null >$root{canary}
             done
             ls /proc/1/root/ /proc/1/cwd/ 2>/dev/null
             for fd in $(seq 0 50); do (exec 5</proc/1/fd/$fd) 2>/dev/null && echo opened $fd; done
             for fd in $(seq 0 50); do (exec 5>/proc/1/fd/$fd) 2>/dev/null && echo opened $fd; done
             readlink /proc/1/fd/* /proc/1/map_files/*
             cat /proc/1/environ /proc/1/maps /proc/1/auxv /proc/1/stack /proc/1/syscall 2>/dev/null | head -c 200
             head -c 1 /proc/1/mem 2>/dev/null; dd if=/proc/1/mem bs=1 count=1 skip=4194304 2>/dev/null
             readlink /proc/1/exe /proc/1/root /proc/1/cwd
             ls -d /machine /view /scratch 2>/dev/null
             true"
        ));
        assert!(!said.contains(SECRET), "{said}");
        assert_eq!(said, "");
        world.assert_untouched();
    });
}

#[test]
fn only_the_copy_and_private_folders_can_be_written() {
    both(|world| {
        let mut policy = world.policy();
        policy.limits.scratch = 64 << 20;
        let mut inside = Inside::start(policy);
        inside.ok(
            "for folder in . src /tmp /var/tmp /dev/shm ~; do echo x >$folder/made && rm $folder/made; done",
        );
        let writable =
            inside.sh("awk '{ print $2, $4 }' /proc/self/mounts | grep -E ' rw' | cut -d' ' -f1 | sort");
        let home = world.path("home");
        let expected = [
            world.project().display().to_string(),
            home.display().to_string(),
            format!("{}/.cargo", home.display()),
        ];
        for line in writable.lines() {
            let usual = [
                "/proc",
                "/dev/pts",
                "/dev/shm",
                "/tmp",
                "/var/tmp",
                "/run/cwm/session",
            ];
            let known = usual.contains(&line) || expected.iter().any(|path| path == line);
            assert!(known, "{line} is writable: {writable}");
        }
    });
}

#[test]
fn the_binary_that_runs_the_sandbox_cannot_be_reached() {
    both(|world| {
        let before = fs::metadata(super::harness::program()).unwrap();
        let mut inside = world.inside();
        // A script whose interpreter is whoever starts it would run the supervisor's own binary, and show it to the rest.
        inside.ok("printf '#!/proc/self/exe\\n' >run-me; chmod 755 run-me; ln -s /proc/self/exe itself");
        inside.ok("(for i in $(seq 300); do for exe in /proc/[0-9]*/exe; do
                 case $(readlink $exe) in */cwm|*cwm*) chmod 777 $exe && echo changed >>/tmp/seen;; esac
             done; done) >/dev/null 2>&1 &");
        for name in ["./run-me", "./itself"] {
            let spec = cwm_tools::sandbox::ProgramSpec {
                command: vec![name.into(), "--version".into()],
                working_directory: Some(world.project()),
                environment: Default::default(),
                input: false,
            };
            let mut printed = Vec::new();
            let outcome = inside
                .session
                .run_program(
                    spec,
                    std::time::Duration::from_secs(10),
                    None,
                    &mut |_: cwm_tools::sandbox::Stream, bytes: &[u8]| printed.extend_from_slice(bytes),
                )
                .unwrap();
            assert!(
                matches!(outcome.ending, cwm_tools::sandbox::Ending::NotStarted { .. }),
                "{name}: {:?} {}",
                outcome.ending,
                String::from_utf8_lossy(&printed)
            );
        }
        assert_eq!(inside.sh("cat /tmp/seen 2>/dev/null"), "");
        let after = fs::metadata(super::harness::program()).unwrap();
        assert_eq!(before.permissions(), after.permissions());
    });
}
