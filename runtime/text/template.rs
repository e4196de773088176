//! Chat templates: Jinja as `transformers` runs it, with what a template may ask of it.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::cwm::is_python_space;
use super::{Message, TextError, Tool, python, values};

/// `bos_token` and the like, with their names.
pub(super) type TemplateTokens = BTreeMap<&'static str, String>;

/// How much a template may do, in steps and in 64 bytes of text: far more than the longest conversation needs, and little enough that
/// one without end is refused.
const STEPS: u64 = 1 << 23;

const NAME: &str = "chat_template";

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    source: String,
}

impl Template {
    pub(super) fn new(source: &str) -> Result<Template, TextError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| TextError::Template(error.to_string()))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(|state, value, method, arguments| {
            match (value.as_str().filter(|_| arguments.is_empty()), method) {
                (Some(text), "strip") => Ok(Value::from(text.trim_matches(is_python_space))),
                (Some(text), "lstrip") => Ok(Value::from(text.trim_start_matches(is_python_space))),
                (Some(text), "rstrip") => Ok(Value::from(text.trim_end_matches(is_python_space))),
                _ => unknown_method_callback(state, value, method, arguments),
            }
        });
        environment.set_fuel(Some(STEPS));
        environment
            .set_formatter(|out, _, value| out.write_str(&python::display(value)).map_err(Error::from));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{RAISED}{message}"),
            ))
        });
        environment.add_function("strftime_now", |format: String| {
            python::strftime(&format, python::now())
        });
        environment.add_filter("tojson", to_json);
        environment.add_filter("trim", |text: String, characters: Rest<Value>| {
            let characters = characters.first().and_then(Value::as_str).map(str::to_owned);
            let trimmed = match &characters {
                Some(characters) => text.trim_matches(|character| characters.contains(character)),
                None => text.trim_matches(is_python_space),
            };
            trimmed.to_owned()
        });
        // Jinja reads every kind of line end as a newline.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let cut = without_generation_tags(&source);
        environment
            .add_template_owned(NAME, cut)
            .map_err(|error| TextError::Template(format!("is not valid Jinja: {}", reason(&error))))?;
        Ok(Template { environment, source })
    }

    /// The template's text.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Writes a conversation.
    pub(super) fn render(&self, written: &Written<'_>) -> Result<String, TextError> {
        let messages: Vec<Value> = written
            .messages
            .iter()
            .map(|message| values::message(message, written.text))
            .collect();
        let tools: Vec<Value> = written
            .tools
            .iter()
            .map(|tool| values::tool(tool, written.text))
            .collect();
        let tools = if tools.is_empty() {
            Value::from(())
        } else {
            Value::from(tools)
        };
        let tokens = written.tokens.iter();
        let mut variables: BTreeMap<&str, Value> = tokens
            .map(|(name, text)| (*name, Value::from(text.as_str())))
            .collect();
        variables.extend([
            ("messages", Value::from(messages)),
            (
                "add_generation_prompt",
                Value::from(written.add_generation_prompt),
            ),
            ("tools", tools),
            ("documents", Value::from(())),
        ]);
        let template = self.environment.get_template(NAME);
        let rendered = template.and_then(|template| template.render(Value::from(variables)));
        rendered.map_err(|error| TextError::Template(reason(&error)))
    }
}

/// What a template is given.
pub(super) struct Written<'w> {
    pub(super) tokens: &'w TemplateTokens,
    pub(super) messages: &'w [Message<'w>],
    pub(super) tools: &'w [Tool<'w>],
    pub(super) add_generation_prompt: bool,
    /// How texts are changed on the way.
    pub(super) text: &'w dyn Fn(&str) -> String,
}

/// Marks the messages that a template raises itself.
const RAISED: &str = "refuses this conversation: ";

/// What went wrong, for people.
fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) if detail.starts_with(RAISED) => detail.to_owned(),
        _ => format!("fails: {error}"),
    }
}

/// Blocks named `generation` mark what the assistant said, for training; here they are scopes and nothing more.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        rest = tag;
        let Some((inside, _)) = tag.split_once("%}") else {
            continue;
        };
        let word = inside.trim_matches(['-', '+']).trim();
        let new = match word {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        out.push_str(&inside.replacen(word, new, 1));
        rest = tag.get(inside.len()..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let style = python::JsonStyle {
        indent: options.get::<Option<usize>>("indent")?,
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        separators: options.get::<Option<Vec<String>>>("separators")?,
    };
    options.assert_all_used()?;
    python::to_json(value, &style)
}
