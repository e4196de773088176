//! Finds calls that a model wrote as JSON, and turns them into the tools' own form.
//!
//! In: an answer's text, or a name and arguments that a server told apart. Out: [`Call`]s, or what is wrong with one.
//!
//! A call is `{"name": …, "arguments": {…}}` behind `<tool_call>`, or at the beginning of a line. What no meaning is lost by is
//! mended: raw line breaks and tabs in strings, backslashes that escape nothing, arguments that are JSON in a string, other usual
//! names of arguments. An object ends where its braces do, so that tags within its strings are text.

use cwm_tools::call::{Call, CallError, Tool};
use serde_json::{Map, Value};

use crate::prompts::ArgumentsError;

const OPENING: &str = "<tool_call>";
/// So many objects that are none are looked at, lest a long text of braces takes long.
const MOST_FAILURES: usize = 64;
/// More calls than this need not be told from so many.
const MOST_CALLS: usize = 64;

/// What is wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonCallError {
    /// Its name, or that it has no content.
    Call(CallError),
    /// Its arguments.
    Arguments(ArgumentsError),
}

/// The calls of an answer, in order; what is meant as a call but cannot be read is an error in its place.
///
/// An object is one call whatever stands in its strings, so that the search goes on behind it. Without `<tool_call>` before it, it
/// is a call only if it begins a line (of a fenced block, say) and has the members of one.
pub(crate) fn find(answer: &str) -> Vec<Result<Call, JsonCallError>> {
    let mut calls = Vec::new();
    let (mut at, mut failures) = (0, 0);
    while let Some((begin, tagged)) = next_begin(answer, at, failures < MOST_FAILURES)
        && calls.len() < MOST_CALLS
    {
        let text = answer.get(begin..).unwrap_or_default();
        match object_at(text) {
            Ok((value, rest)) => {
                at = answer.len() - rest.len();
                match named(&value) {
                    Some((name, arguments)) => calls.push(from_parts(&name, arguments)),
                    None if tagged => {
                        let message = "it must have the members `name` and `arguments`".to_owned();
                        calls.push(Err(not_json(None, message)));
                    }
                    None => failures += 1,
                }
            }
            Err(message) if tagged => {
                calls.push(Err(not_json(None, message)));
                // Where it ends is unknown, so what follows cannot be told from it.
                return calls;
            }
            Err(_) => {
                failures += 1;
                at = begin + 1;
            }
        }
    }
    calls
}

/// Where the next call may begin, from there on, and whether `<tool_call>` says so.
fn next_begin(answer: &str, from: usize, bare: bool) -> Option<(usize, bool)> {
    let text = answer.get(from..)?;
    let tagged = text.find(OPENING);
    let near = text.get(..tagged.unwrap_or(text.len())).filter(|_| bare);
    let mut begins = near
        .unwrap_or_default()
        .match_indices('{')
        .map(|(at, _)| from + at);
    let at_line = begins.find(|&at| {
        let before = answer.get(..at).unwrap_or_default().trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with('\n')
    });
    match (at_line, tagged) {
        (Some(at), _) => Some((at, false)),
        (None, Some(at)) => Some((from + at + OPENING.len(), true)),
        (None, None) => None,
    }
}

/// The call of that name with these arguments.
pub(crate) fn from_parts(name: &str, arguments: Value) -> Result<Call, JsonCallError> {
    let tool = Tool::from_name(name).ok_or_else(|| {
        JsonCallError::Call(CallError::Unknown {
            name: name.chars().take(60).collect(),
        })
    })?;
    let arguments = match arguments {
        Value::String(text) => match object_at(&text) {
            Ok((value, _)) => value,
            // A tool with one argument may have been given just that.
            Err(_) if matches!(tool, Tool::Bash | Tool::Submit) => return content(tool, text),
            Err(message) => return Err(not_json(Some(tool), message)),
        },
        other => other,
    };
    let Value::Object(arguments) = arguments else {
        return Err(not_json(Some(tool), "the arguments are no object".to_owned()));
    };
    let given = Given { tool, arguments };
    let text = match tool {
        Tool::Bash => given.text("command", &["cmd", "commands", "code"])?.to_owned(),
        Tool::Submit => given.path()?.to_owned(),
        Tool::Create => {
            let text = given.text("content", &["contents", "text", "file_text"])?;
            format!("{}\n{text}", given.path()?)
        }
        Tool::Edit => {
            let search = given.text("search", &["old", "old_string", "old_str"])?;
            let replace = given.text("replace", &["new", "new_string", "new_str", "replacement"])?;
            format!(
                "{}\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE",
                given.path()?,
                lines(search),
                lines(replace)
            )
        }
    };
    content(tool, text)
}

fn content(tool: Tool, content: String) -> Result<Call, JsonCallError> {
    if content.trim().is_empty() {
        let tool = tool.name().to_owned();
        return Err(JsonCallError::Call(CallError::Empty { tool }));
    }
    Ok(Call { tool, content })
}

/// Whole lines: the last one's end is added where it lacks.
fn lines(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A tool's arguments as they were given.
struct Given {
    tool: Tool,
    arguments: Map<String, Value>,
}

impl Given {
    fn text(&self, argument: &'static str, others: &[&str]) -> Result<&str, JsonCallError> {
        let names = std::iter::once(argument).chain(others.iter().copied());
        let mut values = names.filter_map(|name| self.arguments.get(name));
        values.next().and_then(Value::as_str).ok_or_else(|| {
            let tool = self.tool;
            JsonCallError::Arguments(ArgumentsError::Missing { tool, argument })
        })
    }

    fn path(&self) -> Result<&str, JsonCallError> {
        let path = self
            .text("path", &["file_path", "filename", "file", "filepath"])?
            .trim();
        let (tool, argument) = (self.tool, "path");
        if path.contains(['\n', '\r']) {
            return Err(JsonCallError::Arguments(ArgumentsError::SeveralLines {
                tool,
                argument,
            }));
        }
        if path.is_empty() {
            return Err(JsonCallError::Arguments(ArgumentsError::Missing {
                tool,
                argument,
            }));
        }
        Ok(path)
    }
}

/// Name and arguments of a call, also in OpenAI's form with a `function` around them.
fn named(value: &Value) -> Option<(String, Value)> {
    let value = value
        .get("function")
        .filter(|inner| inner.is_object())
        .unwrap_or(value);
    let name = value.get("name")?.as_str()?;
    let arguments = value.get("arguments").or_else(|| value.get("parameters"))?;
    Some((name.to_owned(), arguments.clone()))
}

/// The JSON object that a text begins with, mended, and what is behind it.
fn object_at(text: &str) -> Result<(Value, &str), String> {
    let text = text.trim_start();
    if !text.starts_with('{') {
        return Err("a JSON object is expected".to_owned());
    }
    let (mended, end) = mend(text).ok_or("its braces or quotes are not closed")?;
    let value = serde_json::from_str(&mended).map_err(|error| error.to_string())?;
    Ok((value, text.get(end..).unwrap_or_default()))
}

/// The object that a text begins with, with control characters in its strings escaped and useless backslashes doubled; and
/// where it ends.
fn mend(text: &str) -> Option<(String, usize)> {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut in_string) = (0_usize, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if !in_string {
            out.push(character);
            match character {
                '"' => in_string = true,
                '{' | '[' => depth += 1,
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some((out, at + 1));
                    }
                }
                _ => {}
            }
            continue;
        }
        match character {
            '"' => {
                in_string = false;
                out.push('"');
            }
            '\\' => match characters.peek().map(|(_, next)| *next) {
                Some('\'') => {}
                Some(next) if "\"\\/bfnrtu".contains(next) => {
                    characters.next();
                    out.extend(['\\', next]);
                }
                _ => out.push_str("\\\\"),
            },
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    None
}

fn not_json(tool: Option<Tool>, message: String) -> JsonCallError {
    JsonCallError::Arguments(ArgumentsError::NotJson {
        tool: tool.map(|tool| tool.name().to_owned()),
        message,
    })
}

#[cfg(test)]
#[path = "json_calls_tests.rs"]
mod tests;
