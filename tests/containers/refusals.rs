//! What cannot be had, and the sentences that say so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cwm_tools::sandbox::Sandbox;
use cwm_tools::sandbox::container::{ContainerOptions, EngineKind, engines};
use cwm_tools::sandbox::policy::{Mount, UpperLayer};

use super::{BARE, FULL, cwm, engine, options, podman, policy, start, user_environment};

fn refusal(options: &ContainerOptions, mounts: Vec<Mount>) -> String {
    let mut policy = policy();
    policy.mounts = mounts;
    match start(policy, options) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
    }
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn an_image_without_bash() {
    says(
        &refusal(&options(BARE), Vec::new()),
        &["find bash", BARE, "install it"],
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn an_image_that_is_not_there_is_not_pulled() {
    let before = podman(&["images", "-q"]);
    let sentence = refusal(&options("localhost/no-such-image:9"), Vec::new());
    says(
        &sentence,
        &[
            "localhost/no-such-image:9",
            "podman pull localhost/no-such-image:9",
        ],
    );
    assert_eq!(podman(&["images", "-q"]), before);
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_repository_that_the_image_lacks() {
    let options = ContainerOptions {
        repository: Some("/no/such".into()),
        ..options(FULL)
    };
    says(&refusal(&options, Vec::new()), &["/no/such", FULL]);
    let relative = ContainerOptions {
        repository: Some("repo".into()),
        ..options
    };
    says(&refusal(&relative, Vec::new()), &["not an absolute path"]);
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn mounts_that_no_engine_makes_or_that_hold_its_socket() {
    let overlay = Mount::Overlay {
        lower: "/usr".into(),
        upper: Some(UpperLayer {
            upper: "/a".into(),
            work: "/b".into(),
        }),
        target: "/project".into(),
    };
    says(
        &refusal(&options(FULL), vec![overlay]),
        &["/project", "plain copy"],
    );
    let show = |source: PathBuf| Mount::ReadOnly {
        source,
        target: "/shown".into(),
    };
    for source in [engine(), engine().parent().unwrap().to_owned(), "/".into()] {
        says(&refusal(&options(FULL), vec![show(source)]), &["engine's socket"]);
    }
    let folder = tempfile::Builder::new().prefix("a,b").tempdir().unwrap();
    says(
        &refusal(&options(FULL), vec![show(folder.path().into())]),
        &["comma"],
    );
    says(
        &refusal(&options(FULL), vec![show("/no/such/folder".into())]),
        &["/no/such/folder"],
    );
}

#[test]
fn no_engine_answers() {
    let folder = tempfile::tempdir().unwrap();
    let silent = folder.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    for (address, parts) in [
        (folder.path().join("none.sock"), ["none.sock", "No such file"]),
        (silent, ["silent.sock", "did not answer within 5 seconds"]),
        (
            PathBuf::from("tcp://127.0.0.1:2375"),
            ["tcp://127.0.0.1:2375", "unix:///var/run/docker.sock"],
        ),
    ] {
        let options = ContainerOptions {
            image: FULL.to_owned(),
            engine: Some(address.into()),
            repository: None,
        };
        says(&refusal(&options, Vec::new()), &parts);
    }
}

#[test]
fn an_engine_elsewhere_is_refused() {
    let environment: BTreeMap<_, _> = [("DOCKER_HOST".into(), "ssh://me@machine".into())].into();
    let error = engines(&environment).unwrap_err().to_string();
    says(&error, &["DOCKER_HOST", "ssh://me@machine", "unix://"]);
    let options = ContainerOptions {
        image: FULL.to_owned(),
        engine: None,
        repository: None,
    };
    assert!(Sandbox::start_in_container(&cwm(), policy(), &options, &environment).is_err());
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn the_engine_is_found_and_known() {
    let mut environment = user_environment();
    environment.insert(
        "DOCKER_HOST".into(),
        format!("unix://{}", engine().display()).into(),
    );
    let found = engines(&environment).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, &found[0].socket), (EngineKind::Podman, &engine()));
    assert_eq!(
        found[0].version,
        podman(&["version", "--format", "{{.Server.Version}}"])
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_helper_that_is_no_program_or_does_nothing() {
    let start = |program: &std::path::Path| {
        Sandbox::start_in_container(program, policy(), &options(FULL), &user_environment())
            .err()
            .unwrap()
            .to_string()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "#!/bin/sh\nexec sleep 100\n").unwrap();
    says(&start(file.path()), &["too short for an ELF program"]);
    // It ends without a word.
    says(
        &start("/bin/true".as_ref()),
        &["start the helper in the container", "ended"],
    );
}
