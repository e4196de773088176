//! What each attempt did, step by step, cut so that all of it together stays small.

use std::collections::BTreeMap;

use cwm_tools::truncate::without_middle;
use serde::Serialize;

use crate::cli::view::words::outcome;
use crate::rollout::journal::{Record, steps_of};

/// A step is not cut below so many bytes.
const FEWEST_BYTES: usize = 400;

/// A step of an attempt.
#[derive(Serialize)]
pub(super) struct Step {
    title: String,
    text: String,
    /// Whether it is shown at once: what the model says.
    open: bool,
}

/// The steps of each attempt, and of each sample of tests, in at most about so many bytes together.
pub(super) fn stories(records: &[Record], bytes: usize) -> BTreeMap<&str, Vec<Step>> {
    let mut stories: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    for name in records.iter().filter_map(Record::attempt) {
        if !stories.contains_key(name) {
            stories.insert(
                name,
                steps_of(records, name).into_iter().filter_map(step).collect(),
            );
        }
    }
    let steps: usize = stories.values().map(Vec::len).sum();
    let mut each = bytes / steps.max(1);
    // Many steps are short: what they leave is for the long ones.
    let used: usize = stories
        .values()
        .flatten()
        .map(|step| step.text.len().min(each))
        .sum();
    let long = stories
        .values()
        .flatten()
        .filter(|step| step.text.len() > each)
        .count();
    each += bytes.saturating_sub(used) / long.max(1);
    for step in stories.values_mut().flatten() {
        step.text = without_middle(std::mem::take(&mut step.text), each.max(FEWEST_BYTES));
    }
    let mut left = bytes;
    for steps in stories.values_mut() {
        steps.retain(|step| {
            left = left.saturating_sub(step.text.len());
            left > 0
        });
    }
    stories
}

fn step(record: &Record) -> Option<Step> {
    let (title, text, open) = match record {
        Record::Message { message, .. } if message.role != "assistant" => {
            (format!("{} says", message.role), message.content.clone(), false)
        }
        Record::Generation { generated, .. } => {
            let tokens = generated.usage.completion_tokens;
            let text = format!("{}{}", generated.prefix, generated.text);
            (format!("the model answers, {tokens} tokens"), text, true)
        }
        Record::Tool { used, .. } => {
            let failed = if used.done { "" } else { ", in vain" };
            (
                format!("{}{failed}", used.tool.name()),
                format!("{}\n\n{}", used.content, used.result),
                false,
            )
        }
        Record::Tests { runs, .. } => {
            let lines = runs
                .iter()
                .map(|run| format!("{}: {}\n", run.command.command, outcome(run)));
            ("tests".to_owned(), lines.collect(), false)
        }
        Record::Notice { text, .. } => ("notice".to_owned(), text.clone(), true),
        _ => return None,
    };
    Some(Step { title, text, open })
}
