//! `cwm config`: what is set, and by whom.

use serde_json::json;

use super::context::{Outcome, TestContext};

/// A home with a file of settings, and a repository with another and a folder in it.
fn context(user: &str, repository: &str) -> TestContext {
    let context = TestContext::new();
    let write = |path: &str, text: &str| {
        let path = context.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("home/.config/cwm/config.toml", user);
    write("project/cwm.toml", repository);
    write("project/.git/HEAD", "ref: refs/heads/main\n");
    write("project/src/lib.rs", "");
    context
}

#[test]
fn every_key_is_shown_with_its_value_and_origin() {
    let context = context(
        "# mine\nkv_memory = \"2G\"\nsamples = 4\nread = [\"/data\"]\n",
        "tests = [\"pytest -q\", \"make check\"]\nsamples = 6\n",
    );
    let outcome = context
        .with("CWM_MAX_TIME", "5400")
        .run(["config", "show", "--repo", "project/src"]);
    outcome.assert_snapshot("config-show.txt");
}

#[test]
fn settings_are_events_with_json() {
    let context = context("max_time = \"2m\"", "samples = 6");
    let outcome = context.run(["config", "show", "--repo", "project", "--json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let events = outcome.events();
    let of = |key: &str| events.iter().find(|event| event["key"] == key).unwrap();
    assert_eq!(
        *of("samples"),
        json!({"schema": 1, "event": "config.setting", "key": "samples", "value": 6, "unset_means": null,
               "origin": "repository", "file": "[FOLDER]/project/cwm.toml", "line": 1, "variable": "CWM_SAMPLES",
               "repository_may_set": true})
    );
    assert_eq!(of("max_time")["value"], 120);
    assert_eq!(of("max_time")["origin"], "user");
    assert_eq!(of("threads")["value"], json!(null));
    assert_eq!(of("threads")["unset_means"], "all");
}

#[test]
fn the_files_are_named_whether_they_are_there_or_not() {
    let context = context("", "");
    let outcome = context.run(["config", "path", "--repo", "project"]);
    assert_eq!(
        outcome.stdout,
        "[FOLDER]/home/.config/cwm/config.toml\n[FOLDER]/project/cwm.toml\n"
    );
    assert_eq!(outcome.stderr, "");
    std::fs::remove_file(context.folder().join("project/cwm.toml")).unwrap();
    let outcome = context.run(["config", "path", "--repo", "project"]);
    assert_eq!(outcome.code, 0);
    assert_eq!(outcome.stderr, "([FOLDER]/project/cwm.toml is not there yet)\n");
    let outcome = context.run(["config", "path"]);
    assert_eq!(
        outcome.stderr,
        "There is no repository here, so no cwm.toml counts.\n"
    );
    let outcome = context.run(["config", "path", "--repo", "project", "--json"]);
    let exist: Vec<bool> = outcome
        .events()
        .iter()
        .filter_map(|event| event["exists"].as_bool())
        .collect();
    assert_eq!(exist, [true, false]);
}

#[track_caller]
fn assert_usage_error(outcome: &Outcome, words: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    assert!(outcome.stderr.contains(words), "{outcome:?}");
}

#[test]
fn wrong_settings_are_usage_errors_that_say_where() {
    let wrong = context("", "\n\nsampels = 3\n");
    let outcome = wrong.run(["config", "show", "--repo", "project"]);
    assert_usage_error(
        &outcome,
        "[FOLDER]/project/cwm.toml, line 3: there is no key `sampels`.\n  hint: Did you mean `samples`?\n",
    );
    // `cwm fix` reads the same files, before anything else is done.
    let outcome = wrong.shell("cd project && rm -r .git && git init -q . && git add -A && \
         git -c user.name=Ada -c user.email=ada@example.org commit -qm Begin && \"$CWM\" fix -m 'It is wrong.' < /dev/null");
    assert_usage_error(&outcome, "cwm.toml, line 3: there is no key `sampels`.");

    let hostile = context("", "sandbox = \"external\"\n");
    let outcome = hostile.run(["config", "show", "--repo", "project"]);
    assert_usage_error(&outcome, "`sandbox` cannot be set by a repository");
    assert!(
        outcome
            .stderr
            .contains("put it into [FOLDER]/home/.config/cwm/config.toml"),
        "{outcome:?}"
    );
    let outcome = hostile.with("CWM_ROUNDS", "x").run(["config", "show"]);
    assert_usage_error(
        &outcome,
        "The variable CWM_ROUNDS must be a whole number from 1 to 4294967295",
    );
}
