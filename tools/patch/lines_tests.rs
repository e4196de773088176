//! Large and unlike texts: the comparison must end soon, and give the same hunks every time.

use super::super::testing::Random;
use super::hunks;
use crate::patch::{Body, Change, FilePatch, Hunk, Patch, apply::FileState, apply_to, manifest::FileMode};

/// What the hunks make of a text.
fn applied(old: &[u8], hunks: Vec<Hunk>) -> Vec<u8> {
    let path = Some(b"x".to_vec());
    let file = FilePatch {
        change: Change::Modified,
        old_path: path.clone(),
        new_path: path,
        old_mode: None,
        new_mode: None,
        old_id: None,
        new_id: None,
        body: Body::Text(hunks),
    };
    let read = |_: &[u8]| {
        Ok(Some(FileState {
            mode: FileMode::Regular,
            content: old.to_vec(),
        }))
    };
    let mut outcomes = apply_to(&Patch { files: vec![file] }, &read).expect("it applies");
    outcomes.remove(0).after.expect("a file").content
}

#[test]
fn large_unlike_texts_are_compared_in_bounded_time() {
    let mut random = Random::new(3);
    // Few different lines in random order are the worst case; many are the common one.
    for (lines, words) in [(40_000, 4), (40_000, 1_000), (40_000, usize::MAX), (300_000, 50)] {
        let mut text = || -> Vec<u8> {
            (0..lines)
                .flat_map(|_| format!("{}\n", random.below(words)).into_bytes())
                .collect()
        };
        let (old, new) = (text(), text());
        let started = std::time::Instant::now();
        let found = hunks(&old, &new);
        let took = started.elapsed();
        println!("{lines} lines of {words} kinds: {took:?}");
        assert!(
            took.as_secs() < 20,
            "{lines} lines of {words} kinds took {took:?}"
        );
        assert_eq!(hunks(&old, &new), found);
        assert!(applied(&old, found) == new, "{lines} lines of {words} kinds");
    }
}
