//! The parser and `apply_to` on hostile input: no panic, no endless work.

use proptest::prelude::*;

use super::super::apply::{FileState, apply_to};
use super::super::manifest::FileMode;
use super::{ParseError, parse};

const SEED: &str = concat!(
    "diff --git a/m.py b/m.py\nindex 1111111..2222222 100644\n--- a/m.py\n+++ b/m.py\n",
    "@@ -1,3 +1,3 @@ def f():\n one\n-two\n+2\n three\n\\ No newline at end of file\n",
    "diff --git \"a/t\\tb\" \"b/t\\tb\"\nold mode 100644\nnew mode 100755\n",
    "diff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n",
    "diff --git a/bin b/bin\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..",
    "f76dd238ade08917e6712764a16a22005a50573d\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n",
    "--- old.c\t2001-01-01 00:00:00\n+++ old.c\t2001-01-01 00:00:00\n@@ -0,0 +1 @@\n+int x;\n",
);

fn never_panics(text: &[u8]) {
    let Ok(patch) = parse(text) else { return };
    let file = FileState {
        mode: FileMode::Regular,
        content: b"one\ntwo\nthree".to_vec(),
    };
    let read = |path: &[u8]| Ok(path.len().is_multiple_of(2).then(|| file.clone()));
    let _either = apply_to(&patch, &read);
    // What was read once can be written and read again.
    let _either = parse(&patch.to_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CWM_SOAK").is_some() { 200_000 } else { 2_000 }))]

    #[test]
    fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        never_panics(&text);
    }

    #[test]
    fn mutated_diffs_never_panic(edits in proptest::collection::vec((any::<usize>(), 0..4u8, any::<u8>()), 1..12)) {
        let mut text = SEED.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            let at = at % text.len();
            match kind {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                2 => text.insert(at, b"@-+ \n\\/\"0,9"[usize::from(byte) % 11]),
                _ => {
                    // Moves a stretch, so that parts of diffs meet in orders nobody meant.
                    let end = text.len().min(at + usize::from(byte));
                    let stretch: Vec<u8> = text.drain(at..end).collect();
                    let to = (at * 7) % (text.len() + 1);
                    text.splice(to..to, stretch);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        never_panics(&text);
    }
}

#[test]
fn the_seed_of_the_mutations_is_a_patch() {
    assert_eq!(parse(SEED.as_bytes()).map(|patch| patch.files.len()), Ok(5));
}

#[test]
fn a_large_hostile_text_takes_linear_time() {
    let started = std::time::Instant::now();
    let hunks = "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n-b\n\n \n".repeat(40_000);
    parse(hunks.as_bytes()).expect("recounted hunks");
    let spaces = format!("diff --git a/{0} b/{0}\n", " ".repeat(1_000_000));
    assert_eq!(parse(spaces.as_bytes()), Err(ParseError::NoDiff));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
