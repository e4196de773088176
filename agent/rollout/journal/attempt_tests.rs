//! That an attempt which is done again from any point of its journal comes to the same.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use cwm_runtime::engine::Usage;
use cwm_runtime::source::{ChatMessage, StopReason};
use cwm_tools::call::Tool;
use proptest::prelude::*;

use super::*;
use crate::rollout::journal::{Elided, NoObserver, read};
use crate::rollout::types::{Ending, Strategy};

/// One step of an attempt that a test makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Message,
    Notice,
    Elision,
    Generation,
    Tool,
    Tests,
}

/// What a step yields: the same each time, as a deterministic model's and its tools' results are.
fn generated(number: usize) -> Generated {
    Generated {
        text: format!("answer {number}\n"),
        prefix: String::new(),
        tokens: vec![number as u32],
        calls: Vec::new(),
        reason: StopReason::Stop,
        usage: Usage::default(),
        seed: number as u64,
        seconds: 0.5,
    }
}

fn used(number: usize) -> ToolUsed {
    ToolUsed {
        tool: Tool::Bash,
        content: format!("echo {number}"),
        result: format!("{number}\n"),
        done: true,
        submitted: None,
        closing: 0,
        long: None,
        seconds: 0.25,
    }
}

fn candidate(attempt: &str, ending: Ending) -> Candidate {
    Candidate {
        attempt: attempt.to_owned(),
        strategy: Strategy::Agentic,
        ending,
        patch: b"\xff".to_vec(),
        answer: "done".to_owned(),
        turns: 3,
        prompt_tokens: 1,
        completion_tokens: 2,
        seconds: 1.0,
    }
}

/// Does step `number` and returns what it yielded; `effects` counts what was really done.
fn take(
    log: &mut AttemptLog<'_>,
    name: &str,
    step: Step,
    number: usize,
    effects: &RefCell<Vec<usize>>,
) -> String {
    let attempt = name.to_owned();
    let done = || effects.borrow_mut().push(number);
    match step {
        Step::Message => {
            let message = ChatMessage::new("user", format!("message {number}"));
            let tokens = Some(number);
            log.note(Record::Message {
                attempt,
                message,
                tokens,
            })
            .unwrap();
            String::new()
        }
        Step::Notice => {
            let attempt = Some(attempt);
            let text = format!("notice {number}");
            log.note(Record::Notice { attempt, text }).unwrap();
            String::new()
        }
        Step::Elision => {
            let elided = Elided {
                messages: vec![number],
                results: Vec::new(),
                tokens_before: 2,
                tokens_after: 1,
            };
            log.note(Record::Elision { attempt, elided }).unwrap();
            String::new()
        }
        Step::Generation => {
            let generated = log.generation(|| {
                done();
                Ok::<_, JournalError>(generated(number))
            });
            generated.unwrap().text
        }
        Step::Tool => log.tool(|| Ok::<_, JournalError>(used(number))).unwrap().result,
        Step::Tests => {
            let runs = log.tests(|| {
                done();
                Ok::<_, JournalError>(Vec::new())
            });
            format!("{:?}", runs.unwrap())
        }
    }
}

/// Does two attempts side by side, step by step, to their ends; returns what they yielded and which effects there were.
fn attempts(journal: &Journal, steps: &[Step]) -> (Vec<String>, Vec<usize>) {
    let effects = RefCell::default();
    let mut yielded = Vec::new();
    let mut logs = [
        AttemptLog::new(journal, "attempt-1"),
        AttemptLog::new(journal, "attempt-2"),
    ];
    for (number, step) in steps.iter().enumerate() {
        for (log, name) in logs.iter_mut().zip(["attempt-1", "attempt-2"]) {
            if log.candidate().is_none() {
                yielded.push(take(log, name, *step, number, &effects));
                assert!(!log.diverged());
            }
        }
    }
    for (log, name) in logs.iter_mut().zip(["attempt-1", "attempt-2"]) {
        if log.candidate().is_none() {
            log.end(&candidate(name, Ending::Finished)).unwrap();
        }
    }
    (yielded, effects.into_inner())
}

/// An attempt's records in their order.
fn of_attempt(path: &Path, attempt: &str) -> Vec<Record> {
    let lines = read(path).unwrap().into_iter().map(|line| line.record);
    lines.filter(|record| record.attempt() == Some(attempt)).collect()
}

fn create(path: &Path) -> Journal {
    Journal::create(path, Arc::new(NoObserver)).unwrap()
}

fn resume(path: &Path) -> Journal {
    Journal::resume(path, Arc::new(NoObserver)).unwrap()
}

fn any_steps() -> impl Strategy_<Value = Vec<Step>> {
    prop::collection::vec(
        prop::sample::select(vec![
            Step::Message,
            Step::Notice,
            Step::Elision,
            Step::Generation,
            Step::Tool,
            Step::Tests,
        ]),
        0..12,
    )
}

use proptest::strategy::Strategy as Strategy_;

/// Cuts the journal at `cut`, does the attempts again, and compares with those that were not cut short.
fn check_cut(whole: &Path, cut_file: &Path, cut: usize, steps: &[Step]) {
    let bytes = std::fs::read(whole).unwrap();
    std::fs::write(cut_file, &bytes[..cut]).unwrap();
    let journal = resume(cut_file);
    let earlier = journal.earlier().to_vec();
    let (_, effects) = attempts(&journal, steps);
    for attempt in ["attempt-1", "attempt-2"] {
        assert_eq!(
            of_attempt(cut_file, attempt),
            of_attempt(whole, attempt),
            "{steps:?} cut at {cut}"
        );
    }
    // What was recorded was not asked for again.
    let asked = |record: &&Record| matches!(record, Record::Generation { .. } | Record::Tests { .. });
    let wanted = steps
        .iter()
        .filter(|step| matches!(step, Step::Generation | Step::Tests))
        .count();
    assert_eq!(effects.len() + earlier.iter().filter(asked).count(), 2 * wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cut_at_any_byte_an_attempt_goes_on_as_if_it_had_not_been(steps in any_steps(), at in 0.0..1.0_f64, again in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let (whole, cut_file) = (folder.path().join("whole"), folder.path().join("cut"));
        attempts(&create(&whole), &steps);
        let length = std::fs::metadata(&whole).unwrap().len() as f64;
        check_cut(&whole, &cut_file, (length * at) as usize, &steps);
        // And once more, from the journal of a run that had been resumed.
        let resumed = folder.path().join("resumed");
        std::fs::rename(&cut_file, &resumed).unwrap();
        let length = std::fs::metadata(&resumed).unwrap().len() as f64;
        check_cut(&resumed, &cut_file, (length * again) as usize, &steps);
    }
}

#[test]
fn every_byte_of_one_journal_is_a_place_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut_file) = (folder.path().join("whole"), folder.path().join("cut"));
    let steps = [
        Step::Message,
        Step::Generation,
        Step::Notice,
        Step::Tool,
        Step::Notice,
        Step::Notice,
        Step::Tests,
    ];
    attempts(&create(&whole), &steps);
    let length = std::fs::metadata(&whole).unwrap().len() as usize;
    for cut in (0..=length).step_by(7) {
        check_cut(&whole, &cut_file, cut, &steps);
    }
}

/// Steps that are not the same when done again make a branch; what was recorded of the old one is out of the way for good.
#[test]
fn an_attempt_that_goes_another_way_stays_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let name = "attempt-1";
    let effects = RefCell::default();
    let old = [
        Step::Message,
        Step::Generation,
        Step::Tool,
        Step::Generation,
        Step::Tool,
    ];
    let new = [
        Step::Message,
        Step::Generation,
        Step::Tests,
        Step::Generation,
        Step::Tests,
        Step::Generation,
    ];
    {
        let journal = create(&path);
        let mut log = AttemptLog::new(&journal, name);
        for (number, step) in old.into_iter().enumerate() {
            take(&mut log, name, step, number, &effects);
        }
    }
    for (round, until) in [(0, 4), (1, 6), (2, 6)] {
        effects.borrow_mut().clear();
        let journal = resume(&path);
        let mut log = AttemptLog::new(&journal, name);
        for (number, step) in new.into_iter().take(until).enumerate() {
            take(&mut log, name, step, number, &effects);
        }
        assert_eq!(log.diverged(), round == 0);
        let done: &[usize] = [&[2, 3][..], &[4, 5], &[]][round];
        assert_eq!(*effects.borrow(), done, "round {round}");
    }
    let branches = of_attempt(&path, name);
    let branches = branches
        .iter()
        .filter(|record| matches!(record, Record::Diverged { kept: 2, .. }));
    assert_eq!(branches.count(), 1);
}

#[test]
fn a_tool_that_says_something_else_is_noticed_and_what_it_said_before_counts() {
    let folder = tempfile::tempdir().unwrap();
    let said = |result: &str, done| ToolUsed {
        result: result.to_owned(),
        done,
        ..used(1)
    };
    let first = said("3 passed in 0.52 s\n", true);
    for (number, (again, diverged)) in [
        (said("3 passed in 12.7 s\n", true), false),
        (said("3 failed in 0.52 s\n", true), true),
        (said("3 passed in 0.52 s\n", false), true),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let act = |used: &ToolUsed| Ok::<_, JournalError>(used.clone());
        {
            let journal = create(&path);
            AttemptLog::new(&journal, "a").tool(|| act(&first)).unwrap();
        }
        let journal = resume(&path);
        let mut log = AttemptLog::new(&journal, "a");
        assert!(log.replaying());
        assert_eq!(log.tool(|| act(&again)).unwrap(), first);
        assert_eq!((log.diverged(), log.replaying()), (diverged, false), "{again:?}");
    }
}

#[test]
fn an_attempt_ends_once_and_an_interrupted_one_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    {
        let journal = create(&path);
        let mut log = AttemptLog::new(&journal, "a");
        log.end(&candidate("a", Ending::Interrupted)).unwrap();
        let mut other = AttemptLog::new(&journal, "b");
        other.end(&candidate("b", Ending::Turns)).unwrap();
    }
    let journal = resume(&path);
    assert_eq!(AttemptLog::new(&journal, "a").candidate(), None);
    assert_eq!(
        AttemptLog::new(&journal, "b").candidate(),
        Some(&candidate("b", Ending::Turns))
    );
}

#[test]
fn an_effect_that_fails_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = create(&path);
    let mut log = AttemptLog::new(&journal, "a");
    let failure = || JournalError::Io {
        path: "x".into(),
        doing: "read",
        source: std::io::ErrorKind::NotFound.into(),
    };
    assert!(log.generation(|| Err(failure())).is_err());
    assert!(log.tool(|| Err(failure())).is_err());
    assert!(log.tests(|| Err(failure())).is_err());
    assert_eq!(read(&path).unwrap(), []);
}
