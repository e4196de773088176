//! Where the lines of a text begin, found once for all who cut it.

use std::ops::Range;

/// The lines of a text, each with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    /// The byte that each line begins with; behind the last one the text's length.
    starts: Vec<usize>,
    /// The numbers of lines that begin a segment: the first line, and each one that is not blank.
    segments: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        let mut lines = Lines {
            starts: vec![0],
            segments: Vec::new(),
        };
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            at += line.len();
            lines.starts.push(at);
            if number == 0 || !line.trim_start().is_empty() {
                lines.segments.push(number);
            }
        }
        lines
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Lines that begin a segment, in their order.
    pub(super) fn segments(&self) -> &[usize] {
        &self.segments
    }

    /// The lines of each segment: one with the blank lines behind it.
    pub(super) fn segment_ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let count = self.count();
        self.segments.iter().enumerate().map(move |(place, &first)| {
            let end = self.segments.get(place + 1).copied().unwrap_or(count);
            first..end
        })
    }

    /// How many bytes stand before a line.
    fn before(&self, line: usize) -> usize {
        let last = self.starts.last().copied().unwrap_or(0);
        self.starts.get(line).copied().unwrap_or(last)
    }

    /// The bytes of lines.
    pub(super) fn bytes(&self, lines: Range<usize>) -> usize {
        self.before(lines.end).saturating_sub(self.before(lines.start))
    }

    /// Lines of the text that these are of.
    pub(super) fn part<'t>(&self, text: &'t str, lines: Range<usize>) -> &'t str {
        text.get(self.before(lines.start)..self.before(lines.end))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_begin_with_lines_that_are_not_blank_and_make_up_the_text() {
        let text = "\n  \na\n\n \nb\n  c";
        let lines = Lines::of(text);
        let segments: Vec<(usize, &str)> = lines
            .segment_ranges()
            .map(|range| (range.start, lines.part(text, range)))
            .collect();
        assert_eq!(segments, [(0, "\n  \n"), (2, "a\n\n \n"), (5, "b\n"), (6, "  c")]);
        assert_eq!((lines.count(), lines.bytes(2..6)), (7, 7));
        let none = Lines::of("");
        assert_eq!(
            (none.count(), none.segments().len(), none.part("", 0..9)),
            (0, 0, "")
        );
    }
}
