//! Tests of what is kept of a repository between runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::index::Index;
use super::pack_tests::{pack, ranking, repository, shown, write};
use super::rank::rank;
use super::*;

/// The only kept file of that ending.
fn kept(caches: &Path, ending: &str) -> PathBuf {
    let files = fs::read_dir(caches.join("index")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().unwrap() == ending).unwrap()
}

#[test]
fn only_what_changed_is_read_again_and_a_damaged_index_is_made_anew() {
    let folder = repository(20);
    let caches = tempfile::tempdir().unwrap();
    let read = || {
        ranking(folder.path(), "compute_3_1", Some(caches.path()))
            .work
            .read
    };
    assert_eq!(read(), 20);
    // A file that was changed just before it was read is read once more.
    std::thread::sleep(Duration::from_millis(60));
    read();
    assert_eq!(read(), 0);
    write(
        folder.path(),
        "package/module_4.py",
        b"def compute_3_1():\n    return 4\n",
    );
    assert_eq!(read(), 1);
    let kept = kept(caches.path(), "index");
    let mut bytes = fs::read(&kept).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&kept, &bytes).unwrap();
    assert_eq!(read(), 20);
    fs::write(&kept, b"something else").unwrap();
    assert_eq!(read(), 20);
}

#[test]
fn a_copy_has_an_index_of_its_own_and_knows_what_is_known_of_the_repository() {
    let repository = repository(10);
    let copy = super::pack_tests::repository(10);
    let caches = tempfile::tempdir().unwrap();
    let work = |tree: &Path| {
        let request = RankRequest {
            tree,
            root: repository.path(),
            issue: "compute_3_1",
            failures: &[],
            caches: Some(caches.path()),
        };
        Ranking::of(&request).unwrap().work
    };
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(work(repository.path()).read, 10);
    let first = work(copy.path());
    assert!(first.read == 0 && !first.unchanged, "{first:?}");
    assert!(work(copy.path()).unchanged && work(repository.path()).unchanged);
}

#[test]
fn of_a_file_that_changes_before_its_text_is_taken_no_lines_are_shown() {
    let folder = repository(3);
    let (index, _) = Index::open(folder.path(), folder.path(), None).unwrap();
    write(
        folder.path(),
        "package/module_1.py",
        b"# other lines\ndef compute_1_1(): pass\n",
    );
    let order = rank(&index, folder.path(), "", "`compute_1_1`", &[]);
    let first = &order.files[0];
    assert_eq!(first.path, "package/module_1.py", "it is known for what it was");
    assert!(first.content.is_none());
    assert!(order.files[1].content.is_some());
}

/// A file's bytes with the check sum that they should have.
fn with_check_sum(head: usize, mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes[head + 4..]).to_le_bytes();
    bytes[head..head + 4].copy_from_slice(&sum);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_stands_in_kept_files_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        ending in prop::sample::select(vec!["index", "tokens"]),
        with_sum in any::<bool>(),
    ) {
        let folder = repository(6);
        let caches = tempfile::tempdir().unwrap();
        let issue = "`compute_3_1` is wrong";
        std::thread::sleep(Duration::from_millis(60));
        let fresh = pack(&ranking(folder.path(), issue, Some(caches.path())), 900, issue);
        let path = kept(caches.path(), ending);
        let mut bytes = fs::read(&path).unwrap();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for (place, byte) in &changes {
            let place = head + 4 + place.index(bytes.len() - head - 4);
            bytes[place] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(head + 4 + cut.index(bytes.len() - head - 4));
        }
        let is_same = !with_sum && fs::read(&path).unwrap() == bytes;
        fs::write(&path, if with_sum { with_check_sum(head, bytes) } else { bytes }).unwrap();
        let second = ranking(folder.path(), issue, Some(caches.path()));
        let again = pack(&second, 900, issue);
        if !with_sum && !is_same {
            // What the check sum tells is made anew as a whole.
            prop_assert_eq!(&again, &fresh);
            prop_assert_eq!(second.work.read, if ending == "index" { 6 } else { 0 });
        }
        // With a right sum it may say anything; what is shown are lines of the files all the same, within the budget.
        prop_assert!(again.tokens <= 900);
        if !again.text.contains("\n# Files\n") && !again.text.starts_with("# Files\n") {
            return Ok(());
        }
        for (path, text) in shown(&again) {
            let own = fs::read_to_string(folder.path().join(&path)).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('[')) {
                prop_assert!(own.lines().any(|own| own == line), "{path}: {line}");
            }
        }
    }
}
