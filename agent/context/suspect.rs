//! The function that an issue is most likely about.

use std::path::Path;

use super::definitions::{Definition, definitions};
use super::language::language;
use super::rank::Order;
use super::walk::Tree;

/// Files that are looked at.
const MOST_FILES: usize = 5;
/// A line of a traceback counts for so much, a telling word that is the function's name for so many times its worth.
const LINE: f64 = 20.0;
const NAME: f64 = 8.0;
/// The first line says what it is about; further down a module's or a helper's name comes up often.
const TITLE: f64 = 3.0;

/// The function that is named, or that a traceback leads through, in the likeliest files of code; with its file.
pub(super) fn suspect(tree: &Path, order: &Order) -> Option<(String, Definition)> {
    let mut best: Option<(f64, String, Definition)> = None;
    let tree = Tree::open(tree).ok()?;
    let code = order.files.iter().filter(|file| file.is_source && !file.is_test);
    for file in code.take(MOST_FILES) {
        let Some(language) = language(&file.path) else {
            continue;
        };
        let Ok(text) = tree.read(&file.path) else {
            continue;
        };
        for one in definitions(&text, &language)
            .into_iter()
            .filter(|one| !one.is_class())
        {
            let named = file.lines.range(one.start + 1..=one.end).count();
            let worth = order.names.get(&one.name).copied().unwrap_or(0.0);
            let title = if order.title.contains(&one.name) {
                TITLE
            } else {
                1.0
            };
            let value = named as f64 * LINE + worth * NAME * title;
            if value > best.as_ref().map_or(0.0, |(most, ..)| *most) {
                best = Some((value, file.path.clone(), one));
            }
        }
    }
    best.map(|(_, path, definition)| (path, definition))
}
