//! `cwm doctor` on this machine, and on the same machine with parts of it taken away.

use serde_json::Value;

use super::context::{Outcome, TestContext};

const NAMES: [&str; 15] = [
    "kernel",
    "user-namespaces",
    "overlayfs",
    "landlock",
    "seccomp",
    "cgroups",
    "container-engine",
    "bash",
    "git",
    "python",
    "cpu",
    "memory",
    "disk",
    "gpu",
    "sandbox",
];

/// The check of that name among the events.
#[track_caller]
fn check(outcome: &Outcome, name: &str) -> Value {
    let events = outcome.events();
    let found = events
        .iter()
        .find(|event| event["event"] == "doctor.check" && event["name"] == name);
    found
        .unwrap_or_else(|| panic!("no check {name}: {outcome:?}"))
        .clone()
}

#[test]
fn each_check_is_an_event_and_the_verdict_agrees_with_them() {
    let outcome = TestContext::new().run(["doctor", "--json"]);
    let events = outcome.events();
    assert!(events.iter().all(|event| event["schema"] == 1), "{events:?}");
    let (checks, rest): (Vec<_>, Vec<_>) = events.iter().partition(|event| event["event"] == "doctor.check");
    let names: Vec<&str> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, NAMES);
    for check in &checks {
        assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
        match check["status"].as_str().unwrap() {
            "ok" => assert_eq!(check["cure"], Value::Null, "{check}"),
            "warn" | "fail" => assert!(!check["cure"].as_str().unwrap().is_empty(), "{check}"),
            other => panic!("unknown status {other}"),
        }
    }
    let named = |status: &str| -> Vec<&str> {
        let checks = checks.iter().filter(|check| check["status"] == status);
        checks.map(|check| check["name"].as_str().unwrap()).collect()
    };
    let failed = named("fail");
    let code = if failed.is_empty() { 0 } else { 3 };
    assert_eq!(outcome.code, code);
    let verdict = serde_json::json!({
        "schema": 1, "event": "doctor.verdict",
        "usable": failed.is_empty(), "failed": failed, "warned": named("warn"),
    });
    let meaning = if code == 0 { "success" } else { "environment" };
    let end = serde_json::json!({"schema": 1, "event": "end", "exit_code": code, "meaning": meaning});
    assert_eq!(rest, [&verdict, &end]);
}

#[test]
fn the_text_names_each_check_once_and_has_no_colour_in_a_pipe() {
    let outcome = TestContext::new().run(["doctor"]);
    for name in NAMES {
        let lines = outcome
            .stdout
            .lines()
            .filter(|line| line.split_whitespace().next() == Some(name));
        assert_eq!(lines.count(), 1, "{name}: {outcome:?}");
    }
    assert!(!outcome.stdout.contains('\x1b'));
    assert_eq!(outcome.stderr, "", "neither progress nor notes in a pipe");
}

#[test]
fn what_it_says_of_programs_is_what_they_say_of_themselves() {
    let context = TestContext::new();
    let outcome = context.run(["doctor", "--json"]);
    for (name, script) in [
        ("git", "git --version | sed 's/^git version //'"),
        ("bash", "echo \"$BASH_VERSION\""),
        (
            "python",
            "python3 -c 'import platform; print(platform.python_version())'",
        ),
        ("kernel", "uname -r"),
    ] {
        let truth = context.shell(script);
        assert_eq!(truth.code, 0, "{truth:?}");
        let found = check(&outcome, name);
        assert!(
            found["found"].as_str().unwrap().contains(truth.stdout.trim()),
            "{found}, but {truth:?}"
        );
    }
}

#[test]
fn without_bash_or_a_folder_for_runs_it_fails_and_says_how_to_mend_it() {
    let outcome = TestContext::new()
        .with("PATH", "/nowhere")
        .run(["doctor", "--json"]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert_eq!(check(&outcome, "bash")["status"], "fail");
    assert!(
        check(&outcome, "bash")["cure"]
            .as_str()
            .unwrap()
            .contains("apt-get install bash")
    );
    assert_eq!(check(&outcome, "git")["status"], "warn");
    assert_eq!(check(&outcome, "python")["status"], "warn");

    let outcome = TestContext::new().without("HOME").run(["doctor", "--json"]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(
        check(&outcome, "disk")["cure"]
            .as_str()
            .unwrap()
            .contains("XDG_STATE_HOME")
    );
    assert_eq!(TestContext::new().without("HOME").run(["doctor"]).code, 3);
}

#[test]
fn a_program_that_fails_does_not_take_the_doctor_with_it() {
    let context = TestContext::new();
    context.shell("mkdir bin && printf '#!/bin/sh\\nexit 1\\n' > bin/git && chmod +x bin/git");
    let bin = context.folder().join("bin").to_str().unwrap().to_owned();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let outcome = context.with("PATH", &path).run(["doctor", "--json"]);
    let found = check(&outcome, "git");
    assert_eq!(found["found"], "[FOLDER]/bin/git does not run");
}

#[test]
fn it_changes_nothing_in_the_home() {
    let context = TestContext::new();
    context.run(["doctor"]);
    assert_eq!(context.shell("find home").stdout, "home\n");
}

#[test]
fn verbose_tells_how_long_each_check_took() {
    let outcome = TestContext::new().run(["-v", "doctor", "--quiet", "-v"]);
    assert!(outcome.stderr.contains("kernel took "), "{outcome:?}");
}

/// Where new namespaces are refused, the doctor must not promise them: compared with a real attempt.
#[test]
fn what_it_says_of_namespaces_agrees_with_an_attempt() {
    let context = TestContext::new();
    let status = check(&context.run(["doctor", "--json"]), "user-namespaces")["status"].clone();
    let attempt = context.shell("unshare --user --mount --map-root-user mount -t tmpfs none /mnt");
    assert_eq!(status == "ok", attempt.code == 0, "doctor: {status}; {attempt:?}");
}

/// The limit on namespaces is each user namespace's own, so a machine that forbids them can be had for a while.
#[test]
fn where_namespaces_are_forbidden_and_no_engine_runs_the_work_cannot_be_done() {
    let context = TestContext::new().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let outcome = context.shell(
        "unshare --user --map-root-user bash -c \
         'echo 0 > /proc/sys/user/max_user_namespaces && exec \"$CWM\" doctor --json'",
    );
    assert_eq!(outcome.code, 3, "{outcome:?}");
    let namespaces = check(&outcome, "user-namespaces");
    assert_eq!(namespaces["status"], "warn");
    assert!(
        namespaces["cure"]
            .as_str()
            .unwrap()
            .contains("sysctl -w user.max_user_namespaces=15000")
    );
    let sandbox = check(&outcome, "sandbox");
    assert_eq!(sandbox["status"], "fail");
    assert!(sandbox["cure"].as_str().unwrap().contains("--sandbox external"));
}
