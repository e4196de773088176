//! The files of a tree that are looked at to tell how it is tested.

use std::path::Path;

/// Folders that are looked into.
const MOST_FOLDERS: usize = 2000;
/// How deep below the tree's root.
const DEEPEST: usize = 6;

/// Files with such names, relative to the tree, a folder's own before those in folders below it, in the order of their names; so many at
/// most. Folders that hold others' code are passed over, and so are links to folders.
pub(super) fn files(tree: &Path, most: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![(tree.to_owned(), 0)];
    let mut seen_folders = 0;
    while let Some((folder, depth)) = folders.pop() {
        seen_folders += 1;
        if seen_folders > MOST_FOLDERS || found.len() >= most {
            break;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        // The last is looked at first, so that the order is the names'.
        for entry in entries.iter().rev() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_folder && depth < DEEPEST && !passed_over(&entry.path(), &name) {
                folders.push((entry.path(), depth + 1));
            }
        }
        for entry in &entries {
            let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
            if is_file && found.len() < most && wanted(&entry.file_name().to_string_lossy()) {
                let path = entry.path();
                found.push(path.strip_prefix(tree).unwrap_or(&path).display().to_string());
            }
        }
    }
    found
}

/// Folders that hold others' code.
fn passed_over(folder: &Path, name: &str) -> bool {
    name.starts_with('.')
        || matches!(
            name,
            "node_modules"
                | "target"
                | "build"
                | "dist"
                | "site-packages"
                | "__pycache__"
                | "vendor"
                | "third_party"
        )
        || folder.join("pyvenv.cfg").is_file()
}
