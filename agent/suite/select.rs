//! How a runner is made to run only chosen tests: its own options, put behind its own words.
//!
//! Test names come from the repository, so they may be anything. A name that is no name in its framework chooses nothing, and what is put into a
//! command is one quoted word. Where the user's words choose tests already, ours are left out: such options rather add up than narrow down.

use std::collections::BTreeSet;

use cwm_tools::shell_word::quoted;

use super::parse::LONGEST_NAME;
use super::types::TestRun;
use super::words::{Kind, Runner, Word};

/// Options that make a runner choose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Where they are put into the command.
    pub(super) at: usize,
    pub(super) options: String,
    pub(super) tests: BTreeSet<String>,
}

/// Those of a run's names that its command can be told to run alone.
pub fn selectable(run: &TestRun, names: &BTreeSet<String>) -> BTreeSet<String> {
    tests(&run.command.command, names)
}

/// Those of the names that are tests. What stands in parentheses is what the suite says of a run as a whole, and a command that tells of
/// no test stands for itself.
pub(super) fn tests(command: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let is_test = |name: &&String| !name.starts_with('(') && name.as_str() != command;
    names.iter().filter(is_test).cloned().collect()
}

/// Options for a simple command, given as its words, of a whole `command`; none where its framework has none that are sure, where the user
/// has chosen, and where none of the wanted tests is its own.
pub(super) fn options(
    command: &str,
    words: &[Word],
    runner: &Runner,
    wanted: &BTreeSet<String>,
) -> Option<Selection> {
    let own = words.get(runner.at)?;
    let rest = words.get(runner.at + 1..)?;
    let (at, (options, tests)) = match runner.kind {
        Kind::Unittest | Kind::Django if !chosen(rest, &["-k"]) && !own.text.ends_with("unit2") => {
            (own.end, unittest(wanted))
        }
        Kind::Cargo => cargo(command, words, rest, wanted)?,
        Kind::Go if !chosen(rest, &["-run", "--run", "-test.run", "--test.run"]) => (own.end, go(wanted)),
        Kind::Jest | Kind::Vitest => (own.end, titles(&[rest], wanted)?),
        _ => return None,
    };
    (!tests.is_empty()).then_some(Selection { at, options, tests })
}

/// Whether one of the options, with its value or without, is among the words.
fn chosen(words: &[Word], options: &[&str]) -> bool {
    let own = words.iter().take_while(|word| word.text != "--");
    own.into_iter()
        .any(|word| options.iter().any(|option| word.text.starts_with(option)))
}

/// For unittest and Django, `-k` takes a part of a test's full name, so that a test whose name only begins so runs too.
fn unittest(wanted: &BTreeSet<String>) -> (String, BTreeSet<String>) {
    let plain = |sign: char| sign.is_alphanumeric() || "_.<>-[]".contains(sign);
    let (mut options, mut tests) = (String::new(), BTreeSet::new());
    for name in wanted {
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            continue;
        }
        // What is set up for a class or module is no test of its own; one word is a module that could not be loaded.
        let pattern = match name.rsplit_once('.') {
            Some((place, "setUpClass" | "tearDownClass" | "setUpModule" | "tearDownModule")) => {
                format!("{place}.")
            }
            Some(_) => name.clone(),
            None => format!("{name}."),
        };
        options.push_str(" -k ");
        options.push_str(&quoted(&pattern.replace('[', "[[]")));
        tests.insert(name.clone());
    }
    (options, tests)
}

/// For Cargo, names stand behind two dashes, for every program of tests alike.
fn cargo(
    command: &str,
    words: &[Word],
    rest: &[Word],
    wanted: &BTreeSet<String>,
) -> Option<(usize, (String, BTreeSet<String>))> {
    const OWN: [&str; 4] = ["--exact", "--list", "--help", "-h"];
    let mut theirs = rest.iter().skip_while(|word| word.text != "--");
    let (at, dashes) = match theirs.next() {
        Some(dashes) => (dashes.end, ""),
        None => (words.last()?.end, " --"),
    };
    if dashes.is_empty() && theirs.any(|word| OWN.contains(&word.text.as_str()))
        || !dashes.is_empty() && !ends_plainly(command)
        || chosen(rest, &["--no-run", "--help"])
    {
        return None;
    }
    let (mut filters, mut tests, mut exact) = (BTreeSet::new(), BTreeSet::new(), true);
    for name in wanted {
        if let Some((filter, whole)) = cargo_filter(name) {
            filters.insert(filter);
            tests.insert(name.clone());
            exact &= whole;
        }
    }
    let mut options = dashes.to_owned();
    if exact {
        options.push_str(" --exact");
    }
    for filter in filters {
        options.push(' ');
        options.push_str(&quoted(filter));
    }
    Some((at, (options, tests)))
}

/// What chooses a test of which the name is `program: test`, and whether it is the test's whole name: the names of documentation tests have lines,
/// which move, so their file must do.
fn cargo_filter(name: &str) -> Option<(&str, bool)> {
    let (program, test) = name.split_once(": ")?;
    let documentation = program.split(" #").next()?.ends_with(" doc-tests");
    let filter = if documentation {
        test.split(" -").next()?
    } else {
        match test.rsplit_once(" #") {
            Some((test, number)) if number.parse::<u32>().is_ok() => test,
            _ => test,
        }
    };
    let odd = filter.is_empty() || filter.starts_with(['-', '(']) || filter.contains('\0');
    (!odd).then_some((filter, !documentation))
}

/// Whether the last words of simple commands end where bash ends them: nothing in the command is taken out, filled in, or read from below.
fn ends_plainly(command: &str) -> bool {
    !command.contains(['$', '`', '<', '#']) && !command.contains(">(")
}

/// For Go, one expression chooses in every package. Subtests come with the tests that they are in.
fn go(wanted: &BTreeSet<String>) -> (String, BTreeSet<String>) {
    let (mut outer, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for name in wanted {
        if let Some(test) = go_test(name) {
            outer.insert(test);
            tests.insert(name.clone());
        }
    }
    let names: Vec<&str> = outer.into_iter().collect();
    let expression = format!("^({})$", names.join("|"));
    (format!(" -run {}", quoted(&expression)), tests)
}

/// The test of `package.Test/subtest`; packages may have dots too.
fn go_test(name: &str) -> Option<&str> {
    let starts = name.match_indices('.').map(|(at, _)| at + 1);
    [0].into_iter().chain(starts).find_map(|at| {
        let test = name.get(at..)?.split('/').next()?;
        let rest = ["Test", "Example", "Fuzz"]
            .iter()
            .find_map(|kind| test.strip_prefix(kind))?;
        let is_name = !rest.starts_with(char::is_lowercase)
            && rest.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
        is_name.then_some(test)
    })
}

/// For Jest and Vitest, an expression chooses by titles, those of the groups around before that of the test, whatever the file. `theirs` are
/// words that may have chosen.
pub(super) fn titles(theirs: &[&[Word]], wanted: &BTreeSet<String>) -> Option<(String, BTreeSet<String>)> {
    if theirs
        .iter()
        .any(|words| chosen(words, &["-t", "--testNamePattern"]))
    {
        return None;
    }
    let (mut expressions, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for name in wanted {
        if let Some((_, title)) = name.split_once(" > ")
            && !title.is_empty()
            && name.len() < LONGEST_NAME
        {
            expressions.insert(expression(title));
            tests.insert(name.clone());
        }
    }
    if tests.is_empty() {
        return None;
    }
    let any: Vec<String> = expressions.into_iter().collect();
    Some((
        format!(" -t {}", quoted(&format!("^ *({}) *$", any.join("|")))),
        tests,
    ))
}

/// An expression for a title. Any sign stands for one that is no letter, digit or blank: package managers hand words on through shells of
/// their own, and not all of them quote well.
fn expression(title: &str) -> String {
    let mut expression = String::new();
    for (number, part) in title.split(" > ").enumerate() {
        if number > 0 {
            // The mark between titles is ours, or a title has it; between titles frameworks put a blank.
            expression.push_str("( . | )");
        }
        for sign in part.chars() {
            match sign {
                _ if sign.is_ascii_alphanumeric() || matches!(sign, '_' | ' ') => expression.push(sign),
                // One for each of the units that JavaScript sees.
                _ => expression.extend(std::iter::repeat_n('.', sign.len_utf16())),
            }
        }
    }
    expression
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
