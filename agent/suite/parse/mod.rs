//! What test programs print and write, read into one form: one file a format.
//!
//! Every reader takes any text at all (colours, carriage returns, lines of others in between, a middle that was cut out), takes
//! time in proportion to it, and never fails: what it does not understand it passes over.

pub(super) mod cargo;
pub(super) mod go;
pub(super) mod jest_json;
pub(super) mod junit;
pub(super) mod marks;
pub(super) mod pytest;
pub(super) mod pytest_report;
pub(super) mod tap;
pub(super) mod unittest;
pub(super) mod vitest;

mod text;

use std::collections::BTreeMap;

pub(super) use text::{clean, first_words, shorten, telling_tail};

use super::types::{Framework, Status, TestCase};

/// Tests beyond these are not kept: no suite is so large, and hostile output is.
const MOST_TESTS: usize = 300_000;

/// What is said of tests that cannot be built, which is the same whichever are chosen.
pub(super) const NOT_BUILT: &str = "it does not compile";

/// Names longer than this many bytes are cut.
pub(super) const LONGEST_NAME: usize = 2000;

/// What a reader found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parsed {
    /// Tests by name.
    pub(super) tests: BTreeMap<String, TestCase>,
    /// How many more passed that the output counts and does not name.
    pub(super) unnamed: u64,
    /// Whether the closing summary was seen.
    pub(super) finished: bool,
    /// Whether it is this format at all.
    pub(super) recognised: bool,
    /// Whether tests were read and then the output ended without the closing summary that this format always has.
    pub(super) broke_off: bool,
    /// Why no test was run, where the output says so.
    pub(super) problem: Option<String>,
}

impl Parsed {
    /// Adds a test. Of two with one name the worse counts.
    pub(super) fn add(&mut self, name: &str, status: Status, message: &str) {
        self.add_case(name, status, message, None);
    }

    /// Adds a test with the seconds that it took.
    pub(super) fn add_case(&mut self, name: &str, status: Status, message: &str, seconds: Option<f64>) {
        self.recognised = true;
        let name = stable_name(name);
        if name.is_empty() || (self.tests.len() >= MOST_TESTS && !self.tests.contains_key(&name)) {
            return;
        }
        let message = shorten(message);
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let case = self.tests.entry(name).or_insert(TestCase {
            status,
            message: String::new(),
            seconds: None,
        });
        if rank(status) > rank(case.status) {
            case.status = status;
        }
        if case.message.is_empty() {
            case.message = message;
        }
        case.seconds = match (case.seconds, seconds) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
    }

    /// Adds what another reader found.
    pub(super) fn extend(&mut self, other: Parsed) {
        for (name, case) in other.tests {
            self.add_case(&name, case.status, &case.message, case.seconds);
        }
        self.unnamed = self.unnamed.saturating_add(other.unnamed);
        self.finished |= other.finished;
        self.recognised |= other.recognised;
        self.broke_off |= other.broke_off;
        self.problem = self.problem.take().or(other.problem);
    }

    /// Whether something failed.
    pub(super) fn fails(&self) -> bool {
        self.tests.values().any(|case| case.status.fails())
    }

    /// Whether any test was run.
    pub(super) fn ran(&self) -> bool {
        self.unnamed > 0 || !self.tests.is_empty()
    }

    /// How many of its tests are so.
    pub(super) fn count(&self, is: impl Fn(Status) -> bool) -> u64 {
        self.tests.values().filter(|case| is(case.status)).count() as u64
    }
}

/// Of two results of one test the higher counts.
fn rank(status: Status) -> u8 {
    match status {
        Status::Skipped => 0,
        Status::Passed => 1,
        Status::UnexpectedPass => 2,
        Status::ExpectedFailure => 3,
        Status::Errored => 4,
        Status::Failed => 5,
    }
}

/// The beginning of a name that is too long. Names that are used again with each line are cut where they are stored.
fn bounded(name: &str) -> &str {
    name.get(..name.floor_char_boundary(LONGEST_NAME))
        .unwrap_or_default()
}

/// A name of several parts, which is not made longer than names may be.
fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut name = String::new();
    for (number, part) in parts.into_iter().enumerate() {
        if name.len() > LONGEST_NAME {
            break;
        }
        if number > 0 {
            name.push_str(" > ");
        }
        name.push_str(bounded(part));
    }
    name
}

/// A name that is the same in the next run: addresses of objects are left out, and it is one line of bounded length.
fn stable_name(name: &str) -> String {
    const ADDRESS: &str = " at 0x";
    let mut rest = bounded(name.trim());
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find(ADDRESS) {
        let (before, behind) = rest.split_at(at + ADDRESS.len());
        let digits = behind.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(before);
        if digits >= 6 {
            out.push_str("...");
        }
        rest = behind
            .get(if digits >= 6 { digits } else { 0 }..)
            .unwrap_or_default();
    }
    out.push_str(rest);
    out.replace(['\n', '\r'], " ")
}

/// Reads printed text: the framework's own form first, and where that finds nothing every other that shows its marks.
pub(super) fn read(framework: Framework, output: &str) -> Parsed {
    let text = clean(output);
    let own = match framework {
        Framework::Pytest => pytest::read(&text),
        Framework::Unittest => unittest::read(&text),
        Framework::Cargo => cargo::read(&text),
        Framework::Go => go::read(&text),
        Framework::Jest => javascript(&text),
        Framework::Other => Parsed::default(),
    };
    if own.recognised || own.ran() {
        return own;
    }
    let mut all = Parsed::default();
    for reader in [pytest::read, unittest::read, cargo::read, go::read, javascript] {
        let one = reader(&text);
        if one.recognised && (one.finished || one.problem.is_some() || one.ran()) {
            all.extend(one);
        }
    }
    all
}

fn javascript(text: &str) -> Parsed {
    for reader in [tap::read, vitest::read, marks::read] {
        let found = reader(text);
        if found.recognised {
            return found;
        }
    }
    Parsed::default()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
