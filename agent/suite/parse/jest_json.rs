//! The JSON report of Jest, which Vitest writes too.

use serde::Deserialize;

use super::{Parsed, clean, joined};
use crate::suite::types::Status;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    test_results: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    assertion_results: Vec<Assertion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    #[serde(default)]
    ancestor_titles: Vec<String>,
    title: String,
    status: String,
    duration: Option<f64>,
    #[serde(default)]
    failure_messages: Option<Vec<String>>,
}

/// Reads the report; files are named as seen from `root`. Nothing when it is not such a report.
pub(in crate::suite) fn read(text: &str, root: &str) -> Option<Parsed> {
    let report: Report = serde_json::from_str(text.trim()).ok()?;
    let mut parsed = Parsed {
        recognised: true,
        finished: true,
        ..Parsed::default()
    };
    for file in report.test_results {
        let path = file
            .name
            .strip_prefix(root)
            .map_or(file.name.as_str(), |path| path.trim_start_matches('/'));
        if file.assertion_results.is_empty() && file.status == "failed" {
            parsed.add(path, Status::Errored, &clean(&file.message));
        }
        for test in file.assertion_results {
            let titles = test
                .ancestor_titles
                .iter()
                .filter(|title| !title.is_empty())
                .map(String::as_str);
            let name = joined([path].into_iter().chain(titles).chain([test.title.as_str()]));
            let status = match test.status.as_str() {
                "passed" => Status::Passed,
                "failed" => Status::Failed,
                _ => Status::Skipped,
            };
            let message = clean(&test.failure_messages.unwrap_or_default().join("\n"));
            let seconds = test.duration.map(|milliseconds| milliseconds / 1000.0);
            parsed.add_case(&name, status, &message, seconds);
        }
    }
    if parsed.tests.is_empty() {
        parsed.problem = Some("it found no tests".to_owned());
    }
    Some(parsed)
}
