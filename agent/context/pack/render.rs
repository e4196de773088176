//! A pack as text. First what does not depend on the issue, then files from less to more relevant, the issue last.
//!
//! A file stands between fences that are longer than any row of backticks in it, so that nothing in a file can end it; its parts begin
//! with their lines' numbers.

use super::choose::{ChosenFile, Frame, Run};
use crate::context::language::language;
use crate::context::rank::{Content, RankedFile};

/// What stands before the files.
pub(super) const FILES_HEAD: &str =
    "# Files\n\nParts of a file begin with the numbers of their first and last line.\n\n";
/// What stands before names of files of which nothing is shown.
pub(super) const NAMES_HEAD: &str = "# Other files that may matter\n\n";
/// What stands before the issue.
pub(super) const ISSUE_HEAD: &str = "# Issue\n\n";

/// Files as text.
pub(super) struct TextFrame;

impl Frame for TextFrame {
    fn file(&self, file: &RankedFile, content: &Content) -> [String; 2] {
        let lines = content.lines.count();
        let noun = if lines == 1 { "line" } else { "lines" };
        let fence = fence(&content.text);
        let language = language(&file.path).map_or("", |language| language.name);
        [
            format!("## {}, {lines} {noun}\n{fence}{language}\n", file.path),
            format!("{fence}\n\n"),
        ]
    }

    fn part(&self, run: Run) -> String {
        format!("[{}-{}]\n", run.0 + 1, run.1)
    }
}

/// Backticks enough that none of the text's own ends them.
fn fence(text: &str) -> String {
    let mut longest = 0;
    let mut rest = text;
    while let Some(row) = rest.find('`').and_then(|at| rest.get(at..)) {
        rest = row.trim_start_matches('`');
        longest = longest.max(row.len() - rest.len());
    }
    "`".repeat((longest + 1).max(3))
}

/// A file as text.
pub(super) fn file(chosen: &ChosenFile<'_>, frame: &dyn Frame, out: &mut String) {
    let [before, behind] = frame.file(chosen.file, chosen.content);
    out.push_str(&before);
    for run in chosen.runs() {
        if !chosen.is_whole() {
            out.push_str(&frame.part(run));
        }
        out.push_str(chosen.content.part(run.0..run.1));
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out.push_str(&behind);
}
