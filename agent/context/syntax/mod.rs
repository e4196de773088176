//! A file's text in, what it defines, what it imports and where its prose stands out, by the grammar of its language.
//!
//! A text that is broken is read as far as the grammar's parser recovers; one that would take too long is read not at all. What is too
//! long is counted in the parser's steps, so that the same text is always read the same; only what makes single steps slow, which no
//! person writes, is ended by the clock.

mod c;
mod canonical;
mod csharp;
mod go;
mod grammar;
mod java;
mod limits;
mod php;
mod python;
mod ruby;
mod rust;
mod script;
mod shell;
mod table;
mod visit;

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tree_sitter::{ParseOptions, ParseState, Parser};

use super::definitions::Definition;
pub(super) use canonical::canonical;
pub(super) use grammar::Grammar;

/// Longer texts are not read, nor what holds a NUL, which is no text.
const MOST_BYTES: usize = 1 << 20;
/// The parser asks after every hundred of its steps whether to go on: it may so often, and once more for so many bytes. Texts that
/// people write need a third of it: tables of numbers, the densest, a step for 18 bytes.
const FEWEST_STEPS: usize = 5_000;
const BYTES_A_STEP: usize = 10;
/// The clock is looked at once for so many steps: that takes a call of the system.
const STEPS_A_LOOK: usize = 16;
/// A text is given up after so much of a processor's time, however few its steps were.
const MOST_TIME: Duration = Duration::from_secs(2);

/// What a file's text says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// In order of their first lines.
    pub definitions: Vec<Definition>,
    /// In order of the text.
    pub imports: Vec<Import>,
    /// The bytes of comments and of string literals, in order and apart from one another: prose, not code. Code within a string, as in
    /// `f"{code}"`, is left out.
    pub prose: Vec<Range<usize>>,
}

/// Another module, or another file, that a text takes something from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Import {
    /// As it is written, without quotes and keyword: `a.b`, `..x`, `./price`, `crate::a::b`, `net/http`, `stdio.h`. Rust's `mod x;` is
    /// `self::x`.
    pub module: String,
    /// What is taken from it, by the names that it has there; `*` for all, `default` for a script's default export. Empty where the
    /// module itself is taken.
    pub names: Vec<String>,
    /// Whether it is looked for from the file's own place, by how it is written.
    pub is_relative: bool,
}

/// What a text holds. For many texts a [`Reader`] is cheaper.
#[cfg(test)]
fn outline(text: &str, grammar: Grammar) -> Outline {
    Reader::default().outline(text, grammar)
}

/// Reads one text after another, with what a parser has allotted. A thread has its own.
#[derive(Default)]
pub(super) struct Reader {
    parser: Parser,
    grammar: Option<Grammar>,
}

impl Reader {
    /// What a text holds; nothing when it is too long or too hard.
    #[cfg(test)]
    fn outline(&mut self, text: &str, grammar: Grammar) -> Outline {
        self.try_outline(text, grammar).unwrap_or_default()
    }

    /// What a text holds; none when it is too long or too hard.
    pub(super) fn try_outline(&mut self, text: &str, grammar: Grammar) -> Option<Outline> {
        let tree = self.parse(text, grammar)?;
        Some(visit::outline(text, &tree, grammar))
    }

    fn parse(&mut self, text: &str, grammar: Grammar) -> Option<tree_sitter::Tree> {
        if text.len() > MOST_BYTES || text.contains('\0') || limits::is_too_hard(text, grammar) {
            return None;
        }
        if self.grammar != Some(grammar) {
            self.grammar = None;
            self.parser.set_language(&grammar.language()).ok()?;
            self.grammar = Some(grammar);
        }
        let begin = own_time();
        let mut left = FEWEST_STEPS + text.len() / BYTES_A_STEP;
        let mut go_on = |_: &ParseState| {
            left = left.saturating_sub(1);
            let is_asked = left.is_multiple_of(STEPS_A_LOOK);
            if left == 0 || is_asked && own_time().saturating_sub(begin) > MOST_TIME {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let bytes = text.as_bytes();
        let tree = self.parser.parse_with_options(
            &mut |at, _| bytes.get(at..).unwrap_or_default(),
            None,
            Some(ParseOptions::new().progress_callback(&mut go_on)),
        );
        if tree.is_none() {
            // What it had begun would be gone on with.
            self.parser.reset();
        }
        tree
    }
}

/// How long this thread has had a processor: other than a clock, it does not run on while the machine does something else.
fn own_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
#[path = "syntax_tests.rs"]
mod tests;
