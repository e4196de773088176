//! The `.gitignore` files of the folders that a scan stands in, innermost last.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::bytes_path::to_path;

/// One folder's patterns.
struct Level {
    /// The length of the folder's path with its final `/`.
    prefix: usize,
    /// `None` when the folder has none.
    patterns: Option<Gitignore>,
}

/// Patterns of the root's own options, then of each open folder.
pub(super) struct IgnoreStack {
    levels: Vec<Level>,
}

impl IgnoreStack {
    /// A stack with the patterns that are weaker than those of any folder.
    pub(super) fn new(patterns: &[String]) -> IgnoreStack {
        let text = patterns.join("\n");
        IgnoreStack {
            levels: vec![Level {
                prefix: 0,
                patterns: compile(text.as_bytes()),
            }],
        }
    }

    /// Enters a folder (path empty or ending with `/`) whose `.gitignore` holds `text`.
    pub(super) fn push(&mut self, folder: &[u8], text: &[u8]) {
        self.levels.push(Level {
            prefix: folder.len(),
            patterns: compile(text),
        });
    }

    /// Leaves the folder entered last.
    pub(super) fn pop(&mut self) {
        self.levels.pop();
    }

    /// Whether a path in the folder entered last is ignored. That none of its parents is, is for the caller to know.
    pub(super) fn is_ignored(&self, path: &[u8], is_folder: bool) -> bool {
        for level in self.levels.iter().rev() {
            let Some(patterns) = &level.patterns else { continue };
            match patterns.matched(to_path(path.get(level.prefix..).unwrap_or_default()), is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}

/// Compiles patterns; a line that is no valid pattern is passed over, as git does.
fn compile(text: &[u8]) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let _invalid_pattern = builder.add_line(None, &line);
    }
    let patterns = builder.build().ok()?;
    (!patterns.is_empty()).then_some(patterns)
}
