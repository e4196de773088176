//! The page holds all that it is made of, whatever that is, and stays small. How a browser shows it is tested with one.

use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::ChatMessage;

use super::*;
use crate::rollout::journal::{ModelRecord, Verdict};
use crate::rollout::{Budget, Candidate as Ended, Ending, Strategy};
use crate::scaling::{Attempted, CandidateEvidence, Cells, Evidence, Place, TestColumn};

const EVIL: &str = "</script><script>alert(1)</script><!-- \u{2028} {{DATA}}";

fn run() -> RunRecord {
    RunRecord {
        cwm_version: "0.1.0".to_owned(),
        id: "run-1".to_owned(),
        repository: "/home/ada/shop".to_owned(),
        start: String::new(),
        base_commit: "c0ffee".to_owned(),
        uncommitted: 0,
        issue: EVIL.to_owned(),
        model: ModelRecord {
            argument: "m".to_owned(),
            name: "M".to_owned(),
            fingerprint: None,
            context: None,
        },
        strategy: Strategy::OneShot,
        mixed: false,
        samples: 16,
        seed: 0,
        sampling: SamplingParameters::default(),
        budget: Budget::default(),
        max_time: None,
        tests: Vec::new(),
        guidance: Vec::new(),
        arguments: Vec::new(),
        directory: String::new(),
    }
}

fn attempted(number: usize, patch: &str) -> Attempted {
    let attempt = format!("attempt-{number}");
    Attempted {
        candidate: Ended {
            attempt: attempt.clone(),
            strategy: Strategy::OneShot,
            ending: Ending::Finished,
            patch: patch.as_bytes().to_vec(),
            answer: String::new(),
            turns: 1,
            prompt_tokens: 0,
            completion_tokens: 10,
            seconds: 1.0,
        },
        verdict: Verdict {
            but_for_nothing_failing: true,
            remarks: vec![EVIL.to_owned()],
            ..Verdict::new(&attempt)
        },
    }
}

fn outcome(count: usize, patch: &str) -> Outcome {
    let place = |index: usize| Place {
        index,
        confidence: Some(0.9),
        same: 1,
        alike: 1,
        reasons: vec!["passes 1 of 1 test written for the issue".to_owned()],
    };
    let column = TestColumn {
        name: EVIL.to_owned(),
        source: TestSource::Written,
        asks: String::new(),
        given: false,
        votes: 2,
        cells: Cells(vec![Cell::Passed; count]),
    };
    Outcome {
        attempts: (1..=count).map(|number| attempted(number, patch)).collect(),
        decision: Decision {
            evidence: Evidence {
                candidates: vec![CandidateEvidence::default(); count],
                tests: vec![column],
                ..Evidence::default()
            },
            places: (0..count).map(place).collect(),
            tests: Vec::new(),
            settled: Default::default(),
        },
        min_evidence: 0.8,
        ..Outcome::default()
    }
}

fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

fn made(outcome: &Outcome, records: &[Record]) -> String {
    page(&Story {
        run: &run(),
        outcome,
        failing_before: &[],
        records,
    })
    .unwrap()
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let text = made(&outcome(2, EVIL), &[]);
    let plain = made(&outcome(2, "x"), &[]);
    assert_eq!(text.matches("<script").count(), plain.matches("<script").count());
    let data = data(&text);
    assert_eq!(data["issue"], EVIL);
    assert_eq!(data["candidates"][0]["patch"], EVIL);
    assert_eq!(data["tests"][0]["cells"], "++");
    assert!(
        data["outcome"]
            .as_str()
            .unwrap()
            .starts_with("Verified by tests written for the issue")
    );
}

#[test]
fn sixteen_large_candidates_stay_below_a_megabyte() {
    let long = "+ a line of a patch\n".repeat(20_000);
    let mut records = Vec::new();
    for attempt in 1..=16 {
        for turn in 0..100 {
            records.push(Record::Message {
                attempt: format!("attempt-{attempt}"),
                message: ChatMessage::new("user", format!("turn {turn} {}", "output ".repeat(3000))),
                tokens: None,
            });
        }
    }
    let text = made(&outcome(16, &long), &records);
    assert!(text.len() <= 1 << 20, "{}", text.len());
    assert_eq!(data(&text)["candidates"].as_array().unwrap().len(), 16);
    assert!(data(&text)["stories"]["attempt-1"].as_array().unwrap().len() > 10);
}

#[test]
fn thin_evidence_is_not_called_verified() {
    let mut thin = outcome(2, "x");
    thin.min_evidence = 0.95;
    let data = data(&made(&thin, &[]));
    assert_eq!(data["verified"], false);
    assert!(data["outcome"].as_str().unwrap().starts_with("Not verified"));
    assert!(!data["untested"].as_array().unwrap().is_empty());
}
