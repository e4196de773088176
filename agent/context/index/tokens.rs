//! How many tokens the lines of files have, counted once for each vocabulary.
//!
//! Texts are counted in segments: a line with the blank lines behind it. Vocabularies of byte pairs split a text before any line that
//! is not blank, so that there the segments' counts add up to the whole's; whoever needs the whole exactly counts it in the end.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::context::lines::Lines;

/// Other texts than files' whose counts are kept.
const MOST_TEXTS: usize = 50_000;
/// Vocabularies whose counts are kept.
const MOST_VOCABULARIES: usize = 2;

/// A content's hash, by which it is known again. Not made for contents that someone forges: then the counts are wrong, no more.
pub(crate) fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}

/// Counts of one vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counts {
    /// By a file's content: each segment's tokens.
    files: HashMap<u64, Vec<u32>>,
    /// By a text's content.
    texts: HashMap<u64, u32>,
}

/// All counts that are kept, by the vocabulary's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenStore {
    vocabularies: BTreeMap<String, Counts>,
}

/// Counts tokens with the help of what was counted before.
pub(crate) struct TokenCounts<'a> {
    count: &'a dyn Fn(&str) -> usize,
    known: Counts,
    vocabulary: Option<String>,
    /// Whether something was counted that had not been before.
    pub(crate) changed: bool,
}

impl TokenStore {
    /// Takes out the counts of a vocabulary of that name, which is empty for one that nothing is kept of; [`Self::keep`] puts them back.
    pub(crate) fn counts<'a>(
        &mut self,
        vocabulary: Option<&str>,
        count: &'a dyn Fn(&str) -> usize,
    ) -> TokenCounts<'a> {
        let known = vocabulary.and_then(|name| self.vocabularies.remove(name));
        TokenCounts {
            count,
            known: known.unwrap_or_default(),
            vocabulary: vocabulary.map(str::to_owned),
            changed: false,
        }
    }

    /// Keeps what was counted, as far as files still have these contents.
    pub(crate) fn keep(&mut self, counts: TokenCounts<'_>, is_known: impl Fn(u64) -> bool) {
        let Some(name) = counts.vocabulary else {
            return;
        };
        let mut known = counts.known;
        known.files.retain(|content, _| is_known(*content));
        if known.texts.len() > MOST_TEXTS {
            known.texts.clear();
        }
        while self.vocabularies.len() >= MOST_VOCABULARIES && !self.vocabularies.contains_key(&name) {
            self.vocabularies.pop_first();
        }
        self.vocabularies.insert(name, known);
    }
}

impl TokenCounts<'_> {
    /// The tokens of each segment of a file's text.
    pub(crate) fn file(&mut self, content: u64, text: &str, lines: &Lines) -> Vec<u32> {
        let segments = lines.segment_ranges();
        if let Some(known) = self.known.files.get(&content)
            && known.len() == segments.len()
        {
            return known.clone();
        }
        let counted: Vec<u32> = segments
            .map(|range| {
                let segment = lines.part(text, range);
                // A last line without an end gets one when it is shown.
                if segment.ends_with('\n') {
                    self.counted(segment)
                } else {
                    self.counted(&format!("{segment}\n"))
                }
            })
            .collect();
        self.known.files.insert(content, counted.clone());
        self.changed = true;
        counted
    }

    /// The tokens of a text.
    pub(crate) fn text(&mut self, text: &str) -> usize {
        let content = hash(text.as_bytes());
        if let Some(known) = self.known.texts.get(&content) {
            return *known as usize;
        }
        let counted = self.counted(text);
        self.known.texts.insert(content, counted);
        self.changed = true;
        counted as usize
    }

    fn counted(&self, text: &str) -> u32 {
        u32::try_from((self.count)(text)).unwrap_or(u32::MAX >> 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_not_counted_again() {
        let calls = std::cell::Cell::new(0);
        let count = |text: &str| {
            calls.set(calls.get() + 1);
            text.len()
        };
        let file = |counts: &mut TokenCounts<'_>| counts.file(1, "ab\n\nc", &Lines::of("ab\n\nc"));
        let mut store = TokenStore::default();
        let mut counts = store.counts(Some("a"), &count);
        assert_eq!(file(&mut counts), [4, 2]);
        assert_eq!(file(&mut counts), [4, 2]);
        assert_eq!((counts.text("xyz"), counts.text("xyz")), (3, 3));
        assert_eq!(calls.get(), 3);
        store.keep(counts, |content| content == 1);
        let mut counts = store.counts(Some("a"), &count);
        assert_eq!(file(&mut counts), [4, 2]);
        assert_eq!(calls.get(), 3);
        let mut other = store.counts(Some("b"), &count);
        assert_eq!(other.text("xyz"), 3);
        assert_eq!(calls.get(), 4);
    }
}
