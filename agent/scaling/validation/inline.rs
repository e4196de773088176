//! Tests that stand within files of the product: modules and functions of Rust that are compiled for tests only, and examples in
//! documentation that are run as tests.

/// Ends of the names of files whose examples (`>>>`) may be run as tests.
const WITH_EXAMPLES: [&[u8]; 6] = [b".py", b".pyi", b".pyx", b".rst", b".md", b".txt"];

/// Whether tests are looked for in a file.
pub(super) fn may_hold_tests(path: &[u8]) -> bool {
    path.ends_with(b".rs") || WITH_EXAMPLES.iter().any(|end| path.ends_with(end))
}

/// The lines of a file that are tests, as far as its lines tell; rather too many than too few.
pub(super) fn tests_within<'t>(path: &[u8], text: &'t [u8]) -> Vec<&'t [u8]> {
    if path.ends_with(b".rs") {
        of_rust(text)
    } else if WITH_EXAMPLES.iter().any(|end| path.ends_with(end)) {
        examples(text)
    } else {
        Vec::new()
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end)
}

fn holds(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part == word)
}

/// A part of a file that is compiled for tests only, as far as it was read.
struct Region {
    indentation: usize,
    depth: i64,
    opened: bool,
}

impl Region {
    /// Takes a line in; whether it is the region's last. A brace in a text may be miscounted, so that a closing one must stand no further
    /// to the right than the region's beginning; where it does not, the region goes on.
    fn ends_with(&mut self, line: &[u8]) -> bool {
        let was_open = self.opened;
        for byte in line {
            match byte {
                b'{' => {
                    self.depth += 1;
                    self.opened = true;
                }
                b'}' => self.depth -= 1,
                _ => {}
            }
        }
        if !self.opened {
            return line.ends_with(b";");
        }
        let closes = line.trim_ascii_start().starts_with(b"}") && indentation(line) <= self.indentation;
        self.depth <= 0 && (closes || !was_open)
    }
}

fn indentation(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_start().len()
}

/// Whether what follows a line is compiled for tests only.
fn begins_test(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let attribute = line.starts_with(b"#[") || line.starts_with(b"#![");
    let conditional = line.starts_with(b"#[cfg(") || line.starts_with(b"#![cfg(");
    let marks = [
        &b"#[test"[..],
        b"::test]",
        b"::test(",
        b"#[rstest",
        b"#[should_panic",
    ];
    attribute && (conditional && holds(line, b"test") || marks.iter().any(|mark| holds(line, mark)))
}

fn of_rust(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut region: Option<Region> = None;
    let mut fenced = false;
    for line in lines(text) {
        if let Some(open) = &mut region {
            found.push(line);
            if open.ends_with(line) {
                region = None;
            }
            continue;
        }
        let start = line.trim_ascii_start();
        if start.starts_with(b"///") || start.starts_with(b"//!") {
            let fence = holds(start, b"```");
            if fence || fenced {
                found.push(line);
            }
            fenced ^= fence;
            continue;
        }
        fenced = false;
        if begins_test(line) {
            found.push(line);
            let mut open = Region {
                indentation: indentation(line),
                depth: 0,
                opened: false,
            };
            let whole = start.starts_with(b"#![");
            if whole {
                // What a whole file is compiled for has no end.
                open.opened = true;
                open.depth = i64::from(u32::MAX);
            }
            if whole || !open.ends_with(line) {
                region = Some(open);
            }
        }
    }
    found
}

/// Examples with what they are to print.
fn examples(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut within = false;
    for line in lines(text) {
        let start = line.trim_ascii_start();
        if start.starts_with(b">>>") {
            within = true;
        } else if start.is_empty() || start.starts_with(b"\"\"\"") || start.starts_with(b"'''") {
            within = false;
        }
        if within {
            found.push(line);
        }
    }
    found
}

#[cfg(test)]
#[path = "inline_tests.rs"]
mod tests;
