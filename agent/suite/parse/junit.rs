//! JUnit XML, which most test programs can write.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Parsed;
use crate::suite::types::Status;

/// One test as it is being read.
#[derive(Default)]
struct Case {
    name: String,
    status: Option<Status>,
    seconds: Option<f64>,
    message: String,
}

/// Reads one document, or what there is of it before it breaks off. No entity but XML's own is expanded.
pub(in crate::suite) fn read(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut case: Option<Case> = None;
    let mut in_problem = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                in_problem = open(&tag, &mut case, &mut parsed) || (in_problem && case.is_some());
            }
            Ok(Event::Empty(tag)) => {
                open(&tag, &mut case, &mut parsed);
                if tag.local_name().as_ref() == "testcase" {
                    close(case.take(), &mut parsed);
                }
            }
            Ok(Event::End(tag)) => match tag.local_name().as_ref() {
                "testcase" => close(case.take(), &mut parsed),
                "failure" | "error" => in_problem = false,
                "testsuites" | "testsuite" => parsed.finished = true,
                _ => {}
            },
            Ok(Event::Text(words)) => {
                if let (true, Some(case)) = (in_problem, &mut case) {
                    push(&mut case.message, &words);
                }
            }
            Ok(Event::CData(words)) => {
                if let (true, Some(case)) = (in_problem, &mut case) {
                    push(&mut case.message, &words);
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                if let (true, Some(case)) = (in_problem, &mut case) {
                    let entity = format!("&{};", &*entity);
                    push(
                        &mut case.message,
                        &quick_xml::escape::unescape(&entity).unwrap_or_default(),
                    );
                }
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    parsed
}

fn push(message: &mut String, words: &str) {
    if message.len() < 1 << 16 {
        message.push_str(words);
    }
}

/// Takes a tag that opens; whether text in it tells of a failure.
fn open(tag: &BytesStart<'_>, case: &mut Option<Case>, parsed: &mut Parsed) -> bool {
    let problem = match tag.local_name().as_ref() {
        "testsuites" | "testsuite" => {
            parsed.recognised = true;
            return false;
        }
        "testcase" => {
            close(case.take(), parsed);
            *case = Some(begin(tag));
            return false;
        }
        "failure" => Status::Failed,
        "error" => Status::Errored,
        "skipped" => Status::Skipped,
        _ => return false,
    };
    let Some(case) = case else {
        return false;
    };
    let expected = attribute(tag, "type").is_some_and(|kind| kind == "pytest.xfail");
    let status = if expected {
        Status::ExpectedFailure
    } else {
        problem
    };
    if case.status.is_none_or(|old| !old.fails()) {
        case.status = Some(status);
    }
    if status.fails() {
        if let Some(message) = attribute(tag, "message") {
            push(&mut case.message, &message);
            push(&mut case.message, "\n");
        }
        return true;
    }
    false
}

fn begin(tag: &BytesStart<'_>) -> Case {
    let name = attribute(tag, "name").unwrap_or_default();
    let class = attribute(tag, "classname").unwrap_or_default();
    let file = attribute(tag, "file").unwrap_or_default();
    let name = match file.strip_suffix(".py") {
        // pytest's own: the class name is the file's path in dots, and classes behind it.
        Some(stem) => {
            let dotted = stem.replace('/', ".");
            let classes = class
                .strip_prefix(&dotted)
                .unwrap_or(&class)
                .trim_start_matches('.');
            let inner: Vec<&str> = classes
                .split('.')
                .filter(|part| !part.is_empty())
                .chain([name.as_str()])
                .collect();
            format!("{file}::{}", inner.join("::"))
        }
        None if class.is_empty() || class == name => name,
        None => format!("{class}::{name}"),
    };
    Case {
        name,
        status: None,
        seconds: attribute(tag, "time").and_then(|time| time.parse().ok()),
        message: String::new(),
    }
}

fn close(case: Option<Case>, parsed: &mut Parsed) {
    if let Some(case) = case {
        parsed.add_case(
            &case.name,
            case.status.unwrap_or(Status::Passed),
            &case.message,
            case.seconds,
        );
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    // Without the check for doubles, which takes long where there are many.
    let mut attributes = tag.attributes();
    let found = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == name)?;
    let raw = found.value;
    Some(match quick_xml::escape::unescape(&raw) {
        Ok(text) => text.into_owned(),
        Err(_) => raw.into_owned(),
    })
}
