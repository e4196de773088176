//! An attempt that was cut short goes on where it was.

use std::sync::Arc;

use cwm::rollout::Ending;
use cwm::rollout::journal::{Journal, NoObserver};

use super::harness::{Scene, script};

#[test]
fn from_every_record_the_same_candidate_follows() {
    let scene = Scene::new(
        "printf 'one\\ntwo\\n' > a.txt; printf 'grep -q three a.txt' > test.sh",
        "a.txt lacks a three.",
        &["sh test.sh"],
    );
    let answers = [
        "nothing",
        "a.txt\n<<<<<<< SEARCH\ntwo\n=======\nfour\n>>>>>>> REPLACE",
        "a.txt\n<<<<<<< SEARCH\ntwo\n=======\ntwo\nthree\n>>>>>>> REPLACE",
    ];
    from_every_record_the_same(&scene, &answers);
}

/// An attempt with these answers, which finishes, and the same one cut short after each of its records.
pub(super) fn from_every_record_the_same(scene: &Scene, answers: &[&str]) {
    let (whole, _) = scene.attempt(answers);
    assert_eq!(whole.ending, Ending::Finished);
    let path = scene.journal_path();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 12, "{text}");
    for kept in 0..=lines.len() {
        let mut part: String = lines[..kept].iter().map(|line| format!("{line}\n")).collect();
        part.push_str("{\"schema\":1,\"ev");
        std::fs::write(&path, &part).unwrap();
        let said = lines[..kept]
            .iter()
            .filter(|line| line.contains("\"event\":\"generation\""))
            .count();
        let model = script(&answers[said..]);
        let journal = Journal::resume(&path, Arc::new(NoObserver)).unwrap();
        let candidate = scene.attempt_with(&model, &journal).unwrap();
        assert_eq!(candidate.patch, whole.patch, "after {kept} records");
        assert_eq!(candidate.ending, whole.ending);
        assert_eq!(model.remaining(), 0, "after {kept} records");
        let again = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            again.lines().count(),
            lines.len(),
            "nothing is recorded twice, after {kept} records"
        );
    }
}
