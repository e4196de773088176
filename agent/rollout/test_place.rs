//! Whether tests of the issue are scripts in Python or a file of the repository's own test framework, and where that goes.

use cwm_tools::patch::is_test_path;

use super::packed::ranking;
use super::types::{RolloutError, Workbench};
use crate::prompts::{ShownFile, TestFilePlace};
use crate::suite::{Dialect, Framework, Site, dialects, sites};

/// So many of the likeliest files are tried; tests of the others tell nothing of the issue.
const MOST_FILES: usize = 10;

/// Where the file goes; none where tests are scripts, as they are for code in Python, and where no command of the repository's runs a single file.
///
/// # Errors
///
/// When the tree cannot be read.
pub(super) fn of(bench: &Workbench<'_>) -> Result<Option<TestFilePlace>, RolloutError> {
    let problem = bench.problem;
    let (tree, start, commands) = (&problem.tree, &bench.copies.start, &problem.tests);
    let dialects = dialects(tree, start, commands);
    let others: Vec<Dialect> = dialects
        .into_iter()
        .filter(|dialect| !dialect.is_python())
        .collect();
    if others.is_empty() {
        return Ok(None);
    }
    let found = |about: &str| {
        let sites = sites(tree, start, commands, about);
        sites.into_iter().filter(|site| others.contains(&site.dialect))
    };
    let python = |framework| matches!(framework, Framework::Pytest | Framework::Unittest);
    let tests_python = commands.iter().any(|test| python(test.framework));
    let ranking = ranking(problem)?;
    let suspect = ranking.suspect().map(|(path, _)| path);
    let paths = suspect.iter().map(String::as_str).chain(ranking.paths());
    let code = paths.filter(|path| {
        let known = tests_python && path.ends_with(".py") || others.iter().any(|dialect| dialect.takes(path));
        known && !is_test_path(path.as_bytes())
    });
    for path in code.take(MOST_FILES) {
        if path.ends_with(".py") {
            return Ok(None);
        }
        if let Some(site) = found(path).find(|site| site.dialect.takes(path)) {
            return Ok(Some(place(site)));
        }
    }
    Ok(found("").next().map(place))
}

fn place(site: Site) -> TestFilePlace {
    let language = site.language.to_owned();
    let example = site.example.map(|example| {
        let lines = example.text.lines().count();
        ShownFile {
            path: example.path,
            language: language.clone(),
            text: example.text,
            first_line: 1,
            last_line: lines,
            file_lines: lines,
            whole: example.whole,
            is_test: true,
            hidden: false,
        }
    });
    TestFilePlace {
        path: site.path,
        framework: site.dialect.name().to_owned(),
        language,
        head: site.head,
        example,
        command: site.command,
    }
}
