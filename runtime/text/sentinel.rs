//! Keeping what users write apart from what a template writes: names of special tokens in contents are broken by a character that
//! occurs nowhere else, and mended once the template's own have been found.

use super::TextError;
use super::cwm::is_python_space;
use super::vocabulary::Names;

/// A private-use character that stands between the characters of broken names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentinel(char);

impl Sentinel {
    /// A sentinel that occurs in none of the texts, and another such character.
    pub(super) fn absent_from<'t>(
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<(Sentinel, char), TextError> {
        let candidates = '\u{E000}'..='\u{F8FF}';
        let first = u32::from(*candidates.start());
        let mut seen = vec![false; candidates.clone().count()];
        for character in texts
            .flat_map(str::chars)
            .filter(|character| candidates.contains(character))
        {
            let place = usize::try_from(u32::from(character) - first).ok();
            if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
                *seen = true;
            }
        }
        let mut free = candidates
            .zip(seen)
            .filter_map(|(character, seen)| (!seen).then_some(character));
        free.next()
            .zip(free.next())
            .map(|(first, second)| (Sentinel(first), second))
            .ok_or_else(|| {
                TextError::Encode("the messages contain every private-use character of Unicode".to_owned())
            })
    }

    /// The text with a sentinel inside each name in it. A beginning or end of the text that could become a name together with what
    /// stands beside it is broken as well; white space at the ends stays at the ends, as templates strip it.
    pub(super) fn break_names(self, names: &Names, text: &str) -> String {
        let mut places = names.places_inside(text);
        let stripped_start = text.len() - text.trim_start_matches(is_python_space).len();
        let stripped_end = text.trim_end_matches(is_python_space).len();
        for end in [stripped_end, text.len()] {
            places.extend(names.begun_at_end(text.get(..end).unwrap_or("")));
        }
        for start in [stripped_start, 0] {
            let place = names.ended_at_start(text.get(start..).unwrap_or(""));
            places.extend(place.map(|place| place + start));
        }
        places.sort_unstable();
        places.dedup();
        let mut out = String::with_capacity(text.len() + places.len() * self.0.len_utf8());
        let mut done = 0;
        for place in places {
            out.push_str(text.get(done..place).unwrap_or(""));
            out.push(self.0);
            done = place;
        }
        out.push_str(text.get(done..).unwrap_or(""));
        out
    }

    /// The text without sentinels.
    pub(super) fn remove(self, text: &str) -> String {
        text.replace(self.0, "")
    }
}

impl Names {
    /// Behind the first character of each name in the text, overlapping ones too.
    fn places_inside(&self, text: &str) -> Vec<usize> {
        let starts = text
            .char_indices()
            .filter(|&(at, _)| self.starts(text.get(at..).unwrap_or("")));
        starts.map(|(at, character)| at + character.len_utf8()).collect()
    }

    /// Behind the first character of the longest end of the text with which a name begins.
    fn begun_at_end(&self, text: &str) -> Option<usize> {
        let longest = self.iter().map(str::len).max().unwrap_or(0);
        let from = text.len().saturating_sub(longest);
        let mut ends = text.char_indices().filter(|&(at, _)| at >= from);
        let begun = |at: usize| {
            let end = text.get(at..).unwrap_or("");
            self.iter()
                .any(|name| name.len() > end.len() && name.starts_with(end))
        };
        ends.find(|&(at, _)| begun(at))
            .map(|(at, character)| at + character.len_utf8())
    }

    /// Before the last character of the longest beginning of the text with which a name ends.
    fn ended_at_start(&self, text: &str) -> Option<usize> {
        let longest = self.iter().map(str::len).max().unwrap_or(0);
        let starts = text.char_indices().take_while(|&(at, _)| at < longest);
        let ended = |(at, character): &(usize, char)| {
            let start = text.get(..at + character.len_utf8()).unwrap_or("");
            self.iter()
                .any(|name| name.len() > start.len() && name.ends_with(start))
        };
        starts.filter(ended).last().map(|(at, _)| at)
    }
}
