//! Chooses excerpts of a tree's files for a budget of tokens.

use std::path::Path;

/// What is packed for.
pub struct PackRequest<'a> {
    /// The tree, read only.
    pub tree: &'a Path,
    /// Where the tree is seen inside, as absolute paths of tracebacks have it.
    pub root: &'a Path,
    /// What is to be mended.
    pub issue: &'a str,
    /// What failing tests printed.
    pub failures: &'a [String],
    /// The most tokens that all excerpts may have together.
    pub budget: usize,
    /// Counts a text's tokens.
    pub count: &'a dyn Fn(&str) -> usize,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The file, relative to the tree's root.
    pub path: String,
    /// Lines of it, whole.
    pub text: String,
    /// The number of the first one, from 1.
    pub first_line: usize,
    /// Lines that the whole file has.
    pub file_lines: usize,
    /// Why it is here, for people: `named in the issue`.
    pub reason: String,
}

/// What was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The most telling first.
    pub excerpts: Vec<Excerpt>,
    /// Their tokens together.
    pub tokens: usize,
}

/// Chooses what of the tree a model should read.
///
/// # Errors
///
/// When the tree cannot be read at all.
pub fn pack(request: &PackRequest<'_>) -> std::io::Result<Packed> {
    let mut packed = Packed::default();
    let mut words: Vec<&str> = request
        .issue
        .split(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '(' | ')' | ',' | ':'))
        .filter(|word| word.contains('.'))
        .collect();
    words.dedup();
    for word in words {
        let Ok(text) = std::fs::read_to_string(request.tree.join(word)) else {
            continue;
        };
        let tokens = (request.count)(&text);
        if packed.tokens + tokens > request.budget {
            continue;
        }
        packed.tokens += tokens;
        packed.excerpts.push(Excerpt {
            path: word.to_owned(),
            first_line: 1,
            file_lines: text.lines().count(),
            reason: "named in the issue".to_owned(),
            text,
        });
    }
    Ok(packed)
}
