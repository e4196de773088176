//! Tools' results: cut to their share of the window, taken out of it, and kept whole, in the sandbox for the model and in the run's
//! folder for people.

use std::path::Path;

use cwm_tools::truncate;

use super::halt::Halt;
use super::opening;
use super::turns::Attempt;
use crate::prompts::KeptAt;
use crate::rollout::conversation::Output;
use crate::rollout::journal::{ElidedResult, KeptFile, ToolUsed};

/// The most bytes of an output that are put back into the sandbox.
const MOST_PUT_BACK: u64 = 8 << 20;

impl Attempt<'_> {
    /// A result as the model is shown it: whole, or cut to its share of the window. With `again` its call was recorded before.
    pub(super) fn fit(&mut self, used: &ToolUsed, again: bool) -> Result<Output, Halt> {
        let long = used.long.as_ref();
        let mut output = Output {
            message: 0,
            tool: used.tool,
            turn: self.turns,
            shown: used.result.clone(),
            whole: None,
            inside: long.and_then(|long| long.inside.clone()),
            outside: long.and_then(|long| long.outside.clone()),
            long: used.long.clone(),
            elided: false,
        };
        let most = opening::result_tokens(self.window, self.options);
        if self.counter.text(&used.result) > most {
            self.keep(&mut output, again);
            output.shown = self.cut(used, most, output.inside.as_ref())?;
            output.whole = Some(used.result.clone());
        }
        Ok(output)
    }

    /// A result with a line in place of what does not fit.
    fn cut(&self, used: &ToolUsed, most: usize, inside: Option<&KeptFile>) -> Result<String, Halt> {
        let prompts = self.bench.prompts;
        let end = used.result.len().saturating_sub(used.closing);
        let (body, closing) = used.result.split_at_checked(end).unwrap_or((&used.result, ""));
        let count = |text: &str| self.counter.text(text);
        // The line and what stays behind it take their part.
        let (bytes, lines) = match &used.long {
            Some(long) => (long.bytes, long.lines),
            None => (body.len() as u64, newlines(body)),
        };
        let line = prompts.truncated(bytes, lines, inside.map(kept_at))?;
        let room = most.saturating_sub(count(&line) + count(closing));
        let cut = if opening::cuts_right(self.format) {
            truncate::right(body, room, count)
        } else {
            truncate::by(body, room, count)
        };
        if cut.omitted_bytes == 0 {
            return Ok(used.result.clone());
        }
        let mut omitted = (cut.omitted_bytes as u64, cut.omitted_lines as u64);
        let middle = cut.head.len()..body.len() - cut.tail.len();
        if let Some(long) = used.long.as_ref().filter(|long| middle.contains(&long.gap)) {
            // What the session did not pass on is missing here as well.
            let shown = (cut.head.len() + cut.tail.len()) as u64;
            omitted = (
                long.bytes.saturating_sub(shown),
                long.lines.saturating_sub(newlines(cut.head) + newlines(cut.tail)),
            );
        }
        let line = prompts.truncated(omitted.0, omitted.1, inside.map(kept_at))?;
        let line_end = if cut.head.is_empty() || cut.head.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        Ok(format!("{}{line_end}{line}\n{}{closing}", cut.head, cut.tail))
    }

    /// Takes the results in these messages out, and tells where each is kept. What was recorded of that before counts.
    pub(super) fn elide(
        &mut self,
        messages: &[usize],
        recorded: Option<&[ElidedResult]>,
    ) -> Result<Vec<ElidedResult>, Halt> {
        let mut results = Vec::new();
        for &message in messages {
            let found = self
                .conversation
                .outputs()
                .iter()
                .find(|output| output.message == message);
            let Some(mut output) = found.filter(|output| !output.elided).cloned() else {
                continue;
            };
            self.keep(&mut output, recorded.is_some());
            let before = recorded.and_then(|results| results.iter().find(|result| result.message == message));
            let result = before.cloned().unwrap_or(ElidedResult {
                message,
                inside: output.inside.clone(),
                outside: output.outside.clone(),
            });
            let (bytes, lines) = match &output.long {
                Some(long) => (long.bytes, long.lines),
                None => (output.whole().len() as u64, output.whole().lines().count() as u64),
            };
            let kept = result.inside.as_ref().map(kept_at);
            let line = self.bench.prompts.elided(output.tool, lines, bytes, kept)?;
            self.conversation.elide(message, &line);
            results.push(result);
        }
        Ok(results)
    }

    /// Keeps the whole of a result, as far as it is not kept already. A file in the sandbox that is gone, by the model's hand or with a
    /// sandbox that was lost, is made anew: the model is only told of files that it can read.
    fn keep(&mut self, output: &mut Output, again: bool) {
        if output.long.is_none() && output.outside.is_none() {
            output.outside = self.workplace.keep_outside(output.turn, output.whole(), again);
        }
        let whole = output
            .long
            .as_ref()
            .map_or(output.whole().len() as u64, |long| long.bytes);
        if let Some(inside) = &output.inside
            && self
                .workplace
                .holds(&inside.path, inside.first_bytes.unwrap_or(whole))
        {
            return;
        }
        let (text, first_bytes) = match (&output.long, &output.outside) {
            (None, _) => (Some(output.whole().to_owned()), None),
            (Some(_), Some(outside)) => (
                self.workplace.kept_outside(outside, MOST_PUT_BACK),
                outside.first_bytes,
            ),
            (Some(_), None) => (None, None),
        };
        let path = format!("/tmp/{}-output-{}.txt", self.options.name, output.turn);
        output.inside = text
            .filter(|text| self.workplace.keep_text(&path, text))
            .map(|_| KeptFile { path, first_bytes });
    }
}

fn kept_at(kept: &KeptFile) -> KeptAt<'_> {
    KeptAt {
        path: Path::new(&kept.path),
        first_bytes: kept.first_bytes,
    }
}

fn newlines(text: &str) -> u64 {
    text.matches('\n').count() as u64
}
