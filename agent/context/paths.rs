//! Finds files by what people and programs call them: whole paths, the ends of paths, modules.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use super::walk::is_test;

/// What was found for no more modules than this is remembered.
const MOST_MODULES: usize = 50_000;

/// Finds files by what people and programs call them.
pub(super) struct Paths<'a> {
    /// In their order.
    paths: Vec<&'a str>,
    root: String,
    /// By the last part.
    by_name: HashMap<&'a str, Vec<usize>>,
    /// By the last two parts.
    by_end: HashMap<&'a str, Vec<usize>>,
    /// By the name of the folder that files lie in.
    by_folder: OnceCell<HashMap<&'a str, Vec<usize>>>,
    /// Modules that were looked for, and what was found.
    modules: RefCell<HashMap<String, Option<usize>>>,
}

impl<'a> Paths<'a> {
    /// Paths in their order; `root` is where the tree is seen, as absolute paths have it.
    pub(super) fn new(paths: Vec<&'a str>, root: &str) -> Paths<'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(paths.len());
        let mut by_end: HashMap<&str, Vec<usize>> = HashMap::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            let name = path.rsplit('/').next().unwrap_or(path);
            by_name.entry(name).or_default().push(index);
            by_end.entry(last_two(path)).or_default().push(index);
        }
        Paths {
            paths,
            root: root.trim_end_matches('/').to_owned(),
            by_name,
            by_end,
            by_folder: OnceCell::new(),
            modules: RefCell::default(),
        }
    }

    pub(super) fn path(&self, file: usize) -> &'a str {
        self.paths.get(file).copied().unwrap_or_default()
    }

    /// The file of exactly that path.
    pub(super) fn exact(&self, path: &str) -> Option<usize> {
        let at = self.paths.binary_search(&path);
        at.ok()
    }

    /// The files that a path may mean: the one, or those that agree with its end, best first.
    pub(super) fn by_path(&self, path: &str) -> Vec<usize> {
        let path = path.replace('\\', "/");
        let path = path
            .strip_prefix(&self.root)
            .filter(|_| !self.root.is_empty())
            .unwrap_or(&path);
        let path = path.trim_start_matches("./").trim_start_matches('/');
        if let Some(exact) = self.exact(path) {
            return vec![exact];
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some(named) = self.by_name.get(name) else {
            return Vec::new();
        };
        let agreeing = |file: &usize| {
            let own = self.path(*file).rsplit('/');
            own.zip(path.rsplit('/'))
                .take_while(|(own, other)| own == other)
                .count()
        };
        let best = named.iter().map(agreeing).max().unwrap_or(0);
        named
            .iter()
            .copied()
            .filter(|file| agreeing(file) == best)
            .take(4)
            .collect()
    }

    /// The file of a module: `a.b.c`, where the last parts may be names in it.
    pub(super) fn by_module(&self, parts: &[&str]) -> Option<usize> {
        let module = parts.join(".");
        if let Some(found) = self.modules.borrow().get(&module) {
            return *found;
        }
        let found = self.find_module(parts);
        let mut modules = self.modules.borrow_mut();
        if modules.len() < MOST_MODULES && module.len() <= 1024 {
            modules.insert(module, found);
        }
        found
    }

    fn find_module(&self, parts: &[&str]) -> Option<usize> {
        const FORMS: &[&str] = &[
            ".py",
            "/__init__.py",
            ".rs",
            "/mod.rs",
            ".java",
            ".kt",
            ".pyx",
            ".scala",
        ];
        let fewest = parts.len().saturating_sub(2).max(1);
        for length in (fewest..=parts.len()).rev() {
            let module = parts.get(..length)?.join("/");
            if module.is_empty() {
                continue;
            }
            for form in FORMS {
                let suffix = format!("/{module}{form}");
                let path = suffix.get(1..).unwrap_or_default();
                let named = match path.contains('/') {
                    true => self.by_end.get(last_two(path)),
                    false => self.by_name.get(path),
                };
                let named = named.map(Vec::as_slice).unwrap_or_default();
                let fits = |file: &&usize| {
                    let own = self.path(**file);
                    own == path || own.ends_with(&suffix)
                };
                if let Some(found) = named
                    .iter()
                    .filter(fits)
                    .min_by_key(|file| self.path(**file).len())
                {
                    return Some(*found);
                }
            }
        }
        None
    }

    /// Every file of a folder whose path ends so.
    pub(super) fn in_folder(&self, folder: &str, extension: &str) -> Vec<usize> {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let by_folder = self.by_folder.get_or_init(|| by_folder(&self.paths));
        let named = by_folder.get(name).map(Vec::as_slice).unwrap_or_default();
        let fits = |file: &&usize| {
            let path = self.path(**file);
            let own = path.rsplit_once('/').map_or("", |(own, _)| own);
            let is_end = own == folder || folder.ends_with(&format!("/{own}"));
            is_end && path.ends_with(extension) && !is_test(path)
        };
        named.iter().filter(fits).take(12).copied().collect()
    }
}

/// Files by the name of the folder that they lie in.
fn by_folder<'a>(paths: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, path) in paths.iter().enumerate() {
        if let Some((folder, _)) = path.rsplit_once('/') {
            let folder = folder.rsplit('/').next().unwrap_or(folder);
            found.entry(folder).or_default().push(index);
        }
    }
    found
}

/// The last two parts of a path, or the whole where it has one.
fn last_two(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').skip(1);
    let start = slashes.next().map_or(0, |(at, _)| at + 1);
    path.get(start..).unwrap_or(path)
}
