//! Keeps the conversation within the window: when it is nearly full, old tool results are taken out in one batch.

use cwm_runtime::source::ChatMessage;

use super::halt::Halt;
use super::turns::Attempt;
use crate::rollout::conversation::Output;
use crate::rollout::journal::{Elided, Record};
use crate::rollout::types::Ending;

/// Above this part of the window, in percent, results are taken out ...
const FULL: usize = 95;
/// ... until it is down to this one: seldom and much, because everything behind the first change is computed again.
const EMPTIED: usize = 60;
/// An answer has at least so many tokens of room, or one part in so many of a small window.
const ANSWER_TOKENS: usize = 1024;
const ANSWER_SHARE: usize = 8;
/// A result of fewer tokens is not worth a line in its place.
const WORTH: usize = 48;

/// The most tokens that a request may have in this window.
pub(super) fn full(window: usize) -> usize {
    let answer = ANSWER_TOKENS.min(window / ANSWER_SHARE);
    percent(window, FULL).min(window.saturating_sub(answer))
}

fn percent(of: usize, percent: usize) -> usize {
    (of as u128 * percent as u128 / 100) as usize
}

impl Attempt<'_> {
    /// The tokens of the next request, after room was made for its answer if it lacked.
    ///
    /// # Errors
    ///
    /// When there is no room even then, that the attempt ended.
    pub(super) fn make_room(&mut self) -> Result<usize, Halt> {
        let before = self.count();
        if before <= full(self.window) {
            return Ok(before);
        }
        let mut expected = before;
        let mut chosen = Vec::new();
        for output in self.conversation.elidable() {
            if expected <= percent(self.window, EMPTIED) {
                break;
            }
            let tokens = self.counter.text(&output.shown);
            if tokens > WORTH {
                expected = expected.saturating_sub(tokens - WORTH);
                chosen.push(output.message);
            }
        }
        let results = self.elide(&chosen, None)?;
        let after = self.count();
        if !chosen.is_empty() {
            self.log.note(Record::Elision {
                attempt: self.options.name.clone(),
                elided: Elided {
                    messages: chosen,
                    results,
                    tokens_before: before,
                    tokens_after: after,
                },
            })?;
        }
        if after > full(self.window) {
            return Err(Halt::Ended(Ending::Tokens));
        }
        Ok(after)
    }

    /// Whether little is left even if every old result is taken out.
    pub(super) fn tokens_are_scarce(&self, now: usize) -> bool {
        let full = full(self.window);
        // No need to count what can go while enough is left as it is.
        if now <= percent(full, 85) {
            return false;
        }
        let worth = |output: &Output| self.counter.text(&output.shown).saturating_sub(WORTH);
        let can_go: usize = self
            .conversation
            .outputs()
            .iter()
            .filter(|output| !output.elided)
            .map(worth)
            .sum();
        now.saturating_sub(can_go) > percent(full, 85)
    }

    /// The tokens of the next request.
    pub(super) fn count(&self) -> usize {
        self.counter
            .conversation(self.conversation.messages(), self.prefix)
    }

    /// The tokens of the next request if this message came before it.
    pub(super) fn count_with(&self, message: &ChatMessage) -> usize {
        let mut messages = self.conversation.messages().to_vec();
        messages.push(message.clone());
        self.counter.conversation(&messages, self.prefix)
    }
}
