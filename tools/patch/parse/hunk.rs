//! The hunks of one file. Their own counts are believed where they fit the lines that follow; where they do not,
//! the lines decide.

use super::super::types::{Hunk, Line, LineKind};
use super::{ParseError, Reader, bare};

/// What a hunk's first line says.
struct Ranges {
    old_start: Option<u32>,
    new_start: Option<u32>,
    /// Lines of the old and the new side; `None` when the line does not say.
    counts: Option<(usize, usize)>,
    section: Vec<u8>,
}

/// All hunks from here on.
pub(super) fn hunks(
    reader: &mut Reader<'_>,
    file: &str,
    carriage_returns: bool,
) -> Result<Vec<Hunk>, ParseError> {
    let mut hunks = Vec::new();
    while let Some(line) = reader.peek() {
        if !line.starts_with(b"@@") {
            break;
        }
        let start = reader.number();
        let wrong = |what| ParseError::Hunk {
            line: start,
            file: file.to_owned(),
            hunk: hunks.len() + 1,
            what,
        };
        let ranges = ranges(bare(line))
            .ok_or_else(|| wrong("its first line is not `@@ -LINE,COUNT +LINE,COUNT @@`"))?;
        reader.at += 1;
        let hunk = body(reader, ranges, carriage_returns);
        if hunk.recounted && loses_lines(reader) {
            let what = "a line in it begins with neither ` `, `+` nor `-`, and changes follow behind it";
            return Err(ParseError::Hunk {
                line: reader.number(),
                file: file.to_owned(),
                hunk: hunks.len() + 1,
                what,
            });
        }
        if hunk.lines.is_empty() {
            return Err(wrong("it has no lines"));
        }
        if hunk.lines.iter().all(|line| line.kind == LineKind::Context) {
            return Err(wrong("it changes nothing: no line begins with `+` or `-`"));
        }
        hunks.push(hunk);
    }
    Ok(hunks)
}

/// Reads `@@ -1,2 +3,4 @@ section`, or a bare `@@` with no numbers at all.
fn ranges(line: &[u8]) -> Option<Ranges> {
    let rest = line.strip_prefix(b"@@")?;
    let Some(numbers) = rest.strip_prefix(b" -") else {
        let said_nothing = rest.iter().all(|byte| matches!(byte, b' ' | b'@' | b'.'));
        let unplaced = Ranges {
            old_start: None,
            new_start: None,
            counts: None,
            section: Vec::new(),
        };
        return said_nothing.then_some(unplaced);
    };
    let end = numbers.windows(3).position(|window| window == b" @@")?;
    let section = numbers.get(end + 3..).unwrap_or_default();
    let section = section.strip_prefix(b" ").unwrap_or(section).to_vec();
    let numbers = std::str::from_utf8(numbers.get(..end)?).ok()?;
    let (old, new) = numbers.split_once(" +")?;
    let range = |text: &str| -> Option<(u32, usize)> {
        let (start, count) = text.trim().split_once(',').unwrap_or((text.trim(), "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let ((old_start, old_count), (new_start, new_count)) = (range(old)?, range(new)?);
    let counts = Some((old_count, new_count));
    Some(Ranges {
        old_start: Some(old_start),
        new_start: Some(new_start),
        counts,
        section,
    })
}

/// What a line of a hunk's body is.
fn kind(line: &[u8]) -> Option<LineKind> {
    match line.first() {
        Some(b' ') => Some(LineKind::Context),
        Some(b'-') => Some(LineKind::Removed),
        Some(b'+') => Some(LineKind::Added),
        // Editors and models strip the one space of a blank context line.
        _ if matches!(line, b"\n" | b"\r\n") => Some(LineKind::Context),
        _ => None,
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Reads the lines of a hunk.
fn body(reader: &mut Reader<'_>, ranges: Ranges, carriage_returns: bool) -> Hunk {
    let mut lines: Vec<Line> = Vec::new();
    let (mut old, mut new) = ranges.counts.unwrap_or((0, 0));
    let mut recounted = ranges.counts.is_none();
    let mut stripped_at_end = 0;
    while let Some(line) = reader.peek() {
        if line.starts_with(b"\\") {
            // A remark about the line before; only that it has no newline is ever remarked.
            reader.at += 1;
            if let Some(last) = lines.last_mut() {
                let end = last.text.strip_suffix(b"\n").unwrap_or(&last.text).len();
                last.text.truncate(end);
            }
            continue;
        }
        let Some(kind) = kind(line) else { break };
        let complete = (old, new) == (0, 0);
        if complete && !recounted {
            if !continues(reader) {
                break;
            }
            recounted = true;
        }
        let last_pair = (old, new) == (1, 1) && !recounted;
        if !last_pair && reader.at_side_lines() || recounted && is_signature(line) {
            break;
        }
        let (from_old, from_new) = (kind != LineKind::Added, kind != LineKind::Removed);
        if !recounted && (from_old && old == 0 || from_new && new == 0) {
            recounted = true;
        }
        old = old.saturating_sub(usize::from(from_old));
        new = new.saturating_sub(usize::from(from_new));
        stripped_at_end = if is_blank(line) { stripped_at_end + 1 } else { 0 };
        lines.push(Line {
            kind,
            text: content(line, carriage_returns),
        });
        reader.at += 1;
    }
    if (old, new) != (0, 0) {
        recounted = true;
    }
    if recounted {
        // Blank lines at the end more likely part the hunk from what follows than belong to it.
        lines.truncate(lines.len() - stripped_at_end);
    }
    let Ranges {
        old_start,
        new_start,
        section,
        ..
    } = ranges;
    Hunk {
        old_start,
        new_start,
        section,
        lines,
        recounted,
    }
}

/// Whether a hunk goes on though its counts say that it is complete: another body line follows, or one that adds
/// or removes follows after blank ones. Else prose may come.
fn continues(reader: &Reader<'_>) -> bool {
    if reader.at_side_lines() {
        return false;
    }
    for (ahead, line) in (0..).map_while(|ahead| Some((ahead, reader.ahead(ahead)?))) {
        match line {
            _ if is_signature(line) => return false,
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => return ahead == 0 && bare(line) != b"---",
            [b'+', ..] => return true,
            // A list in prose begins its lines with `- ` too, but stands apart.
            [b'-', next, ..] => return ahead == 0 || *next != b' ',
            [b' ', ..] => {}
            _ if is_blank(line) => {}
            _ => return false,
        }
    }
    false
}

/// The line that parts an e-mail's text from its signature, as `git format-patch` writes it.
fn is_signature(line: &[u8]) -> bool {
    matches!(line, b"-- \n" | b"-- \r\n" | b"--\n")
}

/// Whether ending a hunk here, on the word of its lines alone, would drop changes without a word.
fn loses_lines(reader: &Reader<'_>) -> bool {
    for (ahead, line) in (0..).map_while(|ahead| Some((ahead, reader.ahead(ahead)?))) {
        let starts = |start: &[u8]| line.starts_with(start);
        if starts(b"@@") || starts(b"diff ") || starts(b"```") || starts(b"Index: ") || is_signature(line) {
            // A bare `@@ -` further on would be met without a file.
            return starts(b"@@") && ahead > 0;
        }
        match line {
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => return false,
            [b'+', ..] => return true,
            [b'-', next, ..] if *next != b' ' => return true,
            _ => {}
        }
    }
    false
}

/// The text of a body line.
fn content(line: &[u8], carriage_returns: bool) -> Vec<u8> {
    let text = match line {
        [b' ' | b'+' | b'-', text @ ..] => text,
        _ => line,
    };
    let mut text = text.to_vec();
    if carriage_returns && text.ends_with(b"\r\n") {
        text.truncate(text.len() - 2);
        text.push(b'\n');
    }
    // The text's own end may lack a newline; only the remark says that the file's does.
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    text
}
