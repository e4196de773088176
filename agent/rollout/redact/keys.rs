//! Finds private keys in their armour of `-----BEGIN … PRIVATE KEY-----` lines, also where the beginning or the end is cut
//! off.

use super::Found;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const KIND: &str = "private key";
/// A line of a key has at least this many characters.
const LINE: usize = 32;
/// Lines that may be shorter: a key's last one and its check sum.
const SHORT_LINES: usize = 2;

/// Every private key of a text.
pub(super) fn find(text: &str) -> Vec<Found<'static>> {
    let mut found: Vec<Found<'static>> = Vec::new();
    for (start, _) in text.match_indices(BEGIN) {
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let Some(material) = header_end(text, start) else {
            continue;
        };
        if let Some(end) = key_end(text.as_bytes(), material) {
            found.push(Found {
                start,
                end,
                kind: KIND,
            });
        }
    }
    let whole = found.len();
    let mut next = 0;
    for (at, _) in text.match_indices(END) {
        // Both come in the order of the text.
        while next < whole && found.get(next).is_some_and(|one| one.end <= at) {
            next += 1;
        }
        if next < whole && found.get(next).is_some_and(|one| one.start < at) {
            continue;
        }
        if let Some((start, end)) = key_before(text.as_bytes(), at) {
            found.push(Found {
                start,
                end,
                kind: KIND,
            });
        }
    }
    found
}

/// The key that ends with the closing line at `at`, whose beginning is cut off.
fn key_before(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = closing_line(bytes, at)?;
    let label = bytes.get(at..end)?.strip_suffix(b"-----")?;
    if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")) {
        return None;
    }
    let mut start = None;
    let mut short_lines = 0;
    let mut at = at;
    loop {
        let word_end = skip_between_back(bytes, at);
        let word = word_start(bytes, word_end);
        if word_end - word >= LINE {
            start = Some(word);
        } else if start.is_some() {
            // The first line may be cut, too.
            let is_first = word == 0 && word_end > 0;
            return Some((if is_first { 0 } else { start? }, end));
        } else if short_lines < SHORT_LINES && word < word_end {
            short_lines += 1;
        } else {
            return None;
        }
        at = word;
    }
}

/// Before line ends and what joins strings in code, as [`skip_between`] is behind them.
fn skip_between_back(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let last = at.checked_sub(1).and_then(|last| bytes.get(last));
        let before = at.checked_sub(2).and_then(|before| bytes.get(before));
        match (before, last) {
            (Some(b'\\'), Some(b'n' | b'r' | b't' | b'\\' | b'\n')) => at -= 2,
            (_, Some(b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',' | b'|' | b'>')) => at -= 1,
            (_, Some(b'+')) if bytes.get(at).is_some_and(|next| b" \n".contains(next)) => at -= 1,
            _ => return at,
        }
    }
}

/// Where the word begins that ends at `end`.
fn word_start(bytes: &[u8], end: usize) -> usize {
    let before = bytes.get(..end).unwrap_or_default();
    let length = before.iter().rev().take_while(|byte| is_base64(**byte)).count();
    let start = end - length;
    // The letter of a line end that is written as `\n` is none of the word's.
    let escaped = start > 0 && bytes.get(start - 1) == Some(&b'\\');
    let letter = matches!(bytes.get(start), Some(b'n' | b'r' | b't'));
    if escaped && letter && length > 0 {
        start + 1
    } else {
        start
    }
}

/// Where the line that begins a private key ends; `None` for a certificate and whatever else is no such line.
fn header_end(text: &str, start: usize) -> Option<usize> {
    let label_start = start + BEGIN.len();
    let window = text
        .as_bytes()
        .get(label_start..(label_start + 64).min(text.len()))?;
    let label_end = window.windows(5).position(|five| five == b"-----")?;
    let label = window.get(..label_end)?;
    let is_label = label
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    let is_key = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    (is_label && is_key).then_some(label_start + label_end + 5)
}

/// Where the key ends whose lines begin at `at`; `None` when none follow, as in code that only looks for the header.
fn key_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = skip_headers(bytes, skip_between(bytes, at));
    let mut end = None;
    loop {
        let word = word_length(bytes, at);
        if word < LINE {
            break;
        }
        end = Some(at + word);
        at = skip_between(bytes, at + word);
    }
    // Short lines belong to it only when its last line follows them: else they may be anything.
    for _ in 0..=SHORT_LINES {
        if let Some(closing) = closing_line(bytes, at) {
            return end.map(|_| closing);
        }
        at = skip_between(bytes, at + word_length(bytes, at));
    }
    end
}

/// Behind `Proc-Type: 4,ENCRYPTED` and the like, which may stand before the key.
fn skip_headers(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..4 {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = rest.get(..rest.len().min(120)).unwrap_or_default();
        let length = line.iter().take_while(|byte| !b"\n\r\\\"".contains(byte)).count();
        if !line.get(..length).unwrap_or_default().contains(&b':') {
            break;
        }
        at = skip_between(bytes, at + length);
    }
    at
}

/// Where the line `-----END …-----` ends that begins at `at`.
fn closing_line(bytes: &[u8], at: usize) -> Option<usize> {
    let label = bytes.get(at..)?.strip_prefix(END.as_bytes())?;
    let label = label.get(..label.len().min(64)).unwrap_or_default();
    let closing = label.windows(5).position(|five| five == b"-----");
    Some(at + END.len() + closing.map_or(0, |closing| closing + 5))
}

fn word_length(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take_while(|byte| is_base64(**byte)).count()
}

/// Behind line ends, also those written as `\n`, and what joins strings in code.
fn skip_between(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\\'), Some(b'n' | b'r' | b't' | b'\\' | b'\n')) => at += 2,
            (Some(b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',' | b'|' | b'>'), _) => at += 1,
            (Some(b'+'), Some(b' ' | b'\n')) => at += 1,
            _ => return at,
        }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}
