//! `go test`: its JSON lines, and its printed text.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{NOT_BUILT, Parsed, bounded, telling_tail};
use crate::suite::types::Status;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    import_path: String,
    test: Option<String>,
    elapsed: Option<f64>,
    output: Option<String>,
}

/// Reads what `go test` printed.
pub(super) fn read(text: &str) -> Parsed {
    let events = text.lines().filter(|line| line.starts_with("{\"")).take(20);
    if events
        .filter(|line| serde_json::from_str::<Event>(line).is_ok())
        .count()
        > 0
    {
        return read_json(text);
    }
    read_text(text)
}

/// What `go test` would have printed without `-json`; text that is not of its JSON stays as it is.
pub(in crate::suite) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match event(line) {
            Some(event) => out.push_str(&event.output.unwrap_or_default()),
            None => out.push_str(line),
        }
    }
    out
}

fn event(line: &str) -> Option<Event> {
    if line.starts_with('{') {
        serde_json::from_str(line).ok()
    } else {
        None
    }
}

fn read_json(text: &str) -> Parsed {
    let mut parsed = Parsed {
        recognised: true,
        ..Parsed::default()
    };
    let mut outputs: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut running: BTreeSet<(String, String)> = BTreeSet::new();
    // Packages in which a test failed.
    let mut failed: BTreeSet<String> = BTreeSet::new();
    for line in text.lines() {
        let Some(event) = event(line) else {
            continue;
        };
        let package = if event.package.is_empty() {
            event.import_path.split(' ').next().unwrap_or_default().to_owned()
        } else {
            event.package
        };
        let test = event.test.unwrap_or_default();
        let key = (package, test);
        match event.action.as_str() {
            "output" | "build-output" => {
                let kept = outputs.entry(key).or_default();
                if kept.len() < 1 << 16 {
                    kept.push_str(&event.output.unwrap_or_default());
                }
            }
            "run" => {
                running.insert(key);
            }
            "pass" | "fail" | "skip" => {
                running.remove(&key);
                let output = outputs.remove(&key).unwrap_or_default();
                json_end(
                    &key,
                    &event.action,
                    event.elapsed,
                    &output,
                    &mut failed,
                    &mut parsed,
                );
            }
            _ => {}
        }
    }
    for (package, test) in running {
        parsed.add(
            &format!("{package}.{test}"),
            Status::Errored,
            "It began and did not end.",
        );
    }
    parsed.broke_off = parsed.ran() && !parsed.finished;
    nothing_to_run(&mut parsed, text);
    parsed
}

fn json_end(
    key: &(String, String),
    action: &str,
    elapsed: Option<f64>,
    output: &str,
    failed: &mut BTreeSet<String>,
    parsed: &mut Parsed,
) {
    let (package, test) = key;
    let status = match action {
        "pass" => Status::Passed,
        "fail" => Status::Failed,
        _ => Status::Skipped,
    };
    if !test.is_empty() {
        let message = if status.fails() {
            failed.insert(package.clone());
            failure_lines(output)
        } else {
            String::new()
        };
        parsed.add_case(&format!("{package}.{test}"), status, &message, elapsed);
        return;
    }
    parsed.finished = true;
    if status.fails() && !failed.contains(package) {
        parsed.add(package, Status::Errored, &failure_lines(output));
    }
}

fn failure_lines(output: &str) -> String {
    let kept: Vec<&str> = output
        .lines()
        .filter(|line| {
            let line = line.trim_start();
            !line.starts_with("=== ") && !line.starts_with("--- ") && !line.is_empty()
        })
        .collect();
    telling_tail(&kept.join("\n"), 40)
}

fn read_text(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut reader = TextReader::default();
    for line in text.lines() {
        reader.take(line, &mut parsed);
    }
    for (name, status, seconds, message) in reader.tests {
        parsed.add_case(&name, status, &message, seconds);
    }
    for name in reader.running {
        parsed.add(&name, Status::Errored, "It began and did not end.");
    }
    parsed.broke_off = parsed.ran() && !parsed.finished && !reader.over;
    nothing_to_run(&mut parsed, text);
    parsed
}

#[derive(Default)]
struct TextReader {
    /// Tests that ended; they stand before the line of their package.
    tests: Vec<(String, Status, Option<f64>, String)>,
    running: BTreeSet<String>,
    /// Which of those prints, with `-v`, and what they printed.
    current: Option<String>,
    printed: BTreeMap<String, String>,
    /// What belongs to no test.
    loose: String,
    /// What the compiler said, by package.
    builds: BTreeMap<String, String>,
    building: Option<String>,
    /// A program of tests that was run without `go` has ended.
    over: bool,
}

impl TextReader {
    fn take(&mut self, line: &str, parsed: &mut Parsed) {
        let inner = line.trim_start();
        self.over |= line.trim_end() == "PASS";
        if let Some(name) = line.strip_prefix("=== RUN ") {
            let name = bounded(name.trim());
            self.running.insert(name.to_owned());
            self.current = Some(name.to_owned());
        } else if let Some(words) = line.strip_prefix("=== ") {
            self.current = words
                .split_whitespace()
                .nth(1)
                .map(|name| bounded(name).to_owned());
        } else if let Some((name, status, seconds)) = test_end(inner) {
            self.running.remove(&name);
            self.current = None;
            let printed = self.printed.remove(&name).unwrap_or_default();
            self.tests.push((name, status, seconds, printed));
        } else if let Some(package) = line.strip_prefix("# ") {
            let package = package.split(' ').next().unwrap_or_default();
            self.building = Some(bounded(package).to_owned());
        } else if let Some(end) = package_end(line) {
            self.close(&end, parsed);
        } else if let Some(package) = &self.building {
            append(self.builds.entry(package.clone()).or_default(), line);
        } else if let Some(name) = &self.current {
            append(self.printed.entry(name.clone()).or_default(), inner);
        } else if let (Some((_, _, _, message)), true) =
            (self.tests.last_mut(), line.starts_with([' ', '\t']))
        {
            append(message, inner);
        } else {
            append(&mut self.loose, line);
        }
    }

    fn close(&mut self, end: &PackageEnd<'_>, parsed: &mut Parsed) {
        self.building = None;
        self.current = None;
        // A panic ends the program, and the test that was running has no line of its own.
        for name in std::mem::take(&mut self.running) {
            if !end.passed {
                let printed = self.printed.remove(&name).unwrap_or_default();
                self.tests.push((name, Status::Errored, None, printed));
            }
        }
        self.printed.clear();
        let loose = std::mem::take(&mut self.loose);
        let built = self.builds.remove(end.package).unwrap_or(loose);
        close_package(end, &mut self.tests, &built, parsed);
    }
}

fn append(text: &mut String, line: &str) {
    if text.len() < 1 << 16 {
        text.push_str(line);
        text.push('\n');
    }
}

/// `--- FAIL: TestX/sub (0.01s)`
fn test_end(line: &str) -> Option<(String, Status, Option<f64>)> {
    let (word, rest) = line.strip_prefix("--- ")?.split_once(": ")?;
    let status = match word {
        "PASS" => Status::Passed,
        "FAIL" => Status::Failed,
        "SKIP" => Status::Skipped,
        _ => return None,
    };
    let (name, time) = rest.trim_end().rsplit_once(" (")?;
    let seconds = time.strip_suffix("s)")?.parse().ok();
    Some((bounded(name).to_owned(), status, seconds))
}

struct PackageEnd<'a> {
    package: &'a str,
    passed: bool,
    empty: bool,
}

/// What stands, between tabs, at a package's end: `ok` and `FAIL` with its path, `?` and `[no test files]`.
fn package_end(line: &str) -> Option<PackageEnd<'_>> {
    let mut fields = line.split('\t').map(str::trim);
    let word = fields.next()?;
    if !matches!(word, "ok" | "FAIL" | "?") {
        return None;
    }
    let rest = fields.next()?;
    let package = rest.split(' ').next().filter(|package| !package.is_empty())?;
    Some(PackageEnd {
        package: bounded(package),
        passed: word == "ok",
        empty: word == "?" || line.contains("[no test files]") || line.contains("[no tests to run]"),
    })
}

fn close_package(
    end: &PackageEnd<'_>,
    tests: &mut Vec<(String, Status, Option<f64>, String)>,
    loose: &str,
    parsed: &mut Parsed,
) {
    parsed.recognised = true;
    parsed.finished = true;
    let package = end.package;
    let failed = tests.iter().any(|(_, status, _, _)| status.fails());
    let named_passes = tests.iter().any(|(_, status, _, _)| *status == Status::Passed);
    for (name, status, seconds, message) in tests.drain(..) {
        let message = if status.fails() {
            failure_lines(&message)
        } else {
            String::new()
        };
        parsed.add_case(&format!("{package}.{name}"), status, &message, seconds);
    }
    if end.empty {
        return;
    }
    if !end.passed && !failed {
        parsed.add(package, Status::Errored, &failure_lines(loose));
    } else if end.passed && !named_passes {
        // Without `-v` only failures are named. A package that failed may have ended before its other tests.
        parsed.unnamed = parsed.unnamed.saturating_add(1);
    }
}

fn nothing_to_run(parsed: &mut Parsed, text: &str) {
    let no_files = text.contains("[no test files]") || text.contains("no test files");
    if parsed.ran() {
        let only_builds = parsed.tests.values().all(|case| case.status == Status::Errored);
        if only_builds
            && parsed.unnamed == 0
            && (text.contains("[build failed]") || text.contains("[setup failed]"))
        {
            parsed.problem = Some(NOT_BUILT.to_owned());
        }
        return;
    }
    if parsed.recognised && no_files {
        parsed.problem = Some("go found no tests".to_owned());
    }
    for line in text.lines() {
        if line.starts_with("go: ") || line.contains("no Go files in") {
            parsed.recognised = true;
            parsed
                .problem
                .get_or_insert(format!("go cannot start: {}", super::first_words(line)));
        }
    }
}
