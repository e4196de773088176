//! Where a test of the issue goes: beside the tests that are there, under a name that the framework takes for a test and that no file has.

use std::path::Path;

use super::example::{Example, example};
use super::way::Way;
use super::{Dialect, Site, cargo};
use crate::suite::files::files;
use crate::suite::find::text;

/// Names that are tried when others are taken.
const MOST_NAMES: usize = 50;
/// Files that are looked at for the name of a package.
const MOST_FILES: usize = 50;

/// The place for a way of running tests; none where there is none that its framework would find.
pub(super) fn site(tree: &Path, way: &Way<'_>, about: &str) -> Option<Site> {
    let dialect = way.dialect;
    let about = if way.inside(about).is_some() { about } else { "" };
    let example = example(tree, &way.folder, dialect, about);
    let (folder, style, head) = match dialect {
        Dialect::Cargo => {
            let package = cargo::package_above(tree, &way.folder, about)?;
            let library = cargo::Package::of(tree, package)?.library;
            (
                joined(package, "tests"),
                Style::of(dialect),
                format!("use {library}::*;\n"),
            )
        }
        Dialect::Go => {
            let folder = go_folder(tree, way, about, example.as_ref())?;
            let package = go_package(tree, &folder)?;
            (folder, Style::of(dialect), format!("package {package}\n"))
        }
        _ => {
            let (folder, style) = beside(tree, way, about, example.as_ref());
            (folder, style, String::new())
        }
    };
    let path = free(tree, &folder, &style)?;
    Some(Site {
        dialect,
        language: language(&path),
        command: way.alone(tree, &path, "")?,
        path,
        head,
        example,
    })
}

/// What follows a fence's backticks.
fn language(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "py" => "python",
        "rs" => "rust",
        "go" => "go",
        "ts" | "mts" | "cts" => "typescript",
        "tsx" => "tsx",
        "jsx" => "jsx",
        _ => "javascript",
    }
}

pub(super) fn joined(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// How names of tests look: what stands before the word and what behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Style {
    before: String,
    behind: String,
}

impl Style {
    fn new(before: &str, behind: &str) -> Style {
        Style {
            before: before.to_owned(),
            behind: behind.to_owned(),
        }
    }

    /// The usual one.
    fn of(dialect: Dialect) -> Style {
        match dialect {
            Dialect::Pytest | Dialect::Unittest => Style::new("test_", ".py"),
            Dialect::Cargo => Style::new("", ".rs"),
            Dialect::Go => Style::new("", "_test.go"),
            Dialect::Jest | Dialect::Vitest | Dialect::Mocha | Dialect::Node => Style::new("", ".test.js"),
        }
    }

    /// That of an existing test.
    fn like(dialect: Dialect, name: &str) -> Style {
        if dialect.is_python() {
            return match name.ends_with("_test.py") && !name.starts_with("test") {
                true => Style::new("", "_test.py"),
                false => Style::of(dialect),
            };
        }
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, "js"));
        let behind = [".test", ".spec", "_test", "-test", "_spec", "-spec"];
        if let Some(mark) = behind.iter().find(|mark| stem.ends_with(**mark)) {
            return Style::new("", &format!("{mark}.{end}"));
        }
        let before = ["test-", "test_"].into_iter().find(|mark| stem.starts_with(mark));
        Style::new(before.unwrap_or_default(), &format!(".{end}"))
    }
}

/// Whether a folder of the tree is reached through a link, which may lead out of it.
fn is_linked(tree: &Path, folder: &str) -> bool {
    let folder = Path::new(folder);
    let is_link = |part: &Path| {
        let about = tree.join(part).symlink_metadata();
        about.is_ok_and(|about| about.file_type().is_symlink())
    };
    folder
        .ancestors()
        .any(|part| !part.as_os_str().is_empty() && is_link(part))
}

/// The first name of a style that is free in a folder of the tree itself.
fn free(tree: &Path, folder: &str, style: &Style) -> Option<String> {
    if is_linked(tree, folder) {
        return None;
    }
    let Style { before, behind } = style;
    let numbers = std::iter::once(String::new()).chain((2..MOST_NAMES).map(|number| format!("_{number}")));
    let names = numbers.map(|number| joined(folder, &format!("{before}issue{number}{behind}")));
    names.into_iter().find(|path| {
        let taken = |path: &str| tree.join(path).symlink_metadata().is_ok();
        // For Cargo a folder is a program too.
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        !taken(path) && !taken(stem)
    })
}

/// Beside the example, in its style; without one where the framework looks for tests.
fn beside(tree: &Path, way: &Way<'_>, about: &str, example: Option<&Example>) -> (String, Style) {
    let dialect = way.dialect;
    if let Some((folder, name)) =
        example.map(|example| example.path.rsplit_once('/').unwrap_or(("", &example.path)))
    {
        return (folder.to_owned(), Style::like(dialect, name));
    }
    let usual = if dialect.is_python() { "tests" } else { "test" };
    let has_usual = tree.join(joined(&way.folder, usual)).is_dir();
    let folder = if has_usual || dialect == Dialect::Mocha {
        joined(&way.folder, usual)
    } else {
        way.folder.clone()
    };
    let mut style = Style::of(dialect);
    if let Some((_, end)) = about.rsplit_once('.')
        && !dialect.is_python()
        && dialect.takes(about)
    {
        style.behind = format!(".test.{end}");
    }
    (folder, style)
}

/// The folder of the package that the issue is about; else of the example, else the first with code.
fn go_folder(tree: &Path, way: &Way<'_>, about: &str, example: Option<&Example>) -> Option<String> {
    let of = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    if about.ends_with(".go") {
        return Some(of(about));
    }
    if let Some(example) = example {
        return Some(of(&example.path));
    }
    let root = tree.join(&way.folder);
    let code = files(&root, 1, |name| name.ends_with(".go")).into_iter().next()?;
    Some(of(&joined(&way.folder, &code)))
}

/// What a folder's files call their package.
fn go_package(tree: &Path, folder: &str) -> Option<String> {
    let root = tree.join(folder);
    let code = files(&root, MOST_FILES, |name| {
        name.ends_with(".go") && !name.ends_with("_test.go")
    });
    let own = code.iter().filter(|path| !path.contains('/'));
    own.into_iter().find_map(|path| {
        let text = text(&root.join(path));
        let name = text.lines().find_map(|line| line.strip_prefix("package "))?;
        let name: String = name
            .chars()
            .take_while(|sign| sign.is_alphanumeric() || *sign == '_')
            .collect();
        (!name.is_empty()).then_some(name)
    })
}
