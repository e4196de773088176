//! Files that a text names: paths, frames of tracebacks, names of modules; and the words in it that may be names in code.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::walk::TreeFile;

/// Texts are read up to here.
const MOST_BYTES: usize = 512 << 10;
/// No more words than this are looked for.
const MOST_WORDS: usize = 256;

/// No more different paths than this are looked up in a text.
const MOST_PATHS: usize = 4000;

/// What was found for no more modules than this is remembered.
const MOST_MODULES: usize = 50_000;

/// A file that a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// The file's index.
    pub(super) file: usize,
    /// The line, from 1, where one is named.
    pub(super) line: Option<usize>,
    /// Whether its path is named, not a module's name.
    pub(super) by_path: bool,
}

/// Finds files by what people and programs call them.
pub(super) struct Index<'a> {
    files: &'a [TreeFile],
    root: String,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Modules that were looked for, and what was found.
    modules: RefCell<HashMap<String, Option<usize>>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(files: &'a [TreeFile], root: &str) -> Index<'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            by_name.entry(name).or_default().push(index);
        }
        Index {
            files,
            root: root.trim_end_matches('/').to_owned(),
            by_name,
            modules: RefCell::default(),
        }
    }

    pub(super) fn path(&self, file: usize) -> &'a str {
        self.files.get(file).map_or("", |file| file.path.as_str())
    }

    /// The file of exactly that path.
    pub(super) fn exact(&self, path: &str) -> Option<usize> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path));
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
                let name = path.rsplit('/').next().unwrap_or(path);
                let named = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
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
        let fits = |file: &TreeFile| {
            let own = file.path.rsplit_once('/').map_or("", |(own, _)| own);
            let is_end = own == folder || (!own.is_empty() && folder.ends_with(&format!("/{own}")));
            is_end && file.path.ends_with(extension) && !file.is_test
        };
        let all = self.files.iter().enumerate().filter(|(_, file)| fits(file));
        all.map(|(index, _)| index).take(12).collect()
    }

    /// The files that a text names, in its order.
    pub(super) fn mentions(&self, text: &str) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (word, behind) in words_with_rest(cut(text)) {
            if seen.len() > MOST_PATHS {
                break;
            }
            if !seen.insert((word, line_behind(behind))) {
                continue;
            }
            let word = word.trim_end_matches(['.', ':']);
            // `tests/test_a.py::test_b` names a file and what is in it.
            let before = word.split("::").next().unwrap_or(word);
            let (path, line) = split_line(before);
            let line = line.or_else(|| line_behind(behind));
            if path.contains('.') {
                let files = self.by_path(path);
                if !files.is_empty() {
                    found.extend(files.into_iter().map(|file| Mention {
                        file,
                        line,
                        by_path: true,
                    }));
                    continue;
                }
            }
            let parts: Vec<&str> = match word.contains("::") {
                true => word.split("::").filter(|part| *part != "crate").collect(),
                false => word.split('.').collect(),
            };
            let is_module = parts.len() > 1
                && parts
                    .iter()
                    .all(|part| !part.is_empty() && !part.contains(['/', '\\', ':']));
            if is_module && let Some(file) = self.by_module(&parts) {
                found.push(Mention {
                    file,
                    line: None,
                    by_path: false,
                });
            }
        }
        found
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The words of a text that may be paths, each with what follows it.
fn words_with_rest(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || "_./\\-+@:".contains(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let start = rest.find(is_part)?;
            let word = rest.get(start..)?;
            let length = word.find(|c| !is_part(c)).unwrap_or(word.len());
            at += start + length;
            let word = word.get(..length)?;
            if word.contains(['.', ':']) && word.len() <= 1024 {
                return Some((word, text.get(at..)?));
            }
        }
    })
}

/// `path:12:5` as path and line.
fn split_line(word: &str) -> (&str, Option<usize>) {
    let mut path = word;
    let mut line = None;
    while let Some((before, number)) = path.rsplit_once(':') {
        let Ok(number) = number.parse::<usize>() else {
            break;
        };
        (path, line) = (before, Some(number));
    }
    // `C:\a\b.py` and `file:...` keep the path only.
    let path = match path.split_once(':') {
        Some((drive, rest)) if drive.len() == 1 => rest,
        Some((before, _)) => before,
        None => path,
    };
    (path, line)
}

/// `", line 12` behind a path.
fn line_behind(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('"').unwrap_or(text).strip_prefix(", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Words that may be names in code, with how telling each is by its looks: 3 for what can hardly be prose, else 1.
pub(super) fn words(texts: &[&str]) -> Vec<(String, f64)> {
    let mut found: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    let mut order = 0;
    for text in texts {
        let text = cut(text);
        for (index, part) in text.split('`').enumerate() {
            let is_quoted = index % 2 == 1 && part.len() < 200;
            for word in part.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                let begins = word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
                if word.len() < 3 || word.len() > 80 || !begins {
                    continue;
                }
                let inner = word.trim_matches('_');
                let is_code = is_quoted
                    || inner.contains('_')
                    || inner.chars().skip(1).any(char::is_uppercase) && inner.chars().any(char::is_lowercase);
                if word.len() < 4 && !is_code {
                    continue;
                }
                order += 1;
                let entry = found.entry(word).or_insert((order, 1.0));
                entry.1 = if is_code { 3.0 } else { entry.1 };
            }
        }
    }
    let mut all: Vec<(&str, (usize, f64))> = found.into_iter().collect();
    all.sort_by(|(_, one), (_, other)| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    all.truncate(MOST_WORDS);
    all.into_iter()
        .map(|(word, (_, weight))| (word.to_owned(), weight))
        .collect()
}
