//! Asks the model which of two changes is right: its opinion, for where nothing that can be run tells them apart.

use cwm_runtime::source::ChatMessage;

use super::prompt::{self, Question, Window};
use super::say::answer;
use crate::rollout::journal::AttemptLog;
use crate::rollout::types::{AttemptOptions, RolloutError, Strategy, Workbench};

/// The most tokens of an answer that is a number, and of one with reasons before it.
const NUMBER: usize = 8;
const REASONS: usize = 4096;
/// Bytes that a token of a diff has at least, about.
const TOKEN_BYTES: usize = 2;

/// Which of two diffs the model takes for right, 0 or 1; none when its answer is no number, or when the user ends it. A model that works in turns
/// may give reasons first.
///
/// # Errors
///
/// When the model fails for good, or the journal cannot be written.
pub fn compare(
    bench: &Workbench<'_>,
    options: &AttemptOptions,
    strategy: Strategy,
    changes: &[String],
) -> Result<Option<usize>, RolloutError> {
    let mut log = AttemptLog::new(bench.journal, &options.name);
    let most = match strategy {
        Strategy::OneShot => NUMBER,
        Strategy::Agentic => REASONS,
    };
    let window = Window::of(bench, &options.budget)?;
    let bytes: usize = changes.iter().map(String::len).sum();
    let shown = prompt::material(window, &options.budget, most + bytes / TOKEN_BYTES)?;
    let part = |part: &str| {
        let files = &shown.files;
        bench.prompts.one_shot_compare(part, files, &shown.issue, changes)
    };
    let messages = vec![
        ChatMessage::new("system", part("system")?),
        ChatMessage::new("user", part("request")?),
    ];
    let prefix = match strategy {
        Strategy::OneShot => part("prefix")?,
        Strategy::Agentic => String::new(),
    };
    let question = Question::plain(messages, prefix, most);
    let generated = answer(bench, options, &mut log, &question)?;
    Ok(generated.and_then(|generated| number(&generated.text)))
}

/// The first number in an answer, behind what was thought before it, when it is 1 or 2.
fn number(answer: &str) -> Option<usize> {
    let answer = answer.rsplit("</think>").next().unwrap_or(answer);
    let mut words = answer.split(|sign: char| !sign.is_ascii_alphanumeric());
    let first = words.find(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()));
    match first {
        Some("1") => Some(0),
        Some("2") => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_or_none() {
        for (answer, choice) in [
            (" 1", Some(0)),
            (" 2.", Some(1)),
            ("Change 2 is right, change 1 is not", Some(1)),
            ("1 or 2?</think>\nChange 1", Some(0)),
            ("line 12 of it", None),
            ("neither", None),
            ("", None),
        ] {
            assert_eq!(number(answer), choice, "{answer}");
        }
    }
}
