//! Files that say how tests are run: of runners, of what starts them, and modules that take the place of a runner.

/// Modules that stand before those of the same name that run tests.
const MODULES: [&str; 8] = [
    "pytest",
    "_pytest",
    "unittest",
    "doctest",
    "nose",
    "pluggy",
    "sitecustomize",
    "usercustomize",
];
/// Files that only say how tests are run.
const ALWAYS: [&str; 8] = [
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    "tox.ini",
    "noxfile.py",
    "nosetests.cfg",
    ".mocharc",
    ".rspec",
];
/// Beginnings of the names of such files.
const ALWAYS_BEGIN: [&str; 5] = [
    "jest.config.",
    "vitest.config.",
    ".mocharc.",
    "karma.conf.",
    "playwright.config.",
];
/// What of `setup.cfg` and `pyproject.toml` says how tests are run: the beginnings of sections.
const SECTIONS: [&str; 9] = [
    "[tool:pytest",
    "[tool.pytest",
    "[pytest",
    "[aliases",
    "[nosetests",
    "[tox",
    "[testenv",
    "[tool.tox",
    "[tool.hatch.envs",
];
/// What of `package.json` says so.
const KEYS: [&str; 6] = ["scripts", "jest", "mocha", "vitest", "ava", "type"];
/// What runs scripts of `package.json`.
const JAVASCRIPT: [&str; 9] = [
    "npm", "npx", "yarn", "pnpm", "bun", "node", "jest", "vitest", "mocha",
];
/// What in a command may start anything.
const INDIRECT: [&str; 6] = ["make", "tox", "just", "./", ".sh", "task"];

/// Whether a change of a file changes how the tests are run that the commands run. Paths are `None` where there is no file.
pub(super) fn says_how(
    old_path: Option<&[u8]>,
    new_path: Option<&[u8]>,
    before: &[u8],
    after: &[u8],
    commands: &[&str],
) -> bool {
    let moved = old_path != new_path;
    if moved && new_path.is_some_and(takes_the_place) {
        return true;
    }
    let of = |path: Option<&[u8]>| path.is_some_and(|path| is_read(path, moved, before, after, commands));
    of(old_path) || moved && of(new_path)
}

/// The last part of a path in small letters, and the one before it.
fn names(path: &[u8]) -> (String, String) {
    let mut parts = path.rsplit(|byte| *byte == b'/');
    let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default()).to_lowercase();
    (next(), next())
}

/// Whether a new file would be imported in place of what runs tests, or before it.
fn takes_the_place(path: &[u8]) -> bool {
    let (name, folder) = names(path);
    let module = match name.as_str() {
        "__init__.py" | "__main__.py" => folder.as_str(),
        name => name.split('.').next().unwrap_or_default(),
    };
    let of_python = [".py", ".so", ".pyc", ".pyd"]
        .iter()
        .any(|end| name.ends_with(end));
    of_python && MODULES.contains(&module) || name.ends_with(".pth")
}

/// Whether an old or new file is read by what runs the tests, and what it says of that differs.
fn is_read(path: &[u8], moved: bool, before: &[u8], after: &[u8], commands: &[&str]) -> bool {
    let (name, folder) = names(path);
    let goes_through = |words: &[&str]| {
        let mut all = words.iter().chain(&INDIRECT);
        all.any(|word| commands.iter().any(|command| command.contains(word)))
    };
    match name.as_str() {
        "sitecustomize.py" | "usercustomize.py" => true,
        "makefile" | "gnumakefile" | "justfile" => goes_through(&[]),
        "setup.cfg" | "pyproject.toml" => moved || sections(before) != sections(after),
        "package.json" => goes_through(&JAVASCRIPT) && (moved || keys(before) != keys(after)),
        "config" | "config.toml" if folder == ".cargo" => true,
        name => {
            ALWAYS.contains(&name)
                || ALWAYS_BEGIN.iter().any(|start| name.starts_with(start))
                || name.ends_with(".mk") && goes_through(&[])
        }
    }
}

/// The lines of the sections that say how tests are run.
fn sections(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut within = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            let start: String = line.chars().filter(|sign| !" \"'".contains(*sign)).collect();
            within = SECTIONS.iter().any(|section| start.starts_with(section));
        }
        // Keys of TOML may hold the section's name.
        if within || line.starts_with("tool.") || line.contains("pytest.ini_options") {
            found.push(line.to_owned());
        }
    }
    found
}

/// What `package.json` says of tests; the whole text where it cannot be read.
fn keys(text: &[u8]) -> Vec<String> {
    let whole = || vec![String::from_utf8_lossy(text).into_owned()];
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => KEYS
            .iter()
            .map(|key| value.get(key).map(ToString::to_string).unwrap_or_default())
            .collect(),
        _ => whole(),
    }
}

#[cfg(test)]
#[path = "runners_tests.rs"]
mod tests;
