//! What the repository's own files tell those who work on it.

use std::path::Path;

use cwm_tools::truncate::display_text;

use crate::cli::input;
use crate::rollout::Guidance;

/// What a model is shown of a file of guidance.
const MOST_GUIDANCE: usize = 8 << 10;
/// Files that tell contributors how to work, in the order in which they are looked for.
const GUIDANCE: [&str; 4] = [
    "AGENTS.md",
    "CLAUDE.md",
    "CONTRIBUTING.md",
    ".github/CONTRIBUTING.md",
];

/// The files of a snapshot's tree that tell how to work on it.
pub(super) fn guidance(tree: &Path) -> Vec<Guidance> {
    let mut found = Vec::new();
    for name in GUIDANCE {
        let path = tree.join(name);
        // A symlink, of the file or of a folder above it, could lead out of the snapshot.
        let own = std::fs::canonicalize(&path)
            .ok()
            .zip(std::fs::canonicalize(tree).ok());
        let is_file = own.is_some_and(|(real, tree)| real == tree.join(name) && real.is_file());
        let Some(bytes) = is_file
            .then(|| input::read(&path, MOST_GUIDANCE as u64 + 1).ok())
            .flatten()
        else {
            continue;
        };
        let whole = bytes.len() <= MOST_GUIDANCE;
        let mut text = display_text(bytes.get(..MOST_GUIDANCE).unwrap_or(&bytes))
            .trim()
            .to_owned();
        if text.is_empty() {
            continue;
        }
        if !whole {
            text.push_str("\n[...]");
        }
        found.push(Guidance {
            path: name.to_owned(),
            text,
        });
    }
    found
}
