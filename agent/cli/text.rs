//! Text on a terminal: what may reach it, how wide it is there, and how it is cut and wrapped to a width.
//!
//! Commands, model text and files come from strangers. [`plain`] leaves nothing in them that moves a cursor, changes a colour
//! or turns the direction of writing.

/// A text in one line without anything that a terminal would act on: line ends and tabs become spaces, other control and
/// direction characters become U+FFFD.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' => ' ',
            _ if acts(character) => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// Whether a terminal, or the order of writing, would do something at this character.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a character takes.
pub(crate) fn character_width(character: char) -> usize {
    let code = u32::from(character);
    let within = |ranges: &[(u32, u32)]| {
        let after = ranges.partition_point(|&(first, _)| first <= code);
        after > 0 && ranges.get(after - 1).is_some_and(|&(_, last)| code <= last)
    };
    match code {
        0x20..=0x7e => 1,
        _ if character.is_control() || within(NARROWEST) => 0,
        _ if within(WIDE) => 2,
        _ => 1,
    }
}

/// Characters that stand on the one before them: the common combining marks, joiners and variation selectors.
const NARROWEST: &[(u32, u32)] = &[
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x0900, 0x0902),
    (0x093c, 0x093c),
    (0x0941, 0x0948),
    (0x094d, 0x094d),
    (0x0e31, 0x0e31),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x2064),
    (0x20d0, 0x20ff),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xfeff, 0xfeff),
    (0xe0100, 0xe01ef),
];

/// Characters that take two columns: East Asian wide and full-width ones, and pictures.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x23e9, 0x23ec),
    (0x2614, 0x2615),
    (0x26a1, 0x26a1),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x2753, 0x2755),
    (0x2795, 0x2797),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2e80, 0x303e),
    (0x3041, 0x33ff),
    (0x3400, 0x4dbf),
    (0x4e00, 0x9fff),
    (0xa000, 0xa4cf),
    (0xa960, 0xa97c),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x16fe0, 0x18cff),
    (0x1b000, 0x1b2ff),
    (0x1f004, 0x1f004),
    (0x1f0cf, 0x1f0cf),
    (0x1f18e, 0x1f18e),
    (0x1f191, 0x1f19a),
    (0x1f1e6, 0x1f202),
    (0x1f210, 0x1f23b),
    (0x1f240, 0x1f265),
    (0x1f300, 0x1f64f),
    (0x1f680, 0x1f6ff),
    (0x1f7e0, 0x1f7eb),
    (0x1f90c, 0x1f9ff),
    (0x1fa70, 0x1faff),
    (0x20000, 0x3fffd),
];

/// Columns that a text takes in one line.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// A text cut to so many columns, with `…` at its end where something was taken off.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = columns.saturating_sub(1);
    for character in text.chars() {
        let wide = character_width(character);
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// A text in lines of at most so many columns: broken at spaces, and inside of words that are longer than a line. Lines but the
/// first begin with `indent` spaces.
pub(crate) fn wrap(text: &str, columns: usize, indent: usize) -> Vec<String> {
    // A line takes at least one wide character more than its indent.
    let columns = columns.max(indent + 2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && used + 1 + width(word) <= columns {
            line.push(' ');
            used += 1;
        } else if !empty {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            used = indent;
        }
        for character in word.chars() {
            let wide = character_width(character);
            if used + wide > columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                used = indent;
            }
            line.push(character);
            used += wide;
        }
        empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let hostile = "a\x1b[2Jb\nc\td\u{9b}31m\u{202e}e\u{7f}\0\u{2028}";
        assert_eq!(
            plain(hostile),
            "a\u{fffd}[2Jb c d\u{fffd}31m\u{fffd}e\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn tables_of_widths_are_in_order() {
        for table in [NARROWEST, WIDE] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn wide_and_combining_characters_are_counted_as_terminals_show_them() {
        for (text, columns) in [
            ("abc", 3),
            ("é", 1),
            ("e\u{301}", 1),
            ("漢字", 4),
            ("한국", 4),
            ("🎉", 2),
            ("…", 1),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn cuts_keep_to_the_width_and_say_so() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("abc", 0), "");
        for columns in 0..9 {
            assert!(width(&cut("漢a字b漢c", columns)) <= columns);
        }
    }

    #[test]
    fn wrapped_lines_keep_to_the_width_and_lose_nothing() {
        assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrap("abcdefghij", 5, 1), ["abcde", " fghi", " j"]);
        assert_eq!(wrap("", 5, 1), [""]);
        for columns in 4..30 {
            let text = "some 漢字漢字 words that-are-quite-long-indeed here";
            let lines = wrap(text, columns, 2);
            assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
            let joined: String = lines.concat().replace(' ', "");
            assert_eq!(joined, text.replace(' ', ""));
        }
    }
}
