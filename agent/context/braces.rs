//! Definitions in languages with braces.

use super::definitions::{Definition, Kind, MOST_DEFINITIONS, MOST_NESTED, identifier, indent_of};

/// Words before a brace that define nothing.
const CONTROL: &[&str] = &[
    "if",
    "else",
    "for",
    "while",
    "do",
    "switch",
    "match",
    "try",
    "catch",
    "finally",
    "loop",
    "return",
    "with",
    "when",
    "guard",
    "defer",
    "select",
    "case",
    "default",
    "new",
    "throw",
    "synchronized",
    "using",
    "lock",
    "await",
    "yield",
    "sizeof",
    "typeof",
    "in",
    "of",
    "and",
    "or",
    "not",
];

/// Words that begin what holds other definitions.
const CLASSES: &[&str] = &[
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "impl",
    "mod",
    "module",
    "namespace",
    "union",
    "object",
    "extension",
    "protocol",
    "record",
];

/// A longer header is no header.
const MOST_HEADER: usize = 8192;

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    Line,
    Block(usize),
    Text(char),
}

/// A brace that is open.
struct Open {
    /// The definition that it began: its index among those found.
    definition: Option<usize>,
}

struct Scanner<'a> {
    lines: &'a [&'a str],
    found: Vec<Definition>,
    open: Vec<Open>,
    /// The code since the last `;`, `{` or `}`, and the line on which it began.
    header: String,
    first_line: usize,
    state: State,
    /// How many round and square brackets are open in the header: a `;` or `,` in them ends nothing.
    depth: usize,
}

/// Every definition with a body.
pub(super) fn definitions(lines: &[&str]) -> Vec<Definition> {
    let mut scanner = Scanner {
        lines,
        found: Vec::new(),
        open: Vec::new(),
        header: String::new(),
        first_line: 0,
        state: State::Code,
        depth: 0,
    };
    for (number, line) in lines.iter().enumerate() {
        scanner.line(number, line);
    }
    // What is not closed was cut off: it goes to the end.
    scanner
        .found
        .sort_by_key(|definition| (definition.start, std::cmp::Reverse(definition.end)));
    scanner.found
}

impl Scanner<'_> {
    fn line(&mut self, number: usize, line: &str) {
        if self.state == State::Line {
            self.state = State::Code;
        }
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            let next = characters.peek().copied();
            match self.state {
                State::Line => break,
                State::Block(depth) => {
                    if (c, next) == ('*', Some('/')) {
                        characters.next();
                        self.state = if depth > 1 {
                            State::Block(depth - 1)
                        } else {
                            State::Code
                        };
                    }
                }
                State::Text(quote) if c == '\\' && quote != '\0' => {
                    characters.next();
                }
                State::Text(quote) if c == quote => self.state = State::Code,
                State::Text(_) => {}
                State::Code => match (c, next) {
                    ('/', Some('/')) => self.state = State::Line,
                    ('/', Some('*')) => {
                        characters.next();
                        self.state = State::Block(1);
                    }
                    ('"' | '`', _) => self.state = State::Text(c),
                    ('\'', _) if is_text(&characters) => self.state = State::Text(c),
                    _ => self.code(number, c),
                },
            }
        }
        if matches!(self.state, State::Text('"' | '\'')) && !line.ends_with('\\') {
            // Few languages let such texts go on; a lifetime or an apostrophe is likelier.
            self.state = State::Code;
        }
        if self.depth == 0 && (line.trim().is_empty() || is_statement(&self.header)) {
            self.clear();
        }
        if !self.header.is_empty() {
            self.header.push(' ');
        }
    }

    fn code(&mut self, number: usize, c: char) {
        match c {
            '{' if self.depth == 0 => {
                let definition = self.define(number);
                self.open.push(Open { definition });
                self.clear();
            }
            '{' => {
                self.open.push(Open { definition: None });
                self.clear();
            }
            '}' => {
                if let Some(Open {
                    definition: Some(index),
                }) = self.open.pop()
                    && let Some(definition) = self.found.get_mut(index)
                {
                    definition.end = number + 1;
                }
                self.clear();
            }
            ';' if self.depth == 0 => self.clear(),
            _ => {
                match c {
                    '(' | '[' => self.depth += 1,
                    ')' | ']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if self.header.is_empty() {
                    if c.is_whitespace() {
                        return;
                    }
                    self.first_line = number;
                }
                if self.header.len() < MOST_HEADER {
                    self.header.push(c);
                }
            }
        }
    }

    fn clear(&mut self) {
        self.header.clear();
        self.depth = 0;
    }

    /// Takes down what the header before a brace defines.
    fn define(&mut self, number: usize) -> Option<usize> {
        if self.found.len() >= MOST_DEFINITIONS || self.open.len() > MOST_NESTED {
            return None;
        }
        let (name, is_class, receiver) = named(&self.header)?;
        let mut full_name = String::new();
        for outer in self
            .open
            .iter()
            .filter_map(|open| self.found.get(open.definition?))
        {
            full_name.push_str(&outer.name);
            full_name.push('.');
        }
        if let Some(receiver) = receiver {
            full_name.push_str(&receiver);
            full_name.push('.');
        }
        full_name.push_str(&name);
        let header = (self.first_line..=number)
            .find(|&line| {
                let text = self.lines.get(line).copied().unwrap_or_default();
                !text.trim_start().starts_with(['#', '@']) && contains_word(text, &name)
            })
            .unwrap_or(self.first_line);
        self.found.push(Definition {
            full_name,
            name,
            kind: if is_class { Kind::Class } else { Kind::Function },
            start: self.first_line,
            header,
            body: number + 1,
            end: self.lines.len(),
            indent: indent_of(self.lines.get(header).copied().unwrap_or_default()),
            doc: None,
        });
        Some(self.found.len() - 1)
    }
}

/// Whether what a line ends with is a statement of a language that needs no `;` behind it.
fn is_statement(header: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "package", "import", "from", "var", "let", "const", "return", "break", "continue",
    ];
    let header = header.trim();
    let goes_on = header.ends_with(['=', ',', '(', '+', '-', '&', '|', '?', ':', '>', '.']);
    let begins = BEGINNINGS.contains(&identifier(header))
        || header.starts_with("#include")
        || header.starts_with("#define");
    !goes_on && (begins || header.contains(" = "))
}

/// Whether an apostrophe begins a text, not a lifetime.
fn is_text(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let after: String = rest.clone().take(200).collect();
    let name = identifier(&after);
    let closes_at_once = after.get(name.len()..).is_some_and(|rest| rest.starts_with('\''));
    closes_at_once || (name.chars().count() != 1 && after.contains('\''))
}

fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_word(before) && !is_word(after)
    })
}

/// What a header defines: its name, whether it is a class, and of a Go method the type that it belongs to.
fn named(header: &str) -> Option<(String, bool, Option<String>)> {
    let header = without_attributes(header.trim());
    let words: Vec<(usize, &str)> = words(header);
    let first = words.first().map(|(_, word)| *word)?;
    if CONTROL.contains(&first) {
        return None;
    }
    for (at, word) in &words {
        let rest = header.get(at + word.len()..).unwrap_or_default().trim_start();
        match *word {
            "fn" | "fun" | "def" => return own(identifier(rest), false, None),
            "func" => return go_function(rest),
            "function" => {
                let name = identifier(rest.trim_start_matches('*').trim_start());
                return own(name, false, None).or_else(|| assigned(header));
            }
            "type" if rest.contains("struct") || rest.contains("interface") => {
                return own(identifier(rest), true, None);
            }
            word if CLASSES.contains(&word) && !header.get(..*at).unwrap_or_default().contains('(') => {
                return own(class_name(word, rest), true, None);
            }
            _ => {}
        }
    }
    if header.trim_end().ends_with("=>") {
        return assigned(header);
    }
    called(header)
}

fn own(name: &str, is_class: bool, receiver: Option<String>) -> Option<(String, bool, Option<String>)> {
    (!name.is_empty() && !CONTROL.contains(&name)).then(|| (name.to_owned(), is_class, receiver))
}

/// What is left of `#[...]` and `@Name(...)` before a header.
fn without_attributes(header: &str) -> &str {
    let mut rest = header;
    loop {
        let after = if let Some(after) = rest.strip_prefix("#[").or_else(|| rest.strip_prefix("#![")) {
            closing(after, '[', ']')
        } else if let Some(after) = rest.strip_prefix('@') {
            let after = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
            match after.strip_prefix('(') {
                Some(inside) => closing(inside, '(', ')'),
                None => Some(after),
            }
        } else {
            return rest;
        };
        match after {
            Some(after) => rest = after.trim_start(),
            None => return rest,
        }
    }
}

/// What stands behind the bracket that closes one which is open.
fn closing(text: &str, opens: char, closes: char) -> Option<&str> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        if c == opens {
            depth += 1;
        } else if c == closes {
            depth -= 1;
            if depth == 0 {
                return text.get(at + c.len_utf8()..);
            }
        }
    }
    None
}

fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let word = identifier(rest);
        if word.is_empty() {
            at += rest.chars().next().map_or(1, char::len_utf8);
        } else {
            found.push((at, word));
            at += word.len();
        }
    }
    found
}

/// Behind `func`: a receiver perhaps, then the name.
fn go_function(rest: &str) -> Option<(String, bool, Option<String>)> {
    let Some(inside) = rest.strip_prefix('(') else {
        return own(identifier(rest), false, None);
    };
    let (receiver, after) = inside.split_once(')')?;
    let receiver = receiver.split('[').next().unwrap_or(receiver);
    let kind = receiver.rsplit([' ', '*']).find(|word| !word.is_empty())?;
    own(identifier(after.trim_start()), false, Some(kind.to_owned()))
}

fn class_name<'a>(word: &str, rest: &'a str) -> &'a str {
    let mut rest = rest;
    if word == "impl" {
        if let Some(inside) = rest.strip_prefix('<') {
            rest = closing(inside, '<', '>').unwrap_or(inside).trim_start();
        }
        if let Some((_, kind)) = rest.split_once(" for ") {
            rest = kind.trim_start();
        }
        rest = rest.trim_start_matches(['&', ' ']);
        // Of a path the last part is the type's own name.
        let path = rest.split(['<', ' ', '{']).next().unwrap_or(rest);
        return identifier(path.rsplit("::").next().unwrap_or(path));
    }
    // `enum class Name`, `struct Name`.
    let rest = rest.strip_prefix("class ").unwrap_or(rest);
    identifier(rest)
}

/// `const name = (...) =>`, `name: (...) =>`, `name = function (...)`.
fn assigned(header: &str) -> Option<(String, bool, Option<String>)> {
    let is_sign = |at: usize| {
        let after = header.get(at + 1..).and_then(|rest| rest.chars().next());
        let before = header.get(..at).and_then(|text| text.chars().next_back());
        !matches!(after, Some('=' | '>' | ':')) && !matches!(before, Some('=' | '!' | '<' | '>' | ':'))
    };
    let at = header
        .match_indices(['=', ':'])
        .map(|(at, _)| at)
        .find(|&at| is_sign(at))?;
    let before = header.get(..at)?.trim_end();
    let (name_at, name) = words(before).into_iter().next_back()?;
    let is_last = name_at + name.len() == before.len();
    own(name, false, None).filter(|_| is_last)
}

/// `type name(arguments)`, with what may follow.
fn called(header: &str) -> Option<(String, bool, Option<String>)> {
    let at = header.find('(')?;
    let before = header.get(..at)?.trim_end();
    if before.contains('=') || before.ends_with('.') {
        return None;
    }
    let after = closing(header.get(at + 1..)?, '(', ')')?.trim();
    let follows = after.is_empty()
        || [
            ":", "->", "throws", "const", "noexcept", "override", "where", "async",
        ]
        .iter()
        .any(|word| after.starts_with(word));
    let (name_at, name) = words(before).into_iter().next_back()?;
    let is_name =
        name_at + name.len() == before.len() && !name.chars().next().is_some_and(|c| c.is_ascii_digit());
    if !follows || !is_name || before.get(..name_at)?.trim_end().ends_with('.') {
        return None;
    }
    own(name, false, None)
}
