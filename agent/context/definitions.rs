//! Functions and classes in a source text: where they begin and end, and what they are called. By its language's grammar where there is
//! one; else, and for fragments, by indentation or by braces: what is not understood is left out, never guessed.

use std::ops::Range;

use super::language::{Language, Layout};
use super::syntax;

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A function or a method.
    Function,
    /// A class or its like, which holds other definitions: a struct, an enumeration, a trait, an interface, a module, an `impl`.
    Class,
    /// A constant, a variable, a field, an alias or a macro of a module or a class.
    Constant,
    /// A function without a body: of a trait or an interface, an overload, a prototype.
    Declared,
}

/// A function, a class or something else with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its own name.
    pub name: String,
    /// The names of what it stands in and its own, joined by dots.
    pub full_name: String,
    /// What it is.
    pub kind: Kind,
    /// Its first line, decorators and attributes included, from 0.
    pub start: usize,
    /// The line of its own header, from 0.
    pub header: usize,
    /// The line behind its signature and what opens its body (`:`, `{`), so that the lines from `start` to here say how it is used. `end`
    /// when nothing is left, as of what stands on one line; of a value over several lines, the line behind its first.
    pub body: usize,
    /// The line behind its last one.
    pub end: usize,
    /// The blanks that its header begins with.
    pub indent: usize,
    /// The lines of its doc string, or of the comment directly above it. None where no grammar told it.
    pub doc: Option<Range<usize>>,
}

impl Definition {
    /// Whether it is a class or its like, which holds other definitions.
    pub fn is_class(&self) -> bool {
        self.kind == Kind::Class
    }
}

/// Texts of more lines are not looked at.
const MOST_LINES: usize = 50_000;
/// No more definitions of a text are told; what has more is a table, or hostile.
pub(super) const MOST_DEFINITIONS: usize = 4000;
/// What stands in more definitions than these is left out: every name holds those around it, so that deep ones would fill memory.
pub(super) const MOST_NESTED: usize = 64;
/// A header whose brackets are not closed after so many lines is taken to end there.
const MOST_HEADER_LINES: usize = 200;

/// The functions and classes of a file's whole text, in order of their first lines. By layout where no grammar is built in, and where the
/// text is too hard for it.
pub fn definitions(text: &str, language: &Language) -> Vec<Definition> {
    let read = |grammar| syntax::Reader::default().try_outline(text, grammar);
    if let Some(outline) = language.grammar.and_then(read) {
        let mut found = outline.definitions;
        found.retain(|one| matches!(one.kind, Kind::Function | Kind::Class));
        return found;
    }
    let Some(layout) = language.layout else {
        return Vec::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    scanned(&lines, layout)
}

/// The functions and classes of lines that may be but a fragment, in order of their first lines. What models write is cut off, leaves
/// lines out and is indented anyhow: a grammar's parser takes such text for something else, where layout still tells what is meant.
pub fn scanned(lines: &[&str], layout: Layout) -> Vec<Definition> {
    if lines.len() > MOST_LINES {
        return Vec::new();
    }
    match layout {
        Layout::Indented => indented(lines),
        Layout::Braced => super::braces::definitions(lines),
    }
}

/// The bytes of blanks that a line begins with.
pub fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// The identifier that a text begins with.
pub fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn indented(lines: &[&str]) -> Vec<Definition> {
    let inside_text = texts(lines);
    let mut found: Vec<Definition> = Vec::new();
    let mut open: Vec<(usize, String, bool)> = Vec::new();
    for (header, line) in lines.iter().enumerate() {
        if found.len() >= MOST_DEFINITIONS {
            break;
        }
        if inside_text.get(header).copied().unwrap_or_default() {
            continue;
        }
        let indent = indent_of(line);
        if !line.trim().is_empty() && !line.trim_start().starts_with(['#', ')', ']', '}']) {
            while open.last().is_some_and(|(depth, ..)| *depth >= indent) {
                open.pop();
            }
        }
        let Some((name, is_class)) = python_header(line) else {
            continue;
        };
        if open.len() >= MOST_NESTED {
            continue;
        }
        let mut full_name = String::new();
        for (_, outer, _) in &open {
            full_name.push_str(outer);
            full_name.push('.');
        }
        full_name.push_str(name);
        open.push((indent, name.to_owned(), is_class));
        let (body, end) = python_end(lines, &inside_text, header, indent);
        found.push(Definition {
            name: name.to_owned(),
            full_name,
            kind: if is_class { Kind::Class } else { Kind::Function },
            start: decorated(lines, header, indent),
            header,
            body,
            end,
            indent,
            doc: None,
        });
    }
    found
}

/// The name that a line defines, and whether it is a class.
fn python_header(line: &str) -> Option<(&str, bool)> {
    let text = line.trim_start();
    let text = text.strip_prefix("async ").map_or(text, str::trim_start);
    let text = text
        .strip_prefix("cp")
        .filter(|rest| rest.starts_with("def "))
        .unwrap_or(text);
    let (rest, is_class) = match (text.strip_prefix("def "), text.strip_prefix("class ")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return None,
    };
    let name = identifier(rest.trim_start());
    let after = rest
        .trim_start()
        .get(name.len()..)
        .unwrap_or_default()
        .trim_start();
    let is_header = after.starts_with(['(', '[']) || (is_class && after.starts_with(':'));
    (!name.is_empty() && is_header).then_some((name, is_class))
}

/// Whether each line begins inside of a text in triple quotes.
fn texts(lines: &[&str]) -> Vec<bool> {
    let mut quote: Option<&str> = None;
    let mut inside = Vec::with_capacity(lines.len());
    for line in lines {
        inside.push(quote.is_some());
        let mut rest = *line;
        while !rest.is_empty() {
            match quote {
                Some(mark) => match rest.split_once(mark) {
                    Some((_, after)) => (quote, rest) = (None, after),
                    None => break,
                },
                None => {
                    let at = |mark: &'static str| rest.find(mark).map(|at| (at, mark));
                    let comment = rest.find('#');
                    match [at("\"\"\""), at("'''")].into_iter().flatten().min() {
                        // A mark behind a comment's sign is no text, unless the sign itself stands in one.
                        Some((at, _)) if comment.is_some_and(|sign| sign < at && !quoted(rest, sign)) => {
                            break;
                        }
                        Some((at, mark)) => {
                            quote = Some(mark);
                            rest = rest.get(at + mark.len()..).unwrap_or_default();
                        }
                        None => break,
                    }
                }
            }
        }
    }
    inside
}

/// Whether a place of a line stands between quotes.
fn quoted(line: &str, at: usize) -> bool {
    let before = line.get(..at).unwrap_or_default();
    before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1
}

/// The first of the decorators above a header.
fn decorated(lines: &[&str], header: usize, indent: usize) -> usize {
    let mut start = header;
    while let Some(above) = start.checked_sub(1) {
        let is_decorator = lines
            .get(above)
            .is_some_and(|line| indent_of(line) == indent && line.trim_start().starts_with('@'));
        if !is_decorator {
            break;
        }
        start = above;
    }
    start
}

/// The line behind the signature, and the one behind the last that belongs to the definition.
fn python_end(lines: &[&str], inside_text: &[bool], header: usize, indent: usize) -> (usize, usize) {
    let mut end = header + 1;
    let mut body = end;
    let mut depth = brackets(lines.get(header).copied().unwrap_or_default());
    for (index, line) in lines.iter().enumerate().skip(header + 1) {
        if depth > 0 && index - header > MOST_HEADER_LINES {
            depth = 0;
        }
        let inside = inside_text.get(index).copied().unwrap_or_default();
        let text = line.trim();
        if !inside && depth <= 0 && !text.is_empty() && !text.starts_with('#') && indent_of(line) <= indent {
            break;
        }
        let is_own = inside || depth > 0 || !text.starts_with('#') || indent_of(line) > indent;
        if !text.is_empty() && is_own {
            end = index + 1;
        }
        if depth > 0 {
            depth += brackets(line);
            body = index + 1;
        }
    }
    (body.min(end), end)
}

/// How many brackets a line opens that it does not close. Only for headers, where texts with brackets are rare.
fn brackets(line: &str) -> isize {
    let code = line.split('#').next().unwrap_or_default();
    code.chars()
        .map(|c| match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;
