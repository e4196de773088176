//! The journal on disk: torn lines, full disks, threads, forms of other versions.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn notice(text: &str) -> Record {
    Record::Notice {
        attempt: None,
        text: text.to_owned(),
    }
}

fn records(path: &Path) -> Vec<Record> {
    read(path).unwrap().into_iter().map(|line| line.record).collect()
}

fn fresh(folder: &Path) -> (PathBuf, Journal) {
    let path = folder.join("journal.jsonl");
    let journal = Journal::create(&path, Arc::new(NoObserver)).unwrap();
    (path, journal)
}

fn append_bytes(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn what_is_appended_is_read_again_by_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = fresh(folder.path());
    assert_eq!(records(&path), []);
    journal.append(&notice("one\n\"two\" \u{0}\u{1f}ž")).unwrap();
    journal.append(&notice("")).unwrap();
    assert_eq!(records(&path), [notice("one\n\"two\" \u{0}\u{1f}ž"), notice("")]);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let line = read(&path).unwrap().remove(0);
    assert!(line.schema == SCHEMA && line.time > 1.6e9, "{line:?}");
    assert!(matches!(
        Journal::create(&path, Arc::new(NoObserver)),
        Err(JournalError::Io { doing: "made", .. })
    ));
}

#[test]
fn a_torn_last_line_is_taken_off_and_appending_goes_on_behind_the_whole_ones() {
    for torn in [
        &b"{\"schema\":1,\"event\":\"not"[..],
        b"{",
        b"\0\0\0\0\0\0",
        b"\xff\xfe",
        // The line's end came to the disk and what is before it did not.
        b"\0\0\0\0\n",
        b"{\"schema\":1,\"time\":0,\"event\":\"notice\"}\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = fresh(folder.path());
        journal.append(&notice("one")).unwrap();
        drop(journal);
        append_bytes(&path, torn);
        assert_eq!(records(&path), [notice("one")], "{torn:?}");
        let journal = Journal::resume(&path, Arc::new(NoObserver)).unwrap();
        assert_eq!(journal.earlier(), [notice("one")]);
        journal.append(&notice("two")).unwrap();
        assert_eq!(records(&path), [notice("one"), notice("two")], "{torn:?}");
    }
}

#[test]
fn damage_before_the_last_line_is_an_error_that_names_the_line() {
    for (damage, words) in [
        (&b"nonsense\n"[..], "expected"),
        (b"\n", "EOF"),
        (b"{\"schema\":1,\"event\":\"notice\"}\n", "missing field `time`"),
        (b"{\"time\":1}\n", "missing field `schema`"),
        (b"\xff\n", "expected value"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = fresh(folder.path());
        journal.append(&notice("one")).unwrap();
        append_bytes(&path, damage);
        journal.append(&notice("two")).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(Journal::resume(&path, Arc::new(NoObserver)).is_err());
    }
}

#[test]
fn events_of_later_versions_are_passed_over_and_other_forms_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = fresh(folder.path());
    journal.append(&notice("one")).unwrap();
    append_bytes(
        &path,
        b"{\"schema\":1,\"time\":1.5,\"event\":\"dreamt\",\"of\":[1,2]}\n\
          {\"schema\":1,\"time\":1.5,\"event\":\"notice\",\"text\":\"two\",\"mood\":\"blue\"}\n",
    );
    assert_eq!(records(&path), [notice("one"), notice("two")]);
    let journal = Journal::resume(&path, Arc::new(NoObserver)).unwrap();
    journal.append(&notice("three")).unwrap();
    assert_eq!(records(&path), [notice("one"), notice("two"), notice("three")]);
    assert!(std::fs::read_to_string(&path).unwrap().contains("dreamt"));

    append_bytes(
        &path,
        b"{\"schema\":2,\"time\":1.5,\"event\":\"notice\",\"text\":\"four\"}\n",
    );
    let error = read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Schema { found: 2, .. }), "{error}");
}

/// A variant's name as it stands in files.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// The list by which unknown events are told must hold every event there is: an event that is not in it would be lost.
#[test]
fn every_event_is_known() {
    let source = include_str!("record.rs");
    let (_, declaration) = source.split_once("pub enum Record {").unwrap();
    let (declaration, _) = declaration.split_once("\n}").unwrap();
    let variants = declaration.lines().filter_map(|line| line.strip_prefix("    "));
    let names: Vec<String> = variants
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| snake_case(line.split([' ', '(']).next().unwrap()))
        .collect();
    assert_eq!(names.len(), EVENTS.len(), "{names:?}");
    assert!(
        names.iter().all(|name| EVENTS.contains(&name.as_str())),
        "{names:?}"
    );
}

#[test]
fn threads_append_whole_lines_and_the_observer_sees_each() {
    #[derive(Default)]
    struct Count(Mutex<usize>);
    impl Observer for Count {
        fn recorded(&self, _record: &Record) {
            *self.0.lock().unwrap() += 1;
        }
        fn generated(&self, _attempt: &str, _tokens: usize) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let count = Arc::new(Count::default());
    let journal = Journal::create(&path, count.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..20_usize {
                    let text = format!("{thread} {number} {}", "x".repeat(number * 997));
                    journal.append(&notice(&text)).unwrap();
                }
            });
        }
    });
    assert_eq!((records(&path).len(), *count.0.lock().unwrap()), (160, 160));
    for thread in 0..8 {
        let own = records(&path).into_iter().filter_map(|record| match record {
            Record::Notice { text, .. } if text.starts_with(&format!("{thread} ")) => Some(text),
            _ => None,
        });
        let numbers: Vec<usize> = own
            .map(|text| text.split(' ').nth(1).unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_huge_line_is_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = fresh(folder.path());
    let huge = notice(&"x\n".repeat(8 << 20));
    journal.append(&huge).unwrap();
    journal.append(&notice("next")).unwrap();
    assert_eq!(records(&path), [huge, notice("next")]);
}

/// `/dev/full` takes nothing, and a file whose size is limited takes a part of a line: the limit is the process's own, so a child
/// meets it.
#[test]
fn what_a_full_disk_left_of_a_line_is_taken_off() {
    const VARIABLE: &str = "CWM_TEST_JOURNAL_AT_ITS_LIMIT";
    if let Some(path) = std::env::var_os(VARIABLE) {
        let journal = Journal::resume(Path::new(&path), Arc::new(NoObserver)).unwrap();
        for _ in 0..2 {
            let failed = journal.append(&notice(&"x".repeat(4096))).unwrap_err();
            assert!(failed.to_string().contains("cannot be written"), "{failed}");
        }
        journal.append(&notice("small enough")).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = fresh(folder.path());
    journal.append(&notice("one")).unwrap();
    drop(journal);
    let test = "what_a_full_disk_left_of_a_line_is_taken_off";
    let child = std::process::Command::new("bash")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$1\" >&2",
            std::env::current_exe().unwrap().to_str().unwrap(),
            test,
        ])
        .env(VARIABLE, &path)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert_eq!(records(&path), [notice("one"), notice("small enough")]);
}

#[test]
fn a_journal_that_is_missing_or_a_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none"), folder.path().to_owned()] {
        assert!(matches!(read(&path), Err(JournalError::Io { .. })));
        assert!(Journal::resume(&path, Arc::new(NoObserver)).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), lines in 0..4_usize) {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = fresh(folder.path());
        for _ in 0..lines {
            journal.append(&notice("line")).unwrap();
        }
        append_bytes(&path, &bytes);
        if let Ok(read) = read(&path) {
            prop_assert!(read.len() >= lines);
        }
    }
}
