//! What never belongs into a patch when it is new: caches and leftovers of common tools, and names that git refuses.

/// Names of files and folders that tools leave behind. A `*` at an end stands for anything.
const JUNK: [&str; 27] = [
    "__pycache__",
    "*.pyc",
    "*.pyo",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".tox",
    ".nox",
    ".coverage",
    ".coverage.*",
    "htmlcov",
    ".eggs",
    "*.egg-info",
    ".ipynb_checkpoints",
    "node_modules",
    ".nyc_output",
    ".gradle",
    ".DS_Store",
    "Thumbs.db",
    "*.orig",
    "*.rej",
    "*.swp",
    "*.swo",
    "*~",
    ".nfs*",
    "core.[0-9]*",
];

/// Whether an untracked file or folder of this name is junk.
pub(super) fn is_junk(name: &[u8]) -> bool {
    JUNK.iter().any(|pattern| {
        let pattern = pattern.as_bytes();
        if let Some(end) = pattern.strip_prefix(b"*") {
            return name.len() > end.len() && name.ends_with(end);
        }
        if let Some(start) = pattern.strip_suffix(b"[0-9]*") {
            let digits = name.strip_prefix(start).unwrap_or_default();
            return !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        }
        match pattern.strip_suffix(b"*") {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        }
    })
}

/// Whether git refuses to track a path with this part: `.git` in any case, or a name that some file systems take
/// for it. Neither may such a part ever be written through.
pub(crate) fn is_forbidden_part(part: &[u8]) -> bool {
    if part.is_empty() || part == b"." || part == b".." {
        return true;
    }
    part.split(|byte| *byte == b'\\').any(|piece| {
        let name = piece.split(|byte| *byte == b':').next().unwrap_or_default();
        let end = name
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | b'.'))
            .map_or(0, |at| at + 1);
        let name = name.get(..end).unwrap_or_default();
        name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
    })
}

/// Whether git refuses a symlink of this name (it would read settings through it).
pub(crate) fn is_forbidden_symlink(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b".gitmodules") || name.eq_ignore_ascii_case(b"gitmod~1")
}
