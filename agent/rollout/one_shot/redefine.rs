//! Code blocks that define functions anew, or a file: what they replace.

use std::collections::BTreeSet;

use super::matching::is_elision;
use super::plan::Hunk;
use crate::context::{Definition, Layout, indent_of, scanned};

/// Whole files must hold so much of what stands outside of the file's definitions, in percent.
const WHOLE_FILE_PERCENT: usize = 80;

/// A file's lines, or a code block's, with what they define.
pub(super) struct Source<'a> {
    lines: Vec<&'a str>,
    definitions: Vec<Definition>,
    layout: Option<Layout>,
}

impl<'a> Source<'a> {
    pub(super) fn new(lines: &'a [String], layout: Option<Layout>) -> Source<'a> {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        Source {
            definitions: layout.map(|layout| scanned(&lines, layout)).unwrap_or_default(),
            lines,
            layout,
        }
    }

    fn part(&self, start: usize, end: usize) -> Vec<String> {
        let lines = self.lines.get(start..end).unwrap_or_default();
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    /// The definition of that name, or the only one whose own name is the same.
    fn like(&self, code: &Source<'_>, other: &Definition) -> Option<&Definition> {
        let fits = |own: &&Definition| own.is_class() == other.is_class();
        let full: Vec<&Definition> = self
            .definitions
            .iter()
            .filter(fits)
            .filter(|own| own.full_name == other.full_name)
            .collect();
        if let [one] = full.as_slice() {
            return Some(one);
        }
        // `struct A` and `impl A` have one name.
        let same = |own: &&&Definition| self.header(own) == code.header(other);
        let mut alike = full.iter().filter(same);
        if let (Some(one), None) = (alike.next(), alike.next()) {
            return Some(one);
        }
        // A property's getter and setter have one name: their decorators tell them apart, and nothing else would.
        if full.len() > 1 || other.full_name.contains('.') {
            return None;
        }
        let mut named = self
            .definitions
            .iter()
            .filter(fits)
            .filter(|own| own.name == other.name);
        named.next().filter(|_| named.next().is_none())
    }

    /// The line that a definition is told by, without blanks around it.
    fn header(&self, one: &Definition) -> &'a str {
        self.lines.get(one.header).map_or("", |line| line.trim())
    }

    /// The innermost definition of the same source that holds it.
    fn holder(&self, inner: &Definition) -> Option<&Definition> {
        let holds = |outer: &&Definition| outer.start < inner.start && inner.end <= outer.end;
        self.definitions.iter().rfind(holds)
    }

    /// What is defined in a class.
    fn members(&self, class: &Definition) -> Vec<&Definition> {
        let inside = |one: &&Definition| class.start < one.start && one.end <= class.end;
        self.definitions.iter().filter(inside).collect()
    }

    /// A class's lines that belong to no member.
    fn besides(&self, class: &Definition, members: &[&Definition]) -> BTreeSet<&'a str> {
        let inside = |at: usize| members.iter().any(|one| (one.start..one.end).contains(&at));
        let lines = self.lines.iter().enumerate().take(class.end).skip(class.start);
        let own = lines.filter(|(at, line)| !line.trim().is_empty() && !inside(*at));
        own.map(|(_, line)| line.trim()).collect()
    }

    /// Lines that stand in no definition.
    fn outside(&self) -> BTreeSet<&'a str> {
        let inside = |at: usize| {
            self.definitions
                .iter()
                .any(|one| (one.start..one.end).contains(&at))
        };
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(at, line)| !line.trim().is_empty() && !inside(*at))
            .map(|(_, line)| line.trim_end())
            .collect()
    }
}

/// How many of a code block's definitions a file has.
pub(super) fn shared(file: &Source<'_>, code: &Source<'_>) -> usize {
    code.definitions
        .iter()
        .filter(|one| file.like(code, one).is_some())
        .count()
}

/// What of the file the code replaces: definitions by name, or all of it; nothing when neither is plain. `whole` says that the model
/// saw the whole file.
pub(super) fn hunks(file: &Source<'_>, code: &Source<'_>, whole: bool) -> Vec<Hunk> {
    let left_out = |line: &&str| is_elision(line) && !file.lines.iter().any(|own| own.trim() == line.trim());
    if code.lines.iter().any(left_out) {
        return Vec::new();
    }
    if whole && is_whole(file, code) && changes_outside(file, code) {
        return vec![Hunk {
            start: 0,
            end: file.lines.len(),
            lines: code.part(0, code.lines.len()),
        }];
    }
    by_name(file, code)
}

/// Whether something changes between the definitions, other than what is imported.
fn changes_outside(file: &Source<'_>, code: &Source<'_>) -> bool {
    let (own, other) = (file.outside(), code.outside());
    own.symmetric_difference(&other).any(|line| !is_import(line)) || own.difference(&other).next().is_some()
}

fn is_import(line: &str) -> bool {
    let begins = ["import ", "from ", "use ", "#include "]
        .iter()
        .any(|word| line.starts_with(word));
    begins && !line.trim_end().ends_with(['(', '{', '\\'])
}

/// Whether the code is plainly the whole file anew.
fn is_whole(file: &Source<'_>, code: &Source<'_>) -> bool {
    let named = file.definitions.iter().all(|own| {
        let mut all = code.definitions.iter();
        all.any(|other| own.full_name == other.full_name)
    });
    let (own, other) = (file.outside(), code.outside());
    let kept = own.iter().filter(|line| other.contains(*line)).count();
    let something = !file.definitions.is_empty() || kept > 0;
    named && something && kept * 100 >= own.len() * WHOLE_FILE_PERCENT
}

fn by_name(file: &Source<'_>, code: &Source<'_>) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut added: Vec<&Definition> = Vec::new();
    for new in &code.definitions {
        let holder = code.holder(new);
        if holder.is_some_and(|holder| !holder.is_class() || replaced_whole(file, code, holder)) {
            continue;
        }
        match file.like(code, new) {
            // Its members are replaced one by one.
            Some(_) if new.is_class() && !replaced_whole(file, code, new) => {}
            Some(old) => hunks.push(replacement(file, old, code, new)),
            None if is_new(file, new) => added.push(new),
            None => {}
        }
    }
    if hunks.is_empty() {
        return hunks;
    }
    for new in added {
        hunks.extend(addition(file, code, new, &hunks));
    }
    hunks.extend(imports(file, code));
    hunks
}

/// Whether the file has nothing of that name, and it is no test.
fn is_new(file: &Source<'_>, new: &Definition) -> bool {
    let is_there = file.definitions.iter().any(|own| own.full_name == new.full_name);
    !is_there && !new.name.to_lowercase().starts_with("test") && new.name != "main"
}

/// Whether a class of the code replaces the file's as a whole: when it has all the members that the file's has, and something else that
/// is new. What is new in members alone is taken over one by one, which leaves the comments between them.
fn replaced_whole(file: &Source<'_>, code: &Source<'_>, class: &Definition) -> bool {
    let Some(old) = file.like(code, class) else {
        return false;
    };
    let (own, other) = (file.members(old), code.members(class));
    let has_all = own.iter().all(|one| other.iter().any(|new| new.name == one.name));
    let kept = file.besides(old, &own);
    has_all && (own.is_empty() || !code.besides(class, &other).is_subset(&kept))
}

fn replacement(file: &Source<'_>, old: &Definition, code: &Source<'_>, new: &Definition) -> Hunk {
    // Decorators and attributes that the model left out stay.
    let start = if new.start == new.header {
        old.header
    } else {
        old.start
    };
    let mut lines = code.part(new.start, new.end);
    let own_indent = file
        .lines
        .get(old.header)
        .map_or("", |line| line.get(..old.indent).unwrap_or_default());
    let other_indent = code
        .lines
        .get(new.header)
        .map_or("", |line| line.get(..new.indent).unwrap_or_default());
    if own_indent != other_indent {
        lines = lines
            .iter()
            .map(|line| moved(line, other_indent, own_indent))
            .collect();
    }
    if file.layout == Some(Layout::Indented)
        && let Some((from, to)) = docstring(&file.part(old.header, old.end))
        && docstring(&lines).is_none()
        && let Some(body) = body_start(&lines)
    {
        let kept = file.part(old.header + from, old.header + to);
        lines.splice(body..body, kept);
    }
    Hunk {
        start,
        end: old.end,
        lines,
    }
}

fn moved(line: &str, from: &str, to: &str) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    match line.strip_prefix(from) {
        Some(rest) => format!("{to}{rest}"),
        None => format!("{to}{}", line.trim_start()),
    }
}

/// The line behind a Python header: the one that its colon ends.
pub(super) fn body_start(lines: &[String]) -> Option<usize> {
    let ends = |line: &String| {
        line.split(" #")
            .next()
            .unwrap_or_default()
            .trim_end()
            .ends_with(':')
    };
    lines.iter().position(ends).map(|at| at + 1)
}

/// Where a Python function's docstring stands: its first line, and the one behind its last.
pub(super) fn docstring(lines: &[String]) -> Option<(usize, usize)> {
    let first = lines
        .iter()
        .enumerate()
        .skip(body_start(lines)?)
        .find(|(_, line)| !line.trim().is_empty())?;
    let text = first.1.trim().trim_start_matches(['r', 'R', 'u', 'U']);
    let mark = ["\"\"\"", "'''"]
        .into_iter()
        .find(|mark| text.starts_with(mark))?;
    if text.get(mark.len()..)?.contains(mark) {
        return Some((first.0, first.0 + 1));
    }
    let rest = lines.iter().enumerate().skip(first.0 + 1);
    rest.into_iter()
        .find(|(_, line)| line.contains(mark))
        .map(|(at, _)| (first.0, at + 1))
}

/// A function that the file does not have: before the first one that changes, or at the end of its class.
fn addition(file: &Source<'_>, code: &Source<'_>, new: &Definition, hunks: &[Hunk]) -> Option<Hunk> {
    let mut lines = code.part(new.start, new.end);
    if let Some(holder) = code.holder(new) {
        let class = file.like(code, holder)?;
        let end = match file.layout {
            Some(Layout::Braced) => class.end.checked_sub(1)?,
            _ => class.end,
        };
        lines.insert(0, String::new());
        return Some(Hunk {
            start: end,
            end,
            lines,
        });
    }
    if indent_of(lines.first()?) > 0 {
        return None;
    }
    let first = hunks.iter().map(|hunk| hunk.start).min()?;
    let outermost = file
        .definitions
        .iter()
        .find(|one| (one.start..one.end).contains(&first));
    let at = outermost.map_or(first, |one| one.start);
    lines.push(String::new());
    if file.layout == Some(Layout::Indented) {
        lines.push(String::new());
    }
    Some(Hunk {
        start: at,
        end: at,
        lines,
    })
}

/// Imports that the file does not have, behind its own.
fn imports(file: &Source<'_>, code: &Source<'_>) -> Option<Hunk> {
    let own: BTreeSet<&str> = file.lines.iter().map(|line| line.trim_end()).collect();
    // What names a definition of the file is an example of its use.
    let is_own = |line: &str| {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| file.definitions.iter().any(|one| one.name == word))
    };
    let mut new: Vec<String> = code
        .lines
        .iter()
        .filter(|line| is_import(line) && !own.contains(line.trim_end()) && !is_own(line))
        .map(|line| line.trim_end().to_owned())
        .collect();
    if new.is_empty() {
        return None;
    }
    let last = file.lines.iter().rposition(|line| is_import(line));
    if last.is_none() {
        let blank = if file.layout == Some(Layout::Indented) {
            2
        } else {
            1
        };
        new.extend(std::iter::repeat_n(String::new(), blank));
    }
    let first_code = file.definitions.first().map_or(0, |one| one.start);
    let at = match last {
        Some(last) => last + 1,
        // Behind what a file may begin with: comments, and a text about it.
        None => first_code.min(
            file.lines
                .iter()
                .position(|line| !line.starts_with('#'))
                .unwrap_or(0),
        ),
    };
    Some(Hunk {
        start: at,
        end: at,
        lines: new,
    })
}
