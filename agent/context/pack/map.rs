//! A short map of a repository: the files that others use most, with what they define. The same whatever the issue is.

use crate::context::definitions::Kind;
use crate::context::index::{Index, IndexedFile};
use crate::context::language::language;
use crate::context::walk::is_test;

/// What stands before the map.
pub(super) const HEAD: &str = "# Map of the repository\n\n";
/// Files of the map, at most.
const MOST_FILES: usize = 120;
/// Names that are told of each.
const MOST_NAMES: usize = 8;

/// The lines of the map, those of the most used files first.
pub(super) fn lines(index: &Index) -> Vec<String> {
    let mut users = vec![0_u64; index.files.len()];
    for file in 0..index.files.len() {
        for [to, weight] in index.edges.of(file) {
            if let Some(sum) = users.get_mut(*to as usize) {
                *sum += u64::from(*weight);
            }
        }
    }
    let mut order: Vec<(u64, &IndexedFile)> = users.into_iter().zip(&index.files).collect();
    // Files are in order of their paths, which stays where they are used as much.
    order.sort_by_key(|(users, _)| std::cmp::Reverse(*users));
    let is_code = |file: &IndexedFile| {
        language(&file.path).is_some() && !is_test(&file.path) && file.left_out.is_none()
    };
    let files = order
        .into_iter()
        .map(|(_, file)| file)
        .filter(|file| is_code(file));
    files.take(MOST_FILES).map(|file| line(index, file)).collect()
}

fn line(index: &Index, file: &IndexedFile) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in file.record.definitions() {
        let is_outer = index.names.get(one.container).is_empty();
        let name = index.names.get(one.name);
        if is_outer && one.kind != Kind::Constant && !names.contains(&name) {
            names.push(name);
        }
    }
    // Names with an underscore before them are for the file itself.
    names.sort_by_key(|name| name.starts_with('_'));
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    names.truncate(MOST_NAMES);
    if names.is_empty() {
        return format!("{}\n", file.path);
    }
    format!("{}: {}{more}\n", file.path, names.join(", "))
}
