//! How large and how deep a text's tree would be, before a parser finds out.
//!
//! Where a text breaks off, a parser tries what may be open there: what it allots for that grows with the square of the depth, between
//! two of the steps that it can be stopped at. Fifty kilobytes of `a<a<a<` would be gigabytes. No person nests a tenth as deep as is allowed.

use super::Grammar;

/// Texts of more words and signs are not parsed: each may take most of a kilobyte. Half a megabyte of what people write has fewer.
const MOST_TOKENS: usize = 150_000;
/// More open brackets are not parsed.
const MOST_BRACKETS: usize = 1000;
/// Nor is an expression of more signs than this: `- - - -` nests, and `(a)(a)(a)` may.
const MOST_SIGNS: usize = 10_000;
/// Nor more than this of squares of the depths that nest without brackets, in the whole text.
const MOST_SQUARES: usize = 1_000_000;

/// Whether a text is larger or nests deeper than is worth parsing. By its characters only, so that what strings and comments leave open
/// counts, too.
pub(super) fn is_too_hard(text: &str, grammar: Grammar) -> bool {
    // These try whether `<` is less than or opens arguments of a type, and where a text is broken do so across statements. So that a
    // thousand comparisons in a file count as if they nested.
    let has_types = matches!(
        grammar,
        Grammar::Cpp | Grammar::CSharp | Grammar::Java | Grammar::TypeScript | Grammar::Tsx
    );
    // And these read `a = b = c` from its end.
    let has_chains = has_types || grammar == Grammar::C;
    let (mut brackets, mut signs, mut squares) = (0_usize, 0_usize, 0_usize);
    let (mut angles, mut equals, mut before) = (0_usize, 0_usize, 0);
    let (mut tokens, mut in_word) = (0_usize, false);
    for byte in text.bytes() {
        let is_sign = byte.is_ascii_punctuation() && byte != b'_';
        let is_word = !is_sign && !byte.is_ascii_whitespace();
        tokens += usize::from(is_sign || (is_word && !in_word));
        in_word = is_word;
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            // `<<` is none. One more makes a square larger by twice its side.
            b'<' if before == byte => angles = angles.saturating_sub(1),
            b'<' if has_types => {
                squares += 2 * angles;
                angles += 1;
            }
            // `->` and `=>` end none, but hardly stand among a thousand that are never ended.
            b'>' => angles = angles.saturating_sub(1),
            b'=' if has_chains => {
                squares += 2 * equals;
                equals += 1;
            }
            _ => {}
        }
        match byte {
            b'{' | b'}' | b';' | b',' => (equals, signs) = (0, 0),
            _ => signs += usize::from(is_sign),
        }
        before = byte;
        if brackets > MOST_BRACKETS || signs > MOST_SIGNS || squares > MOST_SQUARES || tokens > MOST_TOKENS {
            return true;
        }
    }
    false
}
