//! How deep a text nests, before a parser finds out.
//!
//! Where a text breaks off, a parser tries what may be open there: what it allots for that grows with the square of the depth, between
//! two of the steps that it can be stopped at. Fifty kilobytes of `a<a<a<` would be gigabytes. No person nests a tenth as deep as is allowed.

use super::Grammar;

/// More open brackets, or more of what nests without brackets, are not parsed.
const DEEPEST: usize = 1000;

/// Whether a text nests deeper than is worth parsing. By its characters only, so that what strings and comments leave open counts, too.
pub(super) fn is_too_deep(text: &str, grammar: Grammar) -> bool {
    // These try whether `<` is less than or opens arguments of a type, and read `a = b = c` from its end.
    let nests_by_signs = matches!(
        grammar,
        Grammar::C | Grammar::Cpp | Grammar::CSharp | Grammar::Java | Grammar::TypeScript | Grammar::Tsx
    );
    let (mut brackets, mut angles, mut equals) = (0_usize, 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'<' if nests_by_signs => angles += 1,
            b'>' => angles = angles.saturating_sub(1),
            b'=' if nests_by_signs => equals += 1,
            _ => {}
        }
        match byte {
            b'{' | b'}' | b';' => (angles, equals) = (0, 0),
            b',' => equals = 0,
            _ => {}
        }
        if brackets.max(angles).max(equals) > DEEPEST {
            return true;
        }
    }
    false
}
