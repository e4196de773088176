//! Lines of printed text: colours taken out, and few telling ones picked from many.

/// Lines of a message that people and models are shown.
const MOST_LINES: usize = 40;

/// Bytes of such a message.
const MOST_BYTES: usize = 4096;

/// Text without escape sequences, every kind of line end being a newline.
pub(in crate::suite) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{1b}' => skip_escape(&mut characters),
            '\u{9b}' => skip_parameters(&mut characters),
            '\u{8}' | '\u{7}' => {}
            other => out.push(other),
        }
    }
    out
}

fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            skip_parameters(characters);
        }
        // A title or a link: up to BEL or ESC \, and never beyond the line.
        Some(']') => {
            while let Some(&next) = characters.peek() {
                if next == '\n' {
                    return;
                }
                characters.next();
                if next == '\u{7}' {
                    return;
                }
                if next == '\u{1b}' {
                    if characters.peek() == Some(&'\\') {
                        characters.next();
                    }
                    return;
                }
            }
        }
        Some('(' | ')') => {
            characters.next();
            characters.next();
        }
        _ => {}
    }
}

fn skip_parameters(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&next) = characters.peek() {
        if !(' '..='~').contains(&next) {
            return;
        }
        characters.next();
        if ('@'..='~').contains(&next) {
            return;
        }
    }
}

/// A message within its bounds, blank lines at its ends gone; the middle gives way.
pub(in crate::suite) fn shorten(message: &str) -> String {
    let message = message.trim_matches('\n').trim_end();
    let lines: Vec<&str> = message.lines().take(10_000).collect();
    let mut text = if lines.len() > MOST_LINES {
        let (head, tail) = (MOST_LINES / 4, MOST_LINES - MOST_LINES / 4 - 1);
        let beginning = lines.get(..head).unwrap_or_default().join("\n");
        let end = lines.get(lines.len() - tail..).unwrap_or_default().join("\n");
        format!("{beginning}\n[...]\n{end}")
    } else {
        lines.join("\n")
    };
    if text.len() > MOST_BYTES {
        let half = MOST_BYTES / 2 - 8;
        let head = text.get(..text.floor_char_boundary(half)).unwrap_or_default();
        let tail = text
            .get(text.ceil_char_boundary(text.len() - half)..)
            .unwrap_or_default();
        text = format!("{head}\n[...]\n{tail}");
    }
    text
}

/// The last lines that are not blank.
pub(in crate::suite) fn telling_tail(text: &str, lines: usize) -> String {
    let mut tail: Vec<&str> = text
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(lines)
        .collect();
    tail.reverse();
    shorten(&tail.join("\n"))
}

/// The beginning of a line, for a sentence.
pub(in crate::suite) fn first_words(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}
