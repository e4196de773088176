//! What in a patch keeps the tests from proving anything: tests that stand within other files, which cannot be left out as test files
//! are, and files that say how tests are run.
//!
//! Files are compared as a whole before and after, so that neither places nor context of a diff matter. In doubt a patch proves nothing.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use cwm_tools::bytes_path;
use cwm_tools::patch::manifest::FileMode;
use cwm_tools::patch::{Body, FileOutcome, FilePatch, FileState, Patch, apply_to};

use super::inline::{may_hold_tests, tests_within};
use super::judge::name_some;
use super::measure::file_is_test;
use super::runners::says_how;

/// Names in a remark.
const NAMED: usize = 5;
/// The largest file that is compared.
const MOST_BYTES: u64 = 8 << 20;
/// What is said where files cannot be compared.
const UNTOLD: &str = "what it does to tests within its files cannot be told";

/// Why what tests say with the patch proves nothing, one sentence each. `tree` is what the patch is applied to, `commands` are those
/// that run the tests.
pub(super) fn against(patch: &Patch, tree: &Path, commands: &[&str]) -> Vec<String> {
    let matters = |file: &&FilePatch| {
        let (old, new) = (file.old_path.as_deref(), file.new_path.as_deref());
        let paths = || [old, new].into_iter().flatten();
        !file_is_test(file) && (paths().any(may_hold_tests) || says_how(old, new, b"", b"[pytest]", commands))
    };
    // The rest, such as large binary files, is not even read.
    let product = Patch {
        files: patch.files.iter().filter(matters).cloned().collect(),
    };
    if product
        .files
        .iter()
        .any(|file| matches!(file.body, Body::Binary { .. }))
    {
        return vec![UNTOLD.to_owned()];
    }
    let read = |path: &[u8]| read(tree, path).map_err(Into::into);
    let Ok(files) = apply_to(&product, &read) else {
        return vec![UNTOLD.to_owned()];
    };
    let mut inline = Vec::new();
    let mut runners = Vec::new();
    for file in &files {
        let path = path_of(file);
        let name = bytes_path::display(path);
        let (before, after) = (content(&file.before), content(&file.after));
        let old_path = file.old_path.as_deref().unwrap_or(path);
        if tests_within(old_path, before) != tests_within(path, after) {
            inline.push(name.clone());
        }
        if says_how(
            file.old_path.as_deref(),
            file.new_path.as_deref(),
            before,
            after,
            commands,
        ) {
            runners.push(name);
        }
    }
    let mut against = Vec::new();
    let mut say = |words: &str, names: &[String]| {
        if !names.is_empty() {
            against.push(format!("{words}: {}", name_some(names, NAMED)));
        }
    };
    say(
        "it changes tests that stand within its files, so that they prove nothing",
        &inline,
    );
    say(
        "it changes how the tests are run, so that they prove nothing",
        &runners,
    );
    against
}

fn path_of(file: &FileOutcome) -> &[u8] {
    let path = file.new_path.as_deref().or(file.old_path.as_deref());
    path.unwrap_or_default()
}

fn content(state: &Option<FileState>) -> &[u8] {
    state.as_ref().map_or(&[], |state| state.content.as_slice())
}

/// A file of the tree, never one outside of it.
pub(super) fn read(tree: &Path, path: &[u8]) -> io::Result<Option<FileState>> {
    let relative = bytes_path::to_path(path);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(io::Error::other("it leaves the tree"));
    }
    let full = tree.join(relative);
    let found = match std::fs::symlink_metadata(&full) {
        Ok(found) => found,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let folder = full.parent().unwrap_or(tree).canonicalize()?;
    if !folder.starts_with(tree.canonicalize()?) {
        return Err(io::Error::other("it leaves the tree"));
    }
    if found.is_symlink() {
        let target = std::fs::read_link(&full)?;
        return Ok(Some(FileState {
            mode: FileMode::Symlink,
            content: target.as_os_str().as_bytes().to_vec(),
        }));
    }
    if !found.is_file() || found.len() > MOST_BYTES {
        return Err(io::Error::other("it is no file, or too large"));
    }
    let executable = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o100 != 0;
    Ok(Some(FileState {
        mode: if executable {
            FileMode::Executable
        } else {
            FileMode::Regular
        },
        content: std::fs::read(&full)?,
    }))
}

#[cfg(test)]
#[path = "tampering_tests.rs"]
mod tests;
