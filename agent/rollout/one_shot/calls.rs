//! A plan as calls of the tools: edits whose search text stands in the file exactly once, and new files.

use cwm_tools::call::Tool;

use super::plan::{Change, Hunk, Plan};

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Which.
    pub(super) tool: Tool,
    /// What it is called with.
    pub(super) content: String,
}

/// The calls that carry out a plan, in order; none when an edit cannot be told from its surroundings. `path` says how a file of the
/// tree is called where the tools are.
pub(super) fn calls(plan: &Plan, path: impl Fn(&str) -> String) -> Option<Vec<Call>> {
    let mut all = Vec::new();
    for (name, change) in plan {
        match change {
            Change::Create { lines } => all.push(Call {
                tool: Tool::Create,
                content: format!("{}\n{}", path(name), joined(lines)),
            }),
            Change::Edit { base, hunks } => {
                let mut current = base.clone();
                // From the end on, so that the places of those that are left stay.
                for hunk in hunks.iter().rev() {
                    all.push(edit(&path(name), &mut current, hunk)?);
                }
            }
        }
    }
    Some(all)
}

/// The edit that makes one hunk, and makes it in `current` too.
fn edit(path: &str, current: &mut Vec<String>, hunk: &Hunk) -> Option<Call> {
    let (mut start, mut end) = (hunk.start, hunk.end);
    while !is_telling(current, start, end) {
        if start == 0 && end >= current.len() {
            return None;
        }
        start = start.saturating_sub(1);
        end = (end + 1).min(current.len());
    }
    let search = current.get(start..end)?.to_vec();
    let mut replace = current.get(start..hunk.start)?.to_vec();
    replace.extend(hunk.lines.iter().cloned());
    replace.extend(current.get(hunk.end..end)?.iter().cloned());
    let is_marker =
        |line: &String| ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"].contains(&line.trim_end());
    if search.iter().chain(&replace).any(is_marker) {
        return None;
    }
    let content = format!(
        "{path}\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE",
        joined(&search),
        joined(&replace)
    );
    current.splice(start..end, replace);
    Some(Call {
        tool: Tool::Edit,
        content,
    })
}

/// Whether these lines say something and stand in the file once.
fn is_telling(file: &[String], start: usize, end: usize) -> bool {
    let Some(own) = file
        .get(start..end)
        .filter(|own| own.iter().any(|line| !line.trim().is_empty()))
    else {
        return false;
    };
    file.windows(own.len())
        .filter(|window| *window == own)
        .take(2)
        .count()
        == 1
}

fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}
