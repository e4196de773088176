//! The words of code: identifiers as they stand, and the parts that they are made of.

use std::ops::Range;

/// Longer words are no names.
const LONGEST: usize = 80;

/// Calls `found` with each identifier of a text and its place: letters, digits and underscores that do not begin with a digit.
pub(crate) fn identifiers<'a>(text: &'a str, mut found: impl FnMut(Range<usize>, &'a str)) {
    let bytes = text.as_bytes();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !is_part(byte) {
            at += 1;
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at + rest.iter().position(|&byte| !is_part(byte)).unwrap_or(rest.len());
        if !byte.is_ascii_digit()
            && (2..=LONGEST).contains(&(end - at))
            && let Some(word) = text.get(at..end)
        {
            found(at..end, word);
        }
        at = end;
    }
}

/// Calls `found` with the parts of an identifier in lower case: `HTTPServer_addr2` has `http`, `server` and `addr2`. A word of one part
/// is its own.
pub(crate) fn parts(word: &str, mut found: impl FnMut(&str)) {
    let mut lower = [0_u8; LONGEST];
    let mut length = 0;
    let mut emit = |lower: &[u8]| {
        if lower.len() >= 2
            && let Ok(part) = std::str::from_utf8(lower)
        {
            found(stem(part));
        }
    };
    let bytes = word.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let after = bytes.get(at + 1).copied();
        let begins = byte.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(|after| after.is_ascii_lowercase())
            });
        if byte == b'_' || begins {
            emit(lower.get(..length).unwrap_or_default());
            length = 0;
        }
        if byte != b'_'
            && let Some(place) = lower.get_mut(length)
        {
            *place = byte.to_ascii_lowercase();
            length += 1;
        }
    }
    emit(lower.get(..length).unwrap_or_default());
}

/// A word without the endings that only grammar asks for: `parsed` and `parsing` are both `pars`. Not right for every word, but the same
/// for all its uses.
fn stem(word: &str) -> &str {
    if !word.is_ascii() || word.len() < 5 {
        return word;
    }
    let cut = |by: usize| word.get(..word.len() - by).unwrap_or(word);
    match word {
        _ if word.ends_with("ies") => cut(2),
        _ if word.ends_with("sses") => cut(2),
        _ if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") => word,
        _ if word.ends_with("es") && word.len() > 5 => cut(2),
        _ if word.ends_with('s') => cut(1),
        _ if word.ends_with("ing") && word.len() > 6 => cut(3),
        _ if word.ends_with("ed") && word.len() > 5 => cut(2),
        _ if word.ends_with('e') => cut(1),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(word: &str) -> Vec<String> {
        let mut all = Vec::new();
        parts(word, |part| all.push(part.to_owned()));
        all
    }

    #[test]
    fn names_fall_into_their_parts() {
        assert_eq!(parted("HTTPServer_addr2"), ["http", "server", "addr2"]);
        assert_eq!(parted("__init__"), ["init"]);
        assert_eq!(parted("getURLs"), ["get", "ur", "ls"]);
        assert_eq!(parted("x_y"), [""; 0]);
        assert_eq!(parted("größe"), ["größe"]);
        assert_eq!(parted("parsing"), parted("parsed"));
        assert_eq!(parted("caches"), parted("cache"));
    }

    #[test]
    fn identifiers_are_found_where_they_stand() {
        let text = "def é_1(a, 2x): return x.y1 + 'ab'";
        let mut all = Vec::new();
        identifiers(text, |place, word| {
            assert_eq!(text.get(place), Some(word));
            all.push(word);
        });
        assert_eq!(all, ["def", "é_1", "return", "y1", "ab"]);
    }
}
