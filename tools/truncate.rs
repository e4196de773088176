//! Keeping the head and the tail of text that is too long, by bytes while it streams or by any measure
//! (tokens, say) afterwards, and showing bytes as text.
//!
//! In: bytes as a command prints them, or a text and a budget. Out: head, tail, and exact counts of what
//! lies between. Cuts fall at a line's end where one is near, else between two characters, never inside one.

use std::collections::VecDeque;

/// A cut moves at most by this share of the part that it shortens to reach a line's end.
const LINE_END_SHARE: usize = 4;

/// Collects output in bounded memory: the first bytes, the last bytes, and counts.
#[derive(Debug, Clone)]
pub struct HeadTail {
    head_bytes: usize,
    tail_bytes: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total_bytes: u64,
    total_newlines: u64,
}

/// What a [`HeadTail`] kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// The beginning; everything when nothing was omitted.
    pub head: Vec<u8>,
    /// The end; empty when nothing was omitted.
    pub tail: Vec<u8>,
    /// Bytes between head and tail.
    pub omitted_bytes: u64,
    /// Line ends between head and tail.
    pub omitted_lines: u64,
    /// Bytes that were pushed.
    pub total_bytes: u64,
}

/// A text cut down to a budget by [`by`] or [`right`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The beginning; everything when nothing was omitted.
    pub head: &'a str,
    /// The end; empty when nothing was omitted.
    pub tail: &'a str,
    /// Bytes between head and tail.
    pub omitted_bytes: usize,
    /// Line ends between head and tail.
    pub omitted_lines: usize,
}

impl Truncated {
    /// Line ends that were pushed.
    pub fn total_lines(&self) -> u64 {
        self.omitted_lines + (newlines(&self.head) + newlines(&self.tail)) as u64
    }
}

impl HeadTail {
    /// A collector that keeps so many bytes of the beginning and of the end.
    pub fn new(head_bytes: usize, tail_bytes: usize) -> HeadTail {
        HeadTail {
            head_bytes,
            tail_bytes,
            head: Vec::new(),
            tail: VecDeque::new(),
            total_bytes: 0,
            total_newlines: 0,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        self.total_newlines += newlines(bytes) as u64;
        let to_head = bytes.len().min(self.head_bytes - self.head.len());
        let (head, rest) = bytes.split_at(to_head);
        self.head.extend_from_slice(head);
        let (_, rest) = rest.split_at(rest.len().saturating_sub(self.tail_bytes));
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.tail_bytes);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Bytes pushed so far.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// What was kept.
    pub fn finish(self) -> Truncated {
        let mut head = self.head;
        let mut tail = Vec::from(self.tail);
        if (head.len() + tail.len()) as u64 == self.total_bytes {
            head.append(&mut tail);
        } else {
            head.truncate(head_cut(&head));
            tail.drain(..tail_cut(&tail));
        }
        let kept_newlines = newlines(&head) + newlines(&tail);
        Truncated {
            omitted_bytes: self.total_bytes - (head.len() + tail.len()) as u64,
            omitted_lines: self.total_newlines - kept_newlines as u64,
            total_bytes: self.total_bytes,
            head,
            tail,
        }
    }
}

/// Cuts the middle out of a text so that `measure(head) + measure(tail)` stays within the budget, keeping
/// about as much of the beginning as of the end. What is kept was measured, so the budget holds for any
/// measure (where nothing fits, nothing is kept); it is close to the most that fits where longer text
/// measures more. `measure` is called once on the whole text and then about twenty times on parts of it.
pub fn by(text: &str, budget: usize, measure: impl Fn(&str) -> usize) -> Cut<'_> {
    cut(text, budget, measure, ends)
}

/// The same, but cuts on the right: only the beginning is kept.
pub fn right(text: &str, budget: usize, measure: impl Fn(&str) -> usize) -> Cut<'_> {
    cut(text, budget, measure, |text, kept| {
        let end = text.floor_char_boundary(kept);
        (text.get(..end).unwrap_or_default(), "")
    })
}

/// Cuts so that what `parts` leaves of the text stays within the budget.
fn cut(
    text: &str,
    budget: usize,
    measure: impl Fn(&str) -> usize,
    parts: impl Fn(&str, usize) -> (&str, &str),
) -> Cut<'_> {
    let whole = measure(text);
    if whole <= budget {
        return Cut {
            head: text,
            tail: "",
            omitted_bytes: 0,
            omitted_lines: 0,
        };
    }
    // Bytes to keep: `fits` is known to fit, `exceeds` is not.
    let mut fits = 0;
    let mut exceeds = text.len();
    // The first guess takes the measure to be even over the text.
    let even = text.len() as u128 * budget as u128 / whole.max(1) as u128;
    let mut guess = usize::try_from(even).unwrap_or(text.len()).min(text.len());
    while exceeds - fits > 1 + text.len() / 1024 {
        let kept = guess.clamp(fits + 1, exceeds - 1);
        let (head, tail) = parts(text, kept);
        if measure(head).saturating_add(measure(tail)) <= budget {
            fits = kept;
        } else {
            exceeds = kept;
        }
        guess = fits + (exceeds - fits) / 2;
    }
    let (head, tail) = parts(text, fits);
    // Moving a cut to a line's end shortens the part, which need not make it measure less: tokens may
    // merge differently. So it is measured again, and kept only if it still fits.
    let (trim_head, trim_tail) = (head_cut(head.as_bytes()), tail_cut(tail.as_bytes()));
    let at_lines = (
        head.get(..trim_head).unwrap_or(head),
        tail.get(trim_tail..).unwrap_or(tail),
    );
    let fitting = measure(at_lines.0).saturating_add(measure(at_lines.1)) <= budget;
    let (head, tail) = if fitting { at_lines } else { (head, tail) };
    let middle = text.get(head.len()..text.len() - tail.len()).unwrap_or_default();
    Cut {
        head,
        tail,
        omitted_bytes: middle.len(),
        omitted_lines: newlines(middle.as_bytes()),
    }
}

/// The two ends of a text, about `kept` bytes together, cut between characters.
fn ends(text: &str, kept: usize) -> (&str, &str) {
    let head = text.floor_char_boundary(kept.div_ceil(2));
    let tail = text.ceil_char_boundary(text.len() - kept / 2).max(head);
    (
        text.get(..head).unwrap_or_default(),
        text.get(tail..).unwrap_or_default(),
    )
}

/// The beginning of a text, at most so many bytes, cut between characters.
pub fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most.min(text.len())))
        .unwrap_or_default()
}

/// A text of more bytes than that without its middle, for which a line stands that says how much it was.
pub fn without_middle(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let (head, tail) = ends(&text, most);
    let omitted = text.len() - head.len() - tail.len();
    format!("{head}\n[... {omitted} bytes ...]\n{tail}")
}

/// Bytes as a model or a person may read them: each invalid UTF-8 sequence becomes U+FFFD, and NUL, which
/// would be invisible, the two characters `\0`. Everything else, escape sequences too, stays.
pub fn display_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains('\0') {
        text.replace('\0', "\\0")
    } else {
        text.into_owned()
    }
}

fn newlines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// Where to end a head: behind a newline in its last quarter, else before a character that is not whole.
fn head_cut(head: &[u8]) -> usize {
    let earliest = head.len() - head.len() / LINE_END_SHARE;
    match memchr::memrchr(b'\n', head) {
        Some(newline) if newline + 1 >= earliest => newline + 1,
        _ => whole_characters(head),
    }
}

/// Where to begin a tail: behind a newline in its first quarter, else at a character's first byte.
fn tail_cut(tail: &[u8]) -> usize {
    let near = tail.get(..tail.len() / LINE_END_SHARE).unwrap_or_default();
    match memchr::memchr(b'\n', near) {
        Some(newline) => newline + 1,
        // At most three bytes can belong to a character that began before.
        None => tail
            .iter()
            .take(3)
            .take_while(|&&byte| is_continuation(byte))
            .count(),
    }
}

/// The length of `bytes` without a character that was cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let continuations = bytes
        .iter()
        .rev()
        .take(3)
        .take_while(|&&byte| is_continuation(byte))
        .count();
    let Some(lead_at) = bytes.len().checked_sub(continuations + 1) else {
        return bytes.len();
    };
    let wanted = match bytes.get(lead_at) {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => 1,
    };
    if wanted > continuations + 1 {
        lead_at
    } else {
        bytes.len()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
#[path = "truncate_tests.rs"]
mod tests;
