//! Each distribution's settings, laid out in a folder, and the verdict on them.

use super::*;
use crate::cli::doctor::check::Status;
use crate::cli::doctor::system::check_on;

const ORDINARY: &str = "Seccomp:\t0\nCapEff:\t0000000000000000\n";

fn check_with(files: &[(&str, &str)]) -> Check {
    let given = [("proc/self/ns/user", ""), ("proc/self/status", ORDINARY)];
    check_on(&[&given, files].concat(), check)
}

#[test]
fn a_plain_kernel_allows_them() {
    let found = check_with(&[("proc/sys/user/max_user_namespaces", "96365\n")]);
    assert_eq!(found.status, Status::Ok);
    assert_eq!(
        found.found,
        "allowed to ordinary users by the kernel's settings (at most 96365)"
    );
}

#[test]
fn each_restriction_is_named_with_its_cure() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case; 3] = [
        (
            &[("proc/sys/user/max_user_namespaces", "0\n")],
            "user.max_user_namespaces is 0",
            "sudo sysctl -w user.max_user_namespaces=15000",
        ),
        (
            &[("proc/sys/kernel/unprivileged_userns_clone", "0\n")],
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            &[
                (".dockerenv", ""),
                ("proc/self/status", "Seccomp:\t2\nCapEff:\t00000000a80425fb\n"),
            ],
            "inside a container",
            "--sandbox external",
        ),
    ];
    for (files, found, cure) in cases {
        let check = check_with(files);
        assert_eq!(check.status, Status::Warn, "{check:?}");
        assert!(check.found.contains(found), "{check:?}");
        assert!(check.cure.as_ref().unwrap().contains(cure), "{check:?}");
    }
}

#[test]
fn ubuntus_apparmor_rule_binds_only_the_unconfined_and_not_root() {
    let rule = ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    let bound = check_with(&[rule, ("proc/self/attr/current", "unconfined\n")]);
    assert_eq!(bound.status, Status::Warn);
    let cure = bound.cure.unwrap();
    assert!(
        cure.contains("sudo apparmor_parser -r /etc/apparmor.d/cwm"),
        "{cure}"
    );
    assert!(cure.contains(&own_path()), "{cure}");

    let named = check_with(&[rule, ("proc/self/attr/current", "cwm (unconfined)\n")]);
    assert_eq!(named.status, Status::Ok);
    let confined = check_with(&[rule, ("proc/self/attr/current", "docker-default (enforce)\n")]);
    assert_eq!(confined.status, Status::Warn);
    let root = check_with(&[rule, ("proc/self/status", "CapEff:\t000001ffffffffff\n")]);
    assert_eq!(root.status, Status::Ok);
}

/// What the line that the user copies writes, by the shell's own reading of it.
#[test]
fn the_line_to_copy_writes_the_profile_whatever_the_path() {
    for (path, quoted) in [
        ("/usr/local/bin/cwm", "/usr/local/bin/cwm"),
        (
            "/opt/a \"b\"/it's $HOME/c\\d",
            "/opt/a \\\"b\\\"/it's $HOME/c\\\\d",
        ),
    ] {
        let cure = apparmor_cure(path);
        let line = cure.lines().find(|line| line.starts_with("printf ")).unwrap();
        let script = line.replace("sudo tee /etc/apparmor.d/cwm", "cat");
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("   {script}")])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!(
                "abi <abi/4.0>,\ninclude <tunables/global>\n\
                 profile cwm \"{quoted}\" flags=(unconfined) {{\n  userns,\n}}\n"
            )
        );
    }
}
