//! Makes an order again from evidence that was stored, by any rule, without running anything.

use std::path::Path;

use serde::Serialize;

use crate::cli::{ExitCode, Failure, Printer, input};
use crate::scaling::{EVIDENCE_SCHEMA, Evidence, Place, Rule, Weights, order};

/// The most that is read.
const MOST_BYTES: u64 = 1 << 30;

#[derive(Serialize)]
struct Replayed<'a> {
    /// Names, best first.
    order: Vec<&'a str>,
    /// One a candidate, in the same order.
    confidence: Vec<Option<f64>>,
}

/// Reads the file and tells the order of each piece of evidence in it.
pub(super) fn replay(
    file: &Path,
    rule: Rule,
    weights: &Weights,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let name = input::name(file);
    let wrong = |why: String| {
        Failure::new(
            ExitCode::Usage,
            format!("The evidence {name} cannot be read: {why}."),
        )
    };
    let text = input::read(file, MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
    let pieces = serde_json::Deserializer::from_slice(&text).into_iter::<Evidence>();
    for (number, piece) in pieces.enumerate() {
        let evidence = piece.map_err(|error| wrong(error.to_string()))?;
        if evidence.schema > EVIDENCE_SCHEMA {
            return Err(wrong("a later version wrote it".to_owned()).into());
        }
        let places = order(&evidence, rule, weights);
        if printer.is_json() {
            let event = Replayed {
                order: places.iter().map(|place| named(&evidence, place)).collect(),
                confidence: places.iter().map(|place| place.confidence).collect(),
            };
            printer.event("rank.replay", &event)?;
            continue;
        }
        let mut lines = String::new();
        if number > 0 {
            lines.push('\n');
        }
        for (at, place) in places.iter().enumerate() {
            let sure = place
                .confidence
                .map_or(String::new(), |share| format!(" ({:.0} %)", share * 100.0));
            let why = place.reasons.join("; ");
            lines.push_str(&format!("{}. {}{sure}: {why}\n", at + 1, named(&evidence, place)));
        }
        printer.result(lines)?;
    }
    Ok(ExitCode::Success)
}

fn named<'a>(evidence: &'a Evidence, place: &Place) -> &'a str {
    evidence
        .candidates
        .get(place.index)
        .map_or("", |candidate| candidate.name.as_str())
}
