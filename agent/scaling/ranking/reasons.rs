//! Why a candidate stands where it does, in words.

use super::evidence::{Cell, Evidence, TestColumn, TestSource};

/// What is to be said of a candidate, `same` of which come to the same code.
pub(super) fn of(evidence: &Evidence, index: usize, same: usize) -> Vec<String> {
    let Some(candidate) = evidence.candidates.get(index) else {
        return Vec::new();
    };
    if let Some(why) = &candidate.refused {
        return vec![format!("could not be tried: {why}")];
    }
    let mut reasons = Vec::new();
    let count = |source: TestSource, cell: Cell| {
        let of_source = evidence.columns(source);
        of_source.filter(|test| test.cells.of(index) == cell).count()
    };
    let failing = evidence.columns(TestSource::Failing).count();
    if failing > 0 {
        let fixed = count(TestSource::Failing, Cell::Passed);
        reasons.push(format!(
            "passes {fixed} of {failing} {} that failed",
            tests(failing)
        ));
    }
    let broken: Vec<&TestColumn> = evidence
        .columns(TestSource::Passing)
        .filter(|test| test.cells.of(index) == Cell::Failed)
        .collect();
    if broken.is_empty() && evidence.passed_before > 0 && !candidate.partial {
        reasons.push("breaks no test that passed".to_owned());
    } else if !broken.is_empty() {
        let most = broken.iter().map(|test| fails(test)).max().unwrap_or(1);
        let others = if most > 1 {
            format!(", as {} do", of_all(most, evidence.candidates.len()))
        } else {
            String::new()
        };
        reasons.push(format!(
            "breaks {} {} that passed{others}",
            broken.len(),
            tests(broken.len())
        ));
    }
    let written = evidence.columns(TestSource::Written).count();
    if written > 0 {
        let passed = count(TestSource::Written, Cell::Passed);
        reasons.push(format!(
            "passes {passed} of {written} {} written for the issue",
            tests(written)
        ));
    }
    if same > 1 {
        reasons.push(format!(
            "{} come to the same code",
            of_all(same, evidence.candidates.len())
        ));
    }
    if candidate.preferred > 0 {
        reasons.push("the model prefers it to others that are as good".to_owned());
    }
    reasons.extend(candidate.signs.iter().map(|sign| sign.words().to_owned()));
    reasons
}

fn fails(test: &TestColumn) -> usize {
    test.cells.0.iter().filter(|cell| **cell == Cell::Failed).count()
}

fn tests(count: usize) -> &'static str {
    if count == 1 { "test" } else { "tests" }
}

fn of_all(some: usize, all: usize) -> String {
    format!("{some} of {all} patches")
}
