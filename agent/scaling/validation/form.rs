//! What a patch comes to: the code behind it, without what does not matter, and whether that is other code at all.

use std::path::Path;

use cwm_tools::bytes_path;
use cwm_tools::patch::{FileOutcome, FileState, Patch, apply_to, parse};
use sha2::{Digest, Sha256};

use super::measure::file_is_test;
use super::tampering::read;
use crate::context::canonical_code;

/// What a patch comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scaling) struct Form {
    /// Equal for patches that come to the same code.
    pub(in crate::scaling) name: String,
    /// Equal for patches that come to the same files, byte for byte.
    pub(in crate::scaling) exact: String,
    /// Whether it changes any code, or anything that is no code.
    pub(in crate::scaling) changes_code: bool,
}

/// The form of a patch against a tree. What it does to tests counts only where it does nothing else; a patch that cannot be read or
/// applied has the form of its text.
pub(in crate::scaling) fn form(patch: &[u8], tree: &Path) -> Form {
    of_files(patch, tree).unwrap_or_else(|| Form {
        name: digest(&[patch]),
        exact: digest(&[patch]),
        changes_code: true,
    })
}

fn of_files(patch: &[u8], tree: &Path) -> Option<Form> {
    let parsed = parse(patch).ok()?;
    let mut product = Patch {
        files: parsed
            .files
            .iter()
            .filter(|file| !file_is_test(file))
            .cloned()
            .collect(),
    };
    if product.files.is_empty() {
        product = parsed;
    }
    let read = |path: &[u8]| read(tree, path).map_err(Into::into);
    let files = apply_to(&product, &read).ok()?;
    let (mut parts, mut exact): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for file in &files {
        exact.push(format!("{} {:?}", name(file), file.after.as_ref().map(|state| state.mode)).into_bytes());
        exact.push(
            file.after
                .as_ref()
                .map_or_else(Vec::new, |state| state.content.clone()),
        );
        let (before, after) = (code(file, &file.before), code(file, &file.after));
        if before != after {
            parts.push(name(file).into_bytes());
            parts.push(after);
        }
    }
    Some(Form {
        name: digest(&parts),
        exact: digest(&exact),
        changes_code: !parts.is_empty(),
    })
}

fn name(file: &FileOutcome) -> String {
    let path = file.new_path.as_deref().or(file.old_path.as_deref());
    bytes_path::display(path.unwrap_or_default())
}

/// A file's code, with its mode; the text itself where no grammar reads it. None, and an empty one, are the same.
fn code(file: &FileOutcome, state: &Option<FileState>) -> Vec<u8> {
    let Some(state) = state else {
        return Vec::new();
    };
    let canonical = std::str::from_utf8(&state.content)
        .ok()
        .and_then(|text| canonical_code(&name(file), text));
    let mut code = match canonical {
        // Nothing but comments is no code.
        Some(code) if code.trim_matches(['(', ')']).is_empty() => return Vec::new(),
        Some(code) => code.into_bytes(),
        None => state.content.clone(),
    };
    code.extend(format!("\n{:?}", state.mode).bytes());
    code
}

/// Texts of bytes as a short name that others do not have.
fn digest<P: AsRef<[u8]>>(parts: &[P]) -> String {
    let mut hash = Sha256::new();
    for part in parts.iter().map(AsRef::as_ref) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(old: &str, new: &str) -> Vec<u8> {
        let lines = |sign: &str, text: &str| {
            text.lines()
                .map(|line| format!("{sign}{line}\n"))
                .collect::<String>()
        };
        let (removed, added) = (old.lines().count(), new.lines().count());
        format!(
            "--- a/f.py\n+++ b/f.py\n@@ -1,{removed} +1,{added} @@\n{}{}",
            lines("-", old),
            lines("+", new)
        )
        .into_bytes()
    }

    #[test]
    fn patches_to_the_same_code_have_one_form() {
        let tree = tempfile::tempdir().unwrap();
        let old = "def f(x):\n    y = x\n    return y\n";
        std::fs::write(tree.path().join("f.py"), old).unwrap();
        let of = |new: &str| form(&patch(old, new), tree.path());
        let one = of("def f(x):\n    y = x + 1\n    return y\n");
        assert!(one.changes_code);
        let other = of("def f(x):\n    # one more\n    z = x + 1\n    return z\n");
        assert_eq!(one.name, other.name);
        assert_ne!(one.exact, other.exact);
        assert_ne!(one.name, of("def f(x):\n    y = x + 2\n    return y\n").name);
        assert!(!of("def f(x):\n    y = x  # the same\n    return y\n").changes_code);
        let comment = b"diff --git a/zz.py b/zz.py\nnew file mode 100644\n--- /dev/null\n+++ b/zz.py\n@@ -0,0 +1 @@\n+# nothing\n";
        assert!(!form(comment, tree.path()).changes_code);
        assert!(form(b"no patch", tree.path()).changes_code);
    }
}
