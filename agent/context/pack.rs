//! Chooses excerpts of a tree's files for a budget of tokens.

use std::path::{Path, PathBuf};

use super::cut::cut;
use super::definitions::Definition;
use super::rank::{Order, rank};
use super::suspect::suspect;

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
    /// Whether it holds tests.
    pub is_test: bool,
}

/// What was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The most telling first.
    pub excerpts: Vec<Excerpt>,
    /// Their tokens together.
    pub tokens: usize,
}

/// A tree's files in order of how much they matter to an issue: found once, cut to any budget.
#[derive(Debug, Clone)]
pub struct Ranking {
    tree: PathBuf,
    order: Order,
}

impl Ranking {
    /// Ranks the files of a tree for an issue and what failing tests printed. `root` is where the tree is seen inside.
    ///
    /// # Errors
    ///
    /// When the tree cannot be read at all.
    pub fn of(tree: &Path, root: &Path, issue: &str, failures: &[String]) -> std::io::Result<Ranking> {
        let order = rank(tree, &root.to_string_lossy(), issue, failures)?;
        Ok(Ranking {
            tree: tree.to_owned(),
            order,
        })
    }

    /// What of it a model should read with so many tokens, as `count` counts them.
    pub fn cut(&self, budget: usize, count: &dyn Fn(&str) -> usize) -> Packed {
        cut(&self.tree, &self.order, budget, count)
    }

    /// The function that the issue is most likely about, with its file; none when no function is named.
    pub fn suspect(&self) -> Option<(String, Definition)> {
        suspect(&self.tree, &self.order)
    }
}

/// Chooses what of the tree a model should read.
///
/// # Errors
///
/// When the tree cannot be read at all.
pub fn pack(request: &PackRequest<'_>) -> std::io::Result<Packed> {
    let ranking = Ranking::of(request.tree, request.root, request.issue, request.failures)?;
    Ok(ranking.cut(request.budget, request.count))
}
