//! Whether tests of the issue are scripts in Python or a file of the repository's own test framework, and where that goes.

use cwm_tools::patch::is_test_path;

use super::packed::ranking;
use super::types::{RolloutError, Workbench};
use crate::prompts::{ShownFile, TestFilePlace};
use crate::suite::{Framework, Site, sites};

/// Where the file goes; none where tests are scripts, as they are for code in Python, and where no command of the repository's runs a single file.
///
/// # Errors
///
/// When the tree cannot be read.
pub(super) fn of(bench: &Workbench<'_>) -> Result<Option<TestFilePlace>, RolloutError> {
    let problem = bench.problem;
    let found = |about: &str| -> Vec<Site> {
        let sites = sites(&problem.tree, &bench.copies.start, &problem.tests, about);
        sites
            .into_iter()
            .filter(|site| !site.dialect.is_python())
            .collect()
    };
    let mut usual = found("");
    if usual.is_empty() {
        return Ok(None);
    }
    let python = |framework| matches!(framework, Framework::Pytest | Framework::Unittest);
    let tests_python = problem.tests.iter().any(|test| python(test.framework));
    let ranking = ranking(problem)?;
    let suspect = ranking.suspect().map(|(path, _)| path);
    let paths = suspect.iter().map(String::as_str).chain(ranking.paths());
    for path in paths.filter(|path| !is_test_path(path.as_bytes())) {
        if tests_python && path.ends_with(".py") {
            return Ok(None);
        }
        if usual.iter().any(|site| site.dialect.takes(path)) {
            let near = found(path).into_iter().find(|site| site.dialect.takes(path));
            return Ok(near.map(place));
        }
    }
    Ok(Some(place(usual.swap_remove(0))))
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
